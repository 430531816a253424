"""`xnathub backup` and `xnathub restore`."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, TypeVar

from xnathub_conf.cli.reports import count
from xnathub_conf.operating.backup import Backup, opened_backup, write_backup
from xnathub_conf.operating.hub_data import HubDataError, hub_data
from xnathub_conf.operating.restore import restore
from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import SiteError
from xnathub_conf.site.schema import secrets_in
from xnathub_conf.values.secret import SecretError

_T = TypeVar("_T")


def backup(file: str, output: str) -> int:
    """Write a backup of a site's hub into a new file, which its owner alone may read, or to standard output for -.

    Gives 1 where the site is not valid, 2 where the backup can't be made; no file is left then.
    """
    if output == "-" and sys.stdout.isatty():
        print(
            "A backup is no text for a terminal. Name a file with --output, or redirect it.", file=sys.stderr
        )
        return 2
    try:
        loaded = load(file)
        data = hub_data(loaded.site, os.environ)
        if output == "-":
            made = write_backup(data, Path(file).read_bytes(), sys.stdout.buffer)
        else:
            made = write_file(Path(output), lambda out: write_backup(data, Path(file).read_bytes(), out))
    except (SiteError, HubDataError, SecretError, OSError) as error:
        return _not_done(error, f"{output} can't be written")
    told = sys.stderr if output == "-" else sys.stdout
    print(f"Kept: {_holds(made)}.", file=told)
    if needed := _needed(loaded):
        print(f"Not in it, and needed to run the hub again: {', '.join(needed)}.", file=told)
    return 0


def restore_from(file: str, source: str) -> int:
    """Put the backup in a file, or standard input for -, in the place of what a site's hub has.

    Gives 1 where the site is not valid, 2 where the backup can't be used; nothing is changed then.
    """
    try:
        loaded = load(file)
        data = hub_data(loaded.site, os.environ)
        with _opened(source) as stream, opened_backup(stream) as found:
            done = restore(found, data)
    except (SiteError, HubDataError, SecretError, OSError) as error:
        return _not_done(error, f"{source} can't be read")
    print(f"From {found.made}, of xnathub {found.xnathub}: {_holds(found)}.")
    if found.cookie_secret and not data.cookie_secret:
        print("The cookie secret in it is left out: this hub's is named in site.yaml, or in a variable.")
    print(done)
    return 0


def _not_done(error: Exception, undone: str) -> int:
    """Print why a command was not carried out, and return its exit code; `undone` is what the system refused."""
    print(f"{undone}: {error.strerror}." if isinstance(error, OSError) else error, file=sys.stderr)
    return 1 if isinstance(error, SiteError) else 2


def write_file(path: Path, write: Callable[[IO[bytes]], _T]) -> _T:
    """Write a new file, which its owner alone may read, and give what `write` gives. None is left where it raises."""
    part = path.with_name(f"{path.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            os.fchmod(out.fileno(), 0o600)
            made = write(out)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return made


def _opened(source: str) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(sys.stdin.buffer) if source == "-" else Path(source).open("rb")


def _holds(backup: Backup) -> str:
    contents = backup.contents
    secret = "the cookie secret" if backup.cookie_secret else "no cookie secret"
    return f"the database with {count(contents.users, 'user')} and {count(contents.servers, 'running server')}, {secret}, site.yaml"


def _needed(loaded: LoadedSite) -> list[str]:
    """Name the files and variables that hold the site's secrets."""
    places = [str(secret) for _, secret in secrets_in(loaded.site) if secret.kind != "literal"]
    return list(dict.fromkeys(places))
