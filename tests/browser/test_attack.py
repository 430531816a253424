"""A hostile user's server against a colleague at a real Chromium, behind the shipped nginx file: what it gets, what he sees.

`test_attack_web_servers.py` does the essential of it behind the others.
"""

import re
import threading
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote_plus, urlsplit

import pytest
from playwright.sync_api import expect
from requests import Session

from tests.browser.conftest import ARGUMENTS, CHROMIUM, go, sign_in_to_xnat
from tests.gate.servers import find_command
from tests.noting import Notes, cookies_in, start
from tests.proxies.web_servers import WebServer, install_web_servers, make_certificate
from tests.support import ROOT, RunningHub, free_port, new_standin, wait_until

WAYS = (Path(__file__).parent / "ways.js").read_text()
ATTACKER = "demo"
COLLEAGUE = "Alice"
ADMIN = "alice"
# What the script of her page does: the hub signs its reader in silently, and a page of the hub holds what a token takes.
THEFT = """
async (user) => {
  const hub = "/jupyterhub/hub";
  const opened = window.open(`${hub}/token`, "_blank", "popup");
  const xsrf = () => { try { return opened.jhdata.xsrf_token; } catch { return undefined; } };
  for (let tries = 0; tries < 100 && !xsrf(); tries++) await new Promise((done) => setTimeout(done, 100));
  const body = JSON.stringify({ note: "hers" });
  const headers = { "Content-Type": "application/json" };
  const made = await fetch(`${hub}/api/users/${user}/tokens?_xsrf=${xsrf()}`, { method: "POST", headers, body });
  const xnat = await (await fetch("/xapi/users/username")).text();
  return { xnat, status: made.status, token: (await made.json()).token };
}
"""
REACHED_BY_THE_OWNER = 60
"""Of the ways of ways.js, at least so many reach the server from its owner's own page: they do ask for it."""


@contextmanager
def attacked(folder, extra=None):
    """XNAT and hub, for one https address that a web server is to have; the attacker's server runs, and notes all that it receives."""
    make_certificate(folder)
    port = free_port()
    address = f"https://localhost:{port}"
    with new_standin() as xnat:
        changes = {
            "xnat": {"public_url": address},
            "hub": {"public_url": f"{address}/jupyterhub/", "admin_users": [ADMIN]},
            "sign_in": {"foreign_servers": "ask"},
            "extra": extra or {},
        }
        hub = RunningHub(folder, xnat, changes)
        hub.start()
        try:
            hub.noted = Notes(hub, ATTACKER)
            start(hub, ATTACKER)
            hub.token_of_attacker = hub.plugin.token(ATTACKER, "test", 3600)
            hub.public_port = port
            yield hub
        finally:
            hub.stop()


@contextmanager
def behind(kind, hub):
    """The web server of a kind before XNAT and hub; with None the hub's own proxy is what browsers find, at XNAT's host but another port."""
    if kind is None:
        hub.xnat_page, hub.web = hub.xnat.url, f"http://127.0.0.1:{hub.port}"
        web = nullcontext()
    else:
        install_web_servers([kind], "browser")
        where = hub.xnat.url.removeprefix("http://"), f"127.0.0.1:{hub.port}"
        web = WebServer(kind, hub.folder, *where, hub.public_port)
        hub.xnat_page = hub.web = web.url
    hub.grab = f"{hub.web}/jupyterhub/user/{ATTACKER}/grab"
    with web:
        yield hub


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with attacked(tmp_path_factory.mktemp("attack")) as hub, behind("nginx", hub) as site:
        yield site


@pytest.fixture(scope="module")
def ungated(tmp_path_factory):
    """The same with the proxy as it comes, which is what the hub ran before there was a gate."""
    node, script = find_command()
    command = [node, "--import", str(ROOT / "tests/gate/no_gate.mjs"), script]
    folder, extra = tmp_path_factory.mktemp("ungated"), {"ConfigurableHTTPProxy.command": command}
    with attacked(folder, extra) as hub, behind("nginx", hub) as site:
        yield site
        # The cookies it was after: what every test's files are searched for when all is done.
        hub.noted.file.unlink()


@pytest.fixture(scope="module")
def browser(chromium):
    """A Chromium that takes the tests' certificate for good, or it would run no service worker."""
    arguments = [*ARGUMENTS, "--ignore-certificate-errors"]
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=arguments)
    yield browser
    browser.close()


@pytest.fixture
def signed_in(browser, request):
    """Open a page of somebody's own browser, signed in to XNAT, and never before to the hub."""
    contexts = []

    def new(name, site=None):
        site = site or request.getfixturevalue("site")
        contexts.append(browser.new_context(ignore_https_errors=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        sign_in_to_xnat(page, site.xnat, site.xnat_page, name)
        site.noted()
        return page

    yield new
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def elsewhere(site):
    """The attacker's own web site: its pages lead to her server in the ways that a page of another site has."""
    grab, token = site.grab, site.token_of_attacker
    pages = {
        "/": "<p>nothing</p>",
        "/meta": f'<meta http-equiv="refresh" content="0;url={grab}?way=meta">',
        "/script": f"<script>location = '{grab}?way=script'</script>",
        "/form": f'<form action="{grab}" method="get"><input name="way" value="form"></form><script>document.forms[0].submit()</script>',
        "/post": f'<form action="{grab}?way=post" method="post"><input name="a" value="b"></form><script>document.forms[0].submit()</script>',
        "/token": f"<script>location = '{grab}?way=token&token={token}'</script>",
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/redirect":
                self.send_response(302)
                self.send_header("Location", f"{grab}?way=redirect")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(pages.get(self.path, "").encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def way_asked(address):
    """Return which of ways.js an address comes from, however it is wrapped into others; "" for none."""
    while (plain := unquote_plus(address)) != address:
        address = plain
    found = re.search("[?&]way=([^&]*)", address)
    return found[1] if found else ""


def try_all(page, site, base):
    """Run all ways in a page at `base`, and give what it saw of each, with the texts of the windows that opened.

    Chromium breaks off all that is under way when an interface of the machine comes or goes, as those of containers do: such
    ways are tried again.
    """
    seen, only, broken = {}, None, set()

    def note(request):
        if request.failure and "ERR_NETWORK_CHANGED" in request.failure:
            broken.add(way_asked(request.url))

    page.context.on("requestfailed", note)
    for tries in range(10):
        go(page, base)
        broken.clear()
        asked = {"grab": site.grab, "token": site.token_of_attacker, "only": only}
        seen |= page.evaluate(WAYS, asked)
        page.wait_for_timeout(1500)
        for number, other in enumerate(page.context.pages):
            if other != page:
                seen[f"window {tries}.{number}"] = other.evaluate("document.documentElement.textContent")
                other.close()
        only = sorted(broken - {""})
        if not only:
            break
    page.context.remove_listener("requestfailed", note)
    return seen


def names_in_xnat(site, requests):
    """Return who XNAT takes the sender of these requests' cookies for."""
    cookies = {each for request in requests for each in cookies_in(request) if "JSESSIONID" in each}
    address = f"{site.xnat.url}/xapi/users/username"
    return {Session().get(address, headers={"Cookie": each}, timeout=20).text for each in cookies}


def test_without_the_gate_a_link_takes_over_an_administrator(ungated, signed_in):
    page = signed_in(ADMIN, ungated)
    go(page, ungated.grab)
    expect(page.locator("body")).to_have_text("GRABBED")
    assert names_in_xnat(ungated, ungated.noted()) == {ADMIN}
    stolen = page.evaluate(THEFT, ADMIN)
    assert (stolen["xnat"], stolen["status"]) == (ADMIN, 201)
    mine = Session().get(f"{ungated.url}/hub/api/user", headers={"Authorization": f"token {stolen['token']}"})
    assert (mine.json()["name"], mine.json()["admin"]) == (ADMIN, True)
    # And by many of the ways that the tests below count.
    go(page, ungated.grab)
    ungated.noted()
    try_all(page, ungated, f"{ungated.web}/jupyterhub/hub/health")
    noted = ungated.noted()
    assert len(ways_of(noted)) >= REACHED_BY_THE_OWNER
    assert names_in_xnat(ungated, noted) == {ADMIN}


def test_with_the_gate_the_same_link_gets_nothing(site, signed_in):
    page = signed_in(ADMIN)
    go(page, site.grab)
    told_whose_it_is(page, ADMIN)
    assert site.noted() == []


def ways_of(requests):
    return {parse_qs(urlsplit(address).query).get("way", ["?"])[0] for _, address, _ in requests}


def ways_reach_their_owner(page, site):
    """Try all ways as the server's owner: enough of them reach it and are shown, and bring it no cookie but its own."""
    go(page, site.grab)
    expect(page.locator("body")).to_have_text("GRABBED")
    seen = try_all(page, site, f"{site.web}/jupyterhub/hub/health")
    noted = site.noted()
    reached = ways_of(noted)
    assert len(reached) >= REACHED_BY_THE_OWNER, (sorted(reached), seen)
    assert sum("GRABBED" in each for each in seen.values()) >= 20, seen
    cookies = {each for request in noted for each in cookies_in(request)}
    assert cookies <= {"seen=1"}


def test_the_ways_reach_their_owner_s_server_and_bring_no_foreign_cookie(site, signed_in):
    """Else the tests below would show nothing."""
    page = signed_in(ATTACKER)
    ways_reach_their_owner(page, site)
    # What would act on XNAT's pages too does not.
    assert page.evaluate(
        "navigator.serviceWorker.getRegistrations().then(all => all.every(one => one.scope.includes('/user/')))"
    )


@pytest.mark.parametrize("base", ["xnat's origin", "her own site"])
def test_no_way_reaches_it_from_a_colleague_s_browser(site, signed_in, elsewhere, base):
    page = signed_in(COLLEAGUE)
    seen = try_all(page, site, f"{site.web}/jupyterhub/hub/health" if base == "xnat's origin" else elsewhere)
    assert len(seen) >= 75
    assert not [way for way, text in seen.items() if "GRABBED" in text]
    assert site.noted() == []


def test_nor_once_he_has_a_server_of_his_own(site, signed_in):
    start(site, COLLEAGUE, project="P2")
    page = signed_in(COLLEAGUE)
    own = f"{site.web}/jupyterhub/user/{COLLEAGUE}/api/status"
    assert go(page, own.replace("api/status", "lab")).status == 200
    assert go(page, own).status == 200
    seen = try_all(page, site, own)
    assert not [way for way, text in seen.items() if "GRABBED" in text]
    assert site.noted() == []
    site.plugin.stop(COLLEAGUE)


def told_whose_it_is(page, name=COLLEAGUE):
    expect(page.get_by_role("heading", name="This is the server of demo")).to_be_visible()
    expect(page.locator("body")).to_contain_text(f"You are {name}")


@pytest.mark.parametrize("way", ["address", "token", "login", "gate", "spawn", "dots", "percent"])
def test_a_colleague_who_follows_a_link_is_told_whose_server_it_is(site, signed_in, way):
    page = signed_in(COLLEAGUE)
    path = f"/jupyterhub/user/{ATTACKER}/grab"
    token = site.token_of_attacker
    addresses = {
        "address": site.grab,
        "token": f"{site.grab}?token={token}",
        "login": f"{site.web}/jupyterhub/hub/login?next={quote(path, safe='')}",
        "gate": f"{site.web}/jupyterhub/hub/gate?next={quote(path, safe='')}",
        "spawn": f"{site.web}/jupyterhub/hub/user/{ATTACKER}/grab",
        "dots": site.grab.replace("/demo/", "/Alice/../demo/"),
        "percent": site.grab.replace("/demo/", "/%64emo/"),
    }
    answer = go(page, addresses[way])
    if way == "spawn":
        assert answer.status in {403, 404}
    else:
        told_whose_it_is(page)
        assert answer.status == 403
    assert token not in page.url
    assert site.noted() == []


@pytest.mark.parametrize("way", ["redirect", "meta", "script", "form", "post", "token"])
def test_a_colleague_led_there_by_another_site_is_told_too(site, signed_in, elsewhere, way):
    page = signed_in(COLLEAGUE)
    go(page, f"{elsewhere}/{way}")
    if way == "post":
        expect(page.locator("body")).to_contain_text("not signed in as the owner of this server")
    else:
        told_whose_it_is(page)
    assert site.noted() == []


def test_an_admin_may_open_it_after_the_page_that_says_whose_it_is(site, signed_in):
    page = signed_in(ADMIN)
    go(page, site.grab)
    expect(page.locator("body")).to_contain_text("can act as you, here and in XNAT")
    assert site.noted() == []
    page.get_by_role("button", name="Open the server of demo").click()
    page.wait_for_url(site.grab)
    expect(page.locator("body")).to_have_text("GRABBED")
    opened = wait_until(site.noted, 10, "the request")
    assert not [each for request in opened for each in cookies_in(request)]
