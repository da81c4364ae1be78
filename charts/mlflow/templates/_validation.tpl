{{/*
What a schema cannot say: values that need or exclude each other. All problems are told at once, each with the value to set.
*/}}
{{- define "mlflow.validate" -}}
{{- $problems := list -}}
{{- $v := .Values -}}

{{- $database := list -}}
{{- if $v.embedded.postgresql.enabled -}}{{- $database = append $database "embedded.postgresql.enabled" -}}{{- end -}}
{{- if $v.database.cloudNativePG -}}{{- $database = append $database "database.cloudNativePG" -}}{{- end -}}
{{- if $v.database.uriKey -}}{{- $database = append $database "database.uriKey" -}}{{- end -}}
{{- if $v.database.host -}}{{- $database = append $database "database.host" -}}{{- end -}}
{{- if gt (len $database) 1 -}}
  {{- $problems = append $problems (printf "%s each name a database: set only one of them" (join " and " $database)) -}}
{{- else if not $database -}}
  {{- $problems = append $problems "no database: set database.host to your PostgreSQL server, or embedded.postgresql.enabled=true to try things out" -}}
{{- end -}}
{{- if not (include "mlflow.database.secretName" .) -}}
  {{- $keys := $v.database.uriKey | empty | ternary (printf "keys %s and %s" $v.database.userKey $v.database.passwordKey) (printf "key %s" $v.database.uriKey) -}}
  {{- $problems = append $problems (printf "no database user and password: set existingSecret or database.existingSecret to the name of a Secret with the %s" $keys) -}}
{{- end -}}
{{- if and (hasPrefix "verify-" $v.database.sslMode) (not (include "mlflow.database.caSecret" .)) -}}
  {{- $problems = append $problems (printf "database.sslMode is %s but there is no CA to verify by: set database.caSecret" $v.database.sslMode) -}}
{{- end -}}

{{- if $v.embedded.s3.enabled -}}
  {{- if $v.artifacts.endpointUrl -}}
    {{- $problems = append $problems (printf "artifacts.endpointUrl is %q but embedded.s3.enabled is true: set only one of them" $v.artifacts.endpointUrl) -}}
  {{- end -}}
  {{- if and $v.artifacts.root (ne $v.embedded.s3.bucket (index (splitList "/" (trimPrefix "s3://" $v.artifacts.root)) 0)) -}}
    {{- $problems = append $problems (printf "artifacts.root is %q but the embedded store has only the bucket embedded.s3.bucket=%s" $v.artifacts.root $v.embedded.s3.bucket) -}}
  {{- end -}}
{{- else if and (not (include "mlflow.artifacts.secretName" .)) (not $v.artifacts.workloadIdentity) -}}
  {{- $keys := printf "%s and %s" $v.artifacts.accessKeyIdKey $v.artifacts.secretAccessKeyKey -}}
  {{- if not $v.artifacts.root -}}{{- $keys = printf "%s, %s and %s" $v.artifacts.accessKeyIdKey $v.artifacts.secretAccessKeyKey $v.artifacts.rootKey -}}{{- end -}}
  {{- $problems = append $problems (printf "no artifact store: set existingSecret or artifacts.existingSecret to the name of a Secret with the keys %s, or embedded.s3.enabled=true to try things out" $keys) -}}
{{- end -}}

{{- if and (has $v.database.sslMode (list "require" "verify-ca" "verify-full")) $v.embedded.postgresql.enabled -}}
  {{- $problems = append $problems (printf "database.sslMode is %s but the embedded PostgreSQL has no certificate: leave it empty" $v.database.sslMode) -}}
{{- end -}}

{{- if and $v.artifacts.workloadIdentity $v.embedded.s3.enabled -}}
  {{- $problems = append $problems "artifacts.workloadIdentity is set but the embedded store knows no cloud: leave it out" -}}
{{- end -}}
{{- range $value, $set := dict "artifacts.workloadIdentity" $v.artifacts.workloadIdentity "artifacts.direct" $v.artifacts.direct -}}
  {{- if and $set (not $v.artifacts.root) -}}
    {{- $problems = append $problems (printf "%s is set without artifacts.root: set it to s3://bucket/prefix" $value) -}}
  {{- end -}}
{{- end -}}

{{- range $value, $tag := dict "image.tag" $v.image.tag "embedded.postgresql.image.tag" $v.embedded.postgresql.image.tag "embedded.s3.image.tag" $v.embedded.s3.image.tag -}}
  {{- if eq $tag "latest" -}}
    {{- $problems = append $problems (printf "%s is latest, which is another image tomorrow: name a version" $value) -}}
  {{- end -}}
{{- end -}}

{{- $version := regexFind "^v?[0-9]+\\.[0-9]+(\\.[0-9]+)?" (default .Chart.AppVersion $v.image.tag) -}}
{{- if and $version (semverCompare "<3.11.0-0" $version) (not $v.allowUnsupportedVersion) -}}
  {{- $problems = append $problems (printf "image.tag is %s but MLflow before 3.11 has known holes (CVE-2026-2651, CVE-2026-4137 and older): take a newer image, or set allowUnsupportedVersion=true if you accept them" $v.image.tag) -}}
{{- end -}}

{{- if and (or $v.webhooks.allowHttp $v.webhooks.allowPrivateAddresses) (not $v.webhooks.encryptionKeySecret) -}}
  {{- $problems = append $problems "webhooks are opened without a key for their secrets, which would be lost with each restart: set webhooks.encryptionKeySecret" -}}
{{- end -}}

{{- if and $v.ingress.enabled (not $v.ingress.hosts) -}}
  {{- $problems = append $problems "ingress.enabled without a host: set ingress.hosts to the names that the server is reached by" -}}
{{- end -}}
{{- if and $v.httpRoute.parentRefs (not $v.httpRoute.hostnames) -}}
  {{- $problems = append $problems "httpRoute.parentRefs without a host: set httpRoute.hostnames to the names that the server is reached by" -}}
{{- end -}}
{{- if and $v.httpRoute.hostnames (not $v.httpRoute.parentRefs) -}}
  {{- $problems = append $problems "httpRoute.hostnames without a Gateway: set httpRoute.parentRefs" -}}
{{- end -}}
{{- if and (ne $v.service.type "ClusterIP") (not $v.allowedHosts) -}}
  {{- $problems = append $problems (printf "service.type is %s, but the server would refuse who comes that way: set allowedHosts to the addresses that callers use, such as 203.0.113.7:30500" $v.service.type) -}}
{{- end -}}
{{- if and $v.service.nodePort (eq $v.service.type "ClusterIP") -}}
  {{- $problems = append $problems (printf "service.nodePort is %d but service.type is ClusterIP: set service.type=NodePort" (int $v.service.nodePort)) -}}
{{- end -}}

{{- with $v.autoscaling.maxReplicas -}}
  {{- $replicas := (include "mlflow.size" $ | fromYaml).replicas -}}
  {{- if lt (int .) (int $replicas) -}}
    {{- $problems = append $problems (printf "autoscaling.maxReplicas is %d but there are %d replicas already: set at least %d, or 0 for no autoscaling" (int .) (int $replicas) (int $replicas)) -}}
  {{- end -}}
{{- end -}}

{{- $reserved := splitList " " (include "mlflow.server.reservedEnv" .) -}}
{{- range $v.extraEnv -}}
  {{- if has .name $reserved -}}
    {{- $problems = append $problems (printf "extraEnv sets %s, which the chart sets from its own values" .name) -}}
  {{- end -}}
{{- end -}}

{{- if $problems -}}
  {{- fail (printf "these values do not work together:\n  - %s\n" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}
