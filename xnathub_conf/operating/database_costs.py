"""What JupyterHub's database costs the hub's loop beyond need: a start commits ten times, and nothing else goes on meanwhile."""

import sqlite3
from functools import partial

from jupyterhub import orm
from jupyterhub.oauth import provider
from jupyterhub.utils import hash_token
from sqlalchemy import event
from sqlalchemy.engine import Engine

from xnathub_conf.operating.replaced_names import replace_name

_register_ping = orm.register_ping_connection


def spare_the_loop() -> None:
    """Put all of this in place, for a process.

    - SQLite gets a write-ahead log: a commit waits for the disk once, not thrice, and is as durable
      (https://sqlite.org/wal.html). The last connection that closes writes what is in `…-wal` back and removes it.
    - A database that is a file is not asked before each transaction whether it still answers.
    - A server's token, which is random, is hashed once as its OAuth client's secret, as JupyterHub does where it keeps the
      same token as a token, and not 16,384 times as a password.
    """
    if not event.contains(Engine, "connect", _begin):
        event.listen(Engine, "connect", _begin)
    replace_name(orm, "register_ping_connection", "(engine)", _ping_servers)
    replace_name(
        provider,
        "hash_token",
        "(token, salt=8, rounds=16384, algorithm='sha512')",
        partial(hash_token, rounds=1),
    )


def _begin(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode = WAL")


def _ping_servers(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        _register_ping(engine)
