"""`xnathub diff`."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from xnathub_conf.cli.reports import write_out
from xnathub_conf.cli.show import shown
from xnathub_conf.site.differences import Difference, differences, whole_effect
from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import SiteError, dotted
from xnathub_conf.site.schema import EFFECTS, node_at
from xnathub_conf.site.yaml_source import MAX_BYTES
from xnathub_conf.values.memory import site_amount
from xnathub_conf.values.secret import Secret


def diff(old: str, new: str, *, report_format: str) -> int:
    """Print what a change from one site file to another changes, and what has to be done after it.

    Either file may be `-`, for standard input. Gives, as diff(1) does, 0 where the sites are the same, 1 where they
    differ, and 2 where a file is not valid.
    """
    try:
        before, after = _load(old), _load(new)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 2
    found = differences(before.site, after.site)
    write_out(FORMATS[report_format](before, after, found))
    return 1 if found else 0


def _load(file: str) -> LoadedSite:
    return load("<stdin>", content=sys.stdin.buffer.read(MAX_BYTES + 1)) if file == "-" else load(file)


def _value(difference: Difference, value: Any) -> str:
    if isinstance(value, Secret):
        return str(value)
    if value is None:
        return "not set"
    if (node_at(difference.key) or {}).get("x-type") == "bytes":
        return site_amount(value)
    return json.dumps(shown(value, str(difference.key[-1])), ensure_ascii=False)


def _sides(difference: Difference) -> tuple[str, str]:
    """Return what stood there and what stands there, "" for an entry that was or is not there."""
    old = "" if difference.kind == "added" else _value(difference, difference.old)
    new = "" if difference.kind == "removed" else _value(difference, difference.new)
    return old, new


def changes_text(before: LoadedSite, after: LoadedSite) -> str:
    """Return what a change changes, by what it takes to take effect, as `xnathub diff` prints it."""
    return _text(before, after, differences(before.site, after.site))


def _text(_before: LoadedSite, _after: LoadedSite, found: Sequence[Difference]) -> str:
    """The differences by what they take, the most first, and what they take together."""
    if not found:
        return "Nothing changes.\n"
    lines = []
    for effect in reversed(EFFECTS):
        these = [each for each in found if each.effect == effect]
        if these:
            lines.append(f"{_sentence(effect)}:")
        for each in these:
            old, new = _sides(each)
            change = f"{old} -> {new}" if old and new else f"+ {new}" if new else f"- {old}"
            lines.append(f"  {dotted(each.key)}: {change}")
        if these:
            lines.append("")
    return "\n".join([*lines, f"In all: {EFFECTS[whole_effect(found)]}."]) + "\n"


def _sentence(effect: str) -> str:
    return EFFECTS[effect][0].upper() + EFFECTS[effect][1:]


def _json(before: LoadedSite, after: LoadedSite, found: Sequence[Difference]) -> str:
    """One object: `same`, `effect`, a name in EFFECTS, and the `changes`, each with its key, values, lines and effect."""
    changes = [
        {
            "key": dotted(each.key),
            "kind": each.kind,
            "old": shown(each.old, str(each.key[-1])),
            "new": shown(each.new, str(each.key[-1])),
            "old_line": before.line(each.key),
            "new_line": after.line(each.key),
            "effect": each.effect,
        }
        for each in found
    ]
    return json.dumps({"same": not found, "effect": whole_effect(found), "changes": changes}, indent=2) + "\n"


def _markdown(_before: LoadedSite, after: LoadedSite, found: Sequence[Difference]) -> str:
    """A table for a pull request, under what the differences take together."""
    file = _code(after.document.file)
    if not found:
        return f"**{file}**: nothing changes.\n"
    lines = [
        f"**{file}**: {EFFECTS[whole_effect(found)]}.",
        "",
        "| setting | before | after | what to do |",
        "|---|---|---|---|",
    ]
    for each in found:
        old, new = (_code(side) if side else "" for side in _sides(each))
        lines.append(f"| {_code(dotted(each.key))} | {old} | {new} | {EFFECTS[each.effect]} |")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Write text as code of GitHub's Markdown, in a cell of a table too."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


FORMATS: dict[str, Callable[[LoadedSite, LoadedSite, Sequence[Difference]], str]] = {
    "text": _text,
    "json": _json,
    "markdown": _markdown,
}
"""The reports by the name that `--format` takes."""
