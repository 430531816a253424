"""The wait for a server to listen, which one that has ended ends."""

import asyncio
import socket
import time

import pytest

from tests.support import free_port
from xnathub_conf.spawners import wait_for_port as module
from xnathub_conf.spawners.wait_for_port import listening


def test_it_notices_what_listens_later():
    port = free_port()

    async def wait():
        waiting = asyncio.create_task(listening(("127.0.0.1", port)))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
        await asyncio.wait_for(waiting, 10)
        server.close()

    asyncio.run(wait())


def test_a_server_that_has_ended_ends_the_wait():
    looks = []

    async def ended_at_the_third_look():
        looks.append(time.monotonic())
        if len(looks) == 3:
            raise RuntimeError("ended")

    with pytest.raises(RuntimeError, match="ended"):
        asyncio.run(listening(("127.0.0.1", free_port()), ended_at_the_third_look))
    assert looks[2] - looks[0] >= 2 * module.LOOK_AGAIN_SECONDS


def test_the_first_moments_end_where_nothing_listens(monkeypatch):
    monkeypatch.setattr(module, "FIRST_MOMENTS_SECONDS", 0.4)
    asyncio.run(listening(("127.0.0.1", free_port())))


def test_what_takes_no_connection_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(module, "FIRST_MOMENTS_SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        others = []
        for _ in range(3):
            other = socket.socket()
            other.setblocking(False)
            other.connect_ex(address)
            others.append(other)
        asyncio.run(asyncio.wait_for(listening(address), 10))
        for other in others:
            other.close()
