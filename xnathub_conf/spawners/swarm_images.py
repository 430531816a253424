"""An image on every node of a swarm: a job with a task on each, whose container does nothing but need the image."""

import asyncio
import hashlib
from collections import Counter
from typing import Any

from docker.errors import NotFound
from docker.types import ContainerSpec, Placement, RestartPolicy, ServiceMode, TaskTemplate

from xnathub_conf.site.types import Swarm
from xnathub_conf.spawners.images_ahead import Brought

_LOOK_AGAIN_SECONDS = 2
_NOBODY = "65534"
WAITING = frozenset(
    {"new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running"}
)


async def bring_to_nodes(spawner: Any, swarm: Swarm, image: str, labels: dict[str, str]) -> Brought:
    """Have every node of a swarm that may run servers get an image; return on how many it is."""
    name = f"{swarm.prefix}-ahead-{hashlib.sha256(image.encode()).hexdigest()[:12]}"
    # A hub that was killed may have left it.
    await _remove(spawner, name)
    # An image without this program has been pulled all the same, when its container can't be started.
    container = ContainerSpec(image=image, command=["true"], user=_NOBODY, cap_drop=["ALL"], read_only=True)
    task = TaskTemplate(
        container,
        restart_policy=RestartPolicy(condition="none"),
        placement=Placement(constraints=list(swarm.placement_constraints)),
    )
    await spawner.docker("create_service", task, name=name, labels=labels, mode=ServiceMode("global-job"))
    try:
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            tasks = await spawner.docker("tasks", filters={"service": name})
            states = Counter(each["Status"]["State"] for each in tasks)
            if tasks and not WAITING & states.keys():
                break
    finally:
        await _remove(spawner, name)
    # Only what comes before a container's start is refused, and that is the image.
    refused = [each["Status"] for each in tasks if each["Status"]["State"] == "rejected"]
    problem = (refused[0].get("Err") or refused[0].get("Message") or "refused") if refused else ""
    return Brought(len(tasks) - len(refused), len(tasks), problem)


async def _remove(spawner: Any, name: str) -> None:
    try:
        await spawner.docker("remove_service", name)
    except NotFound:
        return
