{{/* Where the config comes from: existing (a ConfigMap of the user's), values, or environment (variables alone). */}}
{{- define "sidemint.configSource" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- if $v.existingConfigMap -}}
existing
{{- else if $v.config.upstreams -}}
values
{{- else -}}
environment
{{- end -}}
{{- end -}}

{{/*
The config file: `config` as it is, and what follows from other values. Where it listens is not in it: the container's
variables say that, so that it holds for a ConfigMap of the user's, too.
*/}}
{{- define "sidemint.config" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- $config := $v.config -}}
{{- $server := $config.server | default dict -}}
{{- $viewers := $config.viewers | default dict -}}
{{- if $v.callerToken.existingSecret -}}
{{- $_ := set $server "caller_token_file" (include "sidemint.callerTokenFile" .) -}}
{{- end -}}
{{- if and $v.hmac.existingSecret (not $viewers.hmac_key_env) -}}
{{- $_ := set $viewers "hmac_key_file" ($viewers.hmac_key_file | default "/var/run/secrets/sidemint/hmac") -}}
{{- end -}}
{{- if and $v.socket.enabled $v.socket.peerUids -}}
{{- $_ := set $server "unix_socket" (mergeOverwrite ($server.unix_socket | default dict) (dict "peer_uids" $v.socket.peerUids)) -}}
{{- end -}}
{{- if eq (include "sidemint.mode" .) "gateway" -}}
{{- $server = mergeOverwrite $server (include "sidemint.gateway.server" . | fromYaml) -}}
{{- end -}}
{{- if $server -}}{{- $_ := set $config "server" $server -}}{{- end -}}
{{- if $viewers -}}{{- $_ := set $config "viewers" $viewers -}}{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "sidemint.callerTokenFile" -}}
/var/run/secrets/sidemint-caller/token
{{- end -}}

{{/* Whether the admin port is on loopback: only the binary itself can then ask it. */}}
{{- define "sidemint.adminIsLocal" -}}
{{- $host := (include "sidemint.values" . | fromJson).admin.host -}}
{{- if or (hasPrefix "127." $host) (eq $host "[::1]") (eq $host "localhost") -}}true{{- end -}}
{{- end -}}

{{/* Where a process of the same pod finds the admin port: on all addresses it is on loopback, too. */}}
{{- define "sidemint.adminFromPod" -}}
{{- $admin := (include "sidemint.values" . | fromJson).admin -}}
{{- printf "%s:%d" (get (dict "0.0.0.0" "127.0.0.1" "[::]" "[::1]") $admin.host | default $admin.host) (int $admin.port) -}}
{{- end -}}

{{/* Bytes of memory that a cache of so many bytes needs. */}}
{{- define "sidemint.memoryNeeded" -}}
{{- add (mul 24 1048576) (div (mul . 3) 2) -}}
{{- end -}}

{{/* Sentences about values that no schema can judge. */}}
{{- define "sidemint.check" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- $config := $v.config -}}
{{- $server := $config.server | default dict -}}
{{- $admin := $config.admin | default dict -}}
{{- $source := include "sidemint.configSource" . -}}
{{- if and $v.existingConfigMap $config -}}
{{- fail "config and existingConfigMap are both set: the one would be ignored; give one of them" -}}
{{- end -}}
{{- if and $v.existingConfigMap (or $v.hmac.existingSecret $v.socket.peerUids) -}}
{{- fail "hmac and socket.peerUids become part of the config file, and with existingConfigMap that is yours: write viewers.hmac_key_file (mount it by existingSecret or extraSecrets) and server.unix_socket.peer_uids there" -}}
{{- end -}}
{{- /* The chart itself in mode sidecar runs nothing, and may be there for the alerts alone. */ -}}
{{- $runs := ne (include "sidemint.mode" .) "sidecar" -}}
{{- if and (eq $source "environment") (or $config (and $runs (not (or $v.extraEnv $v.extraEnvFrom)))) -}}
{{- fail "there is nothing to run: set config.upstreams, or existingConfigMap, or leave config empty and give the variables (DATABRICKS_HOST and so on) by extraEnv or extraEnvFrom" -}}
{{- end -}}
{{- if and (eq $source "environment") (or $v.callerToken.existingSecret $v.hmac.existingSecret $v.socket.peerUids) -}}
{{- fail "callerToken, hmac and socket.peerUids become part of the config file, and without config.upstreams there is none" -}}
{{- end -}}
{{- if hasKey $server "listen" -}}
{{- fail "config.server.listen is not used here: ports.api and socket say where it listens" -}}
{{- end -}}
{{- if hasKey $admin "listen" -}}
{{- fail "config.admin.listen is not used here: admin.host and admin.port say where it listens" -}}
{{- end -}}
{{- if and $v.callerToken.existingSecret (or $server.caller_token_file $server.caller_token_env) -}}
{{- fail "callerToken.existingSecret and config.server.caller_token_file are both set: give one of them" -}}
{{- end -}}
{{- if eq (int $v.ports.api) (int $v.admin.port) -}}
{{- fail (printf "ports.api and admin.port are both %d: give them different numbers" (int $v.admin.port)) -}}
{{- end -}}
{{- if and $v.federation.databricks.enabled (not $v.federation.databricks.audience) -}}
{{- fail "federation.databricks.audience is not set: give the audience of the service principal's federation policy, by default the Databricks account id" -}}
{{- end -}}
{{- if and $v.podMonitor.enabled (eq (include "sidemint.adminIsLocal" .) "true") -}}
{{- fail (printf "podMonitor.enabled, and admin.host %s: Prometheus cannot reach it there" $v.admin.host) -}}
{{- end -}}
{{- include "sidemint.checkMemory" . -}}
{{- end -}}

{{- define "sidemint.checkMemory" -}}
{{- $v := include "sidemint.values" . | fromJson -}}
{{- $limit := get (get $v.resources "limits" | default dict) "memory" -}}
{{- if and $limit (not $v.existingConfigMap) -}}
{{- $size := get (get $v.config "cache" | default dict) "max_size" | default "64MiB" -}}
{{- $needed := include "sidemint.memoryNeeded" (include "sidemint.bytes" $size) -}}
{{- $given := include "sidemint.bytes" $limit -}}
{{- if and (ne $given "0") (lt (int64 $given) (int64 $needed)) -}}
{{- fail (printf "resources.limits.memory is %v, and a cache of %s needs %dMi: raise the limit or lower config.cache.max_size" $limit $size (div (add (int64 $needed) 1048575) 1048576)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
