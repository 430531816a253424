"""Hostile neighbours on XNAT's own address: each test attacks one hub that they share."""

import pytest

from tests.support import RunningHub, Visitor, new_standin, page_text, wait_until

AGE = 3


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A hub that looks at sign-ins every few seconds."""
    with new_standin() as xnat:
        changes = {"sign_in": {"auth_refresh_age": AGE}}
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
