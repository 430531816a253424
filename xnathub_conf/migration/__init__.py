"""From the files of another hub to a site: reading them, carrying over what they say, and saying what became of each value."""


class MigrationError(Exception):
    """The old files can't be read as they are. The text says where and what to do, and holds no value of a variable."""
