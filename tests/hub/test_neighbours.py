"""Hostile neighbours on XNAT's own address: each test attacks one hub that they share."""

import contextlib
import http.client
import json
import re
import secrets
import socket
import time
from datetime import UTC, datetime, timedelta

import psutil
import pytest
import requests

from tests.support import WITHOUT_LAB, RunningHub, Visitor, new_standin, page_text, wait_until

AGE = 3


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A hub that looks at sign-ins every few seconds."""
    with new_standin() as xnat:
        xnat.state.environment = WITHOUT_LAB
        changes = {"sign_in": {"auth_refresh_age": AGE}, "logging": {"level": "DEBUG"}}
        hub = RunningHub(tmp_path_factory.mktemp("neighbours"), xnat, changes).start()
        yield hub
        hub.stop()


class Workstation(Visitor):
    """A browser that people share: whoever signs in to XNAT in it sends their session to the hub."""

    def __init__(self, hub):
        super().__init__(hub.url)
        self.state = hub.xnat.state

    def sign_in_to_xnat(self, name):
        self.session = self.state.open_session(name).id
        self.cookies.set("JSESSIONID", self.session, domain="127.0.0.1", path="/")

    def sign_out_of_xnat(self):
        self.state.end_session(self.session)

    def name_on_the_hub(self):
        """Whom a page of the hub shows, without a new sign-in: None where it asks for one."""
        page = self.get_page("/hub/home", allow_redirects=False)
        return page.text.partition('user: "')[2].partition('"')[0] if page.status_code == 200 else None


@pytest.fixture
def workstation(site):
    return Workstation(site)


def test_the_next_person_is_not_the_last_one(site, workstation):
    workstation.sign_in_to_xnat("alice")
    workstation.get_page("/hub/login")
    assert workstation.name_on_the_hub() == "alice"
    old = dict(workstation.cookies)
    workstation.sign_out_of_xnat()
    workstation.sign_in_to_xnat("demo")
    # The very first request, by a page or by a script.
    answer = workstation.get_page("/hub/api/user", headers={"Sec-Fetch-Mode": "same-origin"})
    assert (answer.status_code, "alice" in answer.text) == (403, False)
    assert workstation.name_on_the_hub() is None
    assert 'user: "demo"' in workstation.get_page("/hub/home").text
    # The first one's cookies, put back beside the second one's session, open nothing either.
    for name, value in old.items():
        if name.startswith(("jupyterhub-", "xnathub-")):
            workstation.cookies.set(name, value, domain="127.0.0.1", path="/jupyterhub/hub/")
    assert workstation.name_on_the_hub() in {None, "demo"}


def test_a_sign_in_ends_with_the_session_that_it_came_from(workstation):
    workstation.sign_in_to_xnat("alice")
    workstation.get_page("/hub/login")
    workstation.sign_out_of_xnat()
    wait_until(lambda: workstation.name_on_the_hub() is None, AGE + 20, "the end of the sign-in")


def test_a_sign_in_ends_with_its_session_though_another_browser_of_the_user_works_on(site, workstation):
    """What XNAT says by the one's session says nothing of the other's."""
    other = Workstation(site)
    for each in (workstation, other):
        each.sign_in_to_xnat("demo")
        assert each.get_page("/hub/home").status_code == 200
    site.xnat.state.end_session(other.session)
    for _ in range(2 * AGE + 3):
        assert workstation.name_on_the_hub() == "demo"
        time.sleep(1)
    assert other.name_on_the_hub() is None


def test_a_sign_in_ends_where_the_browser_has_lost_that_session(workstation):
    workstation.sign_in_to_xnat("alice")
    workstation.get_page("/hub/login")
    workstation.cookies.clear("127.0.0.1", "/", "JSESSIONID")
    assert workstation.name_on_the_hub() is None


def test_the_cookie_that_ties_them_can_not_be_left_out_or_swapped(site, workstation):
    workstation.sign_in_to_xnat("alice")
    workstation.get_page("/hub/login")
    demo = Visitor(site.url)
    demo.sign_in("demo", site.xnat.state.user("demo").password)
    tie = {cookie.name: cookie for cookie in demo.cookies}["xnathub-signed-in"]
    workstation.sign_out_of_xnat()
    workstation.cookies.set(tie.name, tie.value, domain=tie.domain, path=tie.path)
    assert workstation.name_on_the_hub() is None
    workstation.sign_in_to_xnat("alice")
    workstation.get_page("/hub/login")
    workstation.cookies.clear(tie.domain, tie.path, tie.name)
    assert workstation.name_on_the_hub() is None


def test_who_came_in_by_password_stays_without_a_session(site, workstation):
    password = site.xnat.state.user("demo").password
    assert workstation.sign_in("demo", password).status_code == 302
    assert workstation.name_on_the_hub() == "demo"
    workstation.cookies.set("JSESSIONID", "0" * 32, domain="127.0.0.1", path="/")
    assert workstation.name_on_the_hub() == "demo", "a session that is nobody's names nobody else"
    workstation.sign_in_to_xnat("demo")
    assert workstation.name_on_the_hub() == "demo"
    workstation.sign_in_to_xnat("alice")
    assert workstation.name_on_the_hub() is None


def test_nobody_signs_in_by_password_where_xnat_names_somebody_else(site, workstation):
    workstation.sign_in_to_xnat("alice")
    form = workstation.get_page("/hub/login?signed-out=1")
    answer = workstation.post(
        f"{site.url}/hub/login",
        data={
            "username": "demo",
            "password": site.xnat.state.user("demo").password,
            "_xsrf": form.text.partition('name="_xsrf" value="')[2].partition('"')[0],
        },
        headers={"Referer": form.url, "Sec-Fetch-Mode": "navigate"},
        allow_redirects=False,
        timeout=60,
    )
    assert answer.status_code == 403
    assert "This browser is signed in to XNAT as alice" in page_text(answer)


# Addresses


def audited_addresses(hub, position):
    lines = re.findall(r"(\{\"event\".*\})", hub.log_since(position))
    return [json.loads(line).get("address") for line in lines]


FORGED = {
    "X-Forwarded-For": "203.0.113.7, 203.0.113.8",
    "X-Real-Ip": "203.0.113.7",
    "Forwarded": "for=203.0.113.7",
    "X-Xnathub-Proxy": "x" * 43,
    "X-Scheme": "https",
}


@pytest.mark.parametrize("through", ["proxy", "hub"])
def test_a_server_that_reaches_a_port_makes_up_no_address(site, through):
    url = site.url if through == "proxy" else f"{site.hub_bind_url}/jupyterhub"
    visitor = Visitor(url)
    visitor.headers.update(FORGED)
    position = len(site.log.read_text("utf-8", "replace"))
    if through == "proxy":
        visitor.sign_in("alice", "wrong")
    headers = {"Authorization": f"token {site.token}", **FORGED}
    site.plugin.ensure_user("alice")
    site.plugin.start("alice", site.xnat.state.launch("alice", "P1"))
    site.plugin.wait_ready("alice")
    requests.delete(f"{url}/hub/api/users/alice/server", headers=headers, timeout=60)
    wait_until(lambda: '"stop"' in site.log_since(position), 60, "the stop in the audit log")
    assert set(audited_addresses(site, position)) <= {None, "127.0.0.1"}
    assert "203.0.113" not in site.log_since(position), "nor is it in the log of requests"


PAGES = (
    "", "/", "/hub", "/hub/", "/hub/login", "/hub/home", "/hub/apix", "/hub//api", "/hub/none", "/hub/gate", "/hub/logout",
    "/hub/token", "/hub/static/js/admin-react.js", "/hub/logo", "/hub/user/alice", "/user/alice/", "/hub/healthy",
)  # fmt: skip
FOR_ALL = (
    "/hub/api",
    "/hub/api/",
    "/hub/api/info",
    "/hub/health",
    "/hub/health?xnat",
    "/hub/identity",
    "/hub/metrics",
    "/hub/error/503",
)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_server_that_reaches_the_hubs_own_port_opens_no_page(site, workstation, method):
    workstation.sign_in_to_xnat("alice")
    workstation.headers.update(FORGED)
    connection = http.client.HTTPConnection(site.hub_bind_url.partition("//")[2], timeout=20)
    for path in PAGES:
        # Word for word: requests would take the dots out.
        connection.request(
            method, f"/jupyterhub{path}", b"a=b" if method == "POST" else None, dict(workstation.headers)
        )
        answer = connection.getresponse()
        body = answer.read()
        assert (answer.status, b"API alone" in body) == (403, method != "HEAD"), path
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert (answer.headers["X-Content-Type-Options"], answer.headers["Cache-Control"]) == (
            "nosniff",
            "no-store",
        )
        connection.close()
    # Dots lead nowhere at the hub itself.
    connection.request(method, "/jupyterhub/hub/api/../login", headers=dict(workstation.headers))
    assert connection.getresponse().status == 404
    connection.close()
    answers = {
        path: requests.request(method, f"{site.hub_bind_url}/jupyterhub{path}", timeout=20)
        for path in FOR_ALL
    }
    assert not [path for path, answer in answers.items() if "API alone" in answer.text]
    if method == "GET":
        assert {answer.status_code for answer in answers.values()} == {200, 400, 403}
    assert "Traceback" not in site.log_since(0)


# Bodies


def hub_memory(hub):
    return psutil.Process(hub.process.pid).memory_info().rss


@pytest.mark.parametrize("path", ["/hub/login", "/hub/api/users", "/hub/gate/renew", "/hub/none"])
@pytest.mark.parametrize("through", ["proxy", "hub"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_unfinished_bodies_take_no_memory(site, path, through, framing):
    url = site.url if through == "proxy" else f"{site.hub_bind_url}/jupyterhub"
    host, port = url.split("/")[2].split(":")
    head = f"POST /jupyterhub{path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    head += (
        f"Content-Length: {90 << 20}\r\n\r\n" if framing == "length" else "Transfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"a" * (1 << 20)
    if framing == "chunked":
        piece = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    before = hub_memory(site)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            connection.sendall(head.encode())
            with contextlib.suppress(OSError):
                for _ in range(20):
                    connection.sendall(piece)
        # 80 MB came, or would have come.
        assert hub_memory(site) - before < 30 << 20
        wait_until(lambda: requests.get(f"{site.url}/hub/health", timeout=30).ok, 60, "an answer")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_many_unfinished_bodies_of_strangers_take_no_memory(site, framing):
    # Nor do those who make up a sign-in or a token.
    made_up = ["", "Authorization: token 1234\r\n", "Cookie: jupyterhub-hub-login=2|1:0|x\r\n"]
    length = "Transfer-Encoding: chunked" if framing == "chunked" else "Content-Length: 1048576"
    body = b"a" * 1_000_000
    if framing == "chunked":
        body = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    host, port = site.url.split("/")[2].split(":")
    before = hub_memory(site)
    with contextlib.ExitStack() as stack:
        for number in range(120):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            head = f"POST /jupyterhub/hub/login HTTP/1.1\r\nHost: {host}:{port}\r\n{made_up[number % 3]}{length}\r\n\r\n"
            with contextlib.suppress(OSError):
                connection.sendall(head.encode())
                connection.sendall(body)
        most = before
        for _ in range(20):
            most = max(most, hub_memory(site))
            time.sleep(0.1)
        # The plugin and people who sign in go on meanwhile.
        site.plugin.ensure_user("alice")
        assert Visitor(site.url).sign_in("alice", site.xnat.state.user("alice").password).status_code == 302
    assert most - before < 45 << 20


@pytest.mark.parametrize("through", ["proxy", "hub"])
def test_a_body_that_comes_too_slowly_ends(site, through):
    host, port = (site.url if through == "proxy" else site.hub_bind_url).split("/")[2].split(":")
    framings = {"Content-Length: 1000": b"u", "Transfer-Encoding: chunked": b"1\r\nu\r\n"}
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        under_way = {}
        for framing, piece in framings.items():
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            head = f"POST /jupyterhub/hub/api/users HTTP/1.1\r\nHost: {host}:{port}\r\n{framing}\r\n\r\n"
            connection.sendall(head.encode())
            under_way[connection] = piece
        while under_way:
            assert time.monotonic() - began < 60, "it goes on"
            time.sleep(1)
            for connection, piece in list(under_way.items()):
                if has_ended(connection, piece):
                    under_way.pop(connection)
    assert time.monotonic() - began > 20, "nobody waited for it"


def has_ended(connection, piece):
    """Send a little more of a body, and return whether the other side has closed the connection."""
    connection.settimeout(0.1)
    try:
        connection.sendall(piece)
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.parametrize("through", ["proxy", "hub"])
def test_a_large_body_needs_a_sign_in_or_a_token(site, through):
    url = f"{site.url if through == 'proxy' else f'{site.hub_bind_url}/jupyterhub'}/hub/api/users"
    strangers = ({}, {"Authorization": "token 1234"}, {"Cookie": "jupyterhub-hub-login=2|1:0|x"})
    answers = [requests.post(url, data=b"a" * 70_000, headers=each, timeout=60) for each in strangers]
    assert [each.status_code for each in answers] == [413] * 3
    assert "Without a sign-in or a token" in answers[0].text
    small = requests.post(url, data=b"a" * 60_000, timeout=60)
    assert small.status_code == 403
    by_token = {"Authorization": f"token {site.token}"}
    assert requests.post(url, data=b"a" * 900_000, headers=by_token, timeout=60).status_code == 400
    if through == "proxy":
        answer = signed_in(site, "demo").post(url, data=b"a" * 900_000, timeout=60)
        assert answer.status_code in {400, 403}


def test_a_body_of_the_hubs_own_size_goes_through(site):
    answer = requests.post(
        f"{site.url}/hub/api/users/alice/tokens",
        json={"note": "n" * 900_000, "expires_in": 60},
        headers={"Authorization": f"token {site.token}"},
        timeout=60,
    )
    assert answer.status_code != 413
    too_large = requests.post(f"{site.url}/hub/api/users", data=b"a" * (1 << 21), timeout=60)
    assert too_large.status_code in {400, 413}


def signed_in(site, name):
    visitor = Visitor(site.url)
    assert visitor.sign_in(name, site.xnat.state.user(name).password).status_code == 302
    visitor.get_page("/hub/home")
    token = visitor.cookies.get("_xsrf", path="/jupyterhub/hub/")
    visitor.headers.update({"X-XSRFToken": token, "Referer": f"{site.url}/hub/home"})
    return visitor


def test_a_user_fills_neither_the_log_nor_the_database(site):
    visitor = signed_in(site, "demo")
    size, position = (
        sum(each.stat().st_size for each in site.folder.glob("*.sqlite*")),
        site.log.stat().st_size,
    )
    for _ in range(5):
        answer = visitor.post(f"{site.url}/hub/security/csp-report", data="b" * 900_000, timeout=60)
        assert answer.status_code == 200
        note = {"note": "n" * 900_000}
        assert visitor.post(f"{site.url}/hub/api/users/demo/tokens", json=note, timeout=60).status_code == 400
    assert (
        visitor.post(f"{site.url}/hub/api/users/demo/tokens", json={"note": 5}, timeout=60).status_code == 400
    )
    short = visitor.post(f"{site.url}/hub/api/users/demo/tokens", json={"note": "n" * 1023}, timeout=60)
    assert short.status_code == 201
    wait_until(lambda: site.log_since(0).count("Content security violation") == 5, 30, "the log")
    assert site.log.stat().st_size - position < 300_000
    now = sum(each.stat().st_size for each in site.folder.glob("*.sqlite*"))
    assert now - size < 1_000_000


def test_no_token_of_a_user_holds_for_ever(site):
    visitor = signed_in(site, "demo")
    shown = visitor.get_page("/hub/token")
    page = shown.text
    assert "also after you sign out, here or in XNAT, and after a change of your password" in page_text(shown)
    assert "Never</option>" not in page
    assert f'value="{365 * 86400}">1 Year' in page
    url = f"{site.url}/hub/api/users/demo/tokens"
    made = visitor.post(url, json={"note": "no end asked for"}, timeout=60).json()
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=364) < left <= timedelta(days=365)
    for seconds in (366 * 86400, 10**12):
        assert visitor.post(url, json={"expires_in": seconds}, timeout=60).status_code == 400


# Logs


def test_no_token_of_an_address_is_in_the_log(site):
    token, xsrf = secrets.token_hex(32), secrets.token_hex(16)
    position = len(site.log.read_text("utf-8", "replace"))
    visitor = Visitor(site.url)
    for path in (
        f"/hub/user/nobody/lab?token={token}",
        f"/user/alice/lab?token={token}",
        f"/hub/login?next=%2Fjupyterhub%2Fuser%2Falice%2Flab%3Ftoken%3D{token}",
        f"/hub/login?next=https%3A%2F%2Fevil.example%2F%3Ftoken%3D{token}",
        f"/hub/none?token={token}",
        f"/hub/api/none?a=b&token={token}",
        f"/hub/spawn?_xsrf={xsrf}",
        f"/hub/gate?next=%2Fjupyterhub%2Fuser%2Falice%2Flab%3Ftoken%3D{token}",
    ):
        visitor.get_page(path)
        requests.post(site.url + path, timeout=30)
    visitor.sign_in("alice", site.xnat.state.user("alice").password)
    visitor.get_page(f"/hub/logout?token={token}")
    log = wait_until(
        lambda: (text := site.log_since(position)) and "/hub/logout" in text and text, 30, "the log"
    )
    assert token not in log
    assert xsrf not in log


def test_names_begin_no_line_in_the_log(site):
    position = len(site.log.read_text("utf-8", "replace"))
    for character in "\n\r\x85\u2028\x9b\u202e":
        Visitor(site.url).sign_in(f"x{character}[W 2026-01-01 forged]", "wrong")
        requests.get(f"{site.url}/hub/{character}[W forged]", timeout=30)
    log = wait_until(lambda: (text := site.log_since(position)) and "forged" in text and text, 30, "the log")
    assert not [line for line in log.splitlines() if line.startswith("[W 2026-01-01 forged")]
    assert not set("\x85\u2028\x9b\u202e") & set(log)
