"""Why a server ended before it answered, as far as its exit code and what was said of it tell: a sentence for its user."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from xnathub_conf.values.memory import site_amount

_KILLED = 9
_CRASHES = frozenset({4, 6, 7, 8, 11})
"""Signals of programs that do what their processor or their libraries can't. Who ends by one has 128 more as its exit code."""
_PATH = r"(/[^\s'\"\u2019,:;]*)"
_UNQUOTED = rf"{_PATH}['\"\u2019]?"


class Why(NamedTuple):
    """A sentence, and the words of a server or its engine that mean it; `...` stands for what they name."""

    text: str
    words: str = ""


def why_ended(
    code: object, said: Sequence[str], *, out_of_memory: bool = False, mem_limit: int | None = None
) -> str:
    """Return why a server ended with this exit code, "" where nothing tells.

    `said` are the lines of its log and the orchestrator's own words, `out_of_memory` that the kernel ended something in
    it for want of memory, `mem_limit` the bytes that it may use.
    """
    if out_of_memory and code != 0:
        limit = f"more memory than it may, {site_amount(mem_limit)}" if mem_limit else "too much memory"
        return Why(f"It used {limit}.").text
    return why_in(said) or _by_code(code).text


def why_in(said: Sequence[str]) -> str:
    """Return why a server ended as what was said of it tells, the last line first; "" where none does."""
    known = (
        Why("What it should run is made for another kind of processor, or is a script whose first line names no program.", r"exec format error|cannot execute binary file|: line \d+:\W*ELF\b"),
        Why("The program that it should start is not marked as one that can be run.", r"\bexec\b.*permission denied"),
        Why(
            "The program that it should start is not in its image, or what runs that is not: the first line of a script names it, and must not end as lines do on Windows.",
            r"\bexec\b.*(?:no such file|not found in \$PATH)",
        ),
        Why("Another program of its image has taken its port.", r"address (?:already )?in use|port \d+ is (?:not available|already in use)"),
        Why("The library ... is missing in its image.", r"loading shared libraries: ([^:\s]+)"),
        Why("The Python module ... is missing in its image.", r"No module named '?([\w.]+)"),
        Why("Its image does not know the user that it runs as.", r"unknown u?id|find name for user|getpwuid\(\)|unable to find user|no passwd entry"),
        Why(
            "It has to write ..., and no room is left there.",
            rf"(?:no space left|disk quota exceeded)[^/]*{_PATH}|{_UNQUOTED}: (?:no space left|disk quota exceeded)",
        ),
        Why("What it writes to is full.", r"no space left|disk quota exceeded"),
        Why(
            "The user that it runs as may not use ..., or it is read-only.",
            rf"(?:permission denied|read-only file system)[^/]*{_PATH}|{_UNQUOTED}: (?:permission denied|read-only file system)",
        ),
        Why(
            "There is no ... in it.",
            rf"no such file or directory[^/]*{_PATH}|{_UNQUOTED}: no such file or directory",
        ),
    )  # fmt: skip
    # What it said last is nearest to its end.
    for line in reversed(said):
        for each in known:
            if found := re.search(each.words, line, re.IGNORECASE):
                return each.text.replace("...", found[found.lastindex]) if found.lastindex else each.text
    return ""


def _by_code(code: object) -> Why:
    signal = abs(code) % 128 if isinstance(code, int) and (code > 128 or code < 0) else 0
    if signal == _KILLED:
        return Why("It was killed, most often for using too much memory.")
    if signal in _CRASHES:
        return Why("It crashed: a program in its image is broken, or not made for this processor.")
    if code == 0:
        return Why("Its command came to an end by itself, as no Jupyter server does.")
    if code == 126:
        return Why("The program that it should start can't be run.")
    if code == 127:
        return Why("A program that it should start is not in its image.")
    return Why("")
