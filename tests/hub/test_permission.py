"""Someone who is signed in loses the role in XNAT: the hub asks again on a schedule, and what it can't ask ends in time."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psutil
import pytest
import requests

from tests.support import WITHOUT_LAB, RunningHub, Visitor, new_standin, page_text, wait_until
from xnathub_conf.standin import faults

AGE, MAX_AGE = 1, 4


@pytest.fixture(scope="module")
def own_xnat():
    with new_standin() as xnat:
        xnat.state.environment = WITHOUT_LAB
        yield xnat


@pytest.fixture(scope="module")
def quick(own_xnat, tmp_path_factory):
    """A hub that asks again every second, and lets nobody stay for more than four without XNAT's word."""
    rules = {"auth_refresh_age": AGE, "max_age": MAX_AGE}
    hub = RunningHub(tmp_path_factory.mktemp("quick"), own_xnat, {"sign_in": rules}).start()
    yield hub
    hub.stop()


@pytest.fixture
def person(quick, own_xnat):
    """Someone new, with the role, who may read P1."""
    name = f"person{len(own_xnat.state.users())}"
    own_xnat.state.add_user(name, roles=["Jupyter"], projects=["P1"])
    yield own_xnat.state.user(name)
    own_xnat.faults.clear()
    if quick.plugin.server(name):
        quick.plugin.stop(name)


def xnat_session(hub, person):
    """A browser that is signed in to XNAT."""
    visitor = Visitor(hub.url)
    opened = requests.get(
        f"{hub.xnat.url}/xapi/users/username", auth=(person.name, person.password), timeout=10
    )
    visitor.cookies.set("JSESSIONID", opened.cookies["JSESSIONID"], path="/")
    return visitor


def started(hub, person):
    hub.plugin.ensure_user(person.name)
    hub.plugin.start(person.name, hub.xnat.state.launch(person.name, "P1"))
    return hub.plugin.wait_ready(person.name)


def signed_in(hub, person):
    visitor = Visitor(hub.url)
    assert visitor.sign_in(person.name, person.password).status_code == 302
    return visitor


def token_of(visitor, person):
    page = visitor.get_page("/hub/home").text
    xsrf = page.partition('xsrf_token: "')[2].partition('"')[0]
    answer = visitor.post(
        f"{visitor.hub_url}/hub/api/users/{person.name}/tokens",
        json={"note": "mine"},
        headers={"X-XSRFToken": xsrf, "Referer": visitor.hub_url},
        timeout=30,
    )
    return answer.json()["token"]


def with_token(hub, token, path):
    headers = {"Authorization": f"token {token}"}
    return requests.get(hub.url + path, headers=headers, allow_redirects=False, timeout=30)


def out(visitor, person):
    return wait_until(lambda: not visitor.is_signed_in_as(person.name), 30, "the end of the sign-in")


def stays(visitor, person, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert visitor.is_signed_in_as(person.name)
        time.sleep(0.3)


def test_who_loses_the_role_is_out_though_signed_in_to_xnat(quick, person):
    visitor = xnat_session(quick, person)
    visitor.get_page("/hub/login")
    stays(visitor, person, MAX_AGE * 2)
    position = len(quick.log_since(0))
    quick.xnat.state.set_roles(person.name, [])
    out(visitor, person)
    answer = visitor.get_page("/hub/home")
    assert f"You are {person.name} in XNAT, but this account may not use Jupyter" in page_text(answer)
    lines = [line for line in quick.log_since(position).splitlines() if "may no longer use Jupyter" in line]
    assert len(lines) == 1
    assert person.name in lines[0]


def test_who_loses_the_role_is_out_and_so_are_their_tokens_while_servers_go_on(quick, person):
    server = started(quick, person)
    visitor = signed_in(quick, person)
    token = token_of(visitor, person)
    assert with_token(quick, token, f"/hub/api/users/{person.name}").status_code == 200
    # The alias token of the running server tells, for longer than anybody stays without XNAT's word.
    stays(visitor, person, MAX_AGE * 2)
    quick.xnat.state.set_roles(person.name, [])
    out(visitor, person)
    assert with_token(quick, token, f"/hub/api/users/{person.name}").status_code == 403
    path = server["url"].removeprefix("/jupyterhub") + "api/contents/"
    assert with_token(quick, token, path).status_code in {302, 403}
    assert quick.plugin.server(person.name)["ready"]
    environment = next(
        process.environ()
        for process in psutil.Process(quick.process.pid).children(recursive=True)
        if process.environ().get("JUPYTERHUB_USER") == person.name
    )
    still_used = requests.post(
        environment["JUPYTERHUB_ACTIVITY_URL"],
        json={"servers": {"": {"last_activity": datetime.now(UTC).isoformat()}}},
        headers={"Authorization": f"token {environment['JUPYTERHUB_API_TOKEN']}"},
        timeout=30,
    )
    assert still_used.status_code == 200, still_used.text

    quick.xnat.state.set_roles(person.name, ["Jupyter"])
    visitor = signed_in(quick, person)
    assert visitor.is_signed_in_as(person.name)
    assert with_token(quick, token, f"/hub/api/users/{person.name}").status_code == 200


def test_xnat_s_no_stays_though_nothing_is_left_to_ask_with(quick, person):
    started(quick, person)
    options = json.loads(quick.xnat.state.user_options(person.name))
    visitor = xnat_session(quick, person)
    visitor.get_page("/hub/login")
    token = token_of(visitor, person)
    # As days after the start: the browser's session in XNAT alone tells.
    quick.xnat.state.revoke_alias(options["task_template"]["container_spec"]["env"]["XNAT_USER"])
    quick.xnat.state.set_roles(person.name, [])
    out(visitor, person)
    end = time.monotonic() + MAX_AGE - AGE
    while time.monotonic() < end:
        assert with_token(quick, token, f"/hub/api/users/{person.name}").status_code == 403
        time.sleep(0.3)
    quick.stop()
    quick.start()
    assert with_token(quick, token, f"/hub/api/users/{person.name}").status_code == 403


def test_whom_xnat_can_not_be_asked_about_signs_in_again(quick, person):
    visitor = signed_in(quick, person)
    token = token_of(visitor, person)
    out(visitor, person)
    assert with_token(quick, token, f"/hub/api/users/{person.name}").status_code == 403
    assert "XNAT user name" in page_text(visitor.get_page("/hub/home"))
    # A session in XNAT does that without a form.
    visitor.cookies.update(xnat_session(quick, person).cookies)
    assert "XNAT user name" not in page_text(visitor.get_page("/hub/home"))
    assert visitor.is_signed_in_as(person.name)
    stays(visitor, person, MAX_AGE * 2)


@pytest.mark.parametrize("fault", [faults.Status(503), faults.LoginPage()], ids=["503", "login page"])
def test_xnat_down_signs_nobody_out_at_once(quick, person, fault):
    visitor = xnat_session(quick, person)
    visitor.get_page("/hub/login")
    quick.xnat.faults.set("/xapi", fault)
    stays(visitor, person, AGE * 2)
    out(visitor, person)
    quick.xnat.faults.clear()
    visitor.get_page("/hub/home")
    assert visitor.is_signed_in_as(person.name)


def test_somebody_else_s_session_vouches_for_nobody(quick, person):
    visitor = signed_in(quick, person)
    visitor.cookies.update(xnat_session(quick, quick.xnat.state.user("alice")).cookies)
    out(visitor, person)


def test_a_disabled_account_is_out(quick, person):
    started(quick, person)
    visitor = signed_in(quick, person)
    quick.xnat.state.set_enabled(person.name, False)
    out(visitor, person)


def test_a_page_full_of_requests_asks_once(quick, person):
    visitor = xnat_session(quick, person)
    visitor.get_page("/hub/login")
    quick.xnat.faults.set("/xapi/users/username", faults.Delay(AGE))
    time.sleep(AGE * 1.5)
    quick.xnat.requests.clear()
    browsers = []
    for _ in range(8):
        browser = Visitor(quick.url)
        browser.cookies.update(visitor.cookies)
        browsers.append(browser)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: each.is_signed_in_as(person.name), browsers))
    assert all(answers)
    asked = [r for r in quick.xnat.requests.find("/xapi/users/username") if r.who == person.name]
    assert len(asked) < 4


def test_no_session_in_xnat_is_left_behind(quick, person):
    started(quick, person)
    visitor = signed_in(quick, person)
    stays(visitor, person, AGE * 3)
    wait_until(lambda: len(quick.xnat.state.sessions(person.name)) <= 1, 20, "the end of the sessions")


# ---- on a hub with the usual times


def test_a_start_of_one_s_own_asks_for_the_role(hub, xnat, visitor):
    xnat.state.launch("demo", "P1")
    visitor.sign_in("demo", xnat.state.user("demo").password)
    xnat.state.set_roles("demo", [])
    page = visitor.start_page()
    assert page.status_code == 403
    assert "Your XNAT account may no longer use Jupyter" in page_text(page)
    assert hub.plugin.server("demo") is None


@pytest.fixture(scope="module")
def usual(own_xnat, tmp_path_factory):
    """A hub that asks again every second, and goes by XNAT's last word for twelve hours."""
    rules = {"auth_refresh_age": AGE}
    hub = RunningHub(tmp_path_factory.mktemp("usual"), own_xnat, {"sign_in": rules}).start()
    yield hub
    hub.stop()


def test_a_disabled_account_ends_at_once_where_its_alias_token_told(usual, own_xnat):
    name = f"person{len(own_xnat.state.users())}"
    own_xnat.state.add_user(name, roles=["Jupyter"], projects=["P1"])
    person = own_xnat.state.user(name)
    server = started(usual, person)
    visitor = signed_in(usual, person)
    token = token_of(visitor, person)
    path = server["url"].removeprefix("/jupyterhub") + "api/contents/"
    stays(visitor, person, AGE * 3)
    own_xnat.state.set_enabled(name, False)
    wait_until(lambda: with_token(usual, token, f"/hub/api/users/{name}").status_code == 403, 15, "the end")
    assert not visitor.is_signed_in_as(name)
    assert with_token(usual, token, path).status_code in {302, 403}
    time.sleep(AGE * 2)
    assert with_token(usual, token, f"/hub/api/users/{name}").status_code == 403
    assert usual.plugin.server(name)["ready"], "XNAT's to stop"
    own_xnat.state.set_enabled(name, True)
    assert signed_in(usual, person).is_signed_in_as(name)
    assert with_token(usual, token, f"/hub/api/users/{name}").status_code == 200
    usual.plugin.stop(name)


def test_an_alias_token_that_has_ended_ends_nobody_whose_session_goes_on(usual, own_xnat):
    name = f"person{len(own_xnat.state.users())}"
    own_xnat.state.add_user(name, roles=["Jupyter"], projects=["P1"])
    person = own_xnat.state.user(name)
    started(usual, person)
    alias = json.loads(own_xnat.state.user_options(name))["task_template"]["container_spec"]["env"][
        "XNAT_USER"
    ]
    visitor = xnat_session(usual, person)
    visitor.get_page("/hub/login")
    token = token_of(visitor, person)

    def program_goes_on():
        assert with_token(usual, token, f"/hub/api/users/{name}").status_code == 200

    for _ in range(3):
        time.sleep(AGE)
        program_goes_on()
    own_xnat.state.revoke_alias(alias)
    for _ in range(3):
        time.sleep(AGE)
        program_goes_on()
    stays(visitor, person, AGE * 2)
    usual.plugin.stop(name)


def test_a_start_by_xnat_asks_for_nothing_more(hub, xnat):
    hub.plugin.ensure_user("demo")
    options = xnat.state.launch("demo", "P1")
    xnat.requests.clear()
    hub.plugin.start("demo", options)
    hub.plugin.wait_ready("demo")
    assert [r.path for r in xnat.requests.find() if r.who == "demo"] == []


def test_who_opens_a_server_that_xnat_started_needs_no_sign_in_before(hub, xnat):
    """XNAT's plugin makes a token for them, and has just seen that they may."""
    name = "fresh"
    xnat.state.add_user(name, roles=["Jupyter"], projects=["P1"])
    hub.plugin.ensure_user(name)
    hub.plugin.start(name, xnat.state.launch(name, "P1"))
    server = hub.plugin.wait_ready(name)
    xnat.faults.set("/xapi", faults.Status(503))
    token = hub.plugin.token(name, "XNAT", 300)
    path = server["url"].removeprefix("/jupyterhub") + "api/contents/"
    assert with_token(hub, token, path).status_code == 200


def test_a_sign_in_outlives_the_hub(hub, xnat, visitor):
    visitor.sign_in("demo", xnat.state.user("demo").password)
    xnat.state.remove_user_options("demo")
    hub.stop()
    hub.start()
    assert visitor.is_signed_in_as("demo")


def test_without_a_session_xnat_is_asked_by_one_that_an_alias_token_opened_once(quick, person):
    started(quick, person)
    visitor = signed_in(quick, person)
    stays(visitor, person, 2 * AGE)
    quick.xnat.requests.clear()
    stays(visitor, person, 5 * AGE)
    asked = [each for each in quick.xnat.requests.find() if person.name in f"{each.path} {each.who}"]
    assert {each.path for each in asked} == {f"/xapi/users/{person.name}/roles"}
    assert not any(each.opened_session for each in asked)
    assert 3 <= len(asked) <= 6
    # What the session can't tell any more, the alias token does.
    for each in asked:
        assert each.how == "cookie"
    quick.xnat.state.end_sessions(person.name)
    stays(visitor, person, 2 * MAX_AGE)
    quick.xnat.state.set_roles(person.name, [])
    out(visitor, person)
