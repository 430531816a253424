"""What a server's process in a pod receives of its visitor's cookies, through the proxy that browsers find."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

from tests.gate.test_cookies import FOREIGN, SECRET
from tests.kubernetes.testbed import Release

_TELLS = r"""
import importlib.metadata, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        told = f"GOT {self.headers}END".encode("utf-8", "replace")
        if self.headers.get("Upgrade"):
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
        else:
            self.send_response(200)
            self.send_header("Set-Cookie", "mine=1")
            self.send_header("X-JupyterHub-Version", importlib.metadata.version("jupyterhub"))
            self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)
        self.close_connection = True
port = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port
ThreadingHTTPServer(("", port), Handler).serve_forever()
"""
COMMAND = f"python3 -c '{_TELLS}'"
"""A server that answers each request, and each websocket, with the headers that reached it."""


def assert_no_foreign_cookie_arrives(release: Release) -> None:
    """Ask demo's server as demo's browser, with XNAT's session, by HTTP and websocket, in all the forms that a Cookie header has."""
    release.start("demo", command=COMMAND)
    session = release.state.open_session("demo").id
    browser = release.sign_in("demo")
    browser.cookies.set("JSESSIONID", session, path="/")
    page = f"{release.url}/user/demo/"
    for _ in range(2):
        told = browser.get(page, timeout=60).text
        assert told.startswith("GOT "), told
    assert re.search(r"(?im)^Cookie: mine=1$", told), told
    jar = {each.name: each.value for each in browser.cookies}
    assert "xnathub-gate" in jar
    own = "; ".join(f"{name}={value}" for name, value in jar.items())
    arrived = 0
    for name, foreign in FOREIGN.items():
        for lines in ([f"Cookie: {own}; {foreign}"], [f"Cookie: {own}", f"COOKIE: {foreign}"]):
            for upgrade in ([], ["Connection: Upgrade", "Upgrade: websocket"]):
                told = _ask(page, [*lines, *upgrade])
                if "GOT " in told:
                    arrived += 1
                    got = told.partition("GOT ")[2]
                    assert "mine=1" in got, (name, lines)
                    for secret in (session, SECRET, jar["xnathub-gate"], jar["jupyterhub-hub-login"]):
                        assert secret not in got, (name, lines)
    assert arrived >= 2 * len(FOREIGN), arrived
    # Nobody else's browser gets a word of it.
    other = release.sign_in("alice")
    assert "This is the server of demo" in other.get(page, timeout=60).text
    release.stop("demo")


def _ask(page: str, lines: list[str]) -> str:
    url = urlsplit(page)
    assert url.hostname
    request = [f"GET {url.path} HTTP/1.1", f"Host: {url.hostname}", *lines, "", ""]
    got = b""
    with socket.create_connection((url.hostname, url.port or 80), timeout=10) as connection:
        connection.sendall("\r\n".join(request).encode("latin-1"))
        while not got.endswith(b"END") and (data := connection.recv(65536)):
            got += data
    return got.decode("utf-8", "replace")
