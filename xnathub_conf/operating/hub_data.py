"""Where a site's hub keeps what it knows: its database and its cookie secret."""

import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from xnathub_conf.operating.database_upgrade import file_revision, reason_of, server_revision
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.types import Site

COOKIE_SECRET_VARIABLE = "JPY_COOKIE_SECRET"  # noqa: S105 - its name
"""JupyterHub takes the cookie secret from it before it looks for a file."""

_USERS = "select count(*) from users"
_SERVERS = "select count(*) from spawners where server_id is not null"
_CONNECT_SECONDS = 10
_TOOL_SECONDS = 3600


class HubDataError(Exception):
    """The hub's data can't be had or put back; the text says why and what to do, and holds no secret."""


@dataclass(frozen=True)
class Contents:
    """What a database holds: JupyterHub's version of it, and how many users and running servers."""

    revision: str | None
    users: int
    servers: int


@dataclass(frozen=True)
class HubData:
    """A hub's database, a `file` or a server's `url`, and the file of its cookie secret, None where it has none.

    `owner` is the hub's UID and GID, None where it is not known.
    """

    url: URL
    file: Path | None
    cookie_secret: Path | None
    owner: tuple[int, int] | None

    @property
    def kind(self) -> str:
        """The kind of the database: sqlite or postgresql."""
        return "sqlite" if self.file else "postgresql"

    def contents(self) -> Contents:
        """Return what the database holds. Raises HubDataError where it can't be asked."""
        if self.file:
            return contents_of_file(self.file)
        with self._engine() as engine:
            revision = server_revision(engine)
        if revision == "":
            return Contents(revision, 0, 0)
        return Contents(revision, self._number(_USERS), self._number(_SERVERS))

    def others(self) -> int:
        """Return how many other connections the database of a server has. Raises HubDataError."""
        return self._number(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query gives. Raises HubDataError."""
        with self._engine() as engine, engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def _number(self, query: str) -> int:
        return int(self.rows(query)[0][0])

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        if self.file:
            # None is made where there is none, and nothing is written.
            engine = create_engine(f"sqlite:///{self.file.as_uri()}?mode=ro&uri=true")
        else:
            engine = create_engine(self.url, connect_args={"connect_timeout": _CONNECT_SECONDS})
        try:
            yield engine
        except (SQLAlchemyError, ImportError) as error:
            raise HubDataError(
                f"The hub's database can't be asked: {reason_of(error)}. See hub.db_url."
            ) from None
        finally:
            engine.dispose()

    def run_tool(self, tool: str, *words: str, by_hand: str) -> None:
        """Run pg_dump or pg_restore on the database, with its password in a variable. Raises HubDataError."""
        query = dict(self.url.query)
        password = query.pop("password", None) or self.url.password
        url = self.url
        address = URL.create(
            "postgresql", url.username, None, url.host, url.port, url.database, query
        ).render_as_string()
        environment = {**os.environ, "PGCONNECT_TIMEOUT": str(_CONNECT_SECONDS)}
        if password:
            environment["PGPASSWORD"] = str(password)
        try:
            done = subprocess.run(
                [tool, "--no-password", f"--dbname={address}", *words],
                env=environment,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=_TOOL_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise HubDataError(
                f"The hub's database is a PostgreSQL, and {tool} is not installed here. Where it is, run: "
                f"{by_hand.format(address=address)}"
            ) from None
        except subprocess.TimeoutExpired:
            raise HubDataError(
                f"{tool} did not end within {_TOOL_SECONDS} s. Look at the database's load."
            ) from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise HubDataError(f"{tool} failed: {lines[0]}")


def hub_data(site: Site, environment: Mapping[str, str]) -> HubData:
    """Return where the data of a site's hub are, seen from the folder that the hub runs in. Raises SecretError, HubDataError."""
    db_url = site.hub.db_url
    named = db_url.read(environment) if db_url else "jupyterhub.sqlite"
    # As JupyterHub does.
    try:
        url = make_url(with_driver(named) if "://" in named else f"sqlite:///{named}")
    except ArgumentError:
        raise HubDataError("hub.db_url names no database that can be understood.") from None
    backend = url.get_backend_name()
    file = None
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise HubDataError("hub.db_url names a database in memory, which nothing can be kept of.")
        file = Path(os.path.realpath(url.database))
    elif backend != "postgresql":
        raise HubDataError(f"hub.db_url names a {backend}, which can't be copied. Use its own tools.")
    secret = site.extra.get("JupyterHub.cookie_secret_file", "jupyterhub_cookie_secret")
    elsewhere = site.hub.cookie_secret or environment.get(COOKIE_SECRET_VARIABLE)
    cookie_secret = None if elsewhere else Path(os.path.realpath(Path(secret).expanduser()))
    owner = None if kind_of(site).own_processes else (site.hub.uid, site.hub.gid)
    return HubData(url, file, cookie_secret, owner)


def with_driver(db_url: str) -> str:
    """Name psycopg 3, which the hub's image holds, where a PostgreSQL address names no driver; SQLAlchemy takes psycopg2."""
    return re.sub("^postgres(ql)?://", "postgresql+psycopg://", db_url)


def contents_of_file(file: Path) -> Contents:
    """Return what an SQLite file holds. Raises HubDataError where it is damaged, or no hub's."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            (verdict,) = database.execute("pragma integrity_check(1)").fetchone()
            if verdict != "ok":
                raise HubDataError(f"{file.name} is damaged: {verdict}.")
            (users,), (servers,) = (database.execute(each).fetchone() for each in (_USERS, _SERVERS))
        return Contents(file_revision(file), users, servers)
    except sqlite3.Error as error:
        raise HubDataError(f"{file} can't be used as a hub's database: {error}.") from None
