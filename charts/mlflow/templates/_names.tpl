{{/* Every name and label of the chart. No template writes one by hand. */}}

{{- define "mlflow.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters: the longest suffix, `-postgresql-<10 characters of a StatefulSet revision>`, must fit into a label. */}}
{{- define "mlflow.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "mlflow.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "mlflow.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mlflow.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mlflow.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "mlflow.scripts.name" -}}{{ include "mlflow.fullname" . }}-scripts{{- end -}}
{{- define "mlflow.postgresql.name" -}}{{ include "mlflow.fullname" . }}-postgresql{{- end -}}
{{/* Never plain `s3`: a Service of that name puts S3_PORT into the environment of pods, which SeaweedFS takes for a flag. */}}
{{- define "mlflow.s3.name" -}}{{ include "mlflow.fullname" . }}-s3{{- end -}}
{{- define "mlflow.generatedSecret.name" -}}{{ include "mlflow.fullname" . }}-embedded{{- end -}}
{{- define "mlflow.secretMaker.name" -}}{{ include "mlflow.fullname" . }}-make-secret{{- end -}}
{{- define "mlflow.smokeTest.name" -}}{{ include "mlflow.fullname" . }}-test{{- end -}}

{{/*
Named by its own content: a Job cannot be edited, so one with another image, database or script is another Job, and one
that would do the same stays the one that has already run.
*/}}
{{- define "mlflow.migration.name" -}}
{{ include "mlflow.fullname" . }}-migrate-{{ include "mlflow.migration.spec" . | sha256sum | trunc 8 }}
{{- end -}}

{{- define "mlflow.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{/* Usage: include "mlflow.selectorLabels" (list . "server") */}}
{{- define "mlflow.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "mlflow.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Usage: include "mlflow.labels" (list . "server") */}}
{{- define "mlflow.labels" -}}
{{- $root := index . 0 -}}
{{ include "mlflow.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: modelvane
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}
