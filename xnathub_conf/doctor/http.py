"""HTTP, websockets and certificates for checks: no redirects, no environment's proxies, and a limit on everything."""

import asyncio
import contextlib
import json
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography import x509
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPInputError
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import WebSocketClosedError, WebSocketError, websocket_connect

from xnathub_conf.doctor.examination import Finding, failed, ok, skipped, warning
from xnathub_conf.site.problems import KeyPath

CONNECT_SECONDS = 5
REQUEST_SECONDS = 20
WARN_DAYS = 30
"""A certificate that is good for fewer days is worth a warning."""


_FAILURES = (OSError, TimeoutError, HTTPClientError, HTTPInputError, WebSocketError, ValueError)
"""What Tornado raises where there is no answer; ValueError for one that is no HTTP."""


class NoAnswer(Exception):
    """No answer over HTTP; the text says why."""


def trust(ca_file: str | None, *, verify: bool = True) -> ssl.SSLContext:
    """Return what certificates are checked by: the public authorities, and a private one. Raises OSError without its file."""
    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
    if ca_file:
        context.load_verify_locations(ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def fetch(
    url: str,
    tls: ssl.SSLContext,
    headers: dict[str, str] | None = None,
    *,
    max_body: int = 1 << 20,
    method: str = "GET",
    body: object = None,
    seconds: float | None = None,
) -> HTTPResponse:
    """Return the answer of at most `max_body` bytes, whatever its status; `body` is sent as JSON. Raises NoAnswer.

    It may take REQUEST_SECONDS, or as many `seconds` as are given.
    """
    client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=max_body)
    request = _request(url, tls, headers)
    request.method = method
    if seconds is not None:
        request.request_timeout = seconds
    if body is not None:
        request.body = json.dumps(body).encode()
        request.headers["Content-Type"] = "application/json"
    request.allow_nonstandard_methods = True
    try:
        return await client.fetch(request, raise_error=False)
    except _FAILURES as error:
        raise NoAnswer(_reason(error)) from None
    finally:
        client.close()


async def tells_requests_apart(host: str, port: int, path: str) -> bool:
    """Return whether what listens there refuses a request that can be read in two ways, as xnathub's proxy does. Raises NoAnswer."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}:{port}",
        "Transfer-Encoding: gzip, chunked",
        "Connection: close",
    )
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write("\r\n".join([*lines, "", "0", "", ""]).encode())
            answer = await reader.read(4096)
            writer.close()
    except _FAILURES as error:
        raise NoAnswer(_reason(error)) from None
    return answer.startswith(b"HTTP/1.1 400 ") and b"This request was refused: " in answer


async def over_websocket(url: str, tls: ssl.SSLContext, message: str) -> str:
    """Send a message over a new websocket, and give the answer.

    Raises NoAnswer where there is no handshake, or no answer after it.
    """
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            connection = await websocket_connect(_request(f"ws{url.removeprefix('http')}", tls))
            try:
                await connection.write_message(message)
                answer = await connection.read_message()
            finally:
                connection.close()
    except _FAILURES as error:
        raise NoAnswer(_reason(error)) from None
    if not isinstance(answer, str):
        raise NoAnswer("the connection was closed without an answer")
    return answer


def _request(url: str, tls: ssl.SSLContext, headers: dict[str, str] | None = None) -> HTTPRequest:
    return HTTPRequest(
        url,
        headers=headers,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        follow_redirects=False,
        ssl_options=tls,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPClientError):
        return str(error.message) if error.code == 599 else f"the answer is {error.code} {error.message}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not good: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, WebSocketClosedError):
        return "the connection was closed at once"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


async def certificate(url: str, key: KeyPath, *, verify: bool = True) -> Finding:
    """Look for how many days the certificate at an address is good, whoever signed it."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return skipped(f"{url} has no certificate, since it is not https.")
    try:
        async with asyncio.timeout(CONNECT_SECONDS + REQUEST_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or 443,
                ssl=trust(None, verify=False),
                server_hostname=parts.hostname,
            )
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        return failed(
            f"No certificate can be had from {parts.netloc}: {_reason(error)}.",
            "See that the server runs, and that the address is right.",
            key,
        )
    until = x509.load_der_x509_certificate(der).not_valid_after_utc
    days = (until - datetime.now(UTC)).days
    when = f"{until:%Y-%m-%d}"
    renew = f"Renew the certificate of {parts.hostname}."
    if days < 0:
        return failed(f"The certificate of {parts.hostname} was good until {when}.", renew, key)
    seen = f"The certificate of {parts.hostname} is good for {days} more days, until {when}."
    if days < WARN_DAYS:
        return warning(seen, renew, key)
    if not verify:
        return warning(
            f"{seen} Nothing checks who signed it.", "Turn xnat.verify_tls on.", ("xnat", "verify_tls")
        )
    return ok(seen)
