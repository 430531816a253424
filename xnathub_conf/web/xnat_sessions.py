"""The sessions of XNAT that browsers send, and whose they are.

A browser can send several: any host below the same domain can add one of its own, and XNAT may take any of them.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

MOST_SESSIONS = 4
_KEPT = 10_000
_SOON_SECONDS = 5.0
"""How long it counts that a session is nobody's: it may be somebody's as soon as they have signed in to XNAT."""


_SESSION_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")


def may_be_a_session(text: str | None) -> bool:
    """Return whether a cookie may be a session of XNAT's: what is odd or long is none, so it is neither asked about nor kept."""
    return bool(text and _SESSION_ID.fullmatch(text))


@dataclass(frozen=True)
class _Known:
    """Whose a session is, until when that counts, and until when XNAT need not be asked whether it goes on."""

    owner: str | None
    until: float
    fresh: float


_UNKNOWN = _Known(None, 0.0, 0.0)


class Sessions:
    """Whose the sessions of XNAT are that browsers send. XNAT is asked where it has not answered by one for `age` seconds.

    Whose it is stays known for `kept` seconds: that counts where XNAT answers by it what this user alone may ask.
    """

    def __init__(self, ask: Callable[[str], Awaitable[str | None]], age: float, kept: float = 0):
        """Take what asks XNAT, which gives a name, `guest`, or None where it can't be told."""
        self._ask = ask
        self._age, self._kept = age, max(age, kept)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[str | None]] = {}

    def known(self, session: str | None) -> str | None:
        """Return whose a session is, as far as that is known, without a question."""
        found = self._known.get(session or "")
        return found.owner if found and found.until > time.monotonic() else None

    def has(self, username: str) -> bool:
        """Return whether any session is known to be a user's, without a question."""
        now = time.monotonic()
        return any(each.owner == username and each.until > now for each in self._known.values())

    def note(self, session: str, owner: str | None) -> None:
        """Note what XNAT has just said."""
        now, soon = time.monotonic(), min(_SOON_SECONDS, self._age)
        named = owner not in {None, "guest"}
        self._known[session] = _Known(
            owner, now + (self._kept if named else soon), now + (self._age if named else soon)
        )
        self._known.move_to_end(session)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def heard(self, session: str) -> None:
        """Note that XNAT has just answered by a session: it goes on, and is whose it was."""
        if found := self._known.get(session):
            self._known[session] = replace(found, fresh=time.monotonic() + self._age)

    def forget(self, session: str) -> None:
        """Ask anew whose a session is, the next time that it matters."""
        self._known.pop(session, None)

    async def owner(self, session: str | None) -> str | None:
        """Return whose a session is, `guest` for nobody's or no session at all, and None where XNAT can't be asked."""
        if session is None or not may_be_a_session(session):
            return "guest"
        found, now = self._known.get(session, _UNKNOWN), time.monotonic()
        if found.until > now and found.fresh > now:
            return found.owner
        if session not in self._asking:
            task = asyncio.ensure_future(self._ask(session))
            self._asking[session] = task
            task.add_done_callback(lambda _: self._asking.pop(session))
        said = await asyncio.shield(self._asking[session])
        if said is None:
            # What XNAT said last holds until it says something else.
            said = found.owner
        self.note(session, said)
        return said

    async def still(self, username: str, bound: bool, session: str | None) -> bool:
        """Return whether a browser that sends this session is still its user's.

        `bound` says that they came in by a session in XNAT: then it must go on. Who came in by password needs none.
        """
        owner = await self.owner(session)
        return owner in {username, None} or (owner == "guest" and not bound)


class SeveralPeople(Exception):
    """One browser sends sessions of several people, or more than are looked at. `names` are those that XNAT gives, if any."""

    def __init__(self, names: set[str] | None = None):
        super().__init__("sessions of several people")
        self.names = sorted(names or ())


def sent_sessions(handler: Any) -> tuple[str, ...]:
    """Return the different sessions in a request's cookies, in their order, or those that the gate found in them."""
    if (told := getattr(handler, "told_sessions", None)) is not None:
        return tuple(told)
    pairs = (
        piece.partition("=")
        for header in handler.request.headers.get_list("Cookie")
        for piece in header.split(";")
    )
    found = (value.strip(" \t") for name, _, value in pairs if name.strip(" \t") == "JSESSIONID")
    # XNAT reads a quoted one as it reads it without.
    return tuple(dict.fromkeys(filter(None, (re.sub(r'^"(.*)"$', r"\1", each) for each in found))))


async def own_session(sessions: Sessions, name: str, sent: tuple[str, ...]) -> str | None:
    """Return the session that counts for a user: of several their own, else the last; None without any.

    Raises SeveralPeople where one of several is somebody else's.
    """
    if len(sent) < 2:
        return sent[0] if sent else None
    owners = await owners_of(sessions, sent)
    people = {each for each in owners.values() if each not in {None, "guest"}}
    if not people <= {name}:
        raise SeveralPeople({str(each) for each in people})
    return next((each for each, owner in owners.items() if owner == name), sent[-1])


async def owners_of(sessions: Sessions, sent: tuple[str, ...]) -> dict[str, str | None]:
    """Return whose each session is, as XNAT says. Raises SeveralPeople where they are too many to ask about."""
    if len(sent) > MOST_SESSIONS:
        raise SeveralPeople
    return {each: await sessions.owner(each) for each in sent}


def known_session(sessions: Sessions, name: str, sent: tuple[str, ...]) -> str | None:
    """Return the session that is known to be a user's, without a question; None where none is."""
    return next((each for each in sent if sessions.known(each) == name), None)
