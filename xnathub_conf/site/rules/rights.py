"""Rules of `servers.security`."""

from collections.abc import Mapping

from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.schema import filled, node_at
from xnathub_conf.site.types import Kubernetes, Local, Site, Swarm
from xnathub_conf.site.yaml_source import Document

_HERE: KeyPath = ("servers", "security")
_NOT_FOR_PODS: Mapping[str, str] = {
    "pids_limit": "Set podPidsLimit of the nodes' kubelets, and delete it here.",
    "ulimits": "Set the limits of the nodes' container runtime, and delete them here.",
    "start_as_root": "Use `orchestrator.kubernetes.start_as_root`.",
}
_NOT_FOR_SERVICES: Mapping[str, str] = {
    "apparmor": "Delete it: servers have the engines' own profile. Only `unconfined` is another.",
    "user_namespaces": "Delete it: `userns-remap` in daemon.json of the nodes holds for all that they run.",
}
_TO_CHANGE_USER = ("SETUID", "SETGID")


def check_rights(document: Document, site: Site) -> None:
    """What is written has an effect on this orchestrator, and a server can still start."""
    security = site.servers.security
    kubernetes, local = settings_of(site, Kubernetes), settings_of(site, Local)
    # A default may stand in the file.
    written = document.data["servers"].get("security", {})
    changed = [
        key
        for key, value in written.items()
        if (node := node_at((*_HERE, key)) or {}) and filled(value, node) != node.get("default")
    ]
    for key in changed if local else ():
        found = "It has no effect: local servers are the hub's own processes."
        report(document, (*_HERE, key), "rights", found, "Delete it.")
    for key, fix in _NOT_FOR_PODS.items() if kubernetes else ():
        if key in changed:
            report(document, (*_HERE, key), "rights", "Kubernetes has no such setting for a pod.", fix)
    for key, fix in _NOT_FOR_SERVICES.items() if isinstance(site.orchestrator, Swarm) else ():
        if key in changed and written[key] != "unconfined":
            report(document, (*_HERE, key), "rights", "The hub can't say it of a swarm's services.", fix)
    if local:
        return
    profile = security.seccomp
    if profile not in {"default", "unconfined"} and (
        profile.startswith("/") is bool(kubernetes) or "/../" in f"/{profile}/"
    ):
        found = "Expected an absolute path, or `default` or `unconfined`."
        fix = "Write where the profile's file is on the hub's machine."
        if kubernetes:
            found = "Expected a path below the kubelet's folder of profiles, or `default` or `unconfined`."
            fix = "Write the path that follows /var/lib/kubelet/seccomp/."
        report(document, (*_HERE, "seccomp"), "rights", found, fix)
    root = kubernetes.start_as_root if kubernetes else security.start_as_root
    if root:
        for index, name in enumerate(security.drop_capabilities):
            if name == "ALL" or name in _TO_CHANGE_USER:
                found = f"Without {name}, servers that start as root can't change to `servers.uid`."
                fix = "Delete it, or set `start_as_root: false`."
                report(document, (*_HERE, "drop_capabilities", index), "rights", found, fix)
        if security.read_only_root:
            found = "An image's start script, as root, writes into the image."
            report(
                document, (*_HERE, "read_only_root"), "rights", found, "Set `start_as_root: false` as well."
            )
    if security.no_new_privileges and site.servers.environment.get("GRANT_SUDO") in {"1", "yes"}:
        found = "It has no effect: servers can't gain privileges."
        fix = "Delete it, or set servers.security.no_new_privileges: false."
        report(document, ("servers", "environment", "GRANT_SUDO"), "rights", found, fix)
