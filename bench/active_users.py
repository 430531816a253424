"""A hub with 1,000 running servers: what it takes at rest, and while XNAT asks after each of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import aiohttp
import psutil

from bench.hubs import OURS, noop_server, running_hub, server_name, server_path
from bench.results import Result, percentile
from tests.support import RunningHub, new_standin
from xnathub_conf.standin import Environment

POLL_SECONDS = 2
HOUR_OF_POLLS = 1000 * 3600 // POLL_SECONDS
GROWN_PERCENT = 2
REST_SECONDS = 10


def active_users(
    repeat: int, users: int = 1000, polls: int = HOUR_OF_POLLS, rest_seconds: float = REST_SECONDS
) -> list[Result]:
    """Start the servers, then let XNAT poll them, as fast as the hub answers, in `repeat` parts of the same size.

    The figures of each part are what the hub had after it: what grows would grow from part to part. In the first, the
    interpreter's heap comes to its size.
    """
    with new_standin() as xnat, noop_server(), running_hub(xnat, OURS) as hub:
        for number in range(users):
            xnat.state.add_user(f"user-{number}", "password", ["Jupyter"], ["P1"])
            xnat.state.launch(f"user-{number}", "P1", server_name(number), Environment())
        names = [f"user-{number}" for number in range(users)]
        assert hub.process
        process = psutil.Process(hub.process.pid)
        empty = _memory(process)
        asyncio.run(_start_all(hub, names))
        rest_cpu = _cpu_percent(process, rest_seconds)
        rest = _memory(process)
        # The first polls fill caches; what comes after must not add to them.
        asyncio.run(_poll(hub, names, users * 2))
        after: list[float] = []
        rates: list[float] = []
        costs: list[float] = []
        slowest: list[float] = []
        warm = _memory(process)
        for _ in range(repeat):
            began, spent = time.monotonic(), sum(process.cpu_times()[:2])
            times = asyncio.run(_poll(hub, names, polls // repeat))
            rates.append(len(times) / (time.monotonic() - began))
            costs.append((sum(process.cpu_times()[:2]) - spent) / len(times) * 1000)
            slowest.append(percentile(times, 99))
            after.append(_memory(process))
    row = f"{users:,} active users"
    growth = (after[-1] / after[0] - 1) * 100
    wanted = users / POLL_SECONDS
    return [
        Result(row, "memory at rest, against the same hub before their start", "MB", [rest], [empty]),
        Result(row, "CPU at rest, of one core", "%", [rest_cpu]),
        Result(
            row, f"memory after each part of {polls:,} polls, against before them", "MB", after, [warm],
            target=f"after the first part, growth under {GROWN_PERCENT} %", reached=growth < GROWN_PERCENT,
        ),
        Result(row, f"polls answered, of {wanted:,.0f} wanted each second", "1/s", rates),
        Result(row, "CPU for one poll", "ms", costs),
        Result(row, "one poll of 8 at a time, p99", "ms", slowest),
    ]  # fmt: skip


def _memory(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / 1e6


def _cpu_percent(process: psutil.Process, seconds: float) -> float:
    before = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    return float(sum(process.cpu_times()[:2]) - before) / seconds * 100


def _session(hub: RunningHub) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"Authorization": f"token {hub.token}"})


async def _start_all(hub: RunningHub, names: Sequence[str]) -> None:
    few = asyncio.Semaphore(8)
    async with _session(hub) as session:

        async def start(number: int) -> None:
            name = names[number]
            async with few:
                for path in (name, server_path(name, server_name(number))):
                    async with session.post(f"{hub.url}/hub/api/users/{path}", json={}) as answer:
                        assert answer.status == 201, await answer.text()

        await asyncio.gather(*map(start, range(len(names))))


async def _poll(hub: RunningHub, names: Sequence[str], polls: int) -> list[float]:
    """Ask for each user's model in turn, eight at a time, as XNAT's plugin does; give each answer's milliseconds."""
    times: list[float] = []
    waiting = iter(range(polls))
    async with _session(hub) as session:

        async def ask() -> None:
            for number in waiting:
                began = time.perf_counter()
                number %= len(names)
                name = names[number]
                async with session.get(f"{hub.url}/hub/api/users/{name}") as answer:
                    assert answer.status == 200
                    assert (await answer.json())["servers"][server_name(number)]["ready"]
                times.append((time.perf_counter() - began) * 1000)

        await asyncio.gather(*(ask() for _ in range(8)))
    return times
