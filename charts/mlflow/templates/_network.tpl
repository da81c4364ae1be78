{{/* Rules of the NetworkPolicies: who may be reached, at which port. */}}

{{- define "mlflow.egress.dns" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end -}}

{{- define "mlflow.egress.server" -}}
- ports: [{port: 5000}]
  to:
    - podSelector:
        matchLabels:
          {{- include "mlflow.selectorLabels" (list . "server") | nindent 10 }}
{{- end -}}

{{- define "mlflow.egress.database" -}}
{{- $known := or .Values.embedded.postgresql.enabled .Values.database.cloudNativePG -}}
- ports: [{port: {{ $known | empty | ternary .Values.database.port 5432 }}}]
  {{- if .Values.embedded.postgresql.enabled }}
  to:
    - podSelector:
        matchLabels:
          {{- include "mlflow.selectorLabels" (list . "postgresql") | nindent 10 }}
  {{- else if .Values.database.cloudNativePG }}
  to:
    - podSelector:
        matchLabels:
          cnpg.io/cluster: {{ .Values.database.cloudNativePG }}
  {{- else if .Values.networkPolicy.database }}
  to:
    {{- toYaml .Values.networkPolicy.database | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* The port is that of the URL; AWS has 443. Where the cloud gives keys to pods, that is asked at a link-local address. */}}
{{- define "mlflow.egress.artifacts" -}}
{{- $endpoint := urlParse (include "mlflow.artifacts.endpointUrl" .) -}}
{{- $named := regexFind ":[0-9]+$" $endpoint.host | trimPrefix ":" -}}
- ports: [{port: {{ default (eq $endpoint.scheme "http" | ternary 80 443) $named }}}]
  {{- if .Values.embedded.s3.enabled }}
  to:
    - podSelector:
        matchLabels:
          {{- include "mlflow.selectorLabels" (list . "s3") | nindent 10 }}
  {{- else if .Values.networkPolicy.artifacts }}
  to:
    {{- toYaml .Values.networkPolicy.artifacts | nindent 4 }}
  {{- end }}
{{- if .Values.artifacts.workloadIdentity }}
- to:
    - ipBlock: {cidr: 169.254.0.0/16}
{{- end }}
{{- end -}}

{{/* Usage: include "mlflow.ingress.from" (list . 5432 (list "server" "migration")) */}}
{{- define "mlflow.ingress.from" -}}
- ports: [{port: {{ index . 1 }}}]
  from:
    - podSelector:
        matchLabels:
          app.kubernetes.io/name: {{ include "mlflow.name" (index . 0) }}
          app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
        matchExpressions:
          - {key: app.kubernetes.io/component, operator: In, values: [{{ join ", " (index . 2) }}]}
{{- end -}}
