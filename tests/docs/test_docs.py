"""The documentation: it builds without a warning, fetches nothing from elsewhere, and shows what commands really print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},  # of a version that nothing here uses
        capture_output=True,
        text=True,
    )
    return folder, done


def test_builds_without_a_warning(built):
    _, done = built
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_pages_fetch_nothing_from_elsewhere(built):
    folder, _ = built
    pages = list(folder.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        fetched = re.findall(r'<(?:script|img|iframe|source)[^>]+src="(https?:[^"]+)"', page.read_text())
        fetched += re.findall(
            r'<link[^>]+rel="(?:stylesheet|preconnect|icon)"[^>]+href="(https?:[^"]+)"', page.read_text()
        )
        assert fetched == [], page


def test_every_test_that_the_table_of_keys_names_is_there():
    text = (ROOT / "docs/engines.md").read_text()
    named = re.findall(r"`(tests/[a-z_/]+[.]py)(?:::(test_[a-z0-9_]+))?`", text)
    assert len(named) > 15
    for file, test in named:
        assert f"def {test}" in (ROOT / file).read_text()
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
    assert [row for row in rows if len(row) != 5 or not all(cell.strip() for cell in row)] == []


def test_steps_are_one_list(built):
    # A step whose further lines are indented by less than four begins a list of its own, and each is number 1.
    folder, _ = built
    for page in folder.rglob("*.html"):
        assert not re.search(r"<ol>\s*<li>(?:(?!<li>|</ol>).)*</ol>", page.read_text(), re.DOTALL), page


def test_outputs_are_what_the_commands_print():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/outputs", "--check"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout
