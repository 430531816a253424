"""A compose file of which one service is the hub: which lines are the hub's, and the file without them."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.compose import is_file, is_folder, read_text
from xnathub_conf.migration.services import Compose, Service
from xnathub_conf.migration.tree import Node, parse_tree

Lines = tuple[int, int]
"""The first and the last of some lines, both counted from 1."""

_PASSES = re.compile(r"proxy_pass|server\s|reverse_proxy|ProxyPass")


def lines_of(text: str, node: Node) -> Lines | None:
    """Return which lines a service takes, from its key to its last value; none where it shares its first line."""
    lines = text.split("\n")
    last = max((leaf.line for leaf in node.leaves()), default=node.line)
    key = f"{node.path[-1]}"
    first = next(
        (
            number
            for number in range(min(node.line, len(lines)), 0, -1)
            if re.match(rf"""[ \t]+["']?{re.escape(key)}["']?[ \t]*:""", lines[number - 1])
        ),
        None,
    )
    if first is None:
        return None
    indent = len(lines[first - 1]) - len(lines[first - 1].lstrip())
    end = first
    for number in range(first + 1, len(lines) + 1):
        line = lines[number - 1]
        if line.strip() and len(line) - len(line.lstrip()) <= indent and not line.lstrip().startswith("#"):
            break
        if line.strip() and (len(line) - len(line.lstrip()) > indent):
            end = number
    return (first, end) if end >= last or last < first else None


def without(text: str, file: str, name: str) -> str:
    """Return a compose file's text without one service, and without what others say of it in `depends_on`.

    Raises MigrationError where the lines can't be told apart, or the rest needs what stood there.
    """
    tree = parse_tree(text, file)
    node = tree.get("services", name)
    if not node.line or (taken := lines_of(text, node)) is None:
        raise MigrationError(f"{file}: the service {name} can't be taken out by lines. Take it out by hand.")
    gone = set(range(taken[0], taken[1] + 1))
    gone |= {line for each in _dependents(tree, name) for line in range(each[0], each[1] + 1)}
    result = "\n".join(line for number, line in enumerate(text.split("\n"), 1) if number not in gone)
    try:
        left = parse_tree(result, file).plain()
    except MigrationError:
        raise MigrationError(
            f"{file}: others refer to what stands in the service {name} (&...). Take it out by hand."
        ) from None
    wanted = tree.plain()
    del wanted["services"][name]
    for service in wanted["services"].values():
        if isinstance(service, dict) and (before := service.get("depends_on")) and name in before:
            service["depends_on"] = (
                [each for each in before if each != name]
                if isinstance(before, list)
                else {key: value for key, value in before.items() if key != name}
            )
    if _bare(left) != _bare(wanted):
        raise MigrationError(f"{file}: the service {name} can't be taken out by lines. Take it out by hand.")
    return result


def _bare(data: object) -> object:
    """Return data with nothing for what is empty: a key whose last line is gone holds null."""
    if isinstance(data, dict):
        return {key: kept for key, value in data.items() if (kept := _bare(value)) not in (None, {}, [])}
    return [_bare(value) for value in data] if isinstance(data, list) else data


def _dependents(tree: Node, name: str) -> Iterator[Lines]:
    for service in tree.get("services").keys.values():
        depends = service.get("depends_on")
        others = len(depends.items) + len(depends.keys) > 1
        for each in [
            *(item for item in depends.items if item.text == name),
            *([depends.get(name)] if name in depends.keys else []),
        ]:
            last = max(leaf.line for leaf in each.leaves())
            first = each.line - (0 if depends.items or not each.keys else 1)
            yield (first, last) if others else (first - 1, last)


def patch(text: str, result: str, file: str) -> str:
    """Return the change as a patch for `patch -p0` or `git apply -p0`."""
    pieces = difflib.unified_diff(
        text.splitlines(keepends=True), result.splitlines(keepends=True), file, file
    )
    return "".join(
        piece if piece.endswith("\n") else piece + "\n\\ No newline at end of file\n" for piece in pieces
    )


def advice(compose: Compose, service: Service, without_hub: str | None) -> Iterator[str]:
    """Return which lines to take out of files that hold other services too, and what else names the hub there."""
    for node in service.nodes:
        text = compose.texts.get(node.file)
        if text is None or node.path[1:] != (service.name,):
            continue
        lines = lines_of(text, node)
        where = (
            f"lines {lines[0]} to {lines[1]} of {node.file}" if lines else f"{node.file}, line {node.line}"
        )
        step = f"Take the service {service.name} out of the old stack and leave the rest: {where}"
        if without_hub:
            step += f". {without_hub} is the file without it, {without_hub}.patch the change"
        else:
            step += " (--without-hub FILE writes the file without it, and a patch)"
        yield f"{step}. Do not remove the stack: {_others(compose, service)} are in it."
    for name, other in compose.services.items():
        if name != service.name:
            for node in other.nodes:
                yield from _proxies(node, service.name)


def _others(compose: Compose, service: Service) -> str:
    names = [name for name in compose.services if name != service.name]
    return ", ".join(names)


def _proxies(node: Node, hub: str) -> Iterator[str]:
    """Find lines of a web server's settings, mounted from files that are here, that lead to the old hub."""
    build = node.get("build")
    sources = [
        each.get("source").text if each.keys else each.text.partition(":")[0]
        for each in node.get("volumes").items
    ]
    for source in [*sources, build.text or build.get("context").text]:
        path = Path(node.file).parent / source if source else Path()
        for file in (
            sorted(path.glob("*.conf"))
            if source and is_folder(path)
            else [path]
            if path.suffix == ".conf" and is_file(path)
            else []
        ):
            for number, line in enumerate(read_text(file).splitlines(), 1):
                if _PASSES.search(line) and re.search(rf"\b{re.escape(hub)}\b|:8000\b", line):
                    yield f"{file}:{number} leads to the old hub: {line.strip()} Let it lead to the new one: docs/reverse-proxy.md."
