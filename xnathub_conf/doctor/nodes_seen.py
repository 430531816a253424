"""What the nodes of a cluster or a swarm have said of themselves by `on_node`, in words."""

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from itertools import combinations
from typing import Any

_OFF_SECONDS = 10
_ROOM = 2 * 2**30


def program() -> str:
    """Return the program that looks around on a node."""
    return resources.files("xnathub_conf.doctor").joinpath("on_node.py").read_text("utf-8")


def said_by(log: str) -> Mapping[str, Any]:
    """Return what it saw, by its log. Raises ValueError, or IndexError where it said nothing."""
    seen: dict[str, Any] = json.loads(log.strip().splitlines()[-1].removeprefix("seen "))
    return seen


def others_than(found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """List the nodes on which a folder holds other things than on one before, each with a sentence."""
    for (one, here), (other, there) in combinations(found.items(), 2):
        for path, folder in here.get("folders", {}).items():
            if differ(folder, there.get("folders", {}).get(path, {})):
                yield other, f"{path} holds other folders than on {one}"


def faults(seen: Mapping[str, Any]) -> list[str]:
    """Return, in words, what was seen on a node that is not as it should be."""
    if not seen:
        return []
    found = [
        f"{path} can't be read: {folder['error']}"
        for path, folder in seen["folders"].items()
        if "error" in folder
    ]
    found += [f"{path}: {why}" for path, why in seen["writable"].items() if why]
    found += [
        f"no way to {name}: {seen[key]}" for key, name in (("xnat", "XNAT"), ("hub", "the hub")) if seen[key]
    ]
    if seen["clock"] is not None and abs(seen["clock"]) > _OFF_SECONDS:
        found.append(f"its clock is {seen['clock']:+.0f} s off XNAT's")
    if seen["free"] < _ROOM:
        found.append(f"its disk has {seen['free'] / 2**30:.1f} GiB left")
    return found


def differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether less than half of what either folder holds is in both: there are always some that have just been made."""
    if "names" not in one or "names" not in other:
        return False
    here, there = set(one["names"]), set(other["names"])
    return 2 * len(here & there) < max(len(here), len(there))
