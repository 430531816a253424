"""One hub and one stand-in XNAT for all tests of this folder; what a test changes in XNAT is undone after it."""

import copy

import pytest

from tests.noting import Notes, start
from tests.support import WITHOUT_LAB, RunningHub, Visitor, new_standin
from xnathub_conf.standin import Environment


@pytest.fixture(scope="session")
def _xnat():
    with new_standin() as xnat:
        xnat.state.environment = WITHOUT_LAB
        yield xnat


@pytest.fixture(scope="session")
def _hub(_xnat, tmp_path_factory):
    # Tests that type wrong passwords must not add up; those of the limits have hubs of their own.
    limits = {"failures_per_user": 1000, "failures_per_address": 100_000}
    changes = {"hub": {"admin_users": ["alice"]}, "sign_in": limits}
    hub = RunningHub(tmp_path_factory.mktemp("hub"), _xnat, changes)
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def xnat(_xnat):
    state = _xnat.state
    users = {
        name: copy.deepcopy(state.user(name)) for name in ("demo", "alice", "Alice", "a.b@c.org", "nobody")
    }
    kept = (state.all_users_can_start, state.without_session, state.environment, state.lockout_after)
    _xnat.requests.clear()
    yield _xnat
    _xnat.faults.clear()
    state.all_users_can_start, state.without_session, state.environment, state.lockout_after = kept
    for name, user in users.items():
        vars(state.user(name)).update(vars(user))


@pytest.fixture
def jupyterlab(xnat):
    """Let XNAT start what the image would: JupyterLab."""
    xnat.state.environment = Environment()


@pytest.fixture(scope="session")
def bystanders():
    """Names of users whose servers run on from test to test."""
    return set()


@pytest.fixture
def hub(_hub, xnat, bystanders):
    yield _hub
    for user in _hub.api("GET", "/users").json():
        if user["name"] in bystanders:
            continue
        for server in user.get("servers") or {}:
            _hub.plugin.stop(user["name"], server)


@pytest.fixture
def visitor(hub):
    return Visitor(hub.url)


@pytest.fixture(scope="module")
def noted(site):
    """Return what demo's server on the module's own `site` has received since the last call."""
    notes = Notes(site, "demo")
    start(site, "demo")
    return notes
