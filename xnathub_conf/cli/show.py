"""`xnathub show`."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from typing import Any

from xnathub_conf.cli.reports import write_out
from xnathub_conf.site.at_starts import at_each_start
from xnathub_conf.site.hub_settings import hub_settings, settings_by_code
from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import KeyPath, SiteError, dotted, holds_secret
from xnathub_conf.site.schema import entries
from xnathub_conf.values.secret import REDACTED, Secret


def show(file: str, *, as_json: bool) -> int:
    """Print every key of a site with its value, its line, and the settings of JupyterHub that it decides, or what it is for at a start.

    Secrets show where they come from, never what they are. Gives 1 where the file is not valid.
    """
    try:
        loaded = load(file)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    rows = _rows(loaded)
    if as_json:
        write_out(json.dumps(rows, indent=2) + "\n")
        return 0
    lines = []
    at_starts = {dotted(key): at_each_start(loaded.site, key) for key, _ in entries(loaded.site)}
    for row in rows:
        where = f"{file}:{row['line']}" if row["line"] else "default"
        lines.append(f"{row['key']} = {json.dumps(row['value'], ensure_ascii=False)}  ({where})\n")
        if not row["sets"] and (said := at_starts.get(row["key"])):
            lines.append(f"    {said}\n")
        for trait, value in row["sets"].items():
            lines.append(f"    {trait} = {json.dumps(value, ensure_ascii=False)}\n")
    write_out("".join(lines))
    return 0


def _rows(loaded: LoadedSite) -> list[dict[str, Any]]:
    sets: dict[KeyPath, dict[str, object]] = {}
    for setting in [*hub_settings(loaded.site), *settings_by_code(loaded.site)]:
        sets.setdefault(setting.key, {})[setting.trait] = shown(setting.value, setting.trait)
    rows = []
    for key, value in entries(loaded.site):
        traits = sets.pop(key, {})
        if key == ("extra",):
            for trait in loaded.site.extra:
                traits |= sets.pop((*key, trait))
        rows.append({"key": dotted(key), "value": shown(value), "line": loaded.line(key), "sets": traits})
    # What follows from which section there is at all.
    rows += [
        {"key": dotted(key), "value": None, "line": loaded.line(key), "sets": traits}
        for key, traits in sets.items()
    ]
    return rows


def shown(value: object, name: str = "") -> object:
    """Return a value of a Site as JSON has it, without secrets; `name` is the last part of its key."""
    if isinstance(value, Secret):
        return str(value)
    # Raw traits under `extra` can hold secrets as they are, such as ConfigurableHTTPProxy.auth_token.
    if holds_secret((name,)) and value is not None and not isinstance(value, bool):
        return REDACTED
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name.rstrip("_"): shown(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {key: shown(item, key) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return value
