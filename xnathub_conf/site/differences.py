"""What is different between two sites, key by key, and what it takes for the difference to take effect."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.schema import EFFECTS, fields_of, takes_effect
from xnathub_conf.site.types import Orchestrator, Site
from xnathub_conf.values.secret import Secret


@dataclass(frozen=True)
class Difference:
    """One key with another value, or one entry of a list or map that is new or gone; `effect` is a name in EFFECTS."""

    key: KeyPath
    kind: Literal["changed", "added", "removed"]
    old: object
    new: Any

    @property
    def effect(self) -> str:
        """What the difference takes, a name in EFFECTS."""
        return takes_effect(self.key)


def differences(old: Site, new: Site) -> list[Difference]:
    """List every difference between two sites in the order of their keys; a default counts like a value that is written."""
    return list(_differences(old, new, ()))


def whole_effect(found: Sequence[Difference]) -> str:
    """Return what all differences together take: the most that one of them does."""
    order = list(EFFECTS)
    return max((each.effect for each in found), key=order.index, default=order[0])


def _differences(old: object, new: object, key: KeyPath) -> Iterator[Difference]:
    if old == new:
        return
    if isinstance(old, Orchestrator) and isinstance(new, Orchestrator) and old.key != new.key:
        yield Difference(key, "changed", old.key, new.key)
    elif dataclasses.is_dataclass(old) and type(old) is type(new) and not isinstance(old, Secret):
        for (below, before), (_, after) in zip(fields_of(old, key), fields_of(new, key), strict=True):
            yield from _differences(before, after, below)
    elif key and key[0] == "extra" and len(key) > 1:
        # JupyterHub's own: whether the order of a list counts is not known here.
        yield Difference(key, "changed", old, new)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*old, *new]):
            below = (*key, name)
            if name not in new:
                yield Difference(below, "removed", old[name], None)
            elif name not in old:
                yield Difference(below, "added", None, new[name])
            else:
                yield from _differences(old[name], new[name], below)
    elif isinstance(old, tuple) and isinstance(new, tuple):
        # The order of a list's entries means nothing anywhere in a site.
        yield from (
            Difference(key, "removed", entry, None) for entry in dict.fromkeys(old) if entry not in new
        )
        yield from (Difference(key, "added", None, entry) for entry in dict.fromkeys(new) if entry not in old)
    else:
        yield Difference(key, "changed", old, new)
