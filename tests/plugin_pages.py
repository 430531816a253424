"""A scripted run of the calls that the pages of XNAT's plugin make, for names that a path must not change."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from xnathub_conf.standin import Environment, HubError, HubPlugin, State
from xnathub_conf.standin.plugin import new_event_tracking_id

NAMES = ["alice", "Alice", "a.b@c.org", "ann lee", "müller", "o'brien"]
LABEL, DASHBOARD = "Synthetic heads", 7
EVENT = "20260728T120000123Z"
_MORE = count()

TELLS = (
    # httpd decodes the address, in which `ann lee` is ann%20lee.
    """sh -c 'P=/tmp/www$(printf %b "$(echo "$JUPYTERHUB_SERVICE_PREFIX" | sed "s/%/\\\\\\\\x/g")"); """
    """mkdir -p "$P"; hostname >"${P}who"; """
    """{ echo "$JUPYTERHUB_USER"; echo "$JUPYTERHUB_SERVER_NAME"; """
    # ls would write a letter that it doesn't know as ?
    """for each in /workspace/* /data/projects/P1/*; do echo "${each##*/}"; done; } >"${P}whose"; """
    """touch "/workspace/$JUPYTERHUB_USER/$JUPYTERHUB_SERVER_NAME" 2>/dev/null; """
    "exec httpd -f -p 8888 -h /tmp/www'"
)
"""A server of busybox. Its page `who` holds its container's ID, `whose` the user, the server and its folders.

It leaves a file of the server's name in the user's folder.
"""


@dataclass(frozen=True)
class Place:
    """Where a hub starts servers, and what can be seen there without asking the hub."""

    environment: Environment
    """Of a server that answers with four lines: its user, its name, what is below its /workspace and its /data/projects/P1."""
    page: str
    """Of that server, with those lines."""
    workspace: Callable[[str], Path]
    """Makes a user's folder, and returns it."""
    restart: Callable[[], object]
    """Ends the hub and starts it again."""
    objects: Callable[[], list[tuple[str, str, str]]] | None
    """Returns the name of each container, service or pod, and the user and server that its labels tell.

    None where servers are processes of the hub, and end with it.
    """


def add_people(state: State) -> None:
    """Make sure that XNAT knows all these people, and that they may read P1."""
    known = {user.name for user in state.users()}
    for name in NAMES:
        if name not in known:
            state.add_user(name, roles=["Jupyter"])
        state.set_projects(name, {*(project.id for project in state.projects(name)), "P1"})


def request(options: dict[str, Any], dashboard: int | None = None) -> dict[str, Any]:
    """Return what a page asks for: a named server's options with what XNAT doesn't store; REST clients name none."""
    return (
        {**options, "itemLabel": LABEL, "dashboardConfigId": dashboard} if options["servername"] else options
    )


def new_event() -> str:
    """Return what a page names a new server after; two in the same millisecond would be one server."""
    return f"{new_event_tracking_id()[:-4]}{next(_MORE) % 1000:03}Z"


def start(plugin: HubPlugin, options: dict[str, Any], name: str, dashboard: int | None) -> None:
    """Press Start as `name`, for a notebook or a dashboard, and wait until the server is ready."""
    event = options["servername"]
    plugin.check(name, event)
    plugin.start(name, request(options, dashboard))
    assert plugin.wait_ready(name, event)["name"] == event


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


def cull(plugin: HubPlugin, event: str) -> None:
    """Find a server among all users', as XNAT does day and night, and stop it as one that is idle."""
    for user in plugin.users():
        for name, server in (user["servers"] or {}).items():
            if name == event:
                assert server["started"]
                assert server["last_activity"]
                plugin.stop(user["name"], name)


def walk(plugin: HubPlugin, state: State, place: Place) -> None:
    """Do what XNAT and its pages do from Start to the end of a server, for six people, notebooks and dashboards."""
    add_people(state)
    for name in NAMES:
        place.workspace(name)
    wanted = [(name, dashboard) for name in NAMES for dashboard in (None, DASHBOARD)]
    servers = {(name, new_event()): dashboard for name, dashboard in wanted}

    def start_one(server: tuple[str, str]) -> None:
        name, event = server
        options = state.launch(name, "P1", event, place.environment)
        # As XNAT sends a mount that has both a local path and a volume's name.
        options["task_template"]["container_spec"]["mounts"][-1]["type"] = "volume"
        state.set_user_options(name, options, event)
        start(plugin, options, name, servers[server])

    def start_all() -> None:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(start_one, servers))

    start_all()
    _look(plugin, state, place, servers)
    for name, event in servers:
        with pytest.raises(HubError, match="already running"):
            plugin.check(name, event)

    place.restart()
    if not place.objects:
        start_all()
    _look(plugin, state, place, servers)

    for (name, event), dashboard in servers.items():
        if dashboard is None:
            cull(plugin, event)
        stop(plugin, state, name, event)
    assert all(not user["servers"] for user in plugin.users() if user["name"] in NAMES)
    assert not place.objects or not [each for each in place.objects() if each[1] in NAMES]


def _look(plugin: HubPlugin, state: State, place: Place, servers: dict[tuple[str, str], int | None]) -> None:
    models = {user["name"]: user["servers"] for user in plugin.users()}
    for (name, event), dashboard in servers.items():
        server = models[name][event]
        facts = server["user_options"]
        assert server["ready"]
        assert server["url"].startswith("/")
        assert server["url"].endswith(f"/{event}/")
        assert (facts["eventTrackingId"], facts["itemLabel"]) == (event, LABEL)
        assert facts["dashboardConfigId"] == dashboard
        # Each address leads to its own server, whoever else is spelled nearly so, and the folder is its user's.
        answer = opened(plugin, state, name, event, place.page)
        told = [name, event, name, "experiments"]
        assert (answer.status_code, answer.content.decode().splitlines()) == (200, told)
        address, _, token = plugin.open_url(name, event).partition("?token=")
        program = {"Authorization": f"token {token}"}
        assert requests.get(address + place.page, headers=program, timeout=20).content == answer.content
        assert place.workspace(name).joinpath(event).exists()
    if place.objects:
        objects = [each for each in place.objects() if each[1] in NAMES]
        assert len({object_name for object_name, *_ in objects}) == len(objects) == len(servers)
        assert {(user, server) for _, user, server in objects} == set(servers)
