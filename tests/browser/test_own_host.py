"""The hub on a host name of its own: XNAT's button opens the notebook, nobody types a password, and no cookie is shared."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import go, sign_in_to_xnat
from tests.noting import Notes
from tests.support import RunningHub, new_standin
from xnathub_conf.standin import HubLink


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """XNAT at xnat.localhost and its hub at jupyter.localhost, names that browsers find on this machine."""
    with new_standin() as xnat:
        folder = tmp_path_factory.mktemp("own-host")
        hub = RunningHub(folder, xnat)
        address = f"http://jupyter.localhost:{hub.port}/jupyterhub"
        xnat_address = f"http://xnat.localhost:{urlsplit(xnat.url).port}"
        text = hub.site_file.read_text()
        text = text.replace("hub:\n", f"hub:\n  public_url: {address}/\n", 1)
        text = text.replace("xnat:\n", f"xnat:\n  public_url: {xnat_address}\n", 1)
        hub.site_file.write_text(text + "sign_in: {xnat_session: false}\n")
        xnat.hub = HubLink(f"{hub.url}/hub/api", address, hub.token)
        hub.public, hub.xnat_public = address, xnat_address
        hub.noted = Notes(hub, "demo")
        hub.start()
        yield hub
        hub.stop()


@pytest.fixture
def new_page(chromium):
    contexts = []

    def new():
        contexts.append(chromium.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        return page

    yield new
    for context in contexts:
        context.close()


def change_to(page, site, name):
    page.context.clear_cookies(domain="xnat.localhost")
    sign_in_to_xnat(page, site.xnat, site.xnat_public, name)


def press_the_button(page, site, name):
    """Press Start Jupyter in XNAT, and give every address that the browser asked the hub's host for."""
    change_to(page, site, name)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Start Jupyter on Synthetic phantoms").click()
    page.wait_for_url(re.compile(r"http://jupyter\.localhost:"), timeout=120_000, wait_until="commit")
    return asked


def test_xnat_s_button_opens_the_notebook_and_nobody_types_a_password(site, new_page):
    page = new_page()
    asked = press_the_button(page, site, "demo")
    page.wait_for_url(re.compile(r"/user/demo/\d{8}T\d{9}Z/lab"))
    expect(page.locator("#jp-main-dock-panel, .jp-Launcher").first).to_be_visible()
    with_token = [url for url in asked if "token=" in url]
    assert len(with_token) == 1, with_token
    assert not [url for url in asked if "/hub/login" in url]
    hosts = {each["domain"]: set() for each in page.context.cookies()}
    for each in page.context.cookies():
        hosts[each["domain"]].add(each["name"])
    assert "JSESSIONID" in hosts["xnat.localhost"]
    assert "JSESSIONID" not in hosts["jupyter.localhost"]
    assert not {name for name in hosts["xnat.localhost"] if name.startswith(("jupyterhub", "xnathub", "xh-"))}
    # The token opened this once: in another browser, whoever found it in a log gets nowhere.
    other = new_page()
    go(other, with_token[0])
    expect(other.get_by_label("XNAT user name:")).to_be_visible()
    token = with_token[0].partition("token=")[2]
    assert token not in other.url
    assert token not in site.log.read_text()


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
