"""Pods in one namespace of a Kubernetes cluster."""

import re
from collections.abc import Iterator

from xnathub_conf.orchestrators.docker_api import OF_INTERNAL_SSL
from xnathub_conf.site.hub_settings import CHART_PROXY_HOST
from xnathub_conf.site.kinds import Fault, FirstSite, Kind, Rendered, Rights, Setting
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Kubernetes, Site
from xnathub_conf.values.registry_logins import PULL_SECRET

_CLAIM_NAME = re.compile("[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_MOUNTS = "Use `servers.mounts`, and `orchestrator.kubernetes.claims` for what XNAT asks for."
_OF_XNAT = "XNAT's pages ask what to start: delete it."


def pull_secrets(kubernetes: Kubernetes, site: Site) -> list[str]:
    """Return the names of the Secrets from which the nodes take the logins of registries."""
    named = list(kubernetes.image_pull_secrets)
    return list(dict.fromkeys([*named, PULL_SECRET] if site.servers.registry_logins else named))


def _traits(kubernetes: Kubernetes, site: Site) -> Iterator[Setting]:
    here: KeyPath = ("orchestrator", "kubernetes")
    if kubernetes.namespace:
        yield Setting("KubeSpawner.namespace", kubernetes.namespace, (*here, "namespace"))
    policy = kubernetes.image_pull_policy
    yield Setting("KubeSpawner.image_pull_policy", policy, (*here, "image_pull_policy"))
    secrets = pull_secrets(kubernetes, site)
    yield Setting("KubeSpawner.image_pull_secrets", secrets, (*here, "image_pull_secrets"))
    stop = site.servers.stop_timeout
    yield Setting("KubeSpawner.delete_grace_period", stop, ("servers", "stop_timeout"))


def _volume(name: str) -> Fault | None:
    if _CLAIM_NAME.fullmatch(name.replace("{username}", "x")):
        return None
    good = re.sub("[^a-z0-9.-]+", "-", name.lower()).strip("-.")[:253]
    fix = f"Name the claim, such as {good or 'site-software'}; a path begins with a slash."
    return Fault("claim", f"{name} can't be a volume claim's name.", fix)


KIND = Kind(
    settings=Kubernetes,
    name="Kubernetes",
    server="its pod",
    adapter="xnathub_conf.spawners.kubernetes:XnatKubernetesSpawner",
    spawner="KubeSpawner",
    traits=_traits,
    plan_traits=(
        "cmd", "environment", "image", "cpu_limit", "cpu_guarantee", "mem_limit", "mem_guarantee", "volumes", "volume_mounts",
        "extra_resource_limits", "extra_resource_guarantees", "node_selector", "tolerations", "node_affinity_required", "uid", "gid",
        "fs_gid", "supplemental_gids", "allow_privilege_escalation", "pod_security_context", "container_security_context",
    ),
    unset={"namespace": "x"},
    without_effect={
        "k8s_api_threadpool_workers": "KubeSpawner no longer has a pool of threads: delete it.",
        "secret_mount_path": OF_INTERNAL_SSL,
        "secret_name_template": OF_INTERNAL_SSL,
        "profile_form_template": _OF_XNAT,
        "additional_profile_form_template_paths": _OF_XNAT,
    },
    instead={
        **dict.fromkeys(("mounts", "volumes", "volume_mounts", "read_only_volumes"), _MOUNTS),
        "extra_placement_spec": "Use `orchestrator.kubernetes.node_selector`, besides what XNAT asks for.",
        "extra_container_spec": "Use `servers.environment`, `servers.mounts`, `servers.security` or `servers.hosts`.",
        "extra_host_config": "Use `servers.mounts`, `servers.shm_size`, `servers.security` or `servers.hosts`.",
        "extra_create_kwargs": "Use `servers.environment` or `servers.security`.",
        "node_affinity_required": "XNAT names nodes by a computing environment's constraints; `orchestrator.kubernetes.node_selector` holds for all servers.",
        "delete_grace_period": "Use `servers.stop_timeout`.",
        "node_selector": "Use `orchestrator.kubernetes.node_selector`.",
        "pull_policy": "Use `orchestrator.kubernetes.image_pull_policy`.",
        "tolerations": "Use `orchestrator.kubernetes.tolerations`.",
    },
    hub_host="hub",
    proxy_service=(CHART_PROXY_HOST, 80),
    mounts_of_node=False,
    no_proxy=(CHART_PROXY_HOST, ".svc", ".cluster.local"),
    rules=(
        "xnathub_conf.site.rules.kubernetes:check_proxies",
        "xnathub_conf.site.rules.kubernetes:check_claims",
        "xnathub_conf.site.rules.node_folders:check_claim_names",
        "xnathub_conf.site.rules.kubernetes:check_pods",
        "xnathub_conf.site.rules.internet:check_policies",
        "xnathub_conf.site.rules.pod_form:check_pod_form",
        "xnathub_conf.site.rules.raw_values:check_pod_values",
        "xnathub_conf.site.rules.pods:check_pod_config",
        "xnathub_conf.site.rules.pods:check_pod_account",
        "xnathub_conf.site.rules.pods:check_pod_level",
    ),
    secrets_path="/etc/xnathub/secrets",
    certificate_elsewhere=Fault(
        "own-certificate",
        "On Kubernetes the Ingress has the certificate, and the proxy behind it speaks http.",
        "Delete it, and name the certificate's Secret in the chart's `ingress.tlsSecret`.",
    ),
    volume=_volume,
    rights=Rights(
        "Kubernetes has no such setting for a pod.",
        without={
            "pids_limit": "Set podPidsLimit of the nodes' kubelets, and delete it here.",
            "ulimits": "Set the limits of the nodes' container runtime, and delete them here.",
            "start_as_root": "Use `orchestrator.kubernetes.start_as_root`.",
        },
        seccomp_below="/var/lib/kubelet/seccomp/",
    ),
    starts_as_root=lambda kubernetes, _site: kubernetes.start_as_root,
    doctor="xnathub_conf.doctor.kubernetes:cluster_checks",
    first_site=FirstSite(
        "  kubernetes:\n"
        "    claims:\n"
        "      - {path: /data/xnat/archive, claim_name: xnat-archive}\n"
        "      - {path: /data/xnat/workspaces, claim_name: xnat-workspaces}"
    ),
    rendered=Rendered(
        "values for the Helm chart",
        "xnathub_conf.cli.deploying:chart_arguments",
        "xnathub_conf.cli.deploying:chart_renderer",
    ),
    applied="On Kubernetes Helm deploys, waits and takes back: `xnathub render kubernetes site.yaml > values.yaml`, then `helm upgrade --install hub "
    "xnat-jupyterhub-chart --values values.yaml --atomic`.",
)  # fmt: skip
