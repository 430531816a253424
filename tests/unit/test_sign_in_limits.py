"""Wrong passwords are counted by name and by address, in bounded memory, and nobody chooses their own address."""

import asyncio
import contextlib
import tracemalloc
from dataclasses import replace

import pytest

from tests.unit.helpers import problems_of, site_of, site_text
from xnathub_conf.signing_in.limits import SignInLimits, TooManyFailures, counted_as
from xnathub_conf.site.hub_settings import reverse_proxies
from xnathub_conf.values.user_names import folded
from xnathub_conf.web.xnat_sessions import Sessions


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def limits_of(clock, **rules):
    return SignInLimits(replace(site_of().sign_in, **rules), clock)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limits(clock):
    return limits_of(clock, failures_per_user=3, failures_per_address=6, failures_window=60)


def begin(limits, name, address, browser=""):
    """Take a try that has to wait for nobody."""
    with pytest.raises(StopIteration) as done:
        limits.begin(name, address, browser).send(None)
    return done.value.value


def fail(limits, name="alice", address="192.0.2.1", browser=""):
    limits.wrong(begin(limits, name, address, browser))


def refused(limits, name="alice", address="192.0.2.1", browser=""):
    with pytest.raises(TooManyFailures) as raised:
        begin(limits, name, address, browser)
    return str(raised.value), raised.value.seconds


def test_a_name_has_its_limit_wherever_guesses_come_from(limits, clock):
    for number in range(3):
        fail(limits, address=f"192.0.2.{number}")
        clock.now += 10
    assert refused(limits, address="192.0.2.99") == ("this user name", 30)
    begin(limits, "bob", "192.0.2.0")


def test_an_address_has_its_limit_whatever_the_names(limits):
    for number in range(6):
        fail(limits, f"user{number}")
    assert refused(limits, "user7") == ("your network address", 60)
    begin(limits, "user7", "192.0.2.2")


def test_the_window_slides(limits, clock):
    for _ in range(3):
        fail(limits)
        clock.now += 20
    fail(limits)
    assert refused(limits)[1] == 20
    clock.now += 21
    fail(limits)


def test_names_that_look_the_same_count_together(limits):
    for name in ("Alice", "ALICE", "\uff41lice"):
        fail(limits, name)
    for name in ("alice", "alice ", "aLICE"):
        refused(limits, name)


ACCENTS = [
    "\xe1lice",
    "alice\u0301",
    "al\u0131ce",
    "al\u0130ce",
    "ali\u0327ce",
    "a\u034flice",
    "alice\ufe0f",
    "\uff21LICE",
]


def test_a_directory_s_one_name_is_one_whatever_its_accents(limits):
    for name in ACCENTS[:3]:
        fail(limits, name)
    for name in ("alice", *ACCENTS):
        refused(limits, name)
    begin(limits, "al\u0456ce", "192.0.2.1")


def test_the_right_password_starts_anew(limits):
    for number in range(4):
        fail(limits, address=f"192.0.2.{number}")
        fail(limits, address=f"192.0.2.{number}")
        limits.right(begin(limits, "alice", "192.0.2.9"))


def test_tries_at_one_moment_get_no_further(limits):
    for _ in range(3):
        begin(limits, "alice", "192.0.2.1")
    refused(limits)


def test_what_xnat_could_not_answer_does_not_count(limits):
    for _ in range(20):
        limits.undecided(begin(limits, "alice", "192.0.2.1"))
    begin(limits, "alice", "192.0.2.1")


def test_many_people_who_sign_in_at_one_moment_are_no_guessers(limits):
    at_xnat = most = 0

    async def sign_in(name):
        nonlocal at_xnat, most
        attempt = await limits.begin(name, "192.0.2.1")
        at_xnat += 1
        most = max(most, at_xnat)
        await asyncio.sleep(0)
        at_xnat -= 1
        limits.right(attempt)

    async def all_at_once():
        await asyncio.gather(*(sign_in(f"user{number}") for number in range(50)))

    asyncio.run(all_at_once())
    assert most == 6


def test_many_names_at_one_moment_get_no_further_than_others(limits):
    passed, refused_ = [], []

    async def guess(name):
        try:
            attempt = await limits.begin(name, "192.0.2.1")
        except TooManyFailures:
            refused_.append(name)
            return
        passed.append(name)
        await asyncio.sleep(0.01)
        limits.wrong(attempt)

    async def all_at_once():
        await asyncio.gather(*(guess(f"user{number}") for number in range(400)))

    asyncio.run(all_at_once())
    assert (len(passed), len(refused_)) == (6, 394)


def test_who_gives_up_waiting_holds_up_nobody(limits):
    async def give_up():
        first = [await limits.begin(f"user{number}", "192.0.2.1") for number in range(6)]
        waiting = [asyncio.ensure_future(limits.begin(f"more{number}", "192.0.2.1")) for number in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        for attempt in first:
            limits.undecided(attempt)
        for each in waiting[1:]:
            limits.right(await each)
        # Nothing is left of them.
        for number in range(6):
            await limits.begin(f"user{number}", "192.0.2.1")

    asyncio.run(asyncio.wait_for(give_up(), 30))


def test_the_right_password_of_one_spelling_leaves_the_guesses_at_another(limits):
    fail(limits, "alice")
    fail(limits, "alice")
    limits.right(begin(limits, "Alice", "192.0.2.1"))
    fail(limits, "alice")
    refused(limits, "alice")
    refused(limits, "Alice")


def test_a_known_browser_is_not_kept_out_by_strangers(limits):
    for number in range(3):
        fail(limits, address=f"192.0.2.{number}")
    for number in range(5):
        fail(limits, f"user{number}")
    refused(limits, "user6")
    limits.right(begin(limits, "alice", "192.0.2.1", "known"))
    refused(limits)


def test_a_known_browser_has_a_limit_of_its_own(limits):
    for _ in range(3):
        fail(limits, browser="known")
    assert refused(limits, browser="known")[0] == "this user name"
    begin(limits, "alice", "192.0.2.1")


def test_names_made_up_by_the_thousand_push_out_none_that_is_guessed_at(limits, clock):
    for number in range(3):
        fail(limits, address=f"192.0.2.{number}")
    clock.now += 1
    for number in range(12_000):
        # Such as each address may still fail with, and as are refused after that.
        address = f"198.51.{number // 8 % 250}.{number // 2000}"
        with contextlib.suppress(TooManyFailures):
            fail(limits, f"made up {number}", address)
        with contextlib.suppress(TooManyFailures):
            limits.undecided(begin(limits, f"never asked {number}", "203.0.113.7"))
    assert refused(limits, address="192.0.2.99") == ("this user name", 59)


def test_who_is_over_the_limit_leaves_no_names(limits):
    for number in range(6):
        fail(limits, f"user{number}", "192.0.2.1")
    for number in range(100):
        assert refused(limits, f"made up {number}", "192.0.2.1")[0] == "your network address"
        with contextlib.suppress(TooManyFailures):
            limits.undecided(begin(limits, f"unanswered {number}", "192.0.2.2"))
    assert len(limits._users._times) == 6


def test_memory_is_bounded(clock):
    limits = limits_of(clock, failures_per_user=1000, failures_per_address=1000)
    tracemalloc.start()
    for number in range(12_000):
        fail(limits, f"{number:0255}", f"2001:db8:{number:x}::/64")
        clock.now += 0.001
    for _ in range(3_000):
        clock.now += 0.001
        limits.wrong(begin(limits, "alice", "192.0.2.1", ""))
        clock.now += 1
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 40e6


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_address_of_ipv6_counts_as_its_network(address, counted):
    assert counted_as(address) == counted


def test_folding_is_stable():
    for name in ("Stra\u00dfe", "\u0130x", "\ufb01", "a.b@C.org"):
        assert folded(folded(name)) == folded(name)


@pytest.mark.parametrize(
    ("changes", "proxies"),
    [
        ({}, 0),
        ({"hub__public_url": "https://x.example.org/jupyterhub/"}, 1),
        ({"hub__public_url": "http://x.example.org/jupyterhub/"}, 0),
        ({"hub__public_url": "https://x.example.org/jupyterhub/", "hub__reverse_proxies": 2}, 2),
        ({"hub__reverse_proxies": 0}, 0),
    ],
)
def test_how_many_proxies_stand_in_front(changes, proxies):
    assert reverse_proxies(site_of(**changes)) == proxies


@pytest.mark.parametrize(
    ("key", "value", "rule", "severity"),
    [
        ("auth_refresh_age", 43201, "refresh-after-sign-out", "error"),
        ("max_age", 14, "refresh-after-sign-out", "error"),
        ("failures_per_user", 20, "lock-out", "warning"),
    ],
)
def test_what_contradicts_itself_is_said(key, value, rule, severity):
    (problem,) = problems_of(site_text(**{f"sign_in__{key}": value}))
    assert (problem.rule, problem.severity) == (rule, severity)
    assert problem.path[0] == "sign_in"


def test_sessions_of_nobody_s_are_asked_about_one_at_a_time_and_a_real_one_gets_in(limits):
    at_xnat, most, order = 0, [], []

    async def ask(number, real=False):
        nonlocal at_xnat
        async with limits.session("192.0.2.1") as nobodys:
            at_xnat += 1
            most.append(at_xnat)
            await asyncio.sleep(0.001)
            at_xnat -= 1
            order.append(number)
            if not real:
                nobodys()

    async def flood():
        await asyncio.gather(*(ask(number) for number in range(6)))
        assert max(most) == 6
        most.clear()
        asked = [asyncio.ensure_future(ask(number)) for number in range(6, 20)]
        await asyncio.sleep(0)
        await ask("real", real=True)
        # In its turn, whoever comes later.
        assert order[-1] == "real"
        assert len(order) == 21
        await asyncio.gather(*asked, *(ask(number) for number in range(20, 40)))

    asyncio.run(asyncio.wait_for(flood(), 30))
    assert max(most) == 1


def test_real_sessions_from_one_address_never_wait_for_long(limits):
    async def ask():
        async with limits.session("192.0.2.1"):
            await asyncio.sleep(0.001)

    async def crowd():
        await asyncio.gather(*(ask() for _ in range(200)))

    asyncio.run(asyncio.wait_for(crowd(), 30))


def test_who_waits_too_long_for_a_session_s_turn_gives_up(limits, monkeypatch):
    monkeypatch.setattr("xnathub_conf.signing_in.limits._LONGEST_WAIT", 0.05)

    async def ask(seconds):
        async with limits.session("192.0.2.1") as nobodys:
            nobodys()
            await asyncio.sleep(seconds)

    async def jam():
        await asyncio.gather(*(ask(0) for _ in range(6)))
        first = asyncio.ensure_future(ask(0.2))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await ask(0)
        await first
        await ask(0)

    asyncio.run(asyncio.wait_for(jam(), 30))


def test_of_sessions_that_are_made_up_nothing_is_kept():
    async def ask(_session):
        return "guest"

    sessions = Sessions(ask, 300)

    async def send():
        for number in range(1000):
            assert await sessions.owner(f"{number:08d}{'a' * 15_000}") == "guest"

    tracemalloc.start()
    try:
        asyncio.run(send())
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
