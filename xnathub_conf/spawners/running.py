"""What an orchestrator runs that bears a hub's labels."""

from typing import NamedTuple


class Found(NamedTuple):
    """A container, service or pod: whose it is, its ID, which no other ever has, and its name for the log."""

    user: str
    server: str
    id: str
    name: str
