"""Paths: their one normal form, and their translation by prefix."""

import re
from collections.abc import Container, Iterable, Mapping

_ODD = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_NORMAL = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[^/\x00-\x1f\x7f\ud800-\udfff]+)+\Z")

LONGEST = 4096
"""Bytes of the longest path that Linux opens, PATH_MAX."""


class PathError(ValueError):
    """A path can't be used; the text says why."""


def normal_path(path: str) -> str:
    """Return the path's normal form: absolute, no `//`, no `/./`, no slash at the end.

    Raises PathError for a relative path, a `..` anywhere, a control character, text that is not Unicode, or too much of it. A `..` is
    refused, not resolved: what it leads to depends on links that only the node knows.
    """
    if len(path) > LONGEST or len(path.encode(errors="replace")) > LONGEST:
        raise PathError(f"it is longer than {LONGEST:,} bytes")
    if _NORMAL.match(path):
        return path
    if _ODD.search(path):
        raise PathError("it holds a control character")
    if not path.startswith("/"):
        raise PathError("it is not absolute")
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise PathError("it holds `..`")
    return "/" + "/".join(parts)


def prefixes(path: str) -> Iterable[str]:
    """List a normal path and the folders above it, longest first, without `/`."""
    while path:
        yield path
        path = path[: path.rfind("/")]


def fixed_part(path: str) -> str:
    """Return the part of an allowed mount's path that is the same for all users."""
    return path.partition("/{username}")[0] or path


def nearest(path: str, folders: Container[str]) -> str:
    """Return the longest of the folders that is a normal path or holds it, "" where none does."""
    while path and path not in folders:
        path = path[: path.rfind("/")]
    return path


class PathTranslation:
    """Prefix rules: the longest prefix of whole path components wins, and is replaced once."""

    def __init__(self, rules: Mapping[str, str]):
        self._rules = dict(rules)

    def __call__(self, path: str) -> str:
        """Translate a path in normal form; one that no rule fits stays as it is."""
        if prefix := nearest(path, self._rules):
            return self._rules[prefix] + path[len(prefix) :]
        return path
