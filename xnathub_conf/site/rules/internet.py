"""Rules of `servers.internet` and `servers.reachable`."""

import ipaddress
import re

from xnathub_conf.site.chosen import engine_of
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.addresses import host_name
from xnathub_conf.values.reachable import Network, Reachable

_HERE: KeyPath = ("servers", "internet")
_LIST: KeyPath = ("servers", "reachable")


def check_internet(document: Document, site: Site) -> None:
    """What servers may reach is written as such, and only where they are kept from the rest."""
    servers = site.servers
    entries: dict[int, Reachable] = {}
    for index, entry in enumerate(servers.reachable):
        try:
            entries[index] = Reachable([entry])
        except ValueError:
            found = f"{entry} is no name, address or network."
            fix = "Write one such as pypi.org, .example.org or 10.0.0.0/24."
            report(document, (*_LIST, index), "internet", found, fix)
        else:
            _width(document, index, entry.lower(), entries[index])
    for version in (ipaddress.IPv4Network, ipaddress.IPv6Network):
        every = [each for entry in entries.values() for each in entry.networks if isinstance(each, version)]
        if any(each.prefixlen == 0 for each in ipaddress.collapse_addresses(every)):  # type: ignore[type-var]
            found = "Together it is every address, so servers reach the internet."
            report(document, _LIST, "internet", found, "Write the networks that are meant.")
    if servers.internet == "all":
        if servers.reachable:
            found = "It has no effect: servers reach everything."
            report(document, _LIST, "internet", found, "Set `internet: none`, or delete it.")
        return
    if kind_of(site).own_processes:
        found = "It has no effect: local servers are the hub's own processes."
        report(document, _HERE, "internet", found, "Delete it.")


def check_own_networks(document: Document, site: Site) -> None:
    """Servers of Docker's without the internet have networks of their own, and no other proxy."""
    engine, servers = engine_of(site), site.servers
    if servers.internet == "all":
        return
    if not engine.server_networks:
        found = "Servers share the hub's network, which has a way out."
        fix = f"Set orchestrator.{engine.key}.server_networks, such as 20."
        report(document, _HERE, "internet", found, fix)
    elif servers.http_proxy:
        found = "Servers without the internet have the rendered file's own proxy, and no other."
        fix = "Delete it, and list in `reachable` what servers need."
        report(document, ("servers", "http_proxy"), "internet", found, fix)


def check_policies(document: Document, site: Site) -> None:
    """Kubernetes' network policies, which know addresses alone, let servers without the internet reach XNAT."""
    servers = site.servers
    if servers.internet == "all":
        return
    for index, entry in enumerate(servers.reachable):
        if _is_name(entry):
            found = "Kubernetes' network policies know addresses alone."
            report(
                document, (*_LIST, index), "internet", found, "Write its address or network, without a port."
            )
    if not servers.reachable and not _is_address(site.xnat.url):
        found = "Servers could not reach XNAT: Kubernetes' network policies know no names."
        fix = "Write XNAT's address into `reachable`; for one in the cluster, the network of its pods."
        report(document, _HERE, "internet", found, fix)


def _is_name(entry: str) -> bool:
    try:
        return not Reachable([entry]).networks
    except ValueError:
        return False


_METADATA = tuple(map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")))
"""Where clouds tell whoever asks what the node may do: OpenStack and all large ones, and Amazon's containers."""

_NAMES_OF_METADATA = re.compile(r"(.*\.)?(metadata\.google\.internal|google\.internal|instance-data)")
_INSIDE = frozenset(
    [
        "corp",
        "example",
        "home",
        "intern",
        "internal",
        "intra",
        "intranet",
        "invalid",
        "lan",
        "local",
        "localdomain",
        "localhost",
        "private",
        "test",
    ]
)
"""Domains that nobody registers, below which sites name their own machines."""

_WIDE_BITS = 8


def _width(document: Document, index: int, entry: str, reachable: Reachable) -> None:
    """Report an entry that lets servers reach what the node may do, or more than somebody can have meant."""
    path = (*_LIST, index)
    host, _, port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
    if port and not 1 <= int(port) <= 65535:
        report(document, path, "internet", f"There is no port {port}.", "Write one from 1 to 65535, or none.")
    elif any(
        address in network for address in _METADATA for network in _networks(host)
    ) or _NAMES_OF_METADATA.fullmatch(host.lstrip(".")):
        if not any(network.prefixlen == 0 for network in reachable.networks):
            found = f"At {entry} clouds tell whoever asks what the node may do, and hand out its credentials."
            report(document, path, "internet", found, "Delete it, or write networks without it.")
    elif any(network.prefixlen < _WIDE_BITS for network in reachable.networks if network.prefixlen):
        found = f"{entry} is a large part of the internet."
        report(document, path, "wide-reach", found, "Write the networks that are meant.")
    elif host.startswith(".") and _of_anybody(host[1:]):
        found = f"Anybody can have a name below {host}, and data can leave by it."
        report(document, path, "wide-reach", found, f"Write whose names are meant, such as .example{host}.")


def _networks(host: str) -> list[Network]:
    try:
        return Reachable([host]).networks
    except ValueError:
        return []


def _of_anybody(domain: str) -> bool:
    """Return whether a domain is one of all that register there: `org`, or `ac.uk` and the like."""
    *above, last = domain.split(".")
    if not above:
        return last not in _INSIDE
    return (
        len(above) == 1
        and len(last) == 2
        and above[0] in {"ac", "co", "com", "edu", "gov", "net", "or", "org"}
    )


def _is_address(url: str) -> bool:
    try:
        return bool(Reachable([host_name(url)]).networks)
    except ValueError:
        return False
