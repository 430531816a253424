"""Admins of the hub, as site.yaml lists them now."""

import pytest
import requests
import yaml

from tests.support import RunningHub, Visitor, merged


@pytest.fixture
def own_hub(_xnat, xnat, tmp_path):
    linked = _xnat.hub
    hub = RunningHub(tmp_path, xnat, {"hub": {"admin_users": ["alice", "demo"]}})
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
