{{/* What the server is told by its environment. */}}

{{/*
Host headers the server answers to; it compares the whole header, port included. Names are exact: a pattern such as
`mlflow.*` would also let in `mlflow.` of a domain that somebody else owns, which is what the check is there to stop.
The address of the pod is for the kubelet's probes and Prometheus; its second form is how IPv6 is written.
*/}}
{{- define "mlflow.server.allowedHosts" -}}
{{- $name := include "mlflow.fullname" . -}}
{{- $inNamespace := printf "%s.%s" $name .Release.Namespace -}}
{{- $hosts := list -}}
{{- range list $name $inNamespace (printf "%s.svc" $inNamespace) (printf "%s.svc.%s" $inNamespace .Values.clusterDomain) -}}
{{- $hosts = concat $hosts (list . (printf "%s:%d" . (int $.Values.service.port))) -}}
{{- end -}}
{{- $hosts = concat $hosts (list "localhost" "localhost:*" "127.0.0.1" "127.0.0.1:*" "$(POD_IP):5000" "[$(POD_IP)]:5000") -}}
{{- if .Values.ingress.enabled -}}{{- $hosts = concat $hosts .Values.ingress.hosts -}}{{- end -}}
{{- if .Values.httpRoute.parentRefs -}}{{- $hosts = concat $hosts .Values.httpRoute.hostnames -}}{{- end -}}
{{- concat $hosts .Values.allowedHosts | uniq | join "," -}}
{{- end -}}

{{/* URLs by which the server is reached from outside, with commas between them. */}}
{{- define "mlflow.server.publicUrls" -}}
{{- $urls := list -}}
{{- if .Values.ingress.enabled -}}
{{- range .Values.ingress.hosts -}}
{{- $urls = append $urls (printf "%s://%s" ($.Values.ingress.tlsSecret | empty | ternary "http" "https") .) -}}
{{- end -}}
{{- end -}}
{{- if .Values.httpRoute.parentRefs -}}
{{- range .Values.httpRoute.hostnames -}}
{{- $urls = append $urls (printf "%s://%s" ($.Values.httpRoute.https | ternary "https" "http") .) -}}
{{- end -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}

{{/*
Origins whose pages may change something. MLflow counts its own UI behind a host name as a stranger otherwise. Where the
host has a certificate a page over plain http is not the UI, whoever it is.
*/}}
{{- define "mlflow.server.origins" -}}
{{- $own := include "mlflow.server.publicUrls" . | splitList "," | compact -}}
{{- concat $own .Values.corsAllowedOrigins | uniq | join "," -}}
{{- end -}}

{{/* Where clients write artifacts themselves, a version's source is a place below the root. */}}
{{- define "mlflow.server.modelSources" -}}
{{- if .Values.artifacts.direct -}}
{{- printf "%s|^%s/" .Values.modelSourcePattern (trimSuffix "/" .Values.artifacts.root | replace "." "\\.") -}}
{{- else -}}
{{- .Values.modelSourcePattern -}}
{{- end -}}
{{- end -}}

{{- define "mlflow.server.scheme" -}}
{{- .Values.tls.secretName | empty | ternary "http" "https" -}}
{{- end -}}

{{- define "mlflow.server.url" -}}
{{ include "mlflow.server.scheme" . }}://{{ include "mlflow.fullname" . }}
{{- end -}}

{{- define "mlflow.server.config" -}}
MLFLOW_HOST: "0.0.0.0"
MLFLOW_PORT: "5000"
MLFLOW_WORKERS: {{ (include "mlflow.size" . | fromYaml).workers | quote }}
{{- if not .Values.database.uriKey }}
MLFLOW_BACKEND_STORE_URI: postgresql+psycopg2://
{{- end }}
MLFLOW_SERVE_ARTIFACTS: {{ not .Values.artifacts.direct | quote }}
AWS_DEFAULT_REGION: {{ .Values.artifacts.region | quote }}
{{- with include "mlflow.artifacts.endpointUrl" . }}
MLFLOW_S3_ENDPOINT_URL: {{ . | quote }}
{{- end }}
{{- if ne .Values.artifacts.addressingStyle "auto" }}
MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE: {{ .Values.artifacts.addressingStyle }}
{{- end }}
{{- with include "mlflow.server.origins" . }}
MLFLOW_SERVER_CORS_ALLOWED_ORIGINS: {{ . | quote }}
{{- end }}
{{- if .Values.tls.secretName }}
MLFLOW_UVICORN_OPTS: --ssl-certfile=/tls/tls.crt --ssl-keyfile=/tls/tls.key
{{- end }}
MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX: {{ include "mlflow.server.modelSources" . | quote }}
MLFLOW_SERVER_ENABLE_JOB_EXECUTION: {{ .Values.jobExecution | quote }}
MLFLOW_DISABLE_TELEMETRY: {{ not .Values.telemetry | quote }}
{{- if .Values.webhooks.allowHttp }}
MLFLOW_WEBHOOK_ALLOWED_SCHEMES: https,http
{{- end }}
{{- if .Values.webhooks.allowPrivateAddresses }}
MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS: "true"
{{- end }}
{{- if .Values.metrics.enabled }}
MLFLOW_EXPOSE_PROMETHEUS: /tmp/prometheus
{{- end }}
# The only place where the server may write is /tmp.
HOME: /tmp
GIT_PYTHON_REFRESH: quiet
{{- end -}}

{{/* Variables that the chart sets one by one; setting one again in extraEnv would make the pod invalid. */}}
{{- define "mlflow.server.reservedEnv" -}}
{{- if .Values.webhooks.encryptionKeySecret }}MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY {{ end -}}
POD_IP MLFLOW_SERVER_ALLOWED_HOSTS PGHOST PGPORT PGDATABASE PGSSLMODE PGSSLROOTCERT PGCONNECT_TIMEOUT PGAPPNAME PGUSER PGPASSWORD AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_CA_BUNDLE MLFLOW_ARTIFACTS_DESTINATION MLFLOW_DEFAULT_ARTIFACT_ROOT {{ if .Values.database.uriKey }}MLFLOW_BACKEND_STORE_URI{{ end }}
{{- end -}}
