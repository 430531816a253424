"""Compose files and env files, read as `docker compose` reads them (docs.docker.com/reference/compose-file)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from xnathub_conf.migration import Found, MigrationError
from xnathub_conf.site.yaml_source import MAX_BYTES

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])(.*))?", re.DOTALL)
_ASSIGNMENT = re.compile(
    r"""[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*
        (?:=[ \t]*(?:'((?:[^'\\]|\\.)*)' | "((?:[^"\\]|\\.)*)" | ([^\n]*?)))?
        [ \t]*(?:(?<=\s)\#[^\n]*)?(?=\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class _Texts(yaml.SafeLoader):
    """Reads every scalar as the text that stands there: 0777, no and 1:30 are what they say. Only null is null."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's


_Texts.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]
)
_Texts.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<\Z"), ["<"])


@dataclass
class Service:
    """One service of a compose file, with what its variables come to."""

    name: str
    image: str = ""
    environment: dict[str, Found] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    """The variables that stand under `environment` itself, not in an env file that others may share."""
    ports: list[Any] = field(default_factory=list)
    volumes: list[Any] = field(default_factory=list)


def read_text(path: Path) -> str:
    """Read a file of the old deployment. Raises MigrationError where that can't be done."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise MigrationError(f"{path} is too large for a file of a deployment.")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise MigrationError(
            f"{path} can't be read: {error.strerror}. Check its name and its permissions."
        ) from None
    except UnicodeDecodeError:
        raise MigrationError(f"{path} is not UTF-8 text.") from None


def parse_texts(text: str, name: str) -> Any:
    """Parse YAML with every scalar as text. Raises MigrationError with the line that is wrong."""
    try:
        return yaml.load(text, _Texts)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise MigrationError(f"{name}{line} is not YAML: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError):
        raise MigrationError(f"{name} is not YAML.") from None


def line_of(text: str, name: str) -> int:
    """Give the line where a variable or key is set, 1 where none does it in a usual way."""
    match = re.search(
        rf"""^[ \t]*(?:-[ \t]*)?(?:export[ \t]+)?["']?{re.escape(name)}["']?[ \t]*(?:[:=]|$)""", text, re.M
    )
    return text.count("\n", 0, match.start()) + 1 if match else 1


def interpolate(text: str, variables: Mapping[str, str], where: str) -> str:
    """Put variables in their places: $NAME, ${NAME}, and ${NAME:-default} with its kin; $$ is a dollar sign.

    Raises MigrationError where the form is none of these, or a variable is not set that must be.
    """
    pieces: list[str] = []
    while True:
        before, dollar, text = text.partition("$")
        pieces.append(before)
        if not dollar:
            return "".join(pieces)
        if text.startswith("$"):
            pieces.append("$")
            text = text[1:]
        elif text.startswith("{"):
            inner, text = _braces(text[1:], where)
            pieces.append(_reference(inner, variables, where))
        elif name := _NAME.match(text):
            pieces.append(variables.get(name[0], ""))
            text = text[name.end() :]
        else:
            raise MigrationError(f"{where}: a single $ stands for nothing. Write $$ for a dollar sign.")


def _braces(text: str, where: str) -> tuple[str, str]:
    depth = 1
    for index, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[:index], text[index + 1 :]
    raise MigrationError(f"{where}: a ${{ has no }} behind it.")


def _reference(inner: str, variables: Mapping[str, str], where: str) -> str:
    match = _REFERENCE.fullmatch(inner)
    if not match:
        raise MigrationError(f"{where}: ${{...}} does not begin with a variable's name.")
    name, operator, word = match.groups()
    value = variables.get(name)
    there = bool(value) if operator and operator.startswith(":") else value is not None
    if operator and operator.endswith("+"):
        return interpolate(word, variables, where) if there else ""
    if there or not operator:
        return value or ""
    if operator.endswith("?"):
        raise MigrationError(
            f"{where}: the variable {name} is wanted. Give the env file that sets it with --env-file."
        )
    return interpolate(word, variables, where)


def parse_env(text: str, name: str, variables: Mapping[str, str]) -> dict[str, Found]:
    """Parse an env file: NAME=value, with quotes and comments; what stands in no single quotes is interpolated.

    A name alone takes its value from `variables`. Raises MigrationError with the line that is wrong.
    """
    found: dict[str, Found] = {}
    position, line = 0, 1
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        where = f"{name}:{line}"
        stripped = text[position:end].strip()
        if stripped and not stripped.startswith("#"):
            match = _ASSIGNMENT.match(text, position)
            if not match:
                raise MigrationError(f"{where} is no NAME=value.")
            end = match.end()
            value = _env_value(
                match, {**variables, **{key: each.value for key, each in found.items()}}, where
            )
            if value is not None:
                found[match[1]] = Found(value, where)
        line += text.count("\n", position, end) + 1
        position = end + 1
    return found


def _env_value(match: re.Match[str], variables: Mapping[str, str], where: str) -> str | None:
    name, single, double, plain = match.groups()
    if single is not None:
        return single.replace("\\'", "'")
    if double is not None:
        # A dollar sign behind a backslash is one; `interpolate` has its own way to say so.
        text = re.sub(r"\\(.)", lambda m: "$$" if m[1] == "$" else _ESCAPES.get(m[1], m[1]), double)
        return interpolate(text, variables, where)
    return variables.get(name) if plain is None else interpolate(plain, variables, where)


def read_services(
    path: Path, text: str, data: Mapping[str, Any], variables: Mapping[str, str]
) -> Iterator[Service]:
    """Read a compose file's services. Raises MigrationError where one is not in compose's form."""
    for name, raw in (data.get("services") or {}).items():
        where = f"{path}: services.{name}"
        if not isinstance(raw, Mapping):
            raise MigrationError(f"{where} is no service.")
        node = _interpolated(raw, variables, where)
        service = Service(
            name, node.get("image") or "", ports=node.get("ports") or [], volumes=node.get("volumes") or []
        )
        for file, required in _env_files(node.get("env_file"), where):
            full = path.parent / file
            if required or full.exists():
                service.environment |= parse_env(read_text(full), str(full), variables)
        for key, value in _environment(node.get("environment"), where):
            value = variables.get(key) if value is None else value
            service.own.add(key)
            if value is None:
                service.environment.pop(key, None)
            else:
                service.environment[key] = Found(value, f"{path}:{line_of(text, key)}")
        yield service


def _interpolated(node: Any, variables: Mapping[str, str], where: str) -> Any:
    def of(value: Any) -> Any:
        return _interpolated(value, variables, where)

    if isinstance(node, str):
        return interpolate(node, variables, where)
    if isinstance(node, Mapping):
        return {key: of(value) for key, value in node.items()}
    return [of(value) for value in node] if isinstance(node, list) else node


def _env_files(node: Any, where: str) -> Iterator[tuple[str, bool]]:
    for entry in node if isinstance(node, list) else [node] if node else []:
        if isinstance(entry, str):
            yield entry, True
        elif isinstance(entry, Mapping) and isinstance(entry.get("path"), str):
            yield entry["path"], entry.get("required") != "false"
        else:
            raise MigrationError(f"{where}.env_file names no file.")


def _environment(node: Any, where: str) -> Iterator[tuple[str, str | None]]:
    if isinstance(node, Mapping) and all(isinstance(value, str | None) for value in node.values()):
        yield from node.items()
    elif isinstance(node, list) and all(isinstance(entry, str) for entry in node):
        for entry in node:
            name, equals, value = entry.partition("=")
            yield name, value if equals else None
    elif node is not None:
        raise MigrationError(f"{where}.environment is neither a map nor a list of NAME=value.")
