"""What rules share: adding a problem, and the plain form of paths."""

from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.paths import (
    PathError,
    normal_path,
)


def report(document: Document, path: KeyPath, rule: str, message: str, fix: str = "") -> None:
    """Add a problem at a value, or at the key that lacks it."""
    document.report(document.value_mark(path), path, rule, message, fix)


def written(document: Document, *paths: KeyPath) -> KeyPath:
    """Return the first of the paths that stands in the file, or else the first: where a contradiction can be mended."""
    return next((path for path in paths if path in document.keys), paths[0])


def report_shared(document: Document, path: KeyPath, folder: str, *, writable: bool) -> None:
    """Add a problem where users may write into a folder that is not one for each of them."""
    if writable and "{username}" not in folder:
        report(
            document,
            path,
            "shared-writable",
            "Everybody could write into everybody's files.",
            "Put {username} into the path, or leave out `writable`.",
        )


def report_braces(document: Document, path: KeyPath, folder: str) -> None:
    """Add a problem where a folder that is the same for all users would hold a user's name."""
    if "{" in folder or "}" in folder:
        fix = "Write a folder that is the same for all users, without braces."
        if path[-1] == "target":
            fix = "Write a place such as /scratch: what each user has there, a {username} in `source` says."
        report(document, path, "username", "No user's name is put in here.", fix)


def report_volume(document: Document, site: Site, path: KeyPath, name: str) -> None:
    """Add a problem where the orchestrator can't have a volume of this name."""
    if fault := kind_of(site).volume(name):
        found = fault.message
        report(document, path, fault.rule, found, fault.fix)


def is_normal(document: Document, path: KeyPath, value: str) -> bool:
    """Return whether a path is in its plain form; a problem is added where it is not."""
    try:
        normal = normal_path(value)
    except PathError as error:
        report(
            document,
            path,
            "path",
            f"{value} can't be used: {error}.",
            "Write its plain form from /, such as /data/xnat.",
        )
        return False
    if normal != value:
        report(document, path, "path", f"{value} is not in its plain form.", f"Write {normal}.")
    return normal == value
