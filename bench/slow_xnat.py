"""Sign-ins and launches, all at once, while XNAT answers late."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import aiohttp

from bench.active_users import POLL_SECONDS
from bench.hubs import OURS, PLAIN, noop_server, probed, running_hub, server_name, server_path
from bench.results import Result, median, percentile
from tests.support import RunningHub, new_standin
from xnathub_conf.standin import Environment, StandIn
from xnathub_conf.standin.faults import Delay

XNAT_SECONDS = 2.0
LATE_SECONDS, TIMES_AS_FAST, HEALTH_MS = 5.0, 50, 50


def sign_ins(repeat: int, users: int = 200, plain_users: int = 4) -> list[Result]:
    """Measure sign-ins: each needs two answers of XNAT, one after the other."""
    return _measure("sign-ins", _sign_in_all, 2, repeat, users, plain_users)


def launches(repeat: int, users: int = 200, plain_users: int = 8) -> list[Result]:
    """Measure launches with a spawner that starts nothing: each needs one answer of XNAT.

    Ours starts every second server as XNAT's pages name it; a plain hub takes no such name.
    """
    return _measure("launches", _launch_all, 1, repeat, users, plain_users)


Storm = Callable[[RunningHub, StandIn, Sequence[str]], Coroutine[object, object, float]]


def _measure(
    what: str, storm: Storm, answers: int, repeat: int, users: int, plain_users: int
) -> list[Result]:
    """Let many users do something at once on a hub of ours and fewer on a plain one, by turns."""
    late: list[float] = []
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    health: dict[str, list[float]] = {"ours": [], "plain": []}
    with new_standin() as xnat, noop_server():
        for number in range(repeat):
            # New hubs each time: with every server that runs, JupyterHub takes longer to start the next.
            for side, config, count in (("ours", OURS, users), ("plain", PLAIN, plain_users)):
                names = _users(xnat, f"{what}-{side}-{number}", count)
                # All come from one address here; the hub would let them in a few at a time.
                limits = {"sign_in": {"failures_per_address": users}}
                with running_hub(xnat, config, limits) as hub, probed(hub) as times:
                    seconds = asyncio.run(storm(hub, xnat, names))
                rates[side].append(count / seconds)
                health[side].append(percentile(times, 99))
                if side == "ours":
                    late.append(seconds - answers * XNAT_SECONDS)
    against = f"plain hub, {plain_users} users"
    ratio = median(rates["ours"]) / median(rates["plain"])
    row = f"{what} while XNAT is slow"
    return [
        Result(
            row, f"{users} at once: last one done beyond XNAT's own time", "s", late,
            target=f"under {LATE_SECONDS:g}", reached=median(late) < LATE_SECONDS,
        ),
        Result(
            row, "rate", "1/s", rates["ours"], rates["plain"], against,
            f"at least {TIMES_AS_FAST} times", ratio >= TIMES_AS_FAST,
        ),
        Result(
            row, "health page, p99", "ms", health["ours"], health["plain"], against,
            f"under {HEALTH_MS}", median(health["ours"]) < HEALTH_MS,
        ),
    ]  # fmt: skip


def _users(xnat: StandIn, prefix: str, count: int) -> list[str]:
    xnat.faults.clear()
    names = [f"{prefix}-{number}" for number in range(count)]
    for number, name in enumerate(names):
        xnat.state.add_user(name, "password", ["Jupyter"], ["P1"])
        for server in {"", server_name(number)}:
            xnat.state.launch(name, "P1", server, Environment())
    return names


async def _all_at_once(
    xnat: StandIn,
    names: Sequence[str],
    first: Callable[[str], Awaitable[Any]],
    then: Callable[[Any], Awaitable[None]],
) -> float:
    """Do the first thing for every user, a few at a time; then, with XNAT slow, the second for all. Give its seconds."""
    few = asyncio.Semaphore(10)

    async def prepare(name: str) -> Any:
        async with few:
            return await first(name)

    prepared = await asyncio.gather(*map(prepare, names))
    xnat.faults.set("/", Delay(XNAT_SECONDS))
    began = time.monotonic()
    await asyncio.gather(*map(then, prepared))
    return time.monotonic() - began


async def _sign_in_all(hub: RunningHub, xnat: StandIn, names: Sequence[str]) -> float:
    url = f"{hub.url}/hub/login"
    sessions: list[aiohttp.ClientSession] = []

    async def open_page(name: str) -> tuple[aiohttp.ClientSession, dict[str, str]]:
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        sessions.append(session)
        async with session.get(url) as answer:
            found = re.search(r'name="_xsrf"\s+value="([^"]*)"', await answer.text())
        assert found
        return session, {"username": name, "password": "password", "_xsrf": found[1]}

    async def sign_in(prepared: tuple[aiohttp.ClientSession, dict[str, str]]) -> None:
        session, form = prepared
        headers = {"Referer": url, "Sec-Fetch-Mode": "navigate"}
        async with session.post(url, data=form, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 302, await answer.text()

    try:
        return await _all_at_once(xnat, names, open_page, sign_in)
    finally:
        await asyncio.gather(*(session.close() for session in sessions))


async def _launch_all(hub: RunningHub, xnat: StandIn, names: Sequence[str]) -> float:
    api = f"{hub.url}/hub/api/users"
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"token {hub.token}"}
    servers = {name: server_name(number) if "-ours-" in name else "" for number, name in enumerate(names)}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def add_user(name: str) -> str:
            async with session.post(f"{api}/{name}") as answer:
                assert answer.status == 201, await answer.text()
            return name

        async def launch(name: str) -> None:
            server = servers[name]
            async with session.post(f"{api}/{server_path(name, server)}", json={"userId": 1}) as answer:
                assert answer.status in {201, 202}, f"{answer.status} {await answer.text()}"
                ready = answer.status == 201
            while not ready:
                await asyncio.sleep(POLL_SECONDS)
                async with session.get(f"{api}/{name}") as answer:
                    ready = (await answer.json())["servers"][server]["ready"]

        return await _all_at_once(xnat, names, add_user, launch)
