"""A host name for each user's servers: XNAT's button opens them there, and their pages read nothing of the hub's or each other's."""

import re
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import expect

from tests.browser.conftest import go
from tests.browser.test_own_host import (
    JUPYTER,
    KERNEL,
    XNAT,
    press_the_button,
    two_hosts,
)
from xnathub_conf.values.user_names import host_label


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with two_hosts(tmp_path_factory.mktemp("user-hosts"), user_subdomains=True) as hub:
        yield hub


def at_notebook(page, name):
    page.wait_for_url(
        re.compile(rf"https://{re.escape(host_label(name))}\.jupyter\.localhost:\d+/jupyterhub/user/.*/lab")
    )
    expect(page.locator("#jp-main-dock-panel, .jp-Launcher").first).to_be_visible(timeout=60_000)


def test_xnat_s_button_opens_the_notebook_at_the_user_s_host(site, new_page):
    page = new_page()
    asked = press_the_button(page, site, "demo")
    at_notebook(page, "demo")
    assert len([url for url in asked if "?token=" in url or "&token=" in url]) == 1
    assert not [url for url in asked if "/hub/login" in url]
    assert page.evaluate(KERNEL) == "iopub"
    hosts = {}
    for each in page.context.cookies():
        hosts.setdefault(each["domain"], set()).add(each["name"])
        assert each["secure"] or each["name"] == "_xsrf" or each["domain"] == XNAT
    assert {"__Host-xnathub-gate"} <= hosts[f"demo.{JUPYTER}"]
    assert not [name for name in hosts[f"demo.{JUPYTER}"] if name.startswith("jupyterhub-hub")]
    assert not [name for name in hosts[JUPYTER] if name.startswith("xh-") or name.endswith("xnathub-gate")]
    assert set(hosts) == {XNAT, JUPYTER, f"demo.{JUPYTER}"}
    # Its links to the hub's pages lead to the hub's host, and back.
    go(page, f"https://{urlsplit(page.url).netloc}/jupyterhub/hub/home")
    assert page.url.startswith(f"{site.public}/hub/home")
    # What brought the pass here is worth nothing in another browser.
    ticket = next(url for url in asked if "/gate/pass?ticket=" in url)
    other = new_page()
    assert go(other, ticket).status == 403
    assert ticket.partition("ticket=")[2][:40] not in site.log.read_text()


def test_pages_of_a_server_read_nothing_of_the_hub_or_of_another_s(site, new_page):
    page = new_page()
    press_the_button(page, site, "demo")
    at_notebook(page, "demo")
    port = urlsplit(site.public).port
    for url in (
        f"{site.public}/hub/home",
        f"{site.public}/hub/api/user",
        f"https://alice.{JUPYTER}:{port}/jupyterhub/user/alice/lab",
        site.xnat_public,
    ):
        seen = page.evaluate(
            "url => fetch(url, {credentials: 'include'}).then(a => a.text(), e => e.name)", url
        )
        assert seen == "TypeError"
    seen = page.evaluate("path => fetch(path).then(a => a.status)", "/jupyterhub/hub/home")
    assert seen == 403


@pytest.mark.parametrize("name", ["d.e@f.org", "m\u00fcller", "O'Brien", "x" * 70])
def test_names_that_no_host_can_bear(site, new_page, name):
    if name not in [user.name for user in site.xnat.state.users()]:
        site.xnat.state.add_user(name, roles=["Jupyter"], projects=["P1", "P2"])
    page = new_page()
    press_the_button(page, site, name)
    at_notebook(page, name)
    assert page.evaluate(KERNEL) == "iopub"


def test_another_person_s_button_in_the_same_browser_asks_first(site, new_page):
    page = new_page()
    press_the_button(page, site, "demo")
    at_notebook(page, "demo")
    of_demo = page.url
    press_the_button(page, site, "alice")
    expect(page.get_by_role("heading", name="Go on as alice?")).to_be_visible()
    page.get_by_role("button", name="Go on as alice").click()
    at_notebook(page, "alice")
    # What the person before has left at a host of their own opens nothing any more.
    assert go(page, of_demo).status == 403
    expect(page.get_by_role("heading", name="This is the server of demo")).to_be_visible()


def test_the_api_gives_paths_and_programs_use_the_hub_s_host(site):
    token = site.plugin.token("demo", "test", 300)
    server = site.plugin.start("demo", site.xnat.state.launch("demo", "P1")) or site.plugin.wait_ready("demo")
    assert server["url"] == "/jupyterhub/user/demo/"
    answer = requests.get(
        f"{site.url}/user/demo/api/status",
        headers={"Authorization": f"token {token}", "Host": JUPYTER},
        timeout=30,
    )
    assert answer.ok, answer.text
