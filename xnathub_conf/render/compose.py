"""A site as a compose file for one Docker engine."""

from pathlib import Path
from typing import Any

from xnathub_conf.render.hub_container import (
    IMAGE,
    SITE,
    config_files,
    digest,
    docker_name,
    health,
    hub_networks,
    image_flags,
    literal,
    secrets_of,
    seen_from,
    variables_of,
)
from xnathub_conf.render.proxy_container import (
    HUBS_PLACE,
    NETWORK,
    OF_THE_HUB,
    files_of_the_proxy,
    proxy_service,
)
from xnathub_conf.render.swarm_limits import DATA, check_stack, connect_host
from xnathub_conf.render.way_out import way_out_services
from xnathub_conf.render.yaml_text import yaml_text
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.hub_settings import hub_port, public_port
from xnathub_conf.site.load import LoadedSite
from xnathub_conf.site.networks import network_options, server_networks
from xnathub_conf.site.types import Docker

SECRETS = "./secrets"
"""Where the files of secrets, and others that the site names, lie beside the compose file."""

_CONFINED = {"security_opt": ["no-new-privileges:true"], "pids_limit": 2048}
"""What neither container needs: rights to gain, and processes and threads without end; the hub has some 40."""


def render_compose(
    loaded: LoadedSite,
    content: str,
    *,
    image: str = IMAGE,
    proxy_image: str | None = None,
    folder: Path | None = None,
) -> str:
    """Return a site's hub and its proxy as a compose file; `folder` is where it will stand, None for the working folder.

    `content` is the site file's text: a label of the hub carries its hash, so that an edit starts the hub anew, and
    nothing else. `proxy_image` is the proxy's, where that is another than the hub's. Raises ValueError where the site can't be run that way.
    """
    site = loaded.site
    docker = settings_of(site, Docker)
    check_stack(site, docker)
    secrets, variables = secrets_of(loaded), variables_of(loaded)
    files = [*secrets.values(), *config_files(loaded, secrets)]
    volumes = _volumes(loaded, docker, files, folder)
    inside = {"internal": True} if site.servers.internet == "none" else {}
    compose = {
        "services": {
            "hub": _hub(loaded, image, variables, volumes, digest(content)),
            "proxy": _proxy(loaded, proxy_image or image),
            **way_out_services(site, image, docker, **_CONFINED, restart="unless-stopped"),
        },
        # A name of its own, since servers are attached to it by that name.
        "networks": {
            "jupyter": {"name": docker.network_name, "driver": "bridge", **network_options(docker)},
            NETWORK: {"driver": "bridge", "internal": True, **network_options(docker)},
            **{
                name: {"name": name, "driver": "bridge", **inside, **network_options(docker)}
                for name in server_networks(docker)
            },
        },
        "volumes": {"data": {}},
    }
    return _head(loaded, files, variables, image_flags(image, proxy_image)) + yaml_text(compose)


def _head(loaded: LoadedSite, files: list[str], variables: list[str], flags: str) -> str:
    file, hub = loaded.document.file, loaded.site.hub
    lines = [
        f"Made by `xnathub render docker` from {file}. After an edit of that file make it again, which starts the hub again and nothing else:",
        f"  xnathub render docker {flags}{file} > compose.yaml && docker compose up --detach",
        "After a change of a secret: docker compose up --detach --force-recreate",
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
        *(_secret(file) for file in files),
    ]
    if docker.docker_host.startswith("unix://"):
        socket = docker.docker_host.removeprefix("unix://")
        volumes.append(_bind(socket, socket))
    return volumes


def _hub(
    loaded: LoadedSite, image: str, variables: list[str], volumes: list[dict[str, object]], site_digest: str
) -> dict[str, object]:
    hub = loaded.site.hub
    return {
        "image": image,
        "hostname": connect_host(loaded.site),
        "user": f"{hub.uid}:{hub.gid}",
        "read_only": True,
        "cap_drop": ["ALL"],
        **_CONFINED,
        **_users(loaded),
        "init": True,
        "restart": "unless-stopped",
        "stop_grace_period": "30s",
        "labels": {"org.xnat.xnathub.site": site_digest},
        "environment": {**OF_THE_HUB, **{name: f"${{{name}:?the hub needs it}}" for name in variables}},
        "networks": {**hub_networks(loaded.site), **HUBS_PLACE},
        "volumes": volumes,
        "healthcheck": {
            "test": ["CMD", "python3", "-c", health(hub_port(loaded.site), f"{hub.base_url}hub/health")],
            "interval": "15s",
            "timeout": "5s",
            "start_period": "60s",
            "retries": 6,
        },
    }


def _proxy(loaded: LoadedSite, image: str) -> dict[str, object]:
    port = public_port(loaded.site)
    files = [_secret(file) for file in files_of_the_proxy(loaded.site)]
    return {
        **proxy_service(loaded, image),
        **_CONFINED,
        **_users(loaded),
        "restart": "unless-stopped",
        "ports": [f"{port}:{port}"],
        "volumes": [{"type": "tmpfs", "target": "/tmp"}, *files],  # noqa: S108 - the container's own
    }


def _users(loaded: LoadedSite) -> dict[str, object]:
    """Return whose users the hub and its proxy have: in a user namespace neither Docker's socket nor the secrets' files would be theirs."""
    return {"userns_mode": "host"} if loaded.site.servers.security.user_namespaces == "own" else {}


def _secret(file: str) -> dict[str, object]:
    return _bind(f"{SECRETS}/{docker_name(file)}", file, read_only=True)


def _bind(source: str, target: str, **more: bool) -> dict[str, object]:
    return {"type": "bind", "source": literal(source), "target": literal(target), **more}
