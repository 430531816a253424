"""Servers that ran and then came to an end by themselves: why, as the user reads it and the log has it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from xnathub_conf.values.memory import site_amount

_KILLED, _ASKED = 9, 15
"""Signals. Who ends by one has 128 more as its exit code."""


class Ending(NamedTuple):
    """How a server ended: a short label for the audit log, a sentence, the exit code where one is known, its last lines."""

    reason: str
    text: str
    code: int | None = None
    log: tuple[str, ...] = ()

    def stored(self) -> dict[str, Any]:
        """Return it as JSON takes it: the hub's database keeps it, and shows it to admins."""
        return {**self._asdict(), "log": "\n".join(self.log)}


def exited(
    code: int | None, *, out_of_memory: bool = False, mem_limit: int | None = None, said: str = ""
) -> Ending:
    """Return the ending of a server whose process ended with this code (None: not known).

    `out_of_memory` says that the kernel ended something in it for want of memory, `said` what the orchestrator says besides.
    """
    limit = f"more memory than it may, {site_amount(mem_limit)}" if mem_limit else "too much memory"
    if code is not None and code < 0:
        # As Python tells it of a child that ended by a signal.
        code = 128 - code
    signal = code - 128 if code else 0
    if out_of_memory and code != 0:
        text = f"It used {limit}, and was ended for that. Start it with more memory, or work on less data at a time."
        return Ending("out-of-memory", text, code)
    if signal == _KILLED:
        text = f"It was killed, with exit code {code}. Most often that is for using {limit}."
        return Ending("killed", text, code)
    if code == 0:
        text = "It ended without an error: somebody shut it down from inside, or it ends when nobody uses it."
        return Ending("exit", text, code)
    if signal == _ASKED:
        return Ending("killed", "It was told to end by somebody other than the hub.", code)
    with_code = "" if code is None else f", with exit code {code}"
    more = f" {said.strip().rstrip('.')}." if said.strip() else ""
    return Ending("exit", f"It ended by itself{with_code}.{more}", code)


def gone(what: str) -> Ending:
    """Return the ending of a server whose container or pod (`what`) is no longer there."""
    return Ending("gone", f"Its {what} is gone: it was removed, or the machine that it ran on is gone.")


def lost_node(said: str = "") -> Ending:
    """Return the ending of a server whose node is gone, or has put it out for the reason that is `said`."""
    more = f": {said.strip().rstrip('.')}" if said.strip() else ""
    return Ending("node", f"The machine that it ran on is gone, or ended it{more}.")


def with_log(ending: Ending, lines: Sequence[str]) -> Ending:
    """Return an ending with the last lines of the server's log."""
    return ending._replace(log=tuple(lines))
