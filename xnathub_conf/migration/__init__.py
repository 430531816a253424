"""From the reference deployment's files to a site: reading them, and carrying over what they say."""

from dataclasses import dataclass


class MigrationError(Exception):
    """The old files can't be read as they are. The text says where and what to do, and holds no value of a variable."""


@dataclass(frozen=True)
class Found:
    """A value of an old file, and where it stands: a file with a line, or what else it comes from."""

    value: str
    origin: str
