"""What Docker's API calls things of a swarm: states, mounts of memory, labels and amounts."""

import os
from typing import Any

STATES = ("new", "pending", "assigned", "accepted", "ready", "preparing", "starting", "running")
"""The states of a task that lives, in their order."""


def stack_label() -> dict[str, str]:
    """Return the label of the hub's own stack, by which `docker stack rm` takes away what the hub made, whose network it could not remove otherwise; {} where there is none."""
    stack = os.environ.get("XNATHUB_STACK")
    return {"com.docker.stack.namespace": stack} if stack else {}


def tmpfs(target: str, size: int | None = None) -> dict[str, object]:
    """Return a mount of memory, of `size` bytes at most where that is said."""
    options = {"Mode": 0o1777, **({"SizeBytes": size} if size else {})}
    return {"Target": target, "Type": "tmpfs", "TmpfsOptions": options}


def is_lost(task: dict[str, Any]) -> bool:
    """Return whether Swarm means a task to end though it calls it alive: nobody tells it of a node that is gone."""
    return task["DesiredState"] == "shutdown" and task["Status"]["State"] in STATES


def nano(value: float | None) -> int | None:
    """Return cores or seconds in the API's billionths."""
    return None if value is None else round(value * 1e9)
