"""A YAML file of the old deployment as a tree that knows where each value stands.

Every scalar is the text that is written there: 0777, no and 1:30 are what they say. Only null is null.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.hiding import shown_path
from xnathub_conf.site.problems import KeyPath, dotted
from xnathub_conf.site.yaml_source import MAX_DEPTH, MAX_NODES

_TYPED = re.compile(r"true|True|TRUE|false|False|FALSE|-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?")
_NULL = re.compile(r"~|null|Null|NULL|")

Value: TypeAlias = "str | dict[str, Node] | list[Node] | None"


@dataclass(eq=False)
class Node:
    """A value and its place: the file, the path of keys, and the line, counted from 1; line 0 is no file's."""

    file: str
    path: KeyPath
    line: int
    value: Value = None
    tag: str = ""
    quoted: bool = False
    """Whether it is a scalar in quotes, or in a block: text, whatever it looks like."""
    text_line: int = 0
    """The line where a scalar's text begins: in a block, the one below the key."""
    hidden: "list[Node]" = field(default_factory=list)
    """What stands in the file at the same place and does not count: a doubled key, a merged one that is set again."""

    @property
    def origin(self) -> str:
        """Return where it stands, as file:line."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def name(self) -> str:
        """Its path as people write it; of a statement in Python, what it sets."""
        if self.path and isinstance(self.path[0], int):
            last = str(self.path[-1])
            return f"c.{last}" if "." in last else last
        return dotted(self.shown_path) or "(the whole file)"

    @property
    def shown_path(self) -> KeyPath:
        """The path, without a secret that was taken for a key, as in `password: {letmein}` or `DB_PASSWORD=letmein:`."""
        return shown_path(self.path, alone=self.value is None and bool(self.line))

    @property
    def text(self) -> str:
        """What is written there, empty where that is no text."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def keys(self) -> "dict[str, Node]":
        """What stands below its keys; nothing where it has none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> "list[Node]":
        """The entries of a list; nothing where it is none."""
        return self.value if isinstance(self.value, list) else []

    def get(self, *path: str) -> "Node":
        """Find what stands below; an empty value that is nowhere, where nothing does."""
        node = self
        for key in path:
            node = node.keys.get(key, Node(node.file, (*node.path, key), 0))
        return node

    def leaves(self) -> "Iterator[Node]":
        """Return every value that has none below it, in the file's order."""
        below = list(self.keys.values()) or self.items
        for node in below:
            yield from node.leaves()
        if not below:
            yield self

    def all_hidden(self) -> "Iterator[tuple[Node, Node]]":
        """Return each leaf that does not count, with the value that counts instead."""
        for node in self.hidden:
            yield from ((leaf, self) for leaf in node.leaves())
            yield from node.all_hidden()
        for node in list(self.keys.values()) or self.items:
            yield from node.all_hidden()

    def typed(self) -> Any:
        """Return it as data, where bare true, false and numbers are such."""
        if isinstance(self.value, dict):
            return {key: node.typed() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.typed() for node in self.value]
        if not self.quoted and _TYPED.fullmatch(self.text):
            return json.loads(self.text.lower())
        return self.value

    def plain(self) -> Any:
        """Return it as plain data, each scalar as text."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value


@dataclass(frozen=True)
class Found:
    """A value of an old file, and where it stands: a file with a line, or what else it comes from."""

    value: str
    origin: str
    leaf: Node | None = field(default=None, compare=False)
    """The leaf of an input file that it is, where it is one."""


def parse_tree(text: str, file: str) -> Node:
    """Parse YAML, with its anchors and merge keys. Raises MigrationError with the line that is wrong."""
    try:
        return _Reader(file).read(text)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise MigrationError(f"{file}{line} is not YAML: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError):
        raise MigrationError(f"{file} is not YAML.") from None


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


class _Reader:
    def __init__(self, file: str):
        self.file = file
        self.anchors: dict[str, Node] = {}
        self.count = 0

    def read(self, text: str) -> Node:
        events: Iterator[object] = iter(
            yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        )
        root = None
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                if root is not None:
                    line = _line(event)
                    raise MigrationError(
                        f"{self.file}:{line}: a second YAML document begins here. Give one at a time."
                    )
                root = self.node(event, events, ())
        return root or Node(self.file, (), 1)

    def made(self, path: KeyPath, line: int, value: Value = None, tag: str = "") -> Node:
        self.count += 1
        if self.count > MAX_NODES or len(path) > MAX_DEPTH:
            raise MigrationError(f"{self.file}:{line}: too much for a file of a deployment.")
        return Node(self.file, path, line, value, tag)

    def check(self, event: Any) -> None:
        """Raise MigrationError where a scalar is no text, as "\\ud800" is not."""
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            raise MigrationError(
                f"{self.file}:{_line(event)}: there is half a character here, which is no text."
            )

    def node(self, event: Any, events: Iterator[object], path: KeyPath) -> Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise MigrationError(f"{self.file}:{line}: no anchor before this has the name of this alias.")
            return self.copy(self.anchors[event.anchor], path, line)
        node = self.made(path, line, tag=event.tag or "")
        if isinstance(event, yaml.MappingStartEvent):
            self.mapping(node, events)
        elif isinstance(event, yaml.SequenceStartEvent):
            entries: list[Node] = []
            while not isinstance(inner := next(events), yaml.SequenceEndEvent):
                entries.append(self.node(inner, events, (*path, len(entries))))
            node.value = entries
        else:
            self.check(event)
            node.quoted = bool(event.style)
            node.text_line = line + (event.style in {"|", ">"})
            node.value = None if not event.style and _NULL.fullmatch(event.value) else event.value
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def mapping(self, node: Node, events: Iterator[object]) -> None:
        found: dict[str, Node] = {}
        merged: list[tuple[Node, bool]] = []
        node.value = found
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise MigrationError(f"{self.file}:{_line(event)}: a key must be text.")
            if event.value == "<<" and not event.style:
                merged += self.merged(next(events), events, node.path)
                continue
            self.check(event)
            key = self.node(next(events), events, (*node.path, event.value))
            if key.value is None or isinstance(key.value, str):
                key.line = _line(event)
            if event.value in found:
                key.hidden.append(found[event.value])
            found[event.value] = key
        for base, alias in merged:
            for name, each in base.keys.items():
                copy = self.copy(each, (*node.path, name), each.line)
                if name not in found:
                    found[name] = copy
                elif not alias:
                    # An alias's values are in the report where they are defined.
                    found[name].hidden.append(copy)

    def merged(self, event: Any, events: Iterator[object], path: KeyPath) -> list[tuple[Node, bool]]:
        """Return the maps that a merge key takes in, and whether each stands elsewhere."""
        found = []
        if isinstance(event, yaml.SequenceStartEvent):
            while not isinstance(inner := next(events), yaml.SequenceEndEvent):
                found += self.merged(inner, events, path)
            return found
        base = self.node(event, events, path)
        alias = isinstance(event, yaml.AliasEvent)
        found = [(each, alias) for each in (base.items if alias and base.items else [base])]
        if not all(isinstance(each.value, dict) for each, _ in found):
            raise MigrationError(f"{self.file}:{_line(event)}: << takes in a map, or a list of maps.")
        return found

    def copy(self, node: Node, path: KeyPath, line: int) -> Node:
        result = self.made(path, line, tag=node.tag)
        result.quoted, result.text_line = node.quoted, node.text_line
        if isinstance(node.value, dict):
            result.value = {key: self.copy(each, (*path, key), each.line) for key, each in node.value.items()}
        elif isinstance(node.value, list):
            result.value = [
                self.copy(each, (*path, index), each.line) for index, each in enumerate(node.value)
            ]
        else:
            result.value = node.value
        return result
