{{- /* root → JSON of the enabled containers: each entry over `defaults`, completed and checked. */ -}}
{{- define "taskflow.containers" -}}
  {{- $all := dict -}}
  {{- range $name, $own := .Values.containers -}}
    {{- $c := mergeOverwrite (deepCopy $.Values.defaults) (deepCopy $own) -}}
    {{- if $c.enabled -}}
      {{- $_ := set $all $name $c -}}
    {{- end -}}
  {{- end -}}
  {{- $public := list -}}
  {{- $measured := list -}}
  {{- range $name, $c := $all -}}
    {{- if $c.public }}{{ $public = append $public $name }}{{ end -}}
    {{- if $c.metricsPath }}{{ $measured = append $measured $name }}{{ end -}}
    {{- $_ := set $c "name" (include "taskflow.name" (list $ $name)) -}}
    {{- $_ := set $c "secretName" (default $c.name $c.secret.existingSecret) -}}
    {{- include "taskflow.connect" (list $ $all $name) -}}
    {{- include "taskflow.check" (list $ $name $c) -}}
  {{- end -}}
  {{- if and (or .Values.httpRoute.enabled .Values.ingress.enabled) (not $public) -}}
    {{- fail "httpRoute and ingress lead to the public containers, and none is enabled: set containers.<name>.public" -}}
  {{- end -}}
  {{- if and .Values.serviceMonitor.enabled (not $measured) -}}
    {{- fail "serviceMonitor is enabled, but no container has metrics to scrape: set containers.<name>.metricsPath to yours" -}}
  {{- end -}}
  {{- toJson $all -}}
{{- end -}}

{{- /* (root containers name) → nothing; adds to this container its plain environment and whom it may call. */ -}}
{{- define "taskflow.connect" -}}
  {{- $root := index . 0 -}}
  {{- $all := index . 1 -}}
  {{- $name := index . 2 -}}
  {{- $c := index $all $name -}}
  {{- $computed := dict $c.drain.variable (toString $c.drain.seconds) -}}
  {{- with $c.peers -}}
    {{- $_ := set $computed . (printf "%s:%v" (include "taskflow.name" (list $root (printf "%s-peers" $name))) $c.port) -}}
  {{- end -}}
  {{- $calls := list -}}
  {{- range $variable, $target := $c.connects -}}
    {{- $port := 80 -}}
    {{- if hasKey $all $target -}}
      {{- $port = (index $all $target).port -}}
      {{- $calls = append $calls (dict "component" $target "port" $port) -}}
      {{- $_ := set $computed $variable (printf "http://%s:%v" (include "taskflow.name" (list $root $target)) $port) -}}
    {{- else if regexMatch "^https?://[^/]" $target -}}
      {{- $url := urlParse $target -}}
      {{- if regexMatch ":[0-9]+$" $url.host -}}
        {{- $port = regexFind "[0-9]+$" $url.host | int -}}
      {{- else if eq $url.scheme "https" -}}
        {{- $port = 443 -}}
      {{- end -}}
      {{- $calls = append $calls (dict "port" $port) -}}
      {{- $_ := set $computed $variable $target -}}
    {{- else -}}
      {{- fail (printf "containers.%s.connects.%s: %q is no enabled container and no http(s) URL; enable it, or give the URL" $name $variable $target) -}}
    {{- end -}}
  {{- end -}}
  {{- range $c.secret.mountedAsFile -}}
    {{- $_ := set $computed (printf "%s_FILE" .) (printf "%s/%s" (include "taskflow.secretFolder" $root) .) -}}
  {{- end -}}
  {{- range $variable, $value := $c.environment -}}
    {{- if or (hasKey $computed $variable) (has $variable (concat $c.secret.required $c.secret.optional)) -}}
      {{- fail (printf "containers.%s.environment.%s: it is set by drain, connects, peers or secret of this container; set it there" $name $variable) -}}
    {{- end -}}
    {{- $_ := set $computed $variable (kindIs "string" $value | ternary $value (toJson $value)) -}}
  {{- end -}}
  {{- $_ := set $c "environment" $computed -}}
  {{- $_ := set $c "calls" $calls -}}
{{- end -}}

{{- /* (root name container) → nothing; fails on what no schema can say, and says what to do. */ -}}
{{- define "taskflow.check" -}}
  {{- $root := index . 0 -}}
  {{- $c := index . 2 -}}
  {{- $at := printf "containers.%s" (index . 1) -}}
  {{- if eq (index . 1) "test" -}}
    {{- fail "containers.test: the test pods are called so; take another name" -}}
  {{- end -}}
  {{- $stop := add $c.preStopSleepSeconds $c.drain.seconds -}}
  {{- if lt (int $c.terminationGracePeriodSeconds) (int $stop) -}}
    {{- fail (printf "%s.terminationGracePeriodSeconds: %v is less than preStopSleepSeconds + drain.seconds = %v; the pod would be killed amid requests" $at $c.terminationGracePeriodSeconds $stop) -}}
  {{- end -}}
  {{- range $c.secret.mountedAsFile -}}
    {{- if not (has . $c.secret.required) -}}
      {{- fail (printf "%s.secret.mountedAsFile: %s is not in secret.required; only what must be there can be a file" $at .) -}}
    {{- end -}}
  {{- end -}}
  {{- if and $root.Values.externalSecret.enabled (not $c.secret.existingSecret) -}}
    {{- range $c.secret.required -}}
      {{- if not (hasKey $c.secret.remote .) -}}
        {{- fail (printf "%s.secret.remote.%s: externalSecret is enabled; say where the store keeps it: {key: …, property: …}" $at .) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- if and $c.migration.enabled (not $c.migration.command) -}}
    {{- fail (printf "%s.migration.command: migration is enabled; give the command, such as [alembic, upgrade, head]" $at) -}}
  {{- end -}}
  {{- if and $c.autoscaling.enabled (gt (int $c.autoscaling.minReplicas) (int $c.autoscaling.maxReplicas)) -}}
    {{- fail (printf "%s.autoscaling: minReplicas %v is more than maxReplicas %v" $at $c.autoscaling.minReplicas $c.autoscaling.maxReplicas) -}}
  {{- end -}}
{{- end -}}
