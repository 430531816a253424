"""What becomes of every value of the old files: the site in the making, and one entry for each leaf."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from xnathub_conf.migration.tree import Found, Node
from xnathub_conf.site.problems import KeyPath, dotted


class Outcome(StrEnum):
    """What became of a value."""

    CARRIED = "carried"
    NOT_CARRIED = "not carried"
    NO_CONCERN = "no concern"


class NotCarriedError(Exception):
    """A value can't be carried over. The text says why, and what to do."""


@dataclass(eq=False)
class Entry:
    """One line of the report: an old setting, its place, and what became of it.

    `keys` are those of the site that hold it, with what they hold; `note` says why, or what changed with it. `leaf` is
    the value of an input file that it is about; the old deployment's defaults have none.
    """

    name: str
    origin: str
    outcome: Outcome
    keys: dict[KeyPath, object] = field(default_factory=dict)
    note: str = ""
    leaf: Node | None = None
    lead: Node | None = None
    """The leaf through which alone this one counts."""


def at(node: Node) -> Found:
    """Return a scalar of a tree as a value that was found."""
    return Found(node.text, node.origin, node if node.line else None)


@dataclass
class Ledger:
    """The site in the making: its data, its secrets by file name, and what is to be said of it."""

    secrets_path: str
    site: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    to_do: list[str] = field(default_factory=list)
    asked: set[KeyPath] = field(default_factory=set)
    """The keys that something of `to_do` asks for."""
    volumes: dict[str, object] = field(default_factory=dict)
    """The volumes of servers' pods by name, of which others say where they are mounted."""
    callers: dict[str, list[str]] = field(default_factory=dict)
    """The old hub's services by name, with the scopes that its roles give them."""
    _of: dict[Node, Entry] = field(default_factory=dict)

    def entry_of(self, leaf: Node | None) -> Entry | None:
        """Return what is said of a leaf so far."""
        return self._of.get(leaf) if leaf else None

    def put(self, key: str | KeyPath, value: object, name: str, found: Found, note: str = "") -> None:
        """Write a value at a key, and say where it comes from. What an earlier file said of that key is replaced."""
        path: KeyPath = tuple(key.split(".")) if isinstance(key, str) else key
        *above, last = map(str, path)
        node = self.site
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
        for before in self.entries:
            if path in before.keys and before.leaf is not found.leaf:
                del before.keys[path]
                if not before.keys and before.outcome == Outcome.CARRIED:
                    before.outcome, before.note = Outcome.NO_CONCERN, f"{found.origin} replaces it."
        self.entries = [each for each in self.entries if each.leaf or each.outcome != Outcome.NO_CONCERN]
        self.stands(path, value, name, found, note)

    def stands(self, key: KeyPath, value: object, name: str, found: Found, note: str = "") -> None:
        """Note that a value stands at a key already, put there together with others."""
        self._entry(name, found, Outcome.CARRIED, note).keys[key] = value

    def secret(self, key: str, file: str, found: Found, name: str, note: str = "") -> None:
        """Keep a secret's value for its file, and name the file in the site. Raises NotCarriedError."""
        if found.value != found.value.rstrip():
            raise NotCarriedError("It ends with white space, which is not read from a file. Change it.")
        self.secrets[file] = found.value
        self.put(key, {"file": f"{self.secrets_path}/{file}"}, name, found, note)

    def ask(self, step: str, *keys: str) -> None:
        """Report what is left to do, and which keys of the site are to be written with it."""
        if step not in self.to_do:
            self.to_do.append(step)
        self.asked |= {tuple(key.split(".")) for key in keys}

    def leave(self, name: str, found: Found, why: str) -> None:
        """Report why a setting is not carried over, and what to do."""
        entry = self._entry(name, found, Outcome.NOT_CARRIED, why)
        entry.outcome, entry.note = Outcome.NOT_CARRIED, why

    def ignore(self, name: str, found: Found, why: str) -> None:
        """Report why a setting is no concern of the hub."""
        self._entry(name, found, Outcome.NO_CONCERN, why)

    def follow(self, leaf: Node, lead: Node, note: str) -> None:
        """Note that a leaf only counts through another one, whose fate it has."""
        entry = self._of.get(lead)
        carried = entry is not None and entry.outcome == Outcome.CARRIED
        outcome = Outcome.CARRIED if carried else Outcome.NO_CONCERN
        said = self._entry(leaf.name, Found("", leaf.origin, leaf), outcome, note)
        said.lead = lead
        if carried and entry:
            said.keys |= entry.keys

    def drop(self, entry: Entry) -> None:
        """Take out a default that turns out to have had no part in the old deployment, with its line."""
        for key in entry.keys:
            _delete(self.site, key)
        self.entries.remove(entry)

    def move(self, before: KeyPath, after: KeyPath, value: object) -> None:
        """Write at another key what stands at one, with another value, and say so in its entry."""
        _delete(self.site, before)
        for entry in self.entries:
            if before in entry.keys:
                del entry.keys[before]
                entry.keys[after] = value
        node = self.site
        for part in map(str, after[:-1]):
            node = node.setdefault(part, {})
        node[str(after[-1])] = value

    def withdraw(self, key: KeyPath, why: str) -> bool:
        """Take a value out of the site again that it can't hold. Gives whether any entry put it there."""
        entries = [
            (entry, path)
            for entry in self.entries
            for path in entry.keys
            if path == key[: len(path)] or key == path[: len(key)]
        ]
        # The last entries of a list first, so that those before them keep their numbers.
        for entry, path in sorted(
            entries, key=lambda pair: pair[1][-1] if isinstance(pair[1][-1], int) else 0, reverse=True
        ):
            # What is said of other parts of it already stays.
            said = entry.note if entry.outcome == Outcome.NOT_CARRIED else ""
            of_several = (said or len(entry.keys) > 1) and not isinstance(path[-1], int)
            told = f"{dotted(path)}: {why}" if of_several else why
            del entry.keys[path]
            if told not in said:
                entry.outcome, entry.note = Outcome.NOT_CARRIED, f"{said} {told}".strip()
            _delete(self.site, path)
            if isinstance(path[-1], int):
                self._close_gap(path[:-1], path[-1])
        return bool(entries)

    def _close_gap(self, above: KeyPath, gone: int) -> None:
        """Number the entries of a list anew of which one has been taken out."""
        for entry in self.entries:
            entry.keys = {
                (*above, key[-1] - 1)
                if key[:-1] == above and isinstance(key[-1], int) and key[-1] > gone
                else key: value
                for key, value in entry.keys.items()
            }

    def _entry(self, name: str, found: Found, outcome: Outcome, note: str) -> Entry:
        entry = self._of.get(found.leaf) if found.leaf else None
        if entry is None:
            entry = Entry(name, found.origin, outcome, note=note, leaf=found.leaf)
            self.entries.append(entry)
            if found.leaf:
                self._of[found.leaf] = entry
        elif outcome == Outcome.CARRIED and entry.outcome == Outcome.NO_CONCERN:
            entry.name, entry.outcome, entry.note, entry.lead = name, outcome, note, None
        elif note and entry.outcome == outcome and note not in entry.note:
            entry.note = f"{entry.note}; {note}" if entry.note else note
        return entry


def _delete(data: dict[str, object], path: KeyPath) -> None:
    """Remove a key, and the objects above it that are empty then."""
    nodes = [data]
    for part in path[:-1]:
        below = nodes[-1].get(str(part))
        if isinstance(below, list) and isinstance(path[-1], int):
            del below[path[-1]]
            if not below:
                _delete(data, path[:-1])
            return
        if not isinstance(below, dict):
            return
        nodes.append(below)
    nodes[-1].pop(str(path[-1]), None)
    for node, part in zip(reversed(nodes[:-1]), reversed(path[:-1]), strict=True):
        if not node[str(part)] and part not in {"swarm", "docker", "kubernetes"}:
            del node[str(part)]
