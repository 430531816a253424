"""An image on every node of a swarm: a job with a task on each, whose container does nothing but need the image."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping
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


def needing(image: str) -> ContainerSpec:
    """Return a container that does nothing but need an image."""
    # An image without this program is there all the same, when its container can't be started.
    return ContainerSpec(image=image, command=["true"], user=_NOBODY, cap_drop=["ALL"], read_only=True)


def task_of_a_job(swarm: Swarm, container: ContainerSpec, **more: object) -> TaskTemplate:
    """Return the task of a job that runs once on each node which may run servers."""
    return TaskTemplate(
        container,
        restart_policy=RestartPolicy(condition="none"),
        placement=Placement(constraints=list(swarm.placement_constraints)),
        **more,
    )


def why_ended(task: Mapping[str, Any]) -> str:
    """Return in a swarm's words why a task ended."""
    status = task["Status"]
    return str(status.get("Err") or status.get("Message") or "refused")


async def bring_to_nodes(spawner: Any, swarm: Swarm, image: str, labels: dict[str, str]) -> Brought:
    """Have every node of a swarm that may run servers get an image; return on how many it is."""
    name = f"{swarm.prefix}-ahead-{hashlib.sha256(image.encode()).hexdigest()[:12]}"
    # A hub that was killed may have left it.
    await _remove(spawner, name)
    task = task_of_a_job(swarm, needing(image))
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
    refused = [each for each in tasks if each["Status"]["State"] == "rejected"]
    problem = why_ended(refused[0]) if refused else ""
    return Brought(len(tasks) - len(refused), len(tasks), problem)


async def _remove(spawner: Any, name: str) -> None:
    try:
        await spawner.docker("remove_service", name)
    except NotFound:
        return
