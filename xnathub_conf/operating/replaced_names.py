"""Putting something of ours in the place of a name in a package below, and failing where that name is gone."""

import inspect
from types import ModuleType
from typing import Any


class NameGone(Exception):
    """A package has renamed or changed what the hub replaces, so that replacing it would do nothing."""


def replace_name(where: ModuleType | type, name: str, signature: str, new: Any) -> None:
    """Put `new` in the place of a function. Raises NameGone where there is none of that name and signature.

    Replacing what is replaced already is no error: a process may do so twice.
    """
    old = getattr(where, name, None)
    if old is not None and getattr(old, "xnathub_replaced", False):
        return
    if old is None or str(inspect.signature(old)) != signature:
        raise NameGone(
            f"{where.__name__}.{name}{signature} does not exist. Install the versions that xnathub pins (requirements/hub.lock)."
        )
    new.xnathub_replaced = True
    setattr(where, name, new)
