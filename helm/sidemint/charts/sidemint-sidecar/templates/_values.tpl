{{/*
All values, as JSON: they are read many times, and so it is faster than YAML. The chart sidemint has them at the top; a
chart that depends on this library has them under the dependency's alias `sidemint`, or under its name. The name goes first: where
a chart depends on both, `sidemint` has those of the chart sidemint.
*/}}
{{- define "sidemint.values" -}}
{{- $found := dict -}}
{{- if eq (include "sidemint.isOwnChart" .) "true" -}}
{{- $found = .Values -}}
{{- else if and (hasKey (get .Values "sidemint-sidecar" | default dict) "podMonitor") (hasKey (get .Values "sidemint" | default (dict "mode" "")) "mode") -}}
{{- $found = get .Values "sidemint-sidecar" -}}
{{- else if kindIs "map" (get .Values "sidemint") -}}
{{- $found = get .Values "sidemint" -}}
{{- else if kindIs "map" (get .Values "sidemint-sidecar") -}}
{{- $found = get .Values "sidemint-sidecar" -}}
{{- else -}}
{{- fail (printf "chart %s has no values for Sidemint: call its templates with the chart's own context (.), and list the dependency sidemint-sidecar in Chart.yaml, with `alias: sidemint` or under its own name" .Chart.Name) -}}
{{- end -}}
{{- /* A single one is missing where it was set to null. */ -}}
{{- if lt (len (pick $found "image" "sidecar" "admin" "probes" "podMonitor")) 4 -}}
{{- fail (printf "chart %s: the values for Sidemint lack their defaults: give the dependency sidemint-sidecar `alias: sidemint`, or put the values under `sidemint-sidecar`" .Chart.Name) -}}
{{- end -}}
{{- include "sidemint.checkGroups" (dict "values" $found "groups" (list "image" "sidecar" "config" "hmac" "callerToken" "federation" "federation.databricks" "federation.entra" "serviceAccount" "ports" "admin" "socket" "probes" "probes.startup" "probes.liveness" "probes.readiness" "resources" "securityContext" "podSecurityContext" "podMonitor") "keys" (list "admin.host")) -}}
{{- toJson $found -}}
{{- end -}}

{{/* A group that was set to null takes its defaults with it, and what reads it fails with words that say nothing. */}}
{{- define "sidemint.checkGroups" -}}
{{- $values := .values -}}
{{- range .groups -}}
{{- $found := $values -}}
{{- range splitList "." . -}}{{- $found = get $found . -}}{{- end -}}
{{- if not (kindIs "map" $found) -}}
{{- fail (printf "%s is null: leave it out for the defaults, or set single keys of it" .) -}}
{{- end -}}
{{- end -}}
{{- range .keys -}}
{{- $found := $values -}}
{{- range splitList "." . -}}{{- $found = get $found . -}}{{- end -}}
{{- if or (kindIs "invalid" $found) (eq (toString $found) "") -}}
{{- fail (printf "%s is null: leave it out for the default" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Said by an annotation: the name is the alias where the chart is a dependency. */}}
{{- define "sidemint.isOwnChart" -}}
{{- with .Chart.Annotations -}}{{- index . "sidemint/values-at-top" -}}{{- end -}}
{{- end -}}

{{- define "sidemint.mode" -}}
{{- if eq (include "sidemint.isOwnChart" .) "true" -}}{{ .Values.mode }}{{- else -}}library{{- end -}}
{{- end -}}

{{/* native, plain or gateway. */}}
{{- define "sidemint.form" -}}
{{- $native := (include "sidemint.values" . | fromJson).sidecar.native | toString -}}
{{- $able := semverCompare ">=1.29-0" .Capabilities.KubeVersion.Version -}}
{{- if eq (include "sidemint.mode" .) "gateway" -}}
gateway
{{- else if eq $native "auto" -}}
{{- ternary "native" "plain" $able -}}
{{- else if eq $native "true" -}}
{{- if not $able -}}
{{- fail (printf "sidecar.native is true, and Kubernetes %s has no native sidecars: they came with 1.29; set it to auto or false" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
native
{{- else -}}
plain
{{- end -}}
{{- end -}}

{{/* Seconds, rounded up, of a duration of the config such as 1h30m or 250ms. */}}
{{- define "sidemint.seconds" -}}
{{- $millis := 0 -}}
{{- $units := dict "h" 3600000 "m" 60000 "s" 1000 "ms" 1 -}}
{{- range regexFindAll "[0-9]+(h|ms|m|s)" (toString .) -1 -}}
{{- $millis = add $millis (mul (int64 (regexFind "^[0-9]+" .)) (get $units (regexFind "[a-z]+$" .))) -}}
{{- end -}}
{{- div (add $millis 999) 1000 -}}
{{- end -}}

{{/* Bytes of a size of the config (64MiB) or a quantity of Kubernetes (128Mi); 0 where it is neither. */}}
{{- define "sidemint.bytes" -}}
{{- $text := ternary (printf "%.0f" (. | toString | float64)) (toString .) (kindIs "float64" .) -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" $text -}}
{{- $units := dict "" 1 "B" 1 "k" 1000 "Ki" 1024 "KiB" 1024 "M" 1000000 "Mi" 1048576 "MiB" 1048576 "G" 1000000000 "Gi" 1073741824 "GiB" 1073741824 -}}
{{- mulf (float64 $number) (float64 (get $units (trimPrefix $number $text) | default 0)) | int64 -}}
{{- end -}}
