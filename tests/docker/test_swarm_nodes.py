"""A swarm of three real engines, one of which is killed while a server runs on it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from docker.errors import ImageNotFound

from tests.docker.nodes import HOST, Node, Nodes
from tests.docker.processes import WEB_SERVER
from tests.docker.test_docker_doctor import inside
from tests.docker.testbed import Stack, command, wait_for
from tests.plugin_pages import EVENT
from tests.support import PROGRAM
from xnathub_conf.standin import HubLink, HubPlugin, StandIn, demo_state

NAME = "xhtest-nodes"
IMAGE = "xnathub-busybox:test"


@pytest.fixture(scope="module")
def nodes(engine) -> Iterator[Nodes]:
    with Nodes(Path("/var/lib/xhtest-nodes"), workers=2) as nodes:
        nodes.manager.load("xnathub:test")
        for node in nodes.all:
            node.load(IMAGE)
        yield nodes


@pytest.fixture(scope="module")
def stack(nodes: Nodes, tmp_path_factory) -> Iterator[Stack]:
    socket = f"unix://{nodes.manager.folder}/docker.sock"
    swarm = {"network_name": f"{NAME}-net", "prefix": NAME, "docker_host": socket}
    with StandIn(demo_state(), host=HOST) as xnat, pytest.MonkeyPatch.context() as environment:
        environment.setenv("DOCKER_HOST", socket)
        stack = Stack(nodes.manager.client, NAME, tmp_path_factory.mktemp("nodes"), xnat, {"swarm": swarm})
        stack.url = f"http://{nodes.manager.address}:{stack.port}/jupyterhub"
        stack.plugin = HubPlugin(HubLink(f"{stack.url}/hub/api", stack.url, stack.token), start_timeout=90)
        stack.create()
        yield stack
        print(stack.logs())


def start_on(stack: Stack, node: int, servername: str = EVENT) -> str:
    """Start a server on the node of a number, and give the ID of the container that answers there."""
    environment = {
        "image": IMAGE,
        "command": WEB_SERVER.command,
        "constraints": (f"node.labels.number=={node}",),
    }
    url = str(stack.start("demo", servername=servername, **environment)["url"])
    return requests.get(
        f"{stack.url.removesuffix('/jupyterhub')}{url}who", headers=PROGRAM, timeout=20
    ).text.strip()


def test_doctor_says_what_each_node_lacks(nodes: Nodes, stack: Stack):
    """The first worker has no archive, the second no image of the hub's, and none of what XNAT would start."""
    archive, other = "/opt/xnat", "xnathub-nowhere:test"
    first, second = nodes.workers
    first.load("xnathub:test")
    # Where this runs a second time, the first may have brought it.
    with contextlib.suppress(ImageNotFound):
        second.client.images.remove("xnathub:test", force=True)
    stack.workspace("alice")
    mounts = [*stack.site["servers"]["allowed_mounts"], {"path": archive}]
    changes = {"servers": {"allowed_images": [IMAGE], "allowed_mounts": mounts}}

    def on(node: Node, *words: str) -> None:
        command("nsenter", "--mount", "--target", str(node.process.pid), *words)

    for node in nodes.all:
        on(node, "mount", "-t", "tmpfs", "none", "/opt")
        if node is not first:
            on(node, "mkdir", "-p", f"{archive}/data")
    began = time.monotonic()
    told = inside(stack, changes, skip="").told("docker.each_node", "failed")
    print(f"{time.monotonic() - began:.0f} s\n{told}")
    assert f"({first.address}): there is no folder {archive}" in told
    assert f"({second.address}): the task that looks around is rejected: No such image: xnathub:test" in told
    assert f"({nodes.manager.address})" in told.partition("All is well on: ")[2]
    changes["servers"]["allowed_images"].append(other)
    assert told.count(other) == 0
    seen = inside(stack, changes, skip="").findings["docker.each_node"]["seen"]
    assert seen.count(f"it can't get the image {other}") == 3
    assert not [each for each in nodes.manager.client.services.list() if "-doctor-" in each.name]
    on(first, "mkdir", "-p", f"{archive}/data")
    second.load("xnathub:test")
    changes["servers"]["allowed_images"].pop()
    assert inside(stack, changes, skip="")["docker.each_node"] == "ok"


def test_a_server_whose_node_is_gone_has_ended_and_starts_again_elsewhere(nodes: Nodes, stack: Stack):
    first, second = nodes.workers
    container = start_on(stack, 1)
    assert container in [each.id[:12] for each in first.client.containers.list()]
    began = time.monotonic()
    first.kill()
    service = stack.server("demo", EVENT)
    wait_for(lambda: [each["DesiredState"] for each in service.tasks()] == ["shutdown"], 120)
    print(f"the swarm noticed after {time.monotonic() - began:.0f} s")
    assert [each["Status"]["State"] for each in service.tasks()] == ["running"]
    wait_for(lambda: stack.plugin.server("demo", EVENT) is None, 120, stack.logs)
    wait_for(lambda: not stack.servers(), 120)
    print(f"the server was put away after {time.monotonic() - began:.0f} s")
    assert "its node is gone" in stack.logs()
    began = time.monotonic()
    container = start_on(stack, 2)
    print(f"it started again within {time.monotonic() - began:.0f} s")
    assert container in [each.id[:12] for each in second.client.containers.list()]
    stack.plugin.stop("demo", EVENT)


def test_a_server_on_a_node_that_is_gone_can_be_stopped(nodes: Nodes, stack: Stack):
    """Swarm keeps the task of a node that is gone alive for a day; nobody waits for its end."""
    start_on(stack, 2, servername="")
    nodes.workers[1].kill()
    service = stack.server("demo")
    wait_for(lambda: [each["DesiredState"] for each in service.tasks()] == ["shutdown"], 120)
    began = time.monotonic()
    stack.plugin.stop("demo")
    assert time.monotonic() - began < 60
    assert not stack.servers()
