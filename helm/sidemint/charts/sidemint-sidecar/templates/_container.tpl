{{/*
The container. Takes a dict: root (the chart's context), form (native, plain, gateway), and for the gateway mounts (more
volume mounts, a list) and preStopSleepSeconds.
*/}}
{{- define "sidemint.container" -}}
{{- $root := .root -}}
{{- $v := include "sidemint.values" $root | fromJson -}}
{{- $sleep := ternary $v.sidecar.preStopSleepSeconds (.preStopSleepSeconds | default 0) (eq .form "plain") | int -}}
{{- include "sidemint.check" $root -}}
name: sidemint
image: {{ include "sidemint.image" $root | quote }}
imagePullPolicy: {{ $v.image.pullPolicy | quote }}
{{- if eq .form "native" }}
restartPolicy: Always
{{- end }}
{{- with $v.command }}
command:
  {{- toYaml . | nindent 2 }}
{{- end }}
args:
  - run
  {{- with $v.extraArgs }}
  {{- tpl (toYaml .) $root | nindent 2 }}
  {{- end }}
env:
  {{- include "sidemint.containerEnv" $root | nindent 2 }}
{{- with $v.extraEnvFrom }}
envFrom:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
ports:
  {{- if eq .form "gateway" }}
  - name: sidemint-api
    containerPort: {{ int $v.ports.api }}
    protocol: TCP
  {{- end }}
  - name: sidemint-admin
    containerPort: {{ int $v.admin.port }}
    protocol: TCP
{{- include "sidemint.probes" . }}
{{- if and (gt $sleep 0) (ne .form "native") (semverCompare ">=1.30-0" $root.Capabilities.KubeVersion.Version) }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ $sleep }}
{{- end }}
{{- with $v.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "sidemint.securityContext" $root | nindent 2 }}
{{- $mounts := compact (list (include "sidemint.containerMounts" $root) (include "sidemint.moreMounts" .)) | join "\n" }}
{{- with $mounts }}
volumeMounts:
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* OpenShift gives each namespace users and groups of its own, and refuses others. */}}
{{- define "sidemint.securityContext" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- toYaml (ternary (omit $v.securityContext "runAsUser" "runAsGroup") $v.securityContext (eq (toString $v.openshift) "true")) -}}
{{- end -}}

{{- define "sidemint.moreMounts" -}}
{{- with .mounts -}}{{- toYaml . -}}{{- end -}}
{{- end -}}

{{- define "sidemint.listen" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- if eq (include "sidemint.mode" .) "gateway" -}}
{{- printf "%s:%d" .Values.gateway.listenHost (int $v.ports.api) -}}
{{- else if $v.socket.enabled -}}
{{- printf "unix:%s" $v.socket.path -}}
{{- else -}}
{{- printf "127.0.0.1:%d" (int $v.ports.api) -}}
{{- end -}}
{{- end -}}

{{- define "sidemint.containerEnv" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- if ne (include "sidemint.configSource" .) "environment" -}}
- name: SIDEMINT_CONFIG
  value: /etc/sidemint/config.yaml
{{ end -}}
- name: SIDEMINT_LISTEN
  value: {{ include "sidemint.listen" . | quote }}
- name: SIDEMINT_ADMIN_LISTEN
  value: {{ printf "%s:%d" $v.admin.host (int $v.admin.port) | quote }}
{{- with $v.federation.databricks }}
{{- if .enabled }}
- name: DATABRICKS_OIDC_TOKEN_FILEPATH
  value: /var/run/secrets/tokens/databricks
{{- with .clientId }}
- name: DATABRICKS_CLIENT_ID
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- with $v.federation.entra }}
{{- if .enabled }}
- name: AZURE_FEDERATED_TOKEN_FILE
  value: /var/run/secrets/azure/tokens/azure-identity-token
{{- with .clientId }}
- name: AZURE_CLIENT_ID
  value: {{ . | quote }}
{{- end }}
{{- with .tenantId }}
- name: AZURE_TENANT_ID
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- with $v.extraEnv }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end -}}

{{- define "sidemint.probes" -}}
{{- $v := include "sidemint.values" .root | fromJson -}}
{{- $local := eq (include "sidemint.adminIsLocal" .root) "true" -}}
{{- $readiness := $v.probes.readiness.enabled | toString -}}
{{- $ready := ternary (eq .form "gateway") (eq $readiness "true") (eq $readiness "auto") -}}
{{- if $v.probes.startup.enabled }}
startupProbe:
  {{- include "sidemint.probeAction" (dict "local" $local "path" "/startupz" "command" (list "sidemint" "wait" "--timeout" "1s")) | nindent 2 }}
  {{- toYaml (omit $v.probes.startup "enabled") | nindent 2 }}
{{- end }}
{{- if $v.probes.liveness.enabled }}
livenessProbe:
  {{- include "sidemint.probeAction" (dict "local" $local "path" "/livez" "command" (list "sidemint" "healthcheck")) | nindent 2 }}
  {{- toYaml (omit $v.probes.liveness "enabled") | nindent 2 }}
{{- end }}
{{- if $ready }}
{{- if $local }}
{{- fail (printf "the readiness probe calls /readyz at the pod's address, and admin.host is %s" $v.admin.host) }}
{{- end }}
readinessProbe:
  {{- include "sidemint.probeAction" (dict "local" false "path" "/readyz") | nindent 2 }}
  {{- toYaml (omit $v.probes.readiness "enabled") | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "sidemint.probeAction" -}}
{{- if .local -}}
exec:
  command:
    {{- toYaml .command | nindent 4 }}
{{- else -}}
httpGet:
  path: {{ .path }}
  port: sidemint-admin
{{- end -}}
{{- end -}}

{{/*
The pod of somebody else's chart may mount a token of the Kubernetes API into all of its containers. Kubernetes leaves out
those that have something at that place already, so the sidecar gets an empty folder there; the app keeps its token.
*/}}
{{- define "sidemint.hidesApiToken" -}}
{{- $paths := list -}}
{{- range (include "sidemint.values" . | fromJson).extraVolumeMounts -}}
{{- $paths = append $paths (get . "mountPath" | toString | trimSuffix "/") -}}
{{- end -}}
{{- if and (eq (include "sidemint.mode" .) "library") (not (has "/var/run/secrets/kubernetes.io/serviceaccount" $paths)) -}}true{{- end -}}
{{- end -}}

{{- define "sidemint.containerMounts" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- $mounts := list -}}
{{- if ne (include "sidemint.configSource" .) "environment" -}}
{{- $mounts = append $mounts (dict "name" "sidemint-config" "mountPath" "/etc/sidemint" "readOnly" true) -}}
{{- end -}}
{{- if or $v.existingSecret $v.hmac.existingSecret -}}
{{- $mounts = append $mounts (dict "name" "sidemint-secrets" "mountPath" "/var/run/secrets/sidemint" "readOnly" true) -}}
{{- end -}}
{{- if $v.callerToken.existingSecret -}}
{{- $mounts = append $mounts (dict "name" "sidemint-caller" "mountPath" "/var/run/secrets/sidemint-caller" "readOnly" true) -}}
{{- end -}}
{{- range $v.extraSecrets -}}
{{- $mounts = append $mounts (dict "name" (printf "sidemint-secret-%s" .name) "mountPath" .mountPath "readOnly" true) -}}
{{- end -}}
{{- if $v.federation.databricks.enabled -}}
{{- $mounts = append $mounts (dict "name" "sidemint-token-databricks" "mountPath" "/var/run/secrets/tokens" "readOnly" true) -}}
{{- end -}}
{{- if $v.federation.entra.enabled -}}
{{- $mounts = append $mounts (dict "name" "sidemint-token-entra" "mountPath" "/var/run/secrets/azure/tokens" "readOnly" true) -}}
{{- end -}}
{{- if $v.socket.enabled -}}
{{- $mounts = append $mounts (dict "name" "sidemint-socket" "mountPath" (dir $v.socket.path)) -}}
{{- end -}}
{{- if include "sidemint.hidesApiToken" . -}}
{{- $mounts = append $mounts (dict "name" "sidemint-no-api-token" "mountPath" "/var/run/secrets/kubernetes.io/serviceaccount" "readOnly" true) -}}
{{- end -}}
{{- with $mounts -}}
{{- toYaml . -}}
{{- end -}}
{{- with $v.extraVolumeMounts }}
{{ tpl (toYaml .) $ }}
{{- end -}}
{{- end -}}
