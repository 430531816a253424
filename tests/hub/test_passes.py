"""Nobody's server gets hold of anybody else: the gate, between real browsers' requests and a real server that notes them all."""

import contextlib
import hmac
import html
import json
import os
import re
import secrets
import subprocess
import time
from socket import create_connection

import psutil
import pytest
import requests
import websocket

from tests.gate.servers import MODULES, b64, find_command
from tests.hub.test_hostile_users import own_token
from tests.noting import Notes, cookies_in, start
from tests.support import RunningHub, Visitor, free_port, new_standin, page_text, wait_until
from xnathub_conf.standin import HubError, faults
from xnathub_conf.web.gate_pass import GateKey

AGE = 4


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A hub with short checks, and what XNAT's Start button has started: demo's server, which notes all that it receives."""
    with new_standin() as xnat:
        hub = RunningHub(
            tmp_path_factory.mktemp("hub"),
            xnat,
            {"hub": {"admin_users": ["alice"]}, "sign_in": {"auth_refresh_age": AGE}},
        )
        hub.start()
        yield hub
        hub.stop()


def xnat_session(hub, name):
    """Sign in to XNAT, and give the session."""
    auth = (name, hub.xnat.state.user(name).password)
    return requests.get(f"{hub.xnat.url}/xapi/users/username", auth=auth, timeout=10).cookies["JSESSIONID"]


def browser(hub, name):
    """A browser in which somebody is signed in to XNAT, and never was to the hub."""
    visitor = Visitor(hub.url)
    visitor.cookies.set("JSESSIONID", xnat_session(hub, name), domain="127.0.0.1", path="/")
    return visitor


def socket(hub, path, **headers):
    address = hub.url.replace("http", "ws", 1) + path
    return websocket.create_connection(address, header=[f"{k}: {v}" for k, v in headers.items()], timeout=10)


def cookie_header(visitor, path="/jupyterhub/user/"):
    return "; ".join(f"{c.name}={c.value}" for c in visitor.cookies if path.startswith(c.path))


def test_the_owner_comes_in_by_xnats_session_and_the_server_sees_no_foreign_cookie(site, noted):
    owner = browser(site, "demo")
    noted()
    answer = owner.get_page("/user/demo/grab")
    assert (answer.status_code, answer.text) == (200, "GRABBED")
    assert "Service-Worker-Allowed" not in answer.headers
    owner.get_page("/user/demo/grab")
    first, second = noted()
    assert cookies_in(first) == []
    # Its own cookie comes back to it, under its own name and nothing else.
    assert cookies_in(second) == ["seen=1"]
    assert not [c for c in owner.cookies if c.name == "seen" and c.path == "/"]


def test_the_owner_comes_in_by_password(site, noted):
    owner = Visitor(site.url)
    owner.sign_in("demo", site.xnat.state.user("demo").password)
    assert owner.get_page("/user/demo/grab").text == "GRABBED"


@pytest.mark.parametrize("servername", ["", "20260728T120000123Z"])
def test_xnats_button_opens_jupyter(site, noted, servername):
    server = start(site, "alice", servername)
    token = site.plugin.token("alice", "test", 300)
    owner = browser(site, "alice")
    page = owner.get(f"{site.url.removesuffix('/jupyterhub')}{server['url']}lab?token={token}", timeout=60)
    assert page.status_code == 200
    assert page.url.endswith(f"{server['url']}lab")
    assert "jupyter-config-data" in page.text
    assert token not in "".join(step.headers.get("Location", "") for step in page.history)
    listing = owner.get(f"{page.url.removesuffix('lab')}api/contents", timeout=30)
    assert listing.status_code == 200
    assert "content" in listing.json()
    site.plugin.stop("alice", servername)


WAYS = {
    "link": "/user/demo/grab",
    "named like mine": "/user/alice/../demo/grab",
    "percent": "/user/%64emo/grab",
    "percent dots": "/user/alice/%2e%2e/demo/grab",
    "percent slash": "/user/demo%2fgrab",
    "doubled slashes": "/user//demo//grab",
    "sign-in": "/hub/login?next=%2Fjupyterhub%2Fuser%2Fdemo%2Fgrab",
    "gate": "/hub/gate?next=%2Fjupyterhub%2Fuser%2Fdemo%2Fgrab",
    "gate, dots": "/hub/gate?next=%2Fjupyterhub%2Fuser%2Falice%2F..%2Fdemo%2Fgrab",
    "gate, percent dots": "/hub/gate?next=%2Fjupyterhub%2Fuser%2Falice%2F%252e%252e%2Fdemo%2Fgrab",
    "gate, back slash": "/hub/gate?next=%2Fjupyterhub%2Fuser%2Falice%2F..%5Cdemo%2Fgrab",
    "gate, other host": "/hub/gate?next=%2F%2Fevil.example%2Fjupyterhub%2Fuser%2Falice%2F",
    "hub's redirect": "/hub/user/demo/grab",
    "user-redirect": "/hub/user-redirect/grab",
    "spawn page": "/hub/spawn/demo?next=%2Fjupyterhub%2Fuser%2Fdemo%2Fgrab",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("signed_in", [True, False], ids=["on the hub", "in XNAT alone"])
def test_a_colleague_gets_nothing_and_sends_nothing(site, noted, way, signed_in):
    colleague = browser(site, "alice")
    if signed_in:
        colleague.get_page("/hub/home")
        assert colleague.is_signed_in_as("alice")
    noted()
    request = requests.Request("GET", site.url + WAYS[way])
    prepared = colleague.prepare_request(request)
    prepared.url = site.url + WAYS[way]
    answer = colleague.send(prepared, timeout=60)
    assert "GRABBED" not in answer.text
    assert noted() == []


def test_a_colleague_is_told_whose_server_it_is(site, noted):
    answer = browser(site, "alice").get_page("/user/demo/grab")
    assert answer.status_code == 403
    assert "This is the server of demo" in page_text(answer)
    assert "You are alice" in page_text(answer)


def test_the_owners_token_in_a_link_opens_nothing_for_a_colleague(site, noted):
    token = site.plugin.token("demo", "test", 300)
    noted()
    colleague = browser(site, "alice")
    answer = colleague.get_page(f"/user/demo/grab?token={token}")
    assert answer.status_code == 403
    assert colleague.is_signed_in_as("alice")
    assert noted() == []


def test_what_is_no_page_is_refused_at_the_proxy(site, noted):
    colleague = browser(site, "alice")
    noted()
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        for headers in (
            {"Sec-Fetch-Mode": "cors"},
            {"Accept": "*/*"},
            {"Accept": "text/event-stream"},
            {"Accept": "text/html", "Purpose": "prefetch"},
            {"Accept": "text/html", "Sec-Purpose": "prefetch;prerender"},
        ):
            answer = colleague.request(
                method, f"{site.url}/user/demo/grab", headers=headers, allow_redirects=False, timeout=30
            )
            assert answer.status_code in {302, 403}
            assert answer.status_code == 403 or method == "GET"
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        socket(site, "/user/demo/socket", Cookie=cookie_header(colleague))
    assert refused.value.status_code == 403
    assert noted() == []


def test_an_admin_may_not_open_it_either_unless_the_site_allows_it(site, noted):
    noted()
    admin = browser(site, "alice")
    assert admin.get_page("/user/demo/grab").status_code == 403
    assert "Open the server" not in admin.get_page("/user/demo/grab").text
    assert noted() == []


def test_a_program_comes_in_with_a_token_alone(site, noted):
    token = site.plugin.token("demo", "test", 300)
    headers = {"Authorization": f"token {token}"}
    answer = requests.get(f"{site.url}/user/demo/api/contents", headers=headers, timeout=30)
    assert answer.status_code == 200
    noted()
    cookie = {"Cookie": f"JSESSIONID={xnat_session(site, 'alice')}"}
    assert requests.get(f"{site.url}/user/demo/grab", headers=headers | cookie, timeout=30).status_code == 403
    assert requests.get(f"{site.url}/user/demo/grab", auth=("demo", "x"), timeout=30).status_code == 403
    assert noted() == []


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_strangers_bodies_take_no_memory_of_a_server(site, noted, framing):
    def memory():
        family = [each for server in site.server_processes() for each in (server, *server.children(True))]
        return sum(each.memory_info().rss for each in family)

    host, port = site.url.split("/")[2].split(":")
    length = "Transfer-Encoding: chunked" if framing == "chunked" else f"Content-Length: {90 << 20}"
    head = f"POST /jupyterhub/user/demo/api/contents HTTP/1.1\r\nHost: x\r\nAuthorization: token made-up\r\n{length}\r\n\r\n"
    piece = b"a" * (1 << 20)
    if framing == "chunked":
        piece = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    before = memory()
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(create_connection((host, int(port)), timeout=30))
            connection.sendall(head.encode())
            with contextlib.suppress(ConnectionError):
                for _ in range(80):
                    connection.sendall(piece)
        # 160 MB came, or would have come.
        assert memory() - before < 30 << 20
    assert "made-up" not in site.log.read_text("utf-8", "replace")


def test_a_program_uploads_with_a_token(site, noted):
    headers = {"Authorization": f"token {site.plugin.token('demo', 'test', 300)}"}
    model = {"type": "file", "format": "text", "content": "x" * (5 << 20)}
    url = f"{site.url}/user/demo/api/contents/large.txt"
    assert requests.put(url, headers=headers, json=model, timeout=60).status_code == 201
    pieces = iter([json.dumps(model).encode()])
    assert requests.put(url, headers=headers, data=pieces, timeout=60).status_code == 200
    assert requests.get(url, headers=headers, timeout=60).json()["size"] == 5 << 20


@pytest.mark.parametrize("proof", [None, "x", "of another question"])
def test_nobody_but_the_gate_asks_the_hub_about_tokens(site, proof):
    body = json.dumps({"token": site.token})
    if proof == "of another question":
        key = GateKey(bytes.fromhex(site.cookie_secret)).key
        proof = b64(hmac.digest(key, f"renew:{body}".encode(), "sha256"))
    headers = {"X-Xnathub-Gate": proof} if proof else {}
    for url in (site.url, f"{site.hub_bind_url}/jupyterhub"):
        answer = requests.post(f"{url}/hub/gate/token", data=body, headers=headers, timeout=30)
        assert answer.status_code == 404


@pytest.mark.parametrize("forged", ["x", "e30.AAAA", "..", "a.b.c", '"', ""])
def test_a_forged_pass_opens_nothing(site, noted, forged):
    noted()
    answer = requests.get(
        f"{site.url}/user/demo/grab",
        headers={"Cookie": f"xnathub-gate={forged}", "Accept": "text/html"},
        allow_redirects=False,
        timeout=30,
    )
    assert answer.status_code == 302
    assert noted() == []


def test_a_pass_of_ones_own_opens_nobody_elses_server(site, noted):
    # Her sign-ins in the tests before may have started it.
    if not site.plugin.server("alice"):
        start(site, "alice")
    site.plugin.wait_ready("alice")
    colleague = browser(site, "alice")
    assert colleague.get_page("/user/alice/lab").status_code == 200
    noted()
    assert colleague.get_page("/user/demo/grab").status_code == 403
    assert noted() == []
    site.plugin.stop("alice")


def test_signing_out_ends_pages_and_open_sockets_within_seconds(site, noted):
    owner = browser(site, "demo")
    assert owner.get_page("/user/demo/grab").text == "GRABBED"
    copied = cookie_header(owner)
    channel = socket(site, "/user/demo/socket", Cookie=copied)
    assert channel.recv() == "GRABBED"
    owner.get_page("/hub/logout", headers={"Sec-Fetch-Site": "same-origin"})
    noted()
    assert (
        requests.get(f"{site.url}/user/demo/grab", headers={"Cookie": copied}, timeout=30).status_code == 403
    )
    channel.settimeout(5)
    with contextlib.suppress(websocket.WebSocketConnectionClosedException, ConnectionError):
        assert channel.recv() == ""
    assert noted() == []


def test_signing_out_leaves_tokens_and_the_server_as_the_table_says(site, noted):
    """docs/security.md: what a sign-out ends."""
    owner = browser(site, "demo")
    owner.get_page("/hub/home")
    made = owner.post(
        f"{site.url}/hub/api/users/demo/tokens",
        json={"note": "my program", "expires_in": 600},
        headers={"X-XSRFToken": owner.cookies.get("_xsrf", path="/jupyterhub/hub/"), "Referer": site.url},
        timeout=30,
    ).json()
    mine, xnats = made["token"], site.plugin.token("demo", "test", 300)
    owner.get_page("/hub/logout", headers={"Sec-Fetch-Site": "same-origin"})
    site.xnat.state.user("demo").password = "changed-since"
    for token in (mine, xnats):
        answer = requests.get(
            f"{site.url}/user/demo/api/contents", headers={"Authorization": f"token {token}"}, timeout=30
        )
        assert answer.status_code == 200
    assert site.plugin.server("demo")["ready"]
    # Revoked, as its page does, a token is at its end at once where the hub is asked.
    gone = requests.delete(
        f"{site.url}/hub/api/users/demo/tokens/{made['id']}",
        headers={"Authorization": f"token {mine}"},
        timeout=30,
    )
    assert gone.status_code == 204
    for path in ("/hub/api/user", "/hub/api/users/demo"):
        headers = {"Authorization": f"token {mine}"}
        assert requests.get(f"{site.url}{path}", headers=headers, timeout=30).status_code == 403


def test_a_proxy_that_dies_is_replaced_with_its_gate(site, noted):
    owner = browser(site, "demo")
    assert owner.get_page("/user/demo/grab").text == "GRABBED"
    cookie = cookie_header(owner)
    channel = socket(site, "/user/demo/socket", Cookie=cookie)
    assert channel.recv() == "GRABBED"
    (proxy,) = (
        each
        for each in psutil.Process(site.process.pid).children()
        if "configurable-http-proxy" in " ".join(each.cmdline())
    )
    proxy.kill()
    channel.settimeout(30)
    with contextlib.suppress(websocket.WebSocketConnectionClosedException, ConnectionError):
        assert channel.recv() == ""

    def opened():
        with contextlib.suppress(OSError, websocket.WebSocketException):
            return socket(site, "/user/demo/socket", Cookie=cookie).recv() == "GRABBED"

    # By the same pass, as JupyterLab tries by itself.
    wait_until(opened, 90, "a new proxy")
    noted()
    colleague = browser(site, "alice")
    assert colleague.get_page("/user/demo/grab").status_code == 403
    with pytest.raises(websocket.WebSocketBadStatusException):
        socket(site, "/user/demo/socket", Cookie=cookie_header(colleague))
    assert noted() == []


def test_another_session_of_xnat_in_the_same_browser_ends_the_pass_at_once(site, noted):
    """At a shared workstation: one signs out of XNAT, and another signs in."""
    owner = browser(site, "demo")
    assert owner.get_page("/user/demo/grab").text == "GRABBED"
    owner.cookies.set("JSESSIONID", xnat_session(site, "alice"), domain="127.0.0.1", path="/")
    noted()
    answer = owner.get_page("/user/demo/grab", headers={"Accept": "*/*"}, allow_redirects=False)
    assert answer.status_code == 403
    assert "This is the server of demo" in page_text(owner.get_page("/user/demo/grab"))
    assert noted() == []


def test_a_new_session_of_the_same_person_goes_on(site, noted):
    owner = browser(site, "demo")
    assert owner.get_page("/user/demo/grab").text == "GRABBED"
    owner.cookies.set("JSESSIONID", xnat_session(site, "demo"), domain="127.0.0.1", path="/")
    answer = owner.get_page("/user/demo/grab", headers={"Accept": "*/*"}, allow_redirects=False)
    assert answer.text == "GRABBED"


def test_losing_the_role_ends_it_within_the_refresh_age(site, noted):
    state = site.xnat.state
    user = state.user("demo")
    owner = browser(site, "demo")
    assert owner.get_page("/user/demo/grab").text == "GRABBED"
    kept, everyone = user.roles, state.all_users_can_start
    user.roles, state.all_users_can_start = frozenset(), False
    try:
        began = time.monotonic()

        def refused():
            answer = owner.get_page("/user/demo/grab", headers={"Accept": "*/*"}, allow_redirects=False)
            return answer.status_code == 403

        wait_until(refused, AGE + 5, "the end of the pass")
        assert time.monotonic() - began < AGE + 5
    finally:
        user.roles, state.all_users_can_start = kept, everyone


@pytest.mark.parametrize("sessions", [1, 2])
def test_xnat_answers_one_light_question_for_all_that_a_session_has_open(site, noted, sessions):
    """What it says by one session tells of the role too; by the others it is asked whose they are, since each can end by itself."""
    browsers = [browser(site, "demo") for _ in range(sessions)]
    for each in browsers:
        assert each.get_page("/user/demo/grab").text == "GRABBED"
    open_ones = [
        socket(site, "/user/demo/socket", Cookie=cookie_header(each)) for each in browsers * (4 // sessions)
    ]
    # Each of the sessions is known by now, and all that is open has met.
    time.sleep(AGE + 4)
    site.xnat.requests.clear()
    rounds = 3
    end = time.monotonic() + rounds * AGE
    while time.monotonic() < end:
        for each in browsers:
            assert each.get_page("/user/demo/grab", headers={"Accept": "*/*"}).text == "GRABBED"
        time.sleep(0.5)
    asked = [
        request.path for request in site.xnat.requests.find() if "demo" in f"{request.path} {request.who}"
    ]
    light = {"/xapi/users/demo/roles", "/xapi/users/username"} if sessions > 1 else {"/xapi/users/demo/roles"}
    assert set(asked) == light
    assert sessions * (rounds - 1) <= len(asked) <= sessions * (rounds + 2)
    for each in open_ones:
        each.close()


def test_losing_the_role_beside_a_dashboard_leaves_that_alone(site, noted):
    """Any user may start a dashboard: it must not keep a notebook open that runs on from before."""
    state, name = site.xnat.state, "20260728T120000123Z"
    owner = browser(site, "demo")
    assert owner.get_page("/user/demo/grab").text == "GRABBED"
    channel = socket(site, "/user/demo/socket", Cookie=cookie_header(owner))
    program = socket(
        site, "/user/demo/socket", Authorization=f"token {site.plugin.token('demo', 'test', 300)}"
    )
    assert channel.recv() == program.recv() == "GRABBED"
    site.plugin.start("demo", {**state.launch("demo", "P1", name, dashboard=True), "dashboardConfigId": 7})
    site.plugin.wait_ready("demo", name)
    user = state.user("demo")
    kept, everyone = user.roles, state.all_users_can_start
    user.roles, state.all_users_can_start = frozenset(), False
    try:
        for each in (channel, program):
            each.settimeout(60)
            with contextlib.suppress(websocket.WebSocketConnectionClosedException, ConnectionError):
                assert each.recv() == ""

        # For a few seconds a page's other requests are taken by the answer that the first one got.
        def refused() -> bool:
            return owner.get_page("/user/demo/grab", headers={"Accept": "*/*"}).status_code == 403

        wait_until(refused, AGE + 15, "the end of the pass")
        noted()
        for headers in ({"Accept": "text/html"}, {"Accept": "*/*"}):
            assert owner.get_page("/user/demo/grab", headers=headers).status_code == 403
        assert "this account may not use Jupyter" in page_text(owner.get_page("/user/demo/grab"))
        assert noted() == []
        assert owner.get_page(f"/user/demo/{name}/lab").status_code == 200
    finally:
        user.roles, state.all_users_can_start = kept, everyone
        site.plugin.stop("demo", name)

    def back():
        return owner.get_page("/user/demo/grab").text == "GRABBED"

    wait_until(back, 60, "the role's return")


@pytest.mark.parametrize("slashes", ["//", "///", "////", "/\\", "/\\/", "\\/"])
def test_the_gate_leads_to_no_other_host(site, slashes):
    owner = browser(site, "demo")
    owner.get_page("/hub/home")
    parameters = {"next": f"{slashes}jupyterhub/user/demo/grab"}
    answer = owner.get(f"{site.url}/hub/gate", params=parameters, allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.headers.get("Location")) == (400, None)


def test_a_hub_that_comes_back_knows_its_passes(tmp_path):
    with new_standin() as xnat:
        hub = RunningHub(tmp_path, xnat, {"sign_in": {"auth_refresh_age": 300}})
        hub.start()
        try:
            start(hub, "demo")
            owner = browser(hub, "demo")
            assert owner.get_page("/user/demo/lab").status_code == 200
            before = owner.cookies["xnathub-gate"]
            hub.stop()
            hub.start()
            start(hub, "demo")
            answer = owner.get_page("/user/demo/api/status", headers={"Accept": "*/*"}, allow_redirects=False)
            # Not 403 of the gate: the server is another, and has not signed anybody in yet.
            assert "not signed in as the owner" not in answer.text
            assert owner.cookies["xnathub-gate"] == before
        finally:
            hub.stop()


def test_with_ask_an_admin_is_told_whose_it_is_and_may_go_on(tmp_path):
    with new_standin() as xnat:
        changes = {
            "hub": {"admin_users": ["alice"]},
            "sign_in": {"foreign_servers": "ask", "auth_refresh_age": 4},
        }
        hub = RunningHub(tmp_path, xnat, changes)
        hub.start()
        try:
            noted = Notes(hub, "demo")
            start(hub, "demo")
            address = "/jupyterhub/user/demo/grab?a=b"
            plain = browser(hub, "Alice")
            assert "Open the server of demo" not in plain.get_page("/user/demo/grab").text
            assert open_as_told(hub, plain, address).status_code == 403
            admin = browser(hub, "alice")
            page = admin.get_page("/user/demo/grab?a=b")
            assert page.status_code == 403
            assert "Open the server of demo" in page.text
            assert html.escape(address) in page.text
            noted()
            # Without the page's own token, or for another address, nothing opens.
            assert admin.post(f"{hub.url}/hub/gate", data={"next": address}, timeout=30).status_code == 403
            assert open_as_told(hub, admin, "//evil.example.org/jupyterhub/user/demo/").status_code == 400
            assert noted() == []
            opened = open_as_told(hub, admin, address)
            assert (opened.status_code, opened.text) == (200, "GRABBED")
            assert opened.url == hub.url.removesuffix("/jupyterhub") + address
            assert [cookies_in(each) for each in noted()] == [[]]
            (line,) = re.findall(r"\{\"event\": \"foreign-server\".*\}", hub.log.read_text())
            assert json.loads(line)["address"] == "127.0.0.1"
        finally:
            hub.stop()


@pytest.mark.parametrize("rule", ["ask", "never"])
def test_a_share_opens_the_one_server_that_was_shared(tmp_path, rule):
    """What the admin grants to Alice on purpose, through JupyterHub's own API: one of demo's two servers."""
    with new_standin() as xnat:
        changes = {"sign_in": {"foreign_servers": rule, "auth_refresh_age": 4}}
        changes["hub"] = {"admin_users": ["alice"]}
        hub = RunningHub(tmp_path, xnat, changes)
        hub.start()
        try:
            shared = "20260728T120000123Z"
            start(hub, "demo")
            start(hub, "demo", shared)
            guest = browser(hub, "Alice")
            address = f"/jupyterhub/user/demo/{shared}/lab"
            assert "Open the server of demo" not in guest.get_page(f"/user/demo/{shared}/lab").text
            share = f"{hub.url}/hub/api/shares/demo/{shared}"
            admin = browser(hub, "alice")
            may_share = {"Authorization": f"token {own_token(admin, 'alice', scopes=['inherit'])}"}
            assert (
                requests.post(share, json={"user": "Alice"}, headers=may_share, timeout=30).status_code == 200
            )
            page = guest.get_page(f"/user/demo/{shared}/lab")
            assert page.status_code == 403
            assert "This is the server of demo" in page_text(page)
            if rule == "never":
                assert "Open the server of demo" not in page.text
                assert open_as_told(hub, guest, address).status_code == 403
                assert "xnathub-gate" not in guest.cookies
                return
            assert "Open the server of demo" in page.text
            # The server itself asks the hub too, whose page asks whether it may know who the visitor is.
            consent = open_as_told(hub, guest, address)
            assert "Authorize" in consent.text
            field = guest.cookies.get("_xsrf", path="/jupyterhub/hub/")
            opened = guest.post(
                consent.url,
                data={"_xsrf": field},
                headers={"Sec-Fetch-Site": "same-origin", "Referer": consent.url},
                timeout=30,
            )
            assert (opened.status_code, opened.url) == (200, hub.url.removesuffix("/jupyterhub") + address)
            assert guest.get_page(f"/user/demo/{shared}/api/contents").json()["type"] == "directory"
            # The other one was not shared: neither the pass nor the page opens it.
            other = guest.get_page("/user/demo/api/contents")
            assert "This is the server of demo" in page_text(other)
            assert "Open the server of demo" not in other.text
            refused = open_as_told(hub, guest, "/jupyterhub/user/demo/api/contents")
            assert "do not allow you to open that server" in refused.text
            assert guest.get_page(f"/user/demo/{shared}/api/contents").status_code == 200
            # Taken back, it is over within the ten seconds after which the gate asks again.
            taken = requests.patch(share, json={"user": "Alice"}, headers=may_share, timeout=30)
            assert taken.status_code == 200, taken.text
            wait_until(
                lambda: guest.get_page(f"/user/demo/{shared}/api/contents").status_code == 403,
                20,
                "the share's end",
            )
        finally:
            hub.stop()


def open_as_told(hub, visitor, address):
    """Send the form of the page that says whose server an address leads to, and follow where it leads."""
    visitor.get_page("/hub/home")
    xsrf = visitor.cookies.get("_xsrf", path="/jupyterhub/hub/")
    data = {"next": address, "_xsrf": xsrf}
    headers = {
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "navigate",
        "Referer": f"{hub.url}/hub/gate",
    }
    return visitor.post(f"{hub.url}/hub/gate", data=data, headers=headers, timeout=30)


def test_a_proxy_without_the_gate_ends_the_hubs_start(tmp_path):
    with new_standin() as xnat:
        hub = RunningHub(
            tmp_path, xnat, {"extra": {"ConfigurableHTTPProxy.command": ["configurable-http-proxy"]}}
        )
        hub.begin()
        try:
            assert hub.process.wait(60) != 0
            assert "is not xnathub's: it would hand people's XNAT sessions on" in hub.log.read_text()
            with pytest.raises(requests.ConnectionError):
                requests.get(hub.url, timeout=20)
        finally:
            if hub.process.poll() is None:
                hub.stop()


def test_a_proxy_without_the_gate_that_comes_in_later_gets_no_route(tmp_path):
    """As Zero to JupyterHub's own would, once its values name another image: the hub runs on, and only the proxy is new."""
    command = [
        "configurable-http-proxy",
        f"--port={(port := free_port())}",
        f"--api-port={(api := free_port())}",
    ]
    environment = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(16)}
    node, script = find_command()
    gated = [node, "--import", str(MODULES / "gate.mjs"), script, *command[1:]]
    with new_standin() as xnat:
        hub = RunningHub(
            tmp_path,
            xnat,
            {
                "hub": {"bind_url": f"http://127.0.0.1:{port}"},
                "extra": {
                    "ConfigurableHTTPProxy.should_start": False,
                    "ConfigurableHTTPProxy.api_url": f"http://127.0.0.1:{api}",
                    "ConfigurableHTTPProxy.auth_token": environment["CONFIGPROXY_AUTH_TOKEN"],
                },
            },
        )
        hub.url = f"http://127.0.0.1:{port}/jupyterhub"
        hub.use(xnat)
        with contextlib.ExitStack() as stack:
            proxy = subprocess.Popen([*gated, f"--default-target={hub.hub_bind_url}"], env=environment)
            stack.callback(lambda: proxy.kill())  # noqa: PLW0108 - the last one
            stack.callback(hub.stop)
            hub.start()
            start(hub, "demo")
            assert browser(hub, "demo").get_page("/user/demo/api").status_code == 200
            proxy.kill()
            proxy.wait(10)
            proxy = subprocess.Popen([*command, f"--default-target={hub.hub_bind_url}"], env=environment)
            wait_until(lambda: "is not xnathub's" in hub.log.read_text(), 20, "the hub's notice")
            with pytest.raises(HubError):
                start(hub, "alice")
            headers = {"Authorization": f"token {environment['CONFIGPROXY_AUTH_TOKEN']}"}
            routes = requests.get(f"http://127.0.0.1:{api}/api/routes", headers=headers, timeout=10).json()
            assert list(routes) == ["/"]
            assert hub.process.poll() is None
            entries = [line for line in hub.log.read_text().splitlines() if "xnathub.audit" in line]
            (entry,) = [json.loads(line[line.index("{") :]) for line in entries if '"alice"' in line]
            assert (entry["event"], entry["outcome"], entry["reason"]) == ("start", "failed", "route")
            assert "is not xnathub's" in entry["detail"]
            # The right one back, all is well again.
            proxy.kill()
            proxy.wait(10)
            proxy = subprocess.Popen([*gated, f"--default-target={hub.hub_bind_url}"], env=environment)
            owner = browser(hub, "demo")

            def is_back():
                with contextlib.suppress(requests.ConnectionError):
                    return owner.get_page("/user/demo/api").status_code == 200

            wait_until(is_back, 30, "the way to demo's server")


def test_while_xnat_can_not_be_asked_nobody_comes_in_with_another_s_pass(tmp_path):
    """At a shared workstation: one has signed out of XNAT, the next has signed in, and then XNAT is away."""
    with new_standin() as xnat:
        calls = {"deadline": 4, "read_timeout": 2, "connect_timeout": 1, "retries": 0}
        hub = RunningHub(tmp_path, xnat, {"sign_in": {"auth_refresh_age": 2}, "xnat": {"calls": calls}})
        hub.start()
        try:
            notes = Notes(hub, "demo")
            start(hub, "demo")
            last = browser(hub, "demo")
            assert last.get_page("/user/demo/grab").text == "GRABBED"
            let_in, at_hub = cookie_header(last), cookie_header(last, "/jupyterhub/hub/")
            old, new = last.cookies["JSESSIONID"], xnat_session(hub, "alice")

            def ask(cookies, path="/user/demo/grab"):
                headers = {"Cookie": cookies, "Accept": "*/*"}
                return requests.get(hub.url + path, headers=headers, allow_redirects=False, timeout=30)

            hub.xnat.faults.set("/", faults.Status(503))
            for _ in range(2):
                assert ask(let_in.replace(old, new)).status_code == 503
                assert 'user: "demo"' not in ask(at_hub.replace(old, new), "/hub/home").text
            assert ask(let_in).text == "GRABBED", "XNAT's last word on this session was hers"
            hub.xnat.faults.clear()
            hub.xnat.state.end_session(old)
            wait_until(lambda: ask(let_in).status_code == 403, 20, "the end of the pass")
            hub.xnat.faults.set("/", faults.Status(503))
            notes()
            end = time.monotonic() + 16
            while time.monotonic() < end:
                assert ask(let_in).status_code == 403
                time.sleep(0.5)
            hub.xnat.faults.clear()
            for each in (let_in, let_in.replace(old, new)):
                wait_until(lambda each=each: ask(each).status_code == 403, 20, "XNAT's word on it")
            assert notes() == []
            # Who signs in again comes in again.
            again = browser(hub, "demo")
            assert again.get_page("/user/demo/grab").text == "GRABBED"
        finally:
            hub.stop()
