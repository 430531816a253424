"""One call to XNAT over HTTP: time limits, retries, and what each kind of failure means. It blocks."""

import logging
import random
import re
import time
from base64 import b64encode
from http.cookiejar import DefaultCookiePolicy

import requests
import urllib3
from requests.adapters import HTTPAdapter

from xnathub_conf.site.types import Xnat
from xnathub_conf.xnat.answers import (
    Answer,
    Credentials,
    XnatBadAnswer,
    XnatError,
    XnatForbidden,
    XnatLoginRedirect,
    XnatNotFound,
    XnatTooManySessions,
    XnatUnauthorized,
    XnatUnreachable,
    XnatUntrusted,
)

log = logging.getLogger("xnathub")

_RETRIED_STATUS = frozenset({502, 503, 504})
_SESSION_COOKIE = "JSESSIONID"
_CHUNK = 65536
_TOO_MANY = re.compile(rb"maximum\b.{0,80}\bsessions", re.IGNORECASE)
"""What a 401 says whose cause is not the password: Spring Security's sentence and others like it."""


class Transport:
    """Calls XNAT, from any thread."""

    def __init__(self, xnat: Xnat):
        self._url = xnat.url.rstrip("/")
        self._calls = xnat.calls
        self._http = requests.Session()
        # The environment's proxies, netrc and CA bundles are not part of site.yaml.
        self._http.trust_env = False
        self._http.verify = xnat.ca_file or xnat.verify_tls
        if not self._http.verify:
            # One warning, of site.yaml's check, is enough.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        # Cookies are passed by hand: one jar for all would share one user's session with another.
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_maxsize=xnat.calls.concurrency)
        self._http.mount("http://", adapter)
        self._http.mount("https://", adapter)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def too_slow(self) -> XnatUnreachable:
        """Return the error for a call that took longer than the deadline."""
        return XnatUnreachable(
            f"XNAT did not answer within xnat.calls.deadline, {self._calls.deadline:g} s. Look at XNAT's load, or "
            "raise the deadline."
        )

    def call(self, method: str, path: str, credentials: Credentials, deadline: float) -> Answer:
        """Return XNAT's answer; a GET that may succeed later is tried again until `deadline`, in seconds of the monotonic clock.

        Raises XnatError.
        """
        attempt = 0
        while True:
            try:
                return self._once(method, path, credentials, deadline)
            except _Again as again:
                pause = random.uniform(0.5, 1.0) * min(0.25 * 2**attempt, 4.0)  # noqa: S311 - jitter, not a secret
                if method != "GET" or attempt >= self._calls.retries or time.monotonic() + pause >= deadline:
                    raise again.error from None
                attempt += 1
                log.info("Trying XNAT again (%d of %d): %s", attempt, self._calls.retries, again.error)
                time.sleep(pause)

    def _once(self, method: str, path: str, credentials: Credentials, deadline: float) -> Answer:
        left = deadline - time.monotonic()
        if left <= 0:
            raise self.too_slow()
        limits = min(self._calls.connect_timeout, left), min(self._calls.read_timeout, left)
        headers = {"Accept": "application/json, text/plain"}
        if credentials.session:
            headers["Cookie"] = f"{_SESSION_COOKIE}={credentials.session}"
        elif credentials.username:
            # By hand, since requests encodes what it is given as Latin-1.
            pair = f"{credentials.username}:{credentials.password}".encode()
            headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        try:
            with self._http.request(
                method,
                self._url + path,
                headers=headers,
                timeout=limits,
                allow_redirects=False,
                stream=True,
            ) as response:
                self._check_status(response, path, credentials, deadline)
                body = self._read(response, deadline)
                session = _session_of(response) if not credentials.session else ""
                return Answer(body, response.headers.get("Content-Type", ""), session)
        except requests.exceptions.SSLError as error:
            raise XnatUntrusted(
                f"XNAT's certificate at {self._url} is not good: {_reason(error)}. Renew it, or name the CA's "
                "certificate in xnat.ca_file."
            ) from None
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            if time.monotonic() >= deadline:
                raise self.too_slow() from None
            raise _Again(
                XnatUnreachable(
                    f"XNAT at {self._url} did not answer in time (xnat.calls.connect_timeout, "
                    f"{self._calls.connect_timeout:g} s, and read_timeout, {self._calls.read_timeout:g} s)."
                )
            ) from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _Again(
                XnatUnreachable(
                    f"XNAT at {self._url} can't be reached: {_reason(error)}. Is XNAT up, and xnat.url right?"
                )
            ) from None

    def _check_status(
        self, response: requests.Response, path: str, credentials: Credentials, deadline: float
    ) -> None:
        status = response.status_code
        if status == 200:
            return
        if 300 <= status < 400:
            raise XnatLoginRedirect(
                f"XNAT answered {path} with a redirect ({status}). Check that xnat.url is XNAT's own address, with "
                "https where XNAT wants it, and that no proxy in front of it demands a login of its own."
            )
        if status == 401:
            if _TOO_MANY.search(self._read(response, deadline)):
                raise XnatTooManySessions(
                    f"{credentials!r} has as many sessions open as XNAT allows. End some of them in XNAT, or raise its "
                    "limit of concurrent sessions."
                )
            raise XnatUnauthorized(f"XNAT does not accept {credentials!r}.")
        if status == 403:
            raise XnatForbidden(
                f"XNAT refuses {path} to {credentials!r}. The service account needs XNAT's role JupyterHub."
            )
        if status == 404:
            raise XnatNotFound(f"XNAT holds nothing at {path}.")
        error = XnatBadAnswer(
            f"XNAT answered {path} with {status} {response.reason}. Look at XNAT's own log."
        )
        raise _Again(error) if status in _RETRIED_STATUS else error

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        chunks: list[bytes] = []
        size = 0
        # read1 returns with what has come, so that a body that drips can't outlive the deadline.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._calls.max_body:
                raise XnatBadAnswer(
                    f"XNAT's answer is larger than xnat.calls.max_body, {self._calls.max_body:,} bytes."
                )
            if time.monotonic() > deadline:
                raise self.too_slow()
        return b"".join(chunks)


class _Again(Exception):
    """A failure that a safe call may be tried again after."""

    def __init__(self, error: XnatError):
        self.error = error


def _session_of(response: requests.Response) -> str:
    for header in response.raw.headers.getlist("Set-Cookie"):
        name, _, rest = header.partition("=")
        if name.strip() == _SESSION_COOKIE:
            return str(rest.partition(";")[0].strip().strip('"'))
    return ""


def _reason(error: Exception) -> str:
    """Return what lies at the bottom of an error of requests, without the objects it was wrapped in."""
    inner: BaseException = error
    while True:
        below = inner.__cause__ or inner.__context__ or getattr(inner, "reason", None)
        if not below and inner.args and isinstance(inner.args[0], BaseException):
            below = inner.args[0]
        if not isinstance(below, BaseException) or below is inner:
            break
        inner = below
    text = getattr(inner, "strerror", None) or getattr(inner, "verify_message", None) or str(inner)
    text = str(text).partition("(_ssl.c")[0].removeprefix("[SSL: CERTIFICATE_VERIFY_FAILED] ")
    return text.strip() or type(inner).__name__
