"""Who is calling: HTTP Basic and the session cookie, by the rules of XNAT's security filters."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Literal

from .records import LoginRefusedError, Session, User
from .state import State

COOKIE = "JSESSIONID"

How = Literal["none", "cookie", "basic", "basic+cookie"]


@dataclass(frozen=True)
class Caller:
    """The account behind a request, if any, and how it was found.

    `session` is the live session, `opened` says that this request opened it, `refusal` why a login failed.
    """

    user: User | None = None
    how: How = "none"
    session: Session | None = None
    opened: bool = False
    refusal: str | None = None


def identify(state: State, authorization: str | None, session_id: str | None) -> Caller:
    """Find a request's caller, opening a session for a Basic login that has none.

    A live session of the very same login name carries a Basic request without a second look at its password,
    as in XNAT. One of another name is replaced. An alias never equals the session's name, so it opens a
    session each time. A login beyond the session limit fails like a wrong password does, with 401.
    """
    session = state.session(session_id) if session_id else None
    if authorization is None or not authorization.lower().startswith("basic "):
        if session is None:
            return Caller()
        return Caller(state.user(session.user), "cookie", session)
    how: How = "basic" if session is None else "basic+cookie"
    try:
        name, _, password = base64.b64decode(authorization[6:], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return Caller(how=how, refusal="The Authorization header can't be read.")
    if session is not None and session.user == name:
        return Caller(state.user(name), how, session)
    try:
        user = state.authenticate(name, password)
        opened = state.open_session(user.name)
    except LoginRefusedError as refused:
        return Caller(how=how, refusal=str(refused))
    if session is not None:
        state.end_session(session.id)
    return Caller(user, how, opened, opened=True)
