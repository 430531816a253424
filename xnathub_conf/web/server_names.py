"""Names of servers: XNAT's pages name each after the event tracking ID that the browser makes, such as 20260728T120000123Z.

JupyterHub 6 would take new names only in lower case, beginning with a letter, of at most 30 characters.
"""

import re
import sys
from typing import Any
from urllib.parse import unquote

import jupyterhub.app  # noqa: F401 - whose modules hold the rule by name
from jupyterhub import slugs
from jupyterhub.handlers import base

_RULE = "is_valid_safe_slug"
_USERS = ("jupyterhub.app", "jupyterhub.handlers.base", "jupyterhub.handlers.pages", "jupyterhub.user")
"""The modules that ask the rule about servers' names."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,127}")


class RuleMissing(Exception):
    """This JupyterHub keeps its rule for servers' names elsewhere: no server could be started from XNAT's pages."""


def can_be_server_name(name: str) -> bool:
    """Return whether a new server may have the name: one part of a path, the same however it is written, up to 128 characters."""
    return _NAME.fullmatch(name) is not None


def server_at(user: Any, path: str) -> str | None:
    """Return the name of the user's running server that a path of this host leads to, "" for the default one's; None for a path of anything else."""
    start, path = unquote(user.server_url("")), unquote(f"{path}/")
    if not path.startswith(start):
        return None
    first = path.removeprefix(start).split("/", 1)[0]
    return first if first in user.spawners and user.spawners[first].active else ""


def take_xnat_server_names() -> None:
    """Put this rule in the place of JupyterHub's. Raises RuleMissing where JupyterHub does not ask it as version 6 does."""
    original = getattr(slugs, _RULE, None)
    asked = [
        name
        for name in _USERS
        if getattr(sys.modules.get(name), _RULE, None) in {original, can_be_server_name}
    ]
    if (
        original is None
        or asked != list(_USERS)
        or not hasattr(base.BaseHandler, "_check_named_server_request")
    ):
        raise RuleMissing(
            "This version of JupyterHub checks servers' names in another way than version 6, so XNAT's pages could start no "
            "server. Install the version that xnathub pins (requirements/hub.lock)."
        )
    for name in _USERS:
        setattr(sys.modules[name], _RULE, can_be_server_name)
