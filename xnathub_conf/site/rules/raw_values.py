"""Rules of `extra`'s values: those that a trait takes, and with which the hub or its servers would be worse off."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from xnathub_conf.site.check import found as shown
from xnathub_conf.site.problems import KeyPath, sounds_secret
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.schema import jupyterhub_names
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document

_CENTURY = 100 * 365 * 86400
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "active_server_limit": (0, 10**6), "active_user_window": (1, _CENTURY), "activity_resolution": (0, 86400), "api_page_default_limit": (1, 10**6),
    "check_running_interval": (1, 3600), "command_umask": (0, 0o777), "concurrency": (1, 10**4), "consecutive_failure_limit": (0, 10**6),
    "cookie_max_age_days": (0.01, 36500), "delete_grace_period": (0, 3600), "implicit_spawn_seconds": (0, 86400), "init_spawners_timeout": (-1, 86400),
    "k8s_api_request_retry_timeout": (1, 3600), "k8s_api_request_timeout": (1, 3600), "last_activity_interval": (1, 86400),
    "oauth_token_expires_in": (60, _CENTURY), "poll_interval": (0, 86400), "port": (0, 65535), "slow_spawn_message_frequency": (1, 86400),
    "slow_spawn_message_threshold": (0, 86400),
}  # fmt: skip
"""The least and the most of numbers: with less or more nobody could sign in, no server start, or the hub not be asked."""

_OVER_OTHERS = re.compile(
    r"admin-ui|admin:[a-z_]+|access:servers|(delete|start):[a-z]+|groups(:shares)?|inherit|proxy|servers|shares|shutdown|tokens|users(:[a-z]+)?"
)
"""Scopes that, without a filter, are for more than one's own."""

_PARTS_OF_THE_HUB = {"hub", "proxy"}
_COMPONENT = "component"


def check_extra_values(document: Document, site: Site) -> None:
    """Values of `extra` are such that people can sign in, servers start, and secrets stand elsewhere."""
    names = jupyterhub_names()["traits"]
    for trait, value in site.extra.items():
        path: KeyPath = ("extra", trait)
        if any(each.path[:2] == path and each.severity == "error" for each in document.problems):
            continue
        class_name, _, name = trait.partition(".")
        if name.endswith("_hook") and value is not None and not names.get(class_name, {}).get(name):
            found = f"Found {shown(document.data['extra'][trait], path)}; expected Python code, which a site file can't hold."
            report(document, path, "extra", found, "Delete it.")
        elif name in _BOUNDS and isinstance(value, int | float) and not isinstance(value, bool):
            least, most = _BOUNDS[name]
            if not least <= value <= most:
                found = f"Found {value}; expected a number from {least} to {most}."
                report(document, path, "minimum" if value < least else "maximum", found, "Write one within.")
        for place in _secrets(path, value):
            fix = (
                "Delete it: the hub and its proxy agree on one of their own." if name == "auth_token" else ""
            )
            report(document, place, "literal-secret", "A secret stands in the file itself.", fix)
    if site.extra.get("JupyterHub.subdomain_host") and not site.hub.user_subdomains:
        found = "JupyterHub's own way leaves XNAT's button without effect; `hub.user_subdomains` is ours."
        fix = "Use `hub.user_subdomains`."
        report(document, ("extra", "JupyterHub.subdomain_host"), "use-key", found, fix)
    if site.extra.get("JupyterHub.authenticate_prometheus") is False:
        found = "Whoever reaches the hub reads its metrics, which tell how many work when."
        fix = "Use `hub.metrics_token`."
        report(document, ("extra", "JupyterHub.authenticate_prometheus"), "use-key", found, fix)
    scopes = site.extra.get("JupyterHub.extra_user_scopes")
    for index, scope in enumerate(scopes if isinstance(scopes, tuple | list) else ()):
        if _OVER_OTHERS.fullmatch(str(scope)):
            found = f"With {scope} everybody may do to everybody else's servers and accounts what it is for."
            fix = f"Write {scope}!user, or give it to some in `hub.roles`."
            report(document, ("extra", "JupyterHub.extra_user_scopes", index), "less-protected", found, fix)


def check_pod_values(document: Document, site: Site) -> None:
    """Labels and containers that `extra` adds to pods leave servers what network policies know them by."""
    _labels(document, site)
    _containers(document, site)


def _secrets(path: KeyPath, value: object) -> Iterator[KeyPath]:
    """Yield where secrets stand: in what is called so, however deep, and as the names of services' tokens."""
    if isinstance(value, Mapping):
        if path[-1] == "JupyterHub.service_tokens" and value:
            yield path
        for key, below in value.items():
            yield from _secrets((*path, str(key)), below)
    elif isinstance(value, tuple | list):
        for index, below in enumerate(value):
            yield from _secrets((*path, index), below)
    elif isinstance(value, str) and value and sounds_secret(str(path[-1]).rpartition(".")[2]):
        yield path


def _labels(document: Document, site: Site) -> None:
    """Report labels by which network policies would take a server for something else."""
    labels: dict[KeyPath, tuple[str, object]] = {}
    for trait in ("KubeSpawner.extra_labels", "KubeSpawner.common_labels"):
        given = site.extra.get(trait)
        for key, value in given.items() if isinstance(given, Mapping) else ():
            labels["extra", trait, key] = key, value
    trait = "KubeSpawner.component_label"
    if trait in site.extra:
        labels["extra", trait] = _COMPONENT, site.extra[trait]
    for path, (key, value) in labels.items():
        if not isinstance(value, str):
            form = "text, in quotes where it looks like a number or a truth value"
            report(document, path, "extra", f"Found {shown(_given(document, path), path)}; expected {form}.")
        elif key.rpartition("/")[2] == _COMPONENT and value in _PARTS_OF_THE_HUB:
            found = f"Network policies would take servers for the {value}, and let them reach what it may."
            report(document, path, "extra", found, "Delete it.")
        elif key.startswith("hub.jupyter.org/network-access-"):
            found = f"{key} lets servers reach what is for the hub's own parts."
            report(document, path, "extra", found, "Delete it.")
        elif key == _COMPONENT and value != "singleuser-server":
            found = (
                f"Network policies know servers by {key}: singleuser-server, and keep others from nothing."
            )
            report(document, path, "less-protected", found, "Delete it, or write policies of your own.")


def _given(document: Document, path: KeyPath) -> object:
    """Return what the file holds at a path."""
    value: Any = document.data
    for part in path:
        value = value[part]
    return value


def _containers(document: Document, site: Site) -> None:
    trait = "KubeSpawner.extra_containers"
    containers = site.extra.get(trait) or ()
    if isinstance(containers, tuple | list):
        containers = dict(enumerate(containers))
    for place, container in containers.items() if isinstance(containers, Mapping) else ():
        name = container.get("name") if isinstance(container, Mapping) else None
        if name == "notebook":
            found = "A server's own container is called notebook, and Kubernetes takes no two of one name."
            report(document, ("extra", trait, place, "name"), "extra", found, "Give it another name.")
