"""Networks of servers' own: one user has a network at a time."""

import asyncio
import contextlib

import pytest

from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.spawners.networks import Networks


def choose(*users: str, running: tuple[tuple[str, str], ...] = (), names: tuple[str, ...] = ("n-1", "n-2")):
    """Begin starts of these users at the same moment; give each one's network, and "" to whom none was left."""

    async def asked():
        await asyncio.sleep(0)
        return list(running)

    async def begin(networks: Networks, begun: contextlib.AsyncExitStack, user: str) -> str:
        try:
            return await begun.enter_async_context(networks.chosen(user, asked))
        except LaunchFailed as failure:
            return "" if failure.reason == "networks" else str(failure)

    async def begin_all() -> list[str]:
        networks = Networks(names)
        async with contextlib.AsyncExitStack() as begun:
            found = await asyncio.gather(*(begin(networks, begun, user) for user in users))
        # What was only begun is free again.
        async with networks.chosen("another", asked) as network:
            assert network in {*names, *(name for name, _ in running)}
        return list(found)

    return asyncio.run(begin_all())


def test_two_users_never_share_one():
    assert sorted(choose("alice", "Alice")) == ["n-1", "n-2"]


def test_all_servers_of_a_user_are_on_one():
    assert len(set(choose("alice", "alice", "alice"))) == 1
    assert choose("alice", running=(("n-2", "alice"),)) == ["n-2"]


def test_one_in_use_is_nobody_else_s():
    assert choose("alice", running=(("n-1", "demo"),)) == ["n-2"]


def test_servers_of_before_on_the_shared_network_don_t_count():
    assert choose("alice", running=(("shared", "alice"), ("shared", "demo"))) == ["n-1"]


def test_who_comes_when_all_are_taken_is_told():
    assert sorted(choose("a", "b", "c")) == ["", "n-1", "n-2"]


@pytest.mark.parametrize("user", ["alice", "Alice", "alice "])
def test_names_count_letter_for_letter(user):
    (given,) = choose(user, running=(("n-1", "alice"),))
    assert (given == "n-1") == (user == "alice")
