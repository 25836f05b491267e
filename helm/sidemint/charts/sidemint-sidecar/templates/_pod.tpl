{{/* What a pod gets. Each template is a piece of a list or a map, without the key above it, or nothing. */}}

{{/* Native form: for initContainers. Before those that need tokens. */}}
{{- define "sidemint.initContainers" -}}
{{- if eq (include "sidemint.form" .) "native" -}}
- {{ include "sidemint.container" (dict "root" . "form" "native") | nindent 2 | trim }}
{{- end -}}
{{- end -}}

{{/* Plain form: for containers. */}}
{{- define "sidemint.containers" -}}
{{- if eq (include "sidemint.form" .) "plain" -}}
- {{ include "sidemint.container" (dict "root" . "form" "plain") | nindent 2 | trim }}
{{- end -}}
{{- end -}}

{{- define "sidemint.volumes" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- $volumes := list -}}
{{- if ne (include "sidemint.configSource" .) "environment" -}}
{{- $key := ternary $v.existingConfigMapKey "config.yaml" (ne $v.existingConfigMap "") -}}
{{- $items := list (dict "key" $key "path" "config.yaml") -}}
{{- $volumes = append $volumes (dict "name" "sidemint-config" "configMap" (dict "name" (include "sidemint.configMapName" .) "items" $items)) -}}
{{- end -}}
{{- if or $v.existingSecret $v.hmac.existingSecret -}}
{{- $sources := list -}}
{{- with $v.existingSecret -}}
{{- $secret := dict "name" . -}}
{{- with $v.existingSecretItems -}}{{- $_ := set $secret "items" . -}}{{- end -}}
{{- $sources = append $sources (dict "secret" $secret) -}}
{{- end -}}
{{- with $v.hmac.existingSecret -}}
{{- $sources = append $sources (dict "secret" (dict "name" . "items" (list (dict "key" $v.hmac.key "path" "hmac")))) -}}
{{- end -}}
{{- $volumes = append $volumes (dict "name" "sidemint-secrets" "projected" (dict "sources" $sources)) -}}
{{- end -}}
{{- with $v.callerToken.existingSecret -}}
{{- $items := list (dict "key" $v.callerToken.key "path" "token") -}}
{{- $volumes = append $volumes (dict "name" "sidemint-caller" "secret" (dict "secretName" . "items" $items)) -}}
{{- end -}}
{{- range $v.extraSecrets -}}
{{- $secret := dict "secretName" .secretName -}}
{{- with .items -}}{{- $_ := set $secret "items" . -}}{{- end -}}
{{- $volumes = append $volumes (dict "name" (printf "sidemint-secret-%s" .name) "secret" $secret) -}}
{{- end -}}
{{- range list (dict "of" "databricks" "path" "databricks") (dict "of" "entra" "path" "azure-identity-token") -}}
{{- $federation := get $v.federation .of -}}
{{- if $federation.enabled -}}
{{- $token := dict "audience" $federation.audience "expirationSeconds" (int $federation.expirationSeconds) "path" .path -}}
{{- $volumes = append $volumes (dict "name" (printf "sidemint-token-%s" .of) "projected" (dict "sources" (list (dict "serviceAccountToken" $token)))) -}}
{{- end -}}
{{- end -}}
{{- if $v.socket.enabled -}}
{{- $volumes = append $volumes (dict "name" "sidemint-socket" "emptyDir" (dict "medium" "Memory" "sizeLimit" "1Mi")) -}}
{{- end -}}
{{- if include "sidemint.hidesApiToken" . -}}
{{- $volumes = append $volumes (dict "name" "sidemint-no-api-token" "emptyDir" (dict "medium" "Memory" "sizeLimit" "4Ki")) -}}
{{- end -}}
{{- with $volumes -}}
{{- toYaml . -}}
{{- end -}}
{{- with $v.extraVolumes }}
{{ tpl (toYaml .) $ }}
{{- end -}}
{{- end -}}

{{/* For the app's container: where Sidemint is, and what to show it. */}}
{{- define "sidemint.env" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- if $v.socket.enabled -}}
- name: SIDEMINT_SOCKET
  value: {{ $v.socket.path | quote }}
{{- else -}}
- name: SIDEMINT_URL
  value: {{ printf "http://127.0.0.1:%d" (int $v.ports.api) | quote }}
{{- end }}
- name: SIDEMINT_ADMIN_LISTEN
  value: {{ include "sidemint.adminFromPod" . | quote }}
{{- if $v.callerToken.existingSecret }}
- name: SIDEMINT_CALLER_TOKEN_FILE
  value: {{ include "sidemint.callerTokenFile" . }}
{{- end }}
{{- end -}}

{{/* For the app's container: the socket and the caller secret, where there are such. */}}
{{- define "sidemint.volumeMounts" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- $mounts := list -}}
{{- if $v.socket.enabled -}}
{{- $mounts = append $mounts (dict "name" "sidemint-socket" "mountPath" (dir $v.socket.path) "readOnly" true) -}}
{{- end -}}
{{- if $v.callerToken.existingSecret -}}
{{- $mounts = append $mounts (dict "name" "sidemint-caller" "mountPath" (dir (include "sidemint.callerTokenFile" .)) "readOnly" true) -}}
{{- end -}}
{{- with $mounts -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* By this label the monitor finds the pod. */}}
{{- define "sidemint.podLabels" -}}
sidemint/sidecar: {{ include "sidemint.fullname" . | quote }}
{{- end -}}

{{/* A config that changes restarts the pods. Secrets are read again by themselves. */}}
{{- define "sidemint.podAnnotations" -}}
{{- if eq (include "sidemint.configSource" .) "values" -}}
checksum/sidemint-config: {{ include "sidemint.config" . | sha256sum }}
{{- end -}}
{{- end -}}

{{/*
For the pod's securityContext. A group that owns the volumes is for the socket alone: it would change the app's own volumes,
too. Secrets and ConfigMaps are 0644 without it, and so are service account tokens, or 0600 of the one user where all
containers have the same one: the sidecar can read them either way.
*/}}
{{- define "sidemint.podSecurityContext" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- $context := $v.podSecurityContext -}}
{{- if $v.openshift -}}
{{- $context = omit $context "fsGroup" "runAsUser" "runAsGroup" -}}
{{- else if and $v.socket.enabled (not (hasKey $context "fsGroup")) -}}
{{- $context = set $context "fsGroup" 65532 -}}
{{- end -}}
{{- if not (hasKey $context "fsGroup") -}}
{{- $context = omit $context "fsGroupChangePolicy" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{/* For the pod's imagePullSecrets. */}}
{{- define "sidemint.imagePullSecrets" -}}
{{- with (include "sidemint.values" . | fromJson).imagePullSecrets -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}
