"""What a run that is ended from outside would keep to itself: each failure as it comes, and what was running at the end."""

import time

import pytest


class Progress:
    """Tells of failures at once; only the process that runs no tests for another one has it."""

    def __init__(self, config: pytest.Config):
        self._config = config
        self._begun: dict[str, float] = {}

    def _say(self, line: str) -> None:
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        # With several processes pytest doesn't know that it stands behind dots.
        terminal.write_line(f"\n{line}")

    def pytest_runtest_logstart(self, nodeid):
        self._begun[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid):
        del self._begun[nodeid]

    def pytest_runtest_logreport(self, report):
        if report.failed or report.outcome == "rerun":
            # A fixture that is not there has no crash.
            crash = getattr(report.longrepr, "reprcrash", None)
            why = (crash.message if crash else report.longreprtext).strip().partition("\n")[0]
            what = "FAILED" if report.failed else "RUN AGAIN"
            self._say(f"{what} {report.nodeid} ({report.when}, {report.duration:.0f} s): {why[:200]}")

    def pytest_keyboard_interrupt(self):
        for nodeid, begun in self._begun.items():
            self._say(f"ENDED IN {nodeid}, after {time.monotonic() - begun:.0f} s")
