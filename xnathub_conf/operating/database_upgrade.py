"""The database of an older JupyterHub, upgraded as the hub starts; that of a newer one, refused."""

import fcntl
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alembic.command
from alembic.config import Config
from alembic.script import ScriptDirectory
from jupyterhub import __version__ as jupyterhub_version
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.dbutil import ALEMBIC_DIR, _temp_alembic_ini
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

_LOCK_SECONDS = 600
"""How long a hub waits for another that upgrades the same database."""

_LOCK_NUMBER = 0x786E61746875
"""What hubs call their lock on a PostgreSQL database."""

_FAILED = "The hub's database is of an older JupyterHub, and could not be upgraded"

_init_db = JupyterHub.init_db


class DatabaseRefused(Exception):
    """The database can't be used as it is; the text says why, and what to do."""


def upgrade_at_start() -> None:
    """Have every hub of this process upgrade its database before it opens it."""
    JupyterHub.init_db = _upgrade_and_init


def _upgrade_and_init(app: Any) -> None:
    try:
        upgrade(app.db_url, app.db_kwargs, app.log, servers=app.upgrade_db)
    except DatabaseRefused as refused:
        app.log.critical(str(refused))
        app.exit(1)
    _init_db(app)


def upgrade(db_url: str, db_kwargs: dict[str, Any], log: logging.Logger, *, servers: bool) -> None:
    """Bring the database of an older JupyterHub up to date: a file after a backup beside it, a server's if `servers` says so.

    One line of the log says so. Raises DatabaseRefused where it is a newer JupyterHub's, a server's that may not be
    upgraded, or can't be; it is as it was then. A database that can't be asked is left to JupyterHub, which says why.
    """
    url = make_url(db_url)
    if url.get_backend_name() == "sqlite":
        if url.database and os.path.exists(url.database):  # noqa: PTH110 - it tells no error of a closed folder
            _upgrade_file(Path(os.path.realpath(url.database)), log)
    else:
        settings = {"connect_args": {}, **db_kwargs}
        settings["connect_args"] = {"connect_timeout": 10, **settings["connect_args"]}
        engine = create_engine(url, **settings)
        try:
            _upgrade_server(engine, log, allowed=servers)
        finally:
            engine.dispose()


def is_current(found: str | None, file: Path | None) -> bool:
    """Return whether a version needs no upgrade. Raises DatabaseRefused for one that this JupyterHub does not know."""
    scripts = ScriptDirectory(ALEMBIC_DIR)
    if found in {"", scripts.get_current_head()}:
        return True
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        backups = sorted(file.parent.glob(f"{file.name}.backup-*")) if file else []
        kept = f", such as {backups[-1]}" if backups else ""
        raise DatabaseRefused(
            f"The hub's database is of a newer JupyterHub than this one, {jupyterhub_version}: it has the version {found}. "
            f"Run the newer image again, or put back the backup from before its upgrade{kept}: see docs/upgrade.md."
        )
    return False


def file_revision(file: Path) -> str | None:
    """Return a database's version; "" where it is empty, None where it has none, as before JupyterHub 0.8."""
    with closing(sqlite3.connect(file, timeout=5)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        query = "select version_num from alembic_version"
        return _version(tables, lambda: database.execute(query).fetchone())


def _version(tables: set[str], ask: Callable[[], Any]) -> str | None:
    if not tables.intersection(orm.Base.metadata.tables):
        return ""
    row = ask() if "alembic_version" in tables else None
    return str(row[0]) if row else None


def _upgrade_file(file: Path, log: logging.Logger) -> None:
    """Upgrade a copy and put it in the file's place, so that a hub that is killed meanwhile leaves all as it was."""
    try:
        if is_current(file_revision(file), file):
            return
    except sqlite3.Error:
        return
    try:
        with _file_lock(Path(f"{file}.upgrade-lock"), log):
            before = file_revision(file)
            if not is_current(before, file):
                began = time.monotonic()
                backup = _replace_by_upgraded(file)
                _say(log, before, began, f"As it was, it is kept in {backup}.")
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise DatabaseRefused(f"{_FAILED}: {reason_of(error)}. It is as it was.") from None


def _replace_by_upgraded(file: Path) -> Path:
    """Put an upgraded copy in a database's place, and return the backup."""
    backup = Path(f"{file}.backup-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    copy = Path(f"{file}.upgrading")
    try:
        with closing(sqlite3.connect(file, timeout=5)) as database:
            # What a write-ahead log still holds goes into the file, and no log is left that would be taken for the new file's.
            database.execute("pragma journal_mode = delete")
            copy_database(database, backup)
            copy_database(database, copy)
        _run_scripts(f"sqlite:///{copy}")
        with closing(sqlite3.connect(copy)) as database:
            database.execute("pragma journal_mode = delete")
        with suppress(PermissionError):
            # A hub that is not root can't, where the old one had another user or group.
            shutil.chown(copy, file.stat().st_uid, file.stat().st_gid)
        with copy.open("rb") as stored:
            os.fsync(stored.fileno())
        copy.replace(file)
    except Exception:
        # The file is as it was. A hub that is started again and again would fill the disk.
        for made in (copy, backup):
            made.unlink(missing_ok=True)
        raise
    return backup


def copy_database(database: sqlite3.Connection, target: Path) -> None:
    """Copy a database into a new file, which only the hub's user may read."""
    target.unlink(missing_ok=True)
    target.touch(0o600)
    try:
        with closing(sqlite3.connect(target)) as copy:
            database.backup(copy)
    except BaseException:
        target.unlink()
        raise


@contextmanager
def _file_lock(lock: Path, log: logging.Logger) -> Iterator[None]:
    with lock.open("w") as held:
        end = time.monotonic() + _LOCK_SECONDS
        waits = False
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waits = _wait(log, end, waits=waits)
        yield
        # Whoever waits for it finds nothing left to upgrade. After an error it stays, and with it the lock.
        lock.unlink(missing_ok=True)


def _wait(log: logging.Logger, end: float, *, waits: bool) -> bool:
    if time.monotonic() > end:
        raise DatabaseRefused(f"Another hub has been upgrading the hub's database for {_LOCK_SECONDS} s.")
    if not waits:
        log.info("Another hub upgrades the database; waiting for it.")
    time.sleep(0.2)
    return True


def server_revision(engine: Engine) -> str | None:
    """Return a database's version as `file_revision` does."""
    with engine.connect() as connection:
        query = text("select version_num from alembic_version")
        return _version(set(inspect(connection).get_table_names()), connection.execute(query).first)


def _upgrade_server(engine: Engine, log: logging.Logger, *, allowed: bool) -> None:
    try:
        if is_current(server_revision(engine), None):
            return
    except SQLAlchemyError:
        return
    if not allowed:
        raise DatabaseRefused(
            f"The hub's database is of an older JupyterHub than this one, {jupyterhub_version}. Make a dump of it with "
            "pg_dump, then set `upgrade_db: true` below `hub` in site.yaml: see docs/upgrade.md."
        )
    try:
        with engine.connect() as connection:
            end = time.monotonic() + _LOCK_SECONDS
            waits = False
            while not connection.execute(text(f"select pg_try_advisory_lock({_LOCK_NUMBER})")).scalar():
                connection.rollback()
                waits = _wait(log, end, waits=waits)
            # The lock is the session's. An open transaction would hold up the scripts.
            connection.rollback()
            before = server_revision(engine)
            if not is_current(before, None):
                began = time.monotonic()
                _run_scripts(engine.url.render_as_string(hide_password=False))
                _say(log, before, began, "To go back, put back the dump that you made.")
            connection.execute(text(f"select pg_advisory_unlock({_LOCK_NUMBER})"))
    except SQLAlchemyError as error:
        raise DatabaseRefused(f"{_FAILED}: {reason_of(error)}.") from None


def reason_of(error: Exception) -> str:
    """Return what went wrong without the statement, which SQLAlchemy adds."""
    return str(getattr(error, "orig", None) or error).strip().rstrip(".")


def _run_scripts(url: str) -> None:
    said = logging.getLogger("alembic")
    level = said.level
    # Its lines, one for each step, would hide ours.
    said.setLevel(logging.WARNING)
    try:
        with _temp_alembic_ini(url) as settings:
            alembic.command.upgrade(Config(settings), "head")
    finally:
        said.setLevel(level)


def _say(log: logging.Logger, before: str | None, began: float, kept: str) -> None:
    log.warning(
        "The hub's database was of an older JupyterHub (version %s), and was upgraded for %s in %.1f s. %s",
        before, jupyterhub_version, time.monotonic() - began, kept,
    )  # fmt: skip
