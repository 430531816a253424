"""Rules of orchestrators."""

import ipaddress

from xnathub_conf.site.chosen import engine_of, settings_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import is_normal, report, written
from xnathub_conf.site.schema import node_at
from xnathub_conf.site.types import Kubernetes, Site, Swarm
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.paths import (
    fixed_part,
    prefixes,
)

_USUAL_GID = (node_at(("hub", "gid")) or {}).get("default")
_LEAST_ADDRESSES = 16
"""Docker itself takes some: the network's ends, its gateway, and one for each node."""


def check_docker(document: Document, site: Site) -> None:
    """TLS and the address of the engine fit together, and a subnet is one."""
    docker = engine_of(site)
    if docker is None:
        return
    here: KeyPath = ("orchestrator", site.orchestrator.key)
    remote = docker.docker_host.startswith("tcp:")
    if docker.tls and not remote:
        report(
            document,
            (*here, "tls"),
            "tls-on-socket",
            "A socket has no TLS.",
            "Set `docker_host` to tcp://host:2376, or delete `tls`.",
        )
    if remote and not docker.tls:
        report(
            document,
            (*here, "docker_host"),
            "unencrypted-engine",
            "Who reaches this address is root on the node.",
            "Add `tls`.",
        )
    if not remote and site.hub.gid == _USUAL_GID:
        report(
            document,
            ("hub", "gid"),
            "socket-group",
            f"{site.hub.gid}, the default, is hardly ever the group that may use Docker's socket.",
            f"Write the group that owns it: stat -c %g {docker.docker_host.removeprefix('unix://')}",
        )
    if isinstance(docker, Swarm) and docker.subnet:
        _subnet(document, docker.subnet)


def _subnet(document: Document, subnet: str) -> None:
    try:
        network = ipaddress.IPv4Network(subnet, strict=False)
    except ValueError:
        found = "It is no range of IPv4 addresses."
        fix = "Write one such as 10.20.0.0/20."
    else:
        if network.num_addresses < _LEAST_ADDRESSES:
            network = network.supernet(new_prefix=20)
        if str(network) == subnet:
            return
        found = f"Expected the first address of a range, and room for {_LEAST_ADDRESSES} or more."
        fix = f"Write {network}."
    report(document, ("orchestrator", "swarm", "subnet"), "address", found, fix)


def check_kubernetes(document: Document, site: Site) -> None:
    """Claims hold every allowed mount, and tolerations and time limits are consistent."""
    kubernetes = settings_of(site, Kubernetes)
    if kubernetes is None:
        return
    here: KeyPath = ("orchestrator", "kubernetes")
    seen: set[str] = set()
    for index, claim in enumerate(kubernetes.claims):
        path: KeyPath = (*here, "claims", index, "path")
        if is_normal(document, path, claim.path) and claim.path in seen:
            report(document, path, "claim", "Another claim holds the same path.", "Delete one of them.")
        seen.add(claim.path)
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
