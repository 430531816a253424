"""Servers that a check starts and stops: by XNAT's calls, as its page makes them, and watched on the hub."""

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from functools import cached_property
from ssl import SSLContext
from urllib.parse import quote

from tornado.httpclient import HTTPResponse

from xnathub_conf.doctor.examination import Examination
from xnathub_conf.doctor.http import NoAnswer, fetch, trust

SPARE_SECONDS = 30
"""What XNAT and the hub may take on top of their own limits."""

_LOOK_AGAIN = 0.2


class ProbeServers:
    """The servers of one test user on one project; those that were asked for are known until they are gone."""

    def __init__(self, examination: Examination, project: str):
        """Take the run's examination, whose user it is."""
        self._examination = examination
        self._site = examination.site
        self._user = examination.user or ""
        self._project = project
        self._session = ""
        self._running: set[str] = set()
        self._tls = trust(None)
        self.ids: dict[str, int] = {}

    async def sign_in(self, password: str) -> tuple[str, str]:
        """Sign the user in to XNAT, and give whom XNAT takes them for, and its status. Raises NoAnswer."""
        login = base64.b64encode(f"{self._user}:{password}".encode()).decode()
        answer = await self.xnat("GET", "/xapi/users/username", basic=login)
        for cookie in answer.headers.get_list("Set-Cookie"):
            if cookie.startswith("JSESSIONID="):
                self._session = cookie.partition(";")[0]
        name = answer.body.decode("utf-8", "replace").strip().strip('"') if answer.code == 200 else ""
        return name, f"{answer.code} {answer.reason}"

    async def close(self) -> None:
        """Stop what still runs, and end the user's session in XNAT."""
        try:
            await self.stop_all(SPARE_SECONDS)
            if self._session:
                await self.xnat("DELETE", "/data/JSESSION")
        except NoAnswer:
            """XNAT ends both in time."""

    @property
    def limit(self) -> float:
        """The seconds that the site gives a start."""
        return self._site.servers.start_timeout + self._site.servers.http_timeout

    async def xnat(self, method: str, path: str, body: object = None, basic: str = "") -> HTTPResponse:
        """Call XNAT as the user, by their session or with a `basic` login. Raises NoAnswer."""
        xnat = self._site.xnat
        headers = {"Authorization": f"Basic {basic}"} if basic else {"Cookie": self._session}
        return await fetch(f"{xnat.url.rstrip('/')}{path}", self._xnat_tls, headers, method=method, body=body)

    @cached_property
    def _xnat_tls(self) -> SSLContext:
        return trust(self._site.xnat.ca_file, verify=self._site.xnat.verify_tls)

    def _path(self, name: str) -> str:
        return f"/xapi/jupyterhub/users/{quote(self._user, safe='')}/server/{name}"

    async def begin(self, name: str) -> str:
        """Ask XNAT for a server, as its page does; give why it refuses, or nothing."""
        order = {
            "username": self._user,
            "servername": name,
            "xsiType": "xnat:projectData",
            "itemId": self._project,
            "itemLabel": self._project,
            "projectId": self._project,
            "eventTrackingId": name,
            **self.ids,
        }
        self._running.add(name)
        try:
            answer = await self.xnat("POST", self._path(name), order)
        except NoAnswer as error:
            return f"XNAT does not answer: {error}."
        return "" if answer.code < 300 else f"XNAT refuses to start a server ({answer.code} {answer.reason})."

    async def wait_ready(self, name: str) -> tuple[float, str, dict[str, object]]:
        """Wait for a server; give the seconds, why it did not come, and the hub's model of it. Raises NoAnswer."""
        began = time.monotonic()
        seen = False
        why = ""
        while (seconds := time.monotonic() - began) < self.limit + SPARE_SECONDS:
            server = await self._model(name)
            if server and _runs(server):
                if server.get("ready"):
                    return seconds, "", server
                why = why or await self._failure(name)
            elif why or seen:
                return seconds, why or "The start failed.", {}
            elif server:
                # It may have failed between two looks.
                why = await self._failure(name)
            seen = seen or bool(server)
            await asyncio.sleep(_LOOK_AGAIN)
        if not seen:
            return seconds, f"XNAT took the order, and asked the hub for no server in {seconds:.0f} s.", {}
        return seconds, why or f"The server is not ready after {seconds:.0f} s.", {}

    async def _failure(self, name: str) -> str:
        """Follow a start's progress to its end, and give what went wrong."""
        url = f"{self._examination.hub_url}hub/api/users/{quote(self._user, safe='')}/servers/{name}/progress"
        try:
            answer = await self.call(url, self._service_token(), seconds=self.limit + SPARE_SECONDS)
        except NoAnswer:
            return ""
        for line in answer.body.decode("utf-8", "replace").splitlines():
            if line.startswith("data:"):
                event = json.loads(line[5:])
                if event.get("failed"):
                    return str(event.get("message", "")).partition("\n")[0]
        return ""

    async def _model(self, name: str) -> dict[str, object]:
        """Return what the hub says of a server, a stopped one too; nothing where it knows of none. Raises NoAnswer."""
        user = quote(self._user, safe="")
        url = f"{self._examination.hub_url}hub/api/users/{user}?include_stopped_servers=1"
        answer = await self.call(url, self._service_token())
        if answer.code == 404:
            return {}
        try:
            return dict(json.loads(answer.body)["servers"].get(name) or {})
        except (ValueError, LookupError):
            raise NoAnswer(f"the answer is {answer.code} {answer.reason}") from None

    async def make_token(self) -> str:
        """Make a token as XNAT's page does to open a server."""
        url = f"{self._examination.hub_url}hub/api/users/{quote(self._user, safe='')}/tokens"
        order = {"note": "doctor", "expires_in": 600, "scopes": [f"access:servers!user={self._user}"]}
        answer = await self.call(url, self._service_token(), "POST", order)
        try:
            return str(json.loads(answer.body)["token"])
        except (ValueError, LookupError):
            raise NoAnswer(f"the hub gives no token: {answer.code} {answer.reason}") from None

    def _service_token(self) -> str:
        return self._examination.read(self._site.hub.api_token)

    async def call(
        self, url: str, token: str, method: str = "GET", body: object = None, seconds: float | None = None
    ) -> HTTPResponse:
        """Call the hub or a server with a token. Raises NoAnswer."""
        headers = {"Authorization": f"token {token}"}
        return await fetch(url, self._tls, headers, method=method, body=body, seconds=seconds)

    async def stop_all(self, seconds: float) -> set[str]:
        """Let XNAT stop what was started, and wait for it; give what is left. Raises NoAnswer."""
        end = time.monotonic() + seconds
        for name in self._running:
            await self.xnat("DELETE", f"{self._path(name)}?eventTrackingId={name}")
        while self._running and time.monotonic() < end:
            self._running = {name for name in self._running if _runs(await self._model(name))}
            if self._running:
                await asyncio.sleep(_LOOK_AGAIN)
        return self._running


def _runs(server: Mapping[str, object]) -> bool:
    return bool(server.get("ready") or server.get("pending"))
