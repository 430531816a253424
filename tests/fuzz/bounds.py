"""Bounds on every fuzz case: processor time, so that a hang is a failure, and memory."""

import contextlib
import resource
import signal
from pathlib import Path

from hypothesis import HealthCheck, settings

CPU_SECONDS = 10
"""For one case, by its own processor time; the slowest case that is known takes under one."""

MEMORY_BYTES = 512 * 1024**2
"""What one case may add."""


class TookTooLong(BaseException):
    """A case went on beyond CPU_SECONDS. No code under test can catch it by accident."""


def fuzz(cases):
    """Settings for the short run: as many cases, the same ones on every run."""
    return settings(
        max_examples=cases,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def bounded():
    """Run one case within the bounds. Raises TookTooLong, or MemoryError."""

    def stop(_signal, _frame):
        raise TookTooLong(f"more than {CPU_SECONDS} s of processor time")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = signal.signal(signal.SIGPROF, stop)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY_BYTES, hard))
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def judge_text(error):
    """What people read of an error is not empty, and can be written anywhere. Raises AssertionError, or UnicodeError."""
    assert str(error).encode()
