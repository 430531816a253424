"""Headers and cookies of a hub whose browsers come over TLS: every one of them is looked at."""

import re
from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from tests.support import RunningHub, Visitor, new_standin
from xnathub_conf.standin import faults

PUBLIC = "https://xnat.example.org/jupyterhub/"

PAGES = {
    "accent": "#123456",
    "notice": "Maintenance <today> at 18:00, see https://example.org/plan",
    "links": [{"text": "House rules & help", "url": "https://wiki.example.org/jupyter?a=1"}],
}


class Browser(Visitor):
    """Notes each cookie with its attributes, and sends `Secure` ones though the test's hub is reached over http."""

    def __init__(self, hub_url):
        super().__init__(hub_url)
        self.noted = []

    def send(self, request, **kwargs):
        follow = kwargs.pop("allow_redirects", True)
        for _ in range(20):
            answer = super().send(request, allow_redirects=False, **kwargs)
            for line in answer.raw.headers.getlist("Set-Cookie"):
                for cookie in SimpleCookie(line).values():
                    self.noted.append((urlsplit(request.url).path, cookie))
            for cookie in self.cookies:
                cookie.secure = False
            if not (follow and answer.is_redirect):
                return answer
            there = urljoin(answer.url, answer.headers["Location"])
            there = self.hub_url + urlsplit(there)._replace(scheme="", netloc="").geturl().removeprefix(
                "/jupyterhub"
            )
            request = self.prepare_request(requests.Request("GET", there))
        raise AssertionError("redirects without an end")


@pytest.fixture(scope="module")
def tls_hub(tmp_path_factory):
    with new_standin() as xnat:
        hub = RunningHub(
            tmp_path_factory.mktemp("tls"), xnat, {"hub": {"public_url": PUBLIC}, "pages": PAGES}
        ).start()
        yield hub
        hub.stop()


@pytest.fixture
def alice(tls_hub):
    browser = Browser(tls_hub.url)
    assert browser.sign_in("alice", tls_hub.xnat.state.user("alice").password).status_code == 302
    return browser


def test_every_cookie_is_for_tls_for_this_site_and_for_no_script(tls_hub, alice):
    tls_hub.plugin.ensure_user("alice")
    tls_hub.plugin.start("alice", tls_hub.xnat.state.launch("alice", "P1"))
    tls_hub.plugin.wait_ready("alice")
    pages = (
        "/hub/home",
        "/hub/token",
        "/hub/login",
        "/user/alice/lab",
        "/user/alice/api/status",
        "/hub/none",
    )
    for page in pages:
        alice.get_page(page)
    alice.get_page("/hub/logout")
    alice.get_page("/hub/logout", headers={"Sec-Fetch-Site": "same-origin"})
    tls_hub.plugin.stop("alice")
    # The gate marks what a server sets.
    names = [re.sub("^xh-[0-9a-f]{8}-", "", cookie.key) for _, cookie in alice.noted]
    seen = {name.split("-oauth-state-")[0] for name in names}
    assert {
        "_xsrf", "jupyterhub-hub-login", "jupyterhub-session-id", "xnathub-browser", "__Host-xnathub-gate",
        "__Host-xnathub-signed-in", "jupyterhub-user-alice", "jupyterhub-user-alice-oauth-state",
    } <= seen  # fmt: skip
    for path, cookie in alice.noted:
        if not cookie.value:
            continue  # it is being taken away
        what = f"{cookie.key} of {path}"
        if cookie.key.endswith("_xsrf") and cookie["path"].startswith("/jupyterhub/user/alice/"):
            continue  # Jupyter's own, which its script reads; it opens nothing
        assert cookie["secure"], what
        assert cookie["samesite"].lower() in {"lax", "strict"}, what
        assert cookie["httponly"], what
        assert not cookie["domain"], what
        # Browsers take a name that begins so for all paths alone.
        assert cookie["path"].startswith("/jupyterhub/") or cookie.key.startswith("__Host-"), what


PATHS = [
    "/hub/login", "/hub/home", "/hub/token", "/hub/none", "/hub/admin", "/hub/spawn-pending/alice", "/hub/logout", "/hub/health", "/hub/api",
    "/hub/api/users", "/hub/api/none", "/hub/user/alice/", "/user/alice/", "/user/none/", "/", "/hub/error/404",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("who", ["alice", "nobody"])
def test_every_page_and_answer_has_the_headers(tls_hub, alice, path, who):
    browser = alice if who == "alice" else Browser(tls_hub.url)
    answer = browser.get_page(path, allow_redirects=False)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] in {"no-store", "no-cache"}
    if path == "/hub/api":
        assert set(answer.json()) == {"version"}, "any page's script may read this answer"
    else:
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_refused_sign_in_has_them_too(tls_hub):
    browser = Browser(tls_hub.url)
    answer = browser.sign_in("alice", "wrong")
    assert answer.status_code == 403
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_files_of_the_pages_are_taken_for_nothing_else(tls_hub):
    page = Browser(tls_hub.url).get_page("/hub/login").text
    found = [part.partition('"')[0] for part in page.split('src="')[1:] + page.split('href="')[1:]]
    files = [path for path in found if path.startswith("/jupyterhub/hub/static/")]
    assert files
    for path in files:
        answer = requests.get(tls_hub.url.removesuffix("/jupyterhub") + path, timeout=20)
        assert answer.status_code == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/hub/identity",
        f"/hub/identity?challenge={'0' * 64}",
        "/hub/logo",
        "/hub/static/js/admin-react.js",
        "/hub/static/none",
    ],
)
def test_what_is_no_page_has_the_headers_too(tls_hub, path):
    answer = requests.get(tls_hub.url + path, timeout=20)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_what_the_proxy_says_by_itself_has_them_too(tls_hub, alice):
    tls_hub.plugin.ensure_user("alice")
    tls_hub.plugin.start("alice", tls_hub.xnat.state.launch("alice", "P1"))
    tls_hub.plugin.wait_ready("alice")
    refused = requests.get(f"{tls_hub.url}/user/alice/lab", headers={"Sec-Fetch-Mode": "cors"}, timeout=20)
    elsewhere = requests.get(
        f"{tls_hub.url}/user/alice/lab", headers={"Accept": "text/html"}, allow_redirects=False, timeout=20
    )
    for answer, status in ((refused, 403), (elsewhere, 302)):
        assert answer.status_code == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    tls_hub.plugin.stop("alice")


def test_another_site_s_script_reads_no_answer(tls_hub, alice):
    for method in ("GET", "OPTIONS"):
        answer = alice.request(
            method,
            f"{tls_hub.url}/hub/api/users/alice",
            headers={
                "Origin": "https://evil.example",
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "cors",
            },
            timeout=20,
        )
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert '"name"' not in answer.text


def test_the_site_s_notice_and_links_stand_on_every_page_as_text(tls_hub, alice):
    for page in (requests.get(f"{tls_hub.url}/hub/login", timeout=30), alice.get(f"{tls_hub.url}/hub/home")):
        assert "Maintenance &lt;today&gt; at 18:00, see <a " in page.text
        assert 'href="https://example.org/plan"' in page.text
        assert (
            '<a class="nav-link" href="https://wiki.example.org/jupyter?a=1" rel="noreferrer">' in page.text
        )
        assert "House rules &amp; help" in page.text
        assert ":root { --accent: #123456; }" in page.text


def test_a_page_learns_whether_xnat_still_holds_what_to_start(tls_hub, alice):
    def told(user: str) -> object:
        return alice.get(f"{tls_hub.url}/hub/launchable?user={user}&server=").json()["launchable"]

    state = tls_hub.xnat.state
    state.launch("alice", "P1")
    assert told("alice") is True
    state.remove_user_options("alice")
    assert told("alice") is False
    # Nobody learns it of another person.
    state.launch("Alice", "P2")
    assert told("Alice") is None
    tls_hub.xnat.faults.set("/xapi/jupyterhub/users", faults.Status(503))
    try:
        assert told("alice") is None
    finally:
        tls_hub.xnat.faults.clear()
    assert requests.get(f"{tls_hub.url}/hub/launchable?user=alice", timeout=30).status_code == 403
