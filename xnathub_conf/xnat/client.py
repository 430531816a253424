"""Calls to XNAT: `requests` in a bounded pool of threads, with a deadline over everything, and typed errors.

Every Basic request without a JSESSIONID opens a session in XNAT, and XNAT limits sessions. So the service account keeps
one session and renews it when XNAT no longer knows it, and a user's session ends with the check that opened it.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from urllib.parse import quote

from xnathub_conf.operating.loop_turns import Turns
from xnathub_conf.operating.metrics import XNAT_CALLS, XnatCall, XnatOutcome
from xnathub_conf.site.types import Xnat
from xnathub_conf.xnat.answers import (
    Answer,
    Credentials,
    XnatBadAnswer,
    XnatError,
    XnatForbidden,
    XnatLoginRedirect,
    XnatUnauthorized,
    role_names,
)
from xnathub_conf.xnat.health import XnatState
from xnathub_conf.xnat.transport import Transport

log = logging.getLogger("xnathub")

_T = TypeVar("_T")
HOLD_OFF = 300
"""Seconds in which a refused service password is not tried again, so that XNAT doesn't lock the account.

Each refusal doubles them, up to an hour: XNAT counts wrong passwords by the hour.
"""

_LONGEST_HOLD_OFF = 3600


class XnatClient:
    """XNAT as the hub sees it. Its methods are coroutines; their work runs in a pool of threads of their own."""

    def __init__(self, xnat: Xnat, password: str):
        """Take the site's `xnat` section and the service account's password. Opens no connection yet."""
        self._calls = xnat.calls
        self._pool = ThreadPoolExecutor(xnat.calls.concurrency, thread_name_prefix="xnat")
        self._transport = Transport(xnat)
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
        self._transport.close()

    async def username(self, credentials: Credentials) -> tuple[str, str]:
        """Ask whose credentials these are.

        Returns the account's real login name, which for an alias token is its owner's and without a live session may be
        `guest`, and the ID of the session that the call opened. Raises XnatError.
        """
        answer = await self._ask("username", "GET", "/xapi/users/username", credentials)
        return answer.text().strip('"'), answer.session

    async def roles(self, username: str, credentials: Credentials) -> list[str]:
        """Ask for the names of a user's roles, as that user. Raises XnatError."""
        path = f"/xapi/users/{quote(username, safe='')}/roles"
        return role_names(await self._ask("roles", "GET", path, credentials))

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

    async def user_options(self, username: str, server_name: str, read: Callable[[object], _T]) -> _T:
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
        return role_names(await self._in_pool("probe", partial(self._as_service, "GET", path)))

    async def plugin_preferences(self) -> dict[str, object]:
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
    ) -> Coroutine[object, object, Answer]:
        return self._in_pool(call, partial(self._transport.call, method, path, credentials))

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
            raise self._transport.too_slow() from None
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

    def _as_service(self, method: str, path: str, deadline: float) -> Answer:
        session = self._service_session
        if session:
            try:
                return self._transport.call(method, path, Credentials(session=session), deadline)
            except (XnatUnauthorized, XnatLoginRedirect):
                log.info("XNAT no longer knows the service account's session; signing in again.")
        # One sign-in for all that wait: the first opens the session, the others use it.
        with self._service_lock:
            if self._service_session in {"", session}:
                return self._sign_in_service(method, path, deadline)
        return self._transport.call(method, path, Credentials(session=self._service_session), deadline)

    def _sign_in_service(self, method: str, path: str, deadline: float) -> Answer:
        name = self._service.username
        if (left := self._refused_until - time.monotonic()) > 0:
            raise XnatForbidden(
                f"XNAT refused the password of the service account {name}; it is not tried again for {left:.0f} s so "
                "that XNAT doesn't lock the account. Correct xnat.service_account.password and restart the hub."
            )
        self._service_session = ""
        try:
            answer = self._transport.call(method, path, self._service, deadline)
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
