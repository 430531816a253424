"""People with an account who talk to the hub past its pages: everyone gets what XNAT grants, and nobody else's."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import pytest
import requests

from tests.support import Visitor, page_text, wait_until
from xnathub_conf.launch.plan import ITEM_KEYS
from xnathub_conf.standin import faults

SERVERS = ("", "scan-7")
EVIL = {
    "image": ["evil/image:1"],
    "cmd": ["sh", "-c", "id"],
    "command": "id",
    "mounts": [{"source": "/", "target": "/data/x", "type": "bind", "read_only": False}],
    "volumes": {"/": "/data/x"},
    "environment": {"LD_PRELOAD": "/x"},
    "template": "{username}",
    "profile": "root",
    "user": "0",
    "task_template": {"container_spec": {"image": "evil/image:1"}},
    "projectId": "P3",
}


@pytest.fixture
def mallory(hub, xnat, visitor):
    """`demo`, signed in, with a server that XNAT holds for them on P1."""
    xnat.state.launch("demo", "P1")
    visitor.sign_in("demo", xnat.state.user("demo").password)
    return visitor


@pytest.fixture(scope="module")
def _others(_hub, _xnat, bystanders):
    bystanders.add("Alice")
    _hub.plugin.ensure_user("Alice")
    for servername in SERVERS:
        _hub.plugin.start("Alice", _xnat.state.launch("Alice", "P2", servername))
        _hub.plugin.wait_ready("Alice", servername)
    yield
    for servername in SERVERS:
        _hub.plugin.stop("Alice", servername)
    bystanders.remove("Alice")


@pytest.fixture
def others(_others, hub):
    """Running servers of `Alice`, default and named, which no test may harm, with the default's address."""
    yield hub.url + "/user/Alice/"
    for servername in SERVERS:
        assert hub.plugin.server("Alice", servername)["ready"]


def xsrf(visitor):
    return re.search(r'xsrf_token: "([^"]*)"', visitor.get_page("/hub/home").text)[1]


def own_token(visitor, name="demo", **body):
    answer = visitor.post(
        f"{visitor.hub_url}/hub/api/users/{name}/tokens",
        json={"note": "mine", **body},
        headers={"X-XSRFToken": xsrf(visitor), "Referer": visitor.hub_url},
        timeout=30,
    )
    return answer.json()["token"] if answer.status_code == 201 else answer


def call(hub, token, method, path, **kwargs):
    headers = {"Authorization": f"token {token}"}
    return requests.request(
        method, hub.url + path, headers=headers, timeout=30, allow_redirects=False, **kwargs
    )


def assert_as_xnat_said(hub):
    """The server that runs is XNAT's, and nothing of the request is kept."""
    server = hub.plugin.wait_ready("demo")
    assert server["user_options"]["projectId"] == "P1"
    assert set(server["user_options"]) <= set(ITEM_KEYS)
    token = hub.plugin.token("demo", "test", 300)
    listing = call(hub, token, "GET", "/user/demo/api/contents/data/projects")
    assert [entry["name"] for entry in listing.json()["content"]] == ["P1"]


def assert_starts(answer):
    """The hub leads to the page with the progress; who goes there late is led to the server, which shows what it likes."""
    assert (answer.status_code, urlsplit(answer.headers["Location"]).path) == (
        302,
        "/jupyterhub/hub/spawn-pending/demo",
    )


# ---- user options of one's own


def test_options_in_the_api_decide_nothing(hub, mallory):
    token = own_token(mallory)
    assert call(hub, token, "POST", "/hub/api/users/demo/server", json=EVIL).status_code in {201, 202}
    assert_as_xnat_said(hub)


@pytest.mark.parametrize("body", [[], "x", 5, [EVIL], None, True])
def test_options_of_a_wrong_type_decide_nothing(hub, mallory, body):
    answer = call(hub, own_token(mallory), "POST", "/hub/api/users/demo/server", json=body)
    if answer.status_code in {201, 202}:
        assert_as_xnat_said(hub)
    else:
        assert answer.status_code == 400, answer.text
    assert "Traceback" not in answer.text


def test_options_in_the_form_decide_nothing(hub, mallory):
    fields = {key: json.dumps(value) for key, value in EVIL.items()}
    answer = mallory.post(
        f"{hub.url}/hub/spawn",
        data={**fields, "_xsrf": xsrf(mallory)},
        files={"profile_file": ("x", b"evil")},
        headers={"Referer": hub.url},
        timeout=60,
        allow_redirects=False,
    )
    assert_starts(answer)
    assert_as_xnat_said(hub)


@pytest.mark.parametrize("prefix", ["", "opt-"])
def test_options_in_the_address_decide_nothing(hub, mallory, prefix):
    query = "&".join(f"{prefix}{key}={quote(json.dumps(value))}" for key, value in EVIL.items())
    assert_starts(mallory.get_page(f"/hub/spawn?{query}", allow_redirects=False))
    assert_as_xnat_said(hub)


def test_without_xnat_s_word_nothing_starts(hub, xnat, mallory):
    xnat.state.remove_user_options("demo")
    answer = call(hub, own_token(mallory), "POST", "/hub/api/users/demo/server", json=EVIL)
    assert answer.status_code == 409
    assert hub.plugin.server("demo") is None


# ---- others' servers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/hub/api/users/Alice"), ("GET", "/hub/api/users/Alice/server/progress"), ("GET", "/hub/api/users/Alice/servers/scan-7/progress"),
        ("POST", "/hub/api/users/Alice/server"), ("DELETE", "/hub/api/users/Alice/server"), ("POST", "/hub/api/users/Alice/servers/scan-7"),
        ("DELETE", "/hub/api/users/Alice/servers/scan-7"), ("GET", "/hub/api/users/Alice/tokens"), ("POST", "/hub/api/users/Alice/tokens"),
        ("PATCH", "/hub/api/users/Alice"), ("DELETE", "/hub/api/users/Alice"), ("GET", "/hub/api/users"), ("POST", "/hub/api/users"),
        ("GET", "/hub/api/proxy"), ("POST", "/hub/api/proxy"), ("POST", "/hub/api/shutdown"), ("GET", "/hub/api/services"), ("GET", "/hub/api/info"),
        ("POST", "/hub/api/users/Alice/activity"), ("POST", "/hub/api/shares/Alice/"), ("POST", "/hub/api/share-codes/Alice/"),
        ("GET", "/hub/api/groups"), ("POST", "/hub/api/groups/x"),
    ],
)  # fmt: skip
def test_nothing_of_others_in_the_api(hub, others, mallory, method, path):
    body = {} if method in {"POST", "PATCH", "DELETE"} else None
    answer = call(hub, own_token(mallory, scopes=["inherit"]), method, path, json=body)
    if path in {"/hub/api/users", "/hub/api/services"} and method == "GET" and answer.status_code == 200:
        assert "Alice" not in answer.text
    else:
        assert answer.status_code in {403, 404}, answer.text
    assert hub.plugin.server("Alice")
    assert hub.plugin.server("Alice", "scan-7")


@pytest.mark.parametrize(
    "path",
    [
        "/user/Alice/", "/user/Alice/lab", "/user/Alice/api/contents/", "/user/Alice/scan-7/api/contents/", "/user/Alice/api/terminals",
        "/user/%41lice/api/contents/", "/user//Alice/api/contents/", "/user/demo/../Alice/api/contents/", "/user/demo/%2e%2e/Alice/api/contents/",
        "/hub/user/Alice/api/contents/",
    ],
)  # fmt: skip
def test_nothing_of_others_through_the_proxy(hub, others, mallory, path):
    token = own_token(mallory, scopes=["inherit"])
    address = hub.url + path
    for headers in ({"Authorization": f"token {token}"}, {}):
        request = requests.Request("GET", address, headers=headers).prepare()
        request.url = address
        answer = (requests.Session() if headers else mallory).send(request, timeout=30, allow_redirects=False)
        assert answer.status_code in {302, 303, 401, 403, 404, 405, 424}, (path, answer.status_code)
        assert '"content"' not in answer.text


@pytest.mark.parametrize("page", ["spawn/Alice", "spawn/Alice/scan-7", "spawn-pending/Alice", "admin"])
def test_no_pages_of_others(hub, others, page, xnat):
    visitor = Visitor(hub.url)
    visitor.sign_in("a.b@c.org", xnat.state.user("a.b@c.org").password)
    assert visitor.get_page(f"/hub/{page}").status_code in {403, 404}


def test_an_admin_of_the_hub_starts_only_what_xnat_grants(hub, xnat):
    xnat.state.remove_user_options("demo")
    hub.plugin.ensure_user("demo")
    admin = Visitor(hub.url)
    admin.sign_in("alice", xnat.state.user("alice").password)
    token = own_token(admin, "alice", scopes=["inherit"])
    answer = call(hub, token, "POST", "/hub/api/users/demo/server", json=EVIL)
    assert answer.status_code == 409
    assert hub.plugin.server("demo") is None


# ---- tokens


@pytest.mark.parametrize(
    "scopes",
    [["admin:users"], ["admin:servers"], ["access:servers"], ["tokens"], ["access:servers!user=Alice"], ["read:users:name!user=Alice"], ["admin-ui"],
     ["proxy"], ["shutdown"], ["no:such"], ["inherit", "admin:users"], "all", 5, [5]],
)  # fmt: skip
def test_a_token_holds_no_more_than_its_owner(hub, xnat, scopes):
    visitor = Visitor(hub.url)
    visitor.sign_in("a.b@c.org", xnat.state.user("a.b@c.org").password)
    answer = own_token(visitor, "a.b@c.org", scopes=scopes)
    assert not isinstance(answer, str)
    assert answer.status_code in {400, 403}


def test_a_token_for_somebody_else_is_refused(hub, others, xnat):
    visitor = Visitor(hub.url)
    visitor.sign_in("a.b@c.org", xnat.state.user("a.b@c.org").password)
    assert own_token(visitor, "Alice").status_code in {403, 404}


def test_a_weak_token_makes_no_strong_one(hub, mallory):
    weak = own_token(mallory, scopes=["read:users:name!user"])
    answer = call(hub, weak, "POST", "/hub/api/users/demo/tokens", json={"scopes": ["inherit"]})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "auth", [None, {}, [], "x", 5, {"username": 5, "password": []}, {"username": "demo", "password": "wrong"}]
)
def test_the_token_api_takes_no_sign_in_of_another_kind(hub, xnat, auth):
    """JupyterHub lets this call sign in by its body, and skips the XSRF check then."""
    session = requests.get(
        f"{xnat.url}/xapi/users/username", auth=("demo", xnat.state.user("demo").password), timeout=10
    ).cookies["JSESSIONID"]
    position = len(hub.log_since(0))
    answer = requests.post(
        f"{hub.url}/hub/api/users/demo/tokens",
        json={"auth": auth},
        headers={"Cookie": f"JSESSIONID={session}"},
        timeout=30,
    )
    assert answer.status_code == 403
    assert "Traceback" not in hub.log_since(position)


# ---- cookies, alias tokens, sessions


def test_a_revoked_alias_token_signs_nobody_in_again(hub, xnat):
    token = xnat.state.create_alias("demo")
    assert Visitor(hub.url).sign_in(token.alias, token.secret).status_code == 302
    xnat.state.revoke_alias(token.alias)
    assert Visitor(hub.url).sign_in(token.alias, token.secret).status_code == 403


@pytest.mark.parametrize(
    "change",
    [lambda v: v, lambda v: v[:-2], lambda v: v + "0", lambda v: v.replace("2", "1", 1), lambda v: "", lambda v: "x" * 4000],
    ids=["same", "short", "long", "version", "empty", "huge"],
)  # fmt: skip
def test_a_forged_hub_cookie_is_nobody_s(hub, mallory, change):
    cookies = {c.name: c.value for c in mallory.cookies}
    good = cookies["jupyterhub-hub-login"]
    value = change(good.strip('"'))
    forged = Visitor(hub.url)
    forged.cookies.set("xnathub-signed-in", cookies["xnathub-signed-in"], path="/")
    forged.cookies.set("jupyterhub-hub-login", f'"{value}"' if value == good.strip('"') else value, path="/")
    assert forged.is_signed_in_as("demo") is (value == good.strip('"'))


def test_a_cookie_ends_with_the_sign_out(hub, mallory):
    copied = Visitor(hub.url)
    copied.cookies.update(mallory.cookies)
    elsewhere = Visitor(hub.url)
    elsewhere.sign_in("demo", hub.xnat.state.user("demo").password)
    assert copied.is_signed_in_as("demo")
    mallory.get_page("/hub/logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert not copied.is_signed_in_as("demo")
    assert not elsewhere.is_signed_in_as("demo")


def test_another_site_can_not_sign_people_out(hub, mallory):
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Referer": "https://evil.example/"},
        {},
    ):
        page = mallory.get_page("/hub/logout", headers=headers)
        assert "Sign out?" in page_text(page)
    assert mallory.is_signed_in_as("demo")
    answer = mallory.post(f"{hub.url}/hub/logout", timeout=30)
    assert answer.status_code == 403
    assert mallory.is_signed_in_as("demo")
    token = re.search(r'name="_xsrf"\s+value="([^"]*)"', page.text)[1]
    mallory.post(f"{hub.url}/hub/logout", data={"_xsrf": token}, timeout=30)
    assert not mallory.is_signed_in_as("demo")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/hub/api/users/demo/server"), ("DELETE", "/hub/api/users/demo/server"), ("POST", "/hub/api/users/demo/tokens"),
     ("POST", "/hub/spawn"), ("POST", "/hub/logout"), ("POST", "/hub/login"), ("POST", "/hub/api/users/demo/activity")],
)  # fmt: skip
@pytest.mark.parametrize("token", ["", "0" * 40])
def test_every_change_wants_the_xsrf_token(hub, mallory, method, path, token):
    answer = mallory.request(
        method,
        hub.url + path,
        data={"_xsrf": token, "username": "demo", "password": "x"} if "api" not in path else "{}",
        headers={"X-XSRFToken": token} if token else {},
        allow_redirects=False,
        timeout=30,
    )
    assert answer.status_code == 403
    assert hub.plugin.server("demo") is None


# ---- where a sign-in leads


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/", "//evil.example/", "///evil.example", "////evil.example", "\\\\evil.example", "/\\evil.example", "http:evil.example",
        "https:///evil.example", "javascript:alert(1)", "data:text/html,x", "/\t/evil.example", "/%09/evil.example", "//evil.example@127.0.0.1/",
        "http://127.0.0.1@evil.example/", "%2f%2fevil.example", "/%5cevil.example", "//127.0.0.1:1/", " //evil.example", "\n//evil.example",
        "/jupyterhub/hub/home\nenv;", "/jupyterhub/hub/home\r\nSet-Cookie: x=1",
    ],
)  # fmt: skip
def test_next_leads_nowhere_else(hub, xnat, target):
    visitor = Visitor(hub.url)
    form = visitor.get_page("/hub/login?next=" + quote(target))
    token = re.search(r'name="_xsrf"\s+value="([^"]*)"', form.text)[1]
    answer = visitor.post(
        f"{hub.url}/hub/login?next=" + quote(target),
        data={"username": "a.b@c.org", "password": xnat.state.user("a.b@c.org").password, "_xsrf": token},
        allow_redirects=False,
        timeout=30,
    )
    assert answer.status_code == 302
    location = answer.headers["Location"]
    # As a browser reads it: tabs and line ends go, backslashes are slashes.
    seen = re.sub(r"[\t\r\n]", "", location).strip().replace("\\", "/")
    assert seen.startswith("/"), location
    assert not seen.startswith("//"), location
    assert not urlsplit(seen).netloc
    assert 'href="https://evil' not in form.text
    assert 'href="javascript' not in form.text


def test_progress_is_one_s_own(hub, xnat, mallory):
    """The stream of a start that is under way, not only its end."""
    xnat.faults.set("/xapi/jupyterhub/users", faults.Delay(3))
    hub.plugin.ensure_user("alice")
    options = xnat.state.launch("alice", "P1")
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(hub.plugin.start, "alice", options)
        wait_until(lambda: hub.plugin.server("alice"), 30, "the start")
        token = own_token(mallory)
        answer = call(hub, token, "GET", "/hub/api/users/alice/server/progress")
        assert answer.status_code in {403, 404}
        started.result()
