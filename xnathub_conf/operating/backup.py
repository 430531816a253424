"""A backup of what a hub knows, made while it runs: one archive with the database, the cookie secret and the site file."""

import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from jupyterhub import __version__ as jupyterhub_version

from xnathub_conf import __version__
from xnathub_conf.operating.database_upgrade import copy_database
from xnathub_conf.operating.hub_data import Contents, HubData, HubDataError, contents_of_file

FORM = 1
MANIFEST, COOKIE_SECRET, SITE = "manifest.json", "cookie_secret", "site.yaml"
DATABASES = {"sqlite": "hub.sqlite", "postgresql": "hub.dump"}
"""What the database is called in an archive, by its kind; a dump is pg_dump's custom format."""

_MOST_BYTES = 64 << 10
"""More than a manifest or a cookie secret has."""


@dataclass(frozen=True)
class Backup:
    """What an archive holds, its parts unpacked as files: the database, and the cookie secret where it has one."""

    made: str
    xnathub: str
    jupyterhub: str
    kind: str
    contents: Contents
    database: Path
    cookie_secret: bytes | None


def write_backup(data: HubData, site_file: bytes, out: IO[bytes]) -> Backup:
    """Write an archive of a hub's data, which may change meanwhile, to a stream. Raises HubDataError."""
    with tempfile.TemporaryDirectory(prefix="xnathub-backup-") as folder:
        database = Path(folder) / DATABASES[data.kind]
        contents = copy_of(data, database)
        secret = _cookie_secret(data)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        parts: dict[str, Path | bytes] = {database.name: database, SITE: site_file}
        if secret is not None:
            parts[COOKIE_SECRET] = secret
        manifest = {
            "form": FORM,
            "made": made,
            "xnathub": __version__,
            "jupyterhub": jupyterhub_version,
            "database": {"kind": data.kind, **vars(contents)},
            "sha256": {name: _digest(part) for name, part in parts.items()},
        }
        with tarfile.open(fileobj=out, mode="w|gz") as archive:
            for name, part in ((MANIFEST, json.dumps(manifest, indent=2).encode()), *parts.items()):
                _add(archive, name, part)
        return Backup(made, __version__, jupyterhub_version, data.kind, contents, database, secret)


def copy_of(data: HubData, target: Path) -> Contents:
    """Write a copy of a hub's database, which may be in use, and give what it holds. Raises HubDataError."""
    if data.file is None:
        # The dump may be of a moment later: these counts are for people.
        contents = data.contents()
        data.run_tool(
            "pg_dump",
            *("--format=custom", "--no-owner", f"--file={target}"),
            by_hand="pg_dump --format=custom --no-owner --file=hub.dump '{address}'",
        )
        return contents
    if not data.file.exists():
        raise HubDataError(
            f"There is no database {data.file}. Run this where the hub runs: in its container, or in its folder."
        )
    try:
        with closing(sqlite3.connect(f"{data.file.as_uri()}?mode=ro", uri=True, timeout=30)) as database:
            copy_database(database, target)
        with closing(sqlite3.connect(target)) as copy:
            copy.execute("pragma journal_mode = delete")
    except (sqlite3.Error, OSError) as error:
        raise HubDataError(f"{data.file} can't be copied: {error}.") from None
    return contents_of_file(target)


def _cookie_secret(data: HubData) -> bytes | None:
    if data.cookie_secret is None:
        return None
    try:
        return data.cookie_secret.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HubDataError(
            f"{data.cookie_secret} can't be read: {error.strerror}. Run this as the hub's user."
        ) from None


def _digest(part: Path | bytes) -> str:
    if isinstance(part, bytes):
        return hashlib.sha256(part).hexdigest()
    with part.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(archive: tarfile.TarFile, name: str, part: Path | bytes) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = 0o600, int(datetime.now(UTC).timestamp())
    info.size = len(part) if isinstance(part, bytes) else part.stat().st_size
    with io.BytesIO(part) if isinstance(part, bytes) else part.open("rb") as content:
        archive.addfile(info, content)


@contextmanager
def opened_backup(source: IO[bytes]) -> Iterator[Backup]:
    """Unpack an archive and check it whole. Raises HubDataError where it is none, is damaged or of a newer kind."""
    with tempfile.TemporaryDirectory(prefix="xnathub-restore-") as name:
        folder = Path(name)
        try:
            digests = _unpack(source, folder)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise HubDataError(f"This is no whole backup of a hub: {error}.") from None
        yield _checked(folder, digests)


def _unpack(source: IO[bytes], folder: Path) -> dict[str, str]:
    """Write the parts that are known into a folder, and give the digest of each."""
    digests: dict[str, str] = {}
    with tarfile.open(fileobj=source, mode="r|gz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or member.name not in {MANIFEST, COOKIE_SECRET, SITE, *DATABASES.values()}:
                raise tarfile.TarError(f"{member.name!r} is no part of one")
            target = folder / member.name
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                while block := content.read(1 << 20):
                    file.write(block)
            digests[member.name] = _digest(target)
    return digests


def _checked(folder: Path, digests: dict[str, str]) -> Backup:
    try:
        manifest: dict[str, Any] = json.loads(_small(folder / MANIFEST))
        if manifest["form"] != FORM:
            raise HubDataError(
                f"The backup was made by xnathub {manifest['xnathub']}, in a form that this version does not know. "
                "Use that version."
            )
        database = manifest["database"]
        for name in (DATABASES[database["kind"]], *manifest["sha256"]):
            if digests.get(name) != manifest["sha256"].get(name):
                raise HubDataError(
                    f"The backup is damaged: {name} in it is not as it was written. Use another one."
                )
        file = folder / DATABASES[database["kind"]]
        contents = Contents(database["revision"], int(database["users"]), int(database["servers"]))
        return Backup(
            str(manifest["made"]),
            str(manifest["xnathub"]),
            str(manifest["jupyterhub"]),
            database["kind"],
            contents_of_file(file) if database["kind"] == "sqlite" else contents,
            file,
            _small(folder / COOKIE_SECRET) if COOKIE_SECRET in digests else None,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise HubDataError("This is no backup of a hub: its list of contents can't be read.") from None


def _small(file: Path) -> bytes:
    if file.stat().st_size > _MOST_BYTES:
        raise ValueError(file.name)
    return file.read_bytes()
