"""What XNAT's plugin may do on the hub: each scope that it holds by default is needed, and there is no more to it."""

import pytest
import requests

from tests.support import RunningHub, new_standin
from tests.unit.helpers import site_of
from xnathub_conf.standin import HubError

DEFAULT = site_of().hub.api_scopes


@pytest.fixture
def hub_with(tmp_path):
    running = []

    def start(scopes):
        xnat = new_standin()
        xnat.start()
        hub = RunningHub(tmp_path, xnat, {"hub": {"api_scopes": list(scopes)}})
        running.append((hub, xnat))
        return hub.start()

    yield start
    for hub, xnat in running:
        hub.stop()
        xnat.stop()


def everything(hub):
    """All that XNAT's plugin does, in its order; gives the steps that worked, and what the hub said to the next."""
    plugin, done = hub.plugin, []

    def open_server():
        token = plugin.token("alice", "XNAT", 300)
        url = hub.url.removesuffix("/jupyterhub") + plugin.server("alice")["url"] + "api/contents/"
        answer = requests.get(url, headers={"Authorization": f"token {token}"}, timeout=20)
        if answer.status_code != 200:
            raise HubError(f"the server answered {answer.status_code}", answer.status_code)

    def start():
        plugin.start("alice", hub.xnat.state.launch("alice", "P1"))
        server = plugin.wait_ready("alice")
        assert server["url"]
        assert server["started"]
        assert server["user_options"]["eventTrackingId"]

    def list_users():
        if any("servers" not in user for user in plugin.users()):
            raise HubError("The hub tells nothing of servers.", 200)

    steps = {
        "version": plugin.version,
        "info": plugin.info,
        "make the user": lambda: plugin.ensure_user("alice"),
        "list users": list_users,
        "start": start,
        "open": open_server,
        "stop": lambda: plugin.stop("alice"),
    }
    for name, step in steps.items():
        try:
            step()
        except HubError as error:
            return done, (name, error.status)
        done.append(name)
    return done, None


def test_the_default_scopes_do_all_that_the_plugin_does(hub_with):
    done, refused = everything(hub_with(DEFAULT))
    assert refused is None
    assert len(done) == 7


NEEDED_FOR = {
    "read:hub": ("info", 403),
    "admin:users": ("make the user", 403),
    "servers": ("list users", 200),
    "tokens": ("open", 403),
}


def test_every_default_scope_has_its_test():
    assert set(DEFAULT) == set(NEEDED_FOR)


@pytest.mark.parametrize("scope", NEEDED_FOR)
def test_without_one_of_them_the_plugin_fails(hub_with, scope):
    _, refused = everything(hub_with(set(DEFAULT) - {scope}))
    assert refused is not None, f"{scope} is not needed"
    assert refused == NEEDED_FOR[scope]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/shutdown"), ("GET", "/proxy"), ("POST", "/proxy"), ("GET", "/groups"), ("POST", "/groups/x"), ("GET", "/services")],
)  # fmt: skip
def test_the_plugin_s_token_does_nothing_else(hub, method, path):
    answer = hub.api(method, path, json={} if method == "POST" else None)
    assert answer.status_code == 403 or answer.json() == {}


def test_the_plugin_s_token_opens_no_server_by_itself(hub, xnat):
    hub.plugin.ensure_user("demo")
    hub.plugin.start("demo", xnat.state.launch("demo", "P1"))
    server = hub.plugin.wait_ready("demo")
    assert "state" not in server
    answer = requests.get(
        hub.url.removesuffix("/jupyterhub") + server["url"] + "api/contents/",
        headers={"Authorization": f"token {hub.token}"},
        allow_redirects=False,
        timeout=20,
    )
    assert answer.status_code in {302, 403}
