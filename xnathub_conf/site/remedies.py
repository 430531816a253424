"""What to write instead of a value that does not fit: made of that value where one can tell what was meant, else an example."""

import contextlib
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from xnathub_conf.site.light_jsonschema import Draft202012Validator, ValidationError, extend
from xnathub_conf.site.problems import KeyPath, holds_secret
from xnathub_conf.site.schema import SchemaNode, resolve, site_schema
from xnathub_conf.values.memory import site_amount, site_bytes, xnat_bytes


def _pattern(_validator: object, pattern: str, value: object, _node: object) -> Iterator[ValidationError]:
    # In JSON Schema `$` is the very end; in Python it also fits before a line's end.
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield ValidationError("does not match")


def _unique_items(
    _validator: object, unique: bool, value: object, _node: object
) -> Iterator[ValidationError]:
    # The library's own takes quadratic time where types are mixed.
    if unique and isinstance(value, list) and len({repr(item) for item in value}) < len(value):
        yield ValidationError("repeats")


def _special_type(_validator: object, kind: str, value: object, _node: object) -> Iterator[ValidationError]:
    if kind == "bytes" and isinstance(value, str | int | float):
        try:
            good = site_bytes(value) >= 1
        except ValueError:
            good = False
        if not good:
            yield ValidationError("no amount of memory")


Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _pattern, "uniqueItems": _unique_items, "x-type": _special_type}
)
"""Says what in some data breaks a schema, with this project's keywords."""


def flow(value: object) -> str:
    """Write a value on one line, as it may stand in a YAML file, in lists and maps too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and not _OTHER_THAN_TEXT.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


_PLAIN = re.compile(r"[0-9]+[KMGT]|[0-9.]+/[0-9]+|[A-Za-z/](?:[A-Za-z0-9_./*=+@-]|:(?=[^\s:])|\b==?\b)*")
_OTHER_THAN_TEXT = re.compile(r"true|false|null|yes|no|on|off|y|n", re.IGNORECASE)


def remedy(path: KeyPath, value: object, node: Mapping[str, object], written: str = "") -> str:
    """Return what to write at `path` in place of a value that the schema `node` refuses; "" where nobody can tell.

    `written` is the form in the file of a number, true or false, "" for other values. What a secret's key holds is never repeated.
    """
    node = {**resolve(node), "$defs": site_schema()["$defs"]}
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    if not holds_secret(path):
        fits = Validator(node).is_valid
        for candidate in _candidates(key, value, node, written):
            if (candidate != value or type(candidate) is not type(value)) and fits(candidate):
                return f"Write `{_line(path, candidate)}`."
    if isinstance(value, int | float) and not isinstance(value, bool) and (bound := _bound(value, node)):
        return bound
    if value is None and "default" in node:
        return f"Write `{_line(path, node['default'])}`, or delete the key: that is its default."
    example = example_of(node)
    if example is None:
        return "Delete it." if value is None or node.get("enum") == [None] else ""
    return f"Write, for example, `{_line(path, example)}`."


def _line(path: KeyPath, value: object) -> str:
    return f"{path[-1]}: {flow(value)}" if path and isinstance(path[-1], str) else flow(value)


def _bound(value: float, node: SchemaNode) -> str | None:
    least, most = node.get("minimum"), node.get("maximum")
    if least is not None and value < least:
        return f"Write {least} or more."
    if "exclusiveMinimum" in node and value <= node["exclusiveMinimum"]:
        return f"Write more than {node['exclusiveMinimum']}, such as 1."
    return f"Write {most} or less." if most is not None and value > most else None


def example_of(node: SchemaNode, depth: int = 0) -> object:
    """Return a value that fits a schema and shows its form, or None where the schema tells too little."""
    node = resolve(node)
    for name in ("examples", "enum"):
        if node.get(name):
            return node[name][0]
    if "const" in node or ("default" in node and node["default"] not in ([], {})):
        return node.get("const", node.get("default"))
    if depth > 6:
        return None
    if node.get("type") == "array":
        item = example_of(node.get("items", {}), depth + 1)
        return None if item is None else [item]
    if node.get("type") == "object" and "properties" in node:
        below = node["properties"]
        if not node.get("required") and node.get("minProperties"):
            easy = [key for key in below if not resolve(below[key]).get("required")]
            return {(easy or list(below))[-1]: {}}
        return {key: example_of(below[key], depth + 1) for key in node.get("required", ())}
    return None


def _candidates(key: str, value: object, node: SchemaNode, written: str) -> Iterator[object]:
    kinds = node.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if value is None:
        if "object" in kinds:
            yield {}
        return
    if isinstance(value, bool):
        yield written or str(value).lower()
    elif isinstance(value, int | float):
        yield from _of_number(value, written)
    elif isinstance(value, str):
        yield from _of_text(key, value, node)
    elif isinstance(value, list):
        yield from _of_list(value)
    elif isinstance(value, dict) and set(value) == {"soft", "hard"}:
        yield value["hard"]
    if "array" in kinds:
        item = resolve(node.get("items", {}))
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else [value]
        yield parts
        if len(item.get("required", ())) == 1:
            yield [{item["required"][0]: part} for part in parts]
    if "object" in kinds and isinstance(value, str):
        if len(node.get("required", ())) == 1:
            yield {node["required"][0]: value}
        named = next((each for each in node.get("properties", {}) if each == value.strip().lower()), None)
        if named and node.get("maxProperties") == 1:
            yield {named: example_of(node["properties"][named]) or {}}


def _of_number(value: float, written: str) -> Iterator[object]:
    yield written or str(value)
    if isinstance(value, float) and abs(value) < 1e9:
        yield round(value)
    if isinstance(value, int) and value >= 1000 and value % 1000 == 0:
        yield value // 1000  # milliseconds, or thousandths of a core
    yield f"http://0.0.0.0:{value}"


def _of_list(value: list[Any]) -> Iterator[object]:
    if len(value) == 1:
        yield value[0]
    if all(isinstance(each, dict) for each in value):
        yield {name: item for each in value for name, item in each.items()}
    if all(isinstance(each, str) and "=" in each for each in value):
        pairs = dict(each.split("=", 1) for each in value)
        yield pairs
        yield {name: int(text) if text.isdecimal() else text for name, text in pairs.items()}
    yield [each if isinstance(each, str) else str(each) for each in value]
    yield list({repr(each): each for each in value}.values())


_DURATION = re.compile(
    r"(?:(\d{1,4}) ?h)? ?(?:(\d{1,5}) ?m(?:in)?)? ?(?:(\d{1,6}) ?s(?:ec)?)?", re.IGNORECASE
)
_TRUE = {"true", "yes", "on"}


def _of_text(key: str, value: str, node: SchemaNode) -> Iterator[object]:
    text = value.strip().strip("'\"\u2018\u2019\u201c\u201d\u201e")
    yield text
    # Less than nothing can't be meant, nor is a slip of the key known.
    if re.match(r"-[0-9]", text):
        return
    if text.lower() in _TRUE | {"false", "no", "off"}:
        yield text.lower() in _TRUE
    if node.get("x-type") == "bytes":
        with contextlib.suppress(ValueError):
            yield site_amount(xnat_bytes(re.sub(r"(?i)(?<=[kmgt])igabytes?\Z", "", text)))
    if re.fullmatch(r"[0-9]{1,9}", text):
        yield int(text)
    elif re.fullmatch(r"[0-9]{0,9}[.,][0-9]{1,6}", text):
        yield float(text.replace(",", "."))
    if "cpu" in key and (milli := re.fullmatch(r"([0-9]{1,9})m", text)):
        yield int(milli[1]) / 1000 if int(milli[1]) % 1000 else int(milli[1]) // 1000
    elif "cpu" in key and (cores := re.match(r"[0-9]{1,4}", text)):
        yield int(cores[0])
    elif text and (spans := _DURATION.fullmatch(text)):
        yield sum(int(span or 0) * unit for span, unit in zip(spans.groups(), (3600, 60, 1), strict=True))
    elif milli := re.fullmatch(r"([0-9]{1,9}) ?ms", text):
        yield int(milli[1]) / 1000
    names = [name for name in node.get("enum", ()) if isinstance(name, str)]
    yield from (name for name in names if name.lower() == text.lower().removeprefix("cap_"))
    # As `ulimit`, Docker and compose files have it.
    if node.get("minimum") == -1:
        if text.lower() in {"unlimited", "infinity"}:
            yield -1
        elif both := re.fullmatch(r"[0-9]{1,9}:([0-9]{1,9})", text):
            yield int(both[1])
    yield from difflib.get_close_matches(text.lower(), names, 1, 0.7)
    if "pattern" in node:
        yield from _of_form(key, text)


def _of_form(key: str, text: str) -> Iterator[str]:
    """Yield what a text may become to have the form that its key asks for; which form that is, is tried."""
    no_query = re.sub(r"[?#].*$", "", text)
    without_user = re.sub(r"(?<=//)[^/@]*@", "", no_query)
    scheme, colons, rest = without_user.partition("://")
    if colons:
        yield f"{scheme.lower()}://{rest}"
    yield re.sub(r"/{2,}", "/", text.rstrip("/"))
    if re.match(r"[A-Za-z0-9\[]", without_user) and not colons:
        host = without_user.split("/")[0]
        # `javascript:` and the like are no host with its port.
        if re.match(r"[a-z][a-z0-9+-]*:(?![0-9]{1,5}\Z)", host):
            return
        if "." in host or ":" in host or key.endswith("url"):
            yield f"https://{without_user}"
            yield f"http://{without_user}"
            yield f"http://0.0.0.0:{without_user}"
    if key.endswith("bind_url"):
        address = f"http://{(rest or without_user).split('/')[0]}"
        yield address
        yield f"{address}:8000"
    if key == "docker_host":
        yield f"unix://{text}"
        yield f"tcp://{rest or text}"
        yield f"tcp://{rest or text}:2376"
    if key in {"base_url", "default_url"}:
        yield f"/{text.strip('/')}"
        yield f"/{re.sub(r'/{2,}', '/', text.strip('/'))}/"
    if key == "placement_constraints":
        yield re.sub(r"(?<![=!])=(?!=)", "==", text)
    if key == "subnet":
        yield f"{text}/20"
    if key == "generic_resources" or text in {"gpu", "nvidia"}:
        yield "nvidia.com/gpu"
    # Several in one text are no name of one.
    if not colons and not text.startswith("/") and key not in _AS_IT_IS and not re.search(r"[,\s]", text):
        yield text.lower()
        yield re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
        yield re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")


_AS_IT_IS = frozenset({"projects", "source", "path", "target", "selinux", "level", "type"})
"""Keys of what has its name from elsewhere: with other letters it would be another one, or none."""
