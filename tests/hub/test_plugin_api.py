"""What XNAT's plugin asks of the hub's REST API, for names that a path must not change."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support import SMALL_SERVER, wait_until
from xnathub_conf.standin import Environment

NAMES = ["alice", "Alice", "a.b@c.org"]


@pytest.mark.parametrize("name", NAMES)
def test_users_are_made_under_their_own_name(hub, name):
    if hub.api("GET", f"/users/{name}").status_code == 200:
        hub.api("DELETE", f"/users/{name}")
    assert hub.api("GET", f"/users/{name}").status_code == 404
    assert hub.api("POST", f"/users/{name}").json()["name"] == name
    assert hub.api("GET", f"/users/{name}").json()["name"] == name


def test_two_first_starts_of_a_person_at_once_make_one_user(hub):
    """Each has seen that there is none; the plugin tells the person of any error."""
    if hub.api("GET", "/users/o'brien").status_code == 200:
        hub.api("DELETE", "/users/o'brien")
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: hub.api("POST", "/users/o'brien"), range(4)))
    assert sorted(each.status_code for each in made) == [200, 200, 200, 201]
    assert {each.json()["name"] for each in made} == {"o'brien"}
    # What this would change is not dropped.
    assert hub.api("POST", "/users/o'brien", json={"admin": True}).status_code == 409
    assert not hub.api("GET", "/users/o'brien").json()["admin"]


@pytest.mark.parametrize("servername", ["", "scan-7"], ids=["default", "named"])
@pytest.mark.parametrize("name", NAMES)
def test_start_look_and_stop(hub, xnat, name, servername):
    project = xnat.state.projects(name)[0].id
    options = xnat.state.launch(name, project, servername)
    plugin = hub.plugin
    plugin.ensure_user(name)
    plugin.start(name, options)
    server = plugin.wait_ready(name, servername)
    facts = server["user_options"]
    assert facts["eventTrackingId"] == options["eventTrackingId"]
    assert facts["projectId"] == project
    assert all(value is None or isinstance(value, str | int | float | bool) for value in facts.values())

    token = plugin.token(name, "XNAT", 300)
    home = requests.get(
        hub.url.removesuffix("/jupyterhub") + server["url"] + "api/contents/",
        headers={"Authorization": f"token {token}"},
        timeout=20,
    )
    assert {entry["name"] for entry in home.json()["content"]} == {"data", "workspace"}

    path = f"/users/{name}/servers/{servername}" if servername else f"/users/{name}/server"
    assert hub.api("DELETE", path, json={"remove": True}).status_code in {202, 204}
    wait_until(lambda: plugin.server(name, servername) is None, 20, "the server's end")


def test_a_server_that_ends_at_no_signal_is_killed_in_its_time(hub, xnat):
    deaf = SMALL_SERVER.command.replace(
        "signal.signal(signal.SIGINT, signal.SIG_DFL)",
        "[signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)]",
    )
    assert deaf != SMALL_SERVER.command
    hub.plugin.ensure_user("alice")
    hub.plugin.start("alice", xnat.state.launch("alice", "P1", "", Environment(command=deaf)))
    hub.plugin.wait_ready("alice")
    (process,) = hub.server_processes()
    began = time.monotonic()
    hub.plugin.stop("alice")
    assert not process.is_running()
    # servers.stop_timeout is 5 s here; the rest is for a busy machine.
    assert 4 < time.monotonic() - began < 20


def test_root_and_info(hub):
    assert hub.api("GET", "/").json()["version"].startswith("6.")
    assert "JupyterHub" in hub.api("GET", "/info").json()["spawner"]["class"] or hub.api("GET", "/info").ok


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_without_the_token_nothing_is_told(hub, token):
    answer = requests.get(f"{hub.url}/hub/api/users", headers={"Authorization": f"token {token}"}, timeout=20)
    assert answer.status_code == 403


def test_one_user_s_token_opens_no_other_server(hub, xnat):
    hub.plugin.ensure_user("alice")
    hub.plugin.ensure_user("Alice")
    hub.plugin.start("Alice", xnat.state.launch("Alice", "P2"))
    server = hub.plugin.wait_ready("Alice")
    token = hub.plugin.token("alice", "XNAT", 300)
    answer = requests.get(
        hub.url.removesuffix("/jupyterhub") + server["url"] + "api/contents/",
        headers={"Authorization": f"token {token}"},
        allow_redirects=False,
        timeout=20,
    )
    assert answer.status_code in {302, 403}
