{{/* Of the gateway alone. */}}

{{/* Each file of templates begins with it: Helm renders them in an order of its own. */}}
{{- define "sidemint.checkOwnGroups" -}}
{{- $_ := include "sidemint.values" . -}}
{{- include "sidemint.checkGroups" (dict "values" .Values "groups" (list "prometheusRule" "dashboard" "tests" "gateway" "gateway.tls" "gateway.tls.clientCa" "gateway.tls.certManager" "gateway.service" "gateway.pdb" "gateway.autoscaling" "gateway.networkPolicy" "gateway.serviceMonitor") "keys" (list "mode" "tests.live" "gateway.listenHost" "gateway.clusterDomain" "gateway.autoscaling.enabled")) -}}
{{- end -}}

{{- define "sidemint.gateway.hosts" -}}
{{- $name := include "sidemint.fullname" . -}}
{{- $space := .Release.Namespace -}}
{{- $hosts := list $name (printf "%s.%s" $name $space) (printf "%s.%s.svc" $name $space) (printf "%s.%s.svc.%s" $name $space .Values.gateway.clusterDomain) -}}
{{- concat $hosts (.Values.gateway.extraHosts | default list) | uniq | toYaml -}}
{{- end -}}

{{- define "sidemint.gateway.tlsSecret" -}}
{{- $tls := .Values.gateway.tls -}}
{{- if $tls.existingSecret -}}
{{- $tls.existingSecret -}}
{{- else if $tls.certManager.enabled -}}
{{- include "sidemint.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{/* What the config's `server` gets: TLS, and the names of the Service beside those that the user gave. */}}
{{- define "sidemint.gateway.server" -}}
{{- $given := get .Values.config "server" | default dict -}}
{{- $server := dict "allowed_hosts" (concat ($given.allowed_hosts | default list) (include "sidemint.gateway.hosts" . | fromYamlArray) | uniq) -}}
{{- if include "sidemint.gateway.tlsSecret" . -}}
{{- $tls := dict "cert_file" "/var/run/secrets/sidemint-tls/tls.crt" "key_file" "/var/run/secrets/sidemint-tls/tls.key" -}}
{{- if .Values.gateway.tls.clientCa.existingSecret -}}
{{- $_ := set $tls "client_ca_file" "/var/run/secrets/sidemint-client-ca/ca.crt" -}}
{{- end -}}
{{- $_ := set $server "tls" $tls -}}
{{- end -}}
{{- toYaml $server -}}
{{- end -}}

{{- define "sidemint.gateway.isTls" -}}
{{- $given := get .Values.config "server" | default dict -}}
{{- if or (include "sidemint.gateway.tlsSecret" .) $given.tls -}}true{{- end -}}
{{- end -}}

{{- define "sidemint.gateway.port" -}}
{{- .Values.gateway.service.port | default (ternary 443 80 (eq (include "sidemint.gateway.isTls" .) "true")) | int -}}
{{- end -}}

{{- define "sidemint.gateway.replicas" -}}
{{- ternary .Values.gateway.autoscaling.minReplicas .Values.gateway.replicas .Values.gateway.autoscaling.enabled | int -}}
{{- end -}}

{{- define "sidemint.gateway.mounts" -}}
{{- if include "sidemint.gateway.tlsSecret" . }}
- name: sidemint-tls
  mountPath: /var/run/secrets/sidemint-tls
  readOnly: true
{{- if .Values.gateway.tls.clientCa.existingSecret }}
- name: sidemint-client-ca
  mountPath: /var/run/secrets/sidemint-client-ca
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{- define "sidemint.gateway.volumes" -}}
{{- with include "sidemint.gateway.tlsSecret" . }}
- name: sidemint-tls
  secret:
    secretName: {{ . | quote }}
{{- with $.Values.gateway.tls.clientCa }}
{{- if .existingSecret }}
- name: sidemint-client-ca
  secret:
    secretName: {{ .existingSecret | quote }}
    items:
      - key: {{ .key | quote }}
        path: ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sidemint.gateway.drain" -}}
{{- include "sidemint.seconds" (get (get .Values.config "server" | default dict) "drain_timeout" | default "10s") -}}
{{- end -}}

{{- define "sidemint.gateway.grace" -}}
{{- $least := add (int (include "sidemint.gateway.drain" .)) .Values.gateway.preStopSleepSeconds -}}
{{- $given := .Values.gateway.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{- max 30 (add $least 5) -}}
{{- else -}}
{{- if le (int $given) (int $least) -}}
{{- fail (printf "gateway.terminationGracePeriodSeconds is %d: it must be over the %d s of preStopSleepSeconds and config.server.drain_timeout, or the drain is cut off" (int $given) (int $least)) -}}
{{- end -}}
{{- int $given -}}
{{- end -}}
{{- end -}}

{{- define "sidemint.gateway.check" -}}
{{- $gateway := .Values.gateway -}}
{{- $server := get .Values.config "server" | default dict -}}
{{- $shown := or (include "sidemint.gateway.isTls" .) .Values.callerToken.existingSecret $server.caller_token_file $server.caller_token_env -}}
{{- if not (or $shown .Values.existingConfigMap) -}}
{{- fail "the gateway is reached over the network: set gateway.tls.existingSecret, gateway.tls.certManager or callerToken.existingSecret; the binary refuses to listen there without one of them" -}}
{{- end -}}
{{- $proven := or .Values.callerToken.existingSecret $server.caller_token_file $server.caller_token_env $gateway.tls.clientCa.existingSecret (get ($server.tls | default dict) "client_ca_file") (eq (get (get .Values.config "viewers" | default dict) "source" | default "" | toString) "jwt") -}}
{{- if not (or $proven $gateway.allowAnyCaller .Values.existingConfigMap) -}}
{{- fail "nothing proves who the gateway's callers are, and whoever reaches it could have a token for any viewer: set callerToken.existingSecret, gateway.tls.clientCa.existingSecret or config.viewers.source: jwt, or gateway.allowAnyCaller if that is meant" -}}
{{- end -}}
{{- if get (get .Values.config "admin" | default dict) "quit" -}}
{{- fail "config.admin.quit is for the sidecar of a Job: a gateway is stopped by Kubernetes, and by no caller" -}}
{{- end -}}
{{- if .Values.socket.enabled -}}
{{- fail "socket.enabled is for sidecars: nobody outside the pod reaches a gateway's socket" -}}
{{- end -}}
{{- if eq (include "sidemint.adminIsLocal" .) "true" -}}
{{- fail (printf "admin.host is %s: the gateway's readiness probe calls the pod's address" .Values.admin.host) -}}
{{- end -}}
{{- if and $gateway.tls.existingSecret $gateway.tls.certManager.enabled -}}
{{- fail "gateway.tls.existingSecret and gateway.tls.certManager.enabled are both set: give one of them" -}}
{{- end -}}
{{- if and $gateway.tls.certManager.enabled (not $gateway.tls.certManager.issuerRef.name) -}}
{{- fail "gateway.tls.certManager.issuerRef.name is not set: name the issuer" -}}
{{- end -}}
{{- if and (include "sidemint.gateway.tlsSecret" .) $server.tls -}}
{{- fail "gateway.tls and config.server.tls are both set: give one of them" -}}
{{- end -}}
{{- if and $gateway.tls.clientCa.existingSecret (not (include "sidemint.gateway.tlsSecret" .)) -}}
{{- fail "gateway.tls.clientCa needs gateway.tls.existingSecret or gateway.tls.certManager" -}}
{{- end -}}
{{- if and $gateway.pdb.enabled (eq (kindIs "invalid" $gateway.pdb.minAvailable) (kindIs "invalid" $gateway.pdb.maxUnavailable)) -}}
{{- fail "gateway.pdb: set exactly one of minAvailable and maxUnavailable, and the other one to null" -}}
{{- end -}}
{{- $replicas := include "sidemint.gateway.replicas" . | int -}}
{{- if and $gateway.pdb.enabled (gt $replicas 1) -}}
{{- $kept := $gateway.pdb.minAvailable -}}
{{- if or (eq (toString $gateway.pdb.maxUnavailable) "0") (eq (toString $gateway.pdb.maxUnavailable) "0%") (eq (toString $kept) "100%") (and (not (kindIs "invalid" $kept)) (not (kindIs "string" $kept)) (ge (int $kept) $replicas)) -}}
{{- fail (printf "gateway.pdb lets none of %d replicas go, so no node could be drained: lower minAvailable, or raise maxUnavailable" $replicas) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled $gateway.serviceMonitor.enabled -}}
{{- fail "podMonitor.enabled and gateway.serviceMonitor.enabled are both set: each pod would be scraped and counted twice; set one of them" -}}
{{- end -}}
{{- if and $gateway.networkPolicy.enabled (or .Values.podMonitor.enabled $gateway.serviceMonitor.enabled) (not $gateway.networkPolicy.metricsFrom) -}}
{{- fail "gateway.networkPolicy.metricsFrom is empty, and so Prometheus could not scrape what the monitor names: say where it is" -}}
{{- end -}}
{{- if and $gateway.autoscaling.enabled (not (get (get .Values.resources "requests" | default dict) "cpu")) -}}
{{- fail "gateway.autoscaling counts in percent of resources.requests.cpu, and that is not set" -}}
{{- end -}}
{{- if and $gateway.autoscaling.enabled (gt (int $gateway.autoscaling.minReplicas) (int $gateway.autoscaling.maxReplicas)) -}}
{{- fail "gateway.autoscaling: minReplicas is above maxReplicas" -}}
{{- end -}}
{{- end -}}
