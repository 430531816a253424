"""Calls to XNAT: `requests` in a bounded pool of threads, with a deadline over everything, and typed errors.

Every Basic request without a JSESSIONID opens a session in XNAT, and XNAT limits sessions. So the service account keeps
one session and renews it when XNAT no longer knows it, and a user's session ends with the check that opened it.
"""

import asyncio
import json
import logging
import random
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import quote

import requests
import urllib3
from requests.adapters import HTTPAdapter

from xnathub_conf.operating.loop_turns import Turns
from xnathub_conf.operating.metrics import XNAT_CALLS, XnatCall, XnatOutcome
from xnathub_conf.site.types import Xnat
from xnathub_conf.xnat.health import XnatState

log = logging.getLogger("xnathub")

_T = TypeVar("_T")
_RETRIED_STATUS = frozenset({502, 503, 504})
_SESSION_COOKIE = "JSESSIONID"
_CHUNK = 65536
HOLD_OFF = 300
"""Seconds in which a refused service password is not tried again, so that XNAT doesn't lock the account.

Each refusal doubles them, up to an hour: XNAT counts wrong passwords by the hour.
"""

_LONGEST_HOLD_OFF = 3600
_TOO_MANY = re.compile(rb"maximum\b.{0,80}\bsessions", re.IGNORECASE)
"""What a 401 says whose cause is not the password: Spring Security's sentence and others like it."""


class XnatError(Exception):
    """A call to XNAT did not give what it should. The text is for the admin and names what to look at."""

    outcome: XnatOutcome = "bad-answer"


class XnatUnreachable(XnatError):
    """No connection, or no answer within the deadline."""

    outcome = "unreachable"


class XnatUntrusted(XnatError):
    """XNAT's certificate is not good."""

    outcome = "untrusted"


class XnatBadAnswer(XnatError):
    """An answer that XNAT itself would not give: a login page, HTML, broken JSON, too much of it, or a 5xx."""


class XnatLoginRedirect(XnatBadAnswer):
    """A redirect, which for a session means that XNAT no longer knows it."""

    outcome = "login-redirect"


class XnatUnauthorized(XnatError):
    """401: XNAT does not accept the credentials."""

    outcome = "unauthorized"


class XnatTooManySessions(XnatError):
    """401: the account has as many sessions open as XNAT allows."""

    outcome = "too-many-sessions"


class XnatForbidden(XnatError):
    """403: XNAT knows who asks and refuses."""

    outcome = "forbidden"


class XnatNotFound(XnatError):
    """404: XNAT holds no such thing."""

    outcome = "not-found"


@dataclass(frozen=True)
class Credentials:
    """Who asks: a user name with its password, an XNAT session's ID, or nobody. None shows in a repr but the name."""

    username: str = ""
    password: str = ""
    session: str = ""

    def __repr__(self) -> str:
        return "Credentials(session)" if self.session else f"Credentials({self.username!r})"


@dataclass(frozen=True)
class Answer:
    """What XNAT answered: the body, and the ID of the session that the call opened, if it did."""

    body: bytes
    content_type: str
    session: str = ""

    def text(self) -> str:
        """Give the body of a plain-text answer. Raises XnatBadAnswer for HTML."""
        text = self.body.decode("utf-8", "replace").strip()
        if "html" in self.content_type or text.startswith("<"):
            raise _not_xnat("an HTML page")
        return text

    def json(self) -> Any:
        """Parse the body as JSON. Raises XnatBadAnswer for anything else."""
        if "html" in self.content_type or self.body.lstrip()[:1] == b"<":
            raise _not_xnat("an HTML page")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise XnatBadAnswer(
                f"XNAT's answer of {len(self.body):,} bytes is not valid JSON. Look at XNAT's own log and at the proxy "
                "in front of it, which may cut answers short."
            ) from None


def _not_xnat(what: str) -> XnatBadAnswer:
    return XnatBadAnswer(
        f"Where JSON was asked for came {what}. Check that xnat.url is XNAT's own address and that no proxy in front "
        "of it demands a login of its own."
    )


class XnatClient:
    """XNAT as the hub sees it. Its methods are coroutines; their work runs in a pool of threads of their own."""

    def __init__(self, xnat: Xnat, password: str):
        """Take the site's `xnat` section and the service account's password. Opens no connection yet."""
        self._xnat = xnat
        self._url = xnat.url.rstrip("/")
        self._calls = xnat.calls
        self._pool = ThreadPoolExecutor(xnat.calls.concurrency, thread_name_prefix="xnat")
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
        self._service = Credentials(xnat.service_account.username, password)
        self._service_session = ""
        self._service_lock = threading.Lock()
        self._refused_until = 0.0
        self._hold_off = HOLD_OFF
        self._ending: set[asyncio.Task[None]] = set()
        self.state = XnatState(self.service_username)
        self._questions, self._answers = Turns(), Turns()

    def close(self) -> None:
        """Let go of threads and connections; calls under way are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    async def username(self, credentials: Credentials) -> tuple[str, str]:
        """Ask whose credentials these are.

        Gives the account's real login name, which for an alias token is its owner's and without a live session may be
        `guest`, and the ID of the session that the call opened. Raises XnatError.
        """
        answer = await self._ask("username", "GET", "/xapi/users/username", credentials)
        return answer.text().strip('"'), answer.session

    async def roles(self, username: str, credentials: Credentials) -> list[str]:
        """Ask for the names of a user's roles, as that user. Raises XnatError."""
        path = f"/xapi/users/{quote(username, safe='')}/roles"
        return _role_names(await self._ask("roles", "GET", path, credentials))

    async def all_users_can_start(self, credentials: Credentials) -> bool:
        """Ask for the preference that lets users without the role start Jupyter. Raises XnatError."""
        path = "/xapi/jupyterhub/preferences/allUsersCanStartJupyter"
        answer = (await self._ask("preference", "GET", path, credentials)).json()
        return isinstance(answer, dict) and answer.get("allUsersCanStartJupyter") is True

    def end_session(self, session: str) -> None:
        """End a session that a check opened, without waiting for it.

        A failure is logged, not raised: XNAT ends the session by itself in time.
        """
        task = asyncio.get_running_loop().create_task(self._end_session(session))
        # The loop holds tasks weakly.
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end_session(self, session: str) -> None:
        try:
            await self._ask("end-session", "DELETE", "/data/JSESSION", Credentials(session=session))
        except XnatError as error:
            log.warning("A session in XNAT could not be ended: %s", error)

    async def user_options(self, username: str, server_name: str, read: Callable[[Any], _T]) -> _T:
        """Ask, as the service account, what to start for a user's server ("" is the default one).

        `read` turns the parsed JSON into something better; it runs in the pool too, since thousands of mounts take
        their time. Raises XnatError, XnatNotFound where XNAT holds nothing to start, and whatever `read` raises.
        """
        user = quote(username, safe="")
        server = f"/{quote(server_name, safe='')}" if server_name else ""
        path = f"/xapi/jupyterhub/users/{user}/server{server}/user-options"

        def work(deadline: float) -> _T:
            return read(self._as_service("GET", path, deadline).json())

        return await self._in_pool("user-options", work)

    async def service_username(self) -> str:
        """Sign the service account in, and give its real login name. Raises XnatError.

        A password that is refused is tried once, here and by every other call, within HOLD_OFF.
        """
        answer = await self._in_pool("probe", partial(self._as_service, "GET", "/xapi/users/username"))
        return answer.text().strip('"')

    async def service_roles(self, username: str) -> list[str]:
        """Ask, as the service account, for the names of a user's roles. Raises XnatError."""
        path = f"/xapi/users/{quote(username, safe='')}/roles"
        return _role_names(await self._in_pool("probe", partial(self._as_service, "GET", path)))

    async def plugin_preferences(self) -> dict[str, Any]:
        """Ask, as the service account, what XNAT's JupyterHub plugin is set to. Raises XnatError.

        The hub's token is among it for who holds the role JupyterHub.
        """
        work = partial(self._as_service, "GET", "/xapi/jupyterhub/preferences")
        preferences = (await self._in_pool("preference", work)).json()
        if not isinstance(preferences, dict):
            raise XnatBadAnswer("XNAT's Jupyter settings are not a map.")
        return preferences

    async def end_service_session(self) -> None:
        """End the service account's session, if it has one; a failure is logged, not raised."""
        if session := self._service_session:
            self._service_session = ""
            await self._end_session(session)

    def _ask(
        self, call: XnatCall, method: str, path: str, credentials: Credentials
    ) -> Coroutine[Any, Any, Answer]:
        return self._in_pool(call, partial(self._with_retries, method, path, credentials))

    async def _in_pool(self, call: XnatCall, work: Callable[[float], _T]) -> _T:
        began = time.monotonic()
        # Without turns a crowd of users, or a slow XNAT that answers them all at once, brings a crowd of threads to life,
        # and the hub stands still until all have been served.
        await self._questions.take()
        future = asyncio.get_running_loop().run_in_executor(self._pool, work, began + self._calls.deadline)
        outcome: XnatOutcome | None = "ok"
        try:
            # The thread keeps the deadline itself; this holds where a header drips, or no thread came free.
            return await asyncio.wait_for(future, self._calls.deadline + 1)
        except TimeoutError:
            outcome = "unreachable"
            raise self._too_slow() from None
        except XnatError as error:
            outcome = error.outcome
            raise
        except asyncio.CancelledError:
            outcome = None
            raise
        finally:
            if outcome:
                XNAT_CALLS.labels(call, outcome).observe(time.monotonic() - began)
                self.state.note(call, outcome)
            await self._answers.take()

    def _too_slow(self) -> XnatUnreachable:
        return XnatUnreachable(
            f"XNAT did not answer within xnat.calls.deadline, {self._calls.deadline:g} s. Look at XNAT's load, or "
            "raise the deadline."
        )

    def _as_service(self, method: str, path: str, deadline: float) -> Answer:
        session = self._service_session
        if session:
            try:
                return self._with_retries(method, path, Credentials(session=session), deadline)
            except (XnatUnauthorized, XnatLoginRedirect):
                log.info("XNAT no longer knows the service account's session; signing in again.")
        # One sign-in for all that wait: the first opens the session, the others use it.
        with self._service_lock:
            if self._service_session in {"", session}:
                return self._sign_in_service(method, path, deadline)
        return self._with_retries(method, path, Credentials(session=self._service_session), deadline)

    def _sign_in_service(self, method: str, path: str, deadline: float) -> Answer:
        name = self._service.username
        if (left := self._refused_until - time.monotonic()) > 0:
            raise XnatForbidden(
                f"XNAT refused the password of the service account {name}; it is not tried again for {left:.0f} s so "
                "that XNAT doesn't lock the account. Correct xnat.service_account.password and restart the hub."
            )
        self._service_session = ""
        try:
            answer = self._with_retries(method, path, self._service, deadline)
        except XnatUnauthorized:
            self._refused_until = time.monotonic() + self._hold_off
            self._hold_off = min(2 * self._hold_off, _LONGEST_HOLD_OFF)
            # Not an XnatUnauthorized: the user's own credentials are not at fault.
            raise XnatForbidden(
                f"XNAT refused the password of the service account {name}. Correct xnat.service_account.password, and "
                "see in XNAT that the account is enabled and not locked."
            ) from None
        self._hold_off = HOLD_OFF
        self._service_session = answer.session
        return answer

    def _with_retries(self, method: str, path: str, credentials: Credentials, deadline: float) -> Answer:
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
            raise self._too_slow()
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
                raise self._too_slow() from None
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
                raise self._too_slow()
        return b"".join(chunks)


def _role_names(answer: Answer) -> list[str]:
    roles = answer.json()
    if not isinstance(roles, list):
        raise XnatBadAnswer("XNAT's list of roles is not a list.")
    return [role for role in roles if isinstance(role, str)]


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
    """Say what lies at the bottom of an error of requests, without the objects it was wrapped in."""
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
