"""Databases that JupyterHubs of other ages have made, with users and servers that run on."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import requests

from tests import old_jupyterhubs
from tests.support import RunningHub, Visitor, new_standin, wait_until
from xnathub_conf.cli.run import hub_environment

OLD_CONFIG = """
c.JupyterHub.bind_url = "{bind_url}/jupyterhub/"
c.JupyterHub.hub_bind_url = "{hub_bind_url}"
c.JupyterHub.db_url = "{db_url}"
c.ConfigurableHTTPProxy.api_url = "{proxy_api_url}"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.cleanup_servers = False
c.Spawner.args = ["--allow-root"]
c.Spawner.env_keep = ["PATH"]
c.JupyterHub.services = [{{"name": "xnat", "api_token": open("token").read()}}]
c.JupyterHub.load_roles = [
    {{"name": "xnat", "scopes": ["admin:servers", "admin:users", "read:hub", "tokens", "access:servers"], "services": ["xnat"]}}
]
"""


@contextlib.contextmanager
def old_hub(version: str, hub: RunningHub, db_url: str):
    """Run a JupyterHub of that version in a hub's folder, at its addresses and with its token; its servers outlive it."""
    config = hub.folder / f"config-{version}.py"
    config.write_text(
        OLD_CONFIG.format(
            bind_url=f"http://127.0.0.1:{hub.port}",
            hub_bind_url=hub.hub_bind_url,
            db_url=db_url,
            proxy_api_url=hub.site["extra"]["ConfigurableHTTPProxy.api_url"],
        )
    )
    programs = old_jupyterhubs.programs(version)
    environment = hub_environment(hub.site_file)
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    with hub.log.open("ab") as log:
        process = subprocess.Popen(
            [programs / "jupyterhub", "--config", config],
            cwd=hub.folder,
            env=environment,
            stdout=log,
            stderr=log,
        )

    def healthy() -> bool:
        assert process.poll() is None, hub.log.read_text()
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{hub.url}/hub/health", timeout=5).status_code == 200
        return False

    try:
        wait_until(healthy, 60, f"the start of JupyterHub {version}")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def with_server(hub: RunningHub) -> dict:
    """Add two users to the hub, one with a server that runs."""
    for user in ("alice", "bob"):
        assert hub.api("POST", f"/users/{user}").status_code == 201
    assert hub.api("POST", "/users/alice/server").status_code in {201, 202}
    return wait_until(lambda: server_of(hub), 60, "the server")


def server_of(hub: RunningHub, user: str = "alice") -> dict | None:
    server = hub.api("GET", f"/users/{user}").json().get("servers", {}).get("")
    return server if server and server["ready"] else None


@pytest.fixture
def hub(tmp_path):
    with new_standin() as xnat:
        hub = RunningHub(tmp_path, xnat)
        yield hub
        hub.stop()


def backups(folder: Path) -> list[Path]:
    return sorted(folder.glob("jupyterhub.sqlite.backup-*"))


def version_of(file: Path) -> str:
    with contextlib.closing(sqlite3.connect(file)) as database:
        return database.execute("select version_num from alembic_version").fetchone()[0]


@pytest.mark.parametrize("version", ["4.0.2", "5.3.0"])
def test_the_file_of_an_older_jupyterhub_is_upgraded_with_users_and_running_servers(hub, version):
    file = hub.folder / "jupyterhub.sqlite"
    with old_hub(version, hub, f"sqlite:///{file}"):
        before = with_server(hub)
        old = version_of(file)
    position = hub.log.stat().st_size
    hub.start()
    try:
        said = [line for line in hub.log_since(position).splitlines() if "upgrad" in line.lower()]
        (backup,) = backups(hub.folder)
        assert len(said) == 1, said
        assert str(backup) in said[0]
        assert version_of(backup) == old != version_of(file)
        assert {path.stat().st_mode & 0o777 for path in (file, backup)} == {0o600}
        assert not list(hub.folder.glob("*.upgrad*"))
        assert {"alice", "bob"} <= {user["name"] for user in hub.api("GET", "/users").json()}
        after = server_of(hub)
        assert after, hub.log_since(position)
        assert (after["started"], after["url"]) == (before["started"], before["url"])
        # XNAT has to say yes once: this hub asks it of everybody, and the old one asked nobody.
        Visitor(hub.url).sign_in("alice", hub.xnat.state.user("alice").password)
        token = hub.plugin.token("alice", "a test", 600)
        status = requests.get(
            f"http://127.0.0.1:{hub.port}{after['url']}api/status",
            headers={"Authorization": f"token {token}"},
            timeout=10,
        )
        assert status.status_code == 200, status.text
    finally:
        hub.api("DELETE", "/users/alice/server")
        hub.stop()
    position = hub.log.stat().st_size
    hub.start()
    assert "upgrad" not in hub.log_since(position).lower()
    assert len(backups(hub.folder)) == 1


_UPGRADE = """
import logging, sys
from xnathub_conf.operating.database_upgrade import DatabaseRefused, upgrade
log = logging.getLogger("hub")
log.addHandler(logging.StreamHandler(sys.stdout))
log.setLevel(logging.INFO)
try:
    upgrade(sys.argv[1], {}, log, servers=False)
except DatabaseRefused as refused:
    sys.exit(str(refused))
"""


def start_upgrade(file: Path, **who) -> subprocess.Popen:
    command = [sys.executable, "-c", _UPGRADE, f"sqlite:///{file}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **who)


def make_database(version: str, db_url: str, users: int = 1) -> None:
    """Let the packages of a JupyterHub make a database with users."""
    code = (
        "import sys; from jupyterhub import orm; db = orm.new_session_factory(sys.argv[1])()\n"
        f"for n in range({users}): db.add(orm.User(name=f'user{{n}}'))\n"
        "db.commit()"
    )
    python = old_jupyterhubs.programs(version) / "python"
    subprocess.run([python, "-c", code, db_url], check=True, capture_output=True, timeout=60)


def users_of(file: Path) -> int:
    with contextlib.closing(sqlite3.connect(file)) as database:
        return database.execute("select count(*) from users").fetchone()[0]


def test_hubs_that_start_at_once_upgrade_a_file_once(tmp_path):
    file = tmp_path / "jupyterhub.sqlite"
    make_database("4.0.2", f"sqlite:///{file}", users=200)
    hubs = [start_upgrade(file) for _ in range(4)]
    ends = [(*hub.communicate(timeout=240), hub.returncode) for hub in hubs]
    assert [code for *_, code in ends] == [0] * 4, ends
    assert sum("was upgraded" in said for said, *_ in ends) == 1, ends
    assert len(backups(tmp_path)) == 1
    assert users_of(file) == 200


def test_a_hub_that_is_killed_as_it_upgrades_leaves_a_whole_database(tmp_path):
    file = tmp_path / "jupyterhub.sqlite"
    make_database("4.0.2", f"sqlite:///{file}", users=50)
    old = version_of(file)
    for delay in (0.8, 1.0, 1.2, 1.4, 1.6):
        hub = start_upgrade(file)
        with contextlib.suppress(subprocess.TimeoutExpired):
            hub.wait(delay)
        hub.kill()
        hub.communicate()
        assert users_of(file) == 50
        if version_of(file) != old:
            break
    assert start_upgrade(file).wait(30) == 0
    assert version_of(file) != old
    assert users_of(file) == 50
    assert not list(tmp_path.glob("*.upgrading"))


def test_the_database_of_a_newer_jupyterhub_is_refused(hub):
    file = hub.folder / "jupyterhub.sqlite"
    make_database("6.1.1", f"sqlite:///{file}")
    (hub.folder / "jupyterhub.sqlite.backup-20260101T000000Z").write_bytes(b"")
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("update alembic_version set version_num = 'ffffffffffff'")
        database.commit()
    before = file.read_bytes()
    hub.begin()
    assert hub.process.wait(60) == 1
    hub.process = None
    said = hub.log.read_text()
    assert "is of a newer JupyterHub than this one" in said
    assert "backup-20260101T000000Z" in said
    assert "Traceback" not in said
    assert file.read_bytes() == before


def test_a_file_that_cannot_be_backed_up_stays_as_it_is(tmp_path):
    file = tmp_path / "jupyterhub.sqlite"
    make_database("4.0.2", f"sqlite:///{file}")
    before = file.read_bytes()
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("begin exclusive")
        hub = start_upgrade(file)
        _, said = hub.communicate(timeout=60)
    assert hub.returncode == 0 or "It is as it was." in said
    assert file.read_bytes() == before


def test_an_upgrade_that_fails_again_and_again_leaves_nothing_behind(tmp_path):
    file = tmp_path / "jupyterhub.sqlite"
    make_database("4.0.2", f"sqlite:///{file}")
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("drop table spawners")
    before = file.read_bytes()
    for _ in range(2):
        hub = start_upgrade(file)
        _, said = hub.communicate(timeout=60)
        assert hub.returncode == 1
        assert "no such table: spawners. It is as it was." in said
    assert file.read_bytes() == before
    assert not backups(tmp_path)
    assert not list(tmp_path.glob("*.upgrading"))


@pytest.mark.skipif(os.getuid() != 0, reason="gives files to other users")
@pytest.mark.parametrize(("owner", "mode"), [((1000, 0), 0o600), ((0, 999), 0o660)])
def test_a_hub_with_another_user_or_group_than_the_old_one_upgrades_its_file(owner, mode):
    # Everybody may enter it, as pytest's own folders they may not.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "jupyterhub.sqlite")
        make_database("4.0.2", f"sqlite:///{file}")
        os.chown(folder, 1000, 999)
        os.chown(file, *owner)
        file.chmod(mode)
        hub = start_upgrade(file, user=1000, group=999, extra_groups=[])
        _, said = hub.communicate(timeout=60)
        assert hub.returncode == 0, said
        assert (file.stat().st_uid, file.stat().st_mode & 0o777) == (1000, 0o600)
        assert len(backups(Path(folder))) == 1
        assert users_of(file) == 1
