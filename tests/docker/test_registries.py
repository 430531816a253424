"""Images of a private registry: a real one, whose login the hub sends along."""

from __future__ import annotations

import base64
import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace

import docker
import pytest
from docker.errors import ImageNotFound

from tests.docker.processes import WEB_SERVER, DockerHub
from tests.docker.registry import PASSWORD, USER, Registry
from tests.docker.test_docker_doctor import inside
from tests.docker.test_engine_faults import failure
from tests.docker.testbed import TEST, Stack
from tests.secret_search import Search
from tests.support import new_standin
from xnathub_conf.standin import StandIn, demo_state


@pytest.fixture(scope="module")
def registry(docker_client, tmp_path_factory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        if Search.current:
            Search.current.secret("registry password", PASSWORD)
        yield registry


@pytest.fixture
def image(docker_client: docker.DockerClient, registry: Registry) -> Iterator[str]:
    """An image that the registry has and the engine has not."""
    name = registry.push(docker_client, "xnathub-busybox:test", "private/web:1")
    yield name
    with contextlib.suppress(ImageNotFound):
        docker_client.images.remove(name, force=True)


def as_config(registry: Registry) -> str:
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return json.dumps({"auths": {f"http://{registry.host}/v2/": {"auth": auth}}})


@pytest.fixture(scope="module")
def stack(docker_client, host_address, registry: Registry, tmp_path_factory) -> Iterator[Stack]:
    name = f"xhtest-{uuid.uuid4().hex[:8]}"
    orchestrator = {"swarm": {"network_name": f"{name}-net", "prefix": name}}
    with StandIn(demo_state(), host=host_address) as xnat:
        stack = Stack(docker_client, name, tmp_path_factory.mktemp("registries"), xnat, orchestrator)
        stack.site["servers"] |= {
            "allowed_images": [f"{registry.host}/private/web:1"],
            "registry_logins": {"file": f"/run/secrets/{name}_logins"},
        }
        lines = f"registry.example.org someone else's\n{registry.host} {USER} {PASSWORD}\n"
        docker_client.secrets.create(name=f"{name}_logins", data=lines.encode(), labels={TEST: name})
        try:
            stack.create()
            yield stack
            print(stack.logs())
        finally:
            stack.remove()
            stack.clean()


def test_a_node_of_a_swarm_pulls_a_private_image(stack: Stack, image: str):
    stack.start("demo", image=image, command=WEB_SERVER.command)
    (task,) = stack.server("demo").tasks()
    assert task["Status"]["State"] == "running"
    stack.plugin.stop("demo")


def test_doctor_tries_the_logins(stack: Stack, registry: Registry, image: str):
    found = inside(stack)
    told = found.told("docker.registries", "failed")
    assert "registry.example.org does not take its login: " in told
    assert registry.host not in told
    assert f"1 can be pulled ({image})" in found.told("docker.images", "ok")
    without = inside(stack, {"servers": {"registry_logins": None}})
    assert "docker.registries" not in without.text
    assert "no basic auth credentials" in without.told("docker.images", "failed")


def hub_on_docker(docker_client, registry: Registry, folder, xnat: StandIn, login: str | None) -> DockerHub:
    servers: dict = {"allowed_images": [f"{registry.host}/private/*"]}
    if login:
        (folder / "logins").write_text(login)
        servers["registry_logins"] = {"file": str(folder / "logins")}
    changes = {"servers": servers, "orchestrator": {"docker": {"pull_policy": "ifnotpresent"}}}
    return DockerHub(docker_client, f"xhtest-{uuid.uuid4().hex[:8]}", folder, xnat, changes)


def test_one_engine_pulls_a_private_image(docker_client, registry: Registry, image: str, tmp_path):
    with new_standin() as xnat:
        hub = hub_on_docker(docker_client, registry, tmp_path, xnat, as_config(registry))
        try:
            hub.start()
            hub.plugin.ensure_user("demo")
            hub.plugin.start("demo", hub.options("demo", replace(WEB_SERVER, image=image)))
            hub.plugin.wait_ready("demo")
            assert hub.reached("demo")
            assert PASSWORD not in hub.log_since(0)
        finally:
            hub.remove()


def test_without_a_login_the_key_is_named(docker_client, registry: Registry, image: str, tmp_path):
    with new_standin() as xnat:
        hub = hub_on_docker(docker_client, registry, tmp_path, xnat, None)
        try:
            hub.start()
            told = failure(hub, "demo", replace(WEB_SERVER, image=image))
        finally:
            hub.remove()
    assert "no basic auth credentials" in told
    assert "site.yaml: servers.registry_logins." in told
