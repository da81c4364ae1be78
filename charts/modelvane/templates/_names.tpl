{{/* Names and labels of everything in this chart; no other template writes one by hand. */}}

{{- define "modelvane.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "modelvane" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-modelvane" (.Release.Name | trunc 42 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "modelvane.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "modelvane.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name: write the name of an existing ServiceAccount, or set serviceAccount.create to true" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "modelvane.metricsServiceName" -}}
{{- include "modelvane.fullname" . }}-metrics
{{- end -}}

{{- define "modelvane.webhookServiceName" -}}
{{- include "modelvane.fullname" . }}-webhook
{{- end -}}

{{/* Where MLflow reaches the operator. */}}
{{- define "modelvane.webhookUrl" -}}
{{- $service := printf "http://%s.%s.svc" (include "modelvane.webhookServiceName" .) .Release.Namespace -}}
{{- $port := int .Values.webhook.service.port -}}
{{- .Values.webhook.url | default (eq $port 80 | ternary $service (printf "%s:%d" $service $port)) -}}
{{- end -}}

{{/* What selects the operator's pods. It can never change: a Deployment's selector is immutable. */}}
{{- define "modelvane.selectorLabels" -}}
app.kubernetes.io/name: modelvane
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "modelvane.labels" -}}
{{ include "modelvane.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: modelvane
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "modelvane.image" -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .chart.AppVersion) -}}
{{- end -}}
