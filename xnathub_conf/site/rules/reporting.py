"""What rules share: adding a problem, and the plain form of paths."""

from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.paths import (
    PathError,
    normal_path,
)


def report(document: Document, path: KeyPath, rule: str, message: str, fix: str = "") -> None:
    """Add a problem at a value, or at the key that lacks it."""
    document.report(document.value_mark(path), path, rule, message, fix)


def is_normal(document: Document, path: KeyPath, value: str) -> bool:
    """Return whether a path is in its plain form; a problem is added where it is not."""
    try:
        normal = normal_path(value)
    except PathError as error:
        report(document, path, "path", f"{value} can't be used: {error}.")
        return False
    if normal != value:
        report(document, path, "path", f"{value} is not in its plain form.", f"Write {normal}.")
    return normal == value
