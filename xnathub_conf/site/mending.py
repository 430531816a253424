"""What has one sure remedy in a site file, mended in its text: comments, order and all else stay as they are.

An edit is kept where the problem is gone after it and none came at its place. What a person has to decide is left.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from xnathub_conf.site.load import load
from xnathub_conf.site.problems import KeyPath, Problem, SiteError, dotted, holds_secret

_MOST_EDITS = 500
_WRITE = re.compile(r"Write `(.+)`\.", re.DOTALL)
_MEANT = re.compile(r"Did you mean `([a-z_]+)`\?|In site\.yaml this is `([a-z_.]+)`\.")
_TRUTH = re.compile(r"Write (true|false),")
_NOWHERE = {"duplicate-key", "syntax"}
"""What no edit may bring about, in whatever line."""
_OF_VALUES = {"type", "x-type", "enum"}
_NO_SPACE = re.compile(r"\b(file|env):(?=[^\s/]|/[^/])")
_ODD_SPACES = {
    **dict.fromkeys(map(ord, "\u200b\u2060\ufeff"), None),
    **dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " "),
}
_QUOTES = {
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u00ab\u00bb"), '"'),
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a"), "'"),
}
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"


class Edit(NamedTuple):
    """One thing that was mended: its line, counted from 1, and what was done."""

    line: int
    what: str


def mend(text: str, file: str) -> tuple[str, list[Edit]]:
    """Return the text of a site file with what has one sure remedy mended, and what that was."""
    edits: list[Edit] = []
    problems = _problems(text, file)
    while len(edits) < _MOST_EDITS:
        for problem, (changed, what) in ((each, one) for each in problems for one in _edits(each, text)):
            left = _problems(changed, file)
            if _better(problem, problems, left):
                edits.append(Edit(problem.line, what))
                text, problems = changed, left
                break
        else:
            break
    return text, edits


def _problems(text: str, file: str) -> list[Problem]:
    try:
        load(file, content=text.encode(), strict=True)
    except SiteError as error:
        return list(error.problems)
    return []


def _better(problem: Problem, before: list[Problem], after: list[Problem]) -> bool:
    known = {_same(each) for each in before}
    came = [each for each in after if _same(each) not in known]
    gone = _same(problem) not in {_same(each) for each in after}
    # What stands at a key that was renamed is looked at now only, and comes next.
    renamed = problem.rule == "unknown-key"
    return gone and not any(
        each.rule in _NOWHERE or (each.line == problem.line and not (renamed and each.rule in _OF_VALUES))
        for each in came
    )


def _same(problem: Problem) -> tuple[KeyPath, str, int, int]:
    return problem.path, problem.rule, problem.line, 0 if problem.path else problem.column


def _edits(problem: Problem, text: str) -> Iterator[tuple[str, str]]:
    """Yield texts without a problem, and in words what was changed; which of them is good, is tried."""
    if problem.rule == "tab":
        for spaces in ("  ", "    ", ""):
            what = f"tabs became {len(spaces)} spaces each" if spaces else "tabs are taken away"
            yield "\n".join(_indented(line, spaces) for line in text.split("\n")), what
    elif problem.rule in {"typography", "syntax"} or problem.fix == "Put one there.":
        yield from _of_characters(problem, text)
    elif (node := _Nodes.of(text)) is not None:
        yield from _of_nodes(problem, text, node)


def _indented(line: str, spaces: str) -> str:
    text = line.lstrip(" \t")
    return line[: len(line) - len(text)].replace("\t", spaces) + text


def _of_characters(problem: Problem, text: str) -> Iterator[tuple[str, str]]:
    lines = text.split("\n")
    if problem.line > len(lines):
        return
    line, at = lines[problem.line - 1], problem.column - 1
    changed, here = line, line[at : at + 1]
    if problem.fix == "Put one there.":
        changed, what = f"{line[:at]} {line[at:]}", "a space stands after the colon"
    elif "plain space" in problem.fix:
        changed, what = line.translate(_ODD_SPACES), "plain spaces"
    elif here and ord(here) in _QUOTES:
        changed, what = line.translate(_QUOTES), "plain quotes"
    elif here in _DASHES:
        changed, what = f"{line[:at]}-{line[at + 1 :]}", "a plain dash"
    if changed != line:
        lines[problem.line - 1] = changed
        yield "\n".join(lines), what


class _Nodes(NamedTuple):
    """The nodes of a YAML text, in which a key path is looked up."""

    root: yaml.Node

    @classmethod
    def of(cls, text: str) -> "_Nodes | None":
        """Return the nodes, None where the text is no YAML."""
        try:
            # PyYAML's other loader takes no tab inside a value, which `load` takes.
            root = yaml.compose(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError:
            return None
        return cls(root) if root is not None else None

    def pair(self, path: KeyPath) -> tuple[yaml.Node | None, yaml.Node] | None:
        """Return the key and the value at a path, no key for an item of a list; None where nothing stands there."""
        key, node = None, self.root
        for part in path:
            if isinstance(node, yaml.MappingNode):
                found = [(k, v) for k, v in node.value if getattr(k, "value", None) == part]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                found = [(None, node.value[part])]
            else:
                return None
            if len(found) != 1:
                return None
            ((key, node),) = found
        return key, node


def _of_nodes(problem: Problem, text: str, nodes: _Nodes) -> Iterator[tuple[str, str]]:
    path = problem.path
    pair = nodes.pair(path) if path else None
    if pair is None:
        return
    key, value = pair
    written = _WRITE.fullmatch(problem.fix)
    if problem.rule == "unknown-key" and "space is missing" in problem.message:
        start, end = value.start_mark.index, value.end_mark.index
        yield (
            text[:start] + _NO_SPACE.sub(r"\1: ", text[start:end]) + text[end:],
            "a space stands after the colon",
        )
    elif problem.rule in _OF_VALUES and written:
        new = written[1]
        if isinstance(path[-1], str):
            new = new.removeprefix(f"{path[-1]}: ")
        if _says_the_same(problem.rule, value, new):
            yield from _replaced(text, value, new, path)
    elif problem.rule == "ambiguous" and (truth := _TRUTH.match(problem.fix)):
        yield from _replaced(text, value, truth[1], path)
    elif problem.rule == "ambiguous" and "Put it in quotes" in problem.fix:
        yield from _replaced(text, value, f'"{value.value}"', path)
        if isinstance(key, yaml.ScalarNode):
            # The key alone, or both: what comes later in the text is replaced first.
            for changed in (text, *(each for each, _ in _replaced(text, value, f'"{value.value}"', path))):
                yield from _replaced(changed, key, f'"{key.value}"', path)
    elif problem.rule == "unknown-key" and key is not None:
        meant = _MEANT.match(problem.fix)
        if meant and _renamed(path, meant[1], meant[2]):
            new = (meant[1] or meant[2]).rpartition(".")[2]
            yield from _replaced(text, key, new, path)


def _says_the_same(rule: str, value: yaml.Node, new: str) -> bool:
    """Return whether a value says in another form what stood there: no guess at a word, an address or a rounded number."""
    old = str(value.value)
    if rule == "enum":
        return old.strip().lower() == new.strip('"').lower()
    if re.fullmatch(r"[0-9.]+", old) and re.fullmatch(r"[0-9.]+", new):
        return float(old) == float(new)
    return "://" not in new or "://" in old


def _renamed(path: KeyPath, near: str | None, old_name_of: str | None) -> bool:
    """Return whether a key is surely another by its name: it differs in case and dashes alone, or was its name before."""
    if old_name_of is not None:
        return dotted(path[:-1]) == old_name_of.rpartition(".")[0]
    return near is not None and _letters(str(path[-1])) == _letters(near)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _replaced(text: str, node: yaml.Node, new: str, path: KeyPath) -> Iterator[tuple[str, str]]:
    start, end = node.start_mark.index, node.end_mark.index
    old = text[start:end]
    plain = isinstance(node, yaml.ScalarNode) and old and "\n" not in old
    if plain and (old == node.value or old[0] in "'\""):
        shown = "written anew" if holds_secret(path) else f"{old} -> {new}"
        yield text[:start] + new + text[end:], f"{dotted(path)}: {shown}"
