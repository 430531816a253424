"""A backup back in its place: at once where no hub runs, else as the hub starts next."""

import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from jupyterhub import __version__ as jupyterhub_version

from xnathub_conf.operating.backup import Backup
from xnathub_conf.operating.database_upgrade import DatabaseRefused, is_current
from xnathub_conf.operating.hub_data import HubData, HubDataError, hub_data
from xnathub_conf.site.types import Site
from xnathub_conf.values.secret import SecretError

_WAITING = ".to-restore"
_LOCK_SECONDS = 20
"""How long a hub that starts waits for the one before it to let go of the database."""


def restore(backup: Backup, data: HubData) -> str:
    """Put a backup in place, and give what was done as a sentence. Raises HubDataError, and has changed nothing then."""
    if backup.kind != data.kind:
        raise HubDataError(f"The backup is of a {backup.kind}, and hub.db_url names a {data.kind}.")
    try:
        is_current(backup.contents.revision, None)
    except DatabaseRefused:
        raise HubDataError(
            f"The backup was made with JupyterHub {backup.jupyterhub}, which is newer than this one, {jupyterhub_version}. "
            f"Restore it with the image of xnathub {backup.xnathub}."
        ) from None
    if data.file is None:
        _restore_server(backup, data)
        return "The backup is in place. Start the hub."
    if _is_used(data.file):
        _leave(backup, data, data.file)
        return (
            "The hub runs. It takes the backup, in place of what it has, when it starts next: restart it now."
        )
    try:
        _leave(backup, data, data.file)
        kept = _take(data.file, data.cookie_secret)
    except OSError as error:
        raise _not_placed(data.file, error) from None
    return f"The backup is in place.{kept} Start the hub."


def take_what_waits(site: Site, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file of the hub's database, if it is one, once a backup that waits for this start is in its place.

    Ends the process, with what is wrong, where that can't be done.
    """
    try:
        data = hub_data(site, environment)
    except (HubDataError, SecretError):
        # JupyterHub may use what can't be copied.
        return None
    if data.file is None or not _waiting(data.file).exists():
        return data.file
    end = time.monotonic() + _LOCK_SECONDS
    while _is_used(data.file):
        if time.monotonic() > end:
            sys.exit(f"A backup waits to be taken, and another hub uses {data.file}. Stop that one.")
        time.sleep(0.5)
    try:
        kept = _take(data.file, data.cookie_secret)
    except OSError as error:
        sys.exit(
            f"{_not_placed(data.file, error)} To start without the backup, remove {_waiting(data.file).name}."
        )
    print(f"The hub's database is the backup that `xnathub restore` left.{kept}", file=sys.stderr)
    return data.file


def _waiting(file: Path) -> Path:
    return Path(f"{file}{_WAITING}")


def _not_placed(file: Path, error: OSError) -> HubDataError:
    return HubDataError(f"The backup can't be put in place of {file}: {error.strerror or error}.")


def _is_used(file: Path) -> bool:
    """Return whether another process has a database open; if not, all that was written is in the file itself then."""
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(file, timeout=1)) as database:
            # It can be left by its last connection alone.
            (mode,) = database.execute("pragma journal_mode = delete").fetchone()
            database.execute("begin exclusive")
            return bool(mode != "delete")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    except sqlite3.DatabaseError:
        # One that is damaged is what a backup is for.
        return False


def _leave(backup: Backup, data: HubData, file: Path) -> None:
    """Leave a backup's parts beside the files whose places they take; the database last, which says that all is there."""
    try:
        _leave_secret(backup, data)
        part = Path(f"{_waiting(file)}.part")
        part.unlink(missing_ok=True)
        part.touch(0o600)
        shutil.copyfile(backup.database, part)
        _give(part, data)
        with part.open("rb") as stored:
            os.fsync(stored.fileno())
        part.replace(_waiting(file))
    except OSError as error:
        raise _not_placed(file, error) from None


def _leave_secret(backup: Backup, data: HubData) -> None:
    file = data.cookie_secret
    if file and backup.cookie_secret:
        waiting = _waiting(file)
        waiting.unlink(missing_ok=True)
        waiting.touch(0o600)
        waiting.write_bytes(backup.cookie_secret)
        _give(waiting, data)


def _take_secret(file: Path | None) -> None:
    if file and _waiting(file).exists():
        _waiting(file).replace(file)


def _give(file: Path, data: HubData) -> None:
    """Hand a file to the hub's user, who owns what it is to replace, where root puts it there."""
    if os.geteuid() == 0:
        replaced = file.with_name(file.name.partition(_WAITING)[0])
        seen = (replaced if replaced.exists() else file.parent).stat()
        owner = (seen.st_uid, seen.st_gid) if replaced.exists() or not data.owner else data.owner
        os.chown(file, *owner)


def _take(file: Path, cookie_secret: Path | None) -> str:
    """Put what waits in place, the database last, and say where the one before is kept."""
    _take_secret(cookie_secret)
    kept = ""
    if file.exists():
        before = Path(f"{file}.before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        before.unlink(missing_ok=True)
        os.link(file, before)
        kept = f" What was there is kept in {before}."
    # They belong to the one before. Nobody has it open, so that they are left of a hub that was killed.
    for end in ("-wal", "-shm", "-journal"):
        Path(f"{file}{end}").unlink(missing_ok=True)
    _waiting(file).replace(file)
    return kept


def _restore_server(backup: Backup, data: HubData) -> None:
    by_hand = "pg_restore --clean --if-exists --no-owner --single-transaction --dbname='{address}' hub.dump"
    if others := data.others():
        raise HubDataError(
            f"The hub's database has {others} other connections. Stop the hub, and then restore."
        )
    try:
        _leave_secret(backup, data)
        data.run_tool(
            "pg_restore",
            *("--clean", "--if-exists", "--no-owner", "--single-transaction", str(backup.database)),
            by_hand=by_hand,
        )
        _take_secret(data.cookie_secret)
    except OSError as error:
        raise HubDataError(f"{data.cookie_secret} can't be written: {error.strerror}.") from None
