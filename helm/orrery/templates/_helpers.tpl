{{- define "orrery.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of all pods of a release. */}}
{{- define "orrery.release" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* (root, component): what selects the pods of one component. */}}
{{- define "orrery.selector" -}}
{{- $root := index . 0 -}}
{{ include "orrery.release" $root }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* (root, component) */}}
{{- define "orrery.labels" -}}
{{- $root := index . 0 -}}
{{ include "orrery.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{/* (root, component) */}}
{{- define "orrery.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "orrery.fullname" $root }}-{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "orrery.labels" . | nindent 2 }}
{{- end -}}

{{/* (root, image): one of gateway, dispatcher, stage, stage-gpu. */}}
{{- define "orrery.image" -}}
{{- $root := index . 0 -}}
{{- $image := $root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}orrery/{{ index . 1 }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}

{{/* (root, account): what every pod has. Service links would set variables such as ORRERY_PORT, which are settings. */}}
{{- define "orrery.pod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "orrery.fullname" $root }}-{{ index . 1 }}
automountServiceAccountToken: false
enableServiceLinks: false
# The first process is then Kubernetes' own, which takes note of the ends of orphans, as those that a killed Triton leaves.
shareProcessNamespace: true
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $root.Values.image.uid }}
  runAsGroup: {{ $root.Values.image.uid }}
  fsGroup: {{ $root.Values.image.uid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "orrery.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* A part of values: where its pods may run, as far as it was said. */}}
{{- define "orrery.placement" -}}
{{- $said := dict -}}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" -}}
{{- with get $ $name -}}{{- $_ := set $said $name . -}}{{- end -}}
{{- end -}}
{{- if $said }}{{ toYaml $said }}{{ end -}}
{{- end -}}

{{/* A number, text, truth or list as a process reads it from its environment. */}}
{{- define "orrery.value" -}}
{{- if kindIs "slice" . }}{{ join "," . }}{{ else if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{/* A map of settings, as variables. */}}
{{- define "orrery.settings" -}}
{{- range $name, $value := . }}
- name: ORRERY_{{ upper $name }}
  value: {{ include "orrery.value" $value | quote }}
{{- end }}
{{- end -}}

{{/* (variable, secret name, key) */}}
{{- define "orrery.secret" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end -}}

{{/* How gateway, dispatcher and stages reach the job store, the artifacts and whoever takes traces. */}}
{{- define "orrery.stores" -}}
{{- include "orrery.jobStore" . }}
{{ include "orrery.artifactStore" . }}
{{- with .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . }}
{{- end }}
{{- end -}}

{{- define "orrery.jobStore" -}}
{{- $bundled := .Values.redis.bundled -}}
{{- $external := .Values.redis.external.urlSecret -}}
{{- if not $bundled.enabled -}}
{{ include "orrery.secret" (list "ORRERY_REDIS_URL" $external.name $external.key) }}
{{- else if $bundled.passwordSecret.name -}}
{{ include "orrery.secret" (list "REDIS_PASSWORD" $bundled.passwordSecret.name $bundled.passwordSecret.key) }}
- name: ORRERY_REDIS_URL
  value: redis://:$(REDIS_PASSWORD)@{{ include "orrery.fullname" . }}-redis:6379/0
{{- else -}}
- name: ORRERY_REDIS_URL
  value: redis://{{ include "orrery.fullname" . }}-redis:6379/0
{{- end -}}
{{- end -}}

{{- define "orrery.artifactStore" -}}
{{- $s3 := .Values.artifacts.s3 -}}
{{- if eq .Values.artifacts.kind "volume" -}}
- name: ORRERY_ARTIFACTS_URL
  value: file:///var/lib/orrery/artifacts
{{- else -}}
- name: ORRERY_ARTIFACTS_URL
  value: {{ $s3.url }}
{{- with $s3.region }}
- name: AWS_REGION
  value: {{ . }}
{{- end }}
{{- with $s3.endpoint }}
- name: AWS_ENDPOINT
  value: {{ . }}
{{- end }}
{{- if $s3.allowHttp }}
- name: AWS_ALLOW_HTTP
  value: "true"
{{- end }}
{{- with $s3.credentialsSecret }}
{{- if .name }}
{{ include "orrery.secret" (list "AWS_ACCESS_KEY_ID" .name .accessKeyIdKey) }}
{{ include "orrery.secret" (list "AWS_SECRET_ACCESS_KEY" .name .secretAccessKeyKey) }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "orrery.artifactMount" -}}
{{- if eq .Values.artifacts.kind "volume" }}
- name: artifacts
  mountPath: /var/lib/orrery/artifacts
{{- end }}
{{- end -}}

{{- define "orrery.artifactVolume" -}}
{{- if eq .Values.artifacts.kind "volume" }}
- name: artifacts
  persistentVolumeClaim:
    claimName: {{ .Values.artifacts.volume.existingClaim | default (printf "%s-artifacts" (include "orrery.fullname" .)) }}
{{- end }}
{{- end -}}

{{- define "orrery.modelClaim" -}}
{{- .Values.modelCache.existingClaim | default (printf "%s-models" (include "orrery.fullname" .)) -}}
{{- end -}}
