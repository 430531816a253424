"""The hub killed at any moment of a start or a stop, and with many servers running."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.docker.processes import DockerHub
from tests.docker.testbed import new_name
from tests.plugin_pages import EVENT, request
from tests.support import EATS_MEMORY, Visitor, new_standin, page_text, wait_until
from xnathub_conf.standin import Environment, HubError, faults

POINTS = 30
STEPS = ("asked", "xnat", "create", "start", "ready", "stop")
"""After which step the hub is killed: the request for a start, XNAT asked, the container made, started, the server
up, and the request for a stop."""


@pytest.fixture(scope="module")
def shared_hub(docker_client, tmp_path_factory) -> Iterator[DockerHub]:
    with new_standin() as xnat:
        hub = DockerHub(docker_client, new_name(), tmp_path_factory.mktemp("killed"), xnat)
        try:
            hub.start()
            yield hub
        finally:
            hub.remove()


@pytest.fixture
def hub(shared_hub: DockerHub) -> Iterator[DockerHub]:
    yield shared_hub
    shared_hub.xnat.faults.clear()
    for user in shared_hub.plugin.users():
        for servername in user["servers"]:
            shared_hub.plugin.stop(user["name"], servername)
    assert not shared_hub.containers()


@pytest.fixture(scope="module")
def bystander(shared_hub: DockerHub) -> str:
    """A server that runs through all of it."""
    return shared_hub.launch("demo")


class Steps:
    """Tells how far a user's server is, from outside of the hub."""

    def __init__(self, hub: DockerHub, user: str, servername: str) -> None:
        self.hub, self.user, self.servername = hub, user, servername
        self.seen = {step: threading.Event() for step in STEPS}
        label = f"org.xnat.jupyter.user={user}"
        self._events = hub.client.events(decode=True, filters={"type": "container", "label": label})
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        for event in self._events:
            if event["Action"] in self.seen:
                self.seen[event["Action"]].set()

    def start(self) -> None:
        options = self.hub.options(self.user, servername=self.servername)
        self.hub.xnat.requests.clear()
        self.seen["asked"].set()
        try:
            self.hub.plugin.start(self.user, request(options))
            self.hub.plugin.wait_ready(self.user, self.servername)
            self.seen["ready"].set()
            self.seen["stop"].set()
            self.hub.plugin.stop(self.user, self.servername)
        except HubError:
            """The hub was killed meanwhile."""

    def close(self) -> None:
        self._events.close()


@pytest.mark.parametrize("seed", range(POINTS))
def test_killed_at_a_step(shared_hub: DockerHub, bystander: str, seed: int):
    hub, chance = shared_hub, random.Random(seed)
    step = STEPS[seed % len(STEPS)]
    # Each step with a name as XNAT's pages give it, and every third time with the default server.
    servername = "" if seed // len(STEPS) % 3 == 1 else EVENT
    delay = chance.uniform(0, 0.25)
    hub.plugin.ensure_user("alice")
    if step == "xnat":
        hub.xnat.faults.set("/xapi/jupyterhub/users", faults.Delay(0.4), 1)
    steps = Steps(hub, "alice", servername)
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(steps.start)
        if step == "xnat":
            wait_until(lambda: not hub.xnat.faults.on, 20, "the question to XNAT")
        else:
            assert steps.seen[step].wait(20), step
        time.sleep(delay)
        hub.kill()
        going.result()
    steps.close()
    hub.xnat.faults.clear()
    position = len(hub.log_since(0))
    hub.start()
    runs = hub.settle("alice", servername)
    print(f"killed {delay:.3f} s after {step}: the server {'runs' if runs else 'is gone'}")
    assert hub.reached("demo") == bystander
    if runs:
        hub.plugin.stop("alice", servername)
    hub.launch("alice", servername)
    hub.plugin.stop("alice", servername)
    assert not hub.containers("alice")
    assert hub.plugin.user("alice")["pending"] is None
    assert "Traceback" not in hub.log_since(position), hub.log_since(position)


def audited(hub: DockerHub, event: str) -> dict[str, dict]:
    """Return each user's newest audit line of an event."""
    found = [line for line in hub.log_since(0).splitlines() if f'{{"event": "{event}"' in line]
    lines = [json.loads(line[line.index("{") :]) for line in found]
    return {line["user"]: line for line in lines}


def test_twenty_servers_outlive_a_killed_hub(hub: DockerHub):
    users = [f"reader{number}" for number in range(20)]
    for user in users:
        hub.xnat.state.add_user(user, roles=["Jupyter"], projects=["P1"])
    # As XNAT's pages name them, but for the last five, which are their users' default servers.
    names = [EVENT] * 15 + [""] * 5
    with ThreadPoolExecutor(4) as pool:
        before = list(pool.map(hub.launch, users, names))
    assert len(set(before)) == 20
    started = audited(hub, "start")
    assert {user: line["project"] for user, line in started.items() if user in users} == dict.fromkeys(
        users, "P1"
    )
    hub.kill()
    hub.start()

    def ready(user: str, name: str) -> bool:
        return (hub.plugin.server(user, name) or {}).get("ready")

    wait_until(lambda: all(map(ready, users, names)), 60, "all servers")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(hub.reached, users, names)) == before
    # Two looks of the sweep later, they are there still.
    time.sleep(3)
    assert list(map(hub.reached, users, names)) == before
    # What a server was started on is still on record when it stops, though another hub's process started it.
    hub.plugin.stop(users[0], EVENT)
    stopped = wait_until(lambda: audited(hub, "stop").get(users[0]), what="the stop's audit line")
    facts = ("project", "item", "image")
    assert [stopped[fact] for fact in facts] == [started[users[0]][fact] for fact in facts]
    assert (stopped["outcome"], stopped["by"]) == ("ok", "service xnat")


def test_what_the_hub_does_not_know_is_removed_and_nothing_else(hub: DockerHub):
    """Containers with the same labels: another hub's, another XNAT's, and one that was forgotten."""
    known = hub.launch("alice", EVENT)
    # From before they are made: on a busy engine the first is swept before the last is there.
    position = len(hub.log_since(0))
    labels = {"org.xnat.jupyter.user": "bob", "org.xnat.jupyter.server": ""}
    ours, other = (
        {"org.xnat.jupyter.xnat": hub.xnat.url},
        {"org.xnat.jupyter.xnat": "https://xnat.example.org"},
    )
    made = {
        name: hub.client.containers.run(
            "xnathub-busybox:test", "sleep 600", detach=True, name=name, labels=labels | xnat
        )
        for name, xnat in {
            f"{hub.name}-bob": ours,
            f"{hub.name}-carl": other,
            f"{hub.name}-nameless": {},
            f"not-{hub.name}-bob": ours,
        }.items()
    }
    try:
        wait_until(lambda: "Removing the container" in hub.log_since(position), 90, "the sweep")
        wait_until(lambda: f"{hub.name}-bob" not in [each.name for each in hub.containers()], 20, "the end")
        time.sleep(3)
        for name, container in made.items():
            if name != f"{hub.name}-bob":
                container.reload()
                assert container.status == "running"
        assert hub.reached("alice", EVENT) == known
        lines = [line for line in hub.log_since(position).splitlines() if "Removing the container" in line]
        assert len(lines) == 1
        assert (
            f"the container {hub.name}-bob, which runs for 'bob' though the hub knows of no such" in lines[0]
        )
    finally:
        for name, container in made.items():
            if name != f"{hub.name}-bob":
                container.remove(force=True)


def test_a_server_of_an_earlier_hub_that_runs_out_of_memory_says_so_without_its_secrets(hub: DockerHub):
    chosen = Environment(image="xnathub-singleuser:test", command=EATS_MEMORY, mem_limit="200M")
    options = hub.options("alice", chosen)
    hub.plugin.ensure_user("alice")
    hub.plugin.start("alice", options)
    hub.plugin.wait_ready("alice")
    hub.kill()
    hub.start()
    visitor = Visitor(hub.url)
    # To sign in starts a server where none runs.
    visitor.sign_in("alice", hub.xnat.state.user("alice").password)
    position = len(hub.log_since(0))
    (hub.folder / "workspaces" / "users" / "alice" / "eat").touch()
    wait_until(lambda: not hub.containers("alice"), 90, "the end of what is left of the server")
    shown = page_text(visitor.get_page("/user/alice/lab"))
    told = "It used more memory than it may, 200M, and was ended for that."
    assert told in shown
    assert "got *** and ***" in shown
    log = hub.log_since(position)
    assert f"alice's server '': {told}" in log
    assert "got *** and ***" in log
