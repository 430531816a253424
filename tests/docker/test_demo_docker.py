"""`xnathub demo --docker`: from the command to a notebook with its data, and nothing left of it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from tests.demo import Demo, no_images_but_own, use
from tests.support import free_port

DOCKER = """\
#!/bin/sh
# No registry is reached here, so base images have other names.
if [ "$1" = build ]; then
  shift
  set -- build --network host --build-arg BASE=xnathub-base:test --build-arg BUILDER_BASE=xnathub-builder:test "$@"
fi
exec /usr/bin/docker "$@"
"""


class DockerDemo(Demo):
    """The demo with a `docker` that finds the base images of this machine."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        programs = folder / "bin"
        programs.mkdir()
        (programs / "docker").write_text(DOCKER)
        (programs / "docker").chmod(0o755)
        path = {"PATH": f"{programs}:{os.environ['PATH']}", "DOCKER_BUILDKIT": "0"}
        super().__init__(folder, "--docker", *arguments, **{**path, **environment})


@pytest.fixture
def new_demo(docker_client, tmp_path) -> Iterator[Any]:
    demos: list[DockerDemo] = []

    def new(*arguments: str, **environment: str) -> DockerDemo:
        folder = tmp_path / str(len(demos))
        folder.mkdir()
        demos.append(DockerDemo(folder, *arguments, **environment))
        return demos[-1]

    with no_images_but_own():
        yield new
        for demo in demos:
            if demo.process.poll() is None:
                demo.end(signal.SIGTERM)


def there_is(client: docker.DockerClient) -> set[str]:
    """Name all containers, networks and volumes of a demo, and all unnamed volumes; other tests have servers of a user `demo`."""
    kinds = (
        (each.name for each in client.containers.list(all=True, ignore_removed=True)),
        (each.name for each in client.networks.list()),
        (each.name for each in client.volumes.list()),
    )
    return {name for kind in kinds for name in kind if re.match("(xnathub-)?demo-|[0-9a-f]{64}$", name)}


def test_from_the_command_to_the_notebook_and_nothing_left(docker_client, new_demo):
    before = there_is(docker_client)
    ports = ("--xnat-port", str(free_port()), "--hub-port", str(free_port()))
    demo = new_demo(*ports)
    demo.wait_until_up()
    # Docker's own network alone reaches it.
    port = demo.addresses[1].rpartition(":")[2]
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/jupyterhub/hub/health", timeout=5)
    use(demo)
    assert [name for name in there_is(docker_client) if name.startswith("demo-")]
    assert demo.end(signal.SIGINT) == 0, demo.output
    assert "nothing of it is left" in demo.output
    assert there_is(docker_client) == before
    assert not list(demo.temp.iterdir())


def test_what_is_missing_is_one_sentence(new_demo, tmp_path):
    for arguments, environment, says in (
        ((), {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}, "Docker can't be used here: Cannot connect"),
        ((), {"PATH": str(tmp_path)}, "there is no program `docker`"),
        (("--address", "localhost"), {}, "Containers must reach --address"),
        (("--address", "192.0.2.1"), {}, "192.0.2.1 is no address of this machine"),
    ):
        demo = new_demo(*arguments, **environment)
        assert demo.process.wait(400) == 2, demo.output
        assert says in demo.output.splitlines()[-1]
        assert "Traceback" not in demo.output
        assert not list(demo.temp.iterdir())
