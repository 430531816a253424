"""`xnathub doctor`."""

import asyncio
import json
import logging
import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from xnathub_conf.cli.reports import write_out
from xnathub_conf.doctor.examination import Check, Examination, Finding, examine
from xnathub_conf.operating.log_text import in_one_line
from xnathub_conf.site.kinds import kind_of, named
from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import SiteError, dotted
from xnathub_conf.values.secret import Secret

_COLOURS = {"ok": "32", "warning": "33", "failed": "31", "skipped": "2"}


@dataclass(frozen=True)
class Against:
    """An old hub to compare with: its address, and the file that holds its token, else a variable does."""

    url: str
    token_file: str | None = None


@dataclass(frozen=True)
class Started:
    """What is started: on which project, the file of the user's password, else a variable, and how many at once then."""

    project: str
    password_file: str | None
    load: int


def doctor(
    file: str,
    *,
    user: str | None = None,
    server: str = "",
    skip: Sequence[str] = (),
    as_json: bool = False,
    against: Against | None = None,
    start: Started | None = None,
) -> int:
    """Try what a site needs, print each finding as it is there, and what to do.

    With `user` (and a named `server`), what XNAT would start for them is tried too. `skip` names checks, or all of one
    subject, to leave out; `against` is an old hub that is compared, `start` a server that is really started. Gives 0 where nothing failed, 1 where something did or the file is not valid, 2 where `skip`
    names no check, or `against` no address.
    """
    from xnathub_conf.doctor.old_hub import old_hub_url

    if against:
        try:
            against = replace(against, url=old_hub_url(against.url))
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
    try:
        loaded = load(file)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    # What libraries warn of is in the findings.
    logging.getLogger().addHandler(logging.NullHandler())
    return asyncio.run(
        _doctor(Examination(loaded, os.environ, user, server), skip, against, start, as_json=as_json)
    )


async def _doctor(
    examination: Examination,
    skip: Sequence[str],
    against: Against | None,
    start: Started | None,
    *,
    as_json: bool,
) -> int:
    async with AsyncExitStack() as stack:
        checks = await _checks(examination, stack, against, start)
        names = [check.name for check in checks]
        unknown = set(skip) - {*names, *(name.partition(".")[0] for name in names)}
        if unknown:
            print(f"There is no check {sorted(unknown)[0]}. There are: {', '.join(names)}.", file=sys.stderr)
            return 2
        return await reported(examination, checks, skip, as_json=as_json)


async def found_within(loaded: LoadedSite, seconds: float) -> dict[str, object]:
    """Return what is found within so many seconds, as with --json; `complete` says whether that was all."""
    examination, report = Examination(loaded, os.environ), _Json(loaded)
    try:
        async with asyncio.timeout(seconds), AsyncExitStack() as stack:
            async for name, finding in examine(examination, await _checks(examination, stack, None, None)):
                report.add(name, finding)
    except TimeoutError:
        return {**report.whole(), "complete": False}
    return {**report.whole(), "complete": True}


async def reported(
    examination: Examination, checks: Sequence[Check], skip: Sequence[str] = (), *, as_json: bool
) -> int:
    """Run checks and print what they find; give 1 where one failed, else 0."""
    names = [check.name for check in checks]
    report = _Json(examination.loaded) if as_json else _Table(examination.loaded, names)
    async for name, finding in examine(examination, checks, leave_out=skip, begin=report.begin):
        report.add(name, finding)
    return report.end()


async def _checks(
    examination: Examination, stack: AsyncExitStack, against: Against | None, start: Started | None
) -> list[Check]:
    """List all checks for the site; what they open is closed with the stack."""
    from xnathub_conf.doctor.hub import HubChecks
    from xnathub_conf.doctor.public_url import PublicUrlChecks
    from xnathub_conf.doctor.xnat import XnatChecks

    hub = HubChecks(examination)
    xnat = XnatChecks(examination, hub.newest_server)
    stack.push_async_callback(xnat.close)
    checks = xnat.checks()
    checks += named(kind_of(examination.site).doctor)(examination, stack)
    checks += [*hub.checks(), *PublicUrlChecks(examination).checks()]
    if start:
        from xnathub_conf.doctor.start import PASSWORD_VARIABLE, ProbeStart, StartChecks

        file = start.password_file
        password = Secret("file", file) if file else Secret("env", PASSWORD_VARIABLE)
        started = StartChecks(examination, ProbeStart(start.project, password, start.load), xnat.planned)
        stack.push_async_callback(started.close)
        checks += started.checks()
    if against:
        from xnathub_conf.doctor.old_hub import TOKEN_VARIABLE, OldHubChecks

        file = against.token_file
        token = Secret("file", file) if file else Secret("env", TOKEN_VARIABLE)
        checks += OldHubChecks(examination, against.url, token, xnat.planned).checks()
    return checks


class _Table:
    """The findings as lines, each written as soon as it is there; on a terminal, the check that runs shows too."""

    def __init__(self, loaded: LoadedSite, names: Sequence[str]):
        self._loaded = loaded
        self._width = min(max(map(len, names)), 24)
        self._terminal = sys.stdout.isatty()
        self._columns = shutil.get_terminal_size().columns if self._terminal else 0
        self._coloured = self._terminal and not os.environ.get("NO_COLOR")
        self._counts: Counter[str] = Counter()

    def begin(self, name: str) -> None:
        """Show which check runs."""
        if self._terminal:
            write_out(f"\r\x1b[K{'...':8} {name}")

    def add(self, name: str, finding: Finding) -> None:
        """Write a finding."""
        self._counts[finding.status] += 1
        indent = " " * (9 + self._width + 1)
        lines = self._wrapped(in_one_line(finding.seen), indent)
        if finding.do:
            where = _where(self._loaded, finding)
            lines += self._wrapped(f"-> {finding.do}" + (f" [{where}]" if where else ""), indent)
        status = f"{finding.status:8}"
        if self._coloured:
            status = f"\x1b[{_COLOURS[finding.status]}m{status}\x1b[0m"
        clear = "\r\x1b[K" if self._terminal else ""
        if len(name) > self._width:
            lines.insert(0, "")
        head = f"{clear}{status} {name:{self._width}} " if lines[0] else f"{clear}{status} {name}"
        write_out(head + f"\n{indent}".join(lines) + "\n")

    def _wrapped(self, text: str, indent: str) -> list[str]:
        text = " ".join(text.split())
        if not self._columns:
            return [text]
        width = max(self._columns - len(indent), 30)
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]

    def end(self) -> int:
        """Write the sum, and give the exit code."""
        counts = self._counts
        write_out(", ".join(f"{counts[status]} {status}" for status in _COLOURS if counts[status]) + "\n")
        return 1 if counts["failed"] else 0


class _Json:
    """The findings as one object, written at the end."""

    def __init__(self, loaded: LoadedSite):
        self._loaded = loaded
        self._results: list[dict[str, object]] = []

    def begin(self, _name: str) -> None:
        """Show nothing: programs read the whole."""

    def add(self, name: str, finding: Finding) -> None:
        """Keep a finding."""
        self._results.append(
            {
                "check": name,
                "status": finding.status,
                "seen": finding.seen,
                "do": finding.do,
                "key": dotted(finding.key),
                "line": _line(self._loaded, finding),
            }
        )

    def whole(self) -> dict[str, object]:
        """Return everything."""
        healthy = all(result["status"] != "failed" for result in self._results)
        return {"file": self._loaded.document.file, "ok": healthy, "results": self._results}

    def end(self) -> int:
        """Write everything, and give the exit code."""
        report = self.whole()
        write_out(json.dumps(report, indent=2) + "\n")
        return 0 if report["ok"] else 1


def _line(loaded: LoadedSite, finding: Finding) -> int | None:
    """Return the line of a finding's key, or of the nearest key above it that stands in the file."""
    key = finding.key
    while key:
        if line := loaded.line(key):
            return line
        key = key[:-1]
    return None


def _where(loaded: LoadedSite, finding: Finding) -> str:
    if not finding.key:
        return ""
    line = _line(loaded, finding)
    return f"{loaded.document.file}:{line} {dotted(finding.key)}" if line else dotted(finding.key)
