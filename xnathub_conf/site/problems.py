"""What is wrong with a site file: one value per problem, and the error that carries all of them."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value stands, from the top of the file: keys, and positions in lists from 0."""

Mark: TypeAlias = tuple[int, int]
"""A line and a column of a file, both counted from 1."""


_SECRET_WORDS = ("password", "token", "secret", "db_url", "logins")
_SECRET_NAME = re.compile(
    r"(?i)(passw(or)?d|passphrase|secret|token|credentials?|(api|access|private|secret)_?key)(_?[0-9]+)?\Z"
)


def holds_secret(path: KeyPath) -> bool:
    """Return whether a secret may stand at `path`, going by its keys' names; what stands there is then never shown."""
    return any(
        any(word in part.lower() for word in _SECRET_WORDS) or sounds_secret(part) for part in map(str, path)
    )


def sounds_secret(name: str) -> bool:
    """Return whether a variable's name is that of a secret, such as API_KEY or DB_PASSWORD_2."""
    return _SECRET_NAME.search(name) is not None


def without_secret(path: KeyPath) -> KeyPath:
    """Cut a key path where what follows may be a secret that was taken for a key, as in `password: {letmein}`."""
    for index in range(1, len(path)):
        if holds_secret(path[:index]) and path[index] not in {"file", "env"}:
            return path[:index]
    return path


def dotted(path: KeyPath) -> str:
    """Write a key path as people do, `xnat.calls.retries` or `paths.archive[0].from`.

    Keys that would be ambiguous that way are quoted, `servers.environment["A.B"]`.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "").isalnum():
            text += f".{part}" if text else part
        else:
            quoted = part.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{quoted}"]'
    return text


def visible(text: str) -> str:
    """Return a text as it is where people can see all of it, else in quotes with its escapes."""
    return text if text.isprintable() and text and text == text.strip() else json.dumps(text)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a site file.

    `rule` names what was broken, as in rule_names.py; `message` says what was found and what was expected; `fix` says
    what to write. Neither ever holds a secret's value.
    """

    file: str
    line: int
    column: int
    path: KeyPath
    rule: str
    message: str
    fix: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: {self.severity}: "
        key = f"{dotted(self.path)}: " if self.path else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{where}{key}{self.message}{fix}"


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems by where they stand in the file."""
    return tuple(sorted(problems, key=lambda p: (p.line, p.column, p.severity, p.message)))


class SiteError(Exception):
    """A site file can't be used. `problems` holds everything that is wrong with it, in the file's order."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems: Sequence[Problem] = in_order(problems)
        super().__init__("\n".join(map(str, self.problems)))
