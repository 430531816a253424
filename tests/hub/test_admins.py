"""Admins of the hub, as site.yaml lists them now."""

import json
import re
import time

import pytest
import requests
import yaml

from tests.support import RunningHub, Visitor, merged


@pytest.fixture
def own_hub(_xnat, xnat, tmp_path, request):
    linked = _xnat.hub
    roles = getattr(request, "param", [])
    site = {"hub": {"admin_users": ["alice", "demo"], "roles": roles}, "sign_in": {"auth_refresh_age": 1}}
    hub = RunningHub(tmp_path, xnat, site)
    try:
        yield hub.start()
    finally:
        hub.stop()
        _xnat.hub = linked


def test_who_is_taken_off_the_list_is_no_admin_after_a_restart(own_hub, xnat):
    browsers, tokens = {}, {}
    for name in ("alice", "demo"):
        browsers[name] = Visitor(own_hub.url)
        browsers[name].sign_in(name, xnat.state.user(name).password)
        body = {"note": "mine", "scopes": ["inherit"]}
        tokens[name] = own_hub.api("POST", f"/users/{name}/tokens", json=body).json()

    def lists_users(name):
        made = tokens[name].get("token")
        headers = {"Authorization": f"token {made}"}
        answer = requests.get(f"{own_hub.url}/hub/api/users", headers=headers, timeout=30)
        by_token = answer.status_code == 200 and len(answer.json()) > 1
        page = browsers[name].get_page("/hub/admin")
        return by_token, page.status_code == 200 and "/hub/login" not in page.url

    assert lists_users("demo") == (True, True), tokens["demo"]
    restart_without_demo(own_hub)
    assert own_hub.api("GET", "/users/demo").json()["admin"] is False
    assert lists_users("demo") == (False, False)
    assert lists_users("alice") == (True, True)
    assert "demo is no admin of the hub any more" in own_hub.log_since(0)


def test_whom_an_admin_makes_one_is_none_after_the_next_look(own_hub, xnat):
    admin, browser = Visitor(own_hub.url), Visitor(own_hub.url)
    admin.sign_in("alice", xnat.state.user("alice").password)
    browser.sign_in("carol", xnat.state.add_user("carol", roles=["Jupyter"]).password)
    body = {"note": "mine", "scopes": ["inherit"]}
    token = own_hub.api("POST", "/users/alice/tokens", json=body).json()["token"]
    headers = {"Authorization": f"token {token}"}
    url = f"{own_hub.url}/hub/api/users/carol"
    made = requests.patch(url, headers=headers, json={"admin": True}, timeout=30)
    assert made.status_code == 200, made.text
    assert own_hub.api("GET", "/users/carol").json()["admin"] is True
    time.sleep(1.5)
    assert browser.get_page("/hub/admin").status_code == 403
    assert own_hub.api("GET", "/users/carol").json()["admin"] is False


def audited(hub, *events):
    lines = map(json.loads, re.findall(r"(\{\"event\".*\})", hub.log_since(0)))
    return [
        tuple(line.get(name) for name in ("event", "outcome", "user", "to", "group", "by", "made_by"))
        for line in lines
        if line["event"] in events
    ]


class People:
    """People who have signed in to a hub, each in a browser and with a token of their own."""

    def __init__(self, hub, xnat, *names):
        self._hub, self._browsers, self.tokens = hub, {}, {}
        for name in names:
            self._browsers[name] = Visitor(hub.url)
            self._browsers[name].sign_in(name, xnat.state.user(name).password)
            body = {"note": "mine", "scopes": ["inherit"]}
            self.tokens[name] = hub.api("POST", f"/users/{name}/tokens", json=body).json()["token"]

    def api(self, name, method, path, **body):
        """Call the hub with the token of a name."""
        headers = {"Authorization": f"token {self.tokens[name]}"}
        return requests.request(
            method, f"{self._hub.url}/hub/api{path}", headers=headers, json=body, timeout=30
        )

    def accept(self, name, code):
        """Accept a share in the browser of a name."""
        browser = self._browsers[name]
        browser.get_page("/hub/home")
        data = {"code": code, "_xsrf": browser.cookies.get("_xsrf", path="/jupyterhub/hub/")}
        return browser.post(
            f"{self._hub.url}/hub/accept-share",
            data=data,
            headers={"Sec-Fetch-Site": "same-origin"},
            allow_redirects=False,
            timeout=30,
        )


def restart_without_demo(hub):
    hub.stop()
    hub.site_file.write_text(yaml.safe_dump(merged(hub.site, {"hub": {"admin_users": ["alice"]}})))
    hub.start()


def test_what_an_admin_made_for_others_ends_with_the_admin(own_hub, xnat):
    guest = f"dave{len(xnat.state.users())}"
    xnat.state.add_user(guest, roles=["Jupyter"])
    people = People(own_hub, xnat, "alice", "demo", "Alice", guest)
    api, accept, tokens = people.api, people.accept, people.tokens
    own_hub.plugin.start("Alice", xnat.state.launch("Alice", "P2"))
    own_hub.plugin.wait_ready("Alice")
    assert api("alice", "POST", "/groups/g", users=[guest]).status_code == 201
    # Demo goes, alice stays; what a user makes for themself is theirs.
    kept = api("alice", "POST", "/users/Alice/tokens", note="by alice").json()["token"]
    own = api("Alice", "POST", "/users/Alice/tokens", note="by Alice").json()["token"]
    gone = api("demo", "POST", "/users/Alice/tokens", note="by demo").json()["token"]
    assert api("alice", "POST", "/shares/Alice/", user=guest).status_code == 200
    for whom in ({"user": "demo"}, {"group": "g"}):
        assert api("demo", "POST", "/shares/Alice/", **whom).status_code == 200
    codes = [api("demo", "POST", "/share-codes/Alice/").json()["code"] for _ in range(2)]

    assert accept(guest, f"{codes[0]}x").status_code == 400
    assert accept("alice", codes[0]).status_code == 302

    def shared():
        items = api("alice", "GET", "/shares/Alice/").json()["items"]
        return sorted((each["user"] or each["group"])["name"] for each in items)

    assert shared() == ["alice", guest, "demo", "g"]
    restart_without_demo(own_hub)
    assert shared() == [guest]
    assert api("alice", "GET", "/share-codes/Alice/").json()["items"] == []
    assert accept("demo", codes[1]).status_code == 400
    tokens |= {"kept": kept, "own": own, "gone": gone}
    assert [api(each, "GET", "/user").status_code for each in ("kept", "own", "gone")] == [200, 200, 403]
    assert api("alice", "PATCH", "/shares/Alice/", user=guest).status_code == 200
    assert audited(own_hub, "share", "share-code") == [
        ("share", "made", "Alice", guest, None, "alice", None),
        ("share", "made", "Alice", "demo", None, "demo", None),
        ("share", "made", "Alice", None, "g", "demo", None),
        ("share-code", "made", "Alice", None, None, "demo", None),
        ("share-code", "made", "Alice", None, None, "demo", None),
        ("share", "accepted", "Alice", "alice", None, "alice", None),
        ("share", "revoked", "Alice", None, None, "hub", "demo"),
        ("share", "revoked", "Alice", None, None, "hub", "demo"),
        ("share-code", "revoked", "Alice", None, None, "hub", "demo"),
        ("share-code", "revoked", "Alice", None, None, "hub", "demo"),
        ("share", "revoked", "Alice", None, None, "hub", "demo"),
        ("share", "revoked", "Alice", guest, None, "alice", None),
    ]
    assert ("token", "revoked", "Alice", None, None, "hub", "demo") in audited(own_hub, "token")
    for code in codes:
        assert code not in own_hub.log_since(0), "nor one with a slip in it"


def test_what_a_deleted_admin_made_ends_too(own_hub, xnat):
    for name in ("alice", "demo", "Alice"):
        own_hub.plugin.ensure_user(name)
        Visitor(own_hub.url).sign_in(name, xnat.state.user(name).password)
    body = {"note": "mine", "scopes": ["inherit"]}
    token = own_hub.api("POST", "/users/demo/tokens", json=body).json()["token"]
    url = f"{own_hub.url}/hub/api/users"

    def ask(method, path, token, **body):
        headers = {"Authorization": f"token {token}"}
        return requests.request(method, f"{url}{path}", json=body, headers=headers, timeout=30)

    made = ask("POST", "/Alice/tokens", token, note="by demo", scopes=["inherit"]).json()["token"]
    assert ask("GET", "/Alice", made).status_code == 200
    admin = own_hub.api("POST", "/users/alice/tokens", json=body).json()["token"]
    assert ask("DELETE", "/demo", admin).status_code == 204
    restart_without_demo(own_hub)
    assert ask("GET", "/Alice", made).status_code == 403


def test_what_is_made_with_a_token_that_an_admin_made_ends_with_the_admin(own_hub, xnat):
    guest = f"dave{len(xnat.state.users())}"
    xnat.state.add_user(guest, roles=["Jupyter"])
    people = People(own_hub, xnat, "alice", "demo", "Alice", guest)
    api, tokens = people.api, people.tokens

    def make(by, owner, name):
        made = api(by, "POST", f"/users/{owner}/tokens", note=name, scopes=["inherit"])
        assert made.status_code == 201, made.text
        tokens[name] = made.json()["token"]

    own_hub.plugin.start("Alice", xnat.state.launch("Alice", "P2"))
    own_hub.plugin.wait_ready("Alice")
    # One after the other, each made with the one before: the other admin's, that admin's again, a user's, that user's again.
    make("demo", "alice", "first")
    make("first", "alice", "second")
    make("second", "Alice", "third")
    make("third", "Alice", "fourth")
    assert api("second", "GET", "/users").status_code == 200
    assert api("second", "POST", "/shares/Alice/", user=guest).status_code == 200
    assert api("second", "POST", "/share-codes/Alice/").status_code == 200
    # These are nobody's but their owner's, or an admin's who stays.
    make("alice", "alice", "own")
    make("own", "alice", "again")
    make("own", "Alice", "by alice")
    assert api("own", "POST", "/shares/Alice/", user="alice").status_code == 200
    restart_without_demo(own_hub)
    for each in ("first", "second", "third", "fourth"):
        assert api(each, "GET", "/user").status_code == 403, each
    for each in ("own", "again", "by alice", "alice"):
        assert api(each, "GET", "/user").status_code == 200, each
    shares = api("alice", "GET", "/shares/Alice/").json()["items"]
    assert [each["user"]["name"] for each in shares] == ["alice"]
    assert api("alice", "GET", "/share-codes/Alice/").json()["items"] == []


SHARERS = {"name": "sharers", "scopes": ["shares!user", "read:users:name"], "users": ["Alice"]}


@pytest.mark.parametrize("own_hub", [[SHARERS]], indirect=True)
def test_a_share_that_its_owner_made_too_does_not_end_with_an_admin(own_hub, xnat):
    hub = own_hub
    guests = [f"eve{number}-{len(xnat.state.users())}" for number in range(7)]
    for name in guests:
        xnat.state.add_user(name, roles=["Jupyter"])
    people = People(hub, xnat, "alice", "demo", "Alice", *guests)
    api, tokens = people.api, people.tokens

    def share(name, *whom):
        for each in whom:
            assert api(name, "POST", "/shares/Alice/", user=each).status_code == 200

    hub.plugin.start("Alice", xnat.state.launch("Alice", "P2"))
    hub.plugin.wait_ready("Alice")
    made = api("demo", "POST", "/users/Alice/tokens", note="by demo", scopes=["inherit"])
    tokens["by demo"] = made.json()["token"]
    code = api("demo", "POST", "/share-codes/Alice/").json()["code"]
    first, later, by_code, demos, by_token, wider, still_wider = guests
    share("Alice", first, by_code, wider)
    share("demo", first, later, demos, by_token)
    assert people.accept(by_code, code).status_code == 302
    for each in (wider, still_wider):
        more = ["access:servers", "servers"]
        assert api("demo", "POST", "/shares/Alice/", user=each, scopes=more).status_code == 200
    share("Alice", later, still_wider)
    share("by demo", by_token)
    assert api("Alice", "POST", "/shares/Alice/").status_code == 400
    assert api("Alice", "POST", "/shares/nobody-here/", user=first).status_code in {403, 404}
    restart_without_demo(hub)
    shares = api("alice", "GET", "/shares/Alice/").json()["items"]
    assert {each["user"]["name"] for each in shares} == {first, later, by_code}
