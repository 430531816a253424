"""Every way we know by which the browser of one person can be made to ask for another's server. Each is counted."""

import pytest

from tests.gate.test_access import WEBSOCKET

OWN = "/jupyterhub/user/alice/"
PAGE = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html")

PATHS = {
    "address": "/jupyterhub/user/alice/grab",
    "address without a slash": "/jupyterhub/user/alice",
    "token in the address": "/jupyterhub/user/alice/grab?token=of-alice",
    "token beside other things": "/jupyterhub/user/alice/grab?a=1&token=of-alice&b",
    "token in odd spelling": "/jupyterhub/user/alice/grab?%74%6Fken=of-alice",
    "token as a login form takes it": "/jupyterhub/user/alice/login?next=%2Fgrab&token=of-alice",
    "a named server that runs on the default one": "/jupyterhub/user/alice/named/grab",
    "one dot": "/jupyterhub/user/./alice/grab",
    "two dots": "/jupyterhub/user/bob/../alice/grab",
    "two dots out of the hub": "/jupyterhub/hub/../user/alice/grab",
    "two dots from the top": "/../../jupyterhub/user/alice/grab",
    "dots in percent": "/jupyterhub/user/bob/%2e%2e/alice/grab",
    "dots half in percent": "/jupyterhub/user/bob/.%2E/alice/grab",
    "dots and a slash in percent": "/jupyterhub/user/bob%2f..%2falice/grab",
    "slashes in percent": "/jupyterhub%2Fuser%2Falice%2Fgrab",
    "letters in percent": "/jupyterhub/user/%61%6Cice/grab",
    "letters twice in percent": "/jupyterhub/user/%2561lice/grab",
    "a null in percent": "/jupyterhub/user/alice%00/grab",
    "a newline in percent": "/jupyterhub/user/alice%0a/grab",
    "half a percent": "/jupyterhub/user/alice/%zz",
    "bad utf-8": "/jupyterhub/user/alice/%ff",
    "doubled slash at the start": "//jupyterhub/user/alice/grab",
    "doubled slash with a host": "//evil.example.org/jupyterhub/user/alice/grab",
    "doubled slash in the middle": "/jupyterhub//user/alice/grab",
    "doubled slash before the name": "/jupyterhub/user//alice/grab",
    "doubled slash after the name": "/jupyterhub/user/alice//grab",
    "backslash": "/jupyterhub\\user\\alice\\grab",
    "backslash at the start": "/\\jupyterhub/user/alice/grab",
    "semicolon": "/jupyterhub/user/alice;x=y/grab",
    "fragment": "/jupyterhub/user/alice/grab#x",
    "a question mark in the path": "/jupyterhub/user/alice/?/../../bob/",
    "upper case": "/JupyterHub/User/Alice/grab",
    "absolute-form": "http://localhost/jupyterhub/user/alice/grab",
    "absolute-form with another host": "http://evil.example.org/jupyterhub/user/alice/grab",
    "absolute-form with a user": "http://alice:x@localhost/jupyterhub/user/alice/grab",
    "absolute-form with https": "https://localhost/jupyterhub/user/alice/grab",
    "absolute-form with slashes": "http://localhost//x/jupyterhub/user/alice/grab",
    "a path with a space": "/jupyterhub/user/alice/a%20b",
    "static files": "/jupyterhub/user/alice/static/logo.png",
    "a favicon": "/jupyterhub/user/alice/favicon.ico",
    "oauth's way back": "/jupyterhub/user/alice/oauth_callback?code=x&state=y",
    "the proxy's health": "/jupyterhub/user/alice/_chp_healthz",
}

HEADERS = {
    "link": PAGE,
    "link with another's referer": (*PAGE, "Referer: http://localhost/jupyterhub/user/alice/"),
    "frame": ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
    "embed": ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: embed"),
    "object": ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: object"),
    "old browser": ("Accept: text/html,*/*",),
    "image": ("Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"),
    "script": ("Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"),
    "style": ("Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: style"),
    "fetch": ("Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin"),
    "fetch with a token": ("Sec-Fetch-Mode: cors", "Authorization: token of-alice"),
    "fetch with a token and a cookie": ("Authorization: token of-alice",),
    "fetch that says it is a page": ("Accept: text/html", "Sec-Fetch-Mode: cors"),
    "XMLHttpRequest": ("X-Requested-With: XMLHttpRequest", "Accept: */*"),
    "EventSource": ("Accept: text/event-stream", "Cache-Control: no-cache"),
    "service worker": (
        "Service-Worker: script",
        "Sec-Fetch-Dest: serviceworker",
        "Sec-Fetch-Mode: same-origin",
    ),
    "worker": ("Sec-Fetch-Dest: worker", "Sec-Fetch-Mode: same-origin"),
    "prefetch": (*PAGE, "Sec-Purpose: prefetch"),
    "prerender": (*PAGE, "Sec-Purpose: prefetch;prerender"),
    "old prefetch": (*PAGE, "Purpose: prefetch"),
    "Firefox's prefetch": (*PAGE, "X-Moz: prefetch"),
    "download": ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: empty"),
    "range": ("Range: bytes=0-10",),
    "conditional": ("If-None-Match: *", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"),
    "websocket": WEBSOCKET,
    "websocket with a protocol": (*WEBSOCKET, "Sec-WebSocket-Protocol: v1.kernel.websocket.jupyter.org"),
    "websocket with a token": (*WEBSOCKET, "Authorization: token of-alice"),
    "websocket as a page": (*WEBSOCKET, *PAGE),
    "upgrade to h2c": (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
    ),
    "XNAT's password": ("Authorization: Basic Ym9iOmJvYg==",),
    "a host of another": (*PAGE, "X-Forwarded-Host: evil.example.org"),
    "a path of another": (
        *PAGE,
        "X-Original-URL: /jupyterhub/user/bob/",
        "X-Rewrite-URL: /jupyterhub/user/bob/",
    ),
    "an inner header": (*PAGE, "X-Xnathub-Gate: alice", "X-Xnathub-User: alice"),
    "a method in a header": (*PAGE, "X-HTTP-Method-Override: GET"),
}

FORMS = {
    "form": ("POST", "Content-Type: application/x-www-form-urlencoded"),
    "form with files": ("POST", "Content-Type: multipart/form-data; boundary=x"),
    "form as text": ("POST", "Content-Type: text/plain"),
    "form as a page": ("POST", "Sec-Fetch-Mode: navigate"),
    "beacon": ("POST", "Sec-Fetch-Mode: no-cors"),
    "ping of a link": ("POST", "Ping-To: http://localhost/"),
    "head": ("HEAD", "Accept: text/html"),
    "preflight": ("OPTIONS", "Access-Control-Request-Method: GET"),
    "put": ("PUT", "Sec-Fetch-Mode: cors"),
    "patch": ("PATCH", "Sec-Fetch-Mode: cors"),
    "delete": ("DELETE", "Sec-Fetch-Mode: cors"),
    "propfind": ("PROPFIND", "Depth: 1"),
    "get with a body": ("GET", "Sec-Fetch-Mode: cors"),
}

HOSTS = [
    "localhost:80",
    "alice",
    "jupyterhub",
    "evil.example.org",
    "127.0.0.1",
    "[::1]",
    "localhost.",
    "LOCALHOST",
    "",
]

JARS = {
    "no cookie": "",
    "bob's pass": "{bob}",
    "bob's pass and alice's stolen cookie": "{bob}; xh-b0b-x=1; jupyterhub-user-alice=stolen",
    "alice's pass with bob's session": "JSESSIONID=bobs; {alice}",
    "alice's pass of an old epoch": "{old}",
    "a pass that is cut": "{cut}",
}


def jar(proxy, name: str) -> str:
    alice = proxy.pass_for("alice", session="alices")
    passes = {
        "bob": proxy.pass_for("bob"),
        "alice": alice,
        "old": proxy.pass_for("alice", e="0" * 16),
        "cut": alice[:-8],
    }
    return JARS[name].format(**{key: f"xnathub-gate={value}" for key, value in passes.items()})


def assert_nothing_arrived(proxy, answer: bytes, what: str) -> None:
    """Count what alice's process received: nothing, and the browser no byte of its answer."""
    alice = proxy.servers["alice"]
    assert (len(alice.raw), alice.requests) == (0, []), what
    assert b"of alice" not in answer, what
    assert b"from alice" not in answer, what


@pytest.fixture(params=JARS)
def cookie(request, proxy):
    # The hub says of bob's session that it is not alice's.
    proxy.hub.say = (403, "")
    value = jar(proxy, request.param)
    return (f"Cookie: {value}",) if value else ()


@pytest.mark.parametrize("way", PATHS)
def test_paths(proxy, cookie, way):
    for headers in (PAGE, (), WEBSOCKET):
        answer = proxy.get(PATHS[way], *headers, *cookie, wait=0.4)
        assert_nothing_arrived(proxy, answer, f"{way}: {answer[:200]!r}")
        if answer.startswith(b"HTTP/1.1 302"):
            assert b"Location: /jupyterhub/hub/gate?next=%2F" in answer
            assert b"of-alice" not in answer


@pytest.mark.parametrize("way", HEADERS)
def test_headers(proxy, cookie, way):
    if "with a token" in way and not cookie:
        cookie = ("Cookie: a=b",)  # with a token and no cookie at all it would be a program
    answer = proxy.get(f"{OWN}grab", *HEADERS[way], *cookie, wait=0.4)
    assert_nothing_arrived(proxy, answer, way)


@pytest.mark.parametrize("way", FORMS)
def test_methods(proxy, cookie, way):
    method, *headers = FORMS[way]
    answer = proxy.get(f"{OWN}grab", *headers, *cookie, method=method, body=b"a=b")
    assert_nothing_arrived(proxy, answer, way)


@pytest.mark.parametrize("host", HOSTS)
def test_hosts(proxy, cookie, host):
    lines = [f"GET {OWN}grab HTTP/1.1", f"Host: {host}", "Connection: close", *PAGE, *cookie, "", ""]
    answer = proxy.send("\r\n".join(lines).encode(), wait=0.4)
    assert_nothing_arrived(proxy, answer, host)


def test_http_1_0_and_0_9(proxy):
    for request in (
        f"GET {OWN}grab HTTP/1.0\r\n\r\n",
        f"GET {OWN}grab\r\n\r\n",
        f"GET {OWN}grab HTTP/2.0\r\n\r\n",
    ):
        assert_nothing_arrived(proxy, proxy.send(request.encode(), wait=0.5), request)


def test_there_are_sixty_ways_and_more():
    assert len(PATHS) + len(HEADERS) + len(FORMS) + len(HOSTS) >= 60


def test_the_same_ways_reach_the_server_without_the_gate(plain_proxy):
    """How many of them do, on the proxy as it comes."""
    alice = plain_proxy.servers["alice"]
    arrived = 0
    for path in PATHS.values():
        alice.forget()
        plain_proxy.get(path, *PAGE, "Cookie: JSESSIONID=bobs")
        arrived += b"JSESSIONID=bobs" in alice.raw
    assert arrived >= 25
