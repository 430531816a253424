"""What the hub takes from whoever connects: bodies of a bounded size and time, addresses and calls of its pages from its own proxy alone."""

import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from functools import cached_property
from http.client import responses
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

from jupyterhub.orm import APIToken
from sqlalchemy import event
from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer, _HTTPRequestContext
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    ResponseStartLine,
)
from tornado.web import HTTPError

from xnathub_conf.site.hub_settings import reverse_proxies
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.types import Site
from xnathub_conf.web.bodies import MOST_BYTES, Bodies, is_known
from xnathub_conf.web.gate_pass import GateKey

_MOST_OF_A_NOTE = 1023
"""What JupyterHub's table of tokens has room for. SQLite takes any length, and PostgreSQL fails."""

_BODY_SECONDS = 30
_IDLE_SECONDS = 300
_ANY_NUMBER = 1 << 30
_NEW_SECONDS = 10
"""How long after an address is first seen it may turn out to be that of a server."""

_MOST_SEEN = 10_000
_PROOF = "X-Xnathub-Proxy"
_FOR_ALL = ("api", "health", "metrics", "identity", "error", "gate/renew", "gate/token")
"""What programs, probes and the proxy itself ask the hub's own port for; the rest are pages, for browsers."""

_THROUGH_THE_PROXY = (
    "At this port the hub answers calls of its API alone. Its pages are where its proxy is.\n"
)

_log = logging.getLogger("xnathub")

Address = IPv4Address | IPv6Address


class HubServer(HTTPServer):
    """Tornado's server, which believes what its own proxy says of a caller, and nobody else.

    Tornado's would take `X-Forwarded-For` and `X-Real-IP` from anybody who reaches the hub's port, users' servers too.
    """

    callers: "Callers"
    bodies: Bodies

    def handle_stream(self, stream: Any, address: Any) -> None:
        """Serve a new connection."""
        context = _Connection(stream, address, self.protocol)
        context.server = self
        connection = HTTP1ServerConnection(stream, self.conn_params, context)
        self._connections.add(connection)
        connection.start_serving(self)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Serve a request, unless it is for a page and has not come through the proxy: no server opens the hub's pages."""
        return _Door(self, super().start_request(server_conn, request_conn), request_conn)

    def is_for_all(self, path: str) -> bool:
        """Return whether a path may be asked for past the proxy."""
        start = str(self.settings["hub"].base_url)
        name = path.removeprefix(start) if path.startswith(start) else ""
        return any(name == each or name.startswith(f"{each}/") for each in _FOR_ALL)

    @property
    def settings(self) -> dict[str, Any]:
        """Those of JupyterHub's application."""
        application: Any = self.request_callback
        settings: dict[str, Any] = application.settings
        return settings

    @property
    def headers_of_pages(self) -> dict[str, str]:
        """What every answer of the hub has, and one of plain text."""
        return {
            **self.settings["headers"],
            "Content-Security-Policy": "frame-ancestors 'none'",
            "Content-Type": "text/plain; charset=utf-8",
        }

    def is_proven(self, headers: HTTPHeaders) -> bool:
        """Return whether headers hold the proof that the gate in the hub's proxy has sent a request on: it alone knows the key."""
        return hmac.compare_digest(headers.get(_PROOF, "").encode(), self._proof)

    def from_the_proxy(self, headers: HTTPHeaders) -> bool:
        """Return as `is_proven` does, and take the proof out of the headers, which JupyterHub writes to the log with an error."""
        proven = self.is_proven(headers)
        headers.pop(_PROOF, None)
        return proven

    @cached_property
    def _proof(self) -> bytes:
        return GateKey(self.settings["cookie_secret"]).proxy_proof.encode()


class _Door(HTTPMessageDelegate):
    """Lets one request in, as far as its body is not too large, or answers it."""

    def __init__(self, server: HubServer, inside: HTTPMessageDelegate, connection: HTTPConnection):
        self._server, self._inside, self._connection = server, inside, connection
        self._let_in = False
        self._headers = HTTPHeaders()
        self._named = ""
        self._dropped: tuple[int, str] | None = None

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Awaitable[None] | None:
        path = start_line.path.partition("?")[0]
        self._named, self._headers = f"{start_line.method} {path}", headers
        self._let_in = self._server.is_proven(headers) or self._server.is_for_all(path)
        if self._let_in:
            return self._inside.headers_received(start_line, headers)
        self._answer(403, _THROUGH_THE_PROXY, "not through the hub's proxy")
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._let_in:
            self._server.bodies.take(self, len(chunk))
        # It may have been dropped meanwhile.
        return self._inside.data_received(chunk) if self._let_in else None

    def is_known(self) -> bool:
        return is_known(self._server.settings, self._headers)

    def drop(self, status: int, text: str) -> None:
        self._let_in, self._dropped = False, (status, text)
        self._inside.on_connection_close()

    def finish(self) -> None:
        self._server.bodies.end(self)
        if self._let_in:
            self._inside.finish()
        elif self._dropped:
            # Only now: who still sends does not read.
            self._answer(*self._dropped, "its body")

    def on_connection_close(self) -> None:
        self._server.bodies.end(self)
        if self._let_in:
            self._inside.on_connection_close()

    def _answer(self, status: int, text: str, why: str) -> None:
        _log.info("%d %s: %s", status, self._named, why)
        body = b"" if self._named.startswith("HEAD ") else text.encode()
        headers = HTTPHeaders({**self._server.headers_of_pages, "Content-Length": str(len(body))})
        self._connection.write_headers(
            ResponseStartLine("HTTP/1.1", status, responses[status]), headers, body
        )
        self._connection.finish()


class _Connection(_HTTPRequestContext):
    server: HubServer

    def _apply_xheaders(self, headers: HTTPHeaders) -> None:
        if not self.server.from_the_proxy(headers):
            return
        listed = ",".join(headers.get_list("X-Forwarded-For"))
        self.remote_ip = self.server.callers.address(self.remote_ip, listed)
        scheme = headers.get("X-Scheme", headers.get("X-Forwarded-Proto", "")).split(",")[-1].strip()
        if scheme in {"http", "https"}:
            self.protocol = scheme


class Callers:
    """Finds out from which address a request comes, by what the proxies on its way noted.

    `is_server` says of an address whether one of users' servers is known to have it, where each has one of its own.
    """

    def __init__(self, site: Site, is_server: Callable[[str], bool] | None = None):
        named = [ip_network(each, strict=False) for each in site.hub.trusted_proxies]
        self._most = _ANY_NUMBER if named else reverse_proxies(site)
        networks = [] if named or is_server else servers_networks(site)
        self._is_server = is_server
        self._seen: dict[str, float] = {}
        self._trusted: Callable[[Address], bool] = lambda address: (
            any(address in network for network in named)
            if named
            else not any(address in network for network in networks)
        )
        self._waits = bool(is_server and not named)

    def address(self, peer: str, forwarded_for: str) -> str:
        """Return the caller's address.

        `peer` is who connected, our own proxy, and `forwarded_for` the header X-Forwarded-For, to whose end each proxy
        added whom it served. What stands before the first that nobody trusted added was claimed by the caller.
        """
        found = peer
        listed = [part.strip() for part in forwarded_for.split(",") if part.strip()]
        for hop, text in enumerate(reversed(listed)):
            address = parsed_address(text)
            if address is None:
                break
            found = str(address)
            if hop >= self._most or not self._trusted(address) or not self._is_no_server(found):
                break
        return found

    def _is_no_server(self, address: str) -> bool:
        """Return whether an address is no server's. A new one may be that of a pod that has just started, which the cluster does not tell yet."""
        if self._is_server and self._is_server(address):
            self._seen.pop(address, None)
            return False
        if not self._waits:
            return True
        if len(self._seen) > _MOST_SEEN:
            self._seen.clear()
        now = time.monotonic()
        return now - self._seen.setdefault(address, now) >= _NEW_SECONDS


def bound_requests(site: Site, spawner: type[Any]) -> None:
    """Make the hub serve by these rules."""
    callers = Callers(site, getattr(spawner, "has_address", None))
    server = type("SiteHubServer", (HubServer,), {"callers": callers, "bodies": Bodies()})
    HTTPServer.configure(
        server,
        max_body_size=MOST_BYTES,
        max_buffer_size=2 * MOST_BYTES,
        body_timeout=_BODY_SECONDS,
        idle_connection_timeout=_IDLE_SECONDS,
    )
    if not event.contains(APIToken.note, "set", _check_note):
        event.listen(APIToken.note, "set", _check_note)


def _check_note(_token: APIToken, note: object, *_: object) -> None:
    if not isinstance(note, str) or len(note) > _MOST_OF_A_NOTE:
        raise HTTPError(400, f"A token's note is a text of {_MOST_OF_A_NOTE} characters at most.")


def parsed_address(text: str) -> Address | None:
    """Return an address as X-Forwarded-For has it, with a port or brackets or without; None where it is none."""
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def servers_networks(site: Site) -> list[IPv4Network]:
    """Return the networks that a hub in a container shares with users' servers, whose word counts for nothing."""
    if not kind_of(site).on_servers_networks or not Path("/.dockerenv").exists():
        return []
    try:
        return neighbours(Path("/proc/net/route").read_text())
    except OSError:
        return []


def neighbours(routes: str) -> list[IPv4Network]:
    """Return the networks that this host is in, but for its gateways, by the text of Linux's /proc/net/route.

    What comes through a published port comes from a gateway.
    """
    gateways, networks = set(), []
    for line in routes.splitlines()[1:]:
        _, to, gateway, _, _, _, _, mask, *_ = line.split()
        if int(gateway, 16):
            gateways.add(_little_endian(gateway))
        elif int(to, 16):
            networks.append(IPv4Network((int(_little_endian(to)), bin(int(mask, 16)).count("1"))))
    return [
        part
        for network in networks
        for part in _without(network, [gateway for gateway in gateways if gateway in network])
    ]


def _without(network: IPv4Network, hosts: list[IPv4Address]) -> list[IPv4Network]:
    parts = [network]
    for host in hosts:
        one = IPv4Network(host)
        parts = [left for part in parts for left in (part.address_exclude(one) if host in part else (part,))]
    return parts


def _little_endian(digits: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(digits)[::-1])
