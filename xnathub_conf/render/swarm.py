"""A site as a stack file for `docker stack deploy`."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from xnathub_conf import __version__
from xnathub_conf.render.swarm_limits import DATA, check_stack, connect_host
from xnathub_conf.render.yaml_text import yaml_text
from xnathub_conf.site.load import LoadedSite
from xnathub_conf.site.schema import entries
from xnathub_conf.site.types import Site, Swarm
from xnathub_conf.values.secret import Secret

IMAGE = f"xnathub:{__version__}"
"""The hub's image, unless the command line names another."""

POSTGRES_IMAGE = "postgres:17-alpine"
"""The database's image, unless the command line names another that takes the same variables and keeps the same folder."""

_OWNER_ONLY = 0o400
_SITE = "/etc/xnathub/site.yaml"
_HEALTH = (
    "import http.client as h{imports}; c = h.{kind}('127.0.0.1', {port}, timeout=4{trust}); "
    "c.request('GET', '{base_url}hub/health'); exit(c.getresponse().status != 200)"
)


def render_stack(
    loaded: LoadedSite,
    content: str,
    *,
    image: str = IMAGE,
    postgres_image: str | None = None,
    folder: Path | None = None,
) -> str:
    """Return a site's hub as a stack file; with `postgres_image`, its database as a second service of that image.

    `content` is the site file's text: the name of the config that holds it carries its hash, since Swarm never changes
    a config, so that an edit starts the hub anew. `folder` is where the stack file will stand, which Docker looks from
    for the site file; None is the working folder. Raises ValueError where the site can't be a stack.
    """
    site = loaded.site
    swarm = site.orchestrator.swarm
    if swarm is None:
        raise ValueError("The site's orchestrator is not swarm.")
    check_stack(site, swarm)
    secrets, variables = _secrets(loaded), _variables(loaded)
    services = {"hub": _hub(loaded, swarm, image, secrets, variables)}
    networks: dict[str, Any] = {
        "jupyter": {"name": swarm.network_name, "driver": "overlay", "attachable": True}
    }
    if swarm.subnet:
        networks["jupyter"]["ipam"] = {"config": [{"subnet": swarm.subnet}]}
    configs: dict[str, Any] = {
        "site": {
            "name": f"xnathub_site_{_digest(content)}",
            "file": _literal(_seen_from(folder, loaded.document.file)),
        }
    }
    volumes: dict[str, Any] = {"data": {}}
    external = {name: {"external": True} for name in secrets}
    for file in _config_files(loaded, secrets):
        configs[_name(file)] = {"external": True}
        services["hub"]["configs"].append({"source": _name(file), "target": _literal(file)})
    if postgres_image:
        services["db"] = _postgres(postgres_image)
        services["hub"]["networks"]["database"] = {}
        networks["database"] = {"driver": "overlay", "internal": True}
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
    return _head(loaded, secrets, variables, postgres=postgres_image is not None) + text


def _head(loaded: LoadedSite, secrets: dict[str, str], variables: list[str], *, postgres: bool) -> str:
    file = loaded.document.file
    lines = [
        f"Made by `xnathub render swarm` from {file}. After an edit of that file make it again, and deploy again:",
        f"  xnathub render swarm {file} > docker-stack.yml && docker stack deploy --compose-file docker-stack.yml xnathub",
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
    if files := _config_files(loaded, secrets):
        lines.append("It wants these configs:" if len(files) > 1 else "It wants this config:")
        lines += [f"  docker config create {_name(file)} FILE" for file in files]
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
    port = urlsplit(hub.bind_url).port or 8000
    ids = {"uid": str(hub.uid), "gid": str(hub.gid)}
    volumes = [
        {"type": "volume", "source": "data", "target": DATA},
        {"type": "tmpfs", "target": "/tmp"},  # noqa: S108 - the container's own
    ]
    if swarm.docker_host.startswith("unix://"):
        socket = swarm.docker_host.removeprefix("unix://")
        volumes.append({"type": "bind", "source": _literal(socket), "target": _literal(socket)})
    return {
        "image": image,
        # Swarm gives the alias below to a healthy service; the proxy must reach the hub by its name before that.
        "hostname": connect_host(loaded.site),
        "user": f"{hub.uid}:{hub.gid}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "init": True,
        "stop_grace_period": "30s",
        "environment": {
            # So that the servers belong to the stack, and `docker stack rm` removes them too.
            "XNATHUB_STACK": '{{index .Service.Labels "com.docker.stack.namespace"}}',
            **{name: f"${{{name}:?the hub needs it}}" for name in variables},
        },
        "networks": {"jupyter": {"aliases": [connect_host(loaded.site)]}},
        "ports": [{"target": port, "published": port, "protocol": "tcp", "mode": "host"}],
        "configs": [{"source": "site", "target": _SITE}],
        **(
            {
                "secrets": [
                    {"source": name, "target": _literal(path), **ids, "mode": _OWNER_ONLY}
                    for name, path in secrets.items()
                ]
            }
            if secrets
            else {}
        ),
        "volumes": volumes,
        "healthcheck": {
            "test": ["CMD", "python3", "-c", _health(loaded.site, port)],
            # Servers find the hub after the first look that finds it healthy.
            "interval": "5s",
            "timeout": "5s",
            "start_period": "60s",
            "retries": 6,
        },
        "deploy": {
            "endpoint_mode": swarm.endpoint_mode,
            "placement": {"constraints": ["node.role==manager"]},
            # The old hub must have let go of the port and of the database.
            "update_config": {"order": "stop-first", "failure_action": "rollback"},
            "restart_policy": {"condition": "any", "delay": "2s"},
        },
    }


def _health(site: Site, port: int) -> str:
    if site.extra.get("JupyterHub.ssl_cert"):
        # The certificate is for the name that browsers use, and this asks within the container.
        how = {
            "kind": "HTTPSConnection",
            "imports": ", ssl",
            "trust": ", context=ssl._create_unverified_context()",
        }
    else:
        how = {"kind": "HTTPConnection", "imports": "", "trust": ""}
    return _HEALTH.format(port=port, base_url=site.hub.base_url, **how)


def _postgres(image: str) -> dict[str, Any]:
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


def _secrets(loaded: LoadedSite) -> dict[str, str]:
    """Return the path in the hub's container of each external secret, by the secret's name: the file's."""
    return _named(_secret_files(loaded), "secret")


def _named(paths: Iterable[str], kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        if found.setdefault(_name(path), path) != path:
            raise ValueError(
                f"The files {found[_name(path)]} and {path} would both be the {kind} {_name(path)}; give one another name."
            )
    return found


def _secret_files(loaded: LoadedSite) -> Iterator[str]:
    for _, value in entries(loaded.site):
        if isinstance(value, Secret) and value.kind == "file":
            yield value.where
    swarm = loaded.site.orchestrator.swarm
    if swarm and swarm.tls:
        yield from (swarm.tls.ca_cert, swarm.tls.client_cert, swarm.tls.client_key)
    if key := loaded.site.extra.get("JupyterHub.ssl_key"):
        yield key


def _config_files(loaded: LoadedSite, secrets: dict[str, str]) -> list[str]:
    """Name the files that the site names and that are no secrets, each of which is a config."""
    site = loaded.site
    files = site.xnat.ca_file, site.pages.logo, site.extra.get("JupyterHub.ssl_cert")
    found = dict.fromkeys(file for file in files if file and file not in secrets.values())
    named = _named(found, "config")
    if "site" in named or _SITE in (*found, *secrets.values()):
        raise ValueError(
            f"A file is named {_SITE}, or `site`, as the site file itself is in the stack; name it otherwise."
        )
    return list(found)


def _variables(loaded: LoadedSite) -> list[str]:
    named = [
        value.where for _, value in entries(loaded.site) if isinstance(value, Secret) and value.kind == "env"
    ]
    if loaded.site.extra.get("Authenticator.enable_auth_state"):
        named.append("JUPYTERHUB_CRYPT_KEY")
    return list(dict.fromkeys(named))


def _name(path: str) -> str:
    name = PurePosixPath(path).name
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?", name):
        raise ValueError(
            f"{path}: Docker takes letters, digits, dashes, dots and underscores, 64 at most, in a name."
        )
    return name


def _seen_from(folder: Path | None, file: str) -> str:
    """Return a file's path as it is seen from a folder; as it stands where that is the working folder."""
    if folder is None or folder.resolve() == Path.cwd() or Path(file).is_absolute():
        return file
    return os.path.relpath(Path(file).resolve(), folder.resolve())


def _literal(text: str) -> str:
    """Double the dollar signs, since `docker stack deploy` puts variables in their places."""
    return text.replace("$", "$$")


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:12]
