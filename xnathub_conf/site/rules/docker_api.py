"""Rules of what is reached by Docker's API, one engine or a swarm."""

import ipaddress

from xnathub_conf.site.chosen import engine_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.schema import node_at
from xnathub_conf.site.types import Site, Swarm
from xnathub_conf.site.yaml_source import Document

_LEAST_ADDRESSES = 16
"""Docker itself takes some: the network's ends, its gateway, and one for each node."""

_PRIVATE = tuple(
    map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
)
"""Ranges of addresses that nobody has in the internet (RFC 1918 and 6598)."""


def check_docker(document: Document, site: Site) -> None:
    """TLS and the address of the engine fit together, and a subnet is one."""
    docker = engine_of(site)
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
    if not remote and site.hub.gid == (node_at(("hub", "gid")) or {}).get("default"):
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
            if not any(network.subnet_of(each) for each in _PRIVATE):
                found = "Others have these addresses in the internet, and servers don't reach them any more."
                fix = "Write a private range, such as 10.20.0.0/20."
                report(document, ("orchestrator", "swarm", "subnet"), "public-subnet", found, fix)
            return
        found = f"Expected the first address of a range, and room for {_LEAST_ADDRESSES} or more."
        fix = f"Write {network}."
    report(document, ("orchestrator", "swarm", "subnet"), "address", found, fix)
