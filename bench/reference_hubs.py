"""The two hubs that `bench.reference` sets beside each other: the reference's own on its own packages, and xnathub's stack."""

from __future__ import annotations

import contextlib
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker
import requests

from tests.docker.conftest import remove_network
from tests.docker.testbed import GID, UID, Stack, command, wait_for
from tests.support import free_port, merged
from xnathub_conf.standin import HubLink, HubPlugin, StandIn

NOTEBOOK = "xnathub-notebook:4.0.2"
"""JupyterLab with JupyterHub 4.0.2, as the reference's notebook images have it."""

OTHER = "xnathub-other:4.0.2"
"""The same by a name that the site does not allow."""

REFERENCE = "xnathub-reference:test"
_NOTEBOOK_LINES = """\
FROM xnathub-builder:test AS builder
RUN python3 -m venv /opt/notebook && /opt/notebook/bin/pip install -q jupyterhub==4.0.2 jupyterlab==4.4.10 ipykernel==6.31.0 sqlalchemy==2.0.44
FROM xnathub-singleuser:test
RUN rm -rf /opt/notebook
COPY --from=builder /opt/notebook /opt/notebook
"""
_REFERENCE_LINES = """\
FROM xnathub-builder:test AS builder
RUN python3 -m venv /opt/reference && /opt/reference/bin/pip install -q jupyterhub==4.0.2 dockerspawner==13.0.0 sqlalchemy==2.0.44
FROM xnathub:test
COPY --from=builder /opt/reference /opt/reference
COPY . /srv/jupyterhub
ENV PATH=/opt/reference/bin:/opt/proxy/bin:/usr/local/bin:/usr/bin:/bin
USER root
HEALTHCHECK NONE
CMD ["jupyterhub"]
"""
# This engine's kernel may have no virtual addresses. It is on the command line, so that the file stays as it is.
_DIRECT = "--SwarmSpawner.extra_endpoint_spec=mode=dnsrr"


@dataclass(frozen=True)
class Hub:
    """One of the two: where XNAT's plugin and a browser find it, and how its server's service is found."""

    url: str
    token: str
    plugin: HubPlugin
    service: Callable[[str, str], Any]
    container: Callable[[], Any]


def _build(client: docker.DockerClient, tag: str, lines: str, context: Path | None = None) -> None:
    """Build an image on the tests' own ones."""
    with TemporaryDirectory() as folder:
        if context:
            shutil.copytree(context, folder, dirs_exist_ok=True)
        (Path(folder) / "Dockerfile").write_text(lines)
        client.images.build(path=folder, tag=tag, rm=True, network_mode="host")


@contextlib.contextmanager
def reference(client: docker.DockerClient, name: str, xnat: StandIn, address: str) -> Iterator[Hub]:
    """Run the reference's hub as a service, as its stack file has it."""
    token, port, network = uuid.uuid4().hex, free_port(), f"{name}-net"
    client.networks.create(network, driver="overlay", attachable=True)
    variables = {
        "JH_NETWORK": network, "JH_XNAT_URL": xnat.url, "JH_XNAT_SERVICE_TOKEN": token, "JH_XNAT_USERNAME": "jupyterhub",
        "JH_XNAT_PASSWORD": xnat.state.user("jupyterhub").password, "JH_START_TIMEOUT": "90", "JH_HTTP_TIMEOUT": "75",
        "NB_UID": str(UID), "NB_GID": str(GID),
    }  # fmt: skip
    words = [
        "docker", "service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", name, "--hostname", "jupyterhub",
        "--endpoint-mode", "dnsrr", "--network", f"name={network},alias=jupyterhub",
        "--publish", f"mode=host,published={port},target=8000",
        "--mount", "type=bind,source=/var/run/docker.sock,target=/var/run/docker.sock",
        *(word for key, value in variables.items() for word in ("--env", f"{key}={value}")),
        REFERENCE, "jupyterhub", _DIRECT,
    ]  # fmt: skip
    url = f"http://{address}:{port}/jupyterhub"

    def up() -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{url}/hub/health", timeout=5).status_code == 200
        return False

    def container() -> Any:
        (found,) = client.containers.list(filters={"label": f"com.docker.swarm.service.name={name}"})
        return found

    def service(user: str, servername: str) -> Any:
        # Its services have no labels: a server's own variables tell whose it is.
        prefix = f"JUPYTERHUB_SERVICE_PREFIX=/jupyterhub/user/{user}/" + (
            f"{servername}/" if servername else ""
        )
        found = [
            each
            for each in client.services.list()
            if prefix in (each.attrs["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env") or ())
            and each.attrs["Spec"]["TaskTemplate"]["Networks"][0]["Target"]
            in {network, client.networks.get(network).id}
        ]
        return found[0] if found else None

    try:
        command(*words)
        wait_for(up, 120, lambda: command("docker", "service", "ps", "--no-trunc", name))
        link = HubLink(f"{url}/hub/api", url, token)
        yield Hub(url, token, HubPlugin(link, start_timeout=120), service, container)
    except BaseException:
        with contextlib.suppress(ValueError, AssertionError):
            print(command("docker", "logs", container().id), file=sys.stderr)
        raise
    finally:
        command("docker", "service", "rm", name)
        remove_network(client, network)


@contextlib.contextmanager
def ours(client: docker.DockerClient, name: str, folder: Path, xnat: StandIn, address: str) -> Iterator[Hub]:
    """Run xnathub as the stack that it renders."""
    stack = Stack(client, name, folder, xnat, {"swarm": {"network_name": f"{name}-net", "prefix": name}})
    changes = {
        "environment": {"JUPYTERHUB_SINGLEUSER_EXTENSION": "0"},
        "start_timeout": 90,
        "http_timeout": 75,
    }
    images = [NOTEBOOK, "xnathub-singleuser:test"]
    stack.site = merged(stack.site, {"servers": {**changes, "allowed_images": images}, "paths": None})
    stack.url = f"http://{address}:{stack.port}/jupyterhub"
    link = HubLink(f"{stack.url}/hub/api", stack.url, stack.token)
    stack.plugin = HubPlugin(link, start_timeout=120)

    def service(user: str, servername: str) -> Any:
        wanted = (user, servername)
        for each in stack.servers():
            labels = each.attrs["Spec"]["Labels"]
            if (
                labels
                and (labels.get("org.xnat.jupyter.user"), labels.get("org.xnat.jupyter.server")) == wanted
            ):
                return each
        return None

    try:
        stack.create()
        yield Hub(stack.url, stack.token, stack.plugin, service, stack.hub_container)
    finally:
        stack.remove()
        stack.clean()


def build_both(client: docker.DockerClient, folder: Path) -> None:
    """Build the reference's image from its folder, and a notebook image of its age."""
    _build(client, NOTEBOOK, _NOTEBOOK_LINES)
    client.images.get(NOTEBOOK).tag(OTHER)
    _build(client, REFERENCE, _REFERENCE_LINES, folder)
