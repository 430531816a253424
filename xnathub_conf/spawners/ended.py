"""Named servers that ended long ago: their rows in the hub's database, of which each start from XNAT makes one, are dropped.

XNAT's pages remove a server as they stop it. Those that ended by themselves, or never came up, nobody removes.
"""

import asyncio
from datetime import timedelta
from typing import Any

from jupyterhub import orm
from jupyterhub.utils import utcnow
from sqlalchemy.exc import SQLAlchemyError

KEPT_HOURS = 24
"""For so long the hub's page shows an ended server, and may start it again."""

_FIRST_LOOK_SECONDS = 5
_LOOK_AGAIN_SECONDS = 3600
_AT_ONCE = 100

_TASKS: set[asyncio.Task[None]] = set()


def start_forgetting(app: object) -> None:
    """Begin to drop ended servers, soon after the hub's start and every hour from then on."""
    # The loop holds tasks weakly.
    _TASKS.add(asyncio.get_running_loop().create_task(_forget_for_ever(app)))


async def _forget_for_ever(app: Any) -> None:
    wait = _FIRST_LOOK_SECONDS
    while True:
        await asyncio.sleep(wait)
        wait = _LOOK_AGAIN_SECONDS
        try:
            forgotten = 0
            while some := _forget(app):
                forgotten += some
                await asyncio.sleep(0.05)
            if forgotten:
                app.log.info(
                    "Forgot %s named servers that ended %s hours ago or more.", forgotten, KEPT_HOURS
                )
        except SQLAlchemyError as error:
            app.db.rollback()
            app.log.warning("Servers that ended long ago could not be forgotten: %s", error)


def _forget(app: Any) -> int:
    """Drop up to 100 named servers that ended long ago; return how many."""
    long_ago = utcnow(with_tz=False) - timedelta(hours=KEPT_HOURS)
    rows = (
        app.db.query(orm.Spawner)
        .filter(orm.Spawner.name != "", orm.Spawner.server_id.is_(None), orm.Spawner.last_activity < long_ago)
        .limit(_AT_ONCE)
        .all()
    )
    for row in rows:
        if row.user_id in app.users:
            app.users[row.user_id].spawners.pop(row.name, None)
        app.db.delete(row)
    app.db.commit()
    return len(rows)
