"""Where a request ends: no byte of a body becomes a request, whatever the method, the length's spelling and the packets."""

import re
import socket
import time

import pytest

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "REPORT"]
HEALTH = "/jupyterhub/hub/health"
SMUGGLED = b"GET /jupyterhub/hub/api/users/smuggled HTTP/1.1\r\nX-Unfinished: "
NEXT = b"GET /jupyterhub/hub/api/next HTTP/1.1\r\nHost: localhost\r\nAuthorization: token of-xnat\r\n\r\n"


def request(method: str, headers: list[str], body: bytes = b"", path: str = HEALTH) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(body: bytes, size: int = 10_000) -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


def with_chunks(method: str, body: bytes = SMUGGLED, **kwargs) -> bytes:
    return request(method, ["Transfer-Encoding: chunked"], chunked(body), **kwargs)


def with_length(method: str, body: bytes = SMUGGLED, **kwargs) -> bytes:
    return request(method, [f"Content-Length: {len(body)}"], body, **kwargs)


def lines_of(server) -> list[str]:
    return [each.split(b"\r\n")[0].decode("latin-1") for each in server.requests]


def assert_nothing_smuggled(server) -> None:
    """Make sure that every request that a server read was one that somebody sent, with its own rights."""
    for each in server.requests:
        assert not each.startswith(b"GET /jupyterhub/hub/api/users/smuggled"), each
        head = each.split(b"\r\n\r\n")[0]
        assert re.match(rb"[A-Z]+ /[\x21-\x7e]* HTTP/1\.1\r\n", head), each
        if b"of-xnat" in head:
            assert head.startswith(b"GET /jupyterhub/hub/api/next "), each


def test_the_attack_works_on_the_proxy_as_it_comes(plain_proxy):
    """What the tests below would find without the gate: XNAT's token on a request of somebody else."""
    hub = plain_proxy.hub
    taken = 0
    for _ in range(8):
        hub.forget()
        plain_proxy.send(with_chunks("DELETE"), wait=0.2)
        plain_proxy.send(NEXT, wait=0.3)
        taken += any(each.startswith(b"GET /jupyterhub/hub/api/users/smuggled") for each in hub.requests)
    assert taken == 8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", [with_chunks, with_length])
class TestEveryMethod:
    def test_its_body_stays_a_body(self, proxy, method, form):
        for _ in range(3):
            proxy.send(form(method), wait=0.15)
            proxy.send(NEXT, wait=0.15)
        assert_nothing_smuggled(proxy.hub)
        bodies = [each.split(b"\r\n\r\n", 1)[1] for each in proxy.hub.requests if b"/hub/health" in each]
        assert bodies == [SMUGGLED] * 3
        assert sum(b"of-xnat" in each for each in proxy.hub.requests) == 3

    def test_in_one_connection_one_after_the_other(self, proxy, method, form):
        answers = proxy.send(form(method) + NEXT + form(method) + NEXT, wait=0.5, answers=4)
        assert answers.count(b"HTTP/1.1 200") == 4
        assert_nothing_smuggled(proxy.hub)
        assert len(proxy.hub.requests) == 4

    def test_split_over_packets(self, proxy, method, form):
        whole = form(method) + NEXT
        step = 23
        pieces = [whole[i : i + step] for i in range(0, len(whole), step)]
        assert proxy.send(*pieces, wait=0.5, pause=0.004, answers=2).count(b"HTTP/1.1 200") == 2
        assert_nothing_smuggled(proxy.hub)

    def test_to_a_user_s_server(self, proxy, method, form):
        path = "/jupyterhub/user/alice/x"
        cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}\r\n"
        whole = form(method, path=path).replace(b"\r\n", f"\r\n{cookie}".encode(), 1)
        proxy.send(whole, wait=0.15)
        proxy.send(whole, wait=0.15)
        assert lines_of(proxy.servers["alice"]) == [f"{method} {path} HTTP/1.1"] * 2

    def test_a_body_of_a_refused_request_is_no_request(self, proxy, method, form):
        answers = proxy.send(form(method, path="/jupyterhub/user/alice/x") + NEXT, wait=0.3)
        assert answers.startswith(b"HTTP/1.1 403 ")
        assert not proxy.servers["alice"].raw
        assert_nothing_smuggled(proxy.hub)


BODY = b"5\r\nhello\r\n0\r\n\r\n"
TWO_WAYS = {
    "length and chunks": ["Content-Length: 15", "Transfer-Encoding: chunked"],
    "chunks and length": ["Transfer-Encoding: chunked", "Content-Length: 15"],
    "two lengths": ["Content-Length: 15", "Content-Length: 5"],
    "the same length twice": ["Content-Length: 15", "Content-Length: 15"],
    "a list of lengths": ["Content-Length: 15, 15"],
    "a length with a sign": ["Content-Length: +15"],
    "a length below nothing": ["Content-Length: -1"],
    "a length in hex": ["Content-Length: 0xf"],
    "a length with a space in it": ["Content-Length: 1 5"],
    "an empty length": ["Content-Length:"],
    "chunked twice": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "chunked, chunked": ["Transfer-Encoding: chunked, chunked"],
    "identity": ["Transfer-Encoding: identity"],
    "identity and a length": ["Transfer-Encoding: identity", "Content-Length: 15"],
    "gzip, chunked": ["Transfer-Encoding: gzip, chunked"],
    "chunked, identity": ["Transfer-Encoding: chunked, identity"],
    "xchunked": ["Transfer-Encoding: xchunked"],
    "chunked with a parameter": ["Transfer-Encoding: chunked;q=1"],
    "chunked in quotes": ['Transfer-Encoding: "chunked"'],
    "chunked after a tab and a letter": ["Transfer-Encoding: \tx chunked"],
    "an empty coding": ["Transfer-Encoding:"],
    "a space before the colon": ["Transfer-Encoding : chunked"],
    "a space before the colon of a length": ["Content-Length : 15"],
    "a line folded": ["Transfer-Encoding:", " chunked"],
    "a length folded": [
        "X-Other: a",
        " Content-Length: 15",
        "Transfer-Encoding: chunked",
        "Content-Length: 3",
    ],
    "a vertical tab": ["Transfer-Encoding: \x0bchunked"],
    "a bare line feed": ["X-Other: a\nTransfer-Encoding: chunked", "Content-Length: 15"],
    "a bare carriage return": ["X-Other: a\rTransfer-Encoding: chunked", "Content-Length: 15"],
}


@pytest.mark.parametrize("name", TWO_WAYS)
@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_a_length_that_can_be_read_in_two_ways(proxy, name, method):
    answers = proxy.send(request(method, TWO_WAYS[name], BODY) + NEXT, wait=0.4)
    assert answers.startswith(b"HTTP/1.1 400 "), answers
    assert answers.count(b"HTTP/1.1 ") == 1, "something was read after it"
    assert not proxy.hub.raw


@pytest.mark.parametrize("coding", ["Chunked", "CHUNKED", "  chunked  "])
def test_chunked_in_odd_case_is_chunked(proxy, coding):
    proxy.send(request("DELETE", [f"Transfer-Encoding: {coding}"], chunked(SMUGGLED)), wait=0.2)
    assert b"transfer-encoding: chunked\r\n" in proxy.hub.requests[0].lower()
    assert_nothing_smuggled(proxy.hub)


@pytest.mark.parametrize(
    "connection",
    [
        "transfer-encoding",
        "content-length",
        "close, transfer-encoding",
        "Transfer-Encoding, keep-alive",
        "host, cookie",
    ],
)
@pytest.mark.parametrize("form", [with_chunks, with_length])
def test_a_connection_header_takes_nothing_away(proxy, connection, form):
    whole = form("DELETE").replace(b"\r\n", f"\r\nConnection: {connection}\r\nCookie: a=b\r\n".encode(), 1)
    proxy.send(whole, wait=0.2)
    proxy.send(NEXT, wait=0.2)
    [first, _] = proxy.hub.requests
    assert first.endswith(SMUGGLED)
    assert b"a=b" in first
    assert b"localhost" in first
    assert_nothing_smuggled(proxy.hub)


BAD_CHUNKS = {
    "a size that is no number": b"zz\r\nhello\r\n0\r\n\r\n",
    "a size below nothing": b"-5\r\nhello\r\n0\r\n\r\n",
    "a size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "more than its size": b"5\r\nhello world\r\n0\r\n\r\n",
    "a line feed alone": b"5\nhello\n0\n\n",
    "a length as trailer": b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
    "a request as trailer": b"0\r\n" + SMUGGLED + b"\r\n\r\n",
    "a line feed in an extension": b"2;a\nxx\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
    "a space behind the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "an underscore in the size": b"0_5\r\nhello\r\n0\r\n\r\n",
    "no line's end behind a chunk": b"5\r\nhello0\r\n\r\n",
    "two other bytes behind a chunk": b"5\r\nhelloXX0\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_bad_chunks_end_the_connection(proxy, name):
    body = BAD_CHUNKS[name]
    answers = proxy.send(request("DELETE", ["Transfer-Encoding: chunked"], body) + NEXT, wait=0.4)
    assert b"next" not in answers
    assert not any(b"of-xnat" in each for each in proxy.hub.requests)
    for _ in range(3):
        assert b"answer of the hub to /jupyterhub/hub/api/next" in proxy.send(NEXT, wait=0.3)
    assert_nothing_smuggled(proxy.hub)


H2C = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"]
OTHER_PROTOCOLS = {
    "HTTP/2 from the start": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 by an upgrade": request("GET", H2C, SMUGGLED),
    "HTTP/2 by an upgrade with a body": request(
        "DELETE", [*H2C, "Transfer-Encoding: chunked"], chunked(SMUGGLED)
    ),
    "HTTP/1.2": with_length("POST").replace(b"HTTP/1.1", b"HTTP/1.2", 1),
    "HTTP/0.9": f"GET {HEALTH}\r\n".encode(),
    "a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n" + SMUGGLED,
    "a NUL in a name": request("POST", ["Transfer\0-Encoding: chunked"], chunked(SMUGGLED)),
}


@pytest.mark.parametrize("name", OTHER_PROTOCOLS)
def test_what_is_not_http_1_1_ends_the_connection(proxy, name):
    assert b"next" not in proxy.send(OTHER_PROTOCOLS[name] + NEXT, wait=0.4, silent=True)
    assert b"answer of the hub to /jupyterhub/hub/api/next" in proxy.send(NEXT, wait=0.3)
    assert_nothing_smuggled(proxy.hub)
    assert len(proxy.hub.requests) == 1


def test_chunks_with_extensions_and_a_trailer(proxy):
    body = b"5;a=b\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n"
    trailed = request("DELETE", ["Transfer-Encoding: chunked", "Trailer: X-Trailer"], body)
    proxy.send(trailed + NEXT, wait=0.4, answers=2)
    # In either order: each goes over a connection of its own.
    assert {each.split(b"\r\n\r\n", 1)[1] for each in proxy.hub.requests} == {b"hello", b""}
    assert_nothing_smuggled(proxy.hub)


@pytest.mark.parametrize("method", ["DELETE", "POST", "OPTIONS"])
@pytest.mark.parametrize("chunks", [True, False])
def test_a_body_that_breaks_off_poisons_no_connection(proxy, method, chunks):
    for _ in range(4):
        if chunks:
            proxy.send(
                request(method, ["Transfer-Encoding: chunked"], b"ff\r\n" + SMUGGLED), wait=0.1, silent=True
            )
        else:
            proxy.send(request(method, ["Content-Length: 1000"], SMUGGLED), wait=0.1, silent=True)
        assert b"answer of the hub to /jupyterhub/hub/api/next" in proxy.send(NEXT, wait=0.3)
    assert_nothing_smuggled(proxy.hub)


UPGRADE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"]


@pytest.mark.parametrize("path", [HEALTH, "/jupyterhub/user/alice/x"])
@pytest.mark.parametrize("length", ["Content-Length: 200", "Transfer-Encoding: chunked"])
def test_a_websocket_with_a_body_is_refused(proxy, path, length):
    headers = [*UPGRADE, f"Cookie: xnathub-gate={proxy.pass_for('alice')}", length]
    answers = proxy.send(request("GET", headers, NEXT, path=path), wait=0.4)
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert not proxy.hub.raw + proxy.servers["alice"].raw


def test_what_follows_a_websocket_s_request_reaches_nobody_else(proxy):
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    answers = proxy.send(request("GET", [*UPGRADE, cookie], NEXT, path="/jupyterhub/user/alice/x"), wait=0.3)
    assert answers.startswith(b"HTTP/1.1 101 ")
    assert not proxy.hub.raw
    # The hub answers no upgrade; what follows is not read as a request.
    for _ in range(3):
        proxy.send(request("POST", UPGRADE) + NEXT, wait=0.2)
    assert not proxy.hub.raw


def test_expect_continue(proxy):
    head = request("DELETE", ["Expect: 100-continue", f"Content-Length: {len(SMUGGLED)}"])
    answers = proxy.send(head, SMUGGLED + NEXT, wait=0.4, answers=3)
    assert answers.startswith(b"HTTP/1.1 100 Continue")
    assert answers.count(b"HTTP/1.1 200") == 2
    assert b"expect" not in proxy.hub.raw.lower()
    assert_nothing_smuggled(proxy.hub)


def test_http_1_0(proxy):
    for method in ("POST", "DELETE"):
        old = request(method, ["Transfer-Encoding: chunked"], chunked(SMUGGLED)).replace(
            b"HTTP/1.1", b"HTTP/1.0", 1
        )
        assert proxy.send(old + NEXT, wait=0.3).startswith(b"HTTP/1.1 400 ")
    assert not proxy.hub.raw


def test_a_large_body_arrives_whole(proxy):
    body = bytes(range(256)) * 4_000
    start = time.monotonic()
    proxy.send(with_chunks("DELETE", body), wait=2)
    assert proxy.hub.requests[0].endswith(body)
    assert time.monotonic() - start < 10


def test_a_body_in_many_small_pieces_ends_where_it_is_the_hubs(proxy):
    """Each piece takes the proxy some 600 bytes of memory, so that a megabyte of single bytes took 300."""
    chunked = ["Transfer-Encoding: chunked"]
    single = request("POST", chunked, b"1\r\na\r\n" * 1_000)
    assert b" 413 " in proxy.send(single, wait=1).partition(b"\r\n")[0]
    assert b"so many small pieces" in proxy.send(single, wait=1)
    assert not [each for each in proxy.hub.requests if each.endswith(b"0\r\n\r\n")]
    proxy.hub.raw = b""
    larger = request("POST", chunked, (b"80\r\n" + b"a" * 128 + b"\r\n") * 1_000 + b"0\r\n\r\n")
    assert proxy.send(larger, wait=1).startswith(b"HTTP/1.1 200")


def test_a_body_that_comes_too_slowly_ends_where_it_is_the_hubs(proxy):
    """What is for a user's server is that server's to bound."""
    # Of that pass nobody asks anew within the test.
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice', t=int(time.time()) + 600)}"
    began = time.monotonic()
    with (
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as to_hub,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as to_server,
    ):
        to_hub.sendall(request("POST", ["Content-Length: 1000"], b"a"))
        to_server.sendall(
            request("POST", ["Content-Length: 1000", cookie], b"a", "/jupyterhub/user/alice/lab")
        )
        while not _has_ended(to_hub):
            assert time.monotonic() - began < 50, "it goes on"
            assert not _has_ended(to_server)
            time.sleep(1)
        assert time.monotonic() - began > 20, "nobody waited for it"
        for _ in range(5):
            assert not _has_ended(to_server)
            time.sleep(1)


def _has_ended(connection: socket.socket) -> bool:
    """Send a little more of a body, and return whether the other side has closed the connection."""
    connection.settimeout(0.1)
    try:
        connection.sendall(b"a")
        return connection.recv(65536) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_delete_without_a_body(proxy):
    """As XNAT sends it, and as most clients do."""
    assert proxy.send(request("DELETE", []), wait=0.2).startswith(b"HTTP/1.1 200")
    assert proxy.send(request("DELETE", ["Content-Length: 0"]), wait=0.2).startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in proxy.hub.raw.lower()
