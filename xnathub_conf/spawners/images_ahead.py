"""Brings images to the nodes before anyone asks for them: `servers.images_ahead`.

On Kubernetes a DaemonSet of the chart does it, since the hub has no right to make one; the hub looks how far that is.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, NamedTuple

from xnathub_conf.operating.metrics import IMAGES_AHEAD
from xnathub_conf.site.types import Site
from xnathub_conf.spawners import spawner_class

_AGAIN_SECONDS = 6 * 3600
"""How often it is looked again: nodes join, and what a tag stands for changes."""

_AFTER_FAILURE_SECONDS = 600

_TASKS: set[asyncio.Task[None]] = set()


class Brought(NamedTuple):
    """On how many nodes an image is, out of how many, and why it is not on the others."""

    there: int
    nodes: int
    problem: str = ""


def start_bringing(app: object, site: Site) -> None:
    """Begin to bring the site's images to the nodes, now and every six hours; nothing where the hub can't."""
    cls = spawner_class(site)
    if site.servers.images_ahead and hasattr(cls, "bring_image"):
        task = asyncio.get_running_loop().create_task(_bring_for_ever(app, cls, site.servers.images_ahead))
        # The loop holds tasks weakly.
        _TASKS.add(task)


async def _bring_for_ever(app: Any, cls: type[Any], images: tuple[str, ...]) -> None:
    # A spawner that is nobody's, to talk to the engine with.
    nobody = SimpleNamespace(name="nobody", id=0, url="/", settings={})
    spawner = cls(user=nobody, hub=app.hub, config=app.config)
    told: dict[str, Brought] = {}
    while True:
        there = missing = 0
        for image in images:
            brought = await bring(app, spawner, image, told.get(image))
            told[image] = brought
            there += brought.there
            missing += brought.nodes - brought.there
            IMAGES_AHEAD.labels("there").set(there)
            IMAGES_AHEAD.labels("missing").set(missing)
        again = _AFTER_FAILURE_SECONDS if missing else _AGAIN_SECONDS
        await asyncio.sleep(getattr(cls, "ahead_again_seconds", again))


async def bring(app: Any, spawner: Any, image: str, before: Brought | None = None) -> Brought:
    """Bring one image to the nodes, and say in the log how that went, unless it is as `before`; what goes wrong is no reason to end."""
    try:
        brought: Brought = await spawner.bring_image(image)
    except Exception as error:  # noqa: BLE001 - whatever it is, the next time may go well
        brought = Brought(0, 1, str(error) or type(error).__name__)
    if brought == before:
        return brought
    if brought.problem:
        app.log.warning(
            "The image %s is on %s of %s nodes ahead of time: %s (site.yaml: servers.images_ahead)",
            image, brought.there, brought.nodes, brought.problem,
        )  # fmt: skip
    else:
        app.log.info("The image %s is on %s of %s nodes ahead of time.", image, brought.there, brought.nodes)
    return brought
