"""The hub is away for a moment: requests to it wait, and those to people's servers don't notice."""

import contextlib
import http.client
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.gate.restarting import take_restarting_hub
from tests.gate.servers import Proxy

PAGE = "/jupyterhub/hub/home"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("patience")) as proxy:
        take_restarting_hub(proxy)
        yield proxy


@pytest.fixture(autouse=True)
def _fresh(proxy):
    proxy.hub.forget()


def ask(proxy, method="GET", path=PAGE, body=None, timeout=40):
    """Return the status and text of an answer, and the seconds that it took."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout)
    began = time.monotonic()
    connection.request(method, path, body, {"X-Forwarded-For": "192.0.2.1"})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), time.monotonic() - began
    connection.close()
    return found


def waits(proxy, ways):
    """Send requests while the hub is away, bring it back, and return their answers."""
    proxy.hub.go()
    with ThreadPoolExecutor(len(ways)) as pool:
        answers = [pool.submit(ask, proxy, *way) for way in ways]
        time.sleep(1.5)
        assert not any(each.done() for each in answers), [each.result() for each in answers if each.done()]
        proxy.hub.come_back()
        return [each.result(40) for each in answers]


def test_pages_and_calls_of_the_hub_wait_for_it(proxy):
    big = b"x" * 500_000
    answers = waits(proxy, [("GET",), ("HEAD",), ("POST", PAGE, b"a=b"), ("PUT", PAGE, big), ("DELETE",)] * 3)
    assert {status for status, *_ in answers} == {200}
    # Each came once, and whole.
    sent = sorted(each.split(b" ")[0] for each in proxy.hub.requests)
    assert sent == sorted([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE"] * 3)
    assert sum(each.endswith(big) for each in proxy.hub.requests) == 3


def test_what_waited_comes_with_the_headers_of_a_first_try(proxy):
    ask(proxy)
    (first,) = proxy.hub.requests
    proxy.hub.forget()
    waits(proxy, [("GET",)])
    assert proxy.hub.requests == [first]


def test_a_page_whose_connection_breaks_is_asked_for_again(proxy):
    """A hub that ends closes its open connections, at times with a request in them."""
    for _ in range(5):
        assert ask(proxy)[0] == 200
    proxy.hub.go()
    proxy.hub.come_back()
    assert [ask(proxy)[0] for _ in range(5)] == [200] * 5


def test_servers_of_people_answer_while_requests_to_the_hub_wait(proxy):
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    # Its pass would be renewed by a hub that is there.
    old = f"Cookie: xnathub-gate={proxy.pass_for('alice', t=int(time.time()) - 1000)}"
    proxy.hub.go()
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(ask, proxy) for _ in range(20)]
        time.sleep(0.5)
        for each in (cookie, old):
            answer = proxy.get("/jupyterhub/user/alice/lab", each)
            assert answer.startswith(b"HTTP/1.1 200"), answer
        proxy.hub.come_back()
        assert {each.result(40)[0] for each in waiting} == {200}


def test_a_hub_that_stays_away_is_said_to_be_after_20_seconds(proxy):
    proxy.hub.go()
    try:
        with ThreadPoolExecutor(2) as pool:
            answers = [
                each.result()
                for each in [pool.submit(ask, proxy), pool.submit(ask, proxy, "POST", PAGE, b"x")]
            ]
    finally:
        proxy.hub.come_back()
    for status, text, seconds in answers:
        assert (status, text) == (503, "The hub is away, most likely for a restart. Try again in a moment.\n")
        assert seconds >= 19
    assert ask(proxy)[0] == 200


def test_who_leaves_is_not_waited_for(proxy):
    proxy.hub.go()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
            connection.sendall(f"GET {PAGE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            time.sleep(0.4)
    time.sleep(3)
    proxy.hub.come_back()
    assert ask(proxy)[0] == 200
    assert len(proxy.hub.requests) == 1


def raw(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def receive(connection: socket.socket, count: int) -> bytes:
    """Return all that comes in until `count` answers have, or the connection ends."""
    connection.settimeout(40)
    got = b""
    while got.count(b"answer of ") < count:
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            return got
        if not data:
            return got
        got += data
    return got


def test_no_request_of_a_connection_overtakes_one_that_waits(proxy):
    """One that waits for the hub, and then one to a server that is there."""
    server = proxy.servers["alice"]
    server.forget()
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    proxy.hub.go()
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        connection.sendall(raw("DELETE", "/jupyterhub/hub/1", b"body") + raw("GET", "/jupyterhub/hub/2"))
        connection.sendall(
            raw("GET", "/jupyterhub/user/alice/3", b"", cookie) + raw("POST", "/jupyterhub/hub/4", b"x")
        )
        time.sleep(1)
        assert not server.requests
        proxy.hub.come_back()
        answers = receive(connection, 4)
    assert re.findall(rb" to /jupyterhub/(?:hub|user/alice)/(\d)", answers) == [b"1", b"2", b"3", b"4"]
    lines = [each.split(b"\r\n")[0].decode() for each in proxy.hub.requests]
    assert [line.split("/")[3][0] for line in lines] == ["1", "2", "4"]
    assert len(server.requests) == 1


def test_a_connection_holds_no_crowd_of_requests(proxy):
    proxy.hub.go()
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(raw("GET", "/jupyterhub/hub/1") * 100)
        assert receive(connection, 100) == b""
    proxy.hub.come_back()
    assert ask(proxy)[0] == 200
    assert len(proxy.hub.requests) == 1


def test_a_websocket_does_not_begin_before_earlier_answers_are_sent(proxy):
    server = proxy.servers["alice"]
    server.forget()
    upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: x",
    ]
    cookie = f"Cookie: xnathub-gate={proxy.pass_for('alice')}"
    proxy.hub.go()
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        connection.sendall(raw("GET", "/jupyterhub/hub/1"))
        connection.sendall(raw("GET", "/jupyterhub/user/alice/ws", b"", *upgrade, cookie))
        assert receive(connection, 1) == b""
    proxy.hub.come_back()
    assert not server.requests


def test_what_waits_takes_little_memory(proxy):
    """Each of these holds more headers than a browser sends: the last of them are told at once that the hub is away."""
    proxy.hub.go()
    head = raw("GET", "/jupyterhub/hub/1", b"", *(f"X-{number}: {'x' * 7000}" for number in range(2)))
    with contextlib.ExitStack() as stack:
        # A body in chunks counts as all that a connection may hold.
        chunks = head.replace(b"GET", b"POST").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        crowd = []
        for _ in range(500):
            crowd.append(stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port))))
            crowd[-1].sendall(chunks)
        crowd[-1].settimeout(40)
        assert crowd[-1].recv(100).startswith(b"HTTP/1.1 503 ")
        # The first ones wait on.
        crowd[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            crowd[0].recv(100)
    proxy.hub.come_back()
    assert ask(proxy)[0] == 200
