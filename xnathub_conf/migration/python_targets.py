"""What statements of a jupyterhub_config.py set, by whatever name and in whatever form they say it."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Place = tuple[str | None, ...]
"""Where something stands below `c`: a class, a setting, and keys in it; None for what only running the file would tell."""


@dataclass(frozen=True)
class Change:
    """What a statement does to one setting: the setting anew, something added to it, or what can't be told.

    `value` is what is set or added, where that stands in the statement.
    """

    trait: str
    how: Literal["set", "add", "default", "other"]
    value: ast.expr | None = None


def place(node: ast.expr, names: Mapping[str, Place]) -> Place | None:
    """Return where an expression stands below `c`; `names` are other names for it and its parts."""
    parts: list[str | None] = []
    while True:
        match node:
            case ast.Attribute(value=inner, attr=name):
                parts.append(name)
                node = inner
            case ast.Subscript(value=inner, slice=ast.Constant(value=str(name))):
                parts.append(name)
                node = inner
            case ast.Subscript(value=inner):
                parts.append(None)
                node = inner
            case ast.Name(id=name) if name in names:
                return (*names[name], *reversed(parts))
            case ast.Call(func=ast.Name(id="get_config"), args=[]):
                return (*reversed(parts),)
            case _:
                return None


def names_in(tree: ast.Module) -> dict[str, Place]:
    """Return the names that a file gives to `c` and to its parts, as in `cfg = get_config()`."""
    names: dict[str, Place] = {"c": ()}
    given = [each for each in ast.walk(tree) if isinstance(each, ast.Assign)]
    # A name may be given to a name that is given further down, in a function.
    for _ in range(3):
        for each in given:
            below = place(each.value, names)
            if below is not None and len(below) <= 2 and None not in below:
                names |= {target.id: below for target in each.targets if isinstance(target, ast.Name)}
    return names


def changes(statement: ast.stmt, names: Mapping[str, Place]) -> list[Change]:
    """Return what a statement does to settings, in order."""
    return [*_changes(statement, names)]


def _changes(statement: ast.stmt, names: Mapping[str, Place]) -> Iterator[Change]:
    match statement:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _assigned(target, value, names)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield from _assigned(target, value, names)
        case ast.AugAssign(target=target, op=op, value=value):
            if found := _setting(place(target, names)):
                trait, keys = found
                adds = isinstance(op, ast.Add | ast.BitOr) and not keys
                yield Change(trait, "add", value) if adds else Change(trait, "other")
        case ast.Delete(targets=targets):
            for target in targets:
                if not isinstance(target, ast.Name) and (found := _setting(place(target, names))):
                    yield Change(found[0], "other")
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr=method)) as call):
            below = place(owner, names)
            if below is not None and len(below) == 1 and method == "update":
                yield from _settings_of(below[0], call)
            elif found := _setting(below):
                yield _called(found[0], method, call) if not found[1] else Change(found[0], "other")


def _setting(below: Place | None) -> tuple[str, Place] | None:
    """Return the setting that something is or is part of, and the keys in it."""
    if below is None or len(below) < 2 or below[0] is None or below[1] is None:
        return None
    return f"{below[0]}.{below[1]}", below[2:]


def _assigned(target: ast.expr, value: ast.expr | None, names: Mapping[str, Place]) -> Iterator[Change]:
    if isinstance(target, ast.Tuple | ast.List):
        parts: list[ast.expr | None] = [None] * len(target.elts)
        if isinstance(value, ast.Tuple | ast.List) and not any(
            isinstance(each, ast.Starred) for each in [*target.elts, *value.elts]
        ):
            parts = [*value.elts] if len(value.elts) == len(parts) else parts
        for inner, part in zip(target.elts, parts, strict=True):
            yield from _assigned(inner, part, names)
    elif not isinstance(target, ast.Name) and (found := _setting(place(target, names))):
        trait, keys = found
        if not keys:
            yield Change(trait, "set", value)
        elif len(keys) == 1 and keys[0] is not None and value:
            yield Change(trait, "add", ast.Dict(keys=[ast.Constant(keys[0])], values=[value]))
        else:
            yield Change(trait, "other")


def _settings_of(class_name: str | None, call: ast.Call) -> Iterator[Change]:
    """Return the settings of one class that `update` sets together."""
    for each in call.args:
        for key, value in zip(each.keys, each.values, strict=True) if isinstance(each, ast.Dict) else ():
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield Change(f"{class_name}.{key.value}", "set", value)
    for keyword in call.keywords:
        if keyword.arg:
            yield Change(f"{class_name}.{keyword.arg}", "set", keyword.value)


def _called(trait: str, method: str, call: ast.Call) -> Change:
    """Return what a method of a setting's value does to it."""
    named = {each.arg: each.value for each in call.keywords}
    match method, call.args:
        case "update", [] | [_] if named or call.args:
            if not named:
                return Change(trait, "add", call.args[0])
            keys: list[ast.expr | None] = [
                *([None] * len(call.args)),
                *(ast.Constant(name) if name else None for name in named),
            ]
            return Change(trait, "add", ast.Dict(keys=keys, values=[*call.args, *named.values()]))
        case "append" | "add", [value] if not named:
            return Change(trait, "add", ast.List(elts=[value]))
        case "extend", [value] if not named:
            return Change(trait, "add", value)
        case "setdefault", [key, value] if not named:
            return Change(trait, "default", ast.Dict(keys=[key], values=[value]))
    return Change(trait, "other")
