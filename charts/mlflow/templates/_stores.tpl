{{/* Where the two stores are, and the environment by which a process reaches them. */}}

{{- define "mlflow.database.secretName" -}}
{{- if or .Values.database.existingSecret .Values.existingSecret -}}
{{- default .Values.existingSecret .Values.database.existingSecret -}}
{{- else if .Values.embedded.postgresql.enabled -}}
{{- include "mlflow.generatedSecret.name" . -}}
{{- end -}}
{{- end -}}

{{- define "mlflow.artifacts.secretName" -}}
{{- if or .Values.artifacts.existingSecret .Values.existingSecret -}}
{{- default .Values.existingSecret .Values.artifacts.existingSecret -}}
{{- else if .Values.embedded.s3.enabled -}}
{{- include "mlflow.generatedSecret.name" . -}}
{{- end -}}
{{- end -}}

{{/* "true" if a store runs embedded and nobody named a Secret for it. */}}
{{- define "mlflow.generatesSecret" -}}
{{- $name := include "mlflow.generatedSecret.name" . -}}
{{- if or (eq $name (include "mlflow.database.secretName" .)) (eq $name (include "mlflow.artifacts.secretName" .)) -}}true{{- end -}}
{{- end -}}

{{- define "mlflow.artifacts.endpointUrl" -}}
{{- if .Values.embedded.s3.enabled -}}
http://{{ include "mlflow.s3.name" . }}:8333
{{- else -}}
{{- .Values.artifacts.endpointUrl -}}
{{- end -}}
{{- end -}}

{{/*
libpq's own variables: user and password stay out of URIs, so they may hold any character and appear in no argument,
log line or error message. The URI given to MLflow is just `postgresql+psycopg2://`.
*/}}
{{- define "mlflow.database.env" -}}
- name: PGHOST
  value: {{ .Values.embedded.postgresql.enabled | ternary (include "mlflow.postgresql.name" .) .Values.database.host | quote }}
- name: PGPORT
  value: {{ .Values.embedded.postgresql.enabled | ternary 5432 .Values.database.port | quote }}
- name: PGDATABASE
  value: {{ .Values.database.name | quote }}
- name: PGSSLMODE
  value: {{ .Values.database.sslMode }}
- name: PGCONNECT_TIMEOUT
  value: "5"
- name: PGAPPNAME
  value: {{ include "mlflow.fullname" . }}
- name: PGUSER
  valueFrom:
    secretKeyRef:
      name: {{ include "mlflow.database.secretName" . }}
      key: {{ .Values.database.userKey }}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "mlflow.database.secretName" . }}
      key: {{ .Values.database.passwordKey }}
{{- end -}}

{{- define "mlflow.artifacts.keysEnv" -}}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ include "mlflow.artifacts.secretName" . }}
      key: {{ .Values.artifacts.accessKeyIdKey }}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "mlflow.artifacts.secretName" . }}
      key: {{ .Values.artifacts.secretAccessKeyKey }}
{{- end -}}

{{- define "mlflow.artifacts.env" -}}
{{ include "mlflow.artifacts.keysEnv" . }}
- name: MLFLOW_ARTIFACTS_DESTINATION
  {{- if .Values.artifacts.root }}
  value: {{ .Values.artifacts.root | quote }}
  {{- else }}
  valueFrom:
    secretKeyRef:
      name: {{ include "mlflow.artifacts.secretName" . }}
      key: {{ .Values.artifacts.rootKey }}
  {{- end }}
{{- end -}}
