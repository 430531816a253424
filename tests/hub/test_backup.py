"""`xnathub backup` of a hub that runs, and `xnathub restore` of what was lost."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.support import XNATHUB, RunningHub, Visitor, new_standin
from xnathub_conf.cli.backup import restore_from


def xnathub(hub: RunningHub, *words: object, folder: Path | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [XNATHUB, *map(str, words)], cwd=folder or hub.folder, capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    for secret in (hub.token, hub.cookie_secret, hub.xnat.state.user("jupyterhub").password):
        assert not secret or secret not in said
    return done.returncode, said


def users(hub: RunningHub) -> set[str]:
    return {user["name"] for user in hub.api("GET", "/users").json()}


def owner(hub: RunningHub, token: str) -> str:
    """Return whose token the hub takes it for."""
    headers = {"Authorization": f"token {token}"}
    return requests.get(f"{hub.url}/hub/api/user", headers=headers, timeout=30).json()["name"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with new_standin() as xnat:
        hub = RunningHub(tmp_path_factory.mktemp("hub"), xnat)
        try:
            yield hub.start()
        finally:
            hub.stop()


@pytest.fixture(scope="module")
def kept(hub: RunningHub) -> tuple[Path, Visitor, str]:
    """A backup made while users are added, who was signed in then, and a token of theirs."""
    visitor = Visitor(hub.url)
    visitor.sign_in("demo", hub.xnat.state.user("demo").password)
    token = hub.api("POST", "/users/demo/tokens", json={"note": "kept"}).json()["token"]
    ended = threading.Event()

    def add_users() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            hub.api("POST", f"/users/made-{number}")

    adds = threading.Thread(target=add_users)
    adds.start()
    archive = hub.folder / "kept.tar.gz"
    try:
        code, said = xnathub(hub, "backup", "site.yaml", "--output", archive)
    finally:
        ended.set()
        adds.join()
    assert code == 0, said
    assert "the cookie secret, site.yaml." in said
    assert f"Not in it, and needed to run the hub again: {{file: {hub.folder}/password}}" in said
    assert archive.stat().st_mode & 0o777 == 0o600
    return archive, visitor, token


def test_the_archive_holds_a_whole_database(hub: RunningHub, kept, tmp_path):
    with tarfile.open(kept[0]) as archive:
        assert all(member.mode == 0o600 for member in archive)
        archive.extractall(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    with closing(sqlite3.connect(tmp_path / "hub.sqlite")) as database:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
        names = {name for (name,) in database.execute("select name from users")}
    assert "demo" in names
    assert manifest["database"]["users"] == len(names)
    assert (tmp_path / "cookie_secret").read_text().strip() == hub.cookie_secret
    assert (tmp_path / "site.yaml").read_bytes() == hub.site_file.read_bytes()


def test_a_hub_that_runs_takes_it_when_it_starts_next(hub: RunningHub, kept):
    archive, visitor, token = kept
    hub.api("POST", "/users/later")
    code, said = xnathub(hub, "restore", "site.yaml", "--input", archive)
    assert (code, "The hub runs." in said) == (0, True), said
    assert "later" in users(hub), "nothing changes before"
    hub.stop()
    position = hub.log.stat().st_size
    hub.start()
    assert "later" not in users(hub)
    assert visitor.is_signed_in_as("demo")
    assert owner(hub, token) == "demo"
    assert "is the backup that `xnathub restore` left. What was there is kept in" in hub.log_since(position)
    (before,) = hub.folder.glob("jupyterhub.sqlite.before-restore-*")
    with closing(sqlite3.connect(before)) as database:
        assert database.execute("select count(*) from users where name = 'later'").fetchone() == (1,)
    hub.stop()
    hub.start()
    assert len(list(hub.folder.glob("jupyterhub.sqlite.before-restore-*"))) == 1, "it is taken once"


def test_what_was_lost_is_found_again(hub: RunningHub, kept):
    archive, visitor, token = kept
    hub.stop()
    for file in hub.folder.glob("jupyterhub*"):
        file.unlink()
    with archive.open("rb") as stream:
        done = subprocess.run(
            [XNATHUB, "restore", "--input", "-"],
            cwd=hub.folder,
            stdin=stream,
            capture_output=True,
            text=True,
            check=True,
        )
    assert "The backup is in place. Start the hub." in done.stdout
    for name in ("jupyterhub.sqlite", "jupyterhub_cookie_secret"):
        assert (hub.folder / name).stat().st_mode & 0o777 == 0o600
    hub.start()
    assert visitor.is_signed_in_as("demo")
    assert owner(hub, token) == "demo"


def remade(archive: Path, target: Path, change) -> Path:
    """Write an archive anew with its manifest changed."""
    with tarfile.open(archive) as old, tarfile.open(target, "w:gz") as new:
        for member in old:
            content = old.extractfile(member).read()
            if member.name == "manifest.json":
                content = json.dumps(change(json.loads(content))).encode()
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return target


def test_what_is_no_whole_backup_changes_nothing(hub: RunningHub, kept, tmp_path, monkeypatch, capsys):
    whole = kept[0].read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tar.gz").write_text("a backup")
    with tarfile.open(tmp_path / "climbs.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../site.yaml"), io.BytesIO())
    with tarfile.open(tmp_path / "empty.tar.gz", "w:gz"):
        pass

    def newer(manifest):
        return {**manifest, "form": 2, "xnathub": "9.0"}

    def changed(manifest):
        return {**manifest, "sha256": {**manifest["sha256"], "cookie_secret": "0" * 64}}

    remade(kept[0], tmp_path / "newer.tar.gz", newer)
    remade(kept[0], tmp_path / "changed.tar.gz", changed)
    expected = {
        "cut": "This is no whole backup of a hub",
        "text": "This is no whole backup of a hub",
        "climbs": "is no part of one",
        "empty": "This is no backup of a hub",
        "newer": "The backup was made by xnathub 9.0",
        "changed": "The backup is damaged: cookie_secret in it is not as it was written",
        "missing": "can't be read: No such file or directory",
    }
    before = users(hub)
    monkeypatch.chdir(hub.folder)
    for name, sentence in expected.items():
        code = restore_from("site.yaml", str(tmp_path / f"{name}.tar.gz"))
        said = capsys.readouterr().err
        assert (code, sentence in said) == (2, True), said
    assert not list(hub.folder.glob("*.to-restore*"))
    assert users(hub) == before


def test_a_folder_without_a_hub_is_told(hub: RunningHub, tmp_path):
    code, said = xnathub(hub, "backup", hub.site_file, "--output", tmp_path / "x.tar.gz", folder=tmp_path)
    assert code == 2
    assert "Run this where the hub runs: in its container, or in its folder." in said
    assert not list(tmp_path.iterdir())
