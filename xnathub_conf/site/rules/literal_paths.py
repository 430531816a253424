"""A rule of what a shell or a template would put into a path, and nothing here does."""

import re
from collections.abc import Iterator

from xnathub_conf.site.problems import KeyPath, visible
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document

_VARIABLE = re.compile(r"\$(?:\w+|\{[^}/]*\}|\([^)/]*\))|%\w+%|<[^>/]+>")
_OF_THE_USER = re.compile(r"\W*(?:JUPYTERHUB_|NB_)?(?:USER|USERNAME|LOGNAME)\W*", re.IGNORECASE)
_NO_FOLDERS = (("extra",), ("servers", "environment"), ("servers", "default_url"))
"""Where a text that begins with a slash is no path on a machine, or may be anything."""
_PER_USER = {("allowed_mounts", "path"), ("mounts", "source")}
"""Where `{username}` may stand."""


def check_literal_paths(document: Document, _site: Site) -> None:
    """Every path is what it says: no variable, no `*` for any name."""
    for path, text in _paths(document.data, ()):
        if found := _VARIABLE.search(text):
            fix = "Write the path itself."
            if path[1:4:2] in _PER_USER and _OF_THE_USER.fullmatch(found[0]):
                fix = f"Write {text.replace(found[0], '{username}')}."
            message = f"Nothing is put in for {visible(found[0])}: it would be part of the name."
            report(document, path, "literal-path", message, fix)
        elif re.search(r"[*?]", text):
            above = re.sub(r"(/\*+)+$", "", text)
            fix = "Write each folder in an entry of its own."
            if above and not re.search(r"[*?]", above):
                fix = f"Write {visible(above)}: what lies below it is meant, too."
            report(
                document,
                path,
                "literal-path",
                "No names are looked for: `*` and `?` would be part of the name.",
                fix,
            )


def _paths(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Return all texts that begin with a slash, each with its key."""
    if path in _NO_FOLDERS:
        return
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _paths(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _paths(each, (*path, number))
    elif isinstance(value, str) and value.startswith("/"):
        yield path, value
