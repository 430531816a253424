"""What the schema says of a parsed file: every break of it as a problem, with what to write instead."""

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any

from xnathub_conf.site.light_jsonschema import ValidationError
from xnathub_conf.site.old_names import elsewhere, what_to_do
from xnathub_conf.site.problems import KeyPath, holds_secret, visible
from xnathub_conf.site.remedies import Validator, example_of, flow, remedy
from xnathub_conf.site.schema import (
    SchemaNode,
    all_keys,
    jupyterhub_names,
    keys_named,
    node_at,
    resolve,
    site_schema,
)
from xnathub_conf.site.yaml_source import Document


def check_schema(document: Document) -> None:
    """Add to the document's problems everything that breaks the schema."""
    said: set[tuple[KeyPath, str]] = set()
    unclear = {
        problem.path
        for problem in document.problems
        if problem.rule in {"ambiguous", "encoding", "tag", "typography"}
    }
    for error in Validator(site_schema()).iter_errors(document.data):
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


def check_trait(document: Document, path: KeyPath, form: SchemaNode, value: object) -> None:
    """Add to the document's problems where the value at `path` is none that a trait of this form takes."""
    error = next(Validator(form).iter_errors(value), None)
    if error is not None:
        _report(document, error, (*path, *error.absolute_path))


def _report(document: Document, error: ValidationError, path: KeyPath) -> None:
    rule = str(error.validator)
    node: SchemaNode = error.schema  # type: ignore[assignment]
    if path[:1] != ("extra",) and not {"additionalProperties", "propertyNames"} & {
        rule,
        *error.absolute_schema_path,
    }:
        # Behind a `$ref` the key's own example would be missing.
        node = node_at(path) or node
    instance: Any = error.instance
    if rule == "additionalProperties":
        for key in instance:
            if key not in node.get("properties", {}):
                known = list(node.get("properties", {}))
                _report_unknown_key(document, (*path, key), known, instance[key])
    elif rule == "required":
        missing = error.message.split("'")[1]
        here = node_at((*path, missing)) or {}
        document.report(
            document.key_mark(path),
            (*path, missing),
            rule,
            "Required key is missing.",
            _missing(here, missing),
        )
    elif rule in {"minProperties", "maxProperties"}:
        _report_choice(document, path, rule, node, instance)
    elif rule == "propertyNames" or "propertyNames" in error.absolute_schema_path:
        _report_name(document, path, node, str(instance))
    elif rule == "uniqueItems":
        _report_repetition(document, path, instance)
    else:
        message = f"Found {found(instance, path)}; expected {_form(node)}."
        fix = remedy(path, instance, node, document.written.get(path, "")) or f"Write {_form(node)}."
        document.report(document.value_mark(path), path, rule, message, fix)


def found(value: object, path: KeyPath) -> str:
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


def _form(node: SchemaNode) -> str:
    """Return in words what a schema expects."""
    node = resolve(node)
    if "x-expected" in node:
        form = str(node["x-expected"])
        # An example of the key's own is better than one of all keys with this form.
        if ", such as " in form and node.get("examples"):
            form = form.split(", such as ", maxsplit=1)[0] + f", such as {flow(node['examples'][0])}"
        return form
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
    if node.get("maxLength"):
        text += f" of at most {node['maxLength']} characters"
    elif node.get("minLength"):
        text = "text that is not empty" if kinds == "string" else text
    return text


def _missing(node: Mapping[str, object], key: str) -> str:
    example = example_of(node)
    return (
        f"Write {key}: with {_form(node)}."
        if example is None
        else f"Write, for example, `{key}: {flow(example)}`."
    )


def _report_choice(
    document: Document, path: KeyPath, rule: str, node: Mapping[str, object], instance: Mapping[str, object]
) -> None:
    """Report an object of which exactly one key stands, with none or with several."""
    names = list(resolve(node).get("properties", {}))
    message = f"Exactly one of {', '.join(names)} must stand here."
    several = [name for name in names if name in instance]
    if several:
        fix = f"Delete {' or '.join(several)}."
    else:
        example = example_of(node)
        fix = f"Write, for example, `{path[-1] if path else ''}: {flow(example)}`."
    document.report(document.key_mark(path), path, rule, message, fix)


def _report_name(document: Document, path: KeyPath, node: Mapping[str, object], name: str) -> None:
    secret = holds_secret(path)
    message = f"{'This' if secret else visible(name)} can't be a name here; expected {_form(node)}."
    fix = "" if secret else what_to_do(name) or ""
    if not fix and not secret and path == ("extra",):
        plain = name.removeprefix("c.")
        whose = [kind for kind, traits in jupyterhub_names()["traits"].items() if plain in traits]
        good = next(iter(whose), None)
        fix = f"Write `{good}.{plain}`." if good else ""
    elif not fix and not secret:
        fix = remedy((), name, {**node, "type": "string"})
    document.report(
        document.key_mark((*path, name)), (*path, name), "name", message, fix or "Give it another name."
    )


def _report_repetition(document: Document, path: KeyPath, items: list[object]) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        if repr(item) in seen:
            here = (*path, index)
            message = f"{found(item, here)} stands in this list already."
            document.report(document.value_mark(here), here, "uniqueItems", message, "Delete one of them.")
        seen.add(repr(item))


_ITS_VALUE = re.compile(r"([A-Za-z_]+):(\S.*)")
_PLACE = re.compile(r"/[A-Za-z0-9_./-]+|[A-Z_][A-Z0-9_]*")
"""A path, or a variable's name: what may be repeated of a secret's key."""


def _report_unknown_key(document: Document, path: KeyPath, known: list[str], value: object) -> None:
    key = str(path[-1])
    message = "There is no such key."
    pair = _ITS_VALUE.fullmatch(key)
    if pair and value is None and pair[1] in known:
        message = f"A space is missing after the colon of `{pair[1]}:`."
        shown = not holds_secret(path[:-1]) or _PLACE.fullmatch(pair[2])
        fix = f"Write `{pair[1]}: {pair[2]}`." if shown else "Put one there."
    else:
        fix = _known_instead(path, known, value)
    document.report(document.key_mark(path), path, "unknown-key", message, fix)


def _known_instead(path: KeyPath, known: list[str], value: object) -> str:
    key = str(path[-1])
    if not holds_secret(path[:-1]) and (instead := what_to_do(key)):
        return instead
    if instead := _OF_MOUNTS.get(key.replace("_", "").lower()) if path[:-2] in _MOUNTS else None:
        return instead
    if instead := _OF_ELSEWHERE.get(key) if path[:1] in {("servers",), ("orchestrator",)} else None:
        return instead
    if path[:-1] == ("servers", "caps") and _is_generic(key):
        amount = value if isinstance(value, int) else 1
        return f"Write `generic_resources: {flow({key: amount})}`."
    near = [_ALSO_CALLED[key.lower()]] if _ALSO_CALLED.get(key.lower()) in known else []
    # camelCase and kebab-case are the key itself, and no more like another.
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[- ]+", "_", key).lower()
    near = near or difflib.get_close_matches(plain, known, n=1, cutoff=0.6)
    if near:
        return f"Did you mean `{near[0]}`?"
    if there := elsewhere(key):
        return f"Did you mean `{there}`?"
    for name in difflib.get_close_matches(key, all_keys(), 1, 0.8):
        return f"Did you mean `{keys_named(name)[0]}`?"
    return f"Known here: {', '.join(known)}." if known else "Delete it."


_MOUNTS = {("servers", "mounts"), ("servers", "allowed_mounts")}
_OF_MOUNTS = {
    "type": "Delete it: what begins with a slash is a folder or file of the node, and all else a volume's name.",
    "readonly": "Delete it: a mount is read-only unless `writable: true` stands there.",
}  # fmt: skip
"""What Docker and compose files say of a mount beside what is said here."""


_OF_ELSEWHERE = {
    **dict.fromkeys(("cap_drop", "capabilities"), "Use `servers.security.drop_capabilities`."),
    **dict.fromkeys(("cap_add", "privileged"), "Delete it: no server has more rights than by default."),
    **dict.fromkeys(("runAsNonRoot", "run_as_non_root"), "Use `servers.security.start_as_root`."),
    **dict.fromkeys(("runAsUser", "run_as_user"), "Use `servers.uid`."),
    **dict.fromkeys(("runAsGroup", "run_as_group", "fsGroup", "fs_group"), "Use `servers.gid`."),
    **dict.fromkeys(("securityContext", "security_opt"), "Use `servers.security`."),
    **dict.fromkeys(("extra_hosts", "hostAliases", "host_aliases"), "Use `servers.hosts`."),
    **dict.fromkeys(("stop_grace_period", "terminationGracePeriodSeconds"), "Use `servers.stop_timeout`."),
    **dict.fromkeys(("https_proxy", "proxy"), "Use `servers.http_proxy`: it is for https too."),
    **dict.fromkeys(("volumes", "volumeMounts", "volume_mounts"), "Use `servers.mounts`, or `servers.allowed_mounts` for what XNAT asks for."),
    "mem_reservation": "Use `servers.mem_guarantee`.",
    "cpu_reservation": "Use `servers.cpu_guarantee`.",
    "shareProcessNamespace": "Delete it: a server has one container.",
}  # fmt: skip
"""What compose files and Kubernetes call what has a key here, or none."""


def _is_generic(key: str) -> bool:
    return "/" in key or re.fullmatch(r"(?i)[a-z-]*(gpu|fpga|tpu|accelerator)s?", key) is not None


_ALSO_CALLED = {
    "memory": "mem", "cpus": "cpu", "cores": "cpu", "images": "allowed_images", "image": "allowed_images", "mounts": "allowed_mounts",
    "volumes": "allowed_mounts", "env": "environment", "admins": "admin_users", "token": "api_token", "user": "username",
    "name": "claim_name", "network": "network_name", "memory_limit": "mem_limit", "timeout": "start_timeout", "host": "url", "address": "url",
    "ca": "ca_file", "verify_ssl": "verify_tls", "insecure": "verify_tls", "database": "db_url", "source": "path",
}  # fmt: skip
"""What other programs call a key."""
