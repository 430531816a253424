"""The schema of site.yaml: its text, what it says of a parsed file, its defaults, and its way to typed values."""

import dataclasses
import difflib
import json
import keyword
import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from xnathub_conf.shipped import shipped
from xnathub_conf.site import types as site_types
from xnathub_conf.site.light_jsonschema import Draft202012Validator, ValidationError, extend
from xnathub_conf.site.problems import KeyPath, dotted, holds_secret, visible
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.memory import site_bytes
from xnathub_conf.values.secret import Secret


@cache
def schema_text() -> str:
    """Return the schema's JSON text."""
    return shipped("schema/site.schema.json").read_text("utf-8")


@cache
def site_schema() -> dict[str, Any]:
    """Return the schema as data."""
    schema: dict[str, Any] = json.loads(schema_text())
    return schema


@cache
def jupyterhub_names() -> dict[str, Any]:
    """Return JupyterHub's names: `scopes`, a list, and `traits`, for each class each trait with its values' schema."""
    text = shipped("schema/jupyterhub_names.json").read_text("utf-8")
    names: dict[str, Any] = json.loads(text)
    return names


def resolve(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a node's `$ref`; what stands beside the `$ref` wins."""
    if "$ref" not in node:
        return node
    target = site_schema()["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return {**resolve(target), **{key: value for key, value in node.items() if key != "$ref"}}


def node_at(path: KeyPath) -> Mapping[str, Any] | None:
    """Find the schema of the value at `path`, or None where the schema knows no such place."""
    node: Mapping[str, Any] = site_schema()
    for part in path:
        if isinstance(part, int):
            below = node.get("items")
        else:
            patterns = node.get("patternProperties", {})
            below = node.get("properties", {}).get(part) or next(
                (patterns[each] for each in patterns if re.search(each, part)),
                node.get("additionalProperties"),
            )
        if not isinstance(below, Mapping):
            return None
        node = resolve(below)
    return node


EFFECTS = {
    "nothing": "nothing else to do in the hub",
    "hub-restart": "restart the hub; running servers go on",
    "new-servers": "restart the hub; servers that start after that have it, running ones stay as they are",
    "running-servers": "stop running servers, then restart the hub; what still runs is lost to it",
}
"""What to do after a change of a key, by the schema's `x-takes-effect`: the more it takes, the later here."""


def takes_effect(path: KeyPath) -> str:
    """Return the name in EFFECTS for a change at `path`: its key's, or that of the section it stands in."""
    for end in range(len(path), 0, -1):
        if effect := (node_at(path[:end]) or {}).get("x-takes-effect"):
            return str(effect)
    raise KeyError(path)


def keys_named(name: str) -> list[str]:
    """List the key paths, as text, of every key with this name anywhere in the schema."""

    def walk(node: Mapping[str, Any], path: KeyPath) -> Iterator[str]:
        for key, child in node.get("properties", {}).items():
            if key == name:
                yield dotted((*path, key))
            yield from walk(resolve(child), (*path, key))

    return list(walk(site_schema(), ()))


def check_schema(document: Document) -> None:
    """Add to the document's problems everything that breaks the schema."""
    said: set[tuple[KeyPath, str]] = set()
    unclear = {
        problem.path for problem in document.problems if problem.rule in {"ambiguous", "encoding", "tag"}
    }
    for error in _Validator(site_schema()).iter_errors(document.data):
        path: KeyPath = tuple(error.absolute_path)
        # What an unclear value ought to be is said already.
        if not isinstance(error.instance, dict | list) and path in unclear:
            continue
        found_before = len(document.problems)
        _report(document, error, path)
        # A wrong type can break several keywords at once; that is one problem.
        if len(document.problems) > found_before:
            last = document.problems[-1]
            if (last.path, last.message) in said:
                document.problems.pop()
            said.add((last.path, last.message))


def check_trait(document: Document, path: KeyPath, form: Mapping[str, Any], value: Any) -> None:
    """Add to the document's problems where the value at `path` is none that a trait of this form takes."""
    error = next(_Validator(form).iter_errors(value), None)
    if error is not None:
        _report(document, error, (*path, *error.absolute_path))


def _pattern(_validator: Any, pattern: str, value: Any, _node: Any) -> Iterator[ValidationError]:
    # In JSON Schema `$` is the very end; in Python it also fits before a line's end.
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield ValidationError("does not match")


def _unique_items(_validator: Any, unique: bool, value: Any, _node: Any) -> Iterator[ValidationError]:
    # The library's own takes quadratic time where types are mixed.
    if unique and isinstance(value, list) and len({repr(item) for item in value}) < len(value):
        yield ValidationError("repeats")


def _special_type(_validator: Any, kind: str, value: Any, _node: Any) -> Iterator[ValidationError]:
    if kind == "bytes" and isinstance(value, str | int | float):
        try:
            good = site_bytes(value) >= 1
        except ValueError:
            good = False
        if not good:
            yield ValidationError("no amount of memory")


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _pattern, "uniqueItems": _unique_items, "x-type": _special_type}
)


def _report(document: Document, error: ValidationError, path: KeyPath) -> None:
    rule = str(error.validator)
    node: Mapping[str, Any] = error.schema  # type: ignore[assignment]
    instance: Any = error.instance
    if rule == "additionalProperties":
        for key in instance:
            if key not in node.get("properties", {}):
                _report_unknown_key(document, (*path, key), list(node.get("properties", {})))
    elif rule == "required":
        missing = error.message.split("'")[1]
        here = node_at((*path, missing)) or {}
        document.report(
            document.key_mark(path),
            (*path, missing),
            rule,
            "Required key is missing.",
            _example(here, missing),
        )
    elif rule in {"minProperties", "maxProperties"}:
        mark = document.key_mark(path)
        names = ", ".join(resolve(node).get("properties", {}))
        document.report(mark, path, rule, f"Exactly one of {names} must stand here.", _expected(node))
    elif rule == "propertyNames" or "propertyNames" in error.absolute_schema_path:
        key = str(instance)
        shown = "This" if holds_secret(path) else visible(key)
        message = f"{shown} can't be a name here; expected {_form(node)}."
        document.report(document.key_mark((*path, key)), (*path, key), "name", message)
    else:
        document.report(
            document.value_mark(path), path, rule, f"Found {found(instance, path)}; expected {_form(node)}."
        )


def found(value: Any, path: KeyPath) -> str:
    """Name a value as people see it in the file; the value of a secret is never shown."""
    node = node_at(path) or {}
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys below it"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    if node.get("x-type") == "secret" or holds_secret(path):
        return "text" if isinstance(value, str) else "something that is not text"
    text = re.sub(r"(?<=//)[^/@]*@", "...@", json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 80 else text[:77] + "..."


_TYPES = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "keys below it", "null": "nothing",
}  # fmt: skip


def _form(node: Mapping[str, Any]) -> str:
    """Return in words what a schema expects."""
    node = resolve(node)
    if "x-expected" in node:
        return str(node["x-expected"])
    if "const" in node:
        return json.dumps(node["const"])
    if "enum" in node:
        return "one of " + ", ".join(map(str, node["enum"]))
    kinds = node.get("type", "something else")
    text = " or ".join(_TYPES.get(k, k) for k in ([kinds] if isinstance(kinds, str) else kinds))
    low = node.get("minimum", node.get("exclusiveMinimum"))
    if "exclusiveMinimum" in node:
        text += f" above {low}"
    elif low is not None and "maximum" not in node:
        text += f" of at least {low}"
    if "maximum" in node:
        text += (
            f" up to {node['maximum']}" if "exclusiveMinimum" in node else f" from {low} to {node['maximum']}"
        )
    if node.get("minItems"):
        least = node["minItems"]
        text += " with at least one entry" if least == 1 else f" with at least {least} entries"
    if node.get("uniqueItems"):
        text += " without repetition"
    if node.get("minLength"):
        text = "text that is not empty" if kinds == "string" else text
    return text


def _expected(node: Mapping[str, Any]) -> str:
    node = resolve(node)
    return f"Expected {node['x-expected']}." if "x-expected" in node else ""


def _example(node: Mapping[str, Any], key: str) -> str:
    if node.get("examples"):
        return f"Write, for example, {key}: {json.dumps(node['examples'][0])}."
    return f"Write {key}: with {_form(node)}." if node else ""


def _report_unknown_key(document: Document, path: KeyPath, known: list[str]) -> None:
    key = str(path[-1])
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    elsewhere = keys_named(key) or [
        p for k in difflib.get_close_matches(key, _all_keys(), 1, 0.8) for p in keys_named(k)
    ]
    if near:
        fix = f"Did you mean `{near[0]}`?"
    elif elsewhere:
        fix = f"Did you mean `{elsewhere[0]}`?"
    elif known:
        fix = f"Known here: {', '.join(known)}."
    else:
        fix = "Delete it."
    document.report(document.key_mark(path), path, "unknown-key", "There is no such key.", fix)


@cache
def _all_keys() -> tuple[str, ...]:
    def walk(node: Mapping[str, Any]) -> Iterator[str]:
        for key, child in node.get("properties", {}).items():
            yield key
            yield from walk(resolve(child))

    return tuple(walk(site_schema()))


def build(data: Any) -> site_types.Site:
    """Make the immutable, typed Site of data that satisfies the schema, with its defaults filled in."""
    site = _build(data, site_schema())
    assert isinstance(site, site_types.Site)
    return site


def _build(value: Any, node: Mapping[str, Any]) -> Any:
    node = resolve(node)
    if value is None:
        return None
    if node.get("x-type") == "secret":
        return Secret("literal", value) if isinstance(value, str) else Secret(*next(iter(value.items())))
    if node.get("x-type") == "bytes":
        return site_bytes(value)
    if isinstance(value, list):
        items = node.get("items", {})
        return tuple(_build(item, items) for item in value)
    if not isinstance(value, dict):
        kind = node.get("type")
        return float(value) if kind == "number" else int(value) if kind == "integer" else value
    if "properties" not in node:
        below = node.get("additionalProperties", {})
        return MappingProxyType({key: _build(item, below) for key, item in value.items()})
    fields = {
        key + "_" * keyword.iskeyword(key): _build(value.get(key, resolve(child).get("default")), child)
        for key, child in node["properties"].items()
    }
    return getattr(site_types, node["title"])(**fields)


def entries(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """List a Site's settings from the top down: each key path with its value, lists and maps as one value."""
    if not dataclasses.is_dataclass(value) or isinstance(value, Secret):
        yield path, value
        return
    for field in dataclasses.fields(value):
        yield from entries(getattr(value, field.name), (*path, field.name.removesuffix("_")))
