{{/*
The objects beside the pod, for one file of the chart: {{ include "sidemint.manifests" . }}
Alert rules and the dashboard are files of the chart `sidemint`, out of a library's reach: install that one once in a
cluster (mode: sidecar) for these.
*/}}
{{- define "sidemint.manifests" -}}
{{- include "sidemint.check" . -}}
{{- $objects := list -}}
{{- range list "configMap" "serviceAccount" "podMonitor" -}}
{{- $objects = append $objects (include (printf "sidemint.%s" .) $) -}}
{{- end -}}
{{- compact $objects | join "\n---\n" -}}
{{- end -}}

{{- define "sidemint.metadata" -}}
name: {{ include "sidemint.fullname" . | quote }}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "sidemint.labels" . | nindent 2 }}
{{- end -}}

{{- define "sidemint.configMap" -}}
{{- if eq (include "sidemint.configSource" .) "values" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "sidemint.metadata" . | nindent 2 }}
data:
  config.yaml: |
    {{- include "sidemint.config" . | nindent 4 }}
{{- end -}}
{{- end -}}

{{- define "sidemint.serviceAccount" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- if $v.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "sidemint.serviceAccountName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
  labels:
    {{- include "sidemint.labels" . | nindent 4 }}
    {{- with $v.serviceAccount.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $v.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: {{ $v.serviceAccount.automount }}
{{- end -}}
{{- end -}}

{{- define "sidemint.podMonitor" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- $monitor := $v.podMonitor -}}
{{- if $monitor.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "sidemint.metadata" . | nindent 2 }}
    {{- with $monitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $monitor.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  selector:
    {{- if $monitor.selector }}
    {{- toYaml $monitor.selector | nindent 4 }}
    {{- else if eq (include "sidemint.mode" .) "gateway" }}
    matchLabels:
      {{- include "sidemint.selectorLabels" . | nindent 6 }}
      app.kubernetes.io/component: gateway
    {{- else if eq (include "sidemint.mode" .) "sidecar" }}
    matchExpressions:
      - key: sidemint/sidecar
        operator: Exists
    {{- else }}
    matchLabels:
      {{- include "sidemint.podLabels" . | nindent 6 }}
    {{- end }}
  {{- with $monitor.namespaceSelector }}
  namespaceSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  podMetricsEndpoints:
    - port: sidemint-admin
      path: /metrics
      {{- include "sidemint.scrape" $monitor | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* How often, and what becomes of labels: the same in both kinds of monitors. */}}
{{- define "sidemint.scrape" -}}
interval: {{ .interval }}
scrapeTimeout: {{ .scrapeTimeout }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
