{{/* What all pods of the chart have in common: the PodSecurity level `restricted`, and where they may run. */}}

{{/* Usage: include "mlflow.podSecurityContext" 65532. The uid is also the group of volumes. */}}
{{- define "mlflow.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "mlflow.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/*
enableServiceLinks is off because the variables of a Service named `mlflow` (MLFLOW_PORT=tcp://...) are flags of the
MLflow command line, and those of one named `s3` are flags of SeaweedFS.
*/}}
{{- define "mlflow.podPlacement" -}}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
