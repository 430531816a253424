"""The hub on a host name of its own: XNAT's button opens the notebook, nobody types a password, and no cookie is shared."""

import contextlib
import re

import pytest
from playwright.sync_api import Error, expect

from tests.browser.conftest import go, sign_in_to_xnat
from tests.proxies.two_names import TwoNames
from tests.proxies.web_servers import install_web_servers, make_certificate
from tests.support import RunningHub, free_port, new_standin
from xnathub_conf.standin import HubLink

XNAT, JUPYTER = "xnat.localhost", "jupyter.localhost"
"""Names that browsers find on this machine."""

KERNEL = """
async () => {
  const server = location.pathname.replace(/lab.*/, "");
  const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)[1];
  const made = await fetch(`${server}api/kernels`, { method: "POST", headers: { "X-XSRFToken": xsrf }, body: "{}" });
  const socket = new WebSocket(`wss://${location.host}${server}api/kernels/${(await made.json()).id}/channels`);
  return await new Promise((done) => {
    socket.onmessage = (event) => done(JSON.parse(event.data).channel);
    socket.onclose = (event) => done(`closed: ${event.code}`);
  });
}
"""


@contextlib.contextmanager
def two_hosts(folder, **hub_keys):
    """XNAT and its hub over https behind nginx as docs/own-host.md sets it up."""
    install_web_servers(["nginx"], "browser")
    port = free_port()
    make_certificate(folder)
    address = f"https://{JUPYTER}:{port}/jupyterhub"
    with new_standin() as xnat:
        changes = {
            "xnat": {"public_url": f"https://{XNAT}:{port}"},
            "hub": {"public_url": f"{address}/", **hub_keys},
            "sign_in": {"xnat_session": False},
        }
        hub = RunningHub(folder, xnat, changes)
        xnat.hub = HubLink(f"{hub.url}/hub/api", address, hub.token)
        hub.public, hub.xnat_public = address, f"https://{XNAT}:{port}"
        where = ("nginx", folder, xnat.url.removeprefix("http://"), f"127.0.0.1:{hub.port}", port)
        hub.start()
        try:
            with TwoNames(*where, names=(XNAT, JUPYTER), user_hosts="user_subdomains" in hub_keys):
                yield hub
        finally:
            hub.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with two_hosts(tmp_path_factory.mktemp("own-host")) as hub:
        yield hub


def change_to(page, site, name):
    page.context.clear_cookies(domain=XNAT)
    sign_in_to_xnat(page, site.xnat, site.xnat_public, name)


def press_the_button(page, site, name):
    """Press Start Jupyter in XNAT, and give every address that the browser asked the hub's host for."""
    change_to(page, site, name)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Start Jupyter on Synthetic phantoms").click()
    try:
        page.wait_for_url(
            re.compile(r"https://([^/]+\.)?jupyter\.localhost:"), timeout=120_000, wait_until="commit"
        )
    except Error as error:
        # Containers that others start meanwhile disturb the network.
        if "ERR_NETWORK_CHANGED" not in str(error):
            raise
        go(page, asked[-1])
    return asked


def test_xnat_s_button_opens_the_notebook_and_nobody_types_a_password(site, new_page):
    page = new_page()
    asked = press_the_button(page, site, "demo")
    page.wait_for_url(re.compile(r"/user/demo/\d{8}T\d{9}Z/lab"))
    expect(page.locator("#jp-main-dock-panel, .jp-Launcher").first).to_be_visible(timeout=60_000)
    with_token = [url for url in asked if "token=" in url]
    assert len(with_token) == 1, with_token
    assert not [url for url in asked if "/hub/login" in url]
    assert page.evaluate(KERNEL) == "iopub"
    assert all(each["secure"] for each in page.context.cookies(site.public) if each["name"] != "_xsrf")
    hosts = {each["domain"]: set() for each in page.context.cookies()}
    for each in page.context.cookies():
        hosts[each["domain"]].add(each["name"])
    assert "JSESSIONID" in hosts[XNAT]
    assert "JSESSIONID" not in hosts[JUPYTER]
    assert not {name for name in hosts[XNAT] if name.startswith(("jupyterhub", "xnathub", "xh-"))}
    # The token opened this once: in another browser, whoever found it in a log gets nowhere.
    other = new_page()
    go(other, with_token[0])
    expect(other.get_by_label("XNAT user name:")).to_be_visible()
    token = with_token[0].partition("token=")[2]
    assert token not in other.url
    assert token not in site.log.read_text()


@pytest.mark.parametrize("led_by", ["another site", "nothing", "a server's page"])
def test_a_link_to_an_attacker_s_server_with_her_token_signs_nobody_in_as_her(site, new_page, led_by):
    """He is signed in to XNAT, and would write into her notebook what is his."""
    owner = new_page()
    press_the_button(owner, site, "demo")
    owner.wait_for_url(re.compile(r"/user/demo/.*/lab"))
    link = f"{owner.url}?token={site.plugin.token('demo', 'test', 600)}"
    page = new_page()
    sign_in_to_xnat(page, site.xnat, site.xnat_public, "alice")
    if led_by == "nothing":
        go(page, link)
    else:
        go(page, site.xnat.url if led_by == "another site" else f"{site.public}/user/demo/api")
        with page.expect_navigation():
            page.evaluate("link => { location = link }", link)
    expect(page.get_by_role("heading", name="Go on as demo?")).to_be_visible()
    expect(page.locator("main")).to_contain_text("does not come from XNAT's button")
    names = {each["name"] for each in page.context.cookies(site.public)}
    assert not names & {"jupyterhub-hub-login", "__Host-xnathub-gate"}
    # Where it is the owner who has kept the link, a click is all.
    page.get_by_role("button", name="Go on as demo").click()
    page.wait_for_url(re.compile(r"/user/demo/.*/lab"))


def test_no_page_of_a_server_reads_xnat_s(site, new_page):
    page = new_page()
    press_the_button(page, site, "demo")
    page.wait_for_url(re.compile(r"/lab"))
    seen = page.evaluate(
        "url => fetch(url, {credentials: 'include'}).then(a => a.text(), e => e.name)", site.xnat_public
    )
    assert seen == "TypeError"


def test_another_person_s_button_in_the_same_browser_asks_first(site, new_page):
    page = new_page()
    press_the_button(page, site, "demo")
    page.wait_for_url(re.compile(r"/user/demo/.*/lab"))
    press_the_button(page, site, "alice")
    expect(page.get_by_role("heading", name="Go on as alice?")).to_be_visible()
    expect(page.locator("main")).to_contain_text("This browser is signed in to Jupyter as demo")
    page.get_by_role("button", name="Go on as alice").click()
    page.wait_for_url(re.compile(r"/user/alice/.*/lab"))
    go(page, f"{site.public}/hub/home")
    expect(page.locator("#login_widget")).to_contain_text("alice")
