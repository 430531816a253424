"""XNAT and its hub on two host names over https, behind each web server as docs/own-host.md sets it up."""

import re

import pytest
import requests

from tests.plugin_pages import EVENT, request
from tests.proxies.two_names import hub_at, web_before
from tests.support import Visitor

XNAT, JUPYTER = "127.0.0.1", "localhost"


@pytest.fixture(scope="session")
def two_names(certificates, tmp_path_factory):
    """XNAT and hub, with the port that the web server before them has, and XNAT's plugin."""
    with hub_at((XNAT, JUPYTER), tmp_path_factory.mktemp("hub"), certificates / "fullchain.pem") as served:
        yield served


@pytest.fixture(scope="module")
def web(kind, two_names, certificates, tmp_path_factory):
    """The web server before both; `web.plugin` is XNAT's plugin."""
    folder = tmp_path_factory.mktemp("own-host")
    with web_before(kind, two_names, folder, certificates, names=(XNAT, JUPYTER)) as server:
        yield server


@pytest.fixture
def address(web):
    """What XNAT's button opens."""
    web.plugin.ensure_user("alice")
    if web.plugin.server("alice", EVENT) is None:
        web.plugin.start("alice", request(web.state.launch("alice", "P1", EVENT)))
        web.plugin.wait_ready("alice", EVENT)
    return web.plugin.open_url("alice", EVENT)


def browser(web) -> Visitor:
    visitor = Visitor(f"https://{JUPYTER}:{web.port}/jupyterhub")
    visitor.verify = web.ca
    return visitor


def test_each_name_leads_to_its_own(web):
    visitor = browser(web)
    assert "stand-in" in visitor.get(f"https://{XNAT}:{web.port}/", timeout=30).text.lower()
    assert "XNAT user name" in visitor.get(f"https://{JUPYTER}:{web.port}/", timeout=30).text
    assert visitor.get(f"https://{XNAT}:{web.port}/jupyterhub/hub/login", timeout=30).status_code == 404
    for name in (XNAT, JUPYTER):
        plain = visitor.get(f"http://{name}:{web.plain_port}/x", allow_redirects=False, timeout=30)
        assert re.fullmatch(rf"https://{name}(:\d+)?/x", plain.headers["Location"])


def test_xnat_s_button_signs_in_once_and_every_cookie_is_for_https(web, address):
    visitor = browser(web)
    session = web.state.open_session("alice").id
    visitor.cookies.set("JSESSIONID", session, domain=XNAT, path="/")
    opened = visitor.get(address, headers={"Referer": f"https://{XNAT}:{web.port}/"}, timeout=60)
    assert (opened.status_code, opened.text) == (200, "alice")
    assert opened.url == address.partition("?")[0]
    assert not [each.url for each in opened.history if "/hub/login" in each.url]
    ours = [each for each in visitor.cookies if each.name != "JSESSIONID"]
    assert {"__Host-xnathub-gate", "jupyterhub-session-id"} <= {each.name for each in ours}
    assert all(each.secure for each in ours)
    assert not any(session in str(each.request.headers) for each in [*opened.history, opened])
    # Whoever finds the address later gets the form.
    assert "XNAT user name" in browser(web).get(address, timeout=60).text


@pytest.mark.parametrize(
    "referer", [None, "https://evil.example/", f"https://{JUPYTER}/jupyterhub/user/demo/lab"]
)
def test_a_link_with_a_token_that_does_not_come_from_xnat_asks_first(web, address, referer):
    visitor = browser(web)
    page = visitor.get(address, headers={"Referer": referer}, timeout=60)
    assert "Go on as alice?" in page.text
    assert not [
        each for each in visitor.cookies if each.name in {"jupyterhub-hub-login", "__Host-xnathub-gate"}
    ]
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    headers = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Referer": page.url}
    assert visitor.post(page.url, data={**form, "_xsrf": "x"}, headers=headers, timeout=60).status_code == 403
    opened = visitor.post(page.url, data=form, headers=headers, timeout=60)
    assert (opened.status_code, opened.text) == (200, "alice")


def test_a_program_passes_with_its_token_and_no_token_is_logged(web, address):
    server, _, token = address.partition("?token=")
    program = {"Authorization": f"token {token}"}
    assert requests.get(server, headers=program, verify=web.ca, timeout=30).text == "alice"
    browser(web).get(f"{address}&again", timeout=60)
    logs = [path.read_text(errors="replace") for path in web.folder.iterdir() if "log" in path.name]
    assert logs
    assert token not in "".join(logs)
