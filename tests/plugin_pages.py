"""A scripted run of the calls that the pages of XNAT's plugin make, for names that a path must not change."""

from itertools import count

import requests

from xnathub_conf.standin import Environment, HubPlugin, State
from xnathub_conf.standin.plugin import new_event_tracking_id

NAMES = ["alice", "Alice", "a.b@c.org", "ann lee", "müller", "o'brien"]
LABEL, DASHBOARD = "Synthetic heads", 7
_MORE = count()


def add_people(state: State) -> None:
    """Make sure that XNAT knows all these people, and that they may read P1."""
    known = {user.name for user in state.users()}
    for name in NAMES:
        if name not in known:
            state.add_user(name, roles=["Jupyter"])
        state.set_projects(name, {*(project.id for project in state.projects(name)), "P1"})


def start(plugin: HubPlugin, state: State, name: str, dashboard: int | None, environment: Environment) -> str:
    """Press Start as `name`, for a notebook or a dashboard; give the server's name once it is ready."""
    # Two in the same millisecond would be one server.
    event = f"{new_event_tracking_id()[:-4]}{next(_MORE) % 1000:03}Z"
    plugin.check(name, event)
    options = state.launch(name, "P1", event, environment)
    plugin.start(name, {**options, "itemLabel": LABEL, "dashboardConfigId": dashboard})
    server = plugin.wait_ready(name, event)
    facts = server["user_options"]
    assert server["name"] == event
    assert server["url"].startswith("/")
    assert server["url"].endswith(f"/{event}/")
    assert (facts["eventTrackingId"], facts["itemLabel"]) == (event, LABEL)
    assert facts["dashboardConfigId"] == dashboard
    (listed,) = [user for user in plugin.users() if user["name"] == name]
    assert listed["servers"][event]["ready"]
    return event


def opened(plugin: HubPlugin, state: State, name: str, event: str, page: str = "") -> requests.Response:
    """Open a server in a new window, as XNAT's page does where one is signed in there, or one of its pages."""
    with requests.Session() as browser:
        browser.trust_env = False
        browser.headers["Accept"] = "text/html"
        browser.cookies.set("JSESSIONID", state.open_session(name).id, path="/")
        server, _, token = plugin.open_url(name, event).partition("?")
        return browser.get(f"{server}{page}?{token}", timeout=60)


def stop(plugin: HubPlugin, state: State, name: str, event: str) -> None:
    """Stop a server and forget what it was started on."""
    plugin.stop(name, event)
    state.remove_user_options(name, event)
    assert plugin.server(name, event) is None
