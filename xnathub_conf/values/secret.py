"""Secrets: where one comes from, and its value, which never shows itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

REDACTED = "********"


class SecretError(Exception):
    """A secret can't be had on this host. The text says why and what to do, never a value."""


@dataclass(frozen=True)
class Secret:
    """Where a secret of site.yaml comes from: a file's path, a variable's name, or the text itself."""

    kind: Literal["file", "env", "literal"]
    where: str = field(repr=False)

    def __str__(self) -> str:
        """Return where the secret comes from."""
        return REDACTED if self.kind == "literal" else f"{{{self.kind}: {self.where}}}"

    def read(self, environment: Mapping[str, str]) -> str:
        """Return the secret's value.

        `environment` holds the variables of the process. White space at a file's end does not count, nor the mark that
        editors of Windows put at its beginning. Raises SecretError where the file can't be read, the variable is not set,
        or what is there is empty.
        """
        if self.kind == "literal":
            return self.where
        if self.kind == "env":
            value = environment.get(self.where, "")
            if not value:
                raise SecretError(f"The variable {self.where} is not set. Set it, or name another one.")
            return value
        try:
            value = Path(self.where).read_text("utf-8-sig").rstrip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SecretError(
                f"The file {self.where} can't be read: {reason}. Mount it, or make it readable for the hub's user."
            ) from None
        if not value:
            raise SecretError(f"The file {self.where} is empty. Put into it what belongs there.")
        return value
