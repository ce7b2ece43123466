{{- /* Names and labels. Every helper says what it takes: a dict, or a list in this order. */ -}}

{{- /* root → what the names of its objects start with, made as `helm create` does. */ -}}
{{- define "taskflow.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- end -}}

{{- /* (root suffix) → the name of an object, within the 63 characters of a DNS label. */ -}}
{{- define "taskflow.name" -}}
{{- $suffix := index . 1 -}}
{{- $room := sub 62 (len $suffix) | int -}}
{{- printf "%s-%s" (include "taskflow.fullname" (index . 0) | trunc $room | trimSuffix "-") $suffix -}}
{{- end -}}

{{- /* root → the labels that all pods of this release share. */ -}}
{{- define "taskflow.release" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- /* (root component) → the labels that select a component's pods; they must never change. */ -}}
{{- define "taskflow.selector" -}}
{{ include "taskflow.release" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 | quote }}
{{- end -}}

{{- /* (root component) → all labels of an object. */ -}}
{{- define "taskflow.labels" -}}
{{- $root := index . 0 -}}
{{- $own := include "taskflow.selector" . | fromYaml -}}
{{- $about := dict
  "app.kubernetes.io/part-of" (index $own "app.kubernetes.io/name")
  "app.kubernetes.io/version" ($root.Chart.AppVersion | replace "+" "_")
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
-}}
{{- merge $own $about $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{- /* (dict root component [name] [labels] [annotations]) → an object's metadata; `name` if the component's will not do. */ -}}
{{- define "taskflow.metadata" -}}
name: {{ include "taskflow.name" (list .root (default .component .name)) }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- merge (include "taskflow.labels" (list .root .component) | fromYaml) (default dict .labels) | toYaml | nindent 2 }}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
