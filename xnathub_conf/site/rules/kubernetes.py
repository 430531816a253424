"""Rules of Kubernetes: what its claims hold, which pods are reverse proxies, and where servers' pods may run."""

from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.hub_settings import reverse_proxies
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import is_normal, report, report_braces, written
from xnathub_conf.site.types import Kubernetes, Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.paths import PathError, fixed_part, nearest, normal_path, prefixes


def check_proxies(document: Document, site: Site) -> None:
    """The reverse proxies in front of the hub are named, since they are pods among others."""
    if reverse_proxies(site) and not site.hub.trusted_proxies:
        report(
            document,
            ("hub", "trusted_proxies"),
            "unnamed-proxies",
            "Any pod of the cluster but users' servers says which address counts for it.",
            "Name the ingress controller's pods, by address or by the smallest network that they stay in: kubectl get pods "
            "--all-namespaces --output wide lists them.",
        )


def check_claims(document: Document, site: Site) -> None:
    """Claims hold every allowed mount, and every folder that the site itself mounts."""
    kubernetes = settings_of(site, Kubernetes)
    here: KeyPath = ("orchestrator", "kubernetes")
    seen: set[str] = set()
    for index, claim in enumerate(kubernetes.claims):
        path: KeyPath = (*here, "claims", index, "path")
        if is_normal(document, path, claim.path) and claim.path in seen:
            report(document, path, "claim", "Another claim holds the same path.", "Delete one of them.")
        seen.add(claim.path)
        report_braces(document, path, claim.path)
    for index, mount in enumerate(site.servers.allowed_mounts):
        if mount.path.startswith("/") and not any(
            prefix in seen for prefix in prefixes(fixed_part(mount.path))
        ):
            report(
                document,
                ("servers", "allowed_mounts", index, "path"),
                "claim",
                f"No volume claim holds {mount.path}.",
                "Add its claim to orchestrator.kubernetes.claims.",
            )
    for index, source in enumerate(site.servers.mounts):
        _of_site(document, kubernetes, source.source, ("servers", "mounts", index, "source"))
    if site.servers.ca_file:
        _of_site(document, kubernetes, site.servers.ca_file, ("servers", "ca_file"))


def _of_site(document: Document, kubernetes: Kubernetes, source: str, path: KeyPath) -> None:
    rest = source.replace("{username}", "")
    if not source.startswith("/") or "{" in rest or "}" in rest or not _is_plain(source):
        return
    if not nearest(fixed_part(source), {claim.path for claim in kubernetes.claims}):
        fix = "Add its claim to orchestrator.kubernetes.claims"
        fix += "." if path[-1] == "ca_file" else ", or write the claim's name in place of the path."
        report(document, path, "claim", f"No volume claim holds {source}.", fix)


def _is_plain(path: str) -> bool:
    try:
        return normal_path(path) == path
    except PathError:
        return False


def check_pods(document: Document, site: Site) -> None:
    """Tolerations and time limits are consistent."""
    kubernetes = settings_of(site, Kubernetes)
    here: KeyPath = ("orchestrator", "kubernetes")
    if kubernetes.schedule_timeout > site.servers.start_timeout:
        report(
            document,
            written(document, (*here, "schedule_timeout"), ("servers", "start_timeout")),
            "schedule-outlasts-start",
            f"The start ends before, after servers.start_timeout, {site.servers.start_timeout} s.",
            "Lower it, or raise servers.start_timeout.",
        )
    for index, toleration in enumerate(kubernetes.tolerations):
        path = (*here, "tolerations", index)
        if toleration.operator == "Exists" and toleration.value is not None:
            report(document, (*path, "value"), "toleration", "`Exists` takes no value.", "Delete it.")
        if toleration.operator == "Equal" and toleration.key is None:
            report(
                document,
                path,
                "toleration",
                "`Equal` needs a key.",
                "Add `key`, or write operator: Exists.",
            )
