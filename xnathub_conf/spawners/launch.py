"""What every adapter's spawner keeps of a launch: the facts for the audit log, and the steps for the user's page."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from xnathub_conf.launch.ending import Ending
from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.launch.server_log import last_lines
from xnathub_conf.launch.start_times import START_TIMES
from xnathub_conf.launch.why_ended import why_in
from xnathub_conf.operating.audit import audit, caller, caller_of
from xnathub_conf.operating.metrics import STARTS
from xnathub_conf.site.types import Site
from xnathub_conf.spawners.object_names import oauth_client_id
from xnathub_conf.spawners.slow_starts import within_start_timeout

_LOOK_AGAIN_SECONDS = 0.2
_STARTING, _ANSWERING = 20, 95
_LOG_SECONDS = 5


class Launch:
    """A mixin for a spawner class. Its facts outlive the hub, in the spawner's state in the hub's database."""

    user: Any
    name: str
    handler: object
    log: Any
    api_token: str
    server: object
    start_timeout: int
    http_timeout: int
    # Of the spawner, which has no other sign of either.
    site: Site
    _spawn_future: Any
    _waiting_for_response: bool

    launch_facts: dict[str, str] = {}  # noqa: RUF012 - set anew for each launch, never changed here
    last_launch: dict[str, str] = {}  # noqa: RUF012 - as above
    """The facts of the launch before, once its server has stopped: people know a stopped server by its project."""
    ending: dict[str, Any] | None = None
    """How the last server of this name ended, where nobody stopped it: what `Ending.stored` gives."""
    _began = 0.0
    _planned_environment: Mapping[str, str] = {}
    _steps: tuple[dict[str, object], ...] = ()
    _starting = False
    _runs = False
    _stop_outcome = "ended-by-itself"
    no_route = ""
    """Why the proxy got no route to the server of this launch: JupyterHub then stops it, and takes its start for a good one."""

    def __init__(self, **settings: Any) -> None:
        """Make a spawner, with an OAuth client that no other server has."""
        if row := settings.get("orm_spawner"):
            settings["oauth_client_id"] = oauth_client_id(settings["user"].name, row.name)
        super().__init__(**settings)

    @classmethod
    def take(cls, site: Site) -> None:
        """Go by this site from the next launch on."""
        cls.site = site

    def begin_launch(self) -> None:
        """Begin a launch: an audit line is written when it has succeeded or failed."""
        facts: dict[str, str] = {}
        who = caller_of(self.handler)
        self.launch_facts = facts
        self._began = time.monotonic()
        self._steps, self._starting = (), False
        self.ending, self.no_route = None, ""
        self.step("Asking XNAT what to start", progress=5)

        def ended(future: object) -> None:
            outcome, why = _outcome_of(future)
            if outcome == "ok" and self.no_route:
                outcome, why = "failed", {"reason": "route", "detail": self.no_route}
            self._runs = outcome == "ok"
            STARTS.labels(outcome).inc()
            seconds = time.monotonic() - self._began
            if self._runs and "image" in facts:
                START_TIMES.note(facts["image"], seconds)
            audit(
                "start", outcome, user=self.user.name, server=self.name, **facts, **why, **who,
                seconds=round(seconds, 1),
            )  # fmt: skip

        self._spawn_future.add_done_callback(ended)

    @property
    def launch_seconds(self) -> int:
        """Seconds since the launch began, for the page with its progress."""
        return int(time.monotonic() - self._began) if self._began else 0

    def step(self, text: str, progress: int) -> None:
        """Tell whoever waits for the server what happens now."""
        self._steps += ({"message": text, "progress": progress},)

    def apply_plan(self, plan: LaunchPlan, prepared: object = None) -> None:
        """Set on the spawner what the plan says, as the adapter does."""
        super().apply_plan(plan, prepared)  # type: ignore[misc]
        self._planned_environment = plan.environment

    async def start(self) -> object:
        """Start the server, as the adapter does. Raises LaunchFailed where that takes too long."""
        self._starting = True
        return await within_start_timeout(self, super().start())  # type: ignore[misc, arg-type]

    async def server_log(self) -> tuple[str, ...]:
        """Return the last lines of the server's log, without secrets; none where the orchestrator does not give them."""
        try:
            async with asyncio.timeout(_LOG_SECONDS):
                log: bytes = await self.read_log()  # type: ignore[attr-defined]
                environment = self._planned_environment
                if log and not environment:
                    # It was started by this hub before it was itself started anew.
                    environment = await self.read_environment()  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - each orchestrator has errors of its own
            self.log.debug("The server's log can't be read: %r", error)
            return ()
        given = {**environment, "JUPYTERHUB_API_TOKEN": self.api_token or ""}
        return last_lines(log, given)

    async def note_ending(self, ending: Ending) -> int | str:
        """Keep how a server that ran has ended, with the end of its log; adapters tell before they remove what is left of it.

        Return what JupyterHub is to take for its exit code.
        """
        if self._runs and self._stop_outcome == "ended-by-itself" and self.ending is None:
            # Another look at the server may come while the log is read.
            self.ending = ending.stored()
            lines = await self.server_log()
            if ending.reason == "exit" and ending.code and (why := why_in(lines)):
                ending = ending._replace(text=f"{ending.text} {why}")
            self.ending = ending._replace(log=lines).stored()
            said = f" The last lines of its log: {' | '.join(lines)}" if lines else ""
            self.log.warning("%s's server %r: %s%s", self.user.name, self.name, ending.text, said)
        # JupyterHub looks again, and would be told of a server that is gone.
        first = self.ending or ending.stored()
        status: int | str = first["reason"] if first["code"] is None else first["code"]
        return status

    async def stop(self, now: bool = False) -> None:
        """Stop the server, as the adapter does."""
        # What is left of one that ended by itself may be taken away by a stop too.
        outcome = self._stop_outcome if self.ending else "ok"
        self._stop_outcome = outcome if self.ending else "failed"
        await super().stop(now)  # type: ignore[misc]
        self._stop_outcome = outcome

    async def progress(self) -> AsyncIterator[dict[str, object]]:
        """Return each step as it comes, with the seconds so far: ours, the orchestrator's, then the wait for Jupyter."""
        said, most = 0, 0
        orchestrator = None
        while True:
            for event in self._steps[said:]:
                yield self._timed(event)
            said = len(self._steps)
            if self._starting and orchestrator is None:
                most = _STARTING
                orchestrator = super().progress()  # type: ignore[misc]
                async for event in orchestrator:
                    most = max(most, event.get("progress", 0))
                    yield self._timed({**event, "progress": min(most, _ANSWERING)})
            if self._waiting_for_response:
                yield self._timed({"message": "Waiting for Jupyter to answer", "progress": _ANSWERING})
                return
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def _timed(self, event: dict[str, object]) -> dict[str, object]:
        return {**event, "message": f"{self.launch_seconds} s: {event['message']}"}

    def stopped(self) -> None:
        """Write the audit line of a server that has stopped; none for a start that failed, which has its own."""
        if self._runs:
            ended = self.ending or {}
            why = {"reason": ended.get("reason"), "code": ended.get("code"), "detail": ended.get("text")}
            audit(
                "stop", self._stop_outcome, user=self.user.name, server=self.name, **self.launch_facts,
                **why, **(caller.get() or {"by": "hub"}),
            )  # fmt: skip
        self.last_launch, self.launch_facts = self.launch_facts or self.last_launch, {}
        self._runs, self._stop_outcome = False, "ended-by-itself"

    def get_state(self) -> dict[str, object]:
        """Add the launch's facts to the state, and after its end what is known of that."""
        state: dict[str, object] = super().get_state()  # type: ignore[misc]
        ours = {"launch": self.launch_facts, "last": self.last_launch, "ending": self.ending}
        return {**state, **{name: value for name, value in ours.items() if value}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the facts of a server that ran before the hub did."""
        super().load_state(state)  # type: ignore[misc]
        self.launch_facts = state.get("launch", {})
        self.last_launch = state.get("last", {})
        self._runs = bool(self.launch_facts)
        self.ending = state.get("ending")


def _outcome_of(future: Any) -> tuple[str, dict[str, str]]:
    """Return how a launch ended, and why where it did not come up."""
    if future.cancelled():
        return "cancelled", {}
    error = future.exception()
    if error is None:
        return "ok", {}
    outcome = "refused" if getattr(error, "refused", False) else "failed"
    return outcome, {
        "reason": str(getattr(error, "reason", None) or "error"),
        "detail": getattr(error, "summary", "")
        or getattr(error, "jupyterhub_message", "")
        or type(error).__name__,
    }
