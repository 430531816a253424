"""The way out of servers on networks that have none (`servers.internet: none`): a proxy that lets through what is listed.

    python3 -m xnathub_conf.proxy.way_out ENTRY...

It listens at port 3128. It looks into nothing: what is encrypted stays so.
"""

import asyncio
import contextlib
import ipaddress
import re
import socket
import sys
from urllib.parse import urlsplit

from xnathub_conf.values.reachable import Reachable

PORT = 3128

_HEAD_SECONDS = 20
_CONNECT_SECONDS = 20
_IDLE_SECONDS = 3600
_MOST_CONNECTIONS = 4000
_MOST_HEAD = 64 * 1024
_CHUNK = 64 * 1024
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")


class _Refused(Exception):
    """A request that is answered with this status, and why."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status


class WayOut:
    """The proxy, for a list of what may be reached."""

    def __init__(self, reachable: Reachable) -> None:
        self._reachable = reachable
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection to its end."""
        self._open += 1
        try:
            await self._take(reader, writer)
        except _Refused as refused:
            client = (writer.get_extra_info("peername") or ("?",))[0]
            print(f"{refused.status[:3]} for {client}: {refused}", file=sys.stderr, flush=True)
            text = f"{refused}\n".encode()
            head = f"HTTP/1.1 {refused.status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
            with contextlib.suppress(OSError):
                writer.write(head.encode() + text)
                await asyncio.wait_for(writer.drain(), _HEAD_SECONDS)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open -= 1
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open > _MOST_CONNECTIONS:
            raise _Refused("503 Service Unavailable", "Too many connections are open.")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
        host, port, first, answer = _asked(head)
        there, back = await self._connect(host, port)
        try:
            back.write(first)
            writer.write(answer)
            await _both_ways((reader, back), (there, writer))
        finally:
            back.close()

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        by_name = self._reachable.allows_name(host, port)
        refused = _Refused(
            "403 Forbidden",
            f"{host}:{port} is not among what servers may reach (site.yaml: servers.reachable).",
        )
        if not by_name and not self._reachable.networks:
            raise refused
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                loop = asyncio.get_running_loop()
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                addresses = [
                    str(each[4][0])
                    for each in found
                    if (by_name and not _of_the_link(str(each[4][0])))
                    or self._reachable.allows_address(str(each[4][0]))
                ]
                if not addresses:
                    raise refused
                return await _first(addresses, port)
        except (OSError, TimeoutError) as error:
            raise _Refused(
                "502 Bad Gateway", f"{host}:{port} can't be reached: {error or 'it does not answer'}."
            ) from None


def _of_the_link(address: str) -> bool:
    """Return whether an address is one such as clouds tell at what the node may do; whoever owns a name could lead it there."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return (getattr(found, "ipv4_mapped", None) or found).is_link_local


async def _first(addresses: list[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first of the addresses that answers. Raises OSError where none does."""
    for last, address in enumerate(addresses, 1 - len(addresses)):
        try:
            return await asyncio.open_connection(address, port)
        except OSError:
            if last == 0:
                raise
    raise OSError("no address")


def _asked(head: bytes) -> tuple[str, int, bytes, bytes]:
    """Return host and port, what to send there first, and what to answer first. Raises _Refused."""
    line, _, rest = head.decode("latin-1").partition("\r\n")
    method, _, more = line.partition(" ")
    target, _, version = more.rpartition(" ")
    if not version.startswith("HTTP/1."):
        raise _Refused("400 Bad Request", "This is no request to a proxy.")
    if method == "CONNECT":
        found = _AUTHORITY.fullmatch(target)
        if not found:
            raise _Refused("400 Bad Request", "CONNECT names a host and a port.")
        return found[1] or found[2], _port(int(found[3])), b"", b"HTTP/1.1 200 Connection established\r\n\r\n"
    try:
        url = urlsplit(target)
        host, port = url.hostname, url.port or 80
    except ValueError:
        host, port, url = None, 80, urlsplit("")
    if url.scheme != "http" or not host:
        raise _Refused("400 Bad Request", "A proxy is asked for a whole address.")
    path = url._replace(scheme="", netloc="").geturl() or "/"
    # One request only: another might be for another host.
    fields = [
        each for each in rest.split("\r\n") if each and not re.match(r"(?i)(proxy-)?connection\s*:", each)
    ]
    request = "\r\n".join([f"{method} {path} {version}", *fields, "Connection: close", "", ""])
    return host, _port(port), request.encode("latin-1"), b""


def _port(port: int) -> int:
    if not 0 < port < 65536:
        raise _Refused("400 Bad Request", "There is no such port.")
    return port


async def _both_ways(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    async with asyncio.TaskGroup() as group:
        for reader, writer in ways:
            group.create_task(_pass_on(reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        while data := await asyncio.wait_for(reader.read(_CHUNK), _IDLE_SECONDS):
            writer.write(data)
            await asyncio.wait_for(writer.drain(), _IDLE_SECONDS)
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


async def _run(entries: list[str]) -> None:
    way_out = WayOut(Reachable(entries))
    server = await asyncio.start_server(way_out.serve, port=PORT, limit=_MOST_HEAD)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1:]))
