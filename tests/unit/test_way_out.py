"""The way out of servers without the internet: what it lets through, and how it says that it does not."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from xnathub_conf.proxy.way_out import WayOut
from xnathub_conf.values.reachable import Reachable


@asynccontextmanager
async def listening(serve):
    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        yield server.sockets[0].getsockname()[1]


async def asked(entries, request, after=b""):
    """Send a request through the way out to a server that says what it was sent; return what comes back."""

    async def tells(reader, writer):
        try:
            head = (
                await reader.readuntil(b"\r\n\r\n")
                if request.startswith(b"GET")
                else await reader.readexactly(4)
            )
            writer.write(b"<" + head + b">")
        finally:
            writer.close()

    async with (
        listening(tells) as port,
        listening(WayOut(Reachable(e % port if "%d" in e else e for e in entries)).serve) as way,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", way)
        try:
            writer.write(request.replace(b"PORT", b"%d" % port))
            answer = b""
            if after:
                answer = await reader.readuntil(b"\r\n\r\n")
                writer.write(after)
            return answer + await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


def through(entries, request, after=b""):
    return asyncio.run(asked(entries, request, after))


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:%d"])
def test_what_is_listed_is_let_through_and_nothing_of_it_is_changed(entry):
    answer = through([entry], b"CONNECT 127.0.0.1:PORT HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff")
    assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n<\x16\x03\x01\xff>"


def test_a_plain_address_is_asked_for_as_servers_expect_it_and_once():
    request = (
        b"GET http://LOCALHOST:PORT/a?b=c HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive\r\nA: b\r\n\r\n"
    )
    answer = through(["localhost"], request)
    assert answer == b"<GET /a?b=c HTTP/1.1\r\nHost: x\r\nA: b\r\nConnection: close\r\n\r\n>"


@pytest.mark.parametrize("host", [b"169.254.169.254", b"[::ffff:169.254.169.254]"])
def test_no_name_leads_to_where_clouds_tell_what_the_node_may_do(host):
    answer = through(
        [".254", "169.254.169.254:80", "::ffff:169.254.169.254:80"],
        b"CONNECT " + host + b":80 HTTP/1.1\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "entries", [[], ["localhost"], ["127.0.0.1:1"], ["10.0.0.0/8"], [".0.0.1.example.org"]]
)
def test_what_is_not_listed_is_refused_with_the_key_that_would_change_it(entries):
    answer = through(entries, b"CONNECT 127.0.0.1:PORT HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"is not among what servers may reach (site.yaml: servers.reachable)" in answer


@pytest.mark.parametrize(
    "request_line",
    [b"GET / HTTP/1.1", b"CONNECT localhost HTTP/1.1", b"CONNECT a b:1 HTTP/1.1", b"CONNECT x:99999 HTTP/1.1", b"GET http://[/ HTTP/1.1",
     b"GET ftp://localhost/ HTTP/1.1", b"nonsense"],
)  # fmt: skip
def test_what_is_no_request_is_told_so(request_line):
    assert through(["localhost"], request_line + b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_what_can_not_be_reached_is_told():
    answer = through(["127.0.0.1"], b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 502 ")


def test_names_mean_what_they_say():
    listed = Reachable(["PyPI.org", ".example.org", "10.0.0.0/24", "fd00::1", "[fd00::2]:443", "x.org:22"])
    by_name = {"pypi.org", "PYPI.ORG.", "a.example.org", "fd00::2", "x.org"}
    for host in by_name | {"example.org", "xpypi.org", "evilexample.org", "pypi.org.evil"}:
        port = {"x.org": 22}.get(host, 443)
        assert listed.allows_name(host, port) is (host in by_name)
    assert not listed.allows_name("x.org", 443)
    assert [
        listed.allows_address(each) for each in ("10.0.0.9", "::ffff:10.0.0.9", "10.0.1.9", "fd00::1")
    ] == [True, True, False, True]
