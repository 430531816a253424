"""A program's large body: on to the server only where the hub knows its token."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.gate.servers import Proxy, b64
from tests.gate.test_access import header, status

SERVER = "/jupyterhub/user/alice/api/contents"
SMALL, LARGE = 2**16, 2**16 + 1


@pytest.fixture
def proxy(tmp_path):
    """One of its own: what the hub said is kept."""
    with Proxy(tmp_path) as proxy:
        yield proxy


def head(token, framing, method="POST"):
    lines = [f"{method} {SERVER} HTTP/1.1", "Host: localhost", f"Authorization: {token}", framing, "", ""]
    return "\r\n".join(lines).encode()


def chunked(length):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (length, b"x" * length)


@pytest.mark.parametrize("scheme", ["token", "Bearer", "bearer "])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize(
    ("framing", "start"),
    [
        (f"Content-Length: {LARGE}", b"x"),
        (f"Content-Length: {480 << 20}", b"x" * 1000),
        (f"Content-Length: {480 << 20}", b""),
        ("Transfer-Encoding: chunked", b"1\r\nx\r\n"),
        ("Transfer-Encoding: Chunked", b""),
    ],
)
def test_none_of_a_strangers_body_reaches_the_server(proxy, scheme, method, framing, start):
    began = time.monotonic()
    answer = proxy.send(head(f"{scheme} made-up", framing, method) + start, wait=5)
    assert status(answer) == 403
    assert header(answer, "Connection") == ["close"]
    # The proxy closes the connection itself, and does not wait for the rest.
    assert time.monotonic() - began < 5
    assert proxy.servers["alice"].raw == b""
    assert proxy.hub.asked_tokens == ["made-up"]
    assert "made-up" not in proxy.log.read_text()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_program_whose_token_the_hub_knows_uploads(proxy, framing):
    proxy.hub.tokens = {"real"}
    body, length = b"x" * (5 << 20), f"Content-Length: {5 << 20}"
    if framing == "chunked":
        body, length = chunked(5 << 20), "Transfer-Encoding: chunked"
    assert status(proxy.send(head("token real", length) + body)) == 200
    [request] = proxy.servers["alice"].requests
    assert request.split(b"\r\n\r\n", 1)[1] == b"x" * (5 << 20)


def test_small_bodies_go_on_and_nobody_is_asked(proxy):
    assert status(proxy.get(SERVER, "Authorization: token t", method="POST", body=b"x" * SMALL)) == 200
    assert status(proxy.get(SERVER, "Authorization: token t")) == 200
    assert not proxy.hub.raw


def test_the_hub_is_asked_once_in_ten_seconds_about_each_token(proxy):
    proxy.hub.tokens, proxy.hub.delay = {"real"}, 1

    def send(token):
        return status(proxy.send(head(f"token {token}", f"Content-Length: {LARGE}") + b"x" * LARGE))

    tokens = ["real", "made-up"] * 3
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(send, tokens)) == [200, 403] * 3
    assert [send(token) for token in tokens] == [200, 403] * 3
    assert sorted(proxy.hub.asked_tokens) == ["made-up", "real"]
    proxy.hub.tokens = {"made-up"}
    time.sleep(10)
    assert [send(token) for token in ("real", "made-up")] == [403, 200]


def test_the_question_is_signed_for_itself_alone(proxy):
    proxy.send(head("token é", f"Content-Length: {LARGE}").decode().encode("latin-1"))
    [request] = [each for each in proxy.hub.requests if b"/gate/token" in each]
    asked, body = request.split(b"\r\n\r\n", 1)
    assert f"X-Xnathub-Gate: {b64(proxy.sign(f'token:{body.decode()}'))}".encode() in asked
    assert json.loads(body) == {"token": "é"}
    assert b"uthorization" not in asked


@pytest.mark.parametrize("away", ["gone", "in trouble", "silent"])
def test_nothing_large_goes_on_while_the_hub_does_not_say(proxy, away):
    proxy.hub.tokens = {"real"}
    if away == "gone":
        proxy.hub.listener.shutdown(socket.SHUT_RDWR)
    elif away == "in trouble":
        proxy.hub.tokens = None
    else:
        proxy.hub.delay = 30
    answer = proxy.send(head("token real", f"Content-Length: {LARGE}") + b"x" * 1000, wait=20)
    assert status(answer) == 503
    assert header(answer, "Connection") == ["close"]
    assert proxy.servers["alice"].raw == b""
    if away == "in trouble":
        proxy.hub.tokens = {"real"}
        body = b"x" * LARGE
        assert status(proxy.send(head("token real", f"Content-Length: {LARGE}") + body)) == 200
