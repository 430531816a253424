"""`xnathub upgrade --check` before an upgrade, and the upgrade itself, killed at 20 points."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, redirect_stdout
from pathlib import Path

import pytest

from tests.doctor import Diagnosis, diagnosis
from tests.hub.test_older_databases import make_database, users_of, version_of
from tests.unit.helpers import site_text
from xnathub_conf.cli import main


@pytest.fixture(scope="module")
def old_database(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("old") / "jupyterhub.sqlite"
    make_database("4.0.2", f"sqlite:///{file}", users=30)
    return file


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of a hub that is of no orchestrator that could be asked."""
    local = {"orchestrator": {"local": {"directory": str(tmp_path / "servers")}}}
    (tmp_path / "site.yaml").write_text(site_text(**local))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*words: str) -> Diagnosis:
    with redirect_stdout(io.StringIO()) as out:
        code = main(["upgrade", "--check", "--json", *words])
    return diagnosis(out.getvalue(), code)


def test_an_older_database_is_upgraded_as_a_copy(folder, old_database):
    file = folder / "jupyterhub.sqlite"
    shutil.copy(old_database, file)
    before = file.read_bytes()
    found = check()
    assert "with 30 users and 0 running servers, is of an older JupyterHub" in found.told(
        "upgrade.database", "ok"
    )
    assert "with all its users and servers" in found.told("upgrade.trial", "ok")
    assert "beside the database" in found.told("upgrade.room", "ok")
    assert found["upgrade.site"] in {"ok", "warning"}
    assert file.read_bytes() == before
    assert main(["backup", "--output", "kept.tar.gz"]) == 0
    file.unlink()
    assert "with all its users and servers" in check("--backup", "kept.tar.gz").told("upgrade.trial", "ok")
    assert "There is no database" in check().told("upgrade.database", "failed")
    # The hub that is to be left may know of no backups.
    shutil.copy(old_database, "theirs.sqlite")
    assert "with all its users and servers" in check("--backup", "theirs.sqlite").told("upgrade.trial", "ok")
    told = check("--backup", "none.tar.gz").told("upgrade.database", "failed")
    assert "none.tar.gz: No such file or directory. Take another backup" in told


def test_a_newer_one_is_told(folder, old_database):
    file = folder / "jupyterhub.sqlite"
    shutil.copy(old_database, file)
    with closing(sqlite3.connect(file)) as database:
        database.execute("update alembic_version set version_num = 'ffffffffffff'")
        database.commit()
    found = check()
    assert "is of a newer JupyterHub" in found.told("upgrade.database", "failed")
    assert found["upgrade.trial"] == "skipped"


KILLED = """
import json, logging, os, shutil, signal, sys
from pathlib import Path
from xnathub_conf.operating.database_upgrade import upgrade

def start(file, point):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    calls = 0
    def count(*_):
        nonlocal calls
        calls += 1
        if calls == point:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(count)
    upgrade(f"sqlite:///{file}", {}, logging.getLogger("killed"), servers=True)
    sys.setprofile(None)
    Path(f"{file}.calls").write_text(str(calls))
    os._exit(0)

folder, old = Path(sys.argv[1]), sys.argv[2]
def new(name):
    (folder / name).mkdir()
    return Path(shutil.copy(old, folder / name / "jupyterhub.sqlite"))
whole = new("whole")
start(whole, 0)
calls = int(Path(f"{whole}.calls").read_text())
print(json.dumps([start(new(str(number)), calls * number // 21) for number in range(1, 21)]))
"""


def test_killed_at_20_points_of_an_upgrade_no_database_is_lost(tmp_path, old_database):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, old_database], capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [9] * 20, "each was killed"
    old, new = version_of(old_database), version_of(tmp_path / "whole" / "jupyterhub.sqlite")
    assert old != new
    files = [tmp_path / str(number) / "jupyterhub.sqlite" for number in range(1, 21)]
    assert {version_of(file) for file in files} <= {old, new}
    assert {users_of(file) for file in files} == {30}
    # Where it was killed late, the next start has only its lock to take.
    again = (
        "import logging, sys; from xnathub_conf.operating.database_upgrade import upgrade\n"
        "for file in sys.argv[1:]: upgrade(f'sqlite:///{file}', {}, logging.getLogger(), servers=True)"
    )
    subprocess.run([sys.executable, "-c", again, *files], check=True, timeout=500)
    assert {(version_of(file), users_of(file)) for file in files} == {(new, 30)}
