"""The networks of a Docker engine or a swarm that servers have for themselves."""

from typing import Any

from xnathub_conf.site.types import Docker, Swarm

WAY_OUT_HOST, WAY_OUT_PORT = "way-out", 3128
"""Where servers without the internet find the rendered file's own proxy to XNAT, and what else they may reach."""


def network_options(settings: Docker | Swarm) -> dict[str, Any]:
    """Return what the site says of each of its networks, as in a compose or stack file; nothing where it says nothing."""
    options = {}
    if settings.mtu:
        options["com.docker.network.driver.mtu"] = str(settings.mtu)
    if isinstance(settings, Swarm) and settings.encrypted:
        options["encrypted"] = ""
    return {"driver_opts": options} if options else {}


def server_networks(settings: Docker | Swarm) -> list[str]:
    """Return the names of the networks that servers are on, each for one user at a time; none where all share the hub's."""
    return [f"{settings.network_name}-{number}" for number in range(1, settings.server_networks + 1)]
