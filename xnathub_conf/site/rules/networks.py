"""Rules of the networks that servers are on, and of keys that an orchestrator has no use for."""

from xnathub_conf.site.chosen import engine_of
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.networks import server_networks
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Docker, Site
from xnathub_conf.site.yaml_source import Document

_ENGINE_NETWORKS = 31
"""For so many networks one engine has addresses where its daemon.json names no pools of its own."""
_BESIDE = 3
"""Docker's own bridge, the network that all share, and that of hub and proxy."""
_DOCKERS_OWN = {"host", "none", "bridge", "ingress", "docker_gwbridge", "default"}
_OF_THE_STACK = ("_control", "xnathub_database")
"""How the names of networks end that the rendered file makes for hub, proxy and database alone."""


def check_networks(document: Document, site: Site) -> None:
    """Further networks go round no rule of the others, and an engine has addresses for all."""
    engine = engine_of(site)
    above: KeyPath = ("orchestrator", engine.key)
    here = (*above, "networks")
    ours = {engine.network_name, *server_networks(engine)}
    for index, name in enumerate(engine.networks):
        path = (*here, index)
        if name in ours or name.endswith(_OF_THE_STACK):
            found = f"{name} is one of the hub's own networks, which servers are on as other keys say, or not at all."
            report(document, path, "networks", found, "Delete it.")
        elif name in _DOCKERS_OWN:
            found = f"{name} is Docker's own, and no place for servers."
            report(document, path, "networks", found, "Make a network, and name that.")
    if engine.networks and site.servers.internet == "none":
        found = "A network that the rendered file does not make may have a way out."
        fix = "Delete it, and list in servers.reachable what servers need; or set servers.internet: all."
        report(document, here, "networks", found, fix)
    elif engine.networks and engine.server_networks:
        found = "Servers of all users meet there, each within reach of the others, whatever server_networks parts."
        fix = "Name only networks on which that may be, or reach what is there by another way."
        report(document, here, "meeting-network", found, fix)
    if isinstance(engine, Docker) and engine.server_networks > _ENGINE_NETWORKS - _BESIDE:
        found = f"One engine has addresses for {_ENGINE_NETWORKS} networks, unless its daemon.json says otherwise."
        fix = (
            f"Write {_ENGINE_NETWORKS - _BESIDE} or less, or see that `default-address-pools` has more; then "
            "--ignore address-pools leaves this out."
        )
        report(document, (*above, "server_networks"), "address-pools", found, fix)


def check_effects(document: Document, site: Site) -> None:
    """What only an engine can do is asked of one."""
    here: KeyPath = ("servers", "image_health_checks")
    if site.servers.image_health_checks and not kind_of(site).health_checks:
        found = "It has no effect: only Docker does the health checks that images bring along."
        report(document, here, "no-effect", found, "Delete it.")
    servers = site.servers
    for name in kind_of(site).unused:
        # Some have a default, which nobody has asked for.
        if document.data["servers"].get(name):
            found = f"It has no effect: {kind_of(site).name} can't have it."
            report(document, ("servers", name), "unused-here", found, "Delete it.")
    _check_ways_out(document, site)
    if (
        servers.no_proxy
        and not servers.http_proxy
        and not (kind_of(site).own_way_out and servers.internet == "none")
    ):
        found = "It has no effect: servers reach everything directly."
        report(document, ("servers", "no_proxy"), "no-effect", found, "Delete it, or write `http_proxy`.")
    if site.hub.named_server_limit_per_user and not site.hub.allow_named_servers:
        found = "It has no effect: servers have no names."
        report(document, ("hub", "named_server_limit_per_user"), "no-effect", found, "Delete it.")


_PROXY_VARIABLES = {"http_proxy", "https_proxy", "no_proxy"}


def _check_ways_out(document: Document, site: Site) -> None:
    """Report what undoes `http_proxy`."""
    servers = site.servers
    if not servers.http_proxy:
        return
    if "*" in servers.no_proxy:
        found = "With `*` nothing goes through `http_proxy`."
        where: KeyPath = ("servers", "no_proxy", servers.no_proxy.index("*"))
        report(document, where, "no-effect", found, "Delete it, or delete `http_proxy`.")
    for name in servers.environment:
        if name.lower() in _PROXY_VARIABLES:
            found = f"{name} takes the place of what `http_proxy` and `no_proxy` come to."
            fix = "Delete it, or delete `http_proxy`."
            report(document, ("servers", "environment", name), "two-ways-out", found, fix)
