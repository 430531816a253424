"""Checks of the address that browsers use: its certificate, that it leads to this hub, and that websockets pass."""

import json
import secrets
import ssl

from tornado.httpclient import HTTPResponse

from xnathub_conf.doctor.examination import Check, Examination, Finding, failed, ok, skipped, warning
from xnathub_conf.doctor.http import NoAnswer, certificate, fetch, over_websocket, trust
from xnathub_conf.site.hub_settings import own_host, xnat_public_url
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.user_hosts import user_host, user_origin
from xnathub_conf.values.secret import SecretError
from xnathub_conf.web import hub_proof

_KEY: KeyPath = ("hub", "public_url")
_PROXY = "See the page on reverse proxies."


class PublicUrlChecks:
    """The checks of hub.public_url. A private CA of XNAT's is trusted here too: it is mostly the same host."""

    def __init__(self, examination: Examination):
        self._examination = examination
        self._url = (examination.site.hub.public_url or "").rstrip("/") + "/"

    def checks(self) -> list[Check]:
        """List the checks in their order."""
        return [
            Check("public_url.set", self.is_set),
            Check("public_url.certificate", self.certificate, ("public_url.set",)),
            Check("public_url.leads_here", self.leads_here, ("public_url.set",)),
            Check("public_url.websockets", self.websockets, ("public_url.leads_here",)),
            *self._more(),
        ]

    def _more(self) -> list[Check]:
        site, more = self._examination.site, []
        if own_host(site):
            more.append(Check("public_url.led_here", self.led_here, ("public_url.set",)))
        if site.hub.user_subdomains:
            more.append(Check("public_url.user_hosts", self.user_hosts, ("public_url.leads_here",)))
        return more

    async def is_set(self) -> Finding:
        """The site says where browsers find the hub."""
        if not self._examination.site.hub.public_url:
            return skipped("hub.public_url is not set.", "Set it, so that this can be tried.")
        if own_host(self._examination.site):
            more = (
                ""
                if self._examination.site.hub.user_subdomains
                else " One for each user's servers too is safest: see own-host.md."
            )
            return ok(f"Browsers find the hub at {self._url}, a host name of its own.{more}")
        return ok(
            f"Browsers find the hub at {self._url}, on XNAT's own host name. One of its own is safer: see own-host.md."
        )

    async def certificate(self) -> Finding:
        """Its certificate is good for some time."""
        return await certificate(self._url, _KEY)

    async def leads_here(self) -> Finding:
        """It leads to the hub that knows the service token."""
        if missing := self._examination.trust_file_missing():
            return missing
        try:
            token, tls = self._token_and_trust()
        except SecretError as error:
            return self._examination.unreadable(error, ("hub", "api_token"))
        try:
            response, proven = await _asked(self._url, token, tls)
        except NoAnswer as error:
            return failed(
                f"{self._url} can't be reached from here: {error}.",
                f"Open it in a browser. If that works, only this host lacks the way; if not: {_PROXY}",
                _KEY,
            )
        if proven:
            return ok(f"{self._url} leads to the hub of this site.")
        if proven is False:
            return failed(
                f"{self._url} leads to another hub, or to one with another token than hub.api_token.",
                f"Point the reverse proxy to the hub of this site; after a change of the token, restart the hub. {_PROXY}",
                _KEY,
            )
        return failed(
            f"{self._url} leads to something that is not this hub: its answer is {response.code} {response.reason}.",
            f"Let the reverse proxy pass {self._examination.site.hub.base_url} to the hub, with its path unchanged. {_PROXY}",
            _KEY,
        )

    async def led_here(self) -> Finding:
        """XNAT's pages let browsers say that they led to the hub, so that Start Jupyter signs people in by itself."""
        url = f"{xnat_public_url(self._examination.site)}/"
        if missing := self._examination.trust_file_missing():
            return missing
        try:
            response = await fetch(url, self._token_and_trust()[1])
        except SecretError as error:
            return self._examination.unreadable(error, ("hub", "api_token"))
        except NoAnswer as error:
            return skipped(f"{url} can't be reached from here: {error}.")
        # The last one that a browser knows counts.
        policy = response.headers.get("Referrer-Policy", "").lower().split(",")[-1].strip()
        if policy in {"no-referrer", "same-origin"}:
            return warning(
                f"XNAT's pages keep browsers from saying that they led to the hub (Referrer-Policy: {policy}), so people are asked "
                "once at Start Jupyter whether it is them.",
                "Let XNAT's web server send Referrer-Policy: strict-origin-when-cross-origin, or none. See own-host.md.",
            )
        return ok("XNAT's pages let browsers say that they led to the hub, as Start Jupyter needs it.")

    async def user_hosts(self) -> Finding:
        """Host names of users' servers lead to the hub, with a certificate that is good for them."""
        site, key = self._examination.site, ("hub", "user_subdomains")
        host = user_host(site, f"x{secrets.token_hex(4)}") or ""
        token, tls = self._token_and_trust()
        url = f"{user_origin(site, host)}{site.hub.base_url}"
        try:
            response, proven = await _asked(url, token, tls)
        except NoAnswer as error:
            return failed(
                f"{url}, as a user's servers would have it, can't be reached from here: {error}.",
                f"Have *.{host.partition('.')[2]} in the name server and in the certificate, and in the web server beside the hub's name.",
                key,
            )
        if not proven:
            return failed(
                f"{url}, as a user's servers would have it, does not lead to the hub: its answer is {response.code} {response.reason}.",
                f"Let the web server pass *.{host.partition('.')[2]} to the hub as it passes the hub's own name. {_PROXY}",
                key,
            )
        return ok(f"Host names of users' servers, such as {host}, lead to the hub.")

    async def websockets(self) -> Finding:
        """Websockets, without which no notebook runs a cell, get through to the hub."""
        token, tls = self._token_and_trust()
        challenge = hub_proof.new_challenge()
        do = f"Let the reverse proxy pass the headers Upgrade and Connection, over HTTP/1.1. {_PROXY}"
        try:
            answer = await over_websocket(f"{self._url}hub/{hub_proof.PATH}", tls, challenge)
        except NoAnswer as error:
            return failed(f"No websocket gets through {self._url}: {error}.", do, _KEY)
        if not hub_proof.proves(token, challenge, answer):
            return failed(f"Websockets through {self._url} lead to another hub.", do, _KEY)
        return ok(f"Websockets get through {self._url} to the hub.")

    def _token_and_trust(self) -> tuple[str, ssl.SSLContext]:
        site = self._examination.site
        return self._examination.read(site.hub.api_token), trust(
            site.xnat.ca_file, verify=site.xnat.verify_tls
        )


async def _asked(url: str, token: str, tls: ssl.SSLContext) -> tuple[HTTPResponse, bool | None]:
    """Return what an address answers, and whether that proves this hub; None where no hub answers. Raises NoAnswer."""
    challenge = hub_proof.new_challenge()
    response = await fetch(f"{url}hub/{hub_proof.PATH}?challenge={challenge}", tls)
    answer = _proof_in(response.body) if response.code == 200 else None
    return response, None if answer is None else hub_proof.proves(token, challenge, answer)


def _proof_in(body: bytes) -> str | None:
    try:
        answer: object = json.loads(body)
    except ValueError:
        return None
    return str(answer["proof"]) if isinstance(answer, dict) and "proof" in answer else None
