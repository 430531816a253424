"""A browser's sign-in lasts as long as XNAT names nobody else in it, and no longer than the session that it came from.

Else the next person at a shared workstation, who has signed in to XNAT there, would be the last one on the hub.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import new_token

from xnathub_conf.operating.replaced_names import replace_name
from xnathub_conf.web.host_cookies import host_cookie

_COOKIE = "xnathub-signed-in"
_KEPT = 10_000
_SOON_SECONDS = 5.0
"""How long it counts that a session is nobody's: it may be somebody's as soon as they have signed in to XNAT."""


_SESSION_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")


def may_be_a_session(text: str | None) -> bool:
    """Return whether a cookie may be a session of XNAT's: what is odd or long is none, so it is neither asked about nor kept."""
    return bool(text and _SESSION_ID.fullmatch(text))


class Sessions:
    """Whose the sessions of XNAT are that browsers send. Each is asked about once in `age` seconds."""

    def __init__(self, ask: Callable[[str], Awaitable[str | None]], age: float):
        """Take what asks XNAT, which gives a name, `guest`, or None where it can't be told."""
        self._ask = ask
        self._age = age
        self._known: OrderedDict[str, tuple[str | None, float]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[str | None]] = {}

    def known(self, session: str | None) -> str | None:
        """Return whose a session is, as far as that is known, without a question."""
        owner, until = self._known.get(session or "", (None, 0.0))
        return owner if until > time.monotonic() else None

    def has(self, username: str) -> bool:
        """Return whether any session is known to be a user's, without a question."""
        now = time.monotonic()
        return any(owner == username and until > now for owner, until in self._known.values())

    def note(self, session: str, owner: str | None) -> None:
        """Note what XNAT has just said."""
        seconds = self._age if owner not in {None, "guest"} else min(_SOON_SECONDS, self._age)
        self._known[session] = owner, time.monotonic() + seconds
        self._known.move_to_end(session)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def forget(self, session: str) -> None:
        """Ask anew whose a session is, the next time that it matters."""
        self._known.pop(session, None)

    async def owner(self, session: str | None) -> str | None:
        """Return whose a session is, `guest` for nobody's or no session at all, and None where XNAT can't be asked."""
        if session is None or not may_be_a_session(session):
            return "guest"
        known, until = self._known.get(session, (None, 0.0))
        if until > time.monotonic():
            return known
        if session not in self._asking:
            task = asyncio.ensure_future(self._ask(session))
            self._asking[session] = task
            task.add_done_callback(lambda _: self._asking.pop(session))
        said = await asyncio.shield(self._asking[session])
        if said is None:
            # What XNAT said last holds until it says something else.
            said = known
        self.note(session, said)
        return said

    async def still(self, username: str, bound: bool, session: str | None) -> bool:
        """Return whether a browser that sends this session is still its user's.

        `bound` says that they came in by a session in XNAT: then it must go on. Who came in by password needs none.
        """
        owner = await self.owner(session)
        return owner in {username, None} or (owner == "guest" and not bound)


def watch_browsers() -> None:
    """Make all of the hub's pages look at the browser's session in XNAT, and lead to addresses of one line alone."""
    refresh, sign_in = BaseHandler.refresh_auth, BaseHandler.set_login_cookie
    validate = BaseHandler._validate_next_url

    async def refresh_auth(handler: Any, user: Any, force: bool = False) -> object:
        # JupyterHub reads it where a cookie is refused, and sets it for tokens alone.
        handler._token_authenticated = getattr(handler, "_token_authenticated", False)
        if not _by_cookie(handler, user):
            return await refresh(handler, user, force)
        # XNAT may say, as it is asked about the user, that the session is over.
        if await _still(handler, user):
            found = await refresh(handler, user, force)
            if not found or await _still(handler, user):
                return found
        handler.log.info(
            "The sign-in of %s in a browser has ended: XNAT names somebody else there, or their session is over.",
            user.name,
        )
        handler.clear_login_cookie()
        return None

    def set_login_cookie(handler: Any, user: Any) -> None:
        sign_in(handler, user)
        sessions = handler.authenticator.sessions
        session = handler.get_cookie("JSESSIONID")
        _bind(handler, user, session if sessions and sessions.known(session) == user.name else None)

    def validate_next_url(handler: object, next_url: str) -> str:
        # Tornado refuses a header of several lines with an error of the hub's.
        return str(validate(handler, next_url)) if next_url.isprintable() else ""

    replace_name(BaseHandler, "_validate_next_url", "(self, next_url)", validate_next_url)
    replace_name(BaseHandler, "refresh_auth", "(self, user, force=False)", refresh_auth)
    replace_name(BaseHandler, "set_login_cookie", "(self, user)", set_login_cookie)


def bound_session(handler: Any, user: Any) -> str | None:
    """Return the mark of the session in XNAT that a browser's sign-in came from, "" for none, None without a sign-in."""
    value = (handler.get_secure_cookie(host_cookie(handler.authenticator.site, _COOKIE)) or b"").decode(
        "utf-8", "replace"
    )
    owner, _, mark = value.partition(":")
    return mark if owner == str(user.id) else None


async def leave_to_another(handler: Any, before: Any) -> None:
    """End what somebody was let into, as another signs in to the same browser.

    The pass of who was there lies at a host name of theirs, out of reach here: so it ends by the epoch, in every browser.
    """
    if handler.authenticator.site.hub.user_subdomains:
        before.cookie_id = new_token()
        handler.db.commit()
        await handler.proxy.end_passes(before)


def _by_cookie(handler: Any, user: object) -> bool:
    return handler._jupyterhub_user is user and not handler._token_authenticated


async def _still(handler: Any, user: Any) -> bool:
    sessions = handler.authenticator.sessions
    bound = bound_session(handler, user)
    if sessions is None or bound is None:
        return bound is not None
    session = handler.get_cookie("JSESSIONID")
    if not await sessions.still(user.name, bool(bound), session):
        return False
    mark = handler.proxy.gate_key.session_mark(session)
    if session and bound != mark and await sessions.owner(session) is None:
        # Another session, and XNAT can't be asked whose: it may be the next person's.
        return False
    # Who came in by password and signs in to XNAT too, or has a new session there, belongs to that from now on.
    if sessions.known(session) == user.name and bound != mark:
        _bind(handler, user, session)
    return True


def _bind(handler: Any, user: Any, session: str | None) -> None:
    mark = handler.proxy.gate_key.session_mark(session)
    name = host_cookie(handler.authenticator.site, _COOKIE)
    handler._set_cookie(name, f"{user.id}:{mark}", path=handler.hub.base_url)
