"""A site as a compose file for one Docker engine."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from xnathub_conf.render.hub_container import (
    IMAGE,
    SITE,
    config_files,
    docker_name,
    health,
    literal,
    secrets_of,
    seen_from,
    variables_of,
)
from xnathub_conf.render.swarm_limits import DATA, check_stack, connect_host
from xnathub_conf.render.yaml_text import yaml_text
from xnathub_conf.site.load import LoadedSite
from xnathub_conf.site.types import Docker

SECRETS = "./secrets"
"""Where the files of secrets, and others that the site names, lie beside the compose file."""


def render_compose(
    loaded: LoadedSite, _content: str, *, image: str = IMAGE, folder: Path | None = None
) -> str:
    """Return a site's hub as a compose file; `folder` is where it will stand, None for the working folder.

    Raises ValueError where the site can't be run that way.
    """
    site = loaded.site
    docker = site.orchestrator.docker
    if docker is None:
        raise ValueError("The site's orchestrator is not docker.")
    check_stack(site, docker)
    secrets, variables = secrets_of(loaded), variables_of(loaded)
    files = [*secrets.values(), *config_files(loaded, secrets)]
    compose = {
        "services": {"hub": _hub(loaded, image, variables, _volumes(loaded, docker, files, folder))},
        # A name of its own, since servers are attached to it by that name.
        "networks": {"jupyter": {"name": docker.network_name, "driver": "bridge"}},
        "volumes": {"data": {}},
    }
    return _head(loaded, files, variables) + yaml_text(compose)


def _head(loaded: LoadedSite, files: list[str], variables: list[str]) -> str:
    file, hub = loaded.document.file, loaded.site.hub
    lines = [
        f"Made by `xnathub render docker` from {file}. After an edit of that file make it again, and start the hub again:",
        f"  xnathub render docker {file} > compose.yaml && docker compose up --detach --force-recreate",
        "Running servers go on: they are containers of their own, which `docker compose down` leaves alone.",
    ]
    if files:
        lines.append(f"It wants these files, which the user {hub.uid} can read and nobody else:")
        lines += [f"  {SECRETS}/{docker_name(each)}" for each in files]
    if variables:
        lines.append(f"It wants these variables where `docker compose` runs: {', '.join(variables)}.")
    return "".join(f"# {line}\n" for line in lines)


def _volumes(
    loaded: LoadedSite, docker: Docker, files: list[str], folder: Path | None
) -> list[dict[str, object]]:
    site_file = seen_from(folder, loaded.document.file)
    volumes: list[dict[str, Any]] = [
        {"type": "volume", "source": "data", "target": DATA},
        {"type": "tmpfs", "target": "/tmp"},  # noqa: S108 - the container's own
        _bind(site_file if site_file.startswith("/") else f"./{site_file}", SITE, read_only=True),
        *(_bind(f"{SECRETS}/{docker_name(file)}", file, read_only=True) for file in files),
    ]
    if docker.docker_host.startswith("unix://"):
        socket = docker.docker_host.removeprefix("unix://")
        volumes.append(_bind(socket, socket))
    return volumes


def _hub(
    loaded: LoadedSite, image: str, variables: list[str], volumes: list[dict[str, object]]
) -> dict[str, object]:
    hub = loaded.site.hub
    port = urlsplit(hub.bind_url).port or 8000
    return {
        "image": image,
        "hostname": connect_host(loaded.site),
        "user": f"{hub.uid}:{hub.gid}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "init": True,
        "restart": "unless-stopped",
        "stop_grace_period": "30s",
        **(
            {"environment": {name: f"${{{name}:?the hub needs it}}" for name in variables}}
            if variables
            else {}
        ),
        "networks": {"jupyter": {"aliases": [connect_host(loaded.site)]}},
        "ports": [f"{port}:{port}"],
        "volumes": volumes,
        "healthcheck": {
            "test": ["CMD", "python3", "-c", health(loaded.site, port)],
            "interval": "15s",
            "timeout": "5s",
            "start_period": "60s",
            "retries": 6,
        },
    }


def _bind(source: str, target: str, **more: bool) -> dict[str, object]:
    return {"type": "bind", "source": literal(source), "target": literal(target), **more}
