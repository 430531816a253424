"""Rules of `servers.internet` and `servers.reachable`."""

from xnathub_conf.site.chosen import engine_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Kubernetes, Local, Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.addresses import host_name
from xnathub_conf.values.reachable import Reachable

_HERE: KeyPath = ("servers", "internet")
_LIST: KeyPath = ("servers", "reachable")


def check_internet(document: Document, site: Site) -> None:
    """Servers without the internet have networks that can keep them from it, and reach XNAT all the same."""
    servers = site.servers
    entries: dict[int, Reachable] = {}
    for index, entry in enumerate(servers.reachable):
        try:
            entries[index] = Reachable([entry])
        except ValueError:
            found = f"{entry} is no name, address or network."
            fix = "Write one such as pypi.org, .example.org or 10.0.0.0/24."
            report(document, (*_LIST, index), "internet", found, fix)
    if servers.internet == "all":
        if servers.reachable:
            found = "It has no effect: servers reach everything."
            report(document, _LIST, "internet", found, "Set `internet: none`, or delete it.")
        return
    engine = engine_of(site)
    if isinstance(site.orchestrator, Local):
        found = "It has no effect: local servers are the hub's own processes."
        report(document, _HERE, "internet", found, "Delete it.")
    elif engine and not engine.server_networks:
        found = "Servers share the hub's network, which has a way out."
        fix = f"Set orchestrator.{site.orchestrator.key}.server_networks, such as 20."
        report(document, _HERE, "internet", found, fix)
    elif engine and servers.http_proxy:
        found = "Servers without the internet have the rendered file's own proxy, and no other."
        fix = "Delete it, and list in `reachable` what servers need."
        report(document, ("servers", "http_proxy"), "internet", found, fix)
    elif isinstance(site.orchestrator, Kubernetes):
        for index, each in entries.items():
            if not each.networks:
                found = "Kubernetes' network policies know addresses alone."
                report(document, (*_LIST, index), "internet", found, "Write its address or network.")
        if not servers.reachable and not _is_address(site.xnat.url):
            found = "Servers could not reach XNAT: Kubernetes' network policies know no names."
            fix = "Write XNAT's address into `reachable`; for one in the cluster, the network of its pods."
            report(document, _HERE, "internet", found, fix)


def _is_address(url: str) -> bool:
    try:
        return bool(Reachable([host_name(url)]).networks)
    except ValueError:
        return False
