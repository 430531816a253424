"""The search for secrets at the end of each run finds what it should: runs with something planted fail."""

import os
import subprocess
import sys

import pytest

from tests.unit.helpers import ROOT

HEAD = """
import base64, subprocess
from tests.secret_search import Search
from xnathub_conf.standin import demo_state

state = demo_state()
secret = state.create_alias("alice").secret
session = state.open_session("alice").id
password = state.user("alice").password
search = Search.current
"""
PLANTED = {
    "a log": (
        "alias token",
        '(tmp_path / "a.log").write_text(f"x\\n[I] token={secret} y\\n"); search.file("a log", tmp_path)',
    ),
    "an address in a log": (
        "token in an address",
        'token = "t" * 32; search.secret("token in an address", token, only_in="logs"); search.text("a page", "GET /x", token); '
        '(tmp_path / "b.log").write_text("GET /x?token=" + token); search.file("x", tmp_path)',
    ),
    "a binary file": (
        "XNAT session",
        '(tmp_path / "db").write_bytes(b"\\0\\xff" * 999 + session.encode() + b"\\0"); search.file("a binary file", tmp_path)',
    ),
    "a page": ("password", 'search.text("a page", "GET /x", f"<p>{password}</p>")'),
    "HTTP Basic": (
        "password",
        'search.text("HTTP Basic", "GET /x", base64.b64encode(f"alice:{password}".encode()))',
    ),
    "process lists": ("XNAT session", 'subprocess.run(["sh", "-c", "sleep 2; : " + session])'),
    "what a command prints": (
        "layer",
        'search.secret("layer", "planted-in-a-layer"); search.stream("what a command prints", ["printf", "planted-in-a-layer"], "x")',
    ),
    "JSON": (
        "quoted",
        """search.secret("quoted", 'half"quote\\\\slash'); search.text("JSON", "GET", r'{"a": "half\\"quote\\\\slash"}')""",
    ),
    "an address": (
        "spaced",
        'search.secret("spaced", "with space/and+more"); search.text("an address", "GET", "/x?a=with%20space%2Fand%2Bmore")',
    ),
}


def run(tmp_path, lines, *more):
    tests = "".join(f"def test_{n}(tmp_path):\n    {line}\n" for n, line in enumerate(lines))
    (tmp_path / "test_planted.py").write_text(HEAD + tests)
    options = [
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-q",
        "--rootdir",
        tmp_path,
        "-c",
        "/dev/null",
    ]
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *options,
            f"--basetemp={tmp_path}/tmp",
            *more,
            tmp_path / "test_planted.py",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )


@pytest.mark.parametrize("processes", [(), ("--numprocesses=2",)], ids=["one process", "two processes"])
def test_a_run_with_planted_secrets_fails_and_says_of_each_where(tmp_path, processes):
    done = run(tmp_path, [line for _, line in PLANTED.values()], *processes)
    assert f"{len(PLANTED)} passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1
    found = [line for line in done.stdout.splitlines() if line.startswith("FOUND: ")]
    for where, (kind, _) in PLANTED.items():
        source = "logs" if where in {"a log", "an address in a log"} else where
        assert any(line.startswith(f"FOUND: {kind}, in {source}: ") for line in found), where
    assert "planted-in-a-layer" not in done.stdout


def test_a_run_without_one_passes(tmp_path):
    line = '(tmp_path / "p").write_text(password); search.file("files", tmp_path); search.text("pages", "GET", "x" * 99)'
    done = run(tmp_path, [line])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Found: 0." in done.stdout
    assert "pages 99" in done.stdout
