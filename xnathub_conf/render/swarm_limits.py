"""What a site may say that the stack's container can't do, and what would end or hide the hub without a word."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from xnathub_conf.site.hub_settings import PROXY_API_PORT, public_port
from xnathub_conf.site.types import Docker, Site, Swarm

DATA = "/srv/jupyterhub"
"""The folder of the hub's container that is kept, and with /tmp the only one that it may write to."""

_GREATEST_ID = 2**31 - 1
_EVERY_ADDRESS = {"", "*", "0.0.0.0", "::"}  # noqa: S104 - what a container has to listen on
_DOCKERS_OWN = {"host", "none", "bridge", "ingress", "docker_gwbridge", "default"}


def check_stack(site: Site, swarm: Swarm | Docker) -> None:
    """Raise ValueError with everything that keeps the site from running as a stack, a line for each."""
    if found := [*_ids(site), *_writes(site), *_addresses(site), *_proxy(site), *_network(swarm)]:
        raise ValueError("\n".join(found))


def connect_host(site: Site) -> str:
    """Return the name by which servers, and the proxy, reach the hub."""
    return urlsplit(site.hub.hub_connect_url or "http://jupyterhub").hostname or "jupyterhub"


def _ids(site: Site) -> Iterator[str]:
    for name in ("uid", "gid"):
        if getattr(site.hub, name) > _GREATEST_ID:
            yield f"hub.{name}: Docker takes {_GREATEST_ID} at most."


def _writes(site: Site) -> Iterator[str]:
    files = {"logging.audit_file": site.logging.audit_file}
    if (db_url := site.hub.db_url) and db_url.kind == "literal" and db_url.where.startswith("sqlite"):
        files["hub.db_url"] = db_url.where.partition(":///")[2].partition("?")[0]
    for trait in ("JupyterHub.cookie_secret_file", "JupyterHub.extra_log_file", "JupyterHub.pid_file"):
        files[f"extra {trait}"] = site.extra.get(trait)
    for key, file in files.items():
        if file and file != ":memory:" and PurePosixPath(DATA, file).parent != PurePosixPath(DATA):
            yield f"{key}: only the folder {DATA} is kept, and none below it; put {file} there."


def _addresses(site: Site) -> Iterator[str]:
    for key, url in (("hub.bind_url", site.hub.bind_url), ("hub.hub_bind_url", site.hub.hub_bind_url)):
        host = urlsplit(url).hostname or "" if url else ""
        if host not in _EVERY_ADDRESS:
            port = urlsplit(url or "").port
            yield f"{key}: in its container the hub must listen on every address; write http://0.0.0.0:{port}."
    url = site.hub.hub_connect_url
    host = connect_host(site)
    if url and not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", host):
        yield f"hub.hub_connect_url: the stack gives the hub a name without dots; write jupyterhub in place of {host}."
    listens = urlsplit(site.hub.hub_bind_url or "http://:8081").port
    if url and (urlsplit(url).scheme != "http" or urlsplit(url).port != listens):
        yield f"hub.hub_connect_url: in the stack the hub answers at http://{host}:{listens}."


def _proxy(site: Site) -> Iterator[str]:
    if public_port(site) == PROXY_API_PORT:
        yield f"hub.bind_url: at {PROXY_API_PORT} the proxy takes routes from the hub; take another port."
    for name in (
        "should_start",
        "api_url",
        "auth_token",
        "command",
        "command_umask",
        "check_running_interval",
    ):
        if f"ConfigurableHTTPProxy.{name}" in site.extra:
            yield f"extra ConfigurableHTTPProxy.{name}: leave it out; the proxy is a container of its own, and the rendered file says what it needs."
    if site.extra.get("JupyterHub.data_files_path"):
        yield "extra JupyterHub.data_files_path: the image has the files of pages where JupyterHub expects them."


def _network(swarm: Swarm | Docker) -> Iterator[str]:
    if swarm.network_name in _DOCKERS_OWN:
        yield f"orchestrator.swarm.network_name: {swarm.network_name} is Docker's own; name another."
