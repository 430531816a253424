"""Slips of the keyboard, or of a word processor, that a YAML reader takes for something else or names badly."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from xnathub_conf.site.problems import Mark

_SPACES = "\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff"
_QUOTES = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
_DASHES = "\u2010-\u2015\u2212"
_AT_AN_END = re.compile(rf"\A[{_SPACES}]|[{_SPACES}]\Z|:[{_SPACES}]")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


class Slip(NamedTuple):
    """Where a slip stands, the rule that it breaks, what it is, and what to do."""

    mark: Mark
    rule: str
    message: str
    fix: str


def misleads(text: str) -> bool:
    """Return whether unquoted text has a space at an end, or after a colon, that only looks like one."""
    return _AT_AN_END.search(text) is not None


def odd_spaces(lines: Sequence[str]) -> Iterator[Slip]:
    """Yield the first space of each line that only looks like one, quoted text and comments left out."""
    for number, line in enumerate(lines, 1):
        plain = _COMMENT.sub("", _QUOTED.sub(lambda quoted: "x" * len(quoted[0]), line))
        if odd := re.search(f"[{_SPACES}]", plain):
            name = unicodedata.name(odd[0], "").lower() or "odd character"
            found = (
                f"A {name} (U+{ord(odd[0]):04X}) stands here, which looks like a space, and is none to YAML."
            )
            yield Slip((number, odd.start() + 1), "typography", found, "Replace it by a plain space.")


def odd_start(text: str, mark: Mark) -> Slip | None:
    """Return what is wrong where unquoted text begins with a quote or a dash of a word processor's."""
    if text and re.match(f"[{_QUOTES}]", text):
        found = f"The quote {text[0]} is part of the text to YAML."
        return Slip(mark, "typography", found, "Write \" or ' in its place, at both ends, or no quotes.")
    if re.match(rf"[{_DASHES}]\s", text):
        return Slip(
            mark, "typography", f"The dash {text[0]} begins no list in YAML.", "Write - in its place."
        )
    return None


def missing_space(lines: Sequence[str], line: int) -> Slip | None:
    """Return the colon without a space after it that an error at or just below it comes from."""
    for number in range(line, max(line - 3, 0), -1):
        text = lines[number - 1] if number <= len(lines) else ""
        if key := re.match(r"\s*([A-Za-z_]+):(?=[^\s:])(?!.*: )", text):
            found = f"A space is missing after the colon of `{key[1]}:`."
            return Slip((number, key.end() + 1), "syntax", found, "Put one there.")
    return None


_OPEN = "unexpected end of stream|expected ',' or"
_NO_COLON = "could not find expected ':'"


def begins_earlier(problem: str) -> bool:
    """Return whether the YAML reader noticed a mistake only after the line that it is in."""
    return re.search(f"{_OPEN}|{_NO_COLON}", problem) is not None


class Words(NamedTuple):
    """What is wrong, and what to do."""

    message: str
    fix: str


def in_words(problem: str, context: str) -> Words:
    """Return plain words for those of the YAML reader."""
    if "mapping values are not allowed" in problem:
        fix = "Indent the line as its neighbours are, add the colon that the line above lacks, or put the whole value in quotes."
        return Words("A colon stands where the value of a key has begun already.", fix)
    if _NO_COLON in problem:
        return Words("A key's colon is missing.", "Write `key: value`, with a colon and a space.")
    if re.search("expected key|expected <block end>", problem):
        found = "This line is indented otherwise than those it belongs to, or a quote or bracket above is not closed."
        return Words(found, "Indent it as its neighbours are.")
    if re.search(_OPEN, problem):
        return Words("A quote or bracket that opens here is not closed.", "Close it where its text ends.")
    if "cannot start any token" in problem:
        return Words("This character can't begin a value.", "Put the whole value in quotes.")
    words = f"{problem} ({context})" if context else problem
    fix = "Look at this line and the one above for a missing colon, quote or indentation."
    return Words(f"Not valid YAML: {words}.", fix)
