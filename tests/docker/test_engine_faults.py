"""The engine gone for a while: before, during and after a start, and while the hub itself is started anew."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from docker.errors import APIError

from tests.docker.processes import WEB_SERVER, DockerHub
from tests.docker.relay import Relay
from tests.docker.testbed import new_name
from tests.plugin_pages import EVENT, request
from tests.support import PROGRAM, new_standin, wait_until
from xnathub_conf.standin import Environment, HubError

SENTENCE = "The Docker API can't be reached. Try again later. Tell your XNAT administrator."


@pytest.fixture(scope="module")
def relay(tmp_path_factory) -> Relay:
    made = Relay(tmp_path_factory.mktemp("relay") / "docker.sock")
    made.start()
    return made


@pytest.fixture(scope="module")
def shared_hub(docker_client, relay: Relay, tmp_path_factory) -> Iterator[DockerHub]:
    changes = {"orchestrator": {"docker": {"docker_host": f"unix://{relay.path}"}}}
    with new_standin() as xnat:
        hub = DockerHub(docker_client, new_name(), tmp_path_factory.mktemp("engine"), xnat, changes)
        try:
            hub.start()
            yield hub
        finally:
            hub.remove()


@pytest.fixture
def hub(shared_hub: DockerHub) -> Iterator[DockerHub]:
    yield shared_hub
    for user in shared_hub.plugin.users():
        for servername in user["servers"]:
            shared_hub.plugin.stop(user["name"], servername)
    wait_until(lambda: not shared_hub.containers(), 30, "the end of all containers")


def failure(hub: DockerHub, user: str, environment: Environment = WEB_SERVER, servername: str = EVENT) -> str:
    """Start a server that can't start, and give what the user reads."""
    options = hub.options(user, environment, servername)
    hub.plugin.ensure_user(user)
    told = ""
    try:
        hub.plugin.start(user, request(options))
        for event in hub.plugin.progress(user, servername):
            assert not event.get("ready")
            told = event["message"]
    except HubError as error:
        told = str(error)
    assert hub.plugin.server(user, servername) is None, "nothing is pending"
    return told


@pytest.mark.parametrize("kind", ["gone", "nobody listens"])
def test_the_socket_is_away(hub: DockerHub, relay: Relay, kind: str):
    # One kind with names as XNAT's pages give them, the other with default servers.
    name = EVENT if kind == "gone" else ""
    running = hub.launch("demo", name)
    page = f"{hub.url}/user/demo/{name}/who".replace("//who", "/who")
    position = len(hub.log_since(0))
    relay.stop(keep_file=kind == "nobody listens")
    try:
        assert failure(hub, "alice", servername=name).endswith(SENTENCE)
        told = hub.log_since(position)
        assert told.count("Not starting alice's server") == 1
        assert ("No such file" if kind == "gone" else "Connection refused") in told
        assert requests.get(page, headers=PROGRAM, timeout=20).text.strip() in running
        # A stop that fails is forgotten by JupyterHub.
        hub.plugin.stop("demo", name)
        assert hub.log_since(position).count("could not be stopped and may run on") == 1
    finally:
        relay.start()
    wait_until(lambda: not hub.containers("demo"), 30, "the end of the server that was not stopped")
    assert "Traceback" not in hub.log_since(position), hub.log_since(position)
    assert hub.launch("alice", name) != running
    hub.launch("demo", name)


def test_a_hub_that_starts_without_its_engine_loses_no_server(hub: DockerHub, relay: Relay):
    running, default = hub.launch("demo", EVENT), hub.launch("alice")
    hub.kill()
    relay.stop()
    try:
        position = len(hub.log_since(0))
        hub.start()
        assert hub.plugin.server("demo", EVENT)["ready"]
        assert hub.plugin.server("alice")["ready"]
        assert "It is not known whether" in hub.log_since(position)
    finally:
        relay.start()
    assert hub.reached("demo", EVENT) == running
    assert hub.reached("alice") == default
    hub.plugin.stop("alice")
    hub.launch("alice", EVENT)


def test_the_engine_restarts_in_the_middle_of_a_start(hub: DockerHub, relay: Relay):
    """As the hub sees it: the API is gone for a while, and what ran has ended. Other tests' servers stay."""
    label = "org.xnat.jupyter.user=alice"
    events = hub.client.events(decode=True, filters={"type": "container", "event": "create", "label": label})
    created, told = threading.Event(), []

    def watch() -> None:
        with contextlib.suppress(Exception):
            next(events)
        created.set()

    def start() -> None:
        told.append(failure(hub, "alice", replace(WEB_SERVER, command="sleep 600")))

    threading.Thread(target=watch, daemon=True).start()
    position = len(hub.log_since(0))
    starting = threading.Thread(target=start)
    starting.start()
    assert created.wait(20)
    relay.stop()
    try:
        for container in hub.containers("alice"):
            # It may not run yet.
            with contextlib.suppress(APIError):
                container.kill()
        starting.join(60)
    finally:
        relay.start()
    print(told, hub.log_since(position))
    assert told
    assert "Tell your XNAT administrator." in told[0]
    assert hub.log_since(position).count("Not starting alice's server") == 1
    assert "Traceback" not in hub.log_since(position)
    wait_until(lambda: not hub.containers("alice"), 30, "the end of what was made")
    hub.launch("alice", EVENT)
