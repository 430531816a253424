"""Compose files and env files, read as `docker compose` reads them (docs.docker.com/reference/compose-file)."""

import re
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.tree import Found, Node
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
    """Parse an env file to its variables, as `read_env` does; of a name that stands twice, the later line counts."""
    return {str(leaf.path[0]): found for leaf, found in read_env(text, name, variables) if found is not None}


def read_env(text: str, name: str, variables: Mapping[str, str]) -> list[tuple[Node, Found | None]]:
    """Read an env file line by line: NAME=value, with quotes and comments; no single quotes are interpolated.

    A name alone takes its value from `variables`, and may have none. Raises MigrationError with the line that is wrong.
    """
    lines: list[tuple[Node, Found | None]] = []
    found: dict[str, str] = {}
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
            value = _env_value(match, ChainMap(found, cast("dict[str, str]", variables)), where)
            leaf = Node(name, (match[1],), line, value)
            lines.append((leaf, None if value is None else Found(value, where, leaf)))
            if value is not None:
                found[match[1]] = value
        line += text.count("\n", position, end) + 1
        position = end + 1
    return lines


def _env_value(match: re.Match[str], variables: Mapping[str, str], where: str) -> str | None:
    name, single, double, plain = match.groups()
    if single is not None:
        return single.replace("\\'", "'")
    if double is not None:
        # A dollar sign behind a backslash is one; `interpolate` has its own way to say so.
        text = re.sub(r"\\(.)", lambda m: "$$" if m[1] == "$" else _ESCAPES.get(m[1], m[1]), double)
        return interpolate(text, variables, where)
    return variables.get(name) if plain is None else interpolate(plain, variables, where)
