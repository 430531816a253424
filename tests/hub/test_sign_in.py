"""Signing in, on a real hub."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support import Visitor, page_text, wait_until
from xnathub_conf.standin import faults

NAMES = ["alice", "Alice", "a.b@c.org"]


def password(xnat, name):
    return xnat.state.user(name).password


@pytest.mark.parametrize("name", NAMES)
def test_password(xnat, hub, visitor, name):
    assert visitor.sign_in(name, password(xnat, name)).status_code == 302
    assert visitor.is_signed_in_as(name)


def test_the_session_that_the_check_opened_is_ended(xnat, visitor):
    before = {session.id for session in xnat.state.sessions("alice")}
    visitor.sign_in("alice", password(xnat, "alice"))
    wait_until(lambda: {s.id for s in xnat.state.sessions("alice")} <= before, 10, "the end of the session")
    basics = [r for r in xnat.requests.find("/xapi/users") if r.how == "basic"]
    assert len(basics) == 1, "more than one Basic request opens more than one session"


def test_alice_and_Alice_are_two_people(xnat, hub):  # noqa: N802
    for name in ("alice", "Alice"):
        assert Visitor(hub.url).sign_in(name, password(xnat, name)).status_code == 302
    assert {"alice", "Alice"} <= {user["name"] for user in hub.api("GET", "/users").json()}
    wrong = Visitor(hub.url)
    assert wrong.sign_in("alice", password(xnat, "Alice")).status_code == 403
    assert not wrong.is_signed_in_as("alice")


def test_alias_token_signs_its_owner_in(xnat, visitor):
    token = xnat.state.create_alias("a.b@c.org")
    assert visitor.sign_in(token.alias, token.secret).status_code == 302
    assert visitor.is_signed_in_as("a.b@c.org")


def test_revoked_alias_token_is_refused(xnat, visitor):
    token = xnat.state.create_alias("alice")
    xnat.state.revoke_alias(token.alias)
    assert visitor.sign_in(token.alias, token.secret).status_code == 403


def test_wrong_password_is_tried_once_and_told(xnat, visitor):
    answer = visitor.sign_in("alice", "not it")
    assert answer.status_code == 403
    assert "XNAT does not accept this user name and password" in page_text(answer)
    assert len(xnat.requests.find()) == 1


def test_missing_permission_says_whom_to_ask(xnat, visitor):
    answer = visitor.sign_in("nobody", password(xnat, "nobody"))
    assert answer.status_code == 403
    assert "You are nobody in XNAT" in page_text(answer)
    assert "Ask your XNAT administrator for the role Jupyter" in page_text(answer)
    assert not visitor.is_signed_in_as("nobody")


def test_everyone_may_sign_in_when_the_preference_says_so(xnat, visitor):
    xnat.state.all_users_can_start = True
    assert visitor.sign_in("nobody", password(xnat, "nobody")).status_code == 302


def test_role_is_compared_without_case(xnat, visitor):
    xnat.state.user("nobody").roles = {"jUPYTER"}
    assert visitor.sign_in("nobody", password(xnat, "nobody")).status_code == 302


def test_forbidden_sign_in_without_xsrf_token(hub, xnat):
    answer = requests.post(
        f"{hub.url}/hub/login", data={"username": "alice", "password": password(xnat, "alice")}, timeout=30
    )
    assert answer.status_code == 403
    assert not xnat.requests.find()


def test_form_without_a_name_is_a_clear_error(hub, visitor):
    form = visitor.get_page("/hub/login")
    xsrf = form.text.partition('name="_xsrf" value="')[2].partition('"')[0]
    answer = visitor.post(
        f"{hub.url}/hub/login", data={"_xsrf": xsrf}, headers={"Referer": form.url}, timeout=30
    )
    assert answer.status_code == 400


def xnat_session(xnat, name):
    return requests.get(
        f"{xnat.url}/xapi/users/username", auth=(name, password(xnat, name)), timeout=10
    ).cookies["JSESSIONID"]


def test_xnat_session_signs_in_without_a_form(xnat, visitor):
    session = xnat_session(xnat, "Alice")
    visitor.cookies.set("JSESSIONID", session, path="/")
    answer = visitor.get_page("/hub/login", allow_redirects=False)
    assert answer.status_code == 302
    assert visitor.is_signed_in_as("Alice")
    assert session in {s.id for s in xnat.state.sessions("Alice")}, "the user's own session goes on"


@pytest.mark.parametrize("mode", ["guest", "401", "redirect"])
def test_dead_xnat_session_shows_the_form(xnat, visitor, mode):
    xnat.state.without_session = mode
    visitor.cookies.set("JSESSIONID", "0123456789ABCDEF0123456789ABCDEF", path="/")
    answer = visitor.get_page("/hub/login", allow_redirects=False)
    assert answer.status_code == 200
    assert "XNAT user name" in page_text(answer)
    assert not visitor.is_signed_in_as("guest")


def test_xnat_session_without_permission_says_whom_to_ask(xnat, visitor):
    visitor.cookies.set("JSESSIONID", xnat_session(xnat, "nobody"), path="/")
    answer = visitor.get_page("/hub/login", allow_redirects=False)
    assert answer.status_code == 403
    assert "Ask your XNAT administrator" in page_text(answer)


@pytest.mark.parametrize("cookie", ["x", "a\tb" * 4, "a" * 500, "x; JSESSIONID=y", "..%2f..%2f"])
def test_forged_session_cookies_never_reach_xnat(xnat, hub, cookie):
    answer = requests.get(
        f"{hub.url}/hub/login", headers={"Cookie": f"JSESSIONID={cookie}"}, allow_redirects=False, timeout=30
    )
    assert answer.status_code == 200
    assert not xnat.requests.find()


def test_signing_out_is_not_undone_by_xnats_session(xnat, visitor):
    visitor.cookies.set("JSESSIONID", xnat_session(xnat, "alice"), path="/")
    visitor.get_page("/hub/login")
    assert visitor.is_signed_in_as("alice")
    answer = visitor.get_page("/hub/logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert "XNAT user name" in page_text(answer)
    assert visitor.get_page("/hub/home", allow_redirects=False).status_code == 302


def test_site_yaml_decides_who_is_admin(xnat, hub):
    for name, admin in {"alice": True, "Alice": False}.items():
        Visitor(hub.url).sign_in(name, password(xnat, name))
        assert hub.api("GET", f"/users/{name}").json()["admin"] is admin


def test_no_password_in_the_log(xnat, hub, visitor):
    visitor.sign_in("alice", password(xnat, "alice"))
    Visitor(hub.url).sign_in("alice", "a-wrong-password-8351")
    log = hub.log_since(0)
    assert password(xnat, "alice") not in log
    assert "a-wrong-password-8351" not in log


def test_fifty_sign_ins_while_xnat_takes_five_seconds_leave_the_hub_quick(xnat, hub):
    """Each question takes 5 s; a hub that asked in its event loop would need minutes and answer nobody meanwhile."""
    names = [f"user{number}" for number in range(50)]
    for name in names:
        if name not in {user.name for user in xnat.state.users()}:
            xnat.state.add_user(name, "pass-" + name, ["Jupyter"])
    visitors = {name: Visitor(hub.url) for name in names}
    for each in visitors.values():
        each.get_page("/hub/login")
    xnat.faults.set("/xapi", faults.Delay(5))
    with ThreadPoolExecutor(51) as pool:
        waiting = [pool.submit(each.sign_in, name, "pass-" + name) for name, each in visitors.items()]
        asked = 0
        while not all(each.done() for each in waiting):
            assert requests.get(f"{hub.url}/hub/health", timeout=2).status_code == 200
            asked += 1
        assert all(each.result().status_code == 302 for each in waiting)
    assert asked > 50
