"""Ends servers that run though the hub knows nothing of them: one whose stop failed, or whose start was cut short.

JupyterHub forgets a server whose stop failed, and nobody would ever look at it again.
"""

import asyncio
from types import SimpleNamespace
from typing import Any

from jupyterhub import orm
from sqlalchemy.exc import SQLAlchemyError

from xnathub_conf.site.types import Site
from xnathub_conf.spawners import spawner_class
from xnathub_conf.spawners.running import Found

_TASKS: set[asyncio.Task[None]] = set()


def start_sweep(app: object, site: Site) -> None:
    """Begin to look every `servers.sweep_interval` seconds; for local servers, which end with their hub, never."""
    cls = spawner_class(site)
    if not (site.servers.sweep_interval and hasattr(cls, "find_all")):
        return
    task = asyncio.get_running_loop().create_task(_sweep(app, cls, site.servers.sweep_interval))
    # The loop holds tasks weakly.
    _TASKS.add(task)


async def _sweep(app: Any, cls: type[Any], interval: float) -> None:
    suspects: set[str] = set()
    spawner: object = None
    while True:
        await asyncio.sleep(interval)
        try:
            # A spawner that is nobody's, to talk to the orchestrator with.
            spawner = spawner or cls(
                user=SimpleNamespace(name="nobody", id=0, url="/", settings={}),
                hub=app.hub,
                config=app.config,
            )
            suspects = await look(app, spawner, suspects)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may go well
            app.log.warning("Servers that the hub does not know could not be looked for: %s", error)


async def look(app: Any, spawner: Any, suspects: set[str]) -> set[str]:
    """Remove what is unknown and was so at the look before (`suspects`); give what is unknown now.

    Twice, so that there is time to notice a hub that was started with another database.
    """
    # In this order: a start is in the database before there is anything to find.
    found: list[Found] = await spawner.find_all()
    known = _known(app)
    unknown = [each for each in found if (each.user, each.server) not in known]
    for each in unknown:
        if each.id in suspects:
            app.log.warning(
                "Removing %s, which runs for %r though the hub knows of no such server.", each.name, each.user
            )
            await spawner.remove_found(each)
    return {each.id for each in unknown}


def _known(app: Any) -> set[tuple[str, str]]:
    """Return the servers that the hub's database holds as running, starting or stopping, as user and server name."""
    try:
        rows = (
            app.db.query(orm.User.name, orm.Spawner.name)
            .join(orm.Spawner, orm.Spawner.user_id == orm.User.id)
            .filter(orm.Spawner.server_id.isnot(None))
        )
        return {(user, server) for user, server in rows}
    except SQLAlchemyError:
        app.db.rollback()
        raise
