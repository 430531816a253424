"""`xnathub validate` against check-jsonschema, whole processes, on the same schema and file."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.results import Result, interleaved, median
from tests.unit.helpers import EXAMPLE, ROOT

SCHEMA = ROOT / "schema" / "site.schema.json"
_LIGHT = """\
import sys
sys.modules["rfc3987_syntax"] = None
from check_jsonschema import main
sys.argv[0] = "check-jsonschema"
main()
"""
"""check-jsonschema without a second of start that it has only where JupyterHub brings rfc3987_syntax beside it."""


def validate(repeat: int, file: Path = EXAMPLE, least: int = 7) -> list[Result]:
    """Measure both on one file, by turns, and so often at least."""
    bin_ = Path(sys.executable).parent
    arguments: list[str | Path] = ["--schemafile", SCHEMA, file]
    ours = _timed(bin_ / "xnathub", "validate", file)
    results = []
    others: list[tuple[str, list[str | Path]]] = [
        ("check-jsonschema", [bin_ / "check-jsonschema", *arguments]),
        ("check-jsonschema without rfc3987_syntax", [sys.executable, "-c", _LIGHT, *arguments]),
    ]
    for what, command in others:
        mine, other = interleaved(max(repeat, least), ours, _timed(*command))
        results.append(
            Result("validate", f"whole process, {file.name}", "s", mine, other, what, "faster",
                   median(mine) < median(other))
        )  # fmt: skip
    return results


def _timed(*command: str | Path) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    return run
