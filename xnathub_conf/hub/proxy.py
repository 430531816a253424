"""The hub's proxy, which must have the gate that keeps users' servers from each other's browsers."""

import asyncio
import base64
import json
import math
import time
from collections.abc import Container, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from docker.errors import DockerException
from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.utils import exponential_backoff
from requests import RequestException
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.ioloop import PeriodicCallback

from xnathub_conf.hub.fresh_names import FreshNames
from xnathub_conf.site.hub_settings import (
    HUB_FOR_PROXY,
    PROXY_API_PORT,
    PROXY_FOR_HUB,
    PROXY_VARIABLE,
    browsers_use_tls,
    hub_connect_url,
    hub_port,
    on_control,
    own_host,
    public_port,
    sees_xnat_sessions,
    usual_hub_url,
    xnat_public_url,
)
from xnathub_conf.site.kinds import kind_of, named
from xnathub_conf.site.types import Site
from xnathub_conf.site.user_hosts import user_host
from xnathub_conf.values.addresses import host_name
from xnathub_conf.values.proxy_token import proxy_token
from xnathub_conf.web.gate_pass import GateKey
from xnathub_conf.web.incoming import servers_networks
from xnathub_conf.web.watch import Watch

_TIMEOUT = 10
_LOOK_SECONDS = 2
_SEEN_SECONDS = 1
_AWAY = 30
"""For how many seconds a route waits for a proxy that is away, as JupyterHub itself does."""


def separate_proxy(site: Site, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the traits of a hub whose proxy is a container of its own, as rendered files have it; none of any other hub.

    Servers call the hub through such a proxy, where their calls wait for a hub that starts anew; not where the site says
    that they find it elsewhere, nor where the proxy speaks TLS, since its certificate is for the name that browsers use. Raises SecretError where the service token
    can't be read.
    """
    host = environment.get(PROXY_VARIABLE)
    if not host:
        return {}
    through_it = f"http://{host}:{public_port(site)}"
    itself = hub_connect_url(site)
    of_servers = itself if site.hub.tls or itself != usual_hub_url(site) else through_it
    return {
        "ConfigurableHTTPProxy.should_start": False,
        "ConfigurableHTTPProxy.api_url": f"http://{on_control(site, PROXY_FOR_HUB)}:{PROXY_API_PORT}",
        "ConfigurableHTTPProxy.auth_token": proxy_token(site.hub.api_token.read(environment)),
        "JupyterHubHTTPClient.connector_options": {"resolver": FreshNames(), "use_dns_cache": False},
        "JupyterHub.hub_connect_url": f"http://{on_control(site, HUB_FOR_PROXY)}:{hub_port(site)}",
        "Spawner.hub_connect_url": site.extra.get("Spawner.hub_connect_url", of_servers),
    }


class NoGate(Exception):
    """The proxy has no gate, so it would hand everybody's XNAT session to whoever's server a link leads to."""


class XnatProxy(ConfigurableHTTPProxy):
    """configurable-http-proxy with the gate of xnathub_conf/proxy. Use `for_site` to get the class for a site."""

    site: Site
    _told = False
    _seen = -math.inf
    _look: PeriodicCallback | None = None
    _forgotten = False

    @classmethod
    def for_site(cls, site: Site) -> type["XnatProxy"]:
        """Return a subclass bound to a site, for JupyterHub.proxy_class."""
        return type("XnatProxy", (cls,), {"site": site})

    @cached_property
    def gate_key(self) -> GateKey:
        """The key that the hub shares with the gate."""
        return GateKey(self.app.cookie_secret)

    @cached_property
    def watch(self) -> Watch:
        """What looks at this proxy, and at certificates, for the metrics."""
        return Watch(self.site, lambda: self._ask_gate("GET"))

    @cached_property
    def _ended(self) -> dict[tuple[str, str], int]:
        """When all that was open to a server, by its user and name, was ended: in ms since 1970."""
        return {}

    def epoch(self, username: str) -> str | None:
        """Return the epoch whose passes open a user's servers, or None for one whom the hub does not know."""
        user = self.app.users.get(username)
        return self.gate_key.epoch(user.cookie_id) if user else None

    async def add_user(self, user: Any, server_name: str = "") -> None:
        """Add the route to a user's server. Where that fails, its launch is told why: JupyterHub stops the server, and raises nothing."""
        try:
            await super().add_user(user, server_name)
        except Exception as error:
            user.spawners[server_name].no_route = str(error) or type(error).__name__
            raise

    async def add_route(self, routespec: str, target: str, data: dict[str, Any] | None) -> None:
        """Add a route; one to a user's server says whose passes open it. Raises NoGate where another proxy has come in."""
        if data and "user" in data:
            await exponential_backoff(self._gate_stands, "The proxy does not answer", timeout=_AWAY)
            ended = self._ended.get((data["user"], data.get("server_name", "")), 0)
            about = {"gate": self.epoch(data["user"]), "ended": ended}
            if host := user_host(self.site, data["user"]):
                about["host"] = host
            data = {**data, **about}
        await super().add_route(routespec, target, data)

    async def get_all_routes(self) -> dict[str, object]:
        """Return all routes, once the gate knows its settings: it forgets them when it starts anew."""
        routes: dict[str, Any] = await super().get_all_routes()
        await self._set_up_gate()
        if not self.should_start and self._look is None:
            self._look = PeriodicCallback(self._look_for_a_new_proxy, 1000 * _LOOK_SECONDS)
            self._look.start()
        epochs = {user.name: self.gate_key.epoch(user.cookie_id) for user in self.app.users.values()}
        for route in routes.values():
            data = route["data"]
            if "user" in data and (data.get("gate"), data.get("host")) != (
                epochs.get(data["user"]),
                user_host(self.site, data["user"]),
            ):
                # JupyterHub then puts this route right.
                route["target"] = ""
        return routes

    async def restore_routes(self) -> None:
        """Restore all routes of a proxy that has started anew, and the gate's settings after the hub's own route."""
        await self.get_all_routes()
        await super().restore_routes()

    async def _look_for_a_new_proxy(self) -> None:
        """Tell a proxy that has started anew, and lost all, what it must know; JupyterHub would notice after minutes."""
        try:
            state = json.loads(await self._ask_gate("GET"))
        except (HTTPClientError, OSError) as error:
            if _is_another(error):
                self.log.error("%s", self._no_gate())
            # Else it is away, and may be back at the next look.
            return
        self._forgotten = self._forgotten or not state["configured"]
        if self._forgotten:
            self.log.warning("The proxy has started anew; it is told all routes")
            await self.restore_routes()
            self._forgotten = False

    async def _gate_stands(self) -> bool:
        """Return whether the proxy has the gate, False where it is away. Raises NoGate."""
        if time.monotonic() - self._seen > _SEEN_SECONDS:
            try:
                await self._ask_gate("GET")
            except (HTTPClientError, OSError) as error:
                if _is_another(error):
                    raise self._no_gate() from None
                return False
            self._seen = time.monotonic()
        return True

    async def end_passes(self, user: Any) -> None:
        """Make the gate refuse all passes that it has given out to a user, and end what they opened."""
        for name, spawner in user.spawners.items():
            if spawner.ready:
                await self.add_user(user, name)

    async def end_use(self, user: Any, but: Container[str]) -> None:
        """End all that is open to a user's servers, by programs too, `but` for the servers of these names."""
        for name, spawner in user.spawners.items():
            if spawner.ready and name not in but:
                self._ended[user.name, name] = int(1000 * time.time())
                await self.add_user(user, name)

    def _no_gate(self) -> NoGate:
        return NoGate(
            f"The proxy at {self.api_url} is not xnathub's: it would hand people's XNAT sessions on to each other's servers. "
            "Run the proxy of xnathub's image; with Zero to JupyterHub, set proxy.chp.image to it."
        )

    async def _set_up_gate(self) -> None:
        try:
            state = json.loads(await self._ask_gate("GET"))
        except HTTPClientError as error:
            if _is_another(error):
                if self.should_start:
                    self.stop()
                raise self._no_gate() from None
            raise
        # A proxy that ran on may still have what another hub told it.
        if state["configured"] and self._told:
            return
        rules = self.site.sign_in
        refused = await self._servers_subnets()
        settings = {
            "key": base64.b64encode(self.gate_key.key).decode(),
            "base_url": self.app.base_url,
            "hub_prefix": self.hub.base_url,
            "bind_session": sees_xnat_sessions(self.site),
            "own_host": own_host(self.site),
            "xnat_url": xnat_public_url(self.site),
            "recheck": rules.auth_refresh_age or rules.max_age,
            "secure": browsers_use_tls(self.site),
            "hosts": self._hosts(),
            "refused": list(map(str, servers_networks(self.site))) if refused is None else refused,
        }
        await self._ask_gate("POST", json.dumps(settings))
        # If it does not know all, the next look at the routes tells it again.
        self._told = refused is not None

    def _hosts(self) -> dict[str, object] | None:
        if not self.site.hub.user_subdomains:
            return None
        url = urlsplit(self.site.hub.public_url or "")
        return {"scheme": f"{url.scheme}:", "hub": host_name(self.site.hub.public_url), "port": url.port}

    async def _servers_subnets(self) -> list[str] | None:
        """Return the networks from which nobody may use the port of browsers, those of servers alone; None where Docker does not tell."""
        subnets = kind_of(self.site).server_networks
        try:
            return await asyncio.to_thread(named(subnets), self.site.orchestrator) if subnets else []
        except (DockerException, RequestException) as error:
            self.log.warning(
                "Docker does not tell the addresses of the servers' networks (site.yaml: server_networks). Until it does, "
                "the proxy refuses all who come from a network of the hub's own container: %s",
                error,
            )
            return None

    async def _ask_gate(self, method: str, body: str | None = None) -> bytes:
        request = HTTPRequest(
            f"{self.api_url.rstrip('/')}/api/gate",
            method,
            headers={"Authorization": f"token {self.auth_token}"},
            body=body,
            connect_timeout=_TIMEOUT,
            request_timeout=_TIMEOUT,
        )
        answer: bytes = (await AsyncHTTPClient().fetch(request)).body
        return answer


def _is_another(error: Exception) -> bool:
    """Return whether it is a proxy that answers so, and knows nothing of a gate."""
    return isinstance(error, HTTPClientError) and error.code in {404, 405}
