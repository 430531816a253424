"""A host name for each user's servers, as the gate sees to it."""

import base64
import hashlib
import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.gate.servers import Proxy, b64
from tests.gate.test_access import NAVIGATE, SERVER, header, status, upgrade

HUB, ALICE, BOB = "jupyter.example.org", "alice.jupyter.example.org", "u-b--1.jupyter.example.org"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    settings = {
        "own_host": True,
        "secure": True,
        "bind_session": False,
        "xnat_url": "https://xnat.example.org",
        "hosts": {"scheme": "https:", "hub": HUB, "port": None},
    }
    with Proxy(
        tmp_path_factory.mktemp("hosts"),
        options={"settings": settings, "hosts": {"alice": ALICE, "bob": BOB}},
    ) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def forget(hosts):
    for each in (*hosts.servers.values(), hosts.hub):
        each.raw.clear() if isinstance(each.raw, bytearray) else None
        each.requests.clear()


def get(proxy, host, path, *headers, method="GET"):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "Connection: close", "", ""]
    return proxy.send("\r\n".join(lines).encode())


def to(answer):
    return header(answer, "Location")[0] if status(answer) == 302 else status(answer)


def test_the_owner_passes_at_their_own_host_and_nowhere_else(hosts):
    cookie = f"Cookie: __Host-xnathub-gate={hosts.pass_for('alice')}"
    assert status(get(hosts, f"{ALICE}:443", SERVER, cookie)) == 200
    assert status(get(hosts, ALICE.upper(), SERVER, cookie)) == 200
    assert len(hosts.servers["alice"].requests) == 2
    for host in (
        HUB,
        BOB,
        f"x.{HUB}",
        f"{ALICE}.evil.org",
        "evil.org",
        "127.0.0.1",
        "",
        f"{HUB}.",
        f"x.{ALICE}",
    ):
        assert status(get(hosts, host, SERVER, cookie)) == 403, host
        assert to(get(hosts, host, SERVER, cookie, *NAVIGATE)) == f"https://{ALICE}{SERVER}"
        assert status(hosts.send(upgrade(SERVER, cookie).replace(b"localhost", host.encode()))) == 403
        assert status(get(hosts, host, SERVER, cookie, *NAVIGATE, "Content-Length: 0", method="POST")) == 403
    assert len(hosts.servers["alice"].requests) == 2


def test_a_token_stays_at_the_hub_s_host(hosts):
    for mark, led_by in {"xnat:": "https://xnat.example.org/", "": f"https://{BOB}/"}.items():
        answer = get(hosts, HUB, f"{SERVER}?token=abc&a=1", *NAVIGATE, f"Referer: {led_by}")
        assert to(answer) == f"https://{ALICE}{SERVER}?a=1"
        assert header(answer, "Set-Cookie") == [
            f"__Host-xnathub-token={mark}abc; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure"
        ]
    assert not header(get(hosts, BOB, f"{SERVER}?token=abc", *NAVIGATE), "Set-Cookie")
    assert "abc" not in to(get(hosts, ALICE, f"{SERVER}?token=abc", *NAVIGATE))


@pytest.mark.parametrize(
    "path",
    [
        "/jupyterhub/hub/home",
        "/jupyterhub/hub/api/users",
        "/jupyterhub/",
        "/",
        "//evil.org/x",
        "/%2e%2e/jupyterhub/hub/home",
    ],
)
def test_nothing_of_the_hub_is_at_a_user_s_host(hosts, path):
    for host in (ALICE, BOB, f"nobody.{HUB}", f"a.b.{HUB}", f"{ALICE}."):
        assert status(get(hosts, host, path, "Cookie: jupyterhub-hub-login=x")) == 403
        assert status(get(hosts, host, path, "Authorization: token abc")) == 403
        assert status(get(hosts, host, path, method="OPTIONS")) == 403
        location = to(get(hosts, host, path, *NAVIGATE))
        assert location == f"https://{HUB}{path}"
    assert not hosts.hub.requests
    assert status(get(hosts, HUB, "/jupyterhub/hub/home")) == 200
    assert status(get(hosts, "127.0.0.1:8000", "/jupyterhub/hub/api/")) == 200
    assert status(get(hosts, ALICE, "/jupyterhub/hub/identity?challenge=1")) == 200


def test_programs_need_no_host(hosts):
    for host in (HUB, ALICE, "10.0.0.1:8000"):
        assert status(get(hosts, host, SERVER, "Authorization: token abc")) == 200


def asked(hosts):
    """Return the state's cookie and mark of a browser that is sent to the hub."""
    answer = get(hosts, ALICE, f"{SERVER}?a=1", *NAVIGATE)
    parts = urlsplit(to(answer))
    assert (parts.netloc, parts.path) == (HUB, "/jupyterhub/hub/gate")
    query = parse_qs(parts.query)
    assert query["next"] == [f"{SERVER}?a=1"]
    cookie = header(answer, "Set-Cookie")[0]
    assert cookie.endswith("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax; Secure")
    state = cookie.partition("=")[2].partition(";")[0]
    assert query["state"] == [hashlib.sha256(state.encode()).hexdigest()]
    return state, query["state"][0]


def ticket(hosts, mark, host=ALICE, until=30, **changes):
    body = hosts.pass_for("alice", **changes).partition(".")[0]
    until += int(time.time())
    return f"{body}.{until}.{b64(hosts.sign(f'ticket:{mark}:{host}:{until}:{body}'))}"


def take(hosts, ticket, state, host=ALICE, following=SERVER):
    cookies = [f"Cookie: __Host-xnathub-state={state}"] if state else []
    return get(
        hosts, host, f"/jupyterhub/hub/gate/pass?ticket={ticket}&next={following}", *NAVIGATE, *cookies
    )


def test_a_ticket_becomes_a_pass_in_the_browser_that_asked(hosts):
    state, mark = asked(hosts)
    answer = take(hosts, ticket(hosts, mark), state)
    assert to(answer) == SERVER
    given, forgotten = header(answer, "Set-Cookie")
    assert given.startswith("__Host-xnathub-gate=")
    assert "; Path=/; " in given
    assert "Domain" not in given
    assert forgotten.startswith("__Host-xnathub-state=; ")
    cookie = given.partition(";")[0]
    assert status(get(hosts, ALICE, SERVER, f"Cookie: {cookie}")) == 200
    # A second tab that was sent to the hub meanwhile has the same mark.
    again = get(hosts, ALICE, SERVER, *NAVIGATE, f"Cookie: __Host-xnathub-state={state}")
    assert mark in to(again)


def test_no_other_ticket_does(hosts):
    state, mark = asked(hosts)
    good = ticket(hosts, mark)
    other = "A" * 43
    body, until, signature = good.split(".")
    changed = b64(json.dumps({**json.loads(base64.urlsafe_b64decode(body + "==")), "u": "bob"}).encode())
    for what, (value, cookie, host) in {
        "another browser": (good, other, ALICE),
        "no browser": (good, "", ALICE),
        "another host": (good, state, BOB),
        "made for another host": (ticket(hosts, mark, host=BOB), state, ALICE),
        "old": (ticket(hosts, mark, until=-1), state, ALICE),
        "for nobody": (ticket(hosts, ""), state, ALICE),
        "later": (f"{body}.{int(until) + 99}.{signature}", state, ALICE),
        "changed": (f"{changed}.{until}.{signature}", state, ALICE),
        "a pass": (hosts.pass_for("alice"), state, ALICE),
        "nothing": ("", state, ALICE),
        "half": (body, state, ALICE),
    }.items():
        answer = take(hosts, value, cookie, host)
        assert status(answer) == 403, what
        assert not header(answer, "Set-Cookie")
    for following in (
        "https://evil.org/",
        "//evil.org",
        "/jupyterhub/user/a%0d%0aX:1",
        "/jupyterhub/user/%C3%BC",
        "",
    ):
        assert status(take(hosts, good, state, following=following)) == 403
    # By itself it is no pass.
    assert (
        status(get(hosts, ALICE, SERVER, f"Cookie: __Host-xnathub-gate={good}; __Host-xnathub-state={state}"))
        == 403
    )
    assert not hosts.servers["alice"].requests
    assert not hosts.hub.requests


def test_a_route_that_names_no_host_opens_to_nobody(tmp_path):
    settings = {"own_host": True, "secure": True, "hosts": {"scheme": "https:", "hub": HUB, "port": 8443}}
    with Proxy(tmp_path, options={"settings": settings}) as proxy:
        cookie = f"Cookie: __Host-xnathub-gate={proxy.pass_for('alice')}"
        for host in (HUB, ALICE, "", "x"):
            assert status(get(proxy, host, SERVER, cookie, *NAVIGATE)) == 403
        assert not proxy.servers["alice"].requests
