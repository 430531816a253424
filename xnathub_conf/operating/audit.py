"""The audit log: one line for each sign-in, for each server that starts, is refused, fails or stops, and for a changed site file.

A line is a JSON object in ASCII, so that no name can end it or begin another. It holds no secret.
"""

import json
import logging
from contextvars import ContextVar
from typing import Any

log = logging.getLogger("xnathub.audit")

caller: ContextVar[dict[str, str] | None] = ContextVar("caller", default=None)
"""Who asked for what is being done, as `caller_of` gives it; None where the hub does it by itself."""

_MOST = 1000


class _Line(dict[str, object]):
    """An entry: JSON as text, and an object for a formatter that writes JSON itself."""

    def __str__(self) -> str:
        return json.dumps(self)


def audit(event: str, outcome: str, **facts: object) -> None:
    """Write one line: `event` (sign-in, start, stop or site), its outcome, and the facts that are known.

    Facts that are None or empty are left out, and long text is cut.
    """
    known = {name: _short(value) for name, value in facts.items() if value not in (None, "")}
    log.info(_Line(event=event, outcome=outcome, **known))


def caller_of(handler: Any) -> dict[str, str]:
    """Return who sends a request (`by`: a user, or `service xnat`) and from which address. `handler` may be None."""
    if handler is None:
        return {"by": "hub"}
    who = handler.current_user
    name = getattr(who, "name", "")
    return {
        "by": f"service {name}" if getattr(who, "kind", "user") == "service" else name,
        "address": handler.request.remote_ip,
    }


def _short(value: object) -> object:
    return value[:_MOST] + "…" if isinstance(value, str) and len(value) > _MOST else value
