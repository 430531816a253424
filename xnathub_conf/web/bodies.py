"""How much of bodies that are still under way the hub keeps at once: little of strangers', more of those whom it knows."""

import logging
from typing import Any, Protocol

from jupyterhub import orm
from jupyterhub.handlers.base import auth_header_pat
from sqlalchemy.exc import SQLAlchemyError
from tornado.httputil import HTTPHeaders, parse_cookie
from tornado.web import decode_signed_value

MOST_BYTES = 1 << 20
"""The largest body of a request to the hub's pages and API; XNAT's plugin sends less than 1 kB."""

MOST_OF_A_STRANGER = 1 << 16
"""The largest body of one who has no sign-in and no token: a name and a password, for the most part."""

_OF_STRANGERS = 16 << 20
_OF_ALL_KNOWN = 64 << 20

_log = logging.getLogger("xnathub")


class Body(Protocol):
    """A body on its way."""

    def is_known(self) -> bool:
        """Return whether it is from somebody whom the hub knows."""

    def drop(self, status: int, text: str) -> None:
        """Keep no more of it, and answer so when it is there."""


class Bodies:
    """Counts what has come of bodies that are not complete.

    Where that is too much, the largest is dropped: a form that somebody fills in is small and comes at once, so nobody keeps them out.
    """

    def __init__(self, strangers: int = _OF_STRANGERS, known: int = _OF_ALL_KNOWN):
        """Take how many bytes are kept at once, of strangers' bodies and of others."""
        self._strangers, self._known = _Sum(strangers), _Sum(known)

    def take(self, body: Body, length: int) -> None:
        """Count bytes that have come."""
        if body in self._known.kept:
            self._known.add(body, length)
            return
        kept = self._strangers.kept.get(body, 0)
        if kept + length <= MOST_OF_A_STRANGER:
            self._strangers.add(body, length)
            return
        self._strangers.end(body)
        if body.is_known():
            self._known.add(body, kept + length)
        else:
            body.drop(413, "Without a sign-in or a token the hub takes nothing as large as this.\n")

    def end(self, body: Body) -> None:
        """Count a body no more: it is complete, or will never be."""
        self._strangers.end(body)
        self._known.end(body)


class _Sum:
    def __init__(self, most: int):
        self._most = most
        self._bytes = 0
        self.kept: dict[Body, int] = {}

    def add(self, body: Body, length: int) -> None:
        self.kept[body] = self.kept.get(body, 0) + length
        self._bytes += length
        while self._bytes > self._most:
            largest = max(self.kept, key=lambda each: self.kept[each])
            self.end(largest)
            largest.drop(503, "The hub gets more at this moment than it can hold. Try again.\n")

    def end(self, body: Body) -> None:
        self._bytes -= self.kept.pop(body, 0)


def is_known(settings: dict[str, Any], headers: HTTPHeaders) -> bool:
    """Return whether a request comes with a token of the hub's, or with the cookie of a sign-in that has not ended."""
    db = settings["db"]
    try:
        if found := auth_header_pat.match(headers.get("Authorization", "")):
            return orm.APIToken.find(db, found[1]) is not None
        name = settings["hub"].cookie_name
        cookie = parse_cookie(headers.get("Cookie", "")).get(name, "")
        days = settings["cookie_max_age_days"]
        signed = decode_signed_value(settings["cookie_secret"], name, cookie, max_age_days=days)
        if signed is None:
            return False
        return (
            db.query(orm.User.id).filter_by(cookie_id=signed.decode("utf-8", "replace")).first() is not None
        )
    except SQLAlchemyError as error:
        _log.warning("Whose a large request is could not be looked up: %s", error)
        return False
