"""What `migrate` says: as text, as Markdown for a change request, or as JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xnathub_conf.migration.folded import Line, Paragraph, folded
from xnathub_conf.migration.hiding import shown_key, shown_value, without_addresses_secrets
from xnathub_conf.migration.ledger import Ledger, Outcome
from xnathub_conf.operating.log_text import in_one_line
from xnathub_conf.site.problems import KeyPath, dotted

_TITLES = {
    Outcome.CARRIED: "Carried over:",
    Outcome.NOT_CARRIED: "Not carried over:",
    Outcome.NO_CONCERN: "No concern of the hub:",
}


@dataclass(frozen=True)
class Report:
    """The entries of a migration, what was or would be written, and what is left to do, in order."""

    ledger: Ledger
    written: Sequence[str]
    steps: Sequence[str]
    dry_run: bool = False

    def counts(self) -> dict[str, int]:
        """Return how many values of the old files were carried, not carried, and no concern."""
        return {
            outcome.value: sum(
                each.outcome == outcome and each.leaf is not None for each in self.ledger.entries
            )
            for outcome in Outcome
        }

    def text(self) -> Iterator[str]:
        """Return the lines for a terminal."""
        return map(without_addresses_secrets, self._text())

    def _text(self) -> Iterator[str]:
        for line in self.written:
            yield f"{'Would write' if self.dry_run else 'Wrote'} {line}"
        for outcome, paragraphs in self._paragraphs():
            yield f"\n{_TITLES[outcome]}"
            for each in paragraphs:
                if len(each.lines) == 1:
                    yield f"  {_line(outcome, each.lines[0], each.note)}"
                    continue
                yield f"  {in_one_line(each.note)}"
                yield from (in_one_line(f"    {line.origin}: {line.name}") for line in each.lines)
        yield "\nTo do:"
        for number, step in enumerate(self.steps, 1):
            yield f"  {number}. {in_one_line(step)}"
        yield "\nValues of the old files: " + ", ".join(
            f"{count} {name}" for name, count in self.counts().items()
        )

    def markdown(self) -> Iterator[str]:
        """Return the lines of a Markdown page."""
        yield "# Move to xnathub\n"
        for file in self.written:
            yield f"- {'would write' if self.dry_run else 'wrote'} {_cell(file)}"
        for outcome, paragraphs in self._paragraphs():
            title = _TITLES[outcome].rstrip(":")
            yield f"\n## {title}\n\n| where | setting | becomes | why |\n|---|---|---|---|"
            for note, line in ((each.note, line) for each in paragraphs for line in each.lines):
                keys = "<br>".join(
                    _cell(f"{_key(key)}: {_shown(key, value)}") for key, value in line.keys.items()
                )
                yield f"| {_cell(line.origin)} | {_cell(line.name)} | {keys} | {_cell(note)} |"
        yield "\n## To do\n"
        for step in self.steps:
            yield f"- [ ] {_cell(step)}"

    def _paragraphs(self) -> Iterator[tuple[Outcome, list[Paragraph]]]:
        paragraphs = folded(self.ledger.entries)
        return ((outcome, paragraphs[outcome]) for outcome in _TITLES if outcome in paragraphs)

    def data(self) -> dict[str, Any]:
        """Return it all as plain data."""
        return {
            "written": list(self.written),
            "dry_run": self.dry_run,
            "counts": self.counts(),
            "settings": [
                {
                    "file": each.leaf.file if each.leaf else None,
                    "line": each.leaf.line if each.leaf else None,
                    "path": list(each.leaf.shown_path) if each.leaf else None,
                    "name": without_addresses_secrets(each.name),
                    "origin": each.origin,
                    "outcome": each.outcome.value,
                    "keys": {_key(key): json.loads(_shown(key, value)) for key, value in each.keys.items()},
                    "note": without_addresses_secrets(each.note),
                }
                for each in self.ledger.entries
            ],
            "to_do": [*map(without_addresses_secrets, self.steps)],
        }


def _shown(key: KeyPath, value: object) -> str:
    """Return a value as JSON, without what may be a secret that stood open in the old files."""
    return json.dumps(shown_value(key, value), ensure_ascii=False)


def _key(key: KeyPath) -> str:
    return dotted(tuple(map(shown_key, key)))


def _line(outcome: Outcome, line: Line, note: str) -> str:
    keys = ", ".join(f"{_key(key)}: {_shown(key, value)}" for key, value in line.keys.items())
    if outcome == Outcome.CARRIED:
        return in_one_line(f"{line.origin}: {line.name} -> {keys}" + (f" ({note})" if note else ""))
    return in_one_line(
        f"{line.origin}: {line.name}: {note}" + (f" (Carried over of it: {keys})" if keys else "")
    )


def _cell(text: str) -> str:
    """Return text as it stands in a cell: nothing in it is Markdown or HTML."""
    text = without_addresses_secrets(text)
    for character in "\\`*_[]<>|":
        text = text.replace(character, "\\" + character if character != "<" else "&lt;")
    return in_one_line(text)
