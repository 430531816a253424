"""The stand-in for XNAT over real HTTP: the contract's endpoints, sessions, faults, and its page."""

import json
import re
import socket
import subprocess
import time

import pytest
import requests

from xnathub_conf.standin import Environment, HubLink, StandIn, demo_state, make_sample_archive
from xnathub_conf.standin.faults import (
    CloseMidway,
    Delay,
    Drip,
    DropSessions,
    Hang,
    HugeBody,
    InvalidJson,
    LoginPage,
    RedirectToLogin,
    Status,
    TruncatedJson,
    WrongContentType,
    WrongShape,
)

USERNAME = "/xapi/users/username"
OPTIONS = "/xapi/jupyterhub/users/{}/server/user-options"
NAMED = "/xapi/jupyterhub/users/{}/server/{}/user-options"
LOGIN = "/app/template/Login.vm"


@pytest.fixture
def xnat():
    with StandIn(demo_state()) as standin:
        yield standin


def auth(xnat, name):
    return (name, xnat.state.user(name).password)


def get(xnat, path, name=None, **kwargs):
    login = auth(xnat, name) if name else None
    return requests.get(xnat.url + path, auth=login, timeout=10, allow_redirects=False, **kwargs)


def service(xnat, path, **kwargs):
    return get(xnat, path, "jupyterhub", **kwargs)


# Who is who


@pytest.mark.parametrize("name", ["alice", "Alice", "a.b@c.org", "jupyterhub"])
def test_username_is_the_real_login_name(xnat, name):
    answer = get(xnat, USERNAME, name)
    assert (answer.status_code, answer.text) == (200, name)
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_alice_is_not_Alice(xnat):  # noqa: N802
    password = xnat.state.user("alice").password
    assert requests.get(xnat.url + USERNAME, auth=("Alice", password), timeout=10).status_code == 401


def test_an_alias_token_resolves_to_its_owner_until_revoked(xnat):
    token = xnat.state.create_alias("Alice")
    login = (token.alias, token.secret)
    assert requests.get(xnat.url + USERNAME, auth=login, timeout=10).text == "Alice"
    assert requests.get(xnat.url + USERNAME, auth=(token.alias, "no"), timeout=10).status_code == 401
    xnat.state.revoke_alias(token.alias)
    assert requests.get(xnat.url + USERNAME, auth=login, timeout=10).status_code == 401


def test_a_disabled_account_is_refused_by_every_way_in(xnat):
    token = xnat.state.create_alias("alice")
    cookies = get(xnat, USERNAME, "alice").cookies
    xnat.state.set_enabled("alice", False)
    assert get(xnat, USERNAME, "alice").status_code == 401
    assert get(xnat, USERNAME, cookies=cookies).text == "guest"
    assert requests.get(xnat.url + USERNAME, auth=(token.alias, token.secret), timeout=10).status_code == 401
    xnat.state.set_enabled("alice", True)
    assert get(xnat, USERNAME, "alice").status_code == 200


def test_an_unreadable_authorization_is_refused(xnat):
    assert get(xnat, USERNAME, headers={"Authorization": "Basic %%%"}).status_code == 401


def test_lock_out_refuses_even_the_right_password_until_unlocked(xnat):
    xnat.state.lockout_after = 3
    for _ in range(3):
        assert requests.get(xnat.url + USERNAME, auth=("alice", "wrong"), timeout=10).status_code == 401
    locked = get(xnat, USERNAME, "alice")
    assert locked.status_code == 401
    assert "locked" in locked.text
    xnat.state.unlock("alice")
    assert get(xnat, USERNAME, "alice").status_code == 200


def test_a_right_password_in_between_forgives_the_wrong_ones(xnat):
    xnat.state.lockout_after = 2
    for _ in range(3):
        requests.get(xnat.url + USERNAME, auth=("alice", "wrong"), timeout=10)
        xnat.state.unlock("alice")
        assert get(xnat, USERNAME, "alice").status_code == 200


# Sessions


def test_each_basic_request_without_a_session_opens_one(xnat):
    for opened in (1, 2, 3):
        answer = get(xnat, USERNAME, "alice")
        assert "Path=/" in answer.headers["Set-Cookie"]
        assert len(xnat.state.sessions("alice")) == opened
    assert [r.opened_session for r in xnat.requests.find(USERNAME)] == [True, True, True]


def test_a_live_session_is_used_again(xnat):
    with requests.Session() as client:
        client.auth = auth(xnat, "alice")
        for _ in range(3):
            assert client.get(xnat.url + USERNAME, timeout=10).text == "alice"
        assert [r.how for r in xnat.requests.find(USERNAME)] == ["basic", "basic+cookie", "basic+cookie"]
        assert len(xnat.state.sessions("alice")) == 1
        xnat.state.end_sessions()
        assert client.get(xnat.url + USERNAME, timeout=10).text == "alice"
        assert len(xnat.state.sessions("alice")) == 1


def test_a_changed_password_leaves_the_live_session_alone(xnat):
    with requests.Session() as client:
        client.auth = auth(xnat, "alice")
        client.get(xnat.url + USERNAME, timeout=10)
        xnat.state.set_password("alice", "another")
        assert client.get(xnat.url + USERNAME, timeout=10).status_code == 200
        client.cookies.clear()
        assert client.get(xnat.url + USERNAME, timeout=10).status_code == 401


def test_a_basic_login_under_another_users_cookie_replaces_the_session(xnat):
    cookies = get(xnat, USERNAME, "alice").cookies
    assert get(xnat, USERNAME, "Alice", cookies=cookies).text == "Alice"
    assert xnat.state.sessions("alice") == []


def test_the_session_limit_refuses_further_logins(xnat):
    xnat.state.session_limit = 2
    first = get(xnat, USERNAME, "alice")
    get(xnat, USERNAME, "alice")
    refused = get(xnat, USERNAME, "alice")
    assert refused.status_code == 401
    assert "concurrent sessions" in refused.text
    assert get(xnat, USERNAME, "Alice").status_code == 200
    assert requests.delete(xnat.url + "/data/JSESSION", cookies=first.cookies, timeout=10).status_code == 200
    assert get(xnat, USERNAME, "alice").status_code == 200


def test_delete_ends_the_session_of_its_cookie(xnat):
    cookies = get(xnat, USERNAME, "alice").cookies
    assert get(xnat, USERNAME, cookies=cookies).text == "alice"
    requests.delete(xnat.url + "/data/JSESSION", cookies=cookies, timeout=10)
    assert get(xnat, USERNAME, cookies=cookies).text == "guest"
    assert xnat.state.sessions() == []


def test_a_caller_without_a_session(xnat):
    assert (get(xnat, USERNAME).status_code, get(xnat, USERNAME).text) == (200, "guest")
    assert get(xnat, USERNAME, cookies={"JSESSIONID": "dead"}).text == "guest"
    assert get(xnat, "/xapi/users/alice/roles").status_code == 401
    xnat.state.without_session = "401"
    assert get(xnat, USERNAME).status_code == 401
    xnat.state.without_session = "redirect"
    answer = get(xnat, USERNAME)
    assert (answer.status_code, answer.headers["Location"]) == (302, LOGIN)


# Roles and preferences


def test_roles_are_for_their_owner_and_the_service_account(xnat):
    assert get(xnat, "/xapi/users/alice/roles", "alice").json() == ["Jupyter"]
    assert get(xnat, "/xapi/users/a.b%40c.org/roles", "a.b@c.org").json() == ["Jupyter"]
    assert get(xnat, "/xapi/users/nobody/roles", "nobody").json() == []
    assert get(xnat, "/xapi/users/alice/roles", "Alice").status_code == 403
    assert service(xnat, "/xapi/users/alice/roles").json() == ["Jupyter"]
    assert service(xnat, "/xapi/users/ghost/roles").status_code == 404
    xnat.state.set_roles("alice", ["jupyter", "Bouncer"])
    assert get(xnat, "/xapi/users/alice/roles", "alice").json() == ["Bouncer", "jupyter"]
    assert xnat.state.may_start("alice")


def test_the_sites_setting_lets_everybody_start(xnat):
    path = "/xapi/jupyterhub/preferences/allUsersCanStartJupyter"
    assert get(xnat, path, "nobody").json() == {"allUsersCanStartJupyter": False}
    assert not xnat.state.may_start("nobody")
    xnat.state.all_users_can_start = True
    assert get(xnat, path, "nobody").json() == {"allUsersCanStartJupyter": True}
    assert xnat.state.may_start("nobody")


# Options of servers


def test_user_options_have_the_contracts_shape(xnat):
    xnat.state.launch("alice", "P1")
    answer = service(xnat, OPTIONS.format("alice"))
    assert answer.headers["Content-Type"] == "application/json"
    options = answer.json()
    spec = options["task_template"]["container_spec"]
    assert options["userId"] == xnat.state.user("alice").user_id
    assert (options["servername"], options["itemId"], options["projectId"]) == ("", "P1", "P1")
    assert options["xsiType"] == "xnat:projectData"
    assert options["itemLabel"] is None
    assert options["dashboardConfigId"] is None
    assert spec["command"] is None
    assert spec["env"]["XNAT_HOST"] == xnat.url
    assert spec["env"]["JUPYTERHUB_ROOT_DIR"] == spec["env"]["XDG_CONFIG_HOME"] == "/workspace/alice"
    workspace, archive = spec["mounts"]
    assert workspace["source"] == "/data/xnat/workspaces/users/alice"
    assert (workspace["target"], workspace["read_only"]) == ("/workspace/alice", False)
    assert archive["source"] == "/data/xnat/archive/P1/arc001"
    assert (archive["target"], archive["read_only"]) == ("/data/projects/P1/experiments", True)
    resources = options["task_template"]["resources"]
    assert resources.pop("generic_resources") == {}
    assert set(resources.values()) == {None}
    # The reference asks for the default server with an empty name.
    assert service(xnat, NAMED.format("alice", "")).content == answer.content
    assert options["task_template"]["placement"] == {"constraints": None}
    login = (spec["env"]["XNAT_USER"], spec["env"]["XNAT_PASS"])
    assert requests.get(xnat.url + USERNAME, auth=login, timeout=10).text == "alice"


def test_a_launch_takes_another_environment(xnat):
    environment = Environment(
        image="lab:2", mem_limit="8G", generic_resources={"gpu": "1"}, constraints=("node.role!=manager",)
    )
    template = xnat.state.launch("alice", "P1", "gpu", environment)["task_template"]
    assert template["container_spec"]["image"] == "lab:2"
    assert template["resources"]["generic_resources"] == {"gpu": "1"}
    assert template["placement"] == {"constraints": ["node.role!=manager"]}
    assert service(xnat, NAMED.format("alice", "gpu")).json()["servername"] == "gpu"


def test_user_options_are_for_the_service_account_alone(xnat):
    xnat.state.launch("alice", "P1")
    assert get(xnat, OPTIONS.format("alice"), "alice").status_code == 403
    assert get(xnat, OPTIONS.format("alice")).status_code == 401
    assert service(xnat, OPTIONS.format("Alice")).status_code == 404
    xnat.state.set_roles("jupyterhub", [])
    assert service(xnat, OPTIONS.format("alice")).status_code == 403


def test_user_options_go_with_the_right_to_read(xnat):
    xnat.state.launch("a.b@c.org", "P1")
    path = OPTIONS.format("a.b%40c.org")
    assert service(xnat, path).status_code == 200
    xnat.state.set_projects("a.b@c.org", [])
    assert service(xnat, path).status_code == 404
    xnat.state.set_projects("a.b@c.org", ["P1"])
    assert service(xnat, path).status_code == 200
    xnat.state.remove_user_options("a.b@c.org")
    assert service(xnat, path).status_code == 404


def test_options_may_be_overridden(xnat):
    xnat.state.set_user_options("alice", {"task_template": None}, "it's a/name")
    assert service(xnat, NAMED.format("alice", "it%27s%20a%2Fname")).json() == {"task_template": None}
    xnat.state.set_user_options("alice", b"\xff{")
    assert service(xnat, OPTIONS.format("alice")).content == b"\xff{"


@pytest.mark.parametrize(
    ("user", "project", "error"),
    [
        ("nobody", "P1", PermissionError),
        ("Alice", "P1", PermissionError),
        ("alice", "none", KeyError),
        ("ghost", "P1", KeyError),
    ],
)
def test_a_launch_that_xnat_refuses(xnat, user, project, error):
    with pytest.raises(error):
        xnat.state.launch(user, project)


def test_unknown_paths_and_methods(xnat):
    assert get(xnat, "/xapi/other", "alice").status_code == 404
    answer = requests.post(xnat.url + "/xapi/users/alice/roles", auth=auth(xnat, "alice"), timeout=10)
    assert answer.status_code == 405


# Faults


def test_status_comes_from_in_front_of_xnat(xnat):
    xnat.faults.set("/xapi/", Status(503), count=2)
    statuses = [get(xnat, USERNAME, "alice").status_code for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert len(xnat.state.sessions("alice")) == 1


def test_faults_keep_to_their_path_until_cleared(xnat):
    xnat.faults.set("/xapi/users/", Status(502))
    xnat.faults.set("/data/", Status(500))
    assert service(xnat, OPTIONS.format("alice")).status_code == 404
    assert get(xnat, USERNAME, "alice").status_code == 502
    xnat.faults.clear("/xapi/users/")
    assert get(xnat, USERNAME, "alice").status_code == 200
    assert requests.delete(xnat.url + "/data/JSESSION", timeout=10).status_code == 500
    xnat.faults.clear()
    assert requests.delete(xnat.url + "/data/JSESSION", timeout=10).status_code == 401
    with pytest.raises(ValueError, match="count"):
        xnat.faults.set("/", Status(500), count=0)


def test_delay_holds_up_nobody_else(xnat):
    xnat.faults.set("/xapi/users/alice", Delay(1), count=1)
    with socket.create_connection(xnat.url.removeprefix("http://").split(":")) as slow:
        slow.sendall(b"GET /xapi/users/alice/roles HTTP/1.1\r\nHost: x\r\n\r\n")
        began = time.monotonic()
        assert get(xnat, USERNAME, "alice").status_code == 200
        assert time.monotonic() - began < 0.8
        assert slow.recv(100).startswith(b"HTTP/1.1 401")
        assert time.monotonic() - began > 0.8


def test_redirect_and_login_page(xnat):
    xnat.faults.set(USERNAME, RedirectToLogin(), count=1)
    answer = get(xnat, USERNAME, "alice")
    assert (answer.status_code, answer.headers["Location"]) == (302, LOGIN)
    xnat.faults.set(USERNAME, LoginPage(), count=1)
    answer = get(xnat, USERNAME, "alice")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")


def test_spoiled_json(xnat):
    path = "/xapi/users/alice/roles"
    xnat.faults.set(path, WrongContentType(), count=1)
    answer = get(xnat, path, "alice")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.json() == ["Jupyter"]
    for fault in (TruncatedJson(), InvalidJson()):
        xnat.faults.set(path, fault, count=1)
        answer = get(xnat, path, "alice")
        assert answer.headers["Content-Type"] == "application/json"
        with pytest.raises(requests.JSONDecodeError):
            answer.json()
    xnat.faults.set(path, WrongShape({"a": 1}), count=1)
    assert get(xnat, path, "alice").json() == {"a": 1}


def test_huge_body(xnat):
    xnat.faults.set(USERNAME, HugeBody(3_000_000))
    body = get(xnat, USERNAME, "alice").content
    assert len(body) == 3_000_000
    assert len(json.loads(body)) == 2_999_998


def test_drip(xnat):
    xnat.faults.set("/xapi/users/alice", Drip(pause=0.05, size=2))
    answer = get(xnat, "/xapi/users/alice/roles", "alice")
    assert answer.json() == ["Jupyter"]
    assert answer.elapsed.total_seconds() < 2
    xnat.faults.clear()
    xnat.faults.set(USERNAME, Drip(pause=5))
    with get(xnat, USERNAME, "alice", stream=True) as slow:
        assert slow.status_code == 200


def test_hang_sends_nothing(xnat):
    xnat.faults.set(USERNAME, Hang(), count=1)
    with pytest.raises(requests.ReadTimeout):
        requests.get(xnat.url + USERNAME, timeout=0.3)
    assert get(xnat, USERNAME, "alice").status_code == 200
    assert [r.status for r in xnat.requests.find(USERNAME)] == [0, 200]


def test_close_midway(xnat):
    xnat.faults.set("/xapi/users/alice", CloseMidway(), count=1)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        get(xnat, "/xapi/users/alice/roles", "alice")
    assert get(xnat, "/xapi/users/alice/roles", "alice").status_code == 200


def test_a_restart_loses_all_sessions(xnat):
    cookies = get(xnat, USERNAME, "alice").cookies
    xnat.faults.set(USERNAME, DropSessions(), count=1)
    assert get(xnat, USERNAME, cookies=cookies).text == "guest"
    assert xnat.state.sessions() == []


def test_faults_add_up(xnat):
    xnat.faults.set("/xapi/", Delay(0.2))
    xnat.faults.set("/xapi/users/alice", TruncatedJson())
    answer = get(xnat, "/xapi/users/alice/roles", "alice")
    assert answer.elapsed.total_seconds() >= 0.2
    assert answer.text == '["Jup'


# The server and its records


def test_records_hold_no_secrets(xnat):
    token = xnat.state.create_alias("alice")
    requests.get(xnat.url + USERNAME, auth=(token.alias, token.secret), timeout=10)
    requests.get(xnat.url + USERNAME, auth=("alice", "mistyped"), timeout=10)
    good, bad = xnat.requests.find(USERNAME, "GET")
    assert (good.who, good.how, good.status) == ("alice", "basic", 200)
    assert (bad.who, bad.how, bad.status) == (None, "basic", 401)
    told = repr((xnat.requests.find(), xnat.state.users(), token))
    assert token.secret not in told
    assert "mistyped" not in told
    assert xnat.state.user("alice").password not in told
    xnat.requests.clear()
    assert xnat.requests.find() == []


def test_https_with_a_certificate(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *[
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "1",
                "-subj",
                "/CN=127.0.0.1",
            ],
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    with StandIn(demo_state(), certfile=cert, keyfile=key) as standin:
        assert standin.url.startswith("https://127.0.0.1:")
        login = auth(standin, "alice")
        answer = requests.get(standin.url + USERNAME, auth=login, verify=str(cert), timeout=10)
        assert answer.text == "alice"
        assert "Secure" in answer.headers["Set-Cookie"]
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(standin.url + USERNAME, auth=login, timeout=10)


def test_start_and_stop(xnat):
    with pytest.raises(RuntimeError):
        xnat.start()
    taken = int(xnat.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        StandIn(demo_state(), port=taken).start()
    xnat.faults.set("/", Hang())
    with socket.create_connection(("127.0.0.1", taken)) as waiting:
        waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.1)
        xnat.stop()
    xnat.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(xnat.url, timeout=2)
    xnat.faults.clear()
    xnat.start()
    assert get(xnat, USERNAME).text == "guest"
    assert int(xnat.url.rpartition(":")[2]) == taken


def test_passwords_are_generated_unless_given():
    one, other = demo_state(), demo_state({"alice": "given"})
    assert one.user("demo").password != other.user("demo").password
    assert other.user("alice").password == "given"
    with pytest.raises(ValueError, match="exists"):
        one.add_user("alice")


# The page


def csrf_of(page):
    return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]


def sign_in(xnat, name):
    client = requests.Session()
    page = client.get(f"{xnat.url}/", timeout=10)
    form = {"username": name, "password": xnat.state.user(name).password, "csrf": csrf_of(page), "next": "/"}
    return client, client.post(xnat.url + LOGIN, data=form, timeout=10)


def test_signing_in_and_out(xnat):
    client, page = sign_in(xnat, "alice")
    assert "not XNAT" in page.text
    assert "Synthetic heads" in page.text
    assert page.text.count("Start Jupyter</button>") == 3
    assert client.cookies.get("JSESSIONID", path="/") == xnat.state.sessions("alice")[0].id
    assert client.get(xnat.url + USERNAME, timeout=10).text == "alice"
    client.post(xnat.url + "/standin/sign-out", data={"csrf": csrf_of(page)}, timeout=10)
    assert xnat.state.sessions() == []
    assert client.get(xnat.url + USERNAME, timeout=10).text == "guest"


def test_a_wrong_password_is_told(xnat):
    client = requests.Session()
    form = {"username": "alice", "password": "<b>", "csrf": csrf_of(client.get(xnat.url + LOGIN, timeout=10))}
    answer = client.post(xnat.url + LOGIN, data=form, timeout=10)
    assert answer.status_code == 401
    assert "username or password is wrong" in answer.text
    assert xnat.state.sessions() == []


@pytest.mark.parametrize("path", ["/standin/sign-out", "/standin/stop", "/data/projects/P1/jupyter"])
def test_forms_without_the_sessions_token_are_refused(xnat, path):
    client, _ = sign_in(xnat, "alice")
    other, page = sign_in(xnat, "demo")
    for form in ({}, {"csrf": "x"}, {"csrf": csrf_of(page)}):
        assert client.post(xnat.url + path, data=form, timeout=10).status_code == 403
    assert len(xnat.state.sessions("alice")) == 1
    assert xnat.state.user_options("alice") is None
    assert other.post(xnat.url + path, timeout=10).status_code == 403
    assert requests.post(xnat.url + path, timeout=10).status_code == 403


def test_signing_in_needs_the_forms_own_token(xnat):
    form = {"username": "alice", "password": xnat.state.user("alice").password, "csrf": ""}
    assert requests.post(xnat.url + LOGIN, data=form, timeout=10).status_code == 403
    assert xnat.state.sessions() == []


@pytest.mark.parametrize(
    ("target", "lands"),
    [
        ("/data/projects/P1?a=1", "/data/projects/P1?a=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nb", "/"),
    ],
)
def test_signing_in_leads_to_this_server_alone(xnat, target, lands):
    client = requests.Session()
    form = {"username": "alice", "password": xnat.state.user("alice").password, "next": target}
    form["csrf"] = csrf_of(client.get(xnat.url + LOGIN, timeout=10))
    answer = client.post(xnat.url + LOGIN, data=form, timeout=10, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, lands)


def test_a_projects_page(xnat):
    client, _ = sign_in(xnat, "Alice")
    assert "Synthetic phantoms" in client.get(xnat.url + "/data/projects/P2", timeout=10).text
    assert client.get(xnat.url + "/data/projects/P1", timeout=10).status_code == 404
    assert client.get(xnat.url + "/none", timeout=10).status_code == 404
    answer = get(xnat, "/data/projects/P2")
    assert answer.headers["Location"] == LOGIN + "?next=%2Fdata%2Fprojects%2FP2"


def test_names_are_escaped(xnat):
    xnat.state.add_project("<P>", "<script>alert(1)</script>")
    xnat.state.set_projects("alice", ["<P>"])
    _, page = sign_in(xnat, "alice")
    assert "<script>alert" not in page.text
    assert 'href="/data/projects/%3CP%3E"' in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_who_has_no_role_may_start_dashboards_alone(xnat):
    client, page = sign_in(xnat, "nobody")
    assert "Start Jupyter</button>" not in page.text
    assert "Start dashboard</button>" in page.text
    assert "no role Jupyter" in page.text
    path, form = xnat.url + "/data/projects/P1/jupyter", {"csrf": csrf_of(page)}
    for no_dashboard in ("", "x", "-1"):
        answer = client.post(path, data={**form, "dashboardConfigId": no_dashboard}, timeout=10)
        assert answer.status_code == 403
    assert client.post(path, data={**form, "dashboardConfigId": "1"}, timeout=10).status_code == 200
    elsewhere = path.replace("P1", "P2")
    assert client.post(elsewhere, data={**form, "dashboardConfigId": "1"}, timeout=10).status_code == 403


@pytest.mark.parametrize("hub", [None, HubLink("http://127.0.0.1:9/hub/api", "http://127.0.0.1:9/", "t")])
def test_a_launch_without_a_hub_says_so(xnat, hub):
    xnat.hub = hub
    client, page = sign_in(xnat, "alice")
    client.post(xnat.url + "/data/projects/P1/jupyter", data={"csrf": csrf_of(page)}, timeout=10)
    for _ in range(50):
        status = client.get(xnat.url + "/standin/status", timeout=10).json()
        if status["stage"] != "starting":
            break
        time.sleep(0.1)
    assert status["stage"] == "failed"
    assert status["error"].startswith("No JupyterHub" if hub is None else "The hub can't be reached")


def test_static_files(xnat):
    assert get(xnat, "/standin/style.css").headers["Content-Type"].startswith("text/css")
    assert get(xnat, "/standin/page.js").headers["Content-Type"].startswith("text/javascript")
    assert get(xnat, "/standin/../state.py").status_code == 404


# The sample archive


def test_the_sample_archive_is_small_real_and_the_same_each_time(tmp_path):
    nibabel, pydicom = pytest.importorskip("nibabel"), pytest.importorskip("pydicom")
    written = make_sample_archive(tmp_path / "a")
    again = make_sample_archive(tmp_path / "b")
    assert [p.read_bytes() for p in written] == [p.read_bytes() for p in again]
    assert sum(p.stat().st_size for p in written) < 1_000_000
    image = nibabel.load(tmp_path / "a/P2/arc001/SUBJ01_MR1/SCANS/1/NIFTI/T1w.nii.gz")
    assert image.shape == (64, 64, 64)
    assert int(image.get_fdata()[32, 32, 17]) == 2100
    series = [pydicom.dcmread(path) for path in written if path.suffix == ".dcm" and "P2" in path.parts]
    assert len(series) == 24
    assert {one.pixel_array.shape for one in series} == {(64, 64)}
    assert len({one.SOPInstanceUID for one in series}) == 24
    assert (tmp_path / "a/P3/arc001/README.txt").is_file()
