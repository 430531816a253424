"""Every command and every piece of a site file on the pages is one that works, as far as that can be told without running it."""

from __future__ import annotations

import copy
import re
import subprocess

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT, Code, commands, pieces
from tests.unit.helpers import MINIMAL
from xnathub_conf.cli import command_line
from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError

# An image may have the program's name, and so may what its container runs.
OURS = [
    (code, ["unencrypted" if word == "RULE" else word for word in words])
    for code, words in commands("xnathub")
    if not words or (words[0].isalpha() and words[0] != "xnathub") or words[0].startswith("--")
]
SHELL = re.compile(
    r"^(?:\$ |sudo )?(?:docker|kubectl|helm|xnathub|scripts/|openssl|curl|git|export|pip|stat|cd) "
)
BLOCKS = [code for page in PAGES for code in pieces(page) if code.block]
TOP = {"version", "xnat", "hub", "sign_in", "servers", "paths", "pages", "logging", "orchestrator", "extra"}


def parses(words: list[str]) -> bool:
    try:
        command_line().parse_args(words)
    except SystemExit as end:
        return end.code == 0
    return True


def test_the_pages_show_commands():
    assert len(OURS) > 60
    assert len(BLOCKS) > 60


@pytest.mark.parametrize(("code", "words"), OURS, ids=[each.place for each, _ in OURS])
def test_a_command_of_ours_is_one(code: Code, words: list[str], capsys):
    if words and not words[0].startswith("-"):
        assert parses([words[0], "--help"]), f"there is no xnathub {words[0]}"
    # A sentence may leave out the file, or speak of a command alone.
    left_out = ([], ["site.yaml"], ["old.yaml", "site.yaml"], ["--help"]) if not code.block else ([],)
    assert any(parses([*words, *more]) for more in left_out), capsys.readouterr().err


SCRIPTS = {
    (code.place, name)
    for page in PAGES
    for code in pieces(page)
    for name in re.findall(r"(?:^|\s)((?:scripts|tests|bench|ci)/[\w./-]+)", code.text)
}


@pytest.mark.parametrize(("place", "name"), sorted(SCRIPTS))
def test_a_file_of_ours_is_there(place: str, name: str):
    assert (ROOT / name).exists() or list(ROOT.glob(f"{name}*"))


SHELLS = [code for code in BLOCKS if SHELL.match(code.text)]


@pytest.mark.parametrize("code", SHELLS, ids=[each.place for each in SHELLS])
def test_a_shell_takes_it(code: Code):
    # Output of a command may follow it.
    lines = code.text.splitlines()
    if lines[0].startswith("$ "):
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    done = subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def site_piece(code: Code) -> dict | None:
    try:
        found = yaml.safe_load(code.text)
    except yaml.YAMLError:
        return None
    return found if isinstance(found, dict) and found and set(found) <= TOP else None


def merged(base: dict, more: dict) -> dict:
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict) and key != "orchestrator"
        base[key] = merged(base[key], value) if both else value
    return base


PIECES = [(code, found) for code in BLOCKS if (found := site_piece(code))]


@pytest.mark.parametrize(("code", "found"), PIECES, ids=[each.place for each, _ in PIECES])
def test_a_piece_of_a_site_file_is_valid(code: Code, found: dict, tmp_path):
    site = merged(yaml.safe_load(MINIMAL), copy.deepcopy(found))
    kubernetes = (site["orchestrator"] or {}).get("kubernetes")
    if kubernetes is not None:
        kubernetes.setdefault("claims", [{"path": "/data/xnat", "claim_name": "xnat"}])
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    try:
        load(tmp_path / "site.yaml")
    except SiteError as error:
        raise AssertionError(f"{code.place}\n{error}") from None
