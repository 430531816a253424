"""The entries of a report as few lines: what has the same reason is one paragraph, what lies together one line."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xnathub_conf.migration.hiding import shown_path
from xnathub_conf.migration.ledger import Entry, Outcome
from xnathub_conf.migration.tree import Node
from xnathub_conf.site.problems import KeyPath, dotted

_BELONGS = "It belongs to a value that is in this list by itself."


@dataclass(frozen=True)
class Line:
    """One or more settings, where they stand, and the keys that they became."""

    origin: str
    name: str
    keys: Mapping[KeyPath, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Paragraph:
    """Lines with the same reason."""

    note: str
    lines: Sequence[Line]


def folded(entries: Sequence[Entry]) -> dict[Outcome, list[Paragraph]]:
    """Return what is to be shown of each outcome; every entry is in one line, by its name or below one that is named."""
    leads = {each.leaf: each for each in entries if each.leaf}
    below = Counter(part for each in entries for part in _above(each))
    places = _Places(entries)
    groups: dict[tuple[Outcome, Entry | None, str], list[Entry]] = {}
    for each in _in_order(entries):
        lead = _first(each, leads)
        lead = lead if lead and lead.outcome == each.outcome else None
        note = lead.note if lead else _BELONGS if each.lead else each.note
        # What became keys stands alone, with all that only counts through it.
        own = (lead or each) if each.keys else None
        groups.setdefault((each.outcome, own, note), []).append(each)
    result: dict[Outcome, list[Paragraph]] = {}
    for (outcome, own, note), group in groups.items():
        lines = (
            [Line(places.of(own, group), own.name, own.keys)]
            if own
            else _lines(outcome, group, below, places)
        )
        result.setdefault(outcome, []).append(Paragraph(note, lines))
    return result


def _first(entry: Entry, leads: Mapping[Node, Entry]) -> Entry | None:
    """Return the entry through which, over others perhaps, this one counts."""
    lead, seen = None, {entry}
    while entry.lead and (entry := leads.get(entry.lead, entry)) not in seen:
        seen.add(entry)
        lead = entry
    return lead


def _in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Return what was carried in the order of the site's keys, all else in that of the files."""
    files = list(dict.fromkeys(each.leaf.file for each in entries if each.leaf))

    def place(each: Entry) -> tuple[int, int]:
        if each.outcome == Outcome.CARRIED:
            return (0, 0)
        return (files.index(each.leaf.file), each.leaf.line) if each.leaf else (len(files), 0)

    return sorted(entries, key=place)


def _above(entry: Entry) -> list[tuple[str, KeyPath]]:
    """Return the places in the file that an entry's leaf lies in, from the topmost key to the leaf itself."""
    leaf = entry.leaf
    # The paths of Python's statements are no keys.
    if not leaf or isinstance(leaf.path[0] if leaf.path else 0, int):
        return []
    return [(leaf.file, leaf.path[:length]) for length in range(1, len(leaf.path) + 1)]


def _lines(
    outcome: Outcome, group: Sequence[Entry], below: Counter[tuple[str, KeyPath]], places: "_Places"
) -> list[Line]:
    """Return one line for each place all of whose leaves are in the group, and for each of the other leaves."""
    own = Counter(part for each in group for part in _above(each))
    parts: dict[object, list[Entry]] = {}
    for each in group:
        whole = next((part for part in _above(each) if own[part] == below[part] > 1), None)
        parts.setdefault(whole or each, []).append(each)
    lines: dict[object, tuple[list[Entry], list[str]]] = {}
    for part, those in parts.items():
        named = (
            dotted(shown_path(part[1], alone=False)) + f" ({len(those)} values)"
            if isinstance(part, tuple)
            else those[0].name
        )
        # What is no concern needs no line of its own, unless much lies below it.
        alone = outcome == Outcome.NOT_CARRIED or isinstance(part, tuple)
        shared, said = lines.setdefault(part if alone else None, ([], []))
        shared += those
        said.append(named)
    return [
        Line(places.of(those[0], those), ", ".join(dict.fromkeys(said))) for those, said in lines.values()
    ]


class _Places:
    """Where the entries of a report stand, to name some of them by their lines."""

    def __init__(self, entries: Sequence[Entry]):
        self.lines: dict[str, list[int]] = {}
        for each in entries:
            if each.leaf:
                self.lines.setdefault(each.leaf.file, []).append(each.leaf.line)
        for lines in self.lines.values():
            lines.sort()

    def of(self, first: Entry, group: Sequence[Entry]) -> str:
        """Return the files and lines of some entries, those of the first one's file first; a range holds no line of another entry."""
        found: dict[str, set[int]] = {first.leaf.file: {first.leaf.line}} if first.leaf else {}
        for each in group:
            if each.leaf:
                found.setdefault(each.leaf.file, set()).add(each.leaf.line)
        if not found:
            return first.origin
        return ", ".join(f"{file}:{self._ranges(file, sorted(lines))}" for file, lines in found.items())

    def _ranges(self, file: str, lines: Sequence[int]) -> str:
        ranges: list[tuple[int, int]] = []
        for line in lines:
            last = ranges[-1][1] if ranges else None
            if last is not None and not self._lie_between(file, last, line):
                ranges[-1] = (ranges[-1][0], line)
            else:
                ranges.append((line, line))
        return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in ranges)

    def _lie_between(self, file: str, first: int, last: int) -> bool:
        lines = self.lines[file]
        return bisect_right(lines, first) < bisect_left(lines, last)
