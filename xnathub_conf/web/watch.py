"""What the metrics tell beside the hub's own doings: whether its proxy answers, how long certificates are good."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from cryptography import x509

from xnathub_conf.operating.metrics import CERTIFICATE_ENDS, PROXY_UP
from xnathub_conf.site.types import Site

_PROXY_SECONDS = 15
_CERTIFICATE_SECONDS = 6 * 3600
_RETRY_SECONDS = 300
_CONNECT_SECONDS = 10


class Watch:
    """Looks again at what is stale, in the background, whenever somebody asks how the hub is."""

    def __init__(self, site: Site, proxy_answers: Callable[[], Awaitable[object]]):
        """Take what asks the proxy something; it raises anything where the proxy does not answer."""
        self._site = site
        self._proxy_answers = proxy_answers
        self._next_proxy = self._next_certificates = 0.0
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Start what is due, unless it is under way."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            if time.monotonic() >= self._next_proxy:
                await self._look_at_proxy()
                self._next_proxy = time.monotonic() + _PROXY_SECONDS
            if time.monotonic() >= self._next_certificates:
                known = await self._look_at_certificates()
                wait = _CERTIFICATE_SECONDS if known else _RETRY_SECONDS
                self._next_certificates = time.monotonic() + wait
        finally:
            self._task = None

    async def _look_at_proxy(self) -> None:
        try:
            await self._proxy_answers()
        except Exception:  # noqa: BLE001 - whatever it is, it is no answer
            PROXY_UP.set(0)
        else:
            PROXY_UP.set(1)

    async def _look_at_certificates(self) -> bool:
        """Return whether all that there are could be seen."""
        urls = {"xnat": self._site.xnat.url, "public": self._site.hub.public_url or ""}
        known = True
        for whose, url in urls.items():
            if urlsplit(url).scheme == "https":
                try:
                    CERTIFICATE_ENDS.labels(whose).set(await _certificate_ends(url))
                except (OSError, TimeoutError, ValueError):
                    known = False
        return known


async def _certificate_ends(url: str) -> float:
    """Return when the certificate at an address ends, in seconds of the epoch, whoever signed it."""
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(_CONNECT_SECONDS):
        _, writer = await asyncio.open_connection(
            parts.hostname, parts.port or 443, ssl=context, server_hostname=parts.hostname
        )
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()
