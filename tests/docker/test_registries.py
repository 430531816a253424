"""Images of a private registry: a real one, whose login the hub sends along."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import docker
import pytest
from docker.errors import ImageNotFound

from tests.docker.processes import WEB_SERVER, DockerHub
from tests.docker.registry import PASSWORD, USER, Registry
from tests.docker.test_docker_doctor import inside
from tests.docker.test_engine_faults import failure
from tests.docker.testbed import TEST, Stack, new_name, wait_for
from tests.secret_search import Search
from tests.support import free_port, new_standin
from tests.tarpit import Tarpit
from xnathub_conf.standin import StandIn, demo_state


@pytest.fixture(scope="module")
def registry(docker_client, tmp_path_factory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        if Search.current:
            Search.current.secret("registry password", PASSWORD)
        yield registry


@pytest.fixture(scope="module")
def tarpit() -> Iterator[Tarpit]:
    with Tarpit() as tarpit:
        yield tarpit


@pytest.fixture
def image(docker_client: docker.DockerClient, registry: Registry) -> Iterator[str]:
    """An image that the registry has and the engine has not."""
    name = registry.push(docker_client, "xnathub-busybox:test", "private/web:1")
    yield name
    with contextlib.suppress(ImageNotFound):
        docker_client.images.remove(name, force=True)


AHEAD = "private/ahead:1"
LEAK = "leaked0123456789"
SILENT = f"sh -c 'echo see /lab?token={LEAK}; echo got $JUPYTERHUB_API_TOKEN; sleep 600'"


def as_config(registry: Registry) -> str:
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return json.dumps({"auths": {f"http://{registry.host}/v2/": {"auth": auth}}})


@pytest.fixture(scope="module")
def stack(
    docker_client, host_address, registry: Registry, tarpit: Tarpit, tmp_path_factory
) -> Iterator[Stack]:
    name = new_name()
    orchestrator = {"swarm": {"network_name": f"{name}-net", "prefix": name}}
    ahead = registry.push(docker_client, "xnathub-busybox:test", AHEAD)
    with StandIn(demo_state(), host=host_address) as xnat:
        stack = Stack(docker_client, name, tmp_path_factory.mktemp("registries"), xnat, orchestrator)
        stack.site["servers"] |= {
            "allowed_images": [f"{registry.host}/private/*", f"{tarpit.host}/*", "xnathub-busybox:test"],
            "start_timeout": 25,
            "http_timeout": 10,
            "registry_logins": {"file": f"/run/secrets/{name}_logins"},
            "images_ahead": [ahead, f"{registry.host}/private/missing:1"],
        }
        lines = (
            f"registry.example.org someone else's\nlocalhost:{registry.port} {USER} not this\n"
            f"{tarpit.host} any one\n{registry.host} {USER} {PASSWORD}\n"
        )
        docker_client.secrets.create(name=f"{name}_logins", data=lines.encode(), labels={TEST: name})
        try:
            with stack.deployed():
                yield stack
        finally:
            with contextlib.suppress(ImageNotFound):
                docker_client.images.remove(ahead, force=True)


def has(client: docker.DockerClient, image: str) -> bool:
    try:
        client.images.get(image)
    except ImageNotFound:
        return False
    return True


def test_the_nodes_of_a_swarm_have_an_image_before_anyone_asks(stack: Stack, registry: Registry):
    wait_for(lambda: has(stack.client, f"{registry.host}/{AHEAD}"), 120, stack.logs)
    wait_for(lambda: "private/missing:1 is on 0 of 1 nodes ahead of time: " in stack.logs(), 120, stack.logs)
    assert f"The image {registry.host}/{AHEAD} is on 1 of 1 nodes ahead of time." in stack.logs()
    left = stack.client.services.list(filters={"name": f"{stack.name}-ahead"})
    assert not left


def test_a_node_of_a_swarm_pulls_a_private_image(stack: Stack, image: str):
    stack.start("demo", image=image, command=WEB_SERVER.command)
    (task,) = stack.server("demo").tasks()
    assert task["Status"]["State"] == "running"
    stack.plugin.stop("demo")


def test_a_swarm_that_pulls_for_too_long_says_so(stack: Stack, tarpit: Tarpit):
    told, _ = stack.failure("demo", image=f"{tarpit.host}/web:1", command=WEB_SERVER.command)
    assert "Your server was not up after 25 s. The node " in told
    assert f"was still pulling the image {tarpit.host}/web:1." in told
    assert "raise servers.start_timeout in site.yaml." in told
    wait_for(lambda: not stack.servers(), 120)


def test_a_service_that_stays_silent_is_told_with_its_log(stack: Stack):
    told, _ = stack.failure("demo", image="xnathub-busybox:test", command=SILENT)
    assert "not up after 10 s. It runs, but nothing listens at port 8888, " in told
    assert "raise servers.http_timeout in site.yaml." in told
    assert "The last lines of the server's log:" in told
    assert "see /lab?token=***" in told
    assert LEAK not in told
    assert LEAK not in stack.logs()


def test_doctor_tries_the_logins(stack: Stack, registry: Registry, tarpit: Tarpit, image: str):
    missing = f"{registry.host}/private/missing:1 can't be pulled: "
    assert missing in inside(stack).told("docker.images", "failed")
    found = inside(stack, {"servers": {"images_ahead": [image]}})
    told = found.told("docker.registries", "failed")
    for silent in ("registry.example.org", tarpit.host):
        assert f"Docker can't ask {silent} about its login: " in told
    assert f"localhost:{registry.port} does not take its login: " in told
    assert registry.host not in told
    assert f"1 can be pulled (xnathub-busybox:test, {image})" in found.told("docker.images", "ok")
    without = inside(stack, {"servers": {"images_ahead": [image], "registry_logins": None}})
    assert "docker.registries" not in without.text
    assert "no basic auth credentials" in without.told("docker.images", "failed")


def hub_on_docker(
    docker_client, registry: Registry, folder, xnat: StandIn, login: str | None, **servers: Any
) -> DockerHub:
    servers = {"allowed_images": [f"{registry.host}/private/*"], **servers}
    if login:
        (folder / "logins").write_text(login)
        servers["registry_logins"] = {"file": str(folder / "logins")}
    changes = {"servers": servers, "orchestrator": {"docker": {"pull_policy": "ifnotpresent"}}}
    return DockerHub(docker_client, new_name(), folder, xnat, changes)


def test_one_engine_pulls_a_private_image(docker_client, registry: Registry, image: str, tmp_path):
    with new_standin() as xnat:
        hub = hub_on_docker(
            docker_client, registry, tmp_path, xnat, as_config(registry), images_ahead=[image]
        )
        try:
            hub.start()
            wait_for(lambda: has(docker_client, image), 120, lambda: hub.log_since(0))
            hub.plugin.ensure_user("demo")
            hub.plugin.start("demo", hub.options("demo", replace(WEB_SERVER, image=image)))
            hub.plugin.wait_ready("demo")
            assert hub.reached("demo")
            assert PASSWORD not in hub.log_since(0)
        finally:
            hub.remove()


def test_one_engine_tells_how_far_a_pull_is(docker_client, registry: Registry, tmp_path):
    lines = ("FROM xnathub-busybox:test", "RUN dd if=/dev/urandom of=/noise bs=1M count=150")
    docker_client.images.build(fileobj=io.BytesIO("\n".join(lines).encode()), tag="xhtest-noise", rm=True)
    image = registry.push(docker_client, "xhtest-noise", "private/noise:1")
    docker_client.images.remove("xhtest-noise")
    with new_standin() as xnat:
        hub = hub_on_docker(docker_client, registry, tmp_path, xnat, as_config(registry))
        try:
            hub.start()
            hub.plugin.ensure_user("demo")
            options = hub.options("demo", replace(WEB_SERVER, image=image))
            with ThreadPoolExecutor() as pool:
                # It answers once the server runs, or after some seconds.
                start = pool.submit(hub.plugin.start, "demo", options)
                wait_for(lambda: hub.plugin.server("demo"), 20)
                told = [str(event["message"]) for event in hub.plugin.progress("demo")]
                start.result()
            assert hub.reached("demo")
        finally:
            hub.remove()
            docker_client.images.remove(image, force=True)
    pulled = [
        re.search(r"Docker pulls the image \(([\d.]+) (k|M)?B\w*, (\d) of 2 layers\)$", text) for text in told
    ]
    got = [(float(found[1]), found[2]) for found in pulled if found]
    assert any(0 < count <= 158 and unit == "M" for count, unit in got), told


def test_what_can_not_be_pulled_is_named_with_the_key(
    docker_client, registry: Registry, image: str, tmp_path
):
    down = f"127.0.0.1:{free_port()}/private/web:1"
    with new_standin() as xnat:
        hub = hub_on_docker(docker_client, registry, tmp_path, xnat, None, allowed_images=[image, down])
        try:
            hub.start()
            told = {each: failure(hub, "demo", replace(WEB_SERVER, image=each)) for each in (image, down)}
        finally:
            hub.remove()
    assert f"The image {image} can't be pulled: " in told[image]
    assert "no basic auth credentials" in told[image]
    assert f"The image {down} can't be pulled: " in told[down]
    assert "connection refused. Tell your XNAT administrator." in told[down]
    for each in told.values():
        assert "site.yaml: servers.registry_logins." in each


def test_one_engine_that_is_too_slow_says_at_what(
    docker_client, registry: Registry, tarpit: Tarpit, tmp_path
):
    with new_standin() as xnat:
        images = [f"{tarpit.host}/private/*", "xnathub-busybox:test"]
        limits = {"allowed_images": images, "start_timeout": 8}
        hub = hub_on_docker(docker_client, registry, tmp_path, xnat, None, **limits)
        try:
            hub.start()
            pulls = failure(hub, "demo", replace(WEB_SERVER, image=f"{tarpit.host}/private/web:1"))
            silent = failure(hub, "alice", replace(WEB_SERVER, command=SILENT))
            log = hub.log_since(0)
        finally:
            hub.remove()
    assert f"not up after 8 s. Docker was still pulling the image {tarpit.host}/private/web:1." in pulls
    assert "not up after 8 s. Its container runs, but nothing listens at port 8888 yet." in silent
    # The log takes tokens out of addresses once more.
    for told, token in ((silent, "***"), (log, "[secret]")):
        assert f"see /lab?token={token}" in told
        assert "got ***" in told
        assert LEAK not in told
