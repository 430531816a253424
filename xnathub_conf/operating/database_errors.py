"""A database that fails for a while: users read why, the log tells the cause, and nothing is stuck when it is back.

JupyterHub has one database session for everything. After an error that session refuses all work until it is rolled
back, and what JupyterHub was at, a start or a stop, is left half done: pending, or ready with nothing behind it.
"""

import asyncio
import logging
import time
from functools import wraps
from typing import Any

from jupyterhub.user import User
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

MESSAGE = "The hub can't use its database right now. Try again in a few minutes; if it lasts, tell your XNAT administrator."
_LOOK_AGAIN_SECONDS = 1.0
_ENDING: dict[object, asyncio.Task[None]] = {}
_RECENT_SECONDS = 5.0
_last_error = -_RECENT_SECONDS
_original_stop: Any = None
_SESSION = "xnathub_session"


def survive_database_errors() -> None:
    """Put all of this in place, once in a process."""
    # The hub's pages and its API show this attribute of any exception.
    shown: Any = SQLAlchemyError
    shown.jupyterhub_message = MESSAGE
    for name in ("JupyterHub", "tornado.application", "asyncio"):
        logging.getLogger(name).addFilter(_one_line)
    global _original_stop  # noqa: PLW0603 - there is one JupyterHub
    # Not told by a wrapper around User.stop, which somebody else may have put there.
    if _original_stop is None:
        event.listen(Session, "after_soft_rollback", _roll_back)
        event.listen(Session, "after_begin", _know_session)
        event.listen(Engine, "handle_error", _notice_commit)
        _original_stop = User.stop
        User.spawn, User.stop = _undone(User.spawn), _undone(User.stop)


def failed_just_now() -> bool:
    """Return whether the database failed a moment ago: JupyterHub then takes who is signed in for nobody."""
    return time.monotonic() - _last_error < _RECENT_SECONDS


def _one_line(record: logging.LogRecord) -> bool:
    """Let one line stand for a database error and its traceback, with its cause; not the one that says it again."""
    if record.exc_info and isinstance(error := record.exc_info[1], SQLAlchemyError):
        said = record.getMessage().partition("\n")[0]
        record.msg, record.args, record.exc_info = (
            f"{said}: the hub's database fails: {_cause(error)}",
            (),
            None,
        )
    return not str(record.msg).startswith("Rolling back session due to database error")


def _cause(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def _roll_back(session: Session, _transaction: object) -> None:
    """Make a session that an error has stopped good again, as soon as the code that met the error is done."""
    if not session.is_active:
        _roll_back_soon(session)


def _roll_back_soon(session: Session) -> None:
    def end() -> None:
        if not session.is_active:
            session.rollback()

    global _last_error  # noqa: PLW0603 - there is one database
    _last_error = time.monotonic()
    try:
        asyncio.get_running_loop().call_soon(end)
    except RuntimeError:
        """No loop runs, so that nobody else shares the session."""


def _know_session(session: Session, _transaction: object, connection: Connection) -> None:
    connection.info[_SESSION] = session


def _notice_commit(context: ExceptionContext) -> None:
    """Notice a database that takes all that is written, and then not the COMMIT, the one call without a statement."""
    session = context.connection.info.get(_SESSION) if context.connection else None
    if session is not None and context.statement is None:
        _roll_back_soon(session)


def _undone(method: Any) -> object:
    """Wrap User.spawn or User.stop: where the database ends it half-way, the server is stopped once it is back."""

    @wraps(method)
    async def wrapped(user: Any, server_name: str = "", *arguments: object, **named: object) -> object:
        try:
            return await method(user, server_name, *arguments, **named)
        except SQLAlchemyError:
            if server_name in user.spawners:
                spawner = user.spawners[server_name]
                if spawner not in _ENDING:
                    task = asyncio.get_running_loop().create_task(_end(user, server_name, spawner))
                    _ENDING[spawner] = task
                    task.add_done_callback(lambda _task: _ENDING.pop(spawner, None))
            raise

    return wrapped


async def _end(user: Any, server_name: str, spawner: Any) -> None:
    while user.spawners.get(server_name) is spawner:
        spawner.stop_polling()
        spawner._start_pending = spawner._waiting_for_response = False
        # Nobody may start it meanwhile.
        spawner._stop_pending = True
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        try:
            user.db.rollback()
            if spawner.server is None:
                break
            await _original_stop(user, server_name)
        except SQLAlchemyError:
            continue
        break
    spawner._stop_pending = False
