"""A body is never a request of somebody else: the hub's own proxy before the hub."""

import http.client
import socket
from urllib.parse import urlsplit


def send(hub, data: bytes) -> bytes:
    where = urlsplit(hub.url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.sendall(data)
        connection.settimeout(0.5)
        got = b""
        try:
            while piece := connection.recv(65536):
                got += piece
        except TimeoutError:
            pass
        return got


def test_a_body_without_credentials_does_not_run_with_xnat_s_token(hub):
    where = urlsplit(hub.url)
    smuggled = f"GET {where.path}/hub/api/users/demo HTTP/1.1\r\nX-Unfinished: ".encode()
    head = f"DELETE {where.path}/hub/health HTTP/1.1\r\nHost: {where.netloc}\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(8):
        send(hub, head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled))
        answer = hub.api("GET", "/info")
        assert answer.status_code == 200
        assert "python" in answer.json(), "XNAT's call was answered as another"


def test_a_client_that_sends_chunks_may_stop_servers(hub):
    """Spring does so from 6.1 on, over one connection."""
    where = urlsplit(hub.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
    headers = {"Authorization": f"token {hub.token}", "Content-Type": "application/json"}
    for _ in range(5):
        connection.request(
            "DELETE",
            f"{where.path}/hub/api/users/demo/server",
            iter([b'{"remove": true}']),
            headers,
            encode_chunked=True,
        )
        answer = connection.getresponse()
        answer.read()
        assert answer.status in {204, 400, 404}
        connection.request("GET", f"{where.path}/hub/api/info", headers=headers)
        answer = connection.getresponse()
        assert (answer.status, b"python" in answer.read()) == (200, True)
