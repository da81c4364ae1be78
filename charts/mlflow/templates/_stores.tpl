{{/* Where the two stores are, and the environment and the files by which a process reaches them. */}}

{{- define "mlflow.database.secretName" -}}
{{- if .Values.database.cloudNativePG -}}
{{- .Values.database.cloudNativePG }}-app
{{- else if or .Values.database.existingSecret .Values.existingSecret -}}
{{- default .Values.existingSecret .Values.database.existingSecret -}}
{{- else if .Values.embedded.postgresql.enabled -}}
{{- include "mlflow.generatedSecret.name" . -}}
{{- end -}}
{{- end -}}

{{- define "mlflow.database.caSecret" -}}
{{- if .Values.database.cloudNativePG -}}
{{- .Values.database.cloudNativePG }}-ca
{{- else -}}
{{- .Values.database.caSecret -}}
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

{{/* Usage: include "mlflow.secretEnv" (list "PGUSER" $secret "username") */}}
{{- define "mlflow.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end -}}

{{/*
libpq's own variables: user and password stay out of URIs, so they may hold any character and appear in no argument,
log line or error message. The URI given to MLflow is just `postgresql+psycopg2://`, unless the user has only a URI.
*/}}
{{- define "mlflow.database.env" -}}
{{- $secret := include "mlflow.database.secretName" . -}}
{{- $database := .Values.database -}}
{{- if $database.cloudNativePG }}
{{ include "mlflow.secretEnv" (list "PGHOST" $secret "host") }}
{{ include "mlflow.secretEnv" (list "PGPORT" $secret "port") }}
{{ include "mlflow.secretEnv" (list "PGDATABASE" $secret "dbname") }}
{{ include "mlflow.secretEnv" (list "PGUSER" $secret "username") }}
{{ include "mlflow.secretEnv" (list "PGPASSWORD" $secret "password") }}
{{- else if $database.uriKey }}
{{ include "mlflow.secretEnv" (list "MLFLOW_BACKEND_STORE_URI" $secret $database.uriKey) }}
{{- else }}
- name: PGHOST
  value: {{ .Values.embedded.postgresql.enabled | ternary (include "mlflow.postgresql.name" .) $database.host | quote }}
- name: PGPORT
  value: {{ .Values.embedded.postgresql.enabled | ternary 5432 $database.port | quote }}
- name: PGDATABASE
  value: {{ $database.name | quote }}
{{ include "mlflow.secretEnv" (list "PGUSER" $secret $database.userKey) }}
{{ include "mlflow.secretEnv" (list "PGPASSWORD" $secret $database.passwordKey) }}
{{- end }}
- name: PGSSLMODE
  value: {{ default (include "mlflow.database.caSecret" . | empty | ternary "prefer" "verify-full") $database.sslMode }}
{{- if include "mlflow.database.caSecret" . }}
- name: PGSSLROOTCERT
  value: /database-ca/ca.crt
{{- end }}
- name: PGCONNECT_TIMEOUT
  value: "5"
- name: PGAPPNAME
  value: {{ include "mlflow.fullname" . }}
{{- end -}}

{{- define "mlflow.artifacts.keysEnv" -}}
{{- $secret := include "mlflow.artifacts.secretName" . -}}
{{ include "mlflow.secretEnv" (list "AWS_ACCESS_KEY_ID" $secret .Values.artifacts.accessKeyIdKey) }}
{{ include "mlflow.secretEnv" (list "AWS_SECRET_ACCESS_KEY" $secret .Values.artifacts.secretAccessKeyKey) }}
{{- end -}}

{{/* The server passes artifacts on to the root, or gives it to clients as the place for those of new experiments. */}}
{{- define "mlflow.artifacts.env" -}}
{{- if not .Values.artifacts.workloadIdentity }}
{{ include "mlflow.artifacts.keysEnv" . }}
{{- end }}
{{- $variable := .Values.artifacts.direct | ternary "MLFLOW_DEFAULT_ARTIFACT_ROOT" "MLFLOW_ARTIFACTS_DESTINATION" }}
{{- if .Values.artifacts.root }}
- name: {{ $variable }}
  value: {{ .Values.artifacts.root | quote }}
{{- else }}
{{ include "mlflow.secretEnv" (list $variable (include "mlflow.artifacts.secretName" .) .Values.artifacts.rootKey) }}
{{- end }}
{{- if .Values.artifacts.caSecret }}
- name: AWS_CA_BUNDLE
  value: /artifacts-ca/ca.crt
{{- end }}
{{- end -}}

{{/* Certificates of CAs, for the pods that need them. Usage: include "mlflow.caVolume" (list "database-ca" $secret $key) */}}
{{- define "mlflow.caVolume" -}}
- name: {{ index . 0 }}
  secret:
    secretName: {{ index . 1 }}
    items:
      - {key: {{ index . 2 }}, path: ca.crt}
{{- end -}}

{{- define "mlflow.database.volumes" -}}
{{- with include "mlflow.database.caSecret" . }}
{{ include "mlflow.caVolume" (list "database-ca" . $.Values.database.caKey) }}
{{- end }}
{{- end -}}

{{- define "mlflow.database.mounts" -}}
{{- if include "mlflow.database.caSecret" . }}
- {name: database-ca, mountPath: /database-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "mlflow.artifacts.volumes" -}}
{{- with .Values.artifacts.caSecret }}
{{ include "mlflow.caVolume" (list "artifacts-ca" . $.Values.artifacts.caKey) }}
{{- end }}
{{- end -}}

{{- define "mlflow.artifacts.mounts" -}}
{{- if .Values.artifacts.caSecret }}
- {name: artifacts-ca, mountPath: /artifacts-ca, readOnly: true}
{{- end }}
{{- end -}}
