{{- define "xnathub.labels" -}}
app.kubernetes.io/name: xnathub
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The labels by which a component's pods are found; the component's name stands for the scope. */}}
{{- define "xnathub.selector" -}}
app.kubernetes.io/name: xnathub
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "xnathub.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "xnathub.secretName" -}}
{{ .Values.secrets.existingSecret | default "xnathub-secrets" }}
{{- end }}

{{- define "xnathub.baseUrl" -}}
{{ dig "hub" "base_url" "/jupyterhub/" .Values.site }}
{{- end }}

{{- /* Numbers of a values file are floating; a large user ID must not become 1e+06. */}}
{{- define "xnathub.hubUid" -}}
{{ dig "hub" "uid" 1000 .Values.site | int64 }}
{{- end }}
{{- define "xnathub.hubGid" -}}
{{ dig "hub" "gid" 1000 .Values.site | int64 }}
{{- end }}

{{- /* Whether servers reach nothing but what is listed; empty where they do. */}}
{{- define "xnathub.noInternet" -}}
{{- if eq (dig "servers" "internet" "all" .Values.site) "none" }}yes{{ end }}
{{- end }}

{{- /* What servers may reach then: XNAT, where its address is one of numbers, and the site's list. */}}
{{- define "xnathub.reachable" -}}
{{- $blocks := list }}
{{- $host := (urlParse (dig "xnat" "url" "" .Values.site)).hostname }}
{{- range concat (ternary (list $host) list (regexMatch "^([0-9.]+|.*:.*)$" $host)) (dig "servers" "reachable" list .Values.site) }}
{{- $cidr := ternary . (printf "%s/%s" . (ternary "128" "32" (contains ":" .))) (contains "/" .) }}
{{- $blocks = append $blocks (dict "ipBlock" (dict "cidr" $cidr)) }}
{{- end }}
{{- toYaml (list (dict "to" $blocks)) }}
{{- end }}

{{- /* The site as JSON, which is YAML too, and keeps numbers and words such as `no` what they are. */}}
{{- define "xnathub.site" -}}
{{- $site := deepCopy .Values.site }}
{{- if not (dig "orchestrator" "kubernetes" "claims" nil $site) }}
{{- $archive := dict "path" .Values.archive.path "claim_name" .Values.archive.claimName }}
{{- $workspaces := dict "path" .Values.workspaces.path "claim_name" .Values.workspaces.claimName }}
{{- $_ := set $site.orchestrator.kubernetes "claims" (list $archive $workspaces) }}
{{- end }}
{{- $site | toPrettyJson }}
{{- end }}

{{- /* Logins of registries as Docker's config.json, from such a file or from lines of REGISTRY USER PASSWORD. */}}
{{- define "xnathub.dockerConfig" -}}
{{- if hasPrefix "{" (trim .) }}
{{- . }}
{{- else }}
{{- $auths := dict }}
{{- range $line := splitList "\n" . }}
{{- with trim $line }}
{{- $words := regexSplit "\\s+" . 3 }}
{{- if ne (len $words) 3 }}
{{- fail "secrets.registryLogins holds a line that is not REGISTRY USER PASSWORD, and is no config.json of Docker's." }}
{{- end }}
{{- $registry := index $words 0 }}
{{- if has (lower $registry) (list "docker.io" "index.docker.io" "registry-1.docker.io") }}
{{- $registry = "https://index.docker.io/v1/" }}
{{- end }}
{{- $_ := set $auths $registry (dict "auth" (printf "%s:%s" (index $words 1) (index $words 2) | b64enc)) }}
{{- end }}
{{- end }}
{{- dict "auths" $auths | toJson }}
{{- end }}
{{- end }}

{{- /* Rules across values that a schema can't hold. */}}
{{- define "xnathub.check" -}}
{{- if ne (dig "orchestrator" "kubernetes" "namespace" .Release.Namespace .Values.site) .Release.Namespace }}
{{- fail "site.orchestrator.kubernetes.namespace must be the release's namespace, or be left out." }}
{{- end }}
{{- if and (not .Values.secrets.existingSecret) (not .Values.secrets.xnatPassword) }}
{{- fail "secrets.xnatPassword or secrets.existingSecret is needed." }}
{{- end }}
{{- if and (dig "servers" "registry_logins" nil .Values.site) (not .Values.secrets.existingSecret) (not .Values.secrets.registryLogins) }}
{{- fail "site.servers.registry_logins names a secret: secrets.registryLogins or secrets.existingSecret is needed." }}
{{- end }}
{{- if and .Values.secrets.hubApiToken (lt (len .Values.secrets.hubApiToken) 32) }}
{{- fail "secrets.hubApiToken needs at least 32 characters; make one with `openssl rand -hex 32`." }}
{{- end }}
{{- if and .Values.postgresql.enabled (dig "hub" "db_url" nil .Values.site) }}
{{- fail "postgresql.enabled and site.hub.db_url name two databases; keep one." }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host is needed." }}
{{- end }}
{{- if include "xnathub.noInternet" . }}
{{- if not .Values.networkPolicy.enabled }}
{{- fail "site.servers.internet is none: that needs networkPolicy.enabled." }}
{{- end }}
{{- $open := dig "singleuser" "networkPolicy" "egressAllowRules" dict .Values.jupyterhub }}
{{- if and .Values.jupyterhub.enabled (or (dig "nonPrivateIPs" true $open) (dig "privateIPs" true $open)) }}
{{- fail "site.servers.internet is none: set nonPrivateIPs and privateIPs of jupyterhub.singleuser.networkPolicy.egressAllowRules to false." }}
{{- end }}
{{- end }}
{{- if .Values.jupyterhub.enabled }}
{{- if eq .Subcharts.jupyterhub.Chart.Version "0.0.0" }}
{{- fail "Zero to JupyterHub is not here: run `helm dependency build`, or set jupyterhub.enabled=false for the chart's own small hub." }}
{{- end }}
{{- if ne .Values.jupyterhub.hub.baseUrl (include "xnathub.baseUrl" .) }}
{{- fail "jupyterhub.hub.baseUrl and site.hub.base_url must be the same." }}
{{- end }}
{{- if not (contains (include "xnathub.secretName" . | quote) (toJson .Values.jupyterhub.hub.extraVolumes)) }}
{{- fail "jupyterhub.hub.extraVolumes must mount the Secret that secrets.existingSecret names." }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A value that is made once and kept: (list SCOPE SECRET KEY LENGTH). */}}
{{- define "xnathub.kept" -}}
{{- $scope := index . 0 }}
{{- $secret := lookup "v1" "Secret" $scope.Release.Namespace (index . 1) | default dict }}
{{- dig "data" (index . 2) (randAlphaNum (int (index . 3)) | sha256sum | b64enc) $secret }}
{{- end }}

{{- /* What the chart's own containers may do. */}}
{{- define "xnathub.restricted" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "xnathub.storageClass" -}}
{{- with . }}
storageClassName: {{ . | quote }}
{{- end }}
{{- end }}
