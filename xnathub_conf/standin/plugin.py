"""The part of XNAT's JupyterHub plugin that drives a hub over its REST API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

START_KEYS = (
    "userId",
    "servername",
    "xsiType",
    "itemId",
    "itemLabel",
    "projectId",
    "eventTrackingId",
    "dashboardConfigId",
)


T = TypeVar("T")


class HubError(Exception):
    """The hub refused, failed, or can't be reached; `status` is its HTTP status (0: none)."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class HubLink:
    """Where a hub is: its REST API, its address for browsers, XNAT's token, and a private CA's file."""

    api_url: str
    public_url: str
    token: str = field(repr=False)
    ca_file: str | None = None


def new_event_tracking_id() -> str:
    """Return what XNAT's pages name a new server after: the time to the millisecond, such as 20260728T120000123Z."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"[:-3] + "Z"


def start_body(options: Mapping[str, object]) -> dict[str, object]:
    """Return the body of the request to start a server whose options XNAT has stored."""
    return {key: options[key] for key in START_KEYS} | {"task_template": None}


class HubPlugin:
    """Calls one hub as XNAT's plugin does; every method blocks, raises HubError, and may run in any thread.

    `name` goes into paths as XNAT spells it. `start_timeout` and `stop_timeout` are XNAT's own, in seconds.
    """

    def __init__(
        self,
        link: HubLink,
        *,
        start_timeout: float = 180,
        stop_timeout: float = 60,
        poll_interval: float = 0.5,
        http_timeout: float = 75,
    ) -> None:
        self._link = link
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._poll_interval = poll_interval
        self._http_timeout = http_timeout

    def version(self) -> str:
        """Return the hub's version."""
        return str(self._json("GET", "/")["version"])

    def info(self) -> dict[str, object]:
        """Return what the hub tells about itself."""
        model: dict[str, object] = self._json("GET", "/info")
        return model

    def users(self) -> list[dict[str, object]]:
        """Return the hub's models of its users, at most the hub's page of them."""
        models: list[dict[str, object]] = self._json("GET", "/users")
        return models

    def user(self, name: str) -> dict[str, Any]:
        """Return the hub's model of a user; HubError with status 404 when it has none."""
        model: dict[str, object] = self._json("GET", f"/users/{name}")
        return model

    def ensure_user(self, name: str) -> dict[str, object]:
        """Return the hub's model of a user, made first if there is none."""
        try:
            return self.user(name)
        except HubError as missing:
            if missing.status != 404:
                raise
        model: dict[str, object] = self._json("POST", f"/users/{name}")
        return model

    def server(self, name: str, servername: str = "") -> dict[str, object] | None:
        """Return the hub's model of a server, or None: no such server, or no such user."""
        try:
            model = self.user(name)
        except HubError as missing:
            if missing.status == 404:
                return None
            raise
        server: dict[str, object] | None = (model.get("servers") or {}).get(servername)
        # The hub may still list a server that is stopped.
        return server if server and (server["ready"] or server["pending"]) else None

    def check(self, name: str, servername: str) -> None:
        """Ask what XNAT asks before each start; HubError where the hub is away, refuses XNAT, or runs the server already."""
        self.version()
        self.info()
        self.ensure_user(name)
        if self.server(name, servername):
            raise HubError("A server with the same name is already running.")

    def start(self, name: str, options: Mapping[str, Any]) -> None:
        """Ask for the server whose options these are; the hub may answer before it is ready."""
        path = _server_path(name, options["servername"])
        self._call("POST", path, body=start_body(options))

    def wait_ready(self, name: str, servername: str = "") -> dict[str, object]:
        """Poll until a server is ready and give its model; HubError once it is gone or time is up."""

        def ready() -> dict[str, object] | None:
            server = self.server(name, servername)
            if server is None:
                raise HubError("The hub has no such server: its start failed.")
            return server if server["ready"] else None

        return self._poll(ready, self._start_timeout, "start")

    def progress(self, name: str, servername: str = "") -> Iterator[dict[str, object]]:
        """Return the events of a server's start as the hub sends them, for no longer than the start timeout."""
        end = time.monotonic() + self._start_timeout
        with self._call("GET", f"{_server_path(name, servername)}/progress", stream=True) as response:
            try:
                for line in response.iter_lines():
                    if line.startswith(b"data:"):
                        event: dict[str, object] = json.loads(line[5:])
                        yield event
                    if time.monotonic() >= end:
                        raise HubError(self._too_late("start", self._start_timeout))
            except (requests.RequestException, ValueError) as error:
                raise HubError(f"The hub's progress broke off: {_reason(error)}.") from error

    def stop(self, name: str, servername: str = "") -> None:
        """Stop and remove a server, and wait until it is gone; one that doesn't run is left be."""
        try:
            self._call("DELETE", _server_path(name, servername), body={"remove": True})
        except HubError as missing:
            if missing.status != 404:
                raise
        self._poll(lambda: self.server(name, servername) is None or None, self._stop_timeout, "stop")

    def open_url(self, name: str, servername: str = "") -> str:
        """Return the address that XNAT's page opens: the hub's public host, the server's path, and a fresh token."""
        server = self.server(name, servername)
        if not server:
            raise HubError("The server does not run any more.")
        public = urlsplit(self._link.public_url)
        token = self.token(name, "XNAT", 24 * 3600)
        return f"{public.scheme}://{public.netloc}{server['url']}?token={token}"

    def token(self, name: str, note: str, expires_in: int) -> str:
        """Return a fresh hub token that opens a user's servers for so many seconds."""
        body = {"note": note, "expires_in": expires_in, "scopes": [f"access:servers!user={name}"]}
        return str(self._json("POST", f"/users/{name}/tokens", body)["token"])

    def _poll(self, look: Callable[[], T | None], timeout: float, verb: str) -> T:
        end = time.monotonic() + timeout
        while True:
            found = look()
            if found is not None:
                return found
            if time.monotonic() >= end:
                raise HubError(self._too_late(verb, timeout))
            time.sleep(self._poll_interval)

    @staticmethod
    def _too_late(verb: str, timeout: float) -> str:
        return f"The server didn't {verb} within XNAT's {timeout:g} seconds."

    def _json(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        try:
            return self._call(method, path, body).json()
        except requests.JSONDecodeError as error:
            raise HubError("The hub's answer isn't JSON: is this the address of its API?") from error

    def _call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, stream: bool = False
    ) -> requests.Response:
        try:
            response = requests.request(
                method,
                self._link.api_url.rstrip("/") + path,
                json=body,
                headers={"Authorization": f"token {self._link.token}"},
                timeout=(5, self._http_timeout),
                verify=self._link.ca_file or True,
                allow_redirects=False,
                stream=stream,
            )
        except requests.RequestException as error:
            raise HubError(f"The hub can't be reached: {_reason(error)}.") from error
        if response.status_code >= 300:
            raise HubError(_sentence(response), response.status_code)
        return response


def _server_path(name: str, servername: str) -> str:
    return f"/users/{name}/servers/{servername}" if servername else f"/users/{name}/server"


def _sentence(response: requests.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, LookupError, TypeError):
        return f"The hub answered {response.status_code} {response.reason}."


def _reason(error: Exception) -> str:
    return type(error).__name__
