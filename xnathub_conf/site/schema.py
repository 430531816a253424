"""The schema of site.yaml: its text, what stands where, its defaults, and its way to typed values."""

import dataclasses
import json
import keyword
import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from xnathub_conf.shipped import shipped
from xnathub_conf.site import types as site_types
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.problems import KeyPath, dotted
from xnathub_conf.values.memory import site_bytes
from xnathub_conf.values.secret import Secret

SchemaNode = Mapping[str, Any]
"""A part of the schema: what each keyword holds, which JSON Schema says and no type."""


@cache
def schema_text() -> str:
    """Return the schema's JSON text."""
    return shipped("schema/site.schema.json").read_text("utf-8")


@cache
def site_schema() -> dict[str, Any]:
    """Return the schema as data."""
    schema: dict[str, Any] = json.loads(schema_text())
    for kind in kinds().values():
        if kind.schema:
            schema["properties"]["orchestrator"]["properties"][kind.key] = kind.schema
    return schema


@cache
def jupyterhub_names() -> dict[str, Any]:
    """Return JupyterHub's names: `scopes`, a list, and `traits`, for each class each trait with its values' schema."""
    text = shipped("schema/jupyterhub_names.json").read_text("utf-8")
    names: dict[str, object] = json.loads(text)
    return names


def resolve(node: SchemaNode) -> SchemaNode:
    """Follow a node's `$ref`; what stands beside the `$ref` wins."""
    if "$ref" not in node:
        return node
    target = site_schema()["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return {**resolve(target), **{key: value for key, value in node.items() if key != "$ref"}}


def node_at(path: KeyPath) -> SchemaNode | None:
    """Find the schema of the value at `path`, or None where the schema knows no such place."""
    node: SchemaNode = site_schema()
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
    "live": "deploy the file: a hub that sees it change takes it while it runs; servers that start after that have it",
    "hub-restart": "restart the hub; running servers go on",
    "new-servers": "restart the hub; servers that start after that have it, running ones stay as they are",
    "running-servers": "stop running servers, then restart the hub; what still runs is lost to it",
    "new-networks": "on Docker and Swarm remove what is deployed, its networks with it, and deploy the file again: running servers end, and "
    "Docker changes no network that is there; on Kubernetes deploy the file again",
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
    return [key for key, _ in described() if key.rpartition(".")[2] == name]


@cache
def described() -> tuple[tuple[str, str], ...]:
    """List every key path of the schema, as text, with its description."""

    def walk(node: SchemaNode, path: KeyPath) -> Iterator[tuple[str, str]]:
        for key, child in node.get("properties", {}).items():
            below = resolve(child)
            yield dotted((*path, key)), str(below.get("description", ""))
            yield from walk(below, (*path, key))

    return tuple(walk(site_schema(), ()))


@cache
def all_keys() -> tuple[str, ...]:
    """Return the names of all keys, at whatever place."""
    return tuple(key.rpartition(".")[2] for key, _ in described())


def build(data: object) -> site_types.Site:
    """Make the immutable, typed Site of data that satisfies the schema, with its defaults filled in."""
    site = _build(data, site_schema())
    assert isinstance(site, site_types.Site)
    return site


def _build(value: Any, node: SchemaNode) -> object:
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
        return MappingProxyType({key: _build(item, below) for key, item in filled(value, node).items()})
    if is_choice(node):
        [(key, chosen)] = value.items()
        return kinds()[key].settings(**_fields(chosen, resolve(node["properties"][key])))
    return getattr(site_types, node["title"])(**_fields(value, node))


def _fields(value: Mapping[str, Any], node: SchemaNode) -> dict[str, Any]:
    return {
        key + "_" * keyword.iskeyword(key): _build(value.get(key, resolve(child).get("default")), child)
        for key, child in node["properties"].items()
    }


def is_choice(node: SchemaNode) -> bool:
    """Return whether an object has exactly one key of several, so that what stands below that is its value."""
    return "title" in node and node.get("minProperties") == node.get("maxProperties") == 1


def fields_of(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """List what stands below a section of a Site: each key path with its value; None for what was not chosen."""
    if isinstance(value, site_types.Orchestrator):
        for key in (node_at(path) or {})["properties"]:
            yield from _own_fields(value, (*path, key)) if key == value.key else [((*path, key), None)]
    else:
        yield from _own_fields(value, path)


def _own_fields(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    for field in dataclasses.fields(value):
        yield (*path, field.name.removesuffix("_")), getattr(value, field.name)


def filled(value: Any, node: SchemaNode) -> Any:
    """Return a value with those entries of its default that stay where a map does not name them."""
    return {**node["default"], **value} if node.get("x-adds-to-default") else value


def secrets_in(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Secret]]:
    """List the secrets of a Site, those in lists too: each key path with what stands there."""
    if isinstance(value, Secret):
        yield path, value
    elif dataclasses.is_dataclass(value):
        for key, child in fields_of(value, path):
            yield from secrets_in(child, key)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from secrets_in(item, (*path, index))


def entries(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """List a Site's settings from the top down: each key path with its value, lists and maps as one value."""
    if not dataclasses.is_dataclass(value) or isinstance(value, Secret):
        yield path, value
        return
    for key, child in fields_of(value, path):
        yield from entries(child, key)
