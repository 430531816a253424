"""Launches from the page: each runs in a thread, and the page asks how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import urljoin

from .plugin import HubError, HubLink, HubPlugin
from .state import State

Stage = Literal["none", "starting", "ready", "stopping", "stopped", "failed"]
_LOOK_AGAIN = 0.1


@dataclass
class Launch:
    """How far a user's server is; `error` is a sentence for people, `url` opens the server in a browser."""

    stage: Stage = "none"
    project: str | None = None
    progress: int = 0
    messages: list[str] = field(default_factory=list)
    url: str | None = None
    error: str | None = None

    @property
    def busy(self) -> bool:
        """Whether a thread is at work on it."""
        return self.stage in {"starting", "stopping"}


class Launches:
    """One launch per user, on the hub that `hub` links to."""

    def __init__(self, state: State, hub: HubLink | None) -> None:
        self.hub = hub
        self._state = state
        self._lock = threading.RLock()
        self._launches: dict[str, Launch] = {}

    def status(self, user: str) -> dict[str, Any]:
        """Give how far a user's server is, ready for JSON."""
        with self._lock:
            return asdict(self._launches.get(user, Launch()))

    def start(self, user: str, project: str) -> None:
        """Begin to start a user's server on a project; does nothing while one starts or stops.

        PermissionError or KeyError when XNAT refuses, see `State.launch`.
        """
        with self._lock:
            self._state.check_launch(user, project)
            self._begin(user, Launch("starting", project, messages=["Asking the hub"]), self._run_start)

    def stop(self, user: str) -> None:
        """Begin to stop a user's server; does nothing while one starts or stops."""
        with self._lock:
            project = self._launches.get(user, Launch()).project
            self._begin(user, Launch("stopping", project), self._run_stop)

    def refresh(self, user: str) -> None:
        """Ask the hub for a server that was started or stopped elsewhere; a failure changes nothing."""
        with self._lock:
            before = self._launches.get(user, Launch())
        link = self.hub
        if link is None or before.busy:
            return
        try:
            server = HubPlugin(link, http_timeout=5).server(user)
        except HubError:
            return
        with self._lock:
            if self._launches.get(user, before) is not before:
                return
            if server is not None and server["ready"]:
                project = (server.get("user_options") or {}).get("projectId")
                if before.stage != "ready" or before.project != project:
                    # A sentence about a failure stays: people haven't read it yet.
                    self._launches[user] = Launch(
                        "ready", project, 100, url=_open_url(link, server), error=before.error
                    )
            elif server is None and before.stage == "ready":
                self._launches[user] = Launch("stopped", before.project)

    def _begin(self, user: str, launch: Launch, run: Callable[[HubLink, str, Launch], None]) -> None:
        if self._launches.get(user, Launch()).busy:
            return
        self._launches[user] = launch
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
        plugin.ensure_user(user)
        running = plugin.server(user)
        if running is None:
            options = self._state.launch(user, str(launch.project))
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(plugin.start, user, options)
                failure = self._watch(plugin, user, launch, asked)
            if failure is not None:
                raise HubError(failure)
            asked.result()
        else:
            other = (running.get("user_options") or {}).get("projectId")
            if other != launch.project:
                raise HubError(f"Your server for {other or 'something else'} is running: stop it first.")
        server = plugin.wait_ready(user)
        with self._lock:
            launch.url = _open_url(link, server)
            launch.progress = 100
            launch.stage = "ready"

    def _watch(self, plugin: HubPlugin, user: str, launch: Launch, asked: Future[None]) -> str | None:
        """Follow the hub's progress while it works on a request; give its sentence if the start failed."""
        while True:
            done = asked.done()
            live = False
            try:
                for event in plugin.progress(user):
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
        HubPlugin(link).stop(user)
        self._state.remove_user_options(user)
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


def _open_url(link: HubLink, server: dict[str, Any]) -> str:
    return urljoin(link.public_url, str(server["url"]))
