"""A browser's sign-in lasts as long as XNAT names nobody else in it, and no longer than the session that it came from.

Else the next person at a shared workstation, who has signed in to XNAT there, would be the last one on the hub.
"""

from typing import Any

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import new_token

from xnathub_conf.operating.replaced_names import replace_name
from xnathub_conf.web.host_cookies import host_cookie
from xnathub_conf.web.xnat_sessions import SeveralPeople, known_session, own_session, sent_sessions

_COOKIE = "xnathub-signed-in"


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
        _bind(handler, user, known_session(sessions, user.name, sent_sessions(handler)) if sessions else None)

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
    sent = sent_sessions(handler)
    try:
        session = await own_session(sessions, user.name, sent)
    except SeveralPeople:
        return False
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
