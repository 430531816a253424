"""The shipped files for web servers, in front of a real hub."""

import contextlib
import re
import socket
import ssl
import threading
import time
from typing import Any

import psutil
import pytest
import requests
import websocket
import yaml

from tests.doctor import diagnose
from tests.support import page_text, run_cell, wait_until
from xnathub_conf.standin import faults


def test_xnat_at_the_root_and_the_hub_below(site):
    web = site.web
    assert "stand-in" in page_text(web.get("/")).lower()
    assert "XNAT user name" in page_text(web.get("/jupyterhub/"))
    slash = web.get("/jupyterhub", allow_redirects=False)
    assert slash.status_code in {301, 302}
    assert slash.headers["Location"] in {"/jupyterhub/", f"{site.hub_url}/"}
    assert "XNAT user name" in page_text(web.get("/jupyterhub"))


def test_paths_reach_the_right_server_unchanged(echoes):
    for path, name in {
        "/": "xnat",
        "/jupyterhubx": "xnat",
        "/jupyterhubx/hub": "xnat",
        "/data/projects/P1/a%20b?x=%2F": "xnat",
        "/jupyterhub/": "hub",
        "/jupyterhub/user/a.b%40c.org/api/contents/a%2Bb%20c?content=0": "hub",
        "/jupyterhub/user/m%C3%BCller/20260728T120000123Z/lab": "hub",
        "/jupyterhub/user/o%27brien%20x/a.b/api/contents/100%25%23a%3Fb%3Bc%5Cd%2Fe.ipynb?x=a;b": "hub",
    }.items():
        seen = echoes.get(path).json()
        if echoes.kind == "traefik":
            # It writes a ; of a query in the other way that means the same.
            seen["path"] = seen["path"].replace("?x=a%3Bb", "?x=a;b")
        assert (seen["name"], seen["path"]) == (name, path)


def test_plain_http_is_sent_to_https(site):
    answer = requests.get(f"http://localhost:{site.web.plain_port}/x?y", allow_redirects=False, timeout=20)
    assert answer.status_code in {301, 308}
    assert re.fullmatch(r"https://localhost(:\d+)?/x\?y", answer.headers["Location"])


@pytest.mark.parametrize("path", ["/", "/jupyterhub/hub/login"])
def test_what_a_browser_claims_about_itself_does_not_count(echoes, path):
    evil = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Real-IP": "203.0.113.9",
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-Proto": "http",
        "X-Scheme": "http",
        "Forwarded": "for=203.0.113.9;proto=http;host=evil.example.org",
    }
    answer = echoes.get(path, headers=evil)
    headers = answer.json()["headers"]
    host = f"localhost:{echoes.port}"
    wanted = {
        "host": host,
        "x-forwarded-host": host,
        "x-forwarded-for": "127.0.0.1",
        "x-real-ip": "127.0.0.1",
        "x-forwarded-proto": "https",
        "x-scheme": "https",
    }
    assert {name: headers.get(name) for name in wanted} == {name: [value] for name, value in wanted.items()}
    assert "forwarded" not in headers
    assert "evil" not in answer.text


@pytest.mark.parametrize("path", ["/", "/jupyterhub/hub/login"])
def test_security_headers_are_there_once(echoes, path):
    headers = echoes.get(path).headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_hub_takes_no_address_from_a_browser(site):
    position = len(site.hub.log_since(0))
    evil = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"}
    site.web.get("/jupyterhub/hub/login?mark", headers=evil)
    pattern = re.compile(r".*/hub/login\?mark.*")
    line = wait_until(lambda: pattern.search(site.hub.log_since(position)), 10, "the log's line")[0]
    assert "@127.0.0.1" in line
    assert "203.0.113.9" not in line


def test_sign_in_over_https_with_secure_cookies(site):
    visitor = site.visitor()
    answer = visitor.sign_in("alice", site.xnat.state.user("alice").password)
    assert answer.status_code == 302
    assert visitor.is_signed_in_as("alice")
    assert {"jupyterhub-hub-login", "jupyterhub-session-id"} <= cookies(visitor, secure=True)
    assert cookies(visitor, secure=False) <= {"_xsrf"}


def cookies(browser: requests.Session, secure: bool) -> set[str]:
    """Return the names of a browser's cookies, without the gate's mark of whose server set them."""
    return {re.sub("^xh-[0-9a-f]{8}-", "", each.name) for each in browser.cookies if each.secure == secure}


def test_a_browser_signed_in_to_xnat_goes_straight_in(site):
    visitor = site.visitor()
    password = site.xnat.state.user("Alice").password
    visitor.get(f"{site.web.url}/xapi/users/username", auth=("Alice", password), timeout=20)
    visitor.get_page("/hub/login")
    assert visitor.is_signed_in_as("Alice")


def start_and_watch(site) -> str:
    """Start a server as the plugin does while its progress is watched, and give its address."""
    site.plugin.ensure_user("alice")
    options = site.xnat.state.launch("alice", "P1")
    # XNAT is slow to say what to start, so the start takes that long at least.
    site.xnat.faults.set("/xapi/jupyterhub/users/alice", faults.Delay(2), count=1)
    start = threading.Thread(target=site.plugin.start, args=("alice", options))
    start.start()
    wait_until(lambda: site.plugin.server("alice"), 10, "the start")
    events = [(time.monotonic(), event) for event in site.plugin.progress("alice")]
    start.join()
    assert events[-1][1].get("ready")
    assert events[0][0] < events[-1][0] - 1, "the first event came with the last: something buffers"
    return site.web.url + site.plugin.wait_ready("alice")["url"]


def test_a_browser_sees_progress_and_uploads_and_runs_a_cell(site):
    server = start_and_watch(site)
    browser = site.visitor()
    browser.sign_in("alice", site.xnat.state.user("alice").password)
    page = browser.get(f"{server}lab", timeout=60)
    assert page.status_code == 200
    assert page.url.startswith(server)
    assert "jupyterhub-user-alice" in cookies(browser, secure=True)
    xsrf = next(
        c.value for c in browser.cookies if c.name == "_xsrf" and c.path in server and "/user/" in c.path
    )
    browser.headers.update({"X-XSRFToken": xsrf, "Origin": site.web.url, "Referer": page.url})

    body = {"type": "file", "format": "text", "content": "x" * 20_000_000}
    path = "workspace/alice/large.txt"
    upload = browser.put(f"{server}api/contents/{path}", json=body, timeout=120)
    assert upload.status_code in {200, 201}, upload.text
    assert (site.hub.folder / "workspaces/users/alice/large.txt").stat().st_size == 20_000_000

    kernel = browser.post(f"{server}api/kernels", json={}, timeout=60)
    assert kernel.status_code == 201, kernel.text
    channels = f"{server}api/kernels/{kernel.json()['id']}/channels"
    assert run_cell(channels, "print(6 * 7)", **as_browser(browser, channels, site.web.url)) == "42\n"
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        run_cell(channels, "", **as_browser(browser, channels, "https://evil.example.org"))


def as_browser(browser: requests.Session, channels: str, origin: str) -> dict[str, Any]:
    """Return what a browser on a page of `origin` sends to open a websocket."""
    cookie = requests.Request("GET", channels, cookies=browser.cookies).prepare().headers["Cookie"]
    return {"cookie": cookie, "origin": origin, "sslopt": {"ca_certs": browser.verify}}


def test_doctor_finds_the_hub_and_its_websockets(site, tmp_path):
    data = yaml.safe_load(site.hub.site_file.read_text())
    data["xnat"]["ca_file"] = site.web.ca
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(data))
    found = diagnose(tmp_path / "site.yaml", "--skip", "xnat.settings")
    assert found["public_url.leads_here"] == found["public_url.websockets"] == "ok", found.text
    assert "Renew the certificate of localhost" in found.told("public_url.certificate", "warning")

    del data["xnat"]["ca_file"]
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(data))
    found = diagnose(tmp_path / "site.yaml", "--skip", "xnat.settings")
    assert "the certificate is not good: self-signed certificate" in found.told(
        "public_url.leads_here", "failed"
    )


# Bodies

FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


def open_post(web, path: str, head: str) -> ssl.SSLSocket:
    """Begin a POST through a web server, up to the end of its head."""
    context = ssl.create_default_context(cafile=web.ca)
    plain = socket.create_connection(("localhost", web.port), timeout=60)
    connection = context.wrap_socket(plain, server_hostname="localhost")
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost:{web.port}\r\n{FORM}{head}\r\n".encode())
    return connection


@pytest.mark.parametrize("path", ["/jupyterhub/hub/login", "/jupyterhub/hub/api/users", "/jupyterhub/hub/x"])
def test_a_body_too_large_for_the_hub_does_not_reach_it(echoes, path):
    with open_post(echoes, path, f"Content-Length: {2 << 20}\r\n") as connection:
        answer = connection.recv(65536)
    assert answer.split()[1] == b"413", answer


@pytest.mark.parametrize(
    ("path", "size"), [("/jupyterhub/hub/login", 900_000), ("/jupyterhub/user/alice/api/contents/x", 3 << 20)]
)
def test_what_the_hub_takes_and_what_servers_take_goes_through(echoes, path, size):
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(f"{echoes.url}{path}", data=b"a" * size, verify=echoes.ca, timeout=60)
    assert answer.json()["length"] == size


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_unfinished_bodies_take_no_memory_of_the_hub(site, framing):
    process = psutil.Process(site.hub.process.pid)
    before = process.memory_info().rss
    piece = b"a" * (1 << 20)
    head = f"Content-Length: {90 << 20}\r\n"
    if framing == "chunked":
        head, piece = "Transfer-Encoding: chunked\r\n", f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    with contextlib.ExitStack() as opened:
        for _ in range(4):
            connection = opened.enter_context(open_post(site.web, "/jupyterhub/hub/login", head))
            # Who has said no may stop reading.
            connection.settimeout(3)
            with contextlib.suppress(OSError):
                for _ in range(20):
                    connection.sendall(piece)
        assert process.memory_info().rss - before < 30 << 20
        assert site.web.get("/jupyterhub/hub/health").ok


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_comes_too_slowly_ends(site, hurried, framing):
    # Caddy and Traefik have one time for all that comes in: it has to do for XNAT's uploads.
    web = hurried if site.web.kind in {"caddy", "traefik"} else site.web
    head, piece = "Content-Length: 1000\r\n", b"u"
    if framing == "chunked":
        head, piece = "Transfer-Encoding: chunked\r\n", b"1\r\nu\r\n"
    with open_post(web, "/jupyterhub/hub/login", head) as connection:
        assert web.get("/jupyterhub/hub/health").ok
        connection.settimeout(3)
        end = time.monotonic() + 90
        ended = False
        # A byte now and then, and no end.
        while not ended:
            assert time.monotonic() < end, "it goes on"
            try:
                connection.sendall(piece)
                ended = connection.recv(65536) is not None
            except TimeoutError:
                pass
            except OSError:
                ended = True
