"""What a user's server answers in a broken way: nobody waits for the rest, and nobody else's answer is touched."""

import socket

import pytest

from tests.gate.test_access import SERVER, status, upgrade
from tests.gate.test_framing import NEXT

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
BREAKS_OFF = {
    "a body that is too short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    "a chunk without a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n",
    "a trailer that is a length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n2\r\nab\r\n0\r\nContent-Length: 3\r\n\r\n",
}
MORE = {
    "more than its body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "two answers": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a body where none may be": b"HTTP/1.1 204 No\r\nContent-Length: 40\r\n\r\n",
    "a body of what has not changed": b"HTTP/1.1 304 No\r\nContent-Length: 40\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 60\r\n\r\nhello",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "a protocol nobody asked for": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
}


def visit(proxy, method: str = "GET") -> bytes:
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    return f"{method} {SERVER} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n".encode()


def ended(proxy, request: bytes) -> bytes:
    """Return what comes back, once the proxy has closed the connection by itself."""
    got = b""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as connection:
        connection.sendall(request)
        try:
            while data := connection.recv(65536):
                got += data
        except ConnectionResetError:
            pass
    assert "ERR_" not in proxy.log.read_text()
    return got


@pytest.mark.parametrize("name", BREAKS_OFF)
def test_an_answer_that_breaks_off_ends_the_connection(proxy, name):
    proxy.servers["alice"].exact = BREAKS_OFF[name]
    assert b"answer of the hub" not in ended(proxy, visit(proxy) + NEXT)


@pytest.mark.parametrize("name", BREAKS_OFF)
def test_so_does_one_to_a_websocket_s_request(proxy, name):
    proxy.servers["alice"].exact = BREAKS_OFF[name]
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    assert ended(proxy, upgrade(SERVER, cookie)).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", MORE)
def test_what_follows_an_answer_is_nobody_s_answer(proxy, name, method):
    proxy.servers["alice"].exact = MORE[name] + EVIL
    got = proxy.send(visit(proxy, method) + NEXT, wait=0.3, answers=0)
    assert b"EVIL" not in got
    for _ in range(3):
        assert proxy.send(NEXT, wait=0.2).endswith(b"answer of the hub to /jupyterhub/hub/api/next")


def test_a_trailer_that_is_only_announced(proxy):
    proxy.servers["alice"].exact = b"HTTP/1.1 200 OK\r\nTrailer: a\r\nContent-Length: 5\r\n\r\nhello"
    answer = proxy.get(SERVER, f"Cookie: xnathub-gate={proxy.pass_for('alice')}")
    assert status(answer) == 200
    assert answer.endswith(b"hello")
