"""Rules of what `extra` adds to Kubernetes' pods: it leaves alone what is decided elsewhere, and their security."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Kubernetes, Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.pod_config import Part, decided
from xnathub_conf.values.pod_level import (
    Place,
    container_below_restricted,
    containers_below_restricted,
    pod_below_restricted,
)


def check_pod_config(document: Document, site: Site) -> None:
    """What `extra` adds to pods leaves alone what the plan or the security of servers decides."""
    kubernetes = settings_of(site, Kubernetes)
    parts: tuple[Part, ...] = ("pod", "container")
    for part in parts:
        trait = f"KubeSpawner.extra_{part}_config"
        config = site.extra.get(trait)
        if not isinstance(config, Mapping):
            continue
        for place, instead in decided(part, config, root=kubernetes.start_as_root):
            path: KeyPath = ("extra", trait, *place)
            found = f"{'.'.join(map(str, place))} is decided elsewhere."
            document.report(
                document.key_mark(path), path, "extra", found, f"Use {instead}." if instead else "Delete it."
            )


def check_pod_account(document: Document, site: Site) -> None:
    """No server has the hub's own account on the cluster."""
    trait = "KubeSpawner.extra_pod_config"
    config = site.extra.get(trait)
    named: dict[KeyPath, Any] = {
        ("extra", trait, key): value
        for key, value in (config.items() if isinstance(config, Mapping) else ())
        if str(key).replace("_", "").lower() in {"serviceaccountname", "serviceaccount"}
    }
    account = "KubeSpawner.service_account"
    named["extra", account] = site.extra.get(account)
    for path, value in named.items():
        if value == HUB_ACCOUNT:
            found = "Servers would have the hub's own account, which starts and deletes everybody's pods."
            fix = "Name another, with no more rights than servers need, or delete it."
            report(document, path, "extra", found, fix)


def check_pod_level(document: Document, site: Site) -> None:
    """What `extra` adds to pods keeps them at *restricted*, where the site's own keys leave them."""
    kubernetes = settings_of(site, Kubernetes)
    for name, look in _LEVELS.items():
        trait = f"KubeSpawner.{name}"
        for place in dict.fromkeys(look(site.extra.get(trait))):
            path: KeyPath = ("extra", trait, *place)
            if any(path[: len(each.path)] == each.path for each in document.problems if each.rule == "extra"):
                continue
            shown = ".".join(map(str, (name, *place)))
            document.report(
                document.key_mark(path),
                path,
                "pod-level",
                f"{shown} takes servers below Kubernetes' pod security level *restricted*.",
                "Delete it, or see docs/kubernetes.md for what that level asks of a container.",
            )
    if site.extra.get("KubeSpawner.privileged"):
        trait = "KubeSpawner.privileged"
        if kubernetes.start_as_root and not site.servers.security.no_new_privileges:
            found = "Servers have all rights of root on their node."
            report(document, ("extra", trait), "pod-level", found, "Delete it.")
        else:
            found = "A privileged server starts as root and may gain privileges."
            fix = (
                "Delete it, or set orchestrator.kubernetes.start_as_root: true and "
                "servers.security.no_new_privileges: false as well."
            )
            report(document, ("extra", trait), "extra", found, fix)


HUB_ACCOUNT = "hub"
"""The hub's service account in Kubernetes, as the chart and Zero to JupyterHub name it."""

_LEVELS: Mapping[str, Callable[[object], Iterator[Place]]] = {
    "extra_pod_config": pod_below_restricted,
    "extra_container_config": container_below_restricted,
    "init_containers": containers_below_restricted,
    "extra_containers": containers_below_restricted,
}
