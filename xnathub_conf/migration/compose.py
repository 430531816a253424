"""Compose files and env files, read as `docker compose` reads them (docs.docker.com/reference/compose-file)."""

import os
import re
import stat
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.tree import Found, Node
from xnathub_conf.site.yaml_source import MAX_BYTES

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])(.*))?", re.DOTALL)
_ASSIGNED = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(=?)[ \t]*")
_QUOTED = re.compile(
    r"""(?:'((?:[^'\\]|\\.)*+)' | "((?:[^"\\]|\\.)*+)") [ \t]*+ (?:(?<=\s)\#[^\n]*+)? (?=\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"(?<=\s)#")
_BRACE = re.compile(r"[{}]")
_DEEPEST = 20
_ESCAPED = re.compile(r"""\\(?:([abfnrtv$"\\])|0([0-3][0-7]{2}))""")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "$": "$$"}


def is_file(path: Path) -> bool:
    """Return whether a plain file is there; one that can't be looked at is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Return the same of a folder."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_text(path: Path) -> str:
    """Read a file of the old deployment. Raises MigrationError where that can't be done."""
    try:
        # What is no plain file may never end, or never begin.
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or str(path) == os.devnull):
            raise MigrationError(
                f"{path} is no plain file, but a pipe or a device. Write what it says into a file."
            )
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise MigrationError(f"{path} is too large for a file of a deployment.")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise MigrationError(
            f"{path} can't be read: {error.strerror}. Check its name and its permissions."
        ) from None
    except ValueError:
        raise MigrationError(f"{path} is not UTF-8 text.") from None


def interpolate(text: str, variables: Mapping[str, str], where: str, depth: int = 0) -> str:
    """Put variables in their places: $NAME, ${NAME}, and ${NAME:-default} with its kin; $$ is a dollar sign.

    Raises MigrationError where the form is none of these, a variable is not set that must be, or it grows too large.
    """
    if depth > _DEEPEST:
        raise MigrationError(f"{where}: ${{...}} stands in another one too many times.")
    pieces: list[str] = []
    position = length = 0
    while (dollar := text.find("$", position)) >= 0:
        pieces.append(text[position:dollar])
        if text.startswith("$", dollar + 1):
            pieces.append("$")
            position = dollar + 2
        elif text.startswith("{", dollar + 1):
            position = _after_brace(text, dollar + 2, where)
            pieces.append(_reference(text[dollar + 2 : position - 1], variables, where, depth))
        elif name := _NAME.match(text, dollar + 1):
            pieces.append(variables.get(name[0], ""))
            position = name.end()
        else:
            raise MigrationError(f"{where}: a single $ stands for nothing. Write $$ for a dollar sign.")
        length += len(pieces[-2]) + len(pieces[-1])
        if length > MAX_BYTES:
            raise MigrationError(f"{where}: what is put in there grows too large.")
    return "".join([*pieces, text[position:]])


def _after_brace(text: str, start: int, where: str) -> int:
    """Return the place after the brace that closes the one before `start`."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    raise MigrationError(f"{where}: a ${{ has no }} behind it.")


def _reference(inner: str, variables: Mapping[str, str], where: str, depth: int) -> str:
    match = _REFERENCE.fullmatch(inner)
    if not match:
        raise MigrationError(f"{where}: ${{...}} does not begin with a variable's name.")
    name, operator, word = match.groups()
    value = variables.get(name)
    there = bool(value) if operator and operator.startswith(":") else value is not None
    if operator and operator.endswith("+"):
        return interpolate(word, variables, where, depth + 1) if there else ""
    if there or not operator:
        return value or ""
    if operator.endswith("?"):
        raise MigrationError(
            f"{where}: the variable {name} is wanted. Give the env file that sets it with --env-file."
        )
    return interpolate(word, variables, where, depth + 1)


def parse_env(text: str, name: str, variables: Mapping[str, str]) -> dict[str, Found]:
    """Parse an env file to its variables, as `read_env` does; of a name that stands twice, the later line counts."""
    return {str(leaf.path[0]): found for leaf, found in read_env(text, name, variables) if found is not None}


def read_env(text: str, name: str, variables: Mapping[str, str]) -> list[tuple[Node, Found | None]]:
    """Read an env file line by line: NAME=value, with quotes and comments; no single quotes are interpolated.

    A name alone takes its value from `variables`, and may have none. Raises MigrationError with the line that is wrong.
    """
    lines: list[tuple[Node, Found | None]] = []
    found: dict[str, str] = {}
    length = 0
    position, line = 0, 1
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        where = f"{name}:{line}"
        stripped = text[position:end].strip()
        if stripped and not stripped.startswith("#"):
            match = _ASSIGNED.match(text, position)
            if not match or match.end() > end:
                raise MigrationError(f"{where} is no NAME=value.")
            quoted = _QUOTED.match(text, match.end()) if match[2] else None
            comment = _COMMENT.search(text, match.end(), end)
            plain = text[match.end() : comment.start() if comment else end].strip()
            if plain and not match[2]:
                raise MigrationError(f"{where} is no NAME=value.")
            known = ChainMap(found, cast("dict[str, str]", variables))
            if quoted:
                end = quoted.end()
                value: str | None = _unquoted(quoted, known, where)
            elif plain.startswith(("'", '"')):
                raise MigrationError(
                    f"{where}: the quote before {match[1]}'s value is not closed at its end."
                )
            else:
                value = interpolate(plain, known, where) if match[2] else variables.get(match[1])
            leaf = Node(name, (match[1],), line, value)
            length += len(value or "")
            if length > MAX_BYTES:
                raise MigrationError(f"{where}: what is put in there grows too large.")
            lines.append((leaf, None if value is None else Found(value, where, leaf)))
            if value is not None:
                found[match[1]] = value
        line += text.count("\n", position, end) + 1
        position = end + 1
    return lines


def _unquoted(match: re.Match[str], variables: Mapping[str, str], where: str) -> str:
    single, double = match.groups()
    if single is not None:
        return str(single).replace("\\'", "'")
    # A dollar sign behind a backslash is one; `interpolate` has its own way to say so.
    text = _ESCAPED.sub(lambda m: _ESCAPES.get(m[1], m[1]) if m[1] else chr(int(m[2], 8)), double)
    return interpolate(text, variables, where)


def read_raw(text: str, name: str, variables: Mapping[str, str]) -> list[tuple[Node, Found | None]]:
    """Read an env file of the format `raw` as `read_env` does: each value is what stands behind the first equals sign."""
    lines: list[tuple[Node, Found | None]] = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, written = stripped.partition("=")
        if not key or any(character.isspace() for character in key):
            where = f"{name}:{number}"
            raise MigrationError(f"{where} is no NAME=value.")
        value = written if equals else variables.get(key)
        leaf = Node(name, (key,), number, value)
        lines.append((leaf, None if value is None else Found(value, leaf.origin, leaf)))
    return lines
