"""`xnathub show`."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from typing import Any

from xnathub_conf.hub_settings import hub_settings
from xnathub_conf.problems import KeyPath, SiteError, dotted
from xnathub_conf.schema import entries
from xnathub_conf.secrets import Secret
from xnathub_conf.site import LoadedSite, load


def show(file: str, *, as_json: bool) -> int:
    """Print every key of a site with its value, its line, and the settings of JupyterHub that it decides.

    Secrets show where they come from, never what they are. Gives 1 where the file is not valid.
    """
    try:
        loaded = load(file)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    rows = _rows(loaded)
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        where = f"{file}:{row['line']}" if row["line"] else "default"
        print(f"{row['key']} = {json.dumps(row['value'], ensure_ascii=False)}  ({where})")
        for trait, value in row["sets"].items():
            print(f"    {trait} = {json.dumps(value, ensure_ascii=False)}")
    return 0


def _rows(loaded: LoadedSite) -> list[dict[str, Any]]:
    sets: dict[KeyPath, dict[str, Any]] = {}
    for setting in hub_settings(loaded.site):
        sets.setdefault(setting.key, {})[setting.trait] = _shown(setting.value)
    rows = [
        {"key": dotted(key), "value": _shown(value), "line": loaded.line(key), "sets": sets.pop(key, {})}
        for key, value in entries(loaded.site)
    ]
    # What follows from which section there is at all.
    rows += [
        {"key": dotted(key), "value": None, "line": loaded.line(key), "sets": traits}
        for key, traits in sets.items()
    ]
    return rows


def _shown(value: Any) -> Any:
    if isinstance(value, Secret):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name.rstrip("_"): _shown(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return value
