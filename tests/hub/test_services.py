"""Services and roles of the site's own: each may do what its scopes say, and nothing else."""

import secrets

import pytest
import requests

from tests.support import SMALL_SERVER, RunningHub, Visitor, new_standin

REFUSED = {403, 404}
"""JupyterHub hides what a scope does not reach at all."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    (folder / "board").write_text(secrets.token_hex(32))
    board = {"name": "server-board", "api_token": {"file": str(folder / "board")}}
    desk = {"name": "help-desk", "scopes": ["admin-ui", "list:users", "read:servers", "delete:servers"]}
    changes = {
        "hub": {
            "services": [{**board, "scopes": ["list:users", "read:servers"]}],
            "roles": [{**desk, "users": ["alice"]}],
        }
    }
    with new_standin() as xnat:
        hub = RunningHub(folder, xnat, changes)
        yield hub.start()
        hub.stop()


@pytest.fixture
def running(hub):
    """A server of demo's."""
    options = hub.xnat.state.launch("demo", "P1", environment=SMALL_SERVER)
    hub.plugin.ensure_user("demo")
    hub.plugin.start("demo", options)
    yield hub.plugin.wait_ready("demo")
    hub.plugin.stop("demo")


def test_a_service_may_do_what_its_scopes_say(hub, running):
    headers = {"Authorization": f"token {(hub.folder / 'board').read_text()}"}
    seen = requests.get(f"{hub.url}/hub/api/users", headers=headers, timeout=20)
    assert [user["name"] for user in seen.json() if user.get("servers")] == ["demo"]
    stop = requests.delete(f"{hub.url}/hub/api/users/demo/server", headers=headers, timeout=20)
    assert stop.status_code == 403
    assert hub.plugin.server("demo")["ready"]


def signed_in(hub, name):
    visitor = Visitor(hub.url)
    visitor.sign_in(name, hub.xnat.state.user(name).password)
    visitor.get_page("/hub/home")
    visitor.headers["X-XSRFToken"] = visitor.cookies.get("_xsrf", path="/jupyterhub/hub/")
    visitor.headers["Referer"] = f"{hub.url}/hub/home"
    return visitor


def test_a_role_gives_its_users_its_scopes_and_nobody_else(hub, running):
    desk = signed_in(hub, "alice")
    assert desk.get_page("/hub/admin").status_code == 200
    users = desk.get_page("/hub/api/users").json()
    assert [user["name"] for user in users if user.get("servers")] == ["demo"]
    # What no scope of hers says.
    assert desk.post(f"{hub.url}/hub/api/users/demo/server", timeout=20).status_code in REFUSED
    assert desk.post(f"{hub.url}/hub/api/users/newcomer", timeout=20).status_code in REFUSED
    other = signed_in(hub, "a.b@c.org")
    assert other.get_page("/hub/admin").status_code == 403
    assert other.delete(f"{hub.url}/hub/api/users/demo/server", timeout=20).status_code in REFUSED
    assert hub.plugin.server("demo")["ready"]
    assert desk.delete(f"{hub.url}/hub/api/users/demo/server", timeout=60).status_code in {202, 204}
