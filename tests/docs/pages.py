"""What the pages of the documentation show as code: blocks, and words within sentences."""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^|(?<=\n\n))((?:(?: {4,}|\t)\S.*\n|\n(?= {4}))+)", re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_SHOWN = re.compile(r'^--8<-- "', re.MULTILINE)


class Code(NamedTuple):
    """A piece of code: its page and line there, its text, and whether it is a block of its own."""

    place: str
    text: str
    block: bool


def pieces(page: Path) -> Iterator[Code]:
    """Return a page's blocks of code, without what is included from other files, and the words in back quotes."""
    text = page.read_text("utf-8")

    def place(start: int) -> str:
        return f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, start) + 1}"

    for match in _FENCED.finditer(text):
        if not _SHOWN.search(match[3]):
            yield Code(place(match.start()), textwrap.dedent(match[3]), block=True)
    rest = _FENCED.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in _INDENTED.finditer(rest):
        yield Code(place(match.start()), textwrap.dedent(match[1]), block=True)
    for match in _SPAN.finditer(rest):
        yield Code(place(match.start()), match[1].strip(), block=False)


def commands(program: str) -> Iterator[tuple[Code, list[str]]]:
    """Return each call of a program on the pages, as its place and its words after the program's name.

    What follows in a pipe, or goes to a file, is not the program's.
    """
    call = re.compile(rf"(?:^|(?<=[\s(]))(?:\$ )?{re.escape(program)}(?=\s|$)(.*)")
    for page in PAGES:
        for code in pieces(page):
            for line in code.text.replace("\\\n", " ").splitlines():
                if found := call.search(line):
                    yield code, words(found[1])


def words(text: str) -> list[str]:
    """Split a shell's line into words, up to a comment, a pipe, a redirection or the next command."""
    found: list[str] = []
    for match in re.finditer(
        r"""'([^']*)'|"([^"]*)"|(\$\([^)]*\)\S*)|([|<>;#]|&&|\d?>)|([^\s|<>;)]+)""", text
    ):
        if match[4]:
            break
        found.append(next(part for part in match.groups() if part is not None))
    return found


def complaint(program: list[str], words: list[str]) -> str:
    """Return what is wrong with a call of a client as its own help has it: a command or an option that it does not know; "" for nothing."""
    command: list[str] = []
    rest = list(words)
    told = _help(program)
    while rest and re.search(rf"^  +{re.escape(rest[0])}\*? ", told, re.MULTILINE):
        command.append(rest.pop(0))
        told = _help([*program, *command])
    if rest and rest[0].isalpha() and re.search(r"^\S*.*Commands:$", told, re.MULTILINE):
        return f"{' '.join([*program, *command])} knows no {rest[0]}"
    for before, word in zip(["", *rest], rest, strict=False):
        # What comes after a container's or a pod's name is its own program's.
        if word == "--" or (not word.startswith("-") and not before.startswith("-")):
            break
        option = word.partition("=")[0]
        for each in [option] if option.startswith("--") else [f"-{letter}" for letter in option[1:]]:
            if word.startswith("-") and word != "-" and not re.search(rf"{re.escape(each)}\b", told):
                return f"{' '.join([*program, *command])} knows no {each}"
    return ""


@cache
def _helped(words: tuple[str, ...]) -> str:
    done = subprocess.run([*words, "--help"], capture_output=True, text=True)
    return done.stdout + done.stderr


def _help(words: list[str]) -> str:
    return _helped(tuple(words))
