"""Whether XNAT can be used, as far as the hub's last calls tell, for `/hub/health` and the metric `xnathub_xnat_up`."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from xnathub_conf.operating.metrics import XNAT_UP, XnatCall, XnatOutcome

FRESH_SECONDS = 60
"""How long a good answer counts as news; after that the next look asks XNAT, once."""

RETRY_SECONDS = 10
"""The same for bad news."""

log = logging.getLogger("xnathub")

_SERVICE_CALLS = frozenset({"probe", "user-options"})

State = Literal["unknown", "up", "down", "refused"]


class XnatState:
    """What is known of XNAT: `up`, `down`, `refused` where it won't have the service account, or `unknown`.

    Each call of the hub tells it how it ended. Looking costs XNAT nothing while there is fresh news; without, a look
    starts one probe, whose answer the next look sees. However often one looks, XNAT is asked once in RETRY_SECONDS.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]]):
        """Take the coroutine function that asks XNAT; it may raise anything, and its outcome arrives through `note`."""
        self._probe = probe
        self._probing: asyncio.Task[None] | None = None
        self._state: State = "unknown"
        self._heard_at: float | None = None
        self._probed_at: float | None = None

    def note(self, call: XnatCall, outcome: XnatOutcome) -> None:
        """Take note of how a call ended."""
        state = _told_by(call, outcome)
        # What a user's own call tells is not that the service account is taken again.
        if state is None or (state == "up" and self._state == "refused" and call not in _SERVICE_CALLS):
            return
        if state != self._state:
            log.log(
                logging.INFO if state == "up" else logging.ERROR,
                "XNAT: %s, after it was %s (the call %s ended with %s)", state, self._state, call, outcome,
            )  # fmt: skip
        self._state, self._heard_at = state, time.monotonic()
        XNAT_UP.set(state == "up")

    def look(self) -> dict[str, object]:
        """Return the state, and how many seconds old the news is; ask XNAT in the background where it is stale."""
        now = time.monotonic()
        if self._stale(now) and self._probing is None:
            self._probed_at = now
            self._probing = asyncio.get_running_loop().create_task(self._ask())
        age = {} if self._heard_at is None else {"seconds_ago": round(now - self._heard_at)}
        return {"state": self._state, **age}

    def _stale(self, now: float) -> bool:
        last = max(self._heard_at or 0.0, self._probed_at or 0.0)
        if not last:
            return True
        return now - last >= (FRESH_SECONDS if self._state == "up" else RETRY_SECONDS)

    async def _ask(self) -> None:
        # The client has counted it and told `note`.
        with contextlib.suppress(Exception):
            await self._probe()
        self._probing = None


def _told_by(call: XnatCall, outcome: XnatOutcome) -> State | None:
    """Return what a call's outcome tells of XNAT; None where it may be the user's own doing."""
    if outcome in {"unreachable", "untrusted"}:
        return "down"
    if call in _SERVICE_CALLS:
        if outcome in {"forbidden", "unauthorized", "too-many-sessions"}:
            return "refused"
        return "down" if outcome in {"bad-answer", "login-redirect"} else "up"
    return None if outcome in {"bad-answer", "login-redirect"} else "up"
