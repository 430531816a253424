"""Calls to a cluster's API that end a check: each tells its finding."""

from collections.abc import Awaitable, Callable

from xnathub_conf.doctor.examination import Finding, failed
from xnathub_conf.doctor.kubernetes_reading import api_reason
from xnathub_conf.site.problems import KeyPath

_HERE: KeyPath = ("orchestrator", "kubernetes")


class Told(Exception):
    """A call to the API server did not give what it should; it carries the finding."""

    def __init__(self, finding: Finding):
        self.finding = finding


def told(check: Callable[[], Awaitable[Finding]]) -> Callable[[], Awaitable[Finding]]:
    """Return a check that gives the finding of a call which ended it."""

    async def run() -> Finding:
        try:
            return await check()
        except Told as ended:
            return ended.finding

    return run


def no_answer(error: Exception) -> Finding:
    """Return the finding that the API server does not say what it should."""
    return failed(f"The API server does not say: {api_reason(error)}.", "See the API server's log.", _HERE)
