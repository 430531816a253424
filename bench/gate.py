"""The gate in the hub's proxy against the proxy as it comes: what a request to a user's server costs, and how many pass.

Requests a second vary with whatever else the machine does; the processor's time that the proxy takes for each does so less.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import psutil

from bench.results import Result, interleaved, median
from tests.gate.servers import Proxy

_SERVER = """
const body = Buffer.alloc(2000, "x");
const server = require("node:http").createServer((req, res) => { req.resume(); res.end(body); });
server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
"""
PATH = "/jupyterhub/user/alice/api/status"


def gate(repeat: int, requests: int = 2000, together: int = 50) -> list[Result]:
    """Measure both by turns: requests one after the other, then many at once."""
    folder = Path(tempfile.mkdtemp())
    backend = subprocess.Popen(["node", "-e", _SERVER], stdout=subprocess.PIPE, text=True)
    assert backend.stdout
    try:
        port = int(backend.stdout.readline())
        with Proxy(folder) as ours, Proxy(folder, gate=False) as other:
            for proxy in (ours, other):
                data = {"target": f"http://127.0.0.1:{port}", "user": "alice", "gate": proxy.epochs["alice"]}
                proxy.api("POST", "/routes/jupyterhub/user/alice", data)
            runs = max(repeat, 5)
            one = interleaved(runs, _one_by_one(ours, requests), _one_by_one(other, requests))
            many = interleaved(
                runs, _together(ours, requests, together), _together(other, requests, together)
            )
            busy = interleaved(
                runs,
                _processor_time(ours, requests, _together(ours, requests, together)),
                _processor_time(other, requests, _together(other, requests, together)),
            )
    finally:
        backend.kill()
        backend.wait()
    cost = median(one[0]) - median(one[1])
    loss = 1 - median(many[0]) / median(many[1])
    more = median(busy[0]) / median(busy[1])
    against = "the proxy without the gate"
    return [
        Result("gate", "a request to a server", "ms", one[0], one[1], against, "under 1 ms more", cost < 1),
        Result(
            "gate", f"requests of {together} clients", "1/s", many[0], many[1], against, "95 %", loss < 0.05
        ),
        Result("gate", "its processor's time", "ms", busy[0], busy[1], against, "105 %", more < 1.05),
    ]


def _session(proxy: Proxy) -> aiohttp.ClientSession:
    cookies = {
        "xnathub-gate": proxy.pass_for("alice", session="s", t=int(time.time()) + 600),
        "JSESSIONID": "s",
    }
    return aiohttp.ClientSession(
        f"http://127.0.0.1:{proxy.port}",
        headers={"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())},
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def _ask(session: aiohttp.ClientSession, times: int) -> None:
    for _ in range(times):
        async with session.get(PATH) as answer:
            assert answer.status == 200, answer.status
            await answer.read()


def _one_by_one(proxy: Proxy, requests: int) -> Callable[[], float]:
    async def run() -> float:
        async with _session(proxy) as session:
            await _ask(session, 20)
            began = time.perf_counter()
            await _ask(session, requests // 4)
            return (time.perf_counter() - began) * 1000 / (requests // 4)

    return lambda: asyncio.run(run())


def _together(proxy: Proxy, requests: int, together: int) -> Callable[[], float]:
    async def run() -> float:
        async with _session(proxy) as session:
            await _ask(session, 20)
            began = time.perf_counter()
            await asyncio.gather(*(_ask(session, requests // together) for _ in range(together)))
            return requests // together * together / (time.perf_counter() - began)

    return lambda: asyncio.run(run())


def _processor_time(proxy: Proxy, requests: int, run: Callable[[], float]) -> Callable[[], float]:
    process = psutil.Process(proxy.process.pid)

    def measured() -> float:
        before = sum(process.cpu_times()[:2])
        run()
        return float(sum(process.cpu_times()[:2]) - before) * 1000 / requests

    return measured
