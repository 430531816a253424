"""XNAT starts dashboards for users without the role too: each opens the one that runs, and nothing more."""

import pytest
import requests

from tests.support import Visitor, page_text

NAME, OTHER = "20260728T120000123Z", "20260728T120000124Z"


def start(hub, xnat, **dashboards):
    """Start a server for each name for the user without the role, as XNAT's service does; give what the hub says of them."""
    # A notebook is one that was started while the user still had the role.
    options = {name: xnat.state.launch("nobody", "P1", name, dashboard=True) for name in dashboards}
    hub.plugin.ensure_user("nobody")
    for name, dashboard in dashboards.items():
        hub.plugin.start("nobody", {**options[name], "dashboardConfigId": dashboard})
    return [hub.plugin.wait_ready("nobody", name) for name in dashboards]


def browser(hub, xnat):
    """Someone signed in to XNAT."""
    visitor = Visitor(hub.url)
    auth = ("nobody", xnat.state.user("nobody").password)
    opened = requests.get(f"{xnat.url}/xapi/users/username", auth=auth, timeout=10)
    visitor.cookies.set("JSESSIONID", opened.cookies["JSESSIONID"], path="/")
    return visitor


def with_token(hub, token, path):
    headers = {"Authorization": f"token {token}"}
    return requests.get(hub.url + path, headers=headers, allow_redirects=False, timeout=30)


def contents(server):
    return server["url"].removeprefix("/jupyterhub") + "api/contents/"


def test_xnat_s_token_opens_the_dashboard_and_no_other_server(hub, xnat):
    dashboard, notebook = start(hub, xnat, **{NAME: 7, OTHER: None})
    token = hub.plugin.token("nobody", "XNAT", 300)
    for _ in range(3):
        assert with_token(hub, token, contents(dashboard)).status_code == 200
        assert with_token(hub, token, contents(notebook)).status_code in {302, 403}
    me = with_token(hub, token, "/hub/api/user").json()
    assert [scope for scope in me["scopes"] if scope.startswith("access")] == [
        f"access:servers!server=nobody/{NAME}"
    ]
    hub.plugin.stop("nobody", NAME)
    assert with_token(hub, token, "/hub/api/user").status_code == 403


@pytest.mark.usefixtures("jupyterlab")
def test_xnat_s_session_leads_to_the_dashboard_and_nowhere_else(hub, xnat):
    dashboard, notebook = start(hub, xnat, **{NAME: 7, OTHER: None})
    visitor = browser(hub, xnat)
    for _ in range(2):
        opened = visitor.get_page(dashboard["url"].removeprefix("/jupyterhub") + "lab")
        assert opened.status_code == 200, opened.url
        assert f"/user/nobody/{NAME}/lab" in opened.url
    for path in (
        "/hub/home",
        "/hub/token",
        "/hub/spawn",
        f"/hub/spawn/nobody/{OTHER}",
        "/hub/admin",
    ):
        page = visitor.get_page(path, allow_redirects=False)
        assert page.status_code in {302, 403}, path
        assert "/hub/login" in page.headers.get("Location", "/hub/login"), path
    for path in (contents(notebook), notebook["url"].removeprefix("/jupyterhub") + "lab", "/hub/home"):
        page = visitor.get_page(path)
        assert page.status_code == 403, page.url
        assert "this account may not use Jupyter" in page_text(page)
    for method, path in (
        ("GET", "/users/nobody"),
        ("POST", "/users/nobody/tokens"),
        ("POST", "/users/nobody/server"),
    ):
        answer = visitor.request(method, f"{hub.url}/hub/api{path}", headers={"Referer": hub.url}, timeout=30)
        assert answer.status_code == 403, path
    assert hub.plugin.server("nobody") is None


@pytest.mark.parametrize("dashboard", [None])
def test_without_a_dashboard_there_is_no_way_in(hub, xnat, dashboard):
    start(hub, xnat, **{NAME: dashboard})
    page = browser(hub, xnat).get_page("/hub/login")
    assert page.status_code == 403
    assert "this account may not use Jupyter" in page.text
