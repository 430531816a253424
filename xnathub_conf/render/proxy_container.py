"""What the proxy's container is made of: it lives apart from the hub's, so that a hub that starts anew cuts no connection."""

from typing import Any

from xnathub_conf.render.hub_container import health, literal, networks_of_servers
from xnathub_conf.site.hub_settings import (
    HUB_FOR_PROXY,
    PROXY_API_PORT,
    PROXY_FOR_HUB,
    PROXY_HOST,
    PROXY_VARIABLE,
    hub_port,
    on_control,
    public_port,
)
from xnathub_conf.site.load import LoadedSite
from xnathub_conf.site.types import Site
from xnathub_conf.values.proxy_token import VARIABLE

OF_THE_HUB = {PROXY_VARIABLE: PROXY_HOST}
"""The variables that tell a hub of such a proxy."""

NETWORK = "control"
"""The network of hub and proxy: passwords go there, and no server of a user is on it."""

HUBS_PLACE = {NETWORK: {"aliases": [HUB_FOR_PROXY]}}
"""The hub's place on that network."""


def proxy_service(loaded: LoadedSite, image: str) -> dict[str, Any]:
    """Return the proxy as a service, but for ports, files and what differs between Swarm and one engine.

    Nothing in it changes with the site, unless the site says something else of the proxy itself.
    """
    site = loaded.site
    hub, port = site.hub, public_port(site)
    return {
        "image": image,
        "command": _command(site, port),
        "hostname": PROXY_HOST,
        # The hub's user, who may read the token's file, and no group of Docker's.
        "user": f"{hub.uid}:{hub.uid}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "init": True,
        "environment": _environment(loaded),
        "networks": {
            **{name: {"aliases": [PROXY_HOST]} for name in ("jupyter", *networks_of_servers(site))},
            NETWORK: {"aliases": [PROXY_FOR_HUB]},
        },
        "healthcheck": {
            "test": [
                "CMD",
                "python3",
                "-c",
                health(port, "/_chp_healthz", tls=site.hub.tls is not None),
            ],
            "interval": "5s",
            "timeout": "5s",
            "start_period": "20s",
            "retries": 6,
        },
    }


def files_of_the_proxy(site: Site) -> list[str]:
    """Name the files that the proxy reads: the service token's, of which it makes its own, and a certificate with its key."""
    token = site.hub.api_token
    tls = [site.hub.tls.cert, site.hub.tls.key] if site.hub.tls else []
    return [*([token.where] if token.kind == "file" else []), *tls]


def _command(site: Site, port: int) -> list[str]:
    hub_url = f"http://{on_control(site, HUB_FOR_PROXY)}:{hub_port(site)}"
    words = [
        "configurable-http-proxy",
        "--ip=",
        f"--port={port}",
        "--api-ip=",
        f"--api-port={PROXY_API_PORT}",
        f"--default-target={hub_url}",
        f"--error-target={hub_url}{site.hub.base_url}hub/error",
        f"--log-level={_log_level(site)}",
    ]
    if site.hub.tls:
        words += [f"--ssl-cert={site.hub.tls.cert}", f"--ssl-key={site.hub.tls.key}"]
    if site.extra.get("JupyterHub.subdomain_host"):
        words.append("--host-routing")
    return [literal(word) for word in words]


def _log_level(site: Site) -> str:
    if site.extra.get("ConfigurableHTTPProxy.debug"):
        return "debug"
    return str(site.extra.get("ConfigurableHTTPProxy.log_level", "info")).lower()


def _environment(loaded: LoadedSite) -> dict[str, str]:
    token = loaded.site.hub.api_token
    variables = {VARIABLE: literal(f"{token.kind}:{token.where}")}
    if token.kind == "env":
        variables[token.where] = f"${{{token.where}:?the hub needs it}}"
    if loaded.site.logging.format == "json":
        variables["XNATHUB_LOG_FORMAT"] = "json"
    return variables
