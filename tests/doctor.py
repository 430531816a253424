"""Running `xnathub doctor` in tests."""

from __future__ import annotations

import io
import json
import os
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import XNATHUB
from xnathub_conf.cli import main

OUTPUTS = Path(__file__).resolve().parents[1] / "docs/outputs"


def keep(name: str, report: str, plain: dict[str, str]) -> None:
    """Keep what doctor printed for the documentation, where XNATHUB_OUTPUTS is set; `plain` says what the test's names become."""
    if os.environ.get("XNATHUB_OUTPUTS"):
        for shown, instead in plain.items():
            report = report.replace(shown, instead)
        (OUTPUTS / f"{name}.txt").write_text("".join(f"{line.rstrip()}\n" for line in report.splitlines()))


@dataclass(frozen=True)
class Diagnosis:
    """What `xnathub doctor --json` wrote, by check."""

    code: int
    findings: dict[str, dict[str, Any]]
    text: str

    def __getitem__(self, name: str) -> str:
        """Return a check's status."""
        return self.findings[name]["status"]

    def told(self, name: str, status: str) -> str:
        """Return what was seen and what to do, of a check with that status; there must be something to do for a fault."""
        finding = self.findings[name]
        assert finding["status"] == status, self.text
        assert finding["seen"]
        assert finding["do"] or status in {"ok", "skipped"}, finding
        return f"{finding['seen']} {finding['do']} [{finding['key']}]"

    def bad(self) -> list[str]:
        """Name the checks that are not ok."""
        return [name for name, finding in self.findings.items() if finding["status"] in {"failed", "warning"}]


def diagnosis(text: str, code: int) -> Diagnosis:
    """Read what was written; its parts must agree."""
    report = json.loads(text)
    findings = {each["check"]: each for each in report["results"]}
    assert len(findings) == len(report["results"])
    assert report["ok"] == (code == 0) == all(each["status"] != "failed" for each in findings.values())
    return Diagnosis(code, findings, text)


def diagnose(site_file: Path, *arguments: str, environment: dict[str, str] | None = None) -> Diagnosis:
    """Run the command here; no secret of the site's folder may be in what it writes.

    It runs in this process, which is quicker, unless it wants an environment of its own.
    """
    command = ["doctor", str(site_file), "--json", *arguments]
    if environment is None:
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = main(command)
        written, complaints = out.getvalue(), err.getvalue()
    else:
        done = subprocess.run(
            [XNATHUB, *command],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **environment},
        )
        code, written, complaints = done.returncode, done.stdout, done.stderr
    assert complaints == ""
    for secret in ("token", "password"):
        if (site_file.parent / secret).is_file():
            assert (site_file.parent / secret).read_text().strip() not in written
    return diagnosis(written, code)
