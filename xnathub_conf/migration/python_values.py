"""What an expression of a jupyterhub_config.py comes to, as far as that is plain without running it."""

import ast
import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = object()
"""The value of what only running the file would tell."""

_MOST = 10_000
"""Of values in one setting, and of characters in one text; more is not looked at."""
_FEW = 1_000
"""Of parts that are added one by one, and of names; with more, a file could hold up whoever reads it."""
_TYPES: dict[str, Callable[[Any], object]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "set": set,
}
_LIKE_MAPS: Mapping[str, Sequence[str]] = {
    "dict": (), "Ulimit": (), "LogConfig": (), "DNSConfig": ("nameservers", "search", "options"), "DriverConfig": ("name", "options"),
    "Mount": ("target", "source", "type", "read_only"), "DeviceRequest": (),
}  # fmt: skip
"""What makes a map of what it is given by name, types of Docker's SDK too, and the names of what comes first."""
_METHODS = frozenset({"split", "strip", "rstrip", "lstrip", "lower", "upper"})


def is_known(value: object) -> bool:
    """Return whether all of a value is known, and it is no more than a configuration holds."""
    left = _MOST
    values = [value]
    while values:
        each = values.pop()
        left -= 1
        if left < 0 or not _can_be_written(each):
            return False
        if isinstance(each, dict):
            values += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set | frozenset):
            values += each
    return True


def _can_be_written(value: object) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, int):
        return abs(value) < 2**63
    return value is not UNKNOWN and (not isinstance(value, float) or math.isfinite(value))


@dataclass
class Values:
    """The names that a file has set so far, and the variables of the hub's environment as far as they are known.

    `used` are the variables that expressions asked for since it was last emptied; `assumed` those of them that nobody
    sets here, and that have a default.
    """

    environment: Mapping[str, str]
    used: dict[str, None] = field(default_factory=dict)
    assumed: dict[str, None] = field(default_factory=dict)
    set_here: set[object] = field(default_factory=set)
    """The variables that the file itself sets; None for those whose names are code."""
    changed: dict[int, object] = field(default_factory=dict)
    """Lists, sets and maps that were changed after they were made, by their identity."""
    settings: dict[str, object] = field(default_factory=dict)
    """What settings come to so far."""
    _names: dict[str, object] = field(default_factory=dict)
    _used: dict[str, Sequence[str]] = field(default_factory=dict)
    _assumed: dict[str, Sequence[str]] = field(default_factory=dict)

    def keep(self, name: str, value: object, used: Sequence[str], assumed: Sequence[str]) -> None:
        """Keep what a name stands for from here on."""
        self._names[name], self._used[name], self._assumed[name] = value, used, assumed

    def forget(self, statement: ast.stmt) -> None:
        """Take what a statement sets or may change for unknown."""
        for each in ast.walk(statement):
            match each:
                case (
                    ast.Subscript(value=ast.Attribute(attr="environ"), slice=key, ctx=ast.Store() | ast.Del())
                    | ast.Call(
                        func=ast.Attribute(
                            value=ast.Attribute(attr="environ"), attr="setdefault" | "pop" | "update"
                        ),
                        args=[key, *_],
                    )
                ):
                    names = key.keys if isinstance(key, ast.Dict) else [key]
                    self.set_here |= {
                        name.value if isinstance(name, ast.Constant) else None for name in names
                    }
                case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                    self._names[name] = UNKNOWN
                case (
                    ast.Subscript(value=inner, ctx=ast.Store() | ast.Del())
                    | ast.Attribute(value=inner, ctx=ast.Store() | ast.Del())
                    | ast.Expr(value=ast.Call(func=ast.Attribute(value=inner)))
                    | ast.AugAssign(target=inner)
                ):
                    self._changed(inner)

    def _changed(self, node: ast.expr) -> None:
        """Take what an expression leads to for unknown, by all of its names."""
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        before = self._names.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(node, ast.Name):
            self._names[node.id] = UNKNOWN
        if isinstance(before, dict | list | set):
            self.changed[id(before)] = before
            if len(self._names) > _FEW:
                # It is not looked which of very many names it has.
                self._names.clear()
            shared = [name for name, value in self._names.items() if holds(value, {id(before): before})]
            self._names |= dict.fromkeys(shared, UNKNOWN)

    def value(self, node: ast.expr) -> object:
        """Return what an expression comes to; UNKNOWN where that is not plain, as in parts of what it returns."""
        try:
            return self._value(node)
        except (ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError):
            return UNKNOWN

    def _value(self, node: ast.expr) -> object:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                self.used |= dict.fromkeys(self._used.get(name, ()))
                self.assumed |= dict.fromkeys(self._assumed.get(name, ()))
                return self._names.get(name, name if _is_class(name) else UNKNOWN)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [self._value(each) for each in parts]
            case ast.Set(elts=parts):
                return set(map(self._value, parts))
            case ast.Dict(keys=keys, values=values):
                return self._dict(keys, values)
            case ast.JoinedStr(values=parts):
                return self._joined(parts)
            case ast.BoolOp(op=ast.Or(), values=parts):
                return self._first(parts)
            case ast.UnaryOp(op=op, operand=operand):
                return _turned(op, self._value(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return _combined(op, self._value(left), self._value(right))
            case ast.Subscript(value=ast.Attribute(value=ast.Name(id="os"), attr="environ"), slice=key):
                return self._variable(self._value(key))
            case ast.Call():
                return self._call(node)
            case ast.Attribute(attr=name) if _is_class(name):
                return ast.unparse(node)
        return UNKNOWN

    def _joined(self, parts: list[ast.expr]) -> object:
        texts = []
        for part in parts:
            if isinstance(part, ast.FormattedValue) and (part.format_spec or part.conversion != -1):
                return UNKNOWN
            value = self._value(part.value if isinstance(part, ast.FormattedValue) else part)
            if not isinstance(value, str | int):
                return UNKNOWN
            texts.append(str(value))
        return _short("".join(texts))

    def _dict(self, keys: Sequence[ast.expr | None], values: Sequence[ast.expr]) -> object:
        whole: dict[object, object] = {}
        for key, each in zip(keys, values, strict=True):
            value = self._value(each)
            if key:
                whole[self._value(key)] = value
            elif isinstance(value, dict):
                whole |= value
            else:
                return UNKNOWN
        return whole

    def _first(self, parts: list[ast.expr]) -> object:
        value: object = UNKNOWN
        for part in parts:
            value = self._value(part)
            if value is UNKNOWN or value:
                return value
        return value

    def _variable(self, name: object, default: object = UNKNOWN) -> object:
        if not isinstance(name, str):
            return UNKNOWN
        self.used[name] = None
        if {name, None} & self.set_here:
            return UNKNOWN
        if name in self.environment:
            return self.environment[name]
        if default is not UNKNOWN:
            self.assumed[name] = None
        return default

    def _call(self, node: ast.Call) -> object:
        if node.keywords:
            named: list[ast.expr | None] = [
                ast.Constant(each.arg) if each.arg else None for each in node.keywords
            ]
            called = ast.unparse(node.func).rpartition(".")[2]
            places = _LIKE_MAPS.get(called, ())
            if called not in _LIKE_MAPS or len(node.args) > len(places):
                return UNKNOWN
            first: list[ast.expr | None] = [ast.Constant(each) for each in places[: len(node.args)]]
            return self._dict([*first, *named], [*node.args, *(each.value for each in node.keywords)])
        given = [self._value(each) for each in node.args]
        match node.func:
            case (
                ast.Attribute(value=ast.Attribute(value=ast.Name(id="os"), attr="environ"), attr="get")
                | ast.Attribute(value=ast.Name(id="os"), attr="getenv")
            ):
                return self._variable(*given) if len(given) in {1, 2} else UNKNOWN
            case ast.Name(id=name) if name in _TYPES and len(given) == 1 and is_known(given):
                return _TYPES[name](given[0])
            case ast.Attribute(value=inner, attr=name) if name in _METHODS and is_known(given):
                value = self._value(inner)
                return getattr(value, name)(*given) if isinstance(value, str) else UNKNOWN
        return UNKNOWN


def added(before: object, value: object) -> object:
    """Return what a setting comes to as something is added to it; nothing was set before where that is None."""
    total: object = UNKNOWN
    if before is None:
        return value
    if isinstance(before, dict) and isinstance(value, dict):
        total = {**before, **value}
    elif isinstance(before, set) and isinstance(value, set | list):
        with contextlib.suppress(TypeError):
            total = before | set(value)
    else:
        total = _combined(ast.Add(), before, value)
    return UNKNOWN if isinstance(total, dict | list | set | str) and len(total) > _FEW else total


def holds(value: object, parts: Mapping[int, object]) -> bool:
    """Return whether a value is, or has in it, one of certain lists, sets and maps; `parts` are these by their identity."""
    looked, seen = [value], set[int]()
    while looked:
        each = looked.pop()
        if id(each) in parts:
            return True
        if isinstance(each, dict | list) and id(each) not in seen:
            seen.add(id(each))
            looked += each.values() if isinstance(each, dict) else each
    return False


def variables_in(node: ast.AST) -> Iterator[str]:
    """Return the names of the environment's variables that are read anywhere in a statement."""
    for each in ast.walk(node):
        match each:
            case (
                ast.Subscript(
                    value=ast.Attribute(value=ast.Name(id="os"), attr="environ"),
                    slice=ast.Constant(value=str(name)),
                )
                | ast.Call(
                    func=ast.Attribute(
                        value=ast.Attribute(value=ast.Name(id="os"), attr="environ"), attr="get"
                    ),
                    args=[ast.Constant(value=str(name)), *_],
                )
                | ast.Call(
                    func=ast.Attribute(value=ast.Name(id="os"), attr="getenv"),
                    args=[ast.Constant(value=str(name)), *_],
                )
            ):
                yield name


def _is_class(name: str) -> bool:
    return name.endswith(("Spawner", "Authenticator"))


def _turned(op: ast.unaryop, value: object) -> object:
    if isinstance(op, ast.Not) and value is not UNKNOWN:
        return not value
    return -value if isinstance(op, ast.USub) and isinstance(value, int | float) else UNKNOWN


def _combined(op: ast.operator, left: Any, right: Any) -> object:
    """Return a sum of texts, lists or numbers, or a product or power of numbers."""
    numbers = all(isinstance(each, int | float) and abs(each) < 2**31 for each in (left, right))
    if isinstance(op, ast.Add) and (numbers or (isinstance(left, str | list) and type(left) is type(right))):
        return _short(left + right)
    if isinstance(op, ast.Mult) and numbers:
        return left * right
    small = numbers and abs(left) <= 2**16 and 0 <= right <= 64
    return left**right if isinstance(op, ast.Pow) and small else UNKNOWN


def _short(value: object) -> object:
    return UNKNOWN if isinstance(value, str | list) and len(value) > _MOST else value
