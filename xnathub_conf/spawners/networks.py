"""Which network a user's servers are on, where they have networks of their own (`server_networks`)."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import docker
from docker.tls import TLSConfig

from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.site.networks import server_networks
from xnathub_conf.site.types import Docker, Swarm

_CALL_SECONDS = 20


class Networks:
    """Who is given which network: as the labels of what runs say, and for starts that are not so far yet."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._starting: Counter[tuple[str, str]] = Counter()
        self._choosing = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def chosen(self, user: str, running: Any) -> AsyncIterator[str]:
        """Return a user's network for the time of a start.

        `running` asks for what runs, as pairs of network and user. Raises LaunchFailed where all networks are others'.
        """
        async with self._choosing:
            taken = set(await running()) | set(self._starting)
            mine = next((network for network, who in taken if who == user and network in self._names), None)
            others = {network for network, _ in taken}
            network = mine or next((name for name in self._names if name not in others), None)
            if network is None:
                raise LaunchFailed(
                    "networks",
                    f"Servers of {len(self._names)} people run, and there is no network for those of one more.",
                    "Try again when others have stopped theirs. XNAT's administrator: site.yaml: server_networks.",
                    status=503,
                )
            self._starting[network, user] += 1
        try:
            yield network
        finally:
            self._starting[network, user] -= 1
            # A Counter keeps what has come down to nothing.
            self._starting += Counter()


def subnets(settings: Docker | Swarm) -> list[str]:
    """Return the ranges of addresses of the servers' own networks, as the engine tells them. Raises DockerException."""
    names = server_networks(settings)
    if not names:
        return []
    options: dict[str, Any] = {"base_url": settings.docker_host, "timeout": _CALL_SECONDS}
    if tls := settings.tls:
        options["tls"] = TLSConfig(
            client_cert=(tls.client_cert, tls.client_key), ca_cert=tls.ca_cert, verify=tls.verify
        )
    client = docker.APIClient(version="auto", **options)
    try:
        found = [client.inspect_network(name) for name in names]
    finally:
        client.close()
    return [each["Subnet"] for network in found for each in network["IPAM"]["Config"] or ()]
