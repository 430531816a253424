"""A site as a stack file for `docker stack deploy`."""

import shlex
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
from xnathub_conf.site.types import Swarm

POSTGRES_IMAGE = "postgres:17-alpine"
"""The database's image, unless the command line names another that takes the same variables and keeps the same folder."""

_OWNER_ONLY = 0o400


def render_stack(
    loaded: LoadedSite,
    content: str,
    *,
    image: str = IMAGE,
    proxy_image: str | None = None,
    postgres_image: str | None = None,
    folder: Path | None = None,
) -> str:
    """Return a site's hub and its proxy as a stack file; with `postgres_image`, its database as a service of that image.

    `proxy_image` is the proxy's, where that is another than the hub's. An edit of the site changes nothing of its service.
    `content` is the site file's text: the name of the config that holds it carries its hash, since Swarm never changes
    a config, so that an edit starts the hub anew. `folder` is where the stack file will stand, which Docker looks from
    for the site file; None is the working folder. Raises ValueError where the site can't be a stack.
    """
    site = loaded.site
    swarm = settings_of(site, Swarm)
    check_stack(site, swarm)
    secrets, variables = secrets_of(loaded), variables_of(loaded)
    services = {
        "hub": _hub(loaded, swarm, image, secrets, variables),
        "proxy": _proxy(loaded, swarm, proxy_image or image, secrets),
        **way_out_services(site, image, swarm, deploy=_deployed(swarm)),
    }
    networks: dict[str, Any] = {
        "jupyter": {
            "name": swarm.network_name,
            "driver": "overlay",
            "attachable": True,
            **network_options(swarm),
        },
        NETWORK: {"driver": "overlay", "internal": True, **network_options(swarm)},
    }
    if swarm.subnet:
        networks["jupyter"]["ipam"] = {"config": [{"subnet": swarm.subnet}]}
    inside = {"internal": True} if site.servers.internet == "none" else {}
    for name in server_networks(swarm):
        networks[name] = {"name": name, "driver": "overlay", **inside, **network_options(swarm)}
    configs: dict[str, object] = {
        "site": {
            "name": f"xnathub_site_{digest(content)}",
            "file": literal(seen_from(folder, loaded.document.file)),
        }
    }
    volumes: dict[str, object] = {"data": {}}
    external = {name: {"external": True} for name in secrets}
    for file in config_files(loaded, secrets):
        configs[docker_name(file)] = {"external": True}
        for name in ("hub", "proxy") if file in files_of_the_proxy(site) else ("hub",):
            mounted = services[name].setdefault("configs", [])
            mounted.append({"source": docker_name(file), "target": literal(file)})
    if postgres_image:
        services["db"] = _postgres(postgres_image)
        services["hub"]["networks"]["database"] = {}
        networks["database"] = {"driver": "overlay", "internal": True, **network_options(swarm)}
        volumes["database"] = {}
        external["hub_db_password"] = {"external": True}
    stack = {
        "version": "3.8",
        "services": services,
        "networks": networks,
        "configs": configs,
        "secrets": external,
        "volumes": volumes,
    }
    text = yaml_text(stack).replace(f"mode: {_OWNER_ONLY}\n", f"mode: 0{_OWNER_ONLY:o}\n")
    flags = image_flags(image, proxy_image)
    if postgres_image:
        flags += "--postgres "
        flags += (
            f"--postgres-image {shlex.quote(postgres_image)} " if postgres_image != POSTGRES_IMAGE else ""
        )
    return _head(loaded, secrets, variables, flags, postgres=postgres_image is not None) + text


def _head(
    loaded: LoadedSite, secrets: dict[str, str], variables: list[str], flags: str, *, postgres: bool
) -> str:
    file = loaded.document.file
    login = "--with-registry-auth " if flags else ""
    lines = [
        f"Made by `xnathub render swarm` from {file}. After an edit of that file make it again, and deploy again:",
        f"  xnathub render swarm {flags}{file} > docker-stack.yml && docker stack deploy {login}--compose-file docker-stack.yml xnathub",
        "Without --prune, which would remove the running servers: they are services of the same stack.",
    ]
    if secrets:
        lines.append("It wants these secrets, made once:")
        lines += [f"  docker secret create {name} FILE" for name in secrets]
    if postgres:
        lines += [
            "  docker secret create hub_db_password FILE",
            "and hub.db_url as a secret that says postgresql://jupyterhub:THE_PASSWORD@db/jupyterhub",
        ]
    if files := config_files(loaded, secrets):
        lines.append("It wants these configs:" if len(files) > 1 else "It wants this config:")
        lines += [f"  docker config create {docker_name(file)} FILE" for file in files]
    if variables:
        lines += [
            f"It wants these variables where `docker stack deploy` runs: {', '.join(variables)}.",
            "Whoever may inspect services can read them; a secret file is safer.",
        ]
    return "".join(f"# {line}\n" for line in lines)


def _hub(
    loaded: LoadedSite, swarm: Swarm, image: str, secrets: dict[str, str], variables: list[str]
) -> dict[str, Any]:
    hub = loaded.site.hub
    volumes = [
        {"type": "volume", "source": "data", "target": DATA},
        {"type": "tmpfs", "target": "/tmp"},  # noqa: S108 - the container's own
    ]
    if swarm.docker_host.startswith("unix://"):
        socket = swarm.docker_host.removeprefix("unix://")
        volumes.append({"type": "bind", "source": literal(socket), "target": literal(socket)})
    return {
        "image": image,
        "hostname": connect_host(loaded.site),
        "user": f"{hub.uid}:{hub.gid}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "init": True,
        "stop_grace_period": "30s",
        "environment": {
            # So that the servers belong to the stack, and `docker stack rm` removes them too.
            "XNATHUB_STACK": '{{index .Service.Labels "com.docker.stack.namespace"}}',
            **OF_THE_HUB,
            **{name: f"${{{name}:?the hub needs it}}" for name in variables},
        },
        "networks": {**hub_networks(loaded.site), **HUBS_PLACE},
        "configs": [{"source": "site", "target": SITE}],
        **_mounted(loaded, secrets),
        "volumes": volumes,
        "healthcheck": {
            "test": ["CMD", "python3", "-c", health(hub_port(loaded.site), f"{hub.base_url}hub/health")],
            # Proxy and servers find the hub after the first look that finds it healthy.
            "interval": "3s",
            "timeout": "5s",
            "start_period": "60s",
            "retries": 8,
        },
        "deploy": {
            "endpoint_mode": swarm.endpoint_mode,
            "placement": {"constraints": ["node.role==manager"]},
            # The old hub must have let go of the database.
            "update_config": {"order": "stop-first", "failure_action": "rollback"},
            "restart_policy": {"condition": "any", "delay": "2s"},
        },
    }


def _proxy(loaded: LoadedSite, swarm: Swarm, image: str, secrets: dict[str, str]) -> dict[str, object]:
    files, port = files_of_the_proxy(loaded.site), public_port(loaded.site)
    return {
        **proxy_service(loaded, image),
        "ports": [{"target": port, "published": port, "protocol": "tcp", "mode": "host"}],
        **_mounted(loaded, {name: path for name, path in secrets.items() if path in files}),
        "volumes": [{"type": "tmpfs", "target": "/tmp"}],  # noqa: S108 - the container's own
        # The old proxy must have let go of the port.
        "deploy": _deployed(swarm),
    }


def _deployed(swarm: Swarm) -> dict[str, object]:
    return {
        "endpoint_mode": swarm.endpoint_mode,
        "placement": {"constraints": ["node.role==manager"]},
        "update_config": {"order": "stop-first", "failure_action": "rollback"},
        "restart_policy": {"condition": "any", "delay": "1s"},
    }


def _mounted(loaded: LoadedSite, secrets: dict[str, str]) -> dict[str, object]:
    hub = loaded.site.hub
    ids = {"uid": str(hub.uid), "gid": str(hub.gid)}
    mounted = [
        {"source": name, "target": literal(path), **ids, "mode": _OWNER_ONLY}
        for name, path in secrets.items()
    ]
    return {"secrets": mounted} if mounted else {}


def _postgres(image: str) -> dict[str, object]:
    return {
        "image": image,
        "environment": {
            "POSTGRES_USER": "jupyterhub",
            "POSTGRES_DB": "jupyterhub",
            "POSTGRES_PASSWORD_FILE": "/run/secrets/hub_db_password",
        },
        "networks": {"database": {"aliases": ["db"]}},
        "secrets": ["hub_db_password"],
        "volumes": [
            {"type": "volume", "source": "database", "target": "/var/lib/postgresql/data"},
            {"type": "tmpfs", "target": "/tmp"},  # noqa: S108 - the container's own
            {"type": "tmpfs", "target": "/var/run/postgresql"},
        ],
        "read_only": True,
        "cap_drop": ["ALL"],
        # Its start script, as root, makes the folders of its data the database's own, and becomes that user.
        "cap_add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"],
        "healthcheck": {"test": ["CMD", "pg_isready", "--username=jupyterhub"], "interval": "15s"},
        "deploy": {
            # Connections through a virtual address are lost when they idle, and the hub's to its database do.
            "endpoint_mode": "dnsrr",
            # Its volume is one node's.
            "placement": {"constraints": ["node.role==manager"]},
            "update_config": {"order": "stop-first"},
        },
    }
