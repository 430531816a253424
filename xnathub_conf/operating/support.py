"""What helps somebody else to see what is wrong with a site: one archive without secrets and names."""

import importlib.metadata
import io
import json
import platform
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

from xnathub_conf import __version__
from xnathub_conf.operating.anonymous import Numbers
from xnathub_conf.operating.hub_data import HubData, HubDataError
from xnathub_conf.site.chosen import engine_of
from xnathub_conf.site.schema import secrets_in
from xnathub_conf.site.types import Site, Swarm
from xnathub_conf.values.secret import SecretError

_PACKAGES = (
    "jupyterhub", "dockerspawner", "jupyterhub-kubespawner", "docker", "kubernetes-asyncio", "tornado", "sqlalchemy",
    "requests", "psycopg",
)  # fmt: skip
MOST_LOG_BYTES = 4 << 20
"""Of each log, the end."""


def names_of(site: Site, data: HubData | None, environment: Mapping[str, str]) -> Numbers:
    """Return numbers for what a site and its hub's database name: secrets, users, projects and the folders of data."""
    secrets: list[str] = []
    for _, secret in secrets_in(site):
        with suppress(SecretError):
            secrets.append(secret.read(environment))
    rules = (*site.paths.archive, *site.paths.workspaces)
    roots = [mount.path.partition("{username}")[0] for mount in site.servers.allowed_mounts]
    roots += [path for rule in rules for path in (rule.from_, rule.to)]
    if data and data.cookie_secret:
        with suppress(OSError):
            secrets.append(data.cookie_secret.read_text().strip())
    numbers = Numbers(secrets, roots)
    for name in (*site.hub.admin_users, *(user for role in site.hub.roles for user in role.users)):
        numbers.learn("user", name)
    for mount in site.servers.mounts:
        for project in mount.projects or ():
            numbers.learn("project", project)
    if data:
        for what, named in _in_database(data):
            numbers.learn(what, named)
    return numbers


def _in_database(data: HubData) -> Iterator[tuple[str, object]]:
    """Yield the names in a database; none where it can't be asked, which its own facts tell."""
    with suppress(HubDataError):
        yield from (("user", name) for (name,) in data.rows("select name from users"))
        for (options,) in data.rows("select user_options from spawners where user_options is not null"):
            item = json.loads(options)
            for key, kind in (("projectId", "project"), ("itemId", "item"), ("itemLabel", "item")):
                yield kind, item.get(key)


def facts(data: HubData | None) -> dict[str, Any]:
    """Return versions, and what the database holds by numbers."""
    versions: dict[str, str] = {"xnathub": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    database: dict[str, object] = {}
    if data:
        try:
            database = {"kind": data.kind, **asdict(data.contents())}
            if data.file:
                database["bytes"] = data.file.stat().st_size
        except (HubDataError, OSError) as error:
            database = {"kind": data.kind, "error": str(error)}
    return {"versions": versions, "system": platform.platform(), "database": database}


def engine_state(site: Site) -> dict[str, object]:
    """Return what a Docker engine says of itself and of the hub's servers, by numbers; nothing where it does not answer."""
    settings = engine_of(site)
    import docker  # noqa: PLC0415 - a hub on Kubernetes has no use for it

    client = docker.DockerClient(base_url=settings.docker_host, timeout=5)
    try:
        info = client.info()
        told = (
            "ServerVersion",
            "Driver",
            "CgroupVersion",
            "KernelVersion",
            "OperatingSystem",
            "NCPU",
            "MemTotal",
            "Containers",
        )
        labelled = {"label": "org.xnat.jupyter.user"}
        containers = client.containers.list(all=True, filters=labelled, ignore_removed=True)
        state: dict[str, object] = {name: info.get(name) for name in told}
        state["swarm"] = (info.get("Swarm") or {}).get("LocalNodeState")
        state["servers"] = dict(Counter(each.status for each in containers))
        if isinstance(settings, Swarm) and (info.get("Swarm") or {}).get("ControlAvailable"):
            nodes = [each.attrs for each in client.nodes.list()]
            state["nodes"] = dict(
                Counter(
                    f"{n['Spec']['Role']} {n['Status']['State']} {n['Spec']['Availability']}" for n in nodes
                )
            )
            state["services"] = len(client.services.list(filters=labelled))
        return state
    finally:
        client.close()


def write_bundle(parts: Mapping[str, str], numbers: Numbers, out: IO[bytes]) -> list[str]:
    """Write the parts, texts by their names, into an archive without names; give the names of the parts."""
    for text in parts.values():
        numbers.learn_from_json(text)
    with tarfile.open(fileobj=out, mode="w|gz") as archive:
        for name, text in parts.items():
            content = numbers.in_text(text).encode("utf-8", "replace")
            info = tarfile.TarInfo(f"xnathub-support/{name}")
            info.size, info.mode, info.mtime = len(content), 0o600, int(time.time())
            archive.addfile(info, io.BytesIO(content))
    return list(parts)


def end_of(stream: IO[bytes]) -> str:
    """Return the last MOST_LOG_BYTES of a log, from the beginning of a line."""
    kept = b""
    while block := stream.read(1 << 20):
        kept = (kept + block)[-MOST_LOG_BYTES:]
    if len(kept) == MOST_LOG_BYTES:
        kept = kept.partition(b"\n")[2]
    return kept.decode("utf-8", "replace")


def as_text(values: Iterable[tuple[str, object]]) -> str:
    """Return keys with their values as lines."""
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values)
