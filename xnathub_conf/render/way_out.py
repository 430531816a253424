"""The container through which servers without the internet reach XNAT, and what else the site lists."""

from typing import Any
from urllib.parse import urlsplit

from xnathub_conf.render.hub_container import literal, networks_of_servers
from xnathub_conf.site.networks import WAY_OUT_HOST, WAY_OUT_PORT
from xnathub_conf.site.types import Docker, Site, Swarm
from xnathub_conf.values.addresses import host_name

_LISTENS = f"import socket; socket.create_connection(('127.0.0.1', {WAY_OUT_PORT}), 4).close()"
_PORTS = {"https": 443, "http": 80}


def way_out_services(site: Site, image: str, engine: Docker | Swarm, **more: object) -> dict[str, Any]:
    """Return the service by its name; none where servers reach everything. `more` is what differs between Swarm and one engine."""
    if site.servers.internet == "all":
        return {}
    names = {
        "extra_hosts": [f"{name}:{address}" for name, address in site.servers.hosts.items()],
        "dns": list(engine.dns),
    }
    service = {
        "image": image,
        "command": ["python3", "-m", "xnathub_conf.proxy.way_out", *map(literal, _entries(site))],
        "hostname": WAY_OUT_HOST,
        "user": f"{site.hub.uid}:{site.hub.uid}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "init": True,
        **{name: value for name, value in names.items() if value},
        "networks": {
            "jupyter": {},
            **{name: {"aliases": [WAY_OUT_HOST]} for name in networks_of_servers(site)},
        },
        "healthcheck": {
            "test": ["CMD", "python3", "-c", _LISTENS],
            "interval": "5s",
            "timeout": "5s",
            "start_period": "20s",
            "retries": 6,
        },
        **more,
    }
    return {WAY_OUT_HOST: service}


def _entries(site: Site) -> list[str]:
    """Return what it lets through: XNAT at its own port, and the site's list."""
    found = []
    for address in filter(None, (site.xnat.url, site.xnat.public_url)):
        url = urlsplit(address)
        name = host_name(address)
        host = f"[{name}]" if ":" in name else name
        found.append(f"{host}:{url.port or _PORTS[url.scheme]}")
    return list(dict.fromkeys([*found, *site.servers.reachable]))
