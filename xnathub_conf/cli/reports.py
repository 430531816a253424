"""How `xnathub validate` reports: for people, for programs, for GitHub's annotations, and as SARIF."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from xnathub_conf import __version__
from xnathub_conf.site.problems import Problem, dotted
from xnathub_conf.site.rule_names import RULES


def write_out(text: str) -> None:
    """Write text to standard output, with escapes for what its encoding can't show.

    A reader that has seen enough and left, such as `head`, is no error.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left must not fail again when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True)
class Checked:
    """One file: whether it is valid, and its errors and warnings."""

    file: str
    valid: bool
    problems: tuple[Problem, ...]


def text_report(checked: Sequence[Checked]) -> str:
    """A line a problem, in the form that editors and terminals link to, and a line a file."""
    lines: list[str] = []
    for each in checked:
        lines.extend(map(str, each.problems))
        errors = sum(problem.severity == "error" for problem in each.problems)
        warnings = len(each.problems) - errors
        counts = [count(errors, "error")] * bool(errors) + [count(warnings, "warning")] * bool(warnings)
        verdict = "valid" if each.valid else "not valid"
        lines.append(f"{each.file}: {verdict}" + (f" ({', '.join(counts)})" if counts else ""))
    return "\n".join(lines) + "\n"


def count(number: int, noun: str) -> str:
    """Return a number and what it counts, in the plural where it is not one."""
    return f"{number} {noun}{'s' * (number != 1)}"


def json_report(checked: Sequence[Checked]) -> str:
    """One object: `valid`, and for each file its problems with line, column, key path, rule and texts."""
    files = [
        {
            "file": each.file,
            "valid": each.valid,
            "problems": [
                {
                    "line": problem.line,
                    "column": problem.column,
                    "path": dotted(problem.path),
                    "rule": problem.rule,
                    "severity": problem.severity,
                    "message": problem.message,
                    "fix": problem.fix,
                }
                for problem in each.problems
            ],
        }
        for each in checked
    ]
    return json.dumps({"valid": all(each.valid for each in checked), "files": files}, indent=2) + "\n"


def github_report(checked: Sequence[Checked]) -> str:
    """GitHub's workflow commands, as in docs.github.com "Workflow commands for GitHub Actions"."""

    def escaped(value: str, more: str = "") -> str:
        for character in "%\r\n" + more:
            value = value.replace(character, f"%{ord(character):02X}")
        return value

    lines = [
        f"::{problem.severity} file={escaped(problem.file, ':,')},line={problem.line},col={problem.column},"
        f"title={escaped(dotted(problem.path) or problem.rule, ':,')}::{escaped(f'{problem.message} {problem.fix}'.strip())}"
        for each in checked
        for problem in each.problems
    ]
    return "\n".join(lines) + "\n" if lines else ""


def sarif_report(checked: Sequence[Checked]) -> str:
    """SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0), for code scanning."""
    problems = [problem for each in checked for problem in each.problems]
    results: list[dict[str, object]] = [
        {
            "ruleId": problem.rule,
            "level": problem.severity,
            "message": {"text": f"{dotted(problem.path)}: {problem.message} {problem.fix}".strip(" :")},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(os.fsencode(problem.file))},
                        "region": {"startLine": problem.line, "startColumn": problem.column},
                    }
                }
            ],
        }
        for problem in problems
    ]
    driver = {
        "name": "xnathub",
        "version": __version__,
        "rules": [
            {"id": rule, "shortDescription": {"text": RULES[rule].text}}
            for rule in sorted({problem.rule for problem in problems})
        ],
    }
    sarif = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }
    return json.dumps(sarif, indent=2) + "\n"


REPORTS: dict[str, Callable[[Sequence[Checked]], str]] = {
    "text": text_report,
    "json": json_report,
    "github": github_report,
    "sarif": sarif_report,
}
"""The reports by the name that `--format` takes."""
