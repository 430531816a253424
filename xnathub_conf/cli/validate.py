"""`xnathub validate`."""

import glob
import os
import sys
from collections.abc import Collection, Sequence

from xnathub_conf.cli.reports import REPORTS, Checked, write_out
from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError
from xnathub_conf.site.yaml_source import MAX_BYTES


def validate(
    patterns: Sequence[str], *, strict: bool, secrets: bool, report_format: str, ignore: Collection[str] = ()
) -> int:
    """Check the site files that names and patterns stand for, and print a report, without the warnings to `ignore`.

    Returns 0 where all are valid, 1 where one is not, 2 where a name stands for nothing that can be read.
    """
    checked: list[Checked] = []
    missing = False
    for name in _files(patterns):
        content = None
        if name == "-":
            name, content = "<stdin>", sys.stdin.buffer.read(MAX_BYTES + 1)
        try:
            environment = os.environ if secrets else None
            loaded = load(name, content=content, environment=environment, strict=strict, ignore=ignore)
            checked.append(Checked(name, True, loaded.warnings))
        except SiteError as error:
            missing = missing or any(problem.rule == "unreadable" for problem in error.problems)
            checked.append(Checked(name, False, tuple(error.problems)))
    write_out(REPORTS[report_format](checked))
    if missing:
        return 2
    return 0 if all(each.valid for each in checked) else 1


def _files(patterns: Sequence[str]) -> list[str]:
    """List the files in the order given, each once; what matches nothing stays, to be reported as missing."""
    names: dict[str, None] = {}
    for pattern in patterns:
        # A file may be named with brackets; only what is no file is a pattern.
        literal = pattern == "-" or os.path.lexists(pattern)
        found = [] if literal else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - keeps names as typed
        names.update(dict.fromkeys(found or [pattern]))
    return list(names)
