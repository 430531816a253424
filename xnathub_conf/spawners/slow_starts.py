"""Starts that take too long: what was going on when the time was over, in place of JupyterHub's bare TimeoutError."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from jupyterhub.user import User
from jupyterhub.utils import make_ssl_context

from xnathub_conf.launch.failure import ADMIN, LaunchFailed
from xnathub_conf.operating.replaced_names import replace_name

_LOOK_SECONDS = 5
"""How long the orchestrator may take to say what goes on."""

_POLL_SECONDS = 1
_TRY_SECONDS = 10
_KNOCK_SECONDS = 1

_jupyterhubs_wait: Any = User._wait_up


class Phase(NamedTuple):
    """What a start was at when its time was over: a short label for metrics, a sentence, and advice that goes before the key."""

    reason: str
    text: str
    advice: str = ""


class Watched(Protocol):
    """A spawner whose start is watched."""

    server: Any
    start_timeout: int
    http_timeout: int
    log: Any

    async def poll(self) -> object:
        """Return None while the server runs, else how it ended."""

    async def phase(self) -> Phase:
        """Return what the start is at, as the orchestrator says."""

    async def server_log(self) -> tuple[str, ...]:
        """Return the last lines of the server's log; none where they can't be had. Raises nothing."""

    async def check_running(self) -> None:
        """Raise LaunchFailed where the server has ended; whatever else it raises counts for nothing."""


PULL_ADVICE = "Try again in a few minutes. An image that is on the node before a start is there at once."


async def within_start_timeout(spawner: Watched, starting: Awaitable[object]) -> object:
    """Return what a start returns. Raises LaunchFailed with what it was at, where JupyterHub ends it after start_timeout."""
    began = time.monotonic()
    start = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(start)
    except asyncio.CancelledError:
        # JupyterHub cancels a start when its time is over; a hub that ends cancels all that it is at.
        failure = None
        if time.monotonic() - began >= spawner.start_timeout - 0.5:
            failure = await _too_slow(spawner, await _phase(spawner), spawner.start_timeout, "start_timeout")
        start.cancel()
        await asyncio.wait({start}, timeout=_LOOK_SECONDS)
        if failure is None:
            raise
        raise failure from None
    except TimeoutError:
        # One of the orchestrator's own, which no key of the site raises.
        raise await _too_slow(spawner, await _phase(spawner), round(time.monotonic() - began)) from None


def explain_http_timeouts() -> None:
    """Have JupyterHub say why a server that was started does not answer, for a process. Raises NameGone."""
    replace_name(User, "_wait_up", "(self, spawner)", _wait_up)


async def _wait_up(self: Any, spawner: Any) -> object:
    """Wait for a server's first answer, as JupyterHub's method of this name, but with a sentence where none comes."""
    files = (self.settings.get(f"internal_ssl_{name}") for name in ("key", "cert", "ca"))
    # Those that ran before their hub did are no starts.
    if spawner._check_pending:
        await _answer_or_end(spawner, make_ssl_context(*files))
    elif spawner._waiting_for_response:
        try:
            await _first_answer(spawner, make_ssl_context(*files))
        except LaunchFailed as failure:
            self.log.error("Not starting %s's server %s: %s", self.name, spawner.name, failure)
            try:
                await self.stop(spawner.name)
            except Exception:
                self.log.exception("What there is of %s's server %s is not stopped.", self.name, spawner.name)
            spawner._waiting_for_response = spawner._start_pending = False
            raise
    return await _jupyterhubs_wait(self, spawner)


async def _answer_or_end(spawner: Watched, ssl_context: object) -> None:
    """Return when a server that ran before its hub did answers. Raises TimeoutError, without the wait, where it has ended."""

    async def look() -> None:
        if await spawner.poll() is not None:
            raise TimeoutError

    await _answer(spawner, ssl_context, look)


async def _first_answer(spawner: Watched, ssl_context: object) -> None:
    """Return when the server answers over HTTP. Raises LaunchFailed where it has ended, or http_timeout is over."""
    try:
        await _answer(spawner, ssl_context, lambda: _check(spawner))
    except TimeoutError:
        phase = await _unanswered(spawner)
        raise await _too_slow(spawner, phase, spawner.http_timeout, "http_timeout") from None


async def _answer(spawner: Watched, ssl_context: object, look: Callable[[], Awaitable[None]]) -> None:
    """Return when the server answers. Raises TimeoutError after http_timeout.

    JupyterHub waits up to 300 s (aiohttp's own limit) for an answer to a request that a server has taken, be that its
    first one, made when it was not ready.
    """
    async with asyncio.timeout(spawner.http_timeout):
        while not await _one_try(spawner, ssl_context, look):
            """Ask anew."""


async def _one_try(spawner: Watched, ssl_context: object, look: Callable[[], Awaitable[None]]) -> bool:
    seconds = spawner.http_timeout
    wait = spawner.server.wait_up(http=True, timeout=seconds, ssl_context=ssl_context, extra_path="api")
    answer = asyncio.ensure_future(wait)
    end = time.monotonic() + _TRY_SECONDS
    try:
        while not answer.done():
            if time.monotonic() > end:
                return False
            await asyncio.wait({answer}, timeout=_POLL_SECONDS)
            if not answer.done():
                await look()
        await answer
    finally:
        answer.cancel()
    return True


async def _check(spawner: Watched) -> None:
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            await spawner.check_running()
    except LaunchFailed:
        raise
    except Exception as error:  # noqa: BLE001 - each orchestrator has errors of its own
        spawner.log.debug("It is not known whether a server that starts still runs: %r", error)


async def _phase(spawner: Watched) -> Phase:
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            return await spawner.phase()
    except Exception as error:  # noqa: BLE001 - each orchestrator has errors of its own
        spawner.log.warning("It is not known what a start that took too long was at: %r", error)
        return Phase("slow", "What it was at can't be told: the orchestrator does not answer.")


async def _unanswered(spawner: Watched) -> Phase:
    """Return what stands at the address of a server that runs and gives no answer."""
    address = spawner.server.ip, spawner.server.port
    try:
        async with asyncio.timeout(_KNOCK_SECONDS):
            _, writer = await asyncio.open_connection(*address)
    except (OSError, TimeoutError):
        found = f"It runs, but nothing listens at port {address[1]}, or the hub can't reach it there."
    else:
        writer.close()
        found = f"It runs, and something listens at port {address[1]}, but Jupyter does not answer there."
    return Phase("slow-jupyter", found)


async def _too_slow(spawner: Watched, phase: Phase, seconds: int, key: str = "") -> LaunchFailed:
    advice = f"{phase.advice} {ADMIN}"
    if key:
        advice += f" If it only needs longer, raise servers.{key} in site.yaml."
    return LaunchFailed(
        phase.reason,
        f"Your server was not up after {seconds} s. {phase.text}",
        advice.strip(),
        status=504,
    ).with_log(await spawner.server_log())
