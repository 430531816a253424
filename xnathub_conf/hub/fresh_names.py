"""Addresses of names as they are now, for what the hub calls."""

import socket

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult


class FreshNames(AbstractResolver):
    """Asks the system each time.

    What aiohttp takes by itself, aiodns, keeps a container's address for the ten minutes that Docker's answer allows:
    a proxy that has started anew would be looked for where the old one was.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises OSError where it has none."""
        return await ThreadedResolver().resolve(host, port, family)

    async def close(self) -> None:
        """Release nothing: nothing is kept."""
