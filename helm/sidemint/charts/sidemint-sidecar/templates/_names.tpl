{{/* The version that these templates go with. A chart's own appVersion would be that of somebody else's app. */}}
{{- define "sidemint.version" -}}
0.1.0
{{- end -}}

{{- define "sidemint.fullname" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- if $v.fullnameOverride -}}
{{- $v.fullnameOverride | trunc 57 | trimSuffix "-" -}}
{{- else if eq (include "sidemint.mode" .) "library" -}}
{{- /* Two charts of one release may have a sidecar each. */ -}}
{{- $chart := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- printf "%s-%s" ($chart | trunc 48 | trimSuffix "-") ($v.nameOverride | default "sidemint") | trunc 57 | trimSuffix "-" -}}
{{- else -}}
{{- $name := $v.nameOverride | default .Chart.Name -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 57 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sidemint.name" -}}
{{- (include "sidemint.values" . | fromJson).nameOverride | default "sidemint" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "sidemint.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sidemint.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "sidemint.labels" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{ include "sidemint.selectorLabels" . }}
app.kubernetes.io/version: {{ include "sidemint.version" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- with $v.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sidemint.configMapName" -}}
{{- (include "sidemint.values" . | fromJson).existingConfigMap | default (include "sidemint.fullname" .) -}}
{{- end -}}

{{/* The service account of the pod: nothing where it is not ours to say. */}}
{{- define "sidemint.serviceAccountName" -}}
{{- $account := (include "sidemint.values" . | fromJson).serviceAccount -}}
{{- if $account.name -}}
{{- $account.name -}}
{{- else if $account.create -}}
{{- include "sidemint.fullname" . -}}
{{- end -}}
{{- end -}}

{{- define "sidemint.image" -}}
{{- $image := (include "sidemint.values" . | fromJson).image -}}
{{- if not $image.repository -}}
{{- fail "image.repository is not set: no image is published; build one with scripts/image, push it to your registry, and name it here" -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default (include "sidemint.version" .)) -}}
{{- end -}}
{{- end -}}
