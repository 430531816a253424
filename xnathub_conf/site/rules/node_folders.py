"""Rules of what a node would give away: no mount hands servers the node itself, the hub's secrets, or everybody's files."""

import re
from collections.abc import Iterator

from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.problems import KeyPath, dotted
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.schema import secrets_in
from xnathub_conf.site.types import Kubernetes, Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.paths import fixed_part, prefixes

_NODE = (
    "/dev", "/proc", "/root", "/sys",
    "/etc/shadow", "/etc/docker", "/etc/gshadow", "/etc/kubernetes", "/etc/ssh", "/etc/sudoers", "/etc/sudoers.d",
    "/run/containerd", "/run/cri-dockerd.sock", "/run/crio", "/run/dbus", "/run/docker", "/run/docker.sock", "/run/k3s", "/run/podman",
    "/run/systemd", "/run/user",
    "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/etcd", "/var/lib/kubelet", "/var/lib/libvirt",
    "/var/lib/lxd", "/var/lib/rancher", "/var/snap/docker",
)  # fmt: skip
"""What makes whoever has it, or what it lies in, or what lies in it, root on the node, or shows what root alone may see."""

_SECRETS = "/run/secrets"
_SOCKET = re.compile(
    r"(docker|containerd|crio|cri-dockerd|dockershim|buildkitd|podman|kubelet|libvirt-sock)(\.sock)?"
)
"""What the sockets of engines are called, wherever they are."""

_OF_THE_NODES_OWN = frozenset(("/home", "/srv", "/tmp", "/var/log", "/var/spool", "/var/tmp"))  # noqa: S108 - the node's
_HUBS_VOLUMES = frozenset(("hub-db-dir", "xnathub_data", "xnathub_database"))
"""The volumes and the claim that rendered files and the chart make for the hub and its database."""

_IN_A_VOLUME = re.compile(r"/var/lib/(?:docker|containers/storage)/volumes/([^/{}]+)/_data(?:/.*)?")
"""A folder of one volume, which XNAT can only name by its path, and which holds nothing else of the engine's."""

_USER = "{username}"


def check_node_folders(document: Document, site: Site) -> None:
    """What servers are given of the node neither makes them its root, nor shows them secrets or the files of others."""
    on_node = kind_of(site).mounts_of_node
    for path, source in _sources(site):
        volume = _IN_A_VOLUME.fullmatch(source)
        if (volume[1] if volume else source) in _HUBS_VOLUMES:
            found = f"{source} is the hub's own volume, with its database and the key that signs its cookies."
            report(document, path, "hub-secret", found, "Name a volume of its own for servers.")
        elif source.startswith("/") and on_node and not volume:
            _of_the_node(document, site, path, source)
    _everybodys(document, site)


def check_claim_names(document: Document, site: Site) -> None:
    """No claim of servers is one of the hub's own."""
    for number, claim in enumerate(settings_of(site, Kubernetes).claims):
        if claim.claim_name in _HUBS_VOLUMES:
            found = f"{claim.claim_name} is the hub's own volume, with its database and the key that signs its cookies."
            path = ("orchestrator", "kubernetes", "claims", number, "claim_name")
            report(document, path, "hub-secret", found, "Name a volume of its own for servers.")


def _sources(site: Site) -> Iterator[tuple[KeyPath, str]]:
    servers = site.servers
    for number, allowed in enumerate(servers.allowed_mounts):
        yield ("servers", "allowed_mounts", number, "path"), allowed.path
    for number, mount in enumerate(servers.mounts):
        yield ("servers", "mounts", number, "source"), mount.source
    if servers.ca_file:
        yield ("servers", "ca_file"), servers.ca_file


def _of_the_node(document: Document, site: Site, path: KeyPath, source: str) -> None:
    place = re.sub("^/var/run(?=/|$)", "/run", source)
    fix = "Put what servers need into a folder of its own, such as /opt/site-software, and name that."
    for each in (*_NODE, *kind_of(site).sockets(site.orchestrator)):
        if _meet(place, each):
            parts, theirs = place.split("/"), each.split("/")
            if _USER in parts[: len(theirs)]:
                whole = "/".join(theirs[: len(parts)])
                found = (
                    f"Whoever is called {theirs[parts.index(_USER)]} in XNAT would have {whole} of the node."
                )
            else:
                found = f"With {each} servers would have the node itself."
            report(document, path, "node-itself", found, fix)
            return
    if _SOCKET.fullmatch(place.rpartition("/")[2]):
        report(document, path, "node-itself", f"With {source} servers would have the node itself.", fix)
        return
    for key, secret in secrets_in(site):
        if secret.kind == "file" and _holds(source, secret.where):
            found = f"Servers would have the hub's secret {dotted(key)}, which is in {secret.where}."
            report(document, path, "hub-secret", found, "Name another folder, or keep the secret elsewhere.")
            return
    if _meet(place, _SECRETS):
        found = f"Servers would have what is in {_SECRETS}, where engines put secrets."
        report(document, path, "hub-secret", found, fix)
    elif source in _OF_THE_NODES_OWN:
        found = f"{source} holds what people and programs of the node itself keep there."
        report(document, path, "node-folder", found, "Name the folder in it that servers need.")


def _meet(one: str, other: str) -> bool:
    """Return whether one of two paths is, holds or lies in the other, for one user at least."""
    return all(part in {its, _USER} for part, its in zip(one.split("/"), other.split("/"), strict=False))


def _holds(folder: str, file: str) -> bool:
    return _meet(folder, file) and folder.count("/") <= file.count("/")


def _everybodys(document: Document, site: Site) -> None:
    """Report mounts with which all servers have what XNAT's mounts show each user a part of."""
    for number, mount in enumerate(site.servers.mounts):
        if mount.projects or _USER in mount.source:
            continue
        for allowed in site.servers.allowed_mounts:
            if mount.source in prefixes(fixed_part(allowed.path)):
                found = f"Every server would have all of {mount.source}, of which XNAT shows each user what they may see."
                fix = "Name a folder beside it, or say with `projects` whose servers get it."
                report(document, ("servers", "mounts", number, "source"), "everybodys-data", found, fix)
                break
