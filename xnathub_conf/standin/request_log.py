"""What was asked of the stand-in, kept in memory for tests."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from .auth import How

KEPT = 10_000


@dataclass(frozen=True)
class Request:
    """One request: what it was, who sent it and how they were known, and what came back.

    `status` is 0 when nothing was sent, `seconds` is the time until the answer was ready, `opened_session`
    says that it opened an XNAT session.
    """

    method: str
    path: str
    who: str | None
    how: How
    opened_session: bool
    status: int
    at: float
    seconds: float


class RequestLog:
    """The latest requests, oldest first; safe to read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Request] = deque(maxlen=KEPT)

    def add(self, request: Request) -> None:
        """Keep one request."""
        with self._lock:
            self._kept.append(request)

    def find(self, prefix: str = "/", method: str | None = None) -> list[Request]:
        """Return the requests whose path starts with a prefix, of one method or of any."""
        with self._lock:
            return [r for r in self._kept if r.path.startswith(prefix) and method in (None, r.method)]

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._kept.clear()
