"""The networks of a Docker engine or a swarm that servers have for themselves."""

from xnathub_conf.site.types import Docker, Swarm


def server_networks(settings: Docker | Swarm) -> list[str]:
    """Return the names of the networks that servers are on, each for one user at a time; none where all share the hub's."""
    return [f"{settings.network_name}-{number}" for number in range(1, settings.server_networks + 1)]
