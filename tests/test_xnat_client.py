"""The XNAT client against a real HTTP server, with its faults."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest

from tests.certificates import Authority
from xnathub_conf.site.types import ServiceAccount, Xnat, XnatCalls
from xnathub_conf.standin import StandIn, demo_state, faults
from xnathub_conf.values.secret import Secret
from xnathub_conf.xnat.answers import (
    Credentials,
    XnatBadAnswer,
    XnatError,
    XnatForbidden,
    XnatLoginRedirect,
    XnatNotFound,
    XnatTooManySessions,
    XnatUnauthorized,
    XnatUnreachable,
    XnatUntrusted,
)
from xnathub_conf.xnat.client import XnatClient

OPTIONS = "/xapi/jupyterhub/users"


def settings(url, **changes):
    calls = {
        "connect_timeout": 2,
        "read_timeout": 2,
        "deadline": 5,
        "retries": 2,
        "concurrency": 8,
        "max_body": 10**6,
    }
    tls = {"ca_file": changes.pop("ca_file", None), "verify_tls": changes.pop("verify_tls", True)}
    return Xnat(
        url=url,
        public_url=None,
        **tls,
        service_account=ServiceAccount("jupyterhub", Secret("literal", "unused")),
        start_timeout=180,
        stop_timeout=60,
        calls=XnatCalls(**(calls | changes)),
    )


@pytest.fixture(scope="module")
def _xnat():
    with StandIn(demo_state()) as xnat:
        yield xnat


@pytest.fixture
def xnat(_xnat):
    _xnat.requests.clear()
    _xnat.state.end_sessions()
    _xnat.state.launch("alice", "P1")
    yield _xnat
    _xnat.faults.clear()
    _xnat.state.unlock("jupyterhub")


def client(xnat, password=None, **changes):
    return XnatClient(settings(xnat.url, **changes), password or xnat.state.user("jupyterhub").password)


def alice(xnat):
    return Credentials("alice", xnat.state.user("alice").password)


def options(*clients):
    """Ask for alice's options with each client in turn."""

    async def ask():
        return [await each.user_options("alice", "", lambda answer: answer) for each in clients]

    return asyncio.run(ask())


def test_a_safe_call_is_tried_again_after_503(xnat):
    xnat.faults.set("/xapi/users", faults.Status(503), 2)
    name, session = asyncio.run(client(xnat).username(alice(xnat)))
    assert name == "alice"
    assert session in {each.id for each in xnat.state.sessions("alice")}
    assert len(xnat.requests.find("/xapi/users")) == 3


@pytest.mark.parametrize(("status", "error"), [(401, XnatUnauthorized), (403, XnatForbidden), (404, XnatNotFound), (500, XnatBadAnswer)])  # fmt: skip
def test_what_will_not_mend_itself_is_tried_once(xnat, status, error):
    xnat.faults.set("/xapi/users", faults.Status(status))
    with pytest.raises(error):
        asyncio.run(client(xnat).username(alice(xnat)))
    assert len(xnat.requests.find("/xapi/users")) == 1


def test_ending_a_session_is_not_tried_again(xnat):
    xnat.faults.set("/data/JSESSION", faults.Status(503))

    async def end():
        each = client(xnat)
        _, session = await each.username(alice(xnat))
        each.end_session(session)
        await asyncio.sleep(0.5)

    asyncio.run(end())
    assert len(xnat.requests.find("/data/JSESSION")) == 1


def test_the_service_session_is_kept_and_renewed_once(xnat):
    each = client(xnat)
    options(each, each)
    assert [request.how for request in xnat.requests.find(OPTIONS)] == ["basic", "cookie"]
    xnat.state.end_sessions("jupyterhub")
    options(each, each)
    assert [request.how for request in xnat.requests.find(OPTIONS)][2:] == ["none", "basic", "cookie"], (
        "a dead cookie is nobody's"
    )
    assert len(xnat.state.sessions("jupyterhub")) == 1


@pytest.mark.parametrize("mode", ["guest", "401", "redirect"])
def test_a_dead_service_session_is_noticed_in_each_form(xnat, mode):
    each = client(xnat)
    options(each)
    xnat.state.end_sessions("jupyterhub")
    xnat.state.without_session = mode
    try:
        assert options(each)[0]["itemId"] == "P1"
    finally:
        xnat.state.without_session = "guest"


def test_twenty_at_once_open_one_session(xnat):
    each = client(xnat, concurrency=20)

    async def ask():
        return await asyncio.gather(*(each.user_options("alice", "", len) for _ in range(20)))

    assert len(set(asyncio.run(ask()))) == 1
    assert len(xnat.state.sessions("jupyterhub")) == 1


def test_a_wrong_service_password_is_tried_once(xnat):
    each = client(xnat, "wrong")
    for _ in range(5):
        with pytest.raises(XnatForbidden, match="service account jupyterhub"):
            options(each)
    assert len(xnat.requests.find(OPTIONS)) == 1
    assert xnat.state.user("jupyterhub").failures == 1


def test_each_refusal_of_the_service_password_doubles_the_wait(xnat, monkeypatch):
    each, now = client(xnat, "wrong"), time.monotonic()
    tries = []
    # The client's clock alone: the event loop's goes on.
    clock = SimpleNamespace(monotonic=lambda: now, sleep=time.sleep, perf_counter=time.perf_counter)
    monkeypatch.setattr("xnathub_conf.xnat.client.time", clock)
    for minutes in range(4 * 60):
        before = xnat.state.user("jupyterhub").failures
        with pytest.raises(XnatForbidden):
            options(each)
        if xnat.state.user("jupyterhub").failures > before:
            tries.append(minutes)
        now += 60
    assert tries == [0, 5, 15, 35, 75, 135, 195]


def test_too_many_sessions_is_not_a_wrong_password(xnat):
    xnat.state.session_limit = 0
    each = client(xnat)
    try:
        with pytest.raises(XnatTooManySessions, match=r"jupyterhub.*sessions"):
            options(each)
        with pytest.raises(XnatTooManySessions):
            asyncio.run(each.username(alice(xnat)))
    finally:
        xnat.state.session_limit = 1000
    assert options(each)[0]["itemId"] == "P1"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.LoginPage(), XnatBadAnswer),
        (faults.RedirectToLogin(), XnatLoginRedirect),
        (faults.TruncatedJson(), XnatBadAnswer),
        (faults.InvalidJson(), XnatBadAnswer),
        (faults.HugeBody(50_000_000), XnatBadAnswer),
        (faults.CloseMidway(), XnatUnreachable),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_answers_that_xnat_would_not_give(xnat, fault, error):
    xnat.faults.set(OPTIONS, fault)
    with pytest.raises(error) as caught:
        options(client(xnat))
    assert len(str(caught.value)) > 30, "the admin is told what to look at"


@pytest.mark.parametrize("fault", [faults.Hang(), faults.Drip(0.2)], ids=["hang", "drip"])
def test_the_deadline_holds_over_retries_and_drips(xnat, fault):
    xnat.faults.set(OPTIONS, fault)
    began = time.monotonic()
    with pytest.raises(XnatUnreachable):
        options(client(xnat, deadline=3, read_timeout=1))
    assert time.monotonic() - began < 3 + 1.5


def test_a_full_pool_keeps_the_deadline_too(xnat):
    xnat.faults.set("/xapi/users", faults.Delay(1.5))
    each = client(xnat, concurrency=1, deadline=2)

    async def ask():
        return await asyncio.gather(*(each.username(alice(xnat)) for _ in range(4)), return_exceptions=True)

    began = time.monotonic()
    answers = asyncio.run(ask())
    assert time.monotonic() - began < 4
    assert sum(isinstance(answer, XnatUnreachable) for answer in answers) == 3


def test_answers_that_come_together_go_on_one_after_the_other(xnat):
    each = client(xnat, concurrency=20)

    async def ask():
        turns, answered_at = 0, []

        async def one():
            await each.username(alice(xnat))
            answered_at.append(turns)

        asking = asyncio.gather(*(one() for _ in range(20)))
        while not asking.done():
            turns += 1
            await asyncio.sleep(0)
        return answered_at

    # Between two of them the loop came to other work.
    assert len(set(asyncio.run(ask()))) == 20


def test_nobody_listens_and_no_such_host():
    for url in ("http://127.0.0.1:9", "http://no-such-host.invalid"):
        with pytest.raises(XnatUnreachable, match="can't be reached"):
            asyncio.run(XnatClient(settings(url, retries=0), "x").username(Credentials("a", "b")))


def test_no_secret_in_any_error(xnat):
    password = "a-secret-4711"
    for fault in (faults.Status(401), faults.Status(500), faults.LoginPage()):
        xnat.faults.set("/xapi", fault)
        with pytest.raises(XnatError) as caught:
            asyncio.run(client(xnat).username(Credentials("alice", password)))
        assert password not in str(caught.value)
        xnat.faults.clear()
    assert password not in repr(Credentials("alice", password))
    assert password not in repr(Credentials(session=password))


def test_the_loop_goes_on_while_xnat_hangs(xnat):
    xnat.faults.set("/xapi", faults.Delay(1))
    # The stand-in has a thread for each connection that other tests left open.
    threads = threading.active_count()

    async def both():
        task = asyncio.create_task(client(xnat).username(alice(xnat)))
        longest = last = 0.0
        while not task.done():
            last = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - last)
        return longest

    assert asyncio.run(both()) < 0.5
    assert threading.active_count() < threads + 10


def test_a_private_ca_is_trusted_where_it_is_named(tmp_path):
    authority = Authority(tmp_path / "ca")
    with StandIn(demo_state(), **authority.issue("xnat")) as xnat:
        with pytest.raises(XnatUntrusted, match=r"xnat\.ca_file"):
            asyncio.run(client(xnat).username(alice(xnat)))
        trusted = client(xnat, ca_file=str(authority.file))
        assert asyncio.run(trusted.username(alice(xnat)))[0] == "alice"
        assert asyncio.run(client(xnat, verify_tls=False).username(alice(xnat)))[0] == "alice"


def test_a_password_beyond_latin_1_and_odd_names(xnat):
    for name in ("süß ö", "a/b?c#d", "A.B-c_d@e"):
        xnat.state.add_user(name, "pÄß wörd ☃", ["Jupyter"])
        assert asyncio.run(client(xnat).roles(name, Credentials(name, "pÄß wörd ☃"))) == ["Jupyter"]
