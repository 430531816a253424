"""`xnathub doctor --against`: a JupyterHub as the reference has it runs beside the new hub, both real, with one XNAT."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml

from tests import old_jupyterhubs
from tests.doctor import Diagnosis, diagnose
from tests.support import SMALL_SERVER, free_port, merged, wait_until
from xnathub_conf.cli import main
from xnathub_conf.cli.run import hub_environment
from xnathub_conf.doctor.old_hub import old_hub_url

CONFIG = """
c.JupyterHub.bind_url = "{url}/"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.JupyterHub.db_url = "sqlite:///old.sqlite"
c.JupyterHub.services = [dict(name="xnat", api_token=open("token").read())]
c.JupyterHub.load_roles = [
    dict(name="xnat", scopes=["admin:servers", "admin:users", "read:hub", "tokens"], services=["xnat"])
]
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"alice", "boss"}}
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.allow_named_servers = True
c.Spawner.cmd = {command!r}
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
"""
MANY = [f"user{number:03}" for number in range(240)]
"""More than a page of users."""
NAMED = "20260728T120000123Z"
SKIPPED = ("--skip=files", "--skip=public_url", "--skip=xnat.settings")


@dataclass
class OldHub:
    url: str
    token_file: Path

    def api(self, method: str, path: str, **kwargs) -> requests.Response:
        headers = {"Authorization": f"token {self.token_file.read_text()}"}
        answer = requests.request(method, f"{self.url}/hub/api{path}", headers=headers, timeout=60, **kwargs)
        assert answer.ok, answer.text
        return answer


@pytest.fixture(scope="module")
def old(_hub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    url = f"http://127.0.0.1:{free_port()}/jupyterhub"
    (folder / "token").write_text(secrets.token_hex(32))
    (folder / "serve.py").write_text(SMALL_SERVER.command.partition("-c '")[2].removesuffix("'"))
    (folder / "config.py").write_text(
        CONFIG.format(
            url=url,
            hub_port=free_port(),
            proxy_port=free_port(),
            folder=folder,
            command=[sys.executable, f"{folder}/serve.py"],
        )
    )
    environment = hub_environment(_hub.site_file)
    programs = old_jupyterhubs.programs("4.0.2")
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [programs / "jupyterhub", "--config", "config.py"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )

    def healthy() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{url}/hub/health", timeout=5).status_code == 200
        return False

    try:
        wait_until(healthy, 120, "the old hub's start")
        hub = OldHub(url, folder / "token")
        hub.api("POST", "/users", json={"usernames": ["alice", "bob", *MANY]})
        for path in ("/users/alice/server", f"/users/alice/servers/{NAMED}"):
            hub.api("POST", path, json={})

        def run() -> bool:
            servers = hub.api("GET", "/users/alice").json()["servers"]
            return len(servers) == 2 and all(each["ready"] for each in servers.values())

        wait_until(run, 120, "the old hub's servers")
        yield hub
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def site(hub, xnat, tmp_path):
    def write(changes: dict | None = None) -> Path:
        (tmp_path / "site.yaml").write_text(
            yaml.safe_dump(merged(yaml.safe_load(hub.site_file.read_text()), changes or {}))
        )
        return tmp_path / "site.yaml"

    for server in ("", NAMED):
        xnat.state.launch("alice", xnat.state.projects("alice")[0].id, server)
    return write


def against(old: OldHub, site_file: Path, *more: str) -> Diagnosis:
    found = diagnose(site_file, "--against", old.url, "--against-token", str(old.token_file), *SKIPPED, *more)
    assert old.token_file.read_text() not in found.text
    return found


def test_before_the_move_all_that_differs_is_told(old, hub, site):
    for name in ("Bob", "user000"):
        hub.plugin.ensure_user(name)
    found = against(old, site())
    assert f"JupyterHub 4.0.2 answers at {old.url}/, with 243 users and 2 servers" in found.told(
        "old_hub.answers", "ok"
    )
    told = found.told("old_hub.users", "warning")
    assert "of 243 users of the old hub are not at the new one: " in told
    assert "user239" not in told
    assert " more" in told
    assert "bob as Bob" in told
    assert "Admins of the old hub alone: boss. " in told
    assert "[hub.admin_users]" in told
    assert f"2 of 2 servers run at the old hub alone: alice, alice/{NAMED}" in found.told(
        "old_hub.servers", "warning"
    )
    assert "2 servers of the old hub: xnat/datascience-notebook:1.3.0" in found.told("old_hub.images", "ok")
    assert found.code == 0


def test_an_image_that_the_new_hub_would_refuse_is_a_fault(old, site):
    told = against(old, site({"servers": {"allowed_images": ["other/*"]}})).told("old_hub.images", "failed")
    assert f"refuse 2 of 2 servers of the old hub: alice, alice/{NAMED}." in told
    assert "[servers.allowed_images]" in told


def test_after_the_move_all_is_the_same(old, hub, xnat, site):
    assert hub.api("POST", "/users", json={"usernames": ["bob", *MANY]}).ok
    old.api("DELETE", "/users/boss")
    xnat.state.environment = SMALL_SERVER
    for server in ("", NAMED):
        hub.plugin.start("alice", xnat.state.launch("alice", xnat.state.projects("alice")[0].id, server))
        hub.plugin.wait_ready("alice", server)
    found = against(old, site())
    assert "All 242 users of the old hub are at the new one" in found.told("old_hub.users", "ok")
    assert "All 2 servers of the old hub run at the new one too" in found.told("old_hub.servers", "ok")
    assert "images of 2 servers" in found.told("old_hub.images", "ok")


def test_an_old_hub_that_can_t_be_asked(old, hub, site, tmp_path, monkeypatch):
    site_file = site()
    wrong = tmp_path / "wrong"
    wrong.write_text("x" * 40)
    assert "refuses the token with 403" in against(OldHub(old.url, wrong), site_file).told(
        "old_hub.answers", "failed"
    )
    elsewhere = OldHub(f"http://127.0.0.1:{free_port()}", old.token_file)
    assert "See that it still runs" in against(elsewhere, site_file).told("old_hub.answers", "failed")
    no_hub = OldHub(hub.xnat.url, old.token_file)
    assert "none of a hub's API" in against(no_hub, site_file).told("old_hub.answers", "failed")
    monkeypatch.delenv("XNATHUB_AGAINST_TOKEN", raising=False)
    said = diagnose(site_file, "--against", old.url, *SKIPPED)
    assert "The variable XNATHUB_AGAINST_TOKEN is not set" in said.told("old_hub.answers", "failed")
    assert said["old_hub.images"] == "skipped"
    monkeypatch.setenv("XNATHUB_AGAINST_TOKEN", old.token_file.read_text())
    assert diagnose(site_file, "--against", old.url, *SKIPPED)["old_hub.answers"] == "ok"


@pytest.mark.parametrize("page", ["", "/", "/hub", "/hub/", "/hub/api", "/hub/api/"])
def test_the_address_may_be_that_of_a_page(page):
    assert old_hub_url(f"https://x.org/jupyterhub{page}") == "https://x.org/jupyterhub/"
    assert old_hub_url(f"https://x.org{page}") == "https://x.org/"


@pytest.mark.parametrize(
    "address", ["old", "ftp://x.org", "https://me:pw@x.org/", "https://x.org/?token=abc", "https://"]
)
def test_an_address_that_is_none(site, capsys, address):
    assert main(["doctor", str(site()), "--against", address]) == 2
    said = capsys.readouterr().err
    assert "--against" in said
    assert "abc" not in said
    assert "pw" not in said
