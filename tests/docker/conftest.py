"""A real Docker Engine in swarm mode for the tests in this folder, made ready by tests/docker/engine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.errors import APIError, NotFound

from tests.docker.firewall import REAL_METADATA, rule
from tests.docker.testbed import new_name, remove_what_a_killed_run_left
from tests.support import cannot_test

SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Images:
    hub: str = "xnathub:test"
    singleuser: str = "xnathub-singleuser:test"
    busybox: str = "xnathub-busybox:test"
    # What the project's images were built on, and what their builder stages were built on.
    base: str = "xnathub-base:test"
    builder: str = "xnathub-builder:test"


@dataclass(frozen=True)
class Result:
    code: int
    output: str


@pytest.fixture(scope="session")
def engine() -> None:
    """The engine runs, swarm is on and the images are up to date."""
    # Command lines that tests start must reach the same engine as the client below.
    os.environ["DOCKER_HOST"] = SOCKET
    os.environ.pop("DOCKER_CONTEXT", None)
    done = subprocess.run([Path(__file__).with_name("engine")], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        cannot_test("docker", f"tests/docker/engine ended with:\n{done.stderr}")


@pytest.fixture(scope="session")
def docker_client(engine: None) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=SOCKET)
    remove_what_a_killed_run_left(client)
    # The machine may be a cloud's; what servers reach there is no matter of these tests.
    with rule("DOCKER-USER", "-d", REAL_METADATA, "-j", "DROP"):
        yield client
    client.close()


@pytest.fixture(scope="session")
def images(engine: None) -> Images:
    return Images()


@pytest.fixture(scope="session")
def socket_gid() -> int:
    """The group that may use the engine: a hub that is not root needs it."""
    return Path("/var/run/docker.sock").stat().st_gid


@pytest.fixture(scope="session")
def host_address(docker_client: docker.DockerClient) -> str:
    """Where containers on an overlay network reach what listens on this host (on this address or on 0.0.0.0)."""
    return docker_client.networks.get("docker_gwbridge").attrs["IPAM"]["Config"][0]["Gateway"]


@pytest.fixture
def unique() -> str:
    """A name no other test, and no other run on the same engine, has."""
    return new_name()


def remove_network(client: docker.DockerClient, name: str) -> None:
    """Remove a network, with whatever a failed test left on it."""
    try:
        network = client.networks.get(name)
    except NotFound:
        return
    for service in client.services.list():
        attached = service.attrs["Spec"]["TaskTemplate"].get("Networks", [])
        if any(each["Target"] in (network.id, name) for each in attached):
            service.remove()
    for container in client.containers.list(all=True, ignore_removed=True):
        if name in container.attrs["NetworkSettings"]["Networks"]:
            with contextlib.suppress(APIError):
                container.remove(force=True)
    # Tasks let go of their network a moment after their service is gone.
    for wait in [0.5] * 60:
        try:
            network.remove()
        except NotFound:
            return
        except APIError:
            time.sleep(wait)
        else:
            return
    raise AssertionError(f"network {name} is still in use")


@pytest.fixture
def overlay(docker_client: docker.DockerClient, unique: str) -> Iterator[str]:
    """An attachable overlay network of the test's own."""
    docker_client.networks.create(unique, driver="overlay", attachable=True)
    yield unique
    remove_network(docker_client, unique)


@pytest.fixture
def volume(docker_client: docker.DockerClient, unique: str) -> Iterator[str]:
    """A new and empty volume."""
    made = docker_client.volumes.create(unique)
    yield unique
    made.remove(force=True)


@pytest.fixture
def run(docker_client: docker.DockerClient) -> Callable[..., Result]:
    """Run a container to its end: run(image, command, **options of the Docker SDK)."""

    def run(image: str, command: object, **options: object) -> Result:
        container = docker_client.containers.run(image, command, detach=True, **options)
        try:
            code = container.wait(timeout=120)["StatusCode"]
            return Result(code, container.logs().decode())
        finally:
            container.remove(force=True)

    return run
