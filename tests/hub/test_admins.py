"""Admins of the hub, as site.yaml lists them now."""

import time

import pytest
import requests
import yaml

from tests.support import RunningHub, Visitor, merged


@pytest.fixture
def own_hub(_xnat, xnat, tmp_path):
    linked = _xnat.hub
    site = {"hub": {"admin_users": ["alice", "demo"]}, "sign_in": {"auth_refresh_age": 1}}
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
    own_hub.stop()
    own_hub.site_file.write_text(yaml.safe_dump(merged(own_hub.site, {"hub": {"admin_users": ["alice"]}})))
    own_hub.start()
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
