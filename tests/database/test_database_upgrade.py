"""A real PostgreSQL with the database of an older JupyterHub."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.hub.test_older_databases import make_database
from xnathub_conf.operating.database_upgrade import DatabaseRefused, upgrade


@pytest.fixture(params=["4.0.2", "5.3.0"])
def old_database(postgres, request):
    """Return the address of an older JupyterHub's database with 20 users."""
    address = postgres.url.replace("+psycopg", "").rpartition("/")[0]
    admin = {"host": str(postgres.folder), "port": postgres.port, "user": "postgres", "autocommit": True}
    with psycopg.connect(dbname="postgres", **admin) as connection:
        connection.execute("create database old owner hub")
    make_database(request.param, f"{postgres.url.rpartition('/')[0]}/old", users=20)
    yield f"{address}/old"
    with psycopg.connect(dbname="postgres", **admin) as connection:
        connection.execute("drop database old with (force)")


def facts(address: str) -> tuple[str, int]:
    with psycopg.connect(address) as connection:
        version = connection.execute("select version_num from alembic_version").fetchone()[0]
        return version, connection.execute("select count(*) from users").fetchone()[0]


def with_driver(address: str) -> str:
    return address.replace("postgresql:", "postgresql+psycopg:")


def test_it_is_upgraded_only_where_the_site_says_so(old_database):
    before = facts(old_database)
    with pytest.raises(
        DatabaseRefused, match="Make a dump of it with pg_dump, then set `upgrade_db: true`"
    ) as raised:
        upgrade(with_driver(old_database), {}, logging.getLogger("hub"), servers=False)
    assert "secret-of-the-database" not in str(raised.value)
    assert facts(old_database) == before

    def start(_):
        upgrade(with_driver(old_database), {}, logging.getLogger("hub"), servers=True)

    # Alembic, outside of a hub, sets up the root's handlers anew.
    log, said = logging.getLogger("hub"), []
    log.handlers, log.level = [logging.Handler()], logging.INFO
    log.handlers[0].emit = lambda record: said.append(record.getMessage())
    with ThreadPoolExecutor(3) as hubs:
        list(hubs.map(start, range(3)))
    version, users = facts(old_database)
    assert (version != before[0], users) == (True, 20)
    assert sum("was upgraded" in line for line in said) == 1, said
    assert "secret-of-the-database" not in "".join(said)


def test_a_newer_one_is_refused_and_stays(old_database):
    with psycopg.connect(old_database) as connection:
        connection.execute("update alembic_version set version_num = 'ffffffffffff'")
    before = facts(old_database)
    with pytest.raises(DatabaseRefused, match="is of a newer JupyterHub than this one"):
        upgrade(with_driver(old_database), {}, logging.getLogger("hub"), servers=True)
    assert facts(old_database) == before
