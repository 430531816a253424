"""`xnathub backup` and `restore` of a hub with a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import tarfile

import psycopg
import pytest

from tests.support import XNATHUB, RunningHub, Visitor, new_standin


@pytest.fixture
def hub(tmp_path, postgres):
    # A name of its own: the database `hub` is another test's.
    address = postgres.url.replace("+psycopg", "").rpartition("/")[0]
    admin = {"host": str(postgres.folder), "port": postgres.port, "user": "postgres", "autocommit": True}
    with psycopg.connect(dbname="postgres", **admin) as connection:
        connection.execute("create database kept owner hub")
    (tmp_path / "db_url").write_text(f"{address}/kept")
    with new_standin() as xnat:
        changes = {"hub": {"db_url": {"file": str(tmp_path / "db_url")}}}
        hub = RunningHub(tmp_path, xnat, changes)
        try:
            yield hub.start()
        finally:
            hub.stop()
            with psycopg.connect(dbname="postgres", **admin) as connection:
                connection.execute("drop database kept with (force)")


def test_a_dump_goes_back_where_no_hub_runs(hub, postgres):
    def xnathub(*words: str, tools: str = f"{postgres.programs}:") -> tuple[int, str]:
        environment = {**os.environ, "PATH": f"{tools}{XNATHUB.parent}"}
        done = subprocess.run(
            [XNATHUB, *words], cwd=hub.folder, env=environment, capture_output=True, text=True, timeout=120
        )
        said = done.stdout + done.stderr
        assert "secret-of-the-database" not in said
        return done.returncode, said

    visitor = Visitor(hub.url)
    visitor.sign_in("demo", hub.xnat.state.user("demo").password)
    code, said = xnathub("backup", "--output", "kept.tar.gz", tools="")
    assert code == 2
    assert "pg_dump is not installed here. Where it is, run: pg_dump --format=custom" in said
    code, said = xnathub("backup", "--output", "kept.tar.gz")
    assert (code, "the database with 1 user and 0 running servers" in said) == (0, True), said
    hub.api("POST", "/users/later")
    code, said = xnathub("restore", "--input", "kept.tar.gz")
    assert (code, "other connections. Stop the hub, and then restore." in said) == (2, True), said
    (hub.folder / "hub.log.txt").write_text("User logged in: demo")
    code, said = xnathub("support", "--output", "support.tar.gz", "--log", "hub.log.txt")
    assert code == 0, said
    with tarfile.open(hub.folder / "support.tar.gz") as bundle:
        assert bundle.extractfile("xnathub-support/log-1.txt").read() == b"User logged in: user-1"
    hub.stop()
    (hub.folder / "jupyterhub_cookie_secret").unlink()
    with psycopg.connect((hub.folder / "db_url").read_text(), autocommit=True) as connection:
        connection.execute("drop owned by hub")
        connection.execute("create schema if not exists public")
    code, said = xnathub("restore", "--input", "kept.tar.gz")
    assert (code, "The backup is in place." in said) == (0, True), said
    hub.start()
    assert [user["name"] for user in hub.api("GET", "/users").json()] == ["demo"]
    assert visitor.is_signed_in_as("demo")
