{{- /* What every pod has, whether it serves, migrates or tests. */ -}}

{{- /* (root container) → fields of a pod's spec. */ -}}
{{- define "taskflow.pod" -}}
{{- $root := index . 0 -}}
{{- $c := index . 1 -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ int $c.runAsUser }}
  runAsGroup: {{ int $c.runAsGroup }}
  fsGroup: {{ int $c.runAsGroup }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with index $c $key }}
{{ toYaml (dict $key .) }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* (root container) → fields of a container: image, security, resources. */ -}}
{{- define "taskflow.container" -}}
{{- $root := index . 0 -}}
{{- $c := index . 1 -}}
image: {{ include "taskflow.image" . | quote }}
imagePullPolicy: {{ $c.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
terminationMessagePolicy: FallbackToLogsOnError
resources:
  {{- toYaml $c.resources | nindent 2 }}
{{- end -}}

{{- /* (root container) → the image's reference; a digest wins over a tag, the global registry over the image's. */ -}}
{{- define "taskflow.image" -}}
{{- $root := index . 0 -}}
{{- $image := (index . 1).image -}}
{{- $registry := default $image.registry $root.Values.global.imageRegistry -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{- /* container → its secret variables, and the extra ones. */ -}}
{{- define "taskflow.env" -}}
{{- $c := . -}}
{{- range concat .secret.required .secret.optional }}
{{- if not (has . $c.secret.mountedAsFile) }}
- name: {{ . | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ $c.secretName | quote }}
      key: {{ . | quote }}
      {{- if has . $c.secret.optional }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}
{{- with .extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* path → what is called after it: the volume of a folder, the container that asks a URL. */ -}}
{{- define "taskflow.pathName" -}}
{{- regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trunc 63 | trimAll "-" | default "root" -}}
{{- end -}}

{{- /* Where the files of the Secret are. */ -}}
{{- define "taskflow.secretFolder" -}}
/run/secrets/app
{{- end -}}

{{- /* container → `volumes`: the declared ones with their limits, nothing else can be written to. */ -}}
{{- define "taskflow.volumes" -}}
{{- range concat (list (dict "path" "/tmp" "size" .tmpSize)) .volumes }}
- name: {{ include "taskflow.pathName" .path | quote }}
  {{- if .existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .existingClaim | quote }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .size }}
  {{- end }}
{{- end }}
{{- if .secret.mountedAsFile }}
- name: secret-files
  secret:
    secretName: {{ .secretName | quote }}
    defaultMode: 0440
    items:
      {{- range .secret.mountedAsFile }}
      - {key: {{ . | quote }}, path: {{ . | quote }}}
      {{- end }}
{{- end }}
{{- with .extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* container → `volumeMounts` of the same. */ -}}
{{- define "taskflow.volumeMounts" -}}
{{- range concat (list (dict "path" "/tmp")) .volumes }}
- name: {{ include "taskflow.pathName" .path | quote }}
  mountPath: {{ .path | quote }}
{{- end }}
{{- if .secret.mountedAsFile }}
- name: secret-files
  mountPath: {{ include "taskflow.secretFolder" . }}
  readOnly: true
{{- end }}
{{- with .extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
