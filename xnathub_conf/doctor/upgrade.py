"""What this version of xnathub would change for a site that an older one runs: looked at, and tried on a copy."""

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jupyterhub import __version__ as jupyterhub_version

from xnathub_conf import __version__
from xnathub_conf.doctor.examination import Check, Examination, Finding, failed, ok, skipped, warning
from xnathub_conf.operating.backup import copy_of, opened_backup
from xnathub_conf.operating.database_upgrade import DatabaseRefused, is_current, upgrade
from xnathub_conf.operating.hub_data import Contents, HubData, HubDataError, contents_of_file, hub_data
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.values.secret import SecretError

_DATABASE: KeyPath = ("hub", "db_url")
_TRIAL_SECONDS = 3600
_SQLITE = b"SQLite format 3\0"
_ELSEWHERE = "Run it where the hub runs, or name a backup with --backup."


class UpgradeChecks:
    """The checks of an upgrade, of the hub's own database or of that in a `backup`."""

    def __init__(self, examination: Examination, backup: str | None):
        """Take the file of the backup, None for the hub's own data."""
        self._examination = examination
        self._backup = backup
        self._data: HubData | None = None
        self._contents: Contents | None = None
        self._old = False

    def checks(self) -> list[Check]:
        """List the checks in their order."""
        return [
            Check("upgrade.site", self.site),
            Check("upgrade.database", self.database),
            Check("upgrade.trial", self.trial, ("upgrade.database",), _TRIAL_SECONDS),
            Check("upgrade.room", self.room, ("upgrade.database",)),
        ]

    async def site(self) -> Finding:
        """This version takes the site file."""
        warnings = self._examination.loaded.warnings
        if warnings:
            first = warnings[0]
            return warning(
                f"xnathub {__version__} takes the site file, with {len(warnings)} warning{'s' if len(warnings) > 1 else ''}: {first.message}",
                first.fix or "See `xnathub validate`.",
                first.path,
            )
        return ok(f"xnathub {__version__} takes the site file as it is.")

    async def database(self) -> Finding:
        """The database can be used, as it is or after an upgrade."""
        try:
            self._data = hub_data(self._examination.site, self._examination.environment)
            with self._copy() as (_, contents):
                self._contents = contents
        except SecretError as error:
            return self._examination.unreadable(error, _DATABASE)
        except (HubDataError, OSError) as error:
            do = "Take another backup, or the hub's jupyterhub.sqlite itself." if self._backup else _ELSEWHERE
            return failed(
                f"{error.filename}: {error.strerror}." if isinstance(error, OSError) else str(error),
                do,
                _DATABASE,
            )
        assert self._contents is not None
        holds = f"{self._contents.users} users and {self._contents.servers} running servers"
        try:
            self._old = not is_current(self._contents.revision, None)
        except DatabaseRefused:
            return failed(
                f"The database, with {holds}, is of a newer JupyterHub than {jupyterhub_version}.",
                "Deploy the version that wrote it, or a later one.",
            )
        if not self._old:
            return ok(f"The database, with {holds}, is as JupyterHub {jupyterhub_version} wants it.")
        if self._data.file is None and not self._examination.site.hub.upgrade_db:
            return failed(
                f"The database, with {holds}, is of an older JupyterHub, and the new hub would not start.",
                "Stop the old hub, make a dump with pg_dump, and set hub.upgrade_db to true.",
                ("hub", "upgrade_db"),
            )
        return ok(
            f"The database, with {holds}, is of an older JupyterHub: the new hub upgrades it as it starts, and older ones "
            "can't use it after that."
        )

    async def trial(self) -> Finding:
        """An upgrade of a copy goes well, and keeps everything."""
        if not self._old:
            return ok("There is nothing to upgrade.")
        if self._data is None or self._data.file is None:
            return skipped(
                "An upgrade of a PostgreSQL is not tried.",
                "Restore a dump into a second database, and start the new version on it.",
            )

        def try_it() -> tuple[Contents, float]:
            with self._copy() as (copy, _):
                began = time.monotonic()
                upgrade(f"sqlite:///{copy}", {}, logging.getLogger("xnathub.trial"), servers=True)
                return contents_of_file(copy), time.monotonic() - began

        try:
            after, seconds = await asyncio.to_thread(try_it)
        except (DatabaseRefused, HubDataError, OSError) as error:
            return failed(
                f"A copy of the database could not be upgraded: {error}",
                "Keep the old version, and report this, please.",
            )
        if self._contents is None or replace(after, revision=None) != replace(self._contents, revision=None):
            return failed(
                f"A copy lost something in its upgrade: {self._contents} became {after}.",
                "Keep the old version, and report this, please.",
            )
        return ok(f"A copy was upgraded in {seconds:.1f} s, with all its users and servers.")

    async def room(self) -> Finding:
        """The disk has room for the backup and the copy that an upgrade makes."""
        if not self._old or self._backup or self._data is None or self._data.file is None:
            return ok("Nothing is written beside the database.")
        size = self._data.file.stat().st_size
        free = shutil.disk_usage(self._data.file.parent).free
        told = (
            f"The upgrade needs {_megabytes(2 * size)} beside the database, and {_megabytes(free)} are free."
        )
        return (
            ok(told)
            if free > 2 * size
            else failed(told, "Make room on that disk, or the new hub does not start.")
        )

    @contextmanager
    def _copy(self) -> Iterator[tuple[Path, Contents]]:
        """Return a copy of the database as a file, and what is in it; of a PostgreSQL the latter alone. Raises HubDataError."""
        assert self._data is not None
        data = self._data
        if self._backup:
            with Path(self._backup).open("rb") as stream:
                if stream.read(len(_SQLITE)) != _SQLITE:
                    stream.seek(0)
                    with opened_backup(stream) as backup:
                        yield backup.database, backup.contents
                    return
            data = replace(data, file=Path(self._backup).resolve())
        if data.file is None:
            yield Path(), data.contents()
            return
        with tempfile.TemporaryDirectory(prefix="xnathub-upgrade-") as folder:
            copy = Path(folder) / "hub.sqlite"
            yield copy, copy_of(data, copy)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
