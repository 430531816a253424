"""Checks of the hub: where it answers, that it knows the service token, and what the token may do."""

import json
from typing import Any
from urllib.parse import quote, urlsplit

from xnathub_conf.doctor.examination import Check, Examination, Finding, failed, ok, skipped, warning
from xnathub_conf.doctor.http import NoAnswer, fetch, tells_requests_apart, trust
from xnathub_conf.site.hub_settings import (
    PROXY_VARIABLE,
    hub_bind_url,
    hub_connect_url,
)
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.values.secret import SecretError
from xnathub_conf.web import hub_proof

NEEDED_SCOPES = {
    "servers": "starts and stops servers",
    "admin:users": "makes users",
    "read:hub": "asks for the hub's version",
    "tokens": "makes the tokens with which browsers open a server",
}
"""What XNAT's plugin does with its token, and the scope that it needs for that."""

_TOKEN: KeyPath = ("hub", "api_token")


class HubChecks:
    """The checks of the hub."""

    def __init__(self, examination: Examination):
        self._examination = examination
        self._site = examination.site
        self._tls = trust(None)
        self._scopes: list[str] = []

    def checks(self) -> list[Check]:
        """List the checks in their order."""
        return [
            Check("hub.answers", self.answers),
            Check("hub.proxy", self.proxy, ("hub.answers",)),
            Check("hub.token", self.token, ("hub.answers",)),
            Check("hub.scopes", self.scopes, ("hub.token",)),
            Check("hub.site", self.site_file, ("hub.answers",)),
        ]

    def _addresses(self) -> list[str]:
        """List where the hub may be reached from here: its proxy, as servers do, and itself."""
        site = self._site
        apart = self._examination.environment.get(PROXY_VARIABLE)
        proxy = proxy_address(self._examination) if apart else _here(site.hub.bind_url)
        found = [proxy, hub_connect_url(site), _here(hub_bind_url(site))]
        return list(dict.fromkeys(url.rstrip("/") + site.hub.base_url for url in found))

    async def answers(self) -> Finding:
        """A hub answers; of several, the one that knows the token."""
        silent: list[str] = []
        versions: dict[str, str] = {}
        for url in self._addresses():
            try:
                response = await fetch(f"{url}hub/api/", self._tls)
                versions[url] = str(_json(response.body)["version"])
            except NoAnswer as error:
                silent.append(f"{url} ({error})")
            except (LookupError, TypeError):
                silent.append(f"{url} (something else answers)")
        if not versions:
            return failed(
                f"No hub answers at {', '.join(silent)}.",
                "Start the hub and see its log. Elsewhere than on its host, run this in its container.",
                ("hub", "bind_url"),
            )
        chosen = next(iter(versions))
        for url in versions:
            if await self._proven(url):
                chosen = url
                break
        self._examination.hub_url = chosen
        return ok(f"JupyterHub {versions[chosen]} answers at {chosen}.")

    async def _proven(self, url: str) -> bool:
        try:
            token = self._examination.read(self._site.hub.api_token)
        except SecretError:
            return False
        challenge = hub_proof.new_challenge()
        try:
            response = await fetch(f"{url}hub/{hub_proof.PATH}?challenge={challenge}", self._tls)
            return hub_proof.proves(token, challenge, str(_json(response.body)["proof"]))
        except (NoAnswer, LookupError, TypeError):
            return False

    async def proxy(self) -> Finding:
        """The proxy before the hub is the one with the gate, which keeps people from each other's servers."""
        parts = urlsplit(proxy_address(self._examination))
        host, port = parts.hostname or "", parts.port or 0
        try:
            ours = await tells_requests_apart(host, port, f"{self._site.hub.base_url}hub/health")
        except NoAnswer as error:
            return skipped(
                f"The hub's proxy can't be tried from here: {host}:{port} ({error}).",
                "Run `xnathub doctor` where the hub runs too.",
            )
        if not ours:
            return failed(
                f"The proxy at {host}:{port} is not xnathub's. Behind it, servers may get other people's sessions of XNAT.",
                "Run the proxy of xnathub's image; with Zero to JupyterHub, set proxy.chp.image to it. Delete an "
                "`extra: ConfigurableHTTPProxy.command`.",
                ("hub", "bind_url"),
            )
        return ok(f"The proxy at {host}:{port} has xnathub's gate before people's servers.")

    async def token(self) -> Finding:
        """The hub knows the service token; it is sent only to a hub that proves that it knows it."""
        try:
            token = self._examination.read(self._site.hub.api_token)
        except SecretError as error:
            return self._examination.unreadable(error, _TOKEN)
        url = self._examination.hub_url
        do = "Restart the hub, which reads the token when it starts; if that changes nothing, hub.bind_url leads to another hub."
        if not await self._proven(url):
            return failed(f"The hub at {url} does not know the token of hub.api_token.", do, _TOKEN)
        try:
            response = await fetch(f"{url}hub/api/user", self._tls, {"Authorization": f"token {token}"})
        except NoAnswer as error:
            return failed(f"{url}hub/api/user gives no answer: {error}.", "See the hub's log.", _TOKEN)
        if response.code != 200:
            return failed(f"The hub answers the token with {response.code} {response.reason}.", do, _TOKEN)
        model = _json(response.body)
        self._scopes = list(model["scopes"])
        return ok(f"The hub takes the token as that of the {model['kind']} {model['name']}.")

    async def scopes(self) -> Finding:
        """The token may do what XNAT's plugin does."""
        missing = [scope for scope in NEEDED_SCOPES if scope not in self._scopes]
        if missing:
            return failed(
                "The token lacks "
                + ", ".join(f"{scope} (XNAT {NEEDED_SCOPES[scope]})" for scope in missing)
                + ".",
                f"Add {', '.join(missing)} to hub.api_scopes, or leave that key out; then restart the hub.",
                ("hub", "api_scopes"),
            )
        return ok(f"The token holds {', '.join(NEEDED_SCOPES)}.")

    async def newest_server(self, user: str) -> str:
        """Return the name of the server that a user started last, which XNAT's pages chose; "" where none can be told."""
        if not self._examination.hub_url:
            await self.answers()
        url = self._examination.hub_url
        if not url or not await self._proven(url):
            return ""
        headers = {"Authorization": f"token {self._examination.read(self._site.hub.api_token)}"}
        try:
            response = await fetch(
                f"{url}hub/api/users/{quote(user, safe='')}?include_stopped_servers=1", self._tls, headers
            )
            servers = dict(_json(response.body)["servers"])
        except (NoAnswer, LookupError, TypeError):
            return ""
        # The names are times: of those that don't run, they alone say which was last.
        return max(servers, key=lambda name: (bool(servers[name].get("ready")), name), default="")

    async def site_file(self) -> Finding:
        """The hub goes by its site file as it is now."""
        try:
            response = await fetch(f"{self._examination.hub_url}hub/health", self._tls)
            state = _json(response.body)["site"]
        except (NoAnswer, LookupError, TypeError):
            return skipped("The hub does not say how it stands with its site file.")
        if state == "invalid":
            return failed(
                "The site file was changed and is not valid: the hub goes on with the one before.",
                _SITE_DO[state],
            )
        if state == "restart-needed":
            return warning("What was changed in the site file needs a restart of the hub.", _SITE_DO[state])
        return ok("The hub goes by its site file as it is.")


_SITE_DO = {
    "invalid": "Run `xnathub validate` on the file that the hub reads; its log says what is wrong.",
    "restart-needed": "Restart the hub; its log names the keys.",
}


def proxy_address(examination: Examination) -> str:
    """Return where the hub's proxy listens, seen from here, without a path."""
    parts = urlsplit(_here(examination.site.hub.bind_url))
    environment = examination.environment
    # In a container of its own on Docker and Swarm; on Kubernetes in a pod of its own with this Service.
    host = environment.get(PROXY_VARIABLE) or environment.get("PROXY_PUBLIC_SERVICE_HOST")
    port = environment.get("PROXY_PUBLIC_SERVICE_PORT") or parts.port
    if not host and examination.at_hub and (service := kind_of(examination.site).proxy_service):
        host, port = service
    host = host or parts.hostname or ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _here(bind_url: str) -> str:
    """Turn an address to listen on into one to connect to."""
    parts = urlsplit(bind_url)
    host = parts.hostname if parts.hostname not in {None, "0.0.0.0", "::", "*"} else "127.0.0.1"  # noqa: S104
    return f"http://{f'[{host}]' if ':' in (host or '') else host}:{parts.port}"


def _json(body: bytes) -> Any:
    """Parse JSON; None where it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None
