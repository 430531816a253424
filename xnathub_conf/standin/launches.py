"""Launches from the page: each runs in a thread, and the page asks how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from .plugin import HubError, HubLink, HubPlugin, new_event_tracking_id
from .state import State

Stage = Literal["none", "starting", "ready", "stopping", "stopped", "failed"]
_LOOK_AGAIN = 0.1


@dataclass
class Launch:
    """How far a server is; `server` is its name, `error` a sentence for people, `url` opens it in a browser."""

    stage: Stage = "none"
    project: str | None = None
    server: str = ""
    dashboard: int | None = None
    progress: int = 0
    messages: list[str] = field(default_factory=list)
    url: str | None = None
    error: str | None = None

    @property
    def busy(self) -> bool:
        """Whether a thread is at work on it."""
        return self.stage in {"starting", "stopping"}

    def ready(self) -> None:
        """Note that the server can be opened."""
        self.stage, self.progress = "ready", 100
        self.url = f"/standin/open?server={quote(self.server)}"


class Launches:
    """Each user's servers, the newest last, on the hub that `hub` links to."""

    def __init__(self, state: State, hub: HubLink | None) -> None:
        self.hub = hub
        self._state = state
        self._lock = threading.RLock()
        self._launches: dict[str, dict[str, Launch]] = {}

    def status(self, user: str) -> dict[str, Any]:
        """Return how far a user's newest server is, and the others that run, ready for JSON."""
        with self._lock:
            *others, newest = self._launches.get(user, {}).values() or [Launch()]
            running = [asdict(launch) for launch in others if launch.stage == "ready"]
            return {**asdict(newest), "others": running}

    def start(self, user: str, project: str, event: str | None = None, dashboard: int | None = None) -> None:
        """Begin to start a server on a project, named after the event tracking ID; nothing while one starts or stops.

        With a dashboard's number it is that dashboard, which any user may start.

        PermissionError or KeyError when XNAT refuses, see `State.launch`.
        """
        with self._lock:
            self._state.check_launch(user, project, dashboard=dashboard is not None)
            server = new_event_tracking_id() if event is None else event
            launch = Launch("starting", project, server, dashboard, messages=["Asking the hub"])
            self._begin(user, launch, self._run_start)

    def stop(self, user: str, server: str | None = None) -> None:
        """Begin to stop a user's server, the newest unless it is named; nothing while one starts or stops."""
        with self._lock:
            known = self._launches.get(user, {})
            name = next(reversed(known), "") if server is None else server
            project = known[name].project if name in known else None
            self._begin(user, Launch("stopping", project, name), self._run_stop)

    def open_url(self, user: str, server: str) -> str:
        """Return the address that opens a user's server; HubError where there is none."""
        if self.hub is None:
            raise HubError("No JupyterHub is linked to this XNAT.")
        return HubPlugin(self.hub).open_url(user, server)

    def refresh(self, user: str) -> None:
        """Ask the hub for servers that were started or stopped elsewhere; a failure changes nothing."""
        with self._lock:
            before = dict(self._launches.get(user, {}))
        link = self.hub
        if link is None or self._busy(user):
            return
        try:
            servers = HubPlugin(link, http_timeout=5).user(user).get("servers") or {}
        except HubError as missing:
            if missing.status != 404:
                return
            servers = {}
        with self._lock:
            known = self._launches.setdefault(user, {})
            if known != before or self._busy(user):
                return
            for name, server in servers.items():
                project = (server.get("user_options") or {}).get("projectId")
                if server["ready"] and (name not in known or known[name].stage != "ready"):
                    known[name] = Launch("ready", project, name)
                    known[name].ready()
            for name, launch in list(known.items()):
                if launch.stage == "ready" and name not in servers:
                    known[name] = Launch("stopped", launch.project, name)

    def _busy(self, user: str) -> bool:
        return any(launch.busy for launch in self._launches.get(user, {}).values())

    def _begin(self, user: str, launch: Launch, run: Callable[[HubLink, str, Launch], None]) -> None:
        if self._busy(user):
            return
        known = self._launches.setdefault(user, {})
        known.pop(launch.server, None)
        known[launch.server] = launch
        link = self.hub
        if link is None:
            self._fail(launch, "No JupyterHub is linked to this XNAT.")
            return

        def guarded() -> None:
            try:
                run(link, user, launch)
            except (HubError, PermissionError) as error:
                self._fail(launch, str(error))
            except (LookupError, TypeError, ValueError, AttributeError):
                self._fail(launch, "The hub's answer isn't what XNAT expects.")

        threading.Thread(target=guarded, name=f"launch-{user}", daemon=True).start()

    def _run_start(self, link: HubLink, user: str, launch: Launch) -> None:
        plugin = HubPlugin(link)
        plugin.check(user, launch.server)
        dashboard = launch.dashboard
        offered = self._state.dashboards.get(dashboard) if dashboard is not None else None
        options = self._state.launch(
            user,
            str(launch.project),
            launch.server,
            offered.environment if offered else None,
            dashboard=dashboard is not None,
        )
        # What XNAT stores has neither, the request does: of a project, the label is its ID.
        request = {**options, "itemLabel": launch.project, "dashboardConfigId": dashboard}
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(plugin.start, user, request)
            failure = self._watch(plugin, user, launch, asked)
        if failure is not None:
            raise HubError(failure)
        asked.result()
        plugin.wait_ready(user, launch.server)
        with self._lock:
            launch.ready()

    def _watch(self, plugin: HubPlugin, user: str, launch: Launch, asked: Future[None]) -> str | None:
        """Follow the hub's progress while it works on a request; give its sentence if the start failed."""
        while True:
            done = asked.done()
            live = False
            try:
                for event in plugin.progress(user, launch.server):
                    if event.get("failed"):
                        # Until the hub takes up the request, it tells how the start before this one ended.
                        if live or done:
                            return str(event.get("message", "The start failed."))
                        break
                    live = True
                    self._note(launch, event)
                    if event.get("ready"):
                        return None
            except HubError as error:
                if done and not error.status:
                    raise
            # Either the start isn't pending, or XNAT's token may not see its progress: the hub's answer to
            # the request, and polling, tell the rest.
            if done:
                return None
            time.sleep(_LOOK_AGAIN)

    def _run_stop(self, link: HubLink, user: str, launch: Launch) -> None:
        HubPlugin(link).stop(user, launch.server)
        self._state.remove_user_options(user, launch.server)
        with self._lock:
            launch.stage = "stopped"

    def _note(self, launch: Launch, event: dict[str, Any]) -> None:
        with self._lock:
            launch.progress = int(event.get("progress", launch.progress))
            message = event.get("message")
            if message and message not in launch.messages[-1:]:
                launch.messages.append(str(message))

    def _fail(self, launch: Launch, sentence: str) -> None:
        with self._lock:
            launch.error = sentence
            launch.stage = "failed"
