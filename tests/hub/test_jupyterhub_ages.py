"""Single-user servers of JupyterHubs of every age: page, contents, and a kernel over a websocket, by every way in."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import requests

from tests import old_jupyterhubs
from tests.support import Visitor, run_cell
from xnathub_conf.standin import Environment

NAVIGATION = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "same-origin",
}
SCRIPT = {
    "Accept": "*/*",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Site": "same-origin",
}


class Browser(Visitor):
    """A browser that opens a server and works there, as JupyterLab's script does."""

    def open(self, address: str) -> None:
        page = self.get(address, headers=NAVIGATION, timeout=60)
        assert page.status_code == 200, page.text
        assert "jupyter-config-data" in page.text, page.url

    def script(self, method: str, address: str, **kwargs) -> requests.Response:
        headers = {**SCRIPT, "Referer": address}
        if xsrf := [
            c.value for c in self.cookies if c.name == "_xsrf" and urlsplit(address).path.startswith(c.path)
        ]:
            headers["X-XSRFToken"] = xsrf[-1]
        return self.request(method, address, headers=headers, timeout=60, **kwargs)

    def works_in(self, server: str) -> None:
        contents = self.script("GET", f"{server}api/contents")
        assert contents.status_code == 200, contents.text
        assert contents.json()["type"] == "directory"
        made = self.script("POST", f"{server}api/kernels", json={"name": "python3"})
        assert made.status_code == 201, made.text
        kernel = f"{server}api/kernels/{made.json()['id']}"
        channels = f"{kernel}/channels"
        cookies = requests.cookies.get_cookie_header(self.cookies, requests.Request("GET", channels))
        parts = urlsplit(server)
        assert (
            run_cell(channels, "print(6 * 7)", cookie=cookies, origin=f"{parts.scheme}://{parts.netloc}")
            == "42\n"
        )
        assert self.script("DELETE", kernel).status_code == 204


OFF = {"JUPYTERHUB_SINGLEUSER_EXTENSION": "0"}
"""What XNAT or the site sets for 4.0.2, which without it keeps no cookie from the token in an address."""


def started(hub, xnat, version: str, env: dict[str, str]) -> str:
    """Start a server of that version as XNAT does, and return its address."""
    command = f"{old_jupyterhubs.programs(version)}/jupyterhub-singleuser --allow-root"
    xnat.state.environment = Environment(command=command, env=env)
    options = xnat.state.launch("alice", "P1")
    hub.plugin.ensure_user("alice")
    hub.plugin.start("alice", options)
    path = hub.plugin.wait_ready("alice")["url"]
    return f"{hub.url.removesuffix('/jupyterhub')}{path}"


def from_xnat(hub, xnat) -> Browser:
    browser = Browser(hub.url)
    browser.cookies.set("JSESSIONID", xnat.state.open_session("alice").id, path="/")
    return browser


@pytest.mark.parametrize("version", ["3.1.1", "4.0.2", "4.1.6", "5.3.0", "6.1.1"])
def test_a_server_of_any_age_is_entered_by_every_way_and_works(hub, xnat, version):
    server = started(hub, xnat, version, OFF if version == "4.0.2" else {})
    token = hub.plugin.token("alice", "XNAT's page", 600)
    for browser, address in (
        (from_xnat(hub, xnat), f"{server}?token={token}"),
        (from_xnat(hub, xnat), server),
        (Browser(hub.url), server),
    ):
        if "JSESSIONID" not in browser.cookies:
            assert browser.sign_in("alice", xnat.state.user("alice").password).status_code == 302
        browser.open(address)
        browser.works_in(server)


@pytest.mark.parametrize("version", ["4.1.6", "5.3.0", "6.1.1"])
def test_what_4_0_needs_does_no_harm_to_others(hub, xnat, version):
    server = started(hub, xnat, version, OFF)
    browser = from_xnat(hub, xnat)
    browser.open(f"{server}?token={hub.plugin.token('alice', 'a page', 600)}")
    browser.works_in(server)
