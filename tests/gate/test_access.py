"""Who may pass the gate: its answers to a browser's and a program's requests."""

import http.client
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.gate.servers import Proxy, b64
from tests.gate.test_framing import with_chunks
from tests.support import ROOT, wait_until

NAVIGATE = ("Sec-Fetch-Mode: navigate", "Accept: text/html")
SERVER = "/jupyterhub/user/alice/lab"
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def header(answer: bytes, name: str) -> list[str]:
    lines = answer.split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")[1:]
    return [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith(f"{name.lower()}:")]


def test_the_owner_passes(proxy):
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    assert proxy.get(SERVER, cookie).endswith(b"answer of alice to /jupyterhub/user/alice/lab")
    assert b"hello from alice" in proxy.send(upgrade(SERVER, cookie))


ODD_NAMES = ["__proto__", "constructor", "hasOwnProperty", "toString", "__defineGetter__", "prefix", "add"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_people_may_be_called_as_parts_of_javascript_are(proxy, name):
    """`add` is called so in the proxy itself, behind another whose name is `__proto__`."""
    routes = [f"/routes/jupyterhub/user/{each}" for each in (f"{name}/one", f"{name}/two", "__proto__/one")]
    cookie = f"Cookie: xnathub-gate={proxy.pass_for(name, e='1')}"
    nobody = f"/jupyterhub/user/{name}/lab"
    assert proxy.get(nobody).endswith(f"answer of the hub to {nobody}".encode())
    for route in routes:
        _, user, server = route.rsplit("/", 2)
        place = {"target": f"http://127.0.0.1:{proxy.servers['alice'].port}"}
        assert (
            proxy.api("POST", route, {**place, "user": user, "server_name": server, "gate": "1"}).status_code
            == 201
        )
    for route in routes[:2]:
        path = route.removeprefix("/routes")
        assert proxy.get(path, cookie).endswith(f"answer of alice to {path}".encode())
        assert status(proxy.get(path)) == 403
    assert set(proxy.api("GET", "/routes").json()) >= {each.removeprefix("/routes") for each in routes}
    for route in routes:
        proxy.api("DELETE", route)
    assert proxy.get(nobody).endswith(f"answer of the hub to {nobody}".encode())


def upgrade(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *WEBSOCKET, *headers, "", ""]).encode()


def test_a_page_goes_to_the_hub_first_and_leaves_its_token_behind(proxy):
    answer = proxy.get(f"{SERVER}?a=1&token=secret&b=%2F", *NAVIGATE)
    assert status(answer) == 302
    assert header(answer, "Location") == [
        "/jupyterhub/hub/gate?next=%2Fjupyterhub%2Fuser%2Falice%2Flab%3Fa%3D1%26b%3D%252F"
    ]
    assert header(answer, "Cache-Control") == ["no-store"]
    assert b"secret" not in answer
    assert not proxy.servers["alice"].raw


def test_the_token_of_an_address_goes_to_a_hub_on_its_own_host_with_who_led_there(tmp_path):
    settings = {"own_host": True, "secure": True, "xnat_url": "https://XNAT.example.org:443/xnat"}
    led_by = {
        "https://xnat.example.org/": "xnat:",
        "https://xnat.example.org/data/projects/P1?a=b": "xnat:",
        "": "",
        "null": "",
        "http://xnat.example.org/": "",
        "https://xnat.example.org:8443/": "",
        "https://xnat.example.org.evil.example/": "",
        "https://xnat.example.org@evil.example/": "",
        "https://evil.example/?https://xnat.example.org/": "",
        "https://jupyter.example.org/jupyterhub/user/bob/lab": "",
    }
    with Proxy(tmp_path, options={"settings": settings}) as proxy:
        for referer, mark in led_by.items():
            answer = proxy.get(f"{SERVER}?token=secret", *NAVIGATE, f"Referer: {referer}")
            assert header(answer, "Set-Cookie") == [
                f"__Host-xnathub-token={mark}secret; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure"
            ], referer
            assert b"secret" not in header(answer, "Location")[0].encode()
        # Two of them, or a token that says so itself, count for none.
        answer = proxy.get(
            f"{SERVER}?token=secret",
            *NAVIGATE,
            "Referer: https://evil.example/",
            "Referer: https://xnat.example.org/",
        )
        assert b"xnathub-token=secret" in answer
        for token in ("xnat:secret", "xnat%3Asecret"):
            assert not header(proxy.get(f"{SERVER}?token={token}", *NAVIGATE), "Set-Cookie")


def test_with_tls_a_pass_counts_only_as_a_cookie_that_no_other_host_can_set(tmp_path):
    with Proxy(tmp_path, options={"settings": {"secure": True}}) as proxy:
        its_pass = proxy.pass_for("alice")
        names = ["xnathub-gate", "__host-xnathub-gate", "__Host-xnathub-gate ;x", "__Secure-xnathub-gate"]
        # A browser takes such a byte for part of the name, which then begins otherwise: any host may set it.
        names += [f"{byte}__Host-xnathub-gate" for byte in ("\xa0", "\x85", "\xc2\xa0", "\xef\xbb\xbf", "=")]
        for name in names:
            assert status(proxy.get(SERVER, f"Cookie: {name}={its_pass}")) == 403
            assert status(proxy.get(SERVER, f"Cookie: a=b; {name}={its_pass}")) == 403
        assert not proxy.servers["alice"].raw
        assert status(proxy.get(SERVER, f"Cookie: __Host-xnathub-gate={its_pass}")) == 200
        assert b"xnathub-gate" not in proxy.servers["alice"].raw


@pytest.mark.parametrize("byte", ["\xa0", "\x85", "\xc2\xa0", "\xad", '"'])
def test_the_hub_gets_no_cookie_whose_name_it_may_read_as_another(proxy, byte):
    """Python takes some bytes for blanks, and no browser does."""
    odd = f"{byte}__Host-xnathub-signed-in=planted"
    for cookies in (f"{odd}; a=b; c", f"a=b; c;{odd}", f"a=b; {odd}; c"):
        proxy.hub.forget()
        assert status(proxy.get("/jupyterhub/hub/home", f"Cookie: {cookies}")) == 200
        assert b"planted" not in proxy.hub.raw
        assert re.search(rb"(?im)^cookie: *a=b; *c\r$", proxy.hub.raw), proxy.hub.raw
    proxy.hub.forget()
    proxy.get("/jupyterhub/hub/home", f"Cookie: {odd}")
    assert b"ookie" not in proxy.hub.raw
    proxy.get("/jupyterhub/hub/home", 'Cookie: a="b c"; d=\xa0e; f')
    assert b'a="b c"; d=\xa0e; f' in proxy.hub.raw


def test_the_owner_s_own_token_goes_out_of_the_address(proxy):
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    answer = proxy.get(f"{SERVER}?x=1&%74oken=secret", cookie, *NAVIGATE)
    assert (status(answer), header(answer, "Location")) == (302, [f"{SERVER}?x=1"])
    assert not proxy.servers["alice"].raw


@pytest.mark.parametrize(
    "changes",
    [
        {"e": "0" * 16},
        {"e": None},
        {"u": "bob"},
        {"x": 1},
        {"o": []},
        {"o": ["20260728T120000123Z"]},
        {"f": {"alice/": 1}, "u": "bob"},
        {"f": {"alice": 9e12}, "u": "bob"},
        {"f": {"alice/20260728T120000123Z": 9e12}, "u": "bob"},
        {"f": {"carol/": 9e12}, "u": "bob"},
    ],
    ids=str,
)
def test_a_pass_that_does_not_open_this_server(proxy, changes):
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice', **changes)}"
    assert status(proxy.get(SERVER, cookie)) == 403
    assert status(proxy.get(SERVER, cookie, *NAVIGATE)) == 302
    assert not proxy.servers["alice"].raw


def test_a_pass_for_some_servers_opens_those(proxy):
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice', o=['20260728T120000123Z', ''])}"
    assert status(proxy.get(SERVER, cookie)) == 200


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c[:-1] + ("A" if c[-1] != "A" else "B") + "",
        lambda c: c.split(".")[0],
        lambda c: f"{c}.x",
        lambda c: "x" + c,
        lambda c: "",
    ],
)
def test_a_pass_that_the_hub_did_not_sign(proxy, spoil):
    value = spoil(proxy.pass_for("alice"))
    if value.endswith(("A", "B")) and value[:-1] == proxy.pass_for("alice")[:-1]:
        value = value[:-3] + "AAA"
    assert status(proxy.get(SERVER, f"Cookie: xnathub-gate={value}")) == 403


def test_a_grant_opens_another_s_server_and_is_looked_at_every_ten_seconds(proxy):
    fresh = proxy.pass_for("bob", f={"alice/": int(time.time()) + 60})
    assert status(proxy.get(SERVER, f"Cookie: xnathub-gate={fresh}")) == 200
    assert not proxy.hub.renewals
    old = proxy.pass_for("bob", f={"alice/": int(time.time()) + 60}, t=int(time.time()) - 12)
    proxy.hub.say = (403, "")
    assert status(proxy.get(SERVER, f"Cookie: xnathub-gate={old}")) == 403
    assert [each["cookie"] for each in proxy.hub.renewals] == [old]


@pytest.mark.parametrize("scheme", ["token", "Bearer", "bearer"])
def test_programs_pass_with_a_token_and_get_no_cookies(proxy, scheme):
    proxy.servers["alice"].answers[SERVER.encode()] = ["Set-Cookie: _xsrf=1; Path=/"]
    answer = proxy.get(SERVER, f"Authorization: {scheme} abc")
    assert status(answer) == 200
    assert not header(answer, "Set-Cookie")
    assert f"authorization: {scheme} abc".encode().lower() in proxy.servers["alice"].raw.lower()


@pytest.mark.parametrize(
    "headers",
    [
        ("Authorization: Basic YWxpY2U6YWxpY2U=",),
        ("Authorization: token abc", "Cookie: x=y"),
        ("Authorization: token abc", "Cookie:"),
        ("Authorization: token abc", "Sec-Fetch-Mode: navigate"),
        ("Authorization: token abc", "Sec-Fetch-Site: same-origin"),
        ("Authorization: Negotiate abc",),
        ("Authorization: token",),
    ],
)
def test_what_only_looks_like_a_program(proxy, headers):
    assert status(proxy.get(SERVER, *headers)) in {302, 403}
    assert not proxy.servers["alice"].raw


def test_a_password_that_a_browser_sends_by_itself_reaches_no_server(proxy):
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    assert status(proxy.get(SERVER, cookie, "Authorization: Basic YWxpY2U6YWxpY2U=")) == 200
    assert b"YWxpY2U" not in proxy.servers["alice"].raw


def test_a_person_gets_a_page_and_a_program_a_line(tmp_path):
    with Proxy(tmp_path, options={"configured": False}) as proxy:
        line = "The hub has not yet told its proxy whose browser may pass. Try again in a moment."
        for kind, headers in {"html": NAVIGATE, "plain": ("Sec-Fetch-Mode: cors",)}.items():
            answer = proxy.get(SERVER, *headers)
            assert status(answer) == 503
            assert header(answer, "Content-Type") == [f"text/{kind}; charset=utf-8"]
            assert header(answer, "Content-Security-Policy") == ["frame-ancestors 'none'"]
            body = answer.partition(b"\r\n\r\n")[2].decode()
            assert body == f"{line}\n" if kind == "plain" else f"<p>{line}</p>" in body
        # What comes from the request is text there too.
        answer = proxy.get("//<script>", *NAVIGATE, "Accept: text/html")
        assert b"<script>" not in answer


def test_until_the_hub_has_set_it_up_nothing_passes_but_to_the_hub(tmp_path):
    with Proxy(tmp_path, options={"configured": False}) as proxy:
        assert proxy.api("GET", "/gate").json() == {"version": 1, "configured": False}
        cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
        assert status(proxy.get(SERVER, cookie)) == 503
        assert status(proxy.get(SERVER, "Authorization: token abc")) == 503
        assert status(proxy.get("/jupyterhub/hub/home")) == 200
        assert not proxy.servers["alice"].raw
        for wrong in ({}, {"key": "AAAA"}, {"base_url": "x"}, {"recheck": 0}):
            assert proxy.api("POST", "/gate", wrong).status_code == 400
        proxy.configure()
        assert proxy.api("GET", "/gate").json() == {"version": 1, "configured": True}
        assert status(proxy.get(SERVER, cookie)) == 200


def test_the_api_wants_the_proxy_s_own_token(proxy):
    proxy_token, proxy.token = proxy.token, "wrong"
    try:
        assert proxy.api("GET", "/gate").status_code == proxy.api("POST", "/gate", {}).status_code == 403
    finally:
        proxy.token = proxy_token


def test_headers_that_only_the_proxy_may_send_do_not_come_through(proxy):
    proxy.get("/jupyterhub/hub/gate/x", "X-Xnathub-Gate: forged", "x-XNATHUB-other: forged")
    assert b"forged" not in proxy.hub.raw


@pytest.mark.parametrize(
    "name",
    [
        "..", ".", "%2e%2e", ".%2E", "../../bob/server", "x/%2e%2E/../bob/server", "..\\..\\bob\\server", "x\\", "x#/y", "..?a=b",
    ],
)  # fmt: skip
def test_a_path_of_the_hub_that_leads_elsewhere_is_refused(proxy, name):
    """As a server's name would make one: with XNAT's token it would start or stop another's server."""
    answer = proxy.get(f"/jupyterhub/hub/api/users/alice/servers/{name}", method="DELETE", body=b"{}")
    assert status(answer) == 400
    assert b"leads elsewhere" in answer
    assert not proxy.hub.raw


@pytest.mark.parametrize(
    "path", ["a..b/.c/c./...", "%2fx", "a?next=/../b\\c", "a%23b", "a%5Cb", "20260728T120000123Z"]
)
def test_a_path_of_the_hub_goes_on_as_it_is(proxy, path):
    assert status(proxy.get(f"/jupyterhub/hub/{path}")) == 200
    assert proxy.hub.raw.startswith(f"GET /jupyterhub/hub/{path} HTTP".encode())


class TestRenewal:
    def test_a_new_session_of_xnat_is_asked_about_once(self, proxy):
        old, new = proxy.pass_for("alice", session="one"), proxy.pass_for("alice", session="two")
        proxy.hub.say = (200, new)
        proxy.hub.delay = 0.5
        try:
            request = f"GET {SERVER} HTTP/1.1\r\nHost: x\r\nCookie: xnathub-gate={old}; JSESSIONID=two\r\n\r\n".encode()
            sockets = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(20)]
            for each in sockets:
                each.sendall(request)
            answers = [each.recv(65536) for each in sockets]
        finally:
            proxy.hub.delay = 0
        assert {status(answer) for answer in answers} == {200}
        assert proxy.hub.renewals == [{"cookie": old, "session": "two"}]
        cookie = header(answers[0], "Set-Cookie")[0]
        assert cookie.startswith(f"xnathub-gate={new}; Max-Age=")
        assert cookie.endswith("; Path=/jupyterhub/user/; HttpOnly; SameSite=Lax")

    def test_a_websocket_brings_the_new_cookie_too(self, proxy):
        new = proxy.pass_for("alice", session="b")
        proxy.hub.say = (200, new)
        answer = proxy.send(
            upgrade(SERVER, f"Cookie: xnathub-gate={proxy.pass_for('alice', session='a')}; JSESSIONID=b")
        )
        assert status(answer) == 101
        assert new in header(answer, "Set-Cookie")[0]

    def test_somebody_else_s_session(self, proxy):
        proxy.hub.say = (403, "")
        cookie = f"Cookie: JSESSIONID=bobs; xnathub-gate={proxy.pass_for('alice', session='alices')}"
        assert status(proxy.get(SERVER, cookie, *NAVIGATE)) == 302
        assert not proxy.servers["alice"].raw

    def test_a_pass_of_somebody_else_from_the_hub_opens_nothing(self, proxy):
        proxy.hub.say = (200, proxy.pass_for("bob", session="bobs"))
        cookie = f"Cookie: JSESSIONID=bobs; xnathub-gate={proxy.pass_for('alice', session='alice2')}"
        assert status(proxy.get(SERVER, cookie)) == 403
        assert not proxy.servers["alice"].raw

    def test_while_the_hub_is_away(self, proxy):
        proxy.hub.say = (500, "")
        old = proxy.pass_for("alice", session="same", t=int(time.time()) - 100)
        assert status(proxy.get(SERVER, f"Cookie: xnathub-gate={old}; JSESSIONID=same")) == 200
        assert status(proxy.get(SERVER, f"Cookie: xnathub-gate={old}; JSESSIONID=other")) == 503
        assert len(proxy.servers["alice"].requests) == 1

    def test_while_the_hub_is_slow_nobody_waits_for_it_but_its_word_counts(self, proxy):
        """XNAT hangs, say: work goes on, with a second's wait at first and none after."""
        old = proxy.pass_for("alice", session="slow", t=int(time.time()) - 100)
        cookie = f"Cookie: xnathub-gate={old}; JSESSIONID=slow"
        proxy.hub.delay, proxy.hub.say = 7, (403, "")
        try:
            began = time.monotonic()
            assert status(proxy.get(SERVER, cookie)) == 200
            assert time.monotonic() - began < 2.5
            time.sleep(1)
            began = time.monotonic()
            assert status(proxy.get(SERVER, cookie)) == 200
            assert time.monotonic() - began < 0.9
            wait_until(lambda: status(proxy.get(SERVER, cookie)) == 403, 15, "the hub's word")
            heard = len(proxy.servers["alice"].requests)
            # Asked anew, the hub is as slow as before; what it said last holds meanwhile.
            end = time.monotonic() + 6
            while time.monotonic() < end:
                assert status(proxy.get(SERVER, cookie)) == 403
                time.sleep(0.2)
            assert len(proxy.servers["alice"].requests) == heard
            proxy.hub.say = (500, "")
            time.sleep(10)
            assert status(proxy.get(SERVER, cookie)) == 403
            proxy.hub.delay, proxy.hub.say = 0, (200, proxy.pass_for("alice", session="slow"))
            wait_until(lambda: status(proxy.get(SERVER, cookie)) == 200, 15, "the hub's other word")
        finally:
            proxy.hub.delay = 0

    def test_the_proxy_proves_to_the_hub_who_asks(self, proxy):
        proxy.hub.say = (403, "")
        proxy.get(SERVER, f"Cookie: JSESSIONID=p; xnathub-gate={proxy.pass_for('alice', session='q')}")
        [request] = [each for each in proxy.hub.requests if b"/gate/renew" in each]
        head, body = request.split(b"\r\n\r\n", 1)
        assert f"X-Xnathub-Gate: {b64(proxy.sign(f'renew:{body.decode()}'))}".encode() in head
        assert json.loads(body)["session"] == "p"


class TestEnding:
    def test_a_new_epoch_ends_what_is_open(self, tmp_path):
        with Proxy(tmp_path) as proxy:
            cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
            streams = [
                open_stream(proxy, upgrade(SERVER, cookie)),
                open_stream(
                    proxy, f"GET /jupyterhub/user/alice/slow HTTP/1.1\r\nHost: x\r\n{cookie}\r\n\r\n".encode()
                ),
            ]
            program = open_stream(proxy, upgrade(SERVER, "Authorization: token t"))
            proxy.route("alice")
            assert not any(ends(stream, 1) for stream in streams)
            proxy.epochs["alice"] = "f" * 16
            start = time.monotonic()
            proxy.route("alice")
            assert all(ends(stream, 1) for stream in streams)
            assert time.monotonic() - start < 1
            assert not ends(program, 0.5)
            assert status(proxy.get(SERVER, cookie)) == 403

    def test_the_end_of_all_use_ends_programs_too_and_comes_once(self, tmp_path):
        with Proxy(tmp_path) as proxy:

            def told(ended: int) -> None:
                route = proxy.api("GET", "/routes").json()["/jupyterhub/user/alice"]
                assert proxy.api("POST", "/routes/jupyterhub/user/alice", {**route, "ended": ended}).ok

            before = open_stream(proxy, upgrade(SERVER, "Authorization: token t"))
            told(5)
            assert ends(before, 30)
            after = open_stream(proxy, upgrade(SERVER, "Authorization: token t"))
            told(5)
            # As a hub that has started anew, and knows nothing of it.
            told(0)
            assert not ends(after, 0.5)

    def test_the_end_of_xnat_s_session_ends_a_websocket(self, tmp_path):
        with Proxy(tmp_path, options={"settings": {"recheck": 2}}) as proxy:
            proxy.hub.say = (200, proxy.pass_for("alice", session="s"))
            stream = open_stream(
                proxy,
                upgrade(SERVER, f"Cookie: JSESSIONID=s; xnathub-gate={proxy.pass_for('alice', session='s')}"),
            )
            wait_until(lambda: proxy.hub.renewals, 10, "a look at the open websocket")
            assert not ends(stream, 0.5)
            proxy.hub.say = (403, "")
            assert ends(stream, 16)

    def test_a_slow_answer_about_one_websocket_holds_up_no_other(self, tmp_path):
        with Proxy(tmp_path, options={"settings": {"recheck": 2}}) as proxy:
            proxy.hub.say, proxy.hub.delay = (403, ""), 0.8
            streams = [
                open_stream(
                    proxy,
                    upgrade(
                        SERVER,
                        f"Cookie: xnathub-gate={proxy.pass_for('alice', x=int(time.time()) + 999 + i)}",
                    ),
                )
                for i in range(30)
            ]
            began = time.monotonic()
            assert all(ends(stream, 20) for stream in streams)
            assert time.monotonic() - began < 12, "one after the other takes 24 s"


def open_stream(proxy, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    connection.sendall(request)
    assert connection.recv(65536)
    return connection


def ends(connection: socket.socket, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            if not connection.recv(65536):
                return True
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True
    return False


def test_lines_of_the_log_are_json_beside_the_gate(tmp_path):
    script = str(ROOT / "xnathub_conf/hub/json_lines.cjs")
    with Proxy(tmp_path, options={"node": ["--require", script]}) as proxy:
        assert status(proxy.get(f"{SERVER}?token=secret")) == 403
        wait_until(lambda: "403 GET" in proxy.log.read_text(), 5, "the line")
        lines = [json.loads(line) for line in proxy.log.read_text().splitlines()]
        assert any(line["message"].startswith(f"403 GET {SERVER} ") for line in lines)
        assert "secret" not in proxy.log.read_text()


def test_what_the_proxy_says_by_itself_has_the_headers_of_all_pages(proxy):
    refused = proxy.get(SERVER, "Sec-Fetch-Mode: cors")
    away = proxy.get("/jupyterhub/user/alice/lab", *NAVIGATE)
    too_large = proxy.send(
        b"POST /jupyterhub/hub/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 94371840\r\n\r\n"
    )
    healthy = proxy.get("/_chp_healthz")
    answers = (refused, away, too_large, healthy)
    assert [status(each) for each in answers] == [403, 302, 413, 200]
    for answer in answers:
        assert header(answer, "X-Content-Type-Options") == ["nosniff"]
        assert header(answer, "Referrer-Policy") == ["same-origin"]
        assert header(answer, "Content-Security-Policy") == ["frame-ancestors 'none'"]
        assert header(answer, "Cache-Control") == ["no-store"]


def test_a_body_in_chunks_is_as_large_as_the_hub_takes(proxy):
    """A web server such as HAProxy can't tell how large it gets."""
    hub = proxy.hub
    path = "/jupyterhub/hub/login"
    taken = proxy.send(with_chunks("POST", b"a" * 1_000_000, path=path), wait=20)
    assert status(taken) == 200
    hub.forget()
    assert status(proxy.send(with_chunks("POST", b"a" * (8 << 20), path=path), wait=20)) == 413
    assert sum(map(len, hub.requests)) < 1.2 * (1 << 20)
    # What is for a user's server is that server's to bound.
    to_server = with_chunks("POST", b"a" * (3 << 20), path=SERVER)
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}\r\n\r\n".encode()
    assert status(proxy.send(to_server.replace(b"\r\n\r\n", b"\r\n" + cookie, 1), wait=20)) == 200


def test_of_sessions_that_are_made_up_nothing_is_kept(tmp_path):
    """One who may pass sends another session each time, as long as a header may be."""
    with Proxy(tmp_path, options={"node": ["--max-old-space-size=26"]}) as proxy:

        def send(first):
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
            for number in range(first, first + 130):
                cookie = f"xnathub-gate={proxy.pass_for('alice')}; JSESSIONID={number:08d}{'a' * 15_000}"
                connection.request("GET", SERVER, headers={"Cookie": cookie})
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 403

        with ThreadPoolExecutor(12) as pool:
            list(pool.map(send, range(0, 1560, 130)))
        assert proxy.process.poll() is None


def test_who_comes_from_a_network_of_servers_reaches_the_hub_s_api_alone(proxy):
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    proxy.configure(refused=["127.0.0.0/8"])
    try:
        forged = "X-Forwarded-For: 192.0.2.1"
        api = "/jupyterhub/hub/api/"
        out_of_it = (
            f"{api}../login",
            f"{api}../../user/alice/",
            f"{api}%2e%2e/%2E%2E/user/alice/",
            f"{api[:-1]}x",
        )
        for path in ("/jupyterhub/hub/login", "/jupyterhub/services/s/", SERVER, "/", "//x", *out_of_it):
            assert status(proxy.get(path, cookie, forged)) in {400, 403}, path
        for path in (SERVER, f"{api}users/alice"):
            assert status(proxy.send(upgrade(path, cookie))) == 403
        assert not (proxy.hub.raw)
        assert not (proxy.service.raw)
        assert not (proxy.servers["alice"].raw)
        for path in (
            api[:-1],
            f"{api[:-1]}?x",
            f"{api}users/m%C3%BCller/activity",
            f"{api}oauth2/token?state=1",
        ):
            assert status(proxy.get(path)) == 200
        assert len(proxy.hub.requests) == 4
        proxy.configure(refused=["10.0.0.0/8", "fd00::/8"])
        assert status(proxy.get(SERVER, cookie)) == 200
    finally:
        proxy.configure()
