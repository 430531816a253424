"""Cookies that a page of another host below the same domain, or somebody in a hurry, puts into a browser's requests."""

import re
import threading
import time
from contextlib import contextmanager, suppress
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from tests.hub.test_passes import browser, cookie_header, xnat_session
from tests.noting import Notes, start
from tests.support import RunningHub, Visitor, new_standin, page_text, wait_until
from xnathub_conf.web.gate_pass import GateKey

JUPYTER = "jupyter.localhost"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with new_standin() as xnat:
        hub = RunningHub(tmp_path_factory.mktemp("hub"), xnat)
        hub.start()
        yield hub
        hub.stop()


def ask(site, *cookies):
    return Visitor(site.url).get_page(
        "/user/demo/grab", headers={"Cookie": "; ".join(cookies)}, allow_redirects=False
    )


@pytest.fixture
def attack(site):
    """The attacker's session and pass, which any page of a host such as blog.example.org may set for example.org."""
    attacker = browser(site, "demo")
    assert attacker.get_page("/user/demo/grab").text == "GRABBED"
    return f"JSESSIONID={attacker.cookies['JSESSIONID']}", f"xnathub-gate={attacker.cookies['xnathub-gate']}"


@pytest.mark.parametrize("last", [True, False])
def test_a_session_and_a_pass_that_another_host_adds_let_nobody_in(site, noted, attack, last):
    """XNAT takes any of the sessions: a page of the attacker's server would act in XNAT as alice."""
    session, its_pass = attack
    noted()
    own = f"JSESSIONID={xnat_session(site, 'alice')}"
    both = (own, session) if last else (session, own)
    for cookies in ((*both, its_pass), (its_pass, *both), (*both, *both, its_pass)):
        assert ask(site, *cookies).status_code == 302
    junk = [f"JSESSIONID=junk{each}" for each in range(9)]
    for cookies in ((own, *junk, session, its_pass), (*junk, session, its_pass)):
        assert ask(site, *cookies).status_code == 302, "so many are looked at by nobody"
    assert noted() == []


@pytest.mark.parametrize("last", [True, False])
def test_who_sends_sessions_of_two_people_is_told_so(site, noted, attack, last):
    """Not led round in a circle, and signed in as neither, nor left signed in as the one who was."""
    session, _ = attack
    noted()
    alice = browser(site, "alice")
    own = f"JSESSIONID={alice.cookies['JSESSIONID']}"
    assert alice.get_page("/hub/home").status_code == 200
    signed_in = [f"{each.name}={each.value}" for each in alice.cookies if each.name != "JSESSIONID"]
    both = (own, session) if last else (session, own)
    for cookies in (both, (*both, *signed_in), (*signed_in, *both)):
        for path in ("/hub/home", "/user/alice/lab"):
            page = led(site, path, *cookies)
            assert page.status_code == 403
            assert "signed in to XNAT as alice and as demo at once" in page_text(page)
            assert "user: " not in page.text.replace('user: ""', "")
    many = [own, *(f"JSESSIONID=ANOTHER{each}" for each in range(9))]
    assert "sends too many sessions of XNAT" in page_text(led(site, "/hub/home", *many))
    assert led(site, "/hub/home", own, "JSESSIONID=of-another-tomcat", *signed_in).status_code == 200
    assert '"another-session"' in site.log.read_text()
    assert noted() == []


def led(site, path, *cookies):
    """Go where a browser is led that has these cookies, and takes more; return the last page."""
    visitor, address = Visitor(site.url), path
    for _ in range(6):
        more = [f"{each.name}={each.value}" for each in visitor.cookies]
        page = visitor.get_page(
            address, headers={"Cookie": "; ".join((*cookies, *more))}, allow_redirects=False
        )
        if page.status_code not in {301, 302, 303}:
            return page
        address = page.headers["Location"].removeprefix("/jupyterhub")
    raise AssertionError(f"led round in a circle, at last to {address}")


def test_who_has_two_sessions_of_their_own_or_one_of_another_program_s_comes_in(site, attack):
    session, its_pass = attack
    for more in (f"JSESSIONID={xnat_session(site, 'demo')}", "JSESSIONID=of-another-tomcat"):
        for both in ((session, more), (more, session)):
            answer = ask(site, *both, its_pass)
            assert (answer.status_code, answer.text) == (200, "GRABBED")
            (renewed,) = re.findall(r"xnathub-gate=[^;]*", answer.headers["Set-Cookie"])
            again = ask(site, *both, renewed)
            assert (again.text, "xnathub-gate=" in again.headers.get("Set-Cookie", "")) == ("GRABBED", False)


@pytest.fixture
def own_host(tmp_path):
    with new_standin() as xnat:
        changes = {
            "xnat": {"public_url": "https://xnat.localhost"},
            "hub": {"public_url": f"https://{JUPYTER}/jupyterhub/", "user_subdomains": True},
            "sign_in": {"xnat_session": False},
        }
        hub = RunningHub(tmp_path, xnat, changes)
        hub.start()
        yield hub
        hub.stop()


OWN_HOST = {
    "xnat": {"public_url": "https://xnat.localhost"},
    "hub": {"public_url": f"https://{JUPYTER}/jupyterhub/"},
    "sign_in": {"xnat_session": False},
}
XNAT_S_HOST = {
    "xnat": {"public_url": f"https://{JUPYTER}"},
    "hub": {"public_url": f"https://{JUPYTER}/jupyterhub/"},
}


@pytest.mark.parametrize("changes", [OWN_HOST, XNAT_S_HOST], ids=["own host", "XNAT's host"])
def test_no_sign_in_and_no_pass_of_another_is_taken_from_a_browser_with_tls(tmp_path, changes):
    """The reader came in by password: no session in XNAT says whose browser it is."""
    with new_standin() as xnat:
        hub = RunningHub(tmp_path, xnat, changes)
        hub.start()
        try:
            notes = Notes(hub, "demo")
            start(hub, "demo")
            attacker, reader = (_signed_in_over_tls(hub, each) for each in ("demo", "alice"))
            grab = _ask_over_tls(hub, attacker, "/user/demo/grab")
            (let_in,) = _cookies_of(_ask_over_tls(hub, attacker, grab.headers["Location"]), "xnathub-gate")
            assert _ask_over_tls(hub, [*attacker, let_in], "/user/demo/grab").text == "GRABBED"
            notes()
            assert not [each for each in attacker if each.startswith("__Host-jupyterhub-user")]
            # As a browser has it: no other host sets a name that begins so.
            planted = [each for each in (*attacker, let_in) if not each.startswith("__Host-")]
            # With a byte before it that Python takes for a blank, any host may.
            odd = [f"{byte}{each}" for byte in "\xa0\x85" for each in (*attacker, let_in)]
            for more in (planted, [*planted, *odd]):
                for cookies in ([*reader, *more], [*more, *reader]):
                    answer = _ask_over_tls(hub, cookies, "/user/demo/grab")
                    assert answer.status_code == 302
                    answer = _ask_over_tls(hub, cookies, answer.headers["Location"])
                    assert not _cookies_of(answer, "xnathub-gate")
                    home = _ask_over_tls(hub, cookies, "/hub/home")
                    assert 'user: "demo"' not in home.text
            assert notes() == []
            assert 'user: "alice"' in _ask_over_tls(hub, reader, "/hub/home").text
        finally:
            hub.stop()


def _signed_in_over_tls(hub, name):
    """Return the cookies of a browser that came through a web server with TLS, which the hub believes there to be."""
    visitor = _over_tls(hub)
    assert visitor.sign_in(name, hub.xnat.state.user(name).password).status_code == 302
    return cookie_header(visitor, "/jupyterhub/hub/gate").split("; ")


class _OverTls(Visitor):
    """Sends cookies for TLS over http too, which requests does not do, whatever the policy of its jar."""

    def prepare_request(self, request):
        prepared = super().prepare_request(request)
        if cookies := cookie_header(self, f"{urlsplit(prepared.url).path}/"):
            prepared.headers["Cookie"] = cookies
        return prepared


def _over_tls(hub):
    visitor = _OverTls(hub.url)
    visitor.headers["Host"] = JUPYTER
    visitor.cookies.set_policy(DefaultCookiePolicy(secure_protocols=("http", "https")))
    return visitor


def _ask_over_tls(hub, cookies, address):
    address = address.removeprefix("/jupyterhub")
    headers = {"Host": JUPYTER, "Cookie": "; ".join(cookies), "Sec-Fetch-Site": "same-origin"}
    return Visitor(hub.url).get_page(address, headers=headers, allow_redirects=False)


def _cookies_of(answer, name):
    return [f"{each.name}={each.value}" for each in answer.cookies if each.name.endswith(name) and each.value]


def test_a_token_of_an_address_signs_in_once_also_where_two_ask_at_once(own_host):
    """Whoever finds it is as fast as its owner, and somebody else is signed in to both browsers."""
    hub = own_host
    start(hub, "alice")
    people = ["demo", "bob", "carol", "dave"]
    for each in people[1:]:
        hub.xnat.state.add_user(each, roles=["Jupyter"], projects=["P1"])
    for each in people:
        # The end of the passes to it is what takes time.
        start(hub, each)
    token = hub.plugin.token("alice", "opened by XNAT", 300)
    path = "/hub/gate?next=/jupyterhub/user/alice/lab&state=" + "0" * 64
    forms = []
    for each in people:
        visitor = _over_tls(hub)
        assert visitor.sign_in(each, hub.xnat.state.user(each).password).status_code == 302
        cookies = f"__Host-xnathub-token={token}; {cookie_header(visitor, '/jupyterhub/hub/gate')}"
        page = requests.get(hub.url + path, headers={"Host": JUPYTER, "Cookie": cookies}, timeout=30)
        assert "Go on as alice?" in page_text(page)
        found = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page.text))
        cookies += "".join(f"; {name}={value}" for name, value in page.cookies.items())
        forms.append((cookies, {**found, "switch": "1"}))
    answers = []

    def go_on(cookies, form):
        # As the proxy sends it on, which can't while it stands still.
        headers = {"Host": JUPYTER, "Cookie": cookies, "X-Xnathub-Proxy": proof(hub)}
        address = f"{hub.hub_bind_url}/jupyterhub/hub/gate"
        answer = requests.post(address, data=form, headers=headers, allow_redirects=False, timeout=60)
        answers.append(answer.status_code)

    threads = [threading.Thread(target=go_on, args=each) for each in forms]
    with standing_still(hub):
        for each in threads:
            each.start()
        time.sleep(2)
    for each in threads:
        each.join()
    assert sorted(answers) == [302, 403, 403, 403]
    assert len(re.findall(r'"way": "token"', hub.log.read_text())) == 1


def test_a_sign_out_waits_seconds_alone_for_a_proxy_that_stands_still(site, noted):
    """The request came in through it; then it stands still, as in a container that is paused."""
    owner = browser(site, "demo")
    assert owner.get_page("/user/demo/grab").text == "GRABBED"
    its_pass = cookie_header(owner)
    cookies = cookie_header(owner, "/jupyterhub/hub/")
    headers = {"X-Xnathub-Proxy": proof(site), "Sec-Fetch-Site": "same-origin", "Cookie": cookies}
    address = f"{site.hub_bind_url}/jupyterhub/hub/logout"
    with standing_still(site):
        start = time.monotonic()
        answer = requests.get(address, headers=headers, allow_redirects=False, timeout=60)
        assert answer.status_code == 302
        assert 4 < time.monotonic() - start < 10
        home = requests.get(
            f"{site.hub_bind_url}/jupyterhub/hub/home", headers=headers, allow_redirects=False, timeout=60
        )
        assert home.status_code == 302, "a copy of the cookie is worth nothing already"

    def refused():
        # Where the pass ends meanwhile, the proxy ends the connection.
        with suppress(requests.ConnectionError):
            return ask(site, its_pass).status_code != 200

    wait_until(refused, 30, "the end of the pass")
    assert "sign-out" in site.log.read_text()


def proof(hub):
    return GateKey(bytes.fromhex(hub.cookie_secret)).proxy_proof


@contextmanager
def standing_still(hub):
    (proxy,) = [
        each
        for each in psutil.Process(hub.process.pid).children(recursive=True)
        if "configurable-http-proxy" in " ".join(each.cmdline())
    ]
    proxy.suspend()
    try:
        yield
    finally:
        proxy.resume()
