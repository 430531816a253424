"""Turns: in the order of their coming, and never two without the loop's getting to something else."""

import asyncio
import itertools
import time

from xnathub_conf.operating.loop_turns import Turns


def test_everything_else_runs_between_two_turns():
    events = []

    async def beat():
        while True:
            events.append("beat")
            await asyncio.sleep(0)

    async def one_of_a_crowd(turns, number):
        await turns.take()
        events.append(number)
        time.sleep(0.01)

    async def crowd():
        beating = asyncio.create_task(beat())
        turns = Turns()
        await asyncio.gather(*(one_of_a_crowd(turns, number) for number in range(20)))
        beating.cancel()

    asyncio.run(crowd())
    assert [event for event in events if event != "beat"] == list(range(20))
    assert not [pair for pair in itertools.pairwise(events) if "beat" not in pair]


def test_a_loop_without_a_moment_does_not_keep_anybody_for_good():
    async def busy():
        while True:
            time.sleep(0.02)
            await asyncio.sleep(0)

    async def take():
        at_it = asyncio.create_task(busy())
        await asyncio.wait_for(Turns().take(), 20)
        at_it.cancel()

    asyncio.run(take())


def test_who_gives_up_keeps_no_one_waiting():
    async def take():
        turns = Turns()
        impatient = asyncio.create_task(turns.take())
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.wait_for(turns.take(), 20)

    asyncio.run(take())
