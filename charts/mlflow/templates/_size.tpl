{{/*
How much of the server there is, as YAML: what `size` stands for, under what the values say themselves.
Usage: {{- $size := include "mlflow.size" . | fromYaml -}}
*/}}
{{- define "mlflow.size" -}}
{{- $size := index (.Files.Get "files/sizes.yaml" | fromYaml) .Values.size -}}
{{- if not (kindIs "invalid" .Values.replicas) -}}
{{- $_ := set $size "replicas" (int .Values.replicas) -}}
{{- end -}}
{{- if not (kindIs "invalid" .Values.workers) -}}
{{- $_ := set $size "workers" (int .Values.workers) -}}
{{- end -}}
{{- if not (kindIs "invalid" .Values.autoscaling.maxReplicas) -}}
{{- $_ := set $size "maxReplicas" (int .Values.autoscaling.maxReplicas) -}}
{{- else if not (kindIs "invalid" .Values.replicas) -}}
{{/* Who says how many pods there are has said that it is for nobody else to say. */}}
{{- $_ := set $size "maxReplicas" $size.replicas -}}
{{- end -}}
{{- $_ := set $size "resources" (mustMergeOverwrite $size.resources (deepCopy .Values.resources)) -}}
{{- if .Values.stopped -}}
{{- $_ := set $size "replicas" 0 -}}
{{- $_ := set $size "maxReplicas" 0 -}}
{{- end -}}
{{- $_ := set $size "autoscaled" (gt (int $size.maxReplicas) (int $size.replicas)) -}}
{{- toYaml $size -}}
{{- end -}}

{{/* Constraints without a selector are about the pods of one version of the server. */}}
{{- define "mlflow.topologySpread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "mlflow.selectorLabels" (list . "server") | fromYaml)) "matchLabelKeys" (list "pod-template-hash") -}}
{{- range .Values.topologySpreadConstraints }}
- {{ toYaml (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $own)) | nindent 2 | trim }}
{{- end -}}
{{- end -}}
