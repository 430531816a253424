"""The long run, for a few seconds: it runs cases, reaches code, finds nothing, and says so."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.unit.helpers import ROOT


@pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris has no wheel for this Python: the long run is NOT tested"
)
def test_a_run_prints_its_figures():
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--minutes", "0.1", "image"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases, reached = re.search(r"^image +([0-9,]+) .* -> ([0-9]+) +0$", done.stdout, re.MULTILINE).groups()
    assert int(cases.replace(",", "")) > 0
    assert int(reached) > 20
