"""YAML text becomes plain data, with the place of every key and value, and none of YAML's surprises.

Scalars are read as YAML 1.2's core schema says (https://yaml.org/spec/1.2.2/#103-core-schema). What YAML 1.1 readers
take for something else (`no`, `on`, `0777`, `1:30`, `1_000`) is refused with the two ways to write it, since
an admin can't know which reader a tool has.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from xnathub_conf.site.ambiguity import FLOAT, ambiguity
from xnathub_conf.site.problems import KeyPath, Mark, Problem, SiteError, holds_secret, without_secret
from xnathub_conf.site.rule_names import RULES
from xnathub_conf.site.schema import node_at
from xnathub_conf.site.typography import (
    begins_earlier,
    in_words,
    misleads,
    missing_space,
    odd_spaces,
    odd_start,
)

MAX_BYTES = 1_000_000
"""The largest site file: a Kubernetes ConfigMap holds no more."""

MAX_DEPTH = 32
MAX_NODES = 20_000

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_CONTROL = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML allows nowhere, and U+0085, U+2028 and U+2029, which end a line in YAML 1.1 and in YAML 1.2 don't."""

_LINE_END = re.compile(r"\r\n?|\n")


@dataclass
class Document:
    """A parsed file: `data` in plain Python types, and where each value (and its key) stands."""

    file: str
    data: Any = field(default=None, repr=False)
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    keys: dict[KeyPath, Mark] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)
    """Numbers, true and false as they are written: 1.10 is the number 1.1, and another version."""
    problems: list[Problem] = field(default_factory=list)

    def key_mark(self, path: KeyPath) -> Mark:
        """Find where the key at `path` stands, or the nearest thing above it that stands in the file."""
        while path and path not in self.keys and path not in self.values:
            path = path[:-1]
        return self.keys.get(path) or self.values.get(path, (1, 1))

    def value_mark(self, path: KeyPath) -> Mark:
        """Find where the value at `path` begins, or the nearest thing above it that stands in the file."""
        return self.values.get(path) or self.key_mark(path)

    def report(self, mark: Mark, path: KeyPath, rule: str, message: str, fix: str = "") -> None:
        """Add a problem found at `mark`; `rule` is one of RULES."""
        path = without_secret(path)
        self.problems.append(Problem(self.file, *mark, path, rule, message, fix, RULES[rule].severity))


def parse_yaml(content: bytes, file: str) -> Document:
    """Parse a YAML file's bytes; `file` is its name in messages.

    Returns a Document whose `problems` hold what is ambiguous or doubled but could be read past.
    Raises SiteError where the text can't be read to its end.
    """
    document = Document(file)
    _Reader(document, _decode(content, document)).read()
    return document


def _stop(document: Document, mark: Mark, rule: str, message: str, fix: str = "") -> SiteError:
    document.report(mark, (), rule, message, fix)
    return SiteError(document.problems)


def _decode(content: bytes, document: Document) -> str:
    if len(content) > MAX_BYTES:
        raise _stop(document, (1, 1), "too-large", f"The file is larger than {MAX_BYTES:,} bytes.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # What it names is counted after a byte order mark.
        before = error.object[: error.start].decode("utf-8")
        found = f"Found the byte 0x{error.object[error.start]:02x}, which is not UTF-8."
        raise _stop(document, _end_of(before), "encoding", found, "Save the file as UTF-8.") from None
    if bad := _CONTROL.search(text):
        found = f"Found the control character U+{ord(bad.group()):04X}."
        raise _stop(document, _end_of(text[: bad.start()]), "encoding", found, "Delete it.")
    if not text.strip():
        raise _stop(
            document,
            (1, 1),
            "empty",
            "The file is empty.",
            "Begin with `xnathub init`, or with site.example.yaml.",
        )
    return text


def _end_of(text: str) -> Mark:
    """Return on what line and in what column the character after a text would stand."""
    lines = _LINE_END.split(text)
    return len(lines), len(lines[-1]) + 1


def _mark(event: Any) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1


class _Reader:
    """Builds the data from libyaml's events, in one pass and without recursion into aliases' definitions."""

    def __init__(self, document: Document, text: str):
        self.document = document
        self.text = text
        self.anchors: dict[str, tuple[object, int, int]] = {}
        """What each anchor names: the data, how many nodes they hold, and how many levels."""
        self.nodes = 0
        self.deepest = 0

    def read(self) -> None:
        events: Iterator[object] = iter(
            yaml.parse(self.text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        )
        documents = 0
        try:
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise _stop(
                            self.document,
                            _mark(event),
                            "several-documents",
                            "A second YAML document begins here; a site file holds one.",
                            "Delete the `---`.",
                        )
                elif isinstance(event, yaml.NodeEvent):
                    self.document.data = self._node(event, events, (), 0)
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from None
        if documents == 0:
            raise _stop(
                self.document,
                (1, 1),
                "empty",
                "The file holds nothing but comments.",
                "Begin with `xnathub init`, or with site.example.yaml.",
            )

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> SiteError:
        where = error.problem_mark or error.context_mark
        if error.context_mark and begins_earlier(error.problem or ""):
            where = error.context_mark
        mark = (where.line + 1, where.column + 1) if where else (1, 1)
        lines = _LINE_END.split(self.text)
        self._refuse_odd_spaces()
        line = lines[mark[0] - 1] if mark[0] <= len(lines) else ""
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent or (error.problem and "\\t" in error.problem) or "tab" in (error.problem or ""):
            column = max(line.find("\t") + 1, 1)
            return _stop(
                self.document,
                (mark[0], column),
                "tab",
                "A tab stands where YAML allows only spaces.",
                "Indent with spaces.",
            )
        if slip := missing_space(lines, mark[0]):
            return _stop(self.document, *slip)
        message, fix = in_words((error.problem or "it can't be read").strip(), (error.context or "").strip())
        return _stop(self.document, mark, "syntax", message, fix)

    def _refuse_odd_spaces(self) -> None:
        """Stop where spaces that are none to YAML have changed what the text says."""
        slips = list(odd_spaces(_LINE_END.split(self.text)))[:20]
        for slip in slips:
            self.document.report(slip.mark, (), *slip[1:])
        if slips:
            raise SiteError(self.document.problems)

    def _count(self, mark: Mark, nodes: int, depth: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise _stop(
                self.document,
                mark,
                "too-large",
                f"The file describes more than {MAX_NODES:,} values once its aliases are followed.",
            )
        self.deepest = max(self.deepest, depth)
        if depth > MAX_DEPTH:
            raise _stop(
                self.document, mark, "too-deep", f"More than {MAX_DEPTH} levels stand inside each other."
            )

    def _node(self, event: Any, events: Iterator[object], path: KeyPath, depth: int) -> object:
        mark = _mark(event)
        self.document.values[path] = mark
        self._count(mark, 1, depth)
        data: object
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise _stop(
                    self.document,
                    mark,
                    "alias",
                    "No anchor that ends before this alias (`*...`) has its name.",
                    "Put text that begins with * in quotes.",
                )
            data, size, levels = self.anchors[event.anchor]
            self._count(mark, size, depth + levels)
            return data
        nodes, deepest, self.deepest = self.nodes, self.deepest, depth
        self._refuse_tag(event, path)
        if isinstance(event, yaml.MappingStartEvent):
            data = self._mapping(events, path, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            data = self._sequence(events, path, depth)
        else:
            data = self._scalar(event, path)
        if event.anchor:
            self.anchors[event.anchor] = (data, self.nodes - nodes + 1, self.deepest - depth)
        self.deepest = max(deepest, self.deepest)
        return data

    def _refuse_tag(self, event: Any, path: KeyPath) -> None:
        if event.tag:
            self.document.report(
                _mark(event),
                path,
                "tag",
                "Tags (`!...`) have no meaning here.",
                "Delete it, or put text that begins with ! in quotes.",
            )

    def _sequence(self, events: Iterator[object], path: KeyPath, depth: int) -> list[object]:
        data: list[object] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            data.append(self._node(event, events, (*path, len(data)), depth + 1))
        return data

    def _mapping(self, events: Iterator[object], path: KeyPath, depth: int) -> dict[str, object]:
        data: dict[str, object] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            mark = _mark(event)
            key = self._key(event, events, path, depth)
            here = (*path, key)
            if key in data:
                first = self.document.keys[here]
                self.document.report(
                    mark,
                    here,
                    "duplicate-key",
                    f"This key stands already at line {first[0]}.",
                    "Delete one of them.",
                )
                self._node(next(events), events, (*path, key, "(again)"), depth + 1)
                continue
            self.document.keys[here] = mark
            data[key] = None
            data[key] = self._node(next(events), events, here, depth + 1)
        return data

    def _key(self, event: object, events: Iterator[object], path: KeyPath, depth: int) -> str:
        mark = _mark(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._node(event, events, (*path, "?"), depth + 1)
            raise _stop(self.document, mark, "key", "A key must be text.")
        self._refuse_tag(event, path)
        if event.anchor:
            self.document.report(mark, path, "key", "A key can't have an anchor (`&...`).", "Delete it.")
        if event.value == "<<" and event.implicit[0]:
            self.document.report(
                mark, path, "merge-key", "Merge keys (`<<`) are not part of YAML 1.2.", "Write the keys out."
            )
        elif not isinstance(self._scalar(event, (*path, event.value)), str):
            shown = "this" if holds_secret(path) else event.value or "nothing"
            self.document.report(
                mark,
                (*path, event.value),
                "key",
                f"A key must be text, and {shown} is not.",
                "Put it in quotes.",
            )
        return str(event.value)

    def _scalar(self, event: Any, path: KeyPath) -> object:
        value: str = event.value
        if bad := _CONTROL.search(value):
            found = f"This text holds the control character U+{ord(bad.group()):04X}."
            self.document.report(_mark(event), path, "encoding", found, "Delete it.")
        if event.style:
            return value
        if misleads(value):
            self._refuse_odd_spaces()
        if slip := odd_start(value, _mark(event)):
            self.document.report(slip.mark, path, *slip[1:])
        if _NULL.fullmatch(value):
            return None
        if _BOOL.fullmatch(value) or FLOAT.fullmatch(value):
            self.document.written[path] = value
        if _BOOL.fullmatch(value):
            return value.lower() == "true"
        if _INT.fullmatch(value) and len(value) <= 20:
            return int(value)
        if FLOAT.fullmatch(value) and math.isfinite(number := float(value)):
            return number
        self._refuse_ambiguous(value, _mark(event), path)
        return value

    def _refuse_ambiguous(self, value: str, mark: Mark, path: KeyPath) -> None:
        kind = (node_at(path) or {}).get("type") if path[:1] != ("extra",) else None
        unclear = ambiguity(value, secret=holds_secret(path), only_text=kind == "string")
        if unclear:
            found, fix = unclear
            self.document.report(mark, path, "ambiguous", found, fix)
