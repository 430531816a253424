"""What can go wrong between a hub and XNAT, to be switched on by path."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .answer import HTML, JSON, LOGIN_PATH, Answer, error, redirect
from .state import State

_BLOCK = 64 * 1024
_LOGIN_PAGE = (
    b"<!doctype html><html><head><title>Sign in</title></head><body><form>Sign in</form></body></html>"
)


class Fault:
    """A fault, which changes nothing by itself; each kind overrides one of the three steps."""

    async def before(self, state: State) -> None:
        """Act before XNAT looks at the request."""

    def instead(self) -> Answer | None:
        """Return the answer of something in front of XNAT, which then never sees the request."""
        return None

    def change(self, answer: Answer) -> Answer:
        """Return what becomes of XNAT's answer."""
        return answer


@dataclass(frozen=True)
class Delay(Fault):
    """Answer rightly, some seconds late."""

    seconds: float

    async def before(self, state: State) -> None:
        """Wait, without holding up other requests."""
        del state
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class DropSessions(Fault):
    """Lose all sessions, as a restart of XNAT does, then answer rightly."""

    async def before(self, state: State) -> None:
        """End every session."""
        state.end_sessions()


@dataclass(frozen=True)
class Status(Fault):
    """Answer a status with an HTML page, as a proxy in front of XNAT does."""

    status: int

    def instead(self) -> Answer:
        """Return the error page."""
        return error(self.status, "The server can't answer.")


@dataclass(frozen=True)
class RedirectToLogin(Fault):
    """Answer 302 to the login page."""

    location: str = LOGIN_PATH

    def instead(self) -> Answer:
        """Return the redirect."""
        return redirect(self.location)


@dataclass(frozen=True)
class LoginPage(Fault):
    """Answer 200 with the HTML of a login page."""

    def instead(self) -> Answer:
        """Return the page."""
        return Answer(body=_LOGIN_PAGE)


@dataclass(frozen=True)
class Hang(Fault):
    """Take the request and never send a byte."""

    def instead(self) -> Answer:
        """Return the silent answer."""
        return Answer(status=0, silent=True)


@dataclass(frozen=True)
class HugeBody(Fault):
    """Answer 200 with a JSON string of so many bytes."""

    size: int

    def instead(self) -> Answer:
        """Return the answer, made block by block."""
        return Answer(content_type=JSON, pieces=self._pieces(), length=self.size)

    def _pieces(self) -> Iterator[bytes]:
        yield b'"'
        for start in range(0, self.size - 2, _BLOCK):
            yield b"x" * min(_BLOCK, self.size - 2 - start)
        yield b'"'


@dataclass(frozen=True)
class WrongContentType(Fault):
    """Send XNAT's answer under another content type."""

    content_type: str = HTML

    def change(self, answer: Answer) -> Answer:
        """Replace the content type."""
        return replace(answer, content_type=self.content_type)


@dataclass(frozen=True)
class TruncatedJson(Fault):
    """Send the first half of XNAT's answer as if it were all."""

    def change(self, answer: Answer) -> Answer:
        """Drop the second half of the body."""
        return replace(answer, body=answer.body[: len(answer.body) // 2])


@dataclass(frozen=True)
class InvalidJson(Fault):
    """Send something under JSON's content type that isn't JSON."""

    def change(self, answer: Answer) -> Answer:
        """Replace the body."""
        return replace(answer, body=b"{'not': json,}", content_type=JSON)


@dataclass(frozen=True)
class WrongShape(Fault):
    """Send valid JSON of a shape that nobody asked for."""

    value: object = 42

    def change(self, answer: Answer) -> Answer:
        """Replace the body."""
        return replace(answer, body=json.dumps(self.value).encode(), content_type=JSON)


@dataclass(frozen=True)
class Drip(Fault):
    """Send XNAT's answer a few bytes at a time."""

    pause: float
    size: int = 1

    def change(self, answer: Answer) -> Answer:
        """Cut the body to pieces with pauses between them."""
        body, size = answer.body, self.size
        pieces = (body[start : start + size] for start in range(0, len(body), size))
        return replace(answer, pieces=pieces, length=len(body), pause=self.pause)


@dataclass(frozen=True)
class CloseMidway(Fault):
    """Close the connection half-way through the body."""

    def change(self, answer: Answer) -> Answer:
        """Mark the answer to be cut."""
        return replace(answer, cut=True)


@dataclass
class _Rule:
    prefix: str
    fault: Fault
    left: int | None


class Faults:
    """The faults that are on; safe to change from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []

    def set(self, prefix: str, fault: Fault, count: int | None = None) -> None:
        """Switch a fault on for paths with a prefix, for the next `count` requests or until cleared.

        Several that match one request all act, in the order they were set. ValueError when count is below 1.
        """
        if count is not None and count < 1:
            raise ValueError("count must be at least 1")
        with self._lock:
            self._rules.append(_Rule(prefix, fault, count))

    def clear(self, prefix: str | None = None) -> None:
        """Switch off all faults, or those set for exactly that prefix."""
        with self._lock:
            self._rules = [rule for rule in self._rules if prefix not in (None, rule.prefix)]

    @property
    def on(self) -> bool:
        """Whether any fault is left that a request may meet."""
        with self._lock:
            return bool(self._rules)

    def take(self, path: str) -> list[Fault]:
        """Return the faults that a request for a path meets, and count it."""
        with self._lock:
            met = [rule for rule in self._rules if path.startswith(rule.prefix)]
            for rule in met:
                if rule.left is not None:
                    rule.left -= 1
            self._rules = [rule for rule in self._rules if rule.left != 0]
            return [rule.fault for rule in met]
