"""The gate behind each web server of the shipped files: no request is smuggled, no cookie and no browser gets astray."""

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.gate.restarting import take_restarting_hub
from tests.gate.servers import Proxy
from tests.gate.test_cookies import ALICE, FOREIGN, SECRET
from tests.gate.test_framing import (
    HEALTH,
    METHODS,
    NEXT,
    SMUGGLED,
    TWO_WAYS,
    assert_nothing_smuggled,
    request,
    with_chunks,
    with_length,
)
from tests.gate.test_ways import FORMS, HEADERS, OWN, PAGE, PATHS
from tests.proxies.web_servers import Echo, WebServer

HTTP_2 = pytest.mark.parametrize("kind", ["caddy", "traefik"], indirect=True)
"""The web servers that speak it with the shipped files."""
LAST = NEXT.replace(b"Host", b"Connection: close\r\nHost")


def whole(got: bytes) -> bool:
    """Return whether an answer has come to its end: a websocket's first words, or as many bytes as it says."""
    head, found, body = got.partition(b"\r\n\r\n")
    if not found:
        return False
    if head.startswith(b"HTTP/1.1 101"):
        return b"hello from" in body
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(length) and len(body) >= int(length[1])


class Behind:
    """A web server before the gate; `send` speaks to it byte by byte."""

    def __init__(self, web: WebServer, gate: Proxy) -> None:
        self.web, self.gate = web, gate
        self.context = ssl.create_default_context(cafile=web.ca)

    def send(
        self,
        *pieces: bytes,
        wait: float = 0.12,
        done: Callable[[bytes], bool] = lambda got: False,
        pause: float = 0.01,
    ) -> bytes:
        with (
            socket.create_connection(("localhost", self.web.port), timeout=10) as plain,
            self.context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            got = b""
            try:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause)
                connection.settimeout(wait)
                while not done(got) and (data := connection.recv(65536)):
                    got += data
            except OSError:
                pass
            return got

    def get(self, path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
        length = [f"Content-Length: {len(body)}"] if body else []
        # What stays open, as an upgrade does, is read until its answer is whole.
        close = [] if any(each.startswith("Connection:") for each in headers) else ["Connection: close"]
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: localhost:{self.web.port}",
            *close,
            *headers,
            *length,
            "",
            "",
        ]
        return self.send("\r\n".join(lines).encode("latin-1") + body, wait=10, done=whole)


@contextmanager
def behind_a_web_server(kind, folder, certificates, *, gate=True):
    for name in ("fullchain.pem", "privkey.pem", "site.pem"):
        (folder / name).write_bytes((certificates / name).read_bytes())
    with (
        Echo("xnat") as xnat,
        Proxy(folder, gate=gate) as proxy,
        WebServer(kind, folder, xnat.address, f"127.0.0.1:{proxy.port}") as web,
    ):
        yield Behind(web, proxy)


@pytest.fixture(scope="module")
def _behind(kind, certificates, tmp_path_factory):
    with behind_a_web_server(kind, tmp_path_factory.mktemp("gate"), certificates) as behind:
        yield behind


@pytest.fixture
def behind(_behind):
    for server in (_behind.gate.hub, *_behind.gate.servers.values()):
        server.forget()
    return _behind


def attack(behind: Behind) -> bool:
    """Send a body that is a request, then one of XNAT's; say whether the hub read the first with XNAT's token."""
    behind.gate.hub.forget()
    whole = with_chunks("DELETE")
    # In two pieces: nginx gives a body that it has as a whole a length.
    behind.send(whole[:-5], whole[-5:], pause=0.001)
    behind.send(LAST, wait=10, done=lambda got: b"answer of the hub" in got)
    return any(
        each.startswith(b"GET /jupyterhub/hub/api/users/smuggled") and b"of-xnat" in each
        for each in behind.gate.hub.requests
    )


def test_which_web_servers_let_a_body_that_is_a_request_through(kind, certificates, tmp_path):
    """What the next tests would find without the gate. Traefik's file has bodies to the hub read, and given a length."""
    with behind_a_web_server(kind, tmp_path, certificates, gate=False) as behind:
        if kind == "traefik":
            assert not any(attack(behind) for _ in range(8))
        else:
            assert any(attack(behind) for _ in range(100))


def test_with_the_gate_a_body_that_is_a_request_is_a_body(behind):
    assert not any(attack(behind) for _ in range(8))
    assert_nothing_smuggled(behind.gate.hub)
    assert sum(b"of-xnat" in each for each in behind.gate.hub.requests) == 1


@pytest.mark.parametrize("form", [with_chunks, with_length])
def test_bodies_of_every_method_stay_bodies(behind, form):
    hub = behind.gate.hub
    for method in METHODS:
        for _ in range(2):
            behind.send(form(method))
            assert b"answer of the hub to /jupyterhub/hub/api/next" in behind.send(LAST, wait=10)
    assert_nothing_smuggled(hub)
    assert sum(b"of-xnat" in each for each in hub.requests) == 2 * len(METHODS)


def test_bodies_in_one_connection_and_in_packets(behind):
    for method in ("DELETE", "OPTIONS", "POST", "GET"):
        whole = with_chunks(method) + NEXT + with_length(method) + NEXT
        behind.send(whole)
        behind.send(*[whole[i : i + 37] for i in range(0, len(whole), 37)])
    assert_nothing_smuggled(behind.gate.hub)


def test_lengths_that_can_be_read_in_two_ways(behind):
    for name, headers in TWO_WAYS.items():
        for method in ("DELETE", "POST"):
            behind.send(request(method, headers, b"5\r\nhello\r\n0\r\n\r\n" + NEXT))
            answer = behind.send(LAST, wait=10)
            assert b"answer of the hub to /jupyterhub/hub/api/next" in answer, name
    assert_nothing_smuggled(behind.gate.hub)


@pytest.mark.parametrize("websocket", [False, True])
def test_foreign_cookies_do_not_arrive(behind, websocket):
    gate = behind.gate
    gate.hub.say = (200, gate.pass_for("alice"))
    arrived = 0
    upgrade = HEADERS["websocket"] if websocket else ()
    for foreign in FOREIGN.values():
        own = f"xnathub-gate={gate.pass_for('alice')}; {ALICE}mine=1"
        for lines in ([f"Cookie: {own}; {foreign}"], [f"Cookie: {foreign}", f"Cookie: {own}"]):
            gate.servers["alice"].forget()
            behind.get(f"{OWN}x", *upgrade, *lines)
            raw = gate.servers["alice"].raw
            arrived += b"mine=1" in raw
            assert SECRET.encode() not in raw, lines
            assert b"xnathub-gate" not in raw
    assert arrived >= len(FOREIGN)


def over_http_2(behind, path: str, *arguments: str | bytes) -> bytes:
    """Ask as a browser does that speaks HTTP/2, and return the answer."""
    command = ["curl", "--http2", "--silent", "--max-time", "20", "--cacert", behind.web.ca, *arguments]
    done = subprocess.run(
        [*command, "--write-out", "\nHTTP/%{http_version}", behind.web.url + path], capture_output=True
    )
    answer, _, version = done.stdout.rpartition(b"\n")
    assert version == b"HTTP/2", done
    return answer


@HTTP_2
def test_foreign_cookies_do_not_arrive_over_http_2(behind):
    gate = behind.gate
    gate.hub.say = (200, gate.pass_for("alice"))
    arrived = 0
    for foreign in FOREIGN.values():
        fields = [f"xnathub-gate={gate.pass_for('alice')}", f"{ALICE}mine=1", *foreign.split("; ")]
        gate.servers["alice"].forget()
        over_http_2(
            behind, f"{OWN}x", *(a for each in fields for a in ("-H", f"Cookie: {each}".encode("latin-1")))
        )
        raw = gate.servers["alice"].raw
        arrived += b"mine=1" in raw
        assert SECRET.encode() not in raw, foreign
        assert b"xnathub-gate" not in raw
    assert arrived >= len(FOREIGN) / 2


@HTTP_2
def test_bodies_without_a_length_stay_bodies_over_http_2(behind):
    """HTTP/2 needs no length, so each web server chooses what it tells the hub."""
    hub = behind.gate.hub
    for method in METHODS:
        body = ["--data-binary", SMUGGLED, "-H", "Content-Length:"]
        for _ in range(2):
            over_http_2(behind, HEALTH, "--request", method, *body)
            assert b"answer of the hub" in over_http_2(
                behind, "/jupyterhub/hub/api/next", "-H", "Authorization: token of-xnat"
            )
    assert_nothing_smuggled(hub)
    assert sum(b"of-xnat" in each for each in hub.requests) == 2 * len(METHODS)


def test_requests_to_a_hub_that_restarts_wait(kind, certificates, tmp_path):
    with behind_a_web_server(kind, tmp_path, certificates) as behind, ThreadPoolExecutor(4) as pool:
        hub = take_restarting_hub(behind.gate)
        page = "/jupyterhub/hub/home"
        assert b"200 OK" in behind.get(page)
        hub.forget()
        hub.go()
        ways = [("GET", b""), ("POST", b"a=b"), ("PUT", b"x" * 500_000), ("DELETE", b"")]
        answers = [pool.submit(behind.get, page, method=way, body=body) for way, body in ways]
        time.sleep(1.5)
        assert not any(each.done() for each in answers), [each.result() for each in answers if each.done()]
        hub.come_back()
        for each in answers:
            assert each.result(40).startswith(b"HTTP/1.1 200"), each.result()
        assert sorted(each.split(b" ")[0] for each in hub.requests) == [b"DELETE", b"GET", b"POST", b"PUT"]
        assert any(each.endswith(ways[2][1]) for each in hub.requests)


def test_no_way_leads_to_another_s_server(behind):
    gate = behind.gate
    gate.hub.say = (403, "")
    bob = f"Cookie: JSESSIONID=bobs; xnathub-gate={gate.pass_for('bob', session='bobs')}"
    requests = [("GET", path, PAGE) for path in PATHS.values()]
    requests += [("GET", f"{OWN}x", headers) for headers in HEADERS.values()]
    requests += [(method, f"{OWN}x", tuple(headers)) for method, *headers in FORMS.values()]
    assert len(requests) >= 60
    for method, path, headers in requests:
        answer = behind.get(path, *headers, bob, method=method, body=b"a=b" if method != "GET" else b"")
        assert b"of alice" not in answer, (method, path, headers)
    assert not gate.servers["alice"].raw


def test_no_token_of_an_address_is_logged(behind):
    behind.get(f"{OWN}lab?token=of-alice-5ecret", *PAGE, "Referer: https://localhost/x?token=of-alice-5ecret")
    behind.get("/jupyterhub/hub/home?token=of-alice-5ecret")
    time.sleep(0.5)
    logs = [path for path in behind.web.folder.iterdir() if "log" in path.name]
    text = "".join(path.read_text(errors="replace") for path in logs)
    assert "of-alice-5ecret" not in text
    if behind.web.kind in {"nginx", "haproxy"}:
        assert f"{OWN}lab" in text, "the web server logs nothing"
