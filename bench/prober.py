"""Asks for a page at a steady pace until its standard input ends, then writes each answer's milliseconds as JSON.

Each request is sent at its time whether or not earlier ones were answered, and its time counts from when it was due: a hub that
stands still for a second shows as a second's worth of slow answers, not as one.
"""

import asyncio
import json
import sys
import time

import aiohttp

PACE_SECONDS = 0.02


async def probe(url: str) -> list[float]:
    """Ask until the end of standard input."""
    loop = asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.read)
    times: list[float] = []
    asked: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(due: float) -> None:
            async with session.get(url) as answer:
                await answer.read()
                assert answer.status == 200, answer.status
            times.append((time.perf_counter() - due) * 1000)

        due = time.perf_counter()
        while not ended.done():
            due += PACE_SECONDS
            await asyncio.sleep(due - time.perf_counter())
            task = loop.create_task(ask(due))
            asked.add(task)
            task.add_done_callback(asked.discard)
        await asyncio.gather(*asked)
    return times


if __name__ == "__main__":
    print(json.dumps(asyncio.run(probe(sys.argv[1]))))
