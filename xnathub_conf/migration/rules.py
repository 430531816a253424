"""Tables of rules: what an old setting's path looks like, and what becomes of it. The first rule that fits counts."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.tree import Node
from xnathub_conf.site.problems import KeyPath

How = Callable[[Ledger, str, Node], None]
"""Takes a value over, or says why not; gets its name in the report and its place."""


@dataclass(frozen=True)
class Rule:
    """A pattern of dotted paths, `*` for one key and `**` for any that follow, and what becomes of such a value."""

    pattern: str
    how: How

    def fits(self, path: tuple[str, ...]) -> bool:
        """Return whether a path has this form."""
        wanted = tuple(self.pattern.split("."))
        if wanted[-1] == "**":
            wanted, path = wanted[:-1], path[: len(wanted) - 1]
        return len(wanted) == len(path) and all(
            each in {"*", part} for each, part in zip(wanted, path, strict=True)
        )


def apply(rules: Iterable[Rule], to: Ledger, node: Node, *, below: int = 0, name: str = "") -> None:
    """Settle every leaf of a tree of which nothing is said yet, by the first rule that fits.

    The first `below` keys of their paths are left out; `name` is put before what remains.
    """
    for leaf in node.leaves():
        if to.entry_of(leaf):
            continue
        path = tuple(map(str, leaf.path[below:]))
        rule = next(each for each in rules if each.fits(path))
        run(rule.how, to, name + leaf.name if name else leaf.name, leaf)


def run(how: How, to: Ledger, name: str, leaf: Node) -> None:
    """Take a value over; if that can't be, say why in its line of the report, and go on."""
    try:
        how(to, name, leaf)
    except NotCarriedError as error:
        to.leave(name, at(leaf), str(error))


def left(why: str) -> How:
    """Return what leaves a value behind, and says what to do."""
    return lambda to, name, leaf: to.leave(name, at(leaf), why)


def nothing(why: str) -> How:
    """Return what says why a value is no concern of the hub."""
    return lambda to, name, leaf: to.ignore(name, at(leaf), why)


def key(target: str, convert: Callable[[str], Any] = str) -> How:
    """Return what writes a value at a key of the site."""

    def how(to: Ledger, name: str, leaf: Node) -> None:
        if leaf.value is None:
            to.ignore(name, at(leaf), "It is empty, so the old hub had its default.")
        elif not isinstance(leaf.value, str):
            raise NotCarriedError(f"It holds no single value. Write it as {target} by hand.")
        else:
            path = tuple(target.split("."))
            if path[0] == "extra":
                path = ("extra", target.removeprefix("extra."))
            to.put(path, convert(leaf.text), name, at(leaf))

    return how


def put_tree(to: Ledger, target: str | KeyPath, value: object, name: str, node: Node) -> None:
    """Write a value at a key that all leaves of a tree make together."""
    lead, *others = node.leaves()
    to.put(target, value, name, at(lead))
    for leaf in others:
        to.follow(leaf, lead, f"with {lead.origin}")


def address(text: str) -> SplitResult:
    """Read an address. Raises NotCarriedError where its host or its port can't be."""
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname
    except ValueError:
        raise NotCarriedError("It is no address. Write the key of site.yaml by hand.") from None
    return parts


def host_of(text: str) -> str:
    """Return the host of an address; nothing where it has none."""
    try:
        return address(text).hostname or ""
    except NotCarriedError:
        return ""


def is_number(text: str) -> bool:
    """Return whether a text is a whole number in the digits that programs read."""
    return re.fullmatch(r"[0-9]{1,18}", text) is not None


def whole(text: str) -> int:
    """Read a whole number. Raises NotCarriedError."""
    if not is_number(text.strip()):
        raise NotCarriedError("It is no whole number. Write the key of site.yaml by hand.")
    return int(text)


def number(text: str) -> float:
    """Read a number. Raises NotCarriedError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise NotCarriedError("It is no number. Write the key of site.yaml by hand.")
    return value


def yes(text: str) -> bool:
    """Read true or false. Raises NotCarriedError."""
    if text.lower() not in {"true", "false"}:
        raise NotCarriedError("It is neither true nor false. Write the key of site.yaml by hand.")
    return text.lower() == "true"
