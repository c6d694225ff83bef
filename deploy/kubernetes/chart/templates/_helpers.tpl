{{- define "landfall.selector" -}}
app.kubernetes.io/name: landfall
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "landfall.labels" -}}
{{ include "landfall.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: landfall-{{ .Chart.Version }}
{{- end }}

{{- define "landfall.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "landfall.labels" . | nindent 2 }}
{{- end }}

{{- /* What is in landfall.yaml, for what the chart depends on. Helm would write its `off` as `false`, so the text itself is passed on. */}}
{{- define "landfall.said" -}}
{{- $said := fromYaml .Values.configuration }}
{{- with $said.Error }}
{{- fail (printf "configuration: expected a YAML map as text: %s" .) }}
{{- end }}
{{- toYaml $said }}
{{- end }}

{{- define "landfall.configuration" -}}
{{- $said := include "landfall.said" . | fromYaml }}
{{- if and (hasKey $said "listen") (ne (dig "listen" "operators" "" $said) "0.0.0.0:8081") }}
{{- fail "configuration: expected listen: { operators: 0.0.0.0:8081 }, where the probes of the pods ask" }}
{{- end }}
{{- $login := $said.login | default dict }}
{{- if and (include "landfall.temporal" .) $login.oidc (not $login.key) }}
{{- fail "configuration: expected login: { key: file:/run/secrets/landfall/login-key }, or another secret that api and worker share: with temporal.address they are apart, and the worker checks by it who has logged in" }}
{{- end }}
{{- range $key, $value := dict "listen" "{ operators: 0.0.0.0:8081 }" "data" "/landfall/data" "artifacts" "/landfall/artifacts" }}
{{- if not (hasKey $said $key) }}
{{- printf "%s: %s\n" $key $value }}
{{- end }}
{{- end }}
{{- .Values.configuration }}
{{- end }}

{{- /* The address of a Temporal that is not Landfall's own; with one, api and worker run apart. */}}
{{- define "landfall.temporal" -}}
{{- dig "temporal" "address" "" (include "landfall.said" . | fromYaml) }}
{{- end }}

{{- define "landfall.image" -}}
{{- with .Values.image }}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* What is in a Deployment or StatefulSet of one part: { root, part, roles, replicas, resources, secrets, volume }. */}}
{{- define "landfall.workload" -}}
selector:
  matchLabels:
    {{- include "landfall.selector" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .part }}
replicas: {{ .replicas }}
template:
  metadata:
    labels:
      {{- include "landfall.labels" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .part }}
    annotations:
      # It is read at the start only.
      checksum/configuration: {{ .root.Values.configuration | sha256sum }}
  spec:
    {{- include "landfall.pod" . | nindent 4 }}
    {{- with .root.Values.pod }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "landfall.pod" -}}
serviceAccountName: {{ .root.Release.Name }}
automountServiceAccountToken: {{ contains "deploy" .roles }}
# A Service called landfall would bring variables that begin as Landfall's own.
enableServiceLinks: false
# Requests, then steps, then lanes: each finishes or hands back what it is at, within 10 s, 30 s and 30 s at the worst.
terminationGracePeriodSeconds: 120
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
containers:
  - name: landfall
    image: {{ include "landfall.image" .root }}
    env:
      {{- if .root.Values.configuration }}
      - { name: LANDFALL_CONFIG, value: /etc/landfall/landfall.yaml }
      {{- else }}
      # Not there: so its variables count, and what is relative to it can be written.
      - { name: LANDFALL_CONFIG, value: /landfall/landfall.yaml }
      - { name: LANDFALL_OPERATORS, value: 0.0.0.0:8081 }
      {{- end }}
      - { name: LANDFALL_ROLES, value: {{ .roles | quote }} }
      {{- if contains "deploy" .roles }}
      # Deploys of other hosts (on: NAME) are done there.
      - { name: LANDFALL_HOSTS, value: default }
      {{- end }}
      {{- with .root.Values.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    ports:
      {{- if contains "api" .roles }}
      - { name: webhooks, containerPort: 8080 }
      {{- end }}
      - { name: operators, containerPort: 8081 }
    # A Temporal of its own takes up to a minute after a crash.
    startupProbe:
      httpGet: { path: /healthz, port: operators }
      periodSeconds: 2
      failureThreshold: 60
    livenessProbe:
      httpGet: { path: /healthz, port: operators }
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet: { path: /readyz, port: operators }
      timeoutSeconds: 5
    resources:
      {{- toYaml .resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: { drop: [ALL] }
    volumeMounts:
      - { name: configuration, mountPath: /etc/landfall, readOnly: true }
      {{- if .secrets }}
      - { name: secrets, mountPath: /run/secrets/landfall, readOnly: true }
      {{- end }}
      - { name: landfall, mountPath: /landfall }
      - { name: tmp, mountPath: /tmp }
volumes:
  - name: configuration
    configMap: { name: {{ .root.Release.Name }} }
  {{- with .secrets }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- range . }}
        - secret: { name: {{ . }}, optional: true }
        {{- end }}
  {{- end }}
  {{- if not .volume }}
  - name: landfall
    emptyDir: { sizeLimit: {{ .root.Values.storage.size }} }
  {{- end }}
  - name: tmp
    emptyDir: { sizeLimit: 1Gi }
{{- end }}
