"""Servers named as XNAT's pages name them: after the event tracking ID that the browser makes."""

import contextlib
import sqlite3
from http.client import HTTPConnection
from urllib.parse import quote, urlsplit

import pytest
import requests

from tests.support import Visitor, wait_until
from xnathub_conf.standin import Environment, HubError

NAME = "20260728T120000123Z"


@pytest.fixture
def started(hub, xnat):
    """Start alice's server of a name, as XNAT's pages do; give its model."""

    def start(servername=NAME, user="alice", project="P1"):
        hub.plugin.ensure_user(user)
        hub.plugin.start(user, xnat.state.launch(user, project, servername))
        return hub.plugin.wait_ready(user, servername)

    return start


def opens(hub, server, user="alice"):
    token = hub.plugin.token(user, "XNAT", 300)
    address = hub.url.removesuffix("/jupyterhub") + server["url"] + "api/contents/"
    return requests.get(address, headers={"Authorization": f"token {token}"}, timeout=20)


def test_the_name_stays_as_it_is_from_start_to_stop(hub, started):
    server = started()
    assert (server["name"], server["url"]) == (NAME, f"/jupyterhub/user/alice/{NAME}/")
    assert opens(hub, server).json()["content"]
    hub.plugin.stop("alice", NAME)
    assert NAME not in hub.api("GET", "/users/alice?include_stopped_servers").json()["servers"], "forgotten"
    with sqlite3.connect(hub.folder / "jupyterhub.sqlite") as database:
        assert not database.execute("SELECT name FROM spawners WHERE name = ?", [NAME]).fetchall()


def test_several_servers_of_a_user_and_the_default_one(hub, started):
    names = [NAME, NAME.lower().replace("t1", "x1"), NAME.replace("T", "t"), ""]
    servers = [started(name) for name in names]
    assert len({server["url"] for server in servers}) == len(names)
    assert all(opens(hub, server).status_code == 200 for server in servers)
    hub.plugin.stop("alice", names[0])
    assert all(hub.plugin.server("alice", name)["ready"] for name in names[1:])


def test_a_restart_of_the_hub_takes_the_names_from_its_database(hub, started):
    started()
    hub.stop()
    position = len(hub.log_since(0))
    hub.start()
    assert "restrictions" not in hub.log_since(position)
    # A local server ends with its hub; its row stays, and the same name can be started again.
    assert opens(hub, started()).status_code == 200


def clients(hub) -> dict[str, str]:
    """Each OAuth client that the hub knows, and where it leads."""
    with sqlite3.connect(hub.folder / "jupyterhub.sqlite") as database:
        return dict(database.execute("SELECT identifier, redirect_uri FROM oauth_clients"))


@pytest.mark.usefixtures("jupyterlab")
def test_servers_of_names_that_join_alike_are_different_clients(hub, xnat, started):
    for name in ("a", "a-b"):
        with contextlib.suppress(ValueError):
            xnat.state.add_user(name, roles=["Jupyter"], projects=["P1"])
    started("b", user="a")
    started("", user="a-b")
    started("c", user="a-b")
    started("b-c", user="a")
    leads = {address: name for name, address in clients(hub).items() if "/user/a" in address}
    assert {path.removesuffix("/oauth_callback") for path in leads} == {
        f"/jupyterhub/user/{path}" for path in ("a/b", "a-b", "a-b/c", "a/b-c")
    }
    for user in ("a", "a-b"):
        page = Visitor(hub.url)
        page.sign_in(user, xnat.state.user(user).password)
        server = "/user/a/b" if user == "a" else "/user/a-b/c"
        opened = page.get_page(f"{server}/lab")
        assert (opened.status_code, opened.url) == (200, f"{hub.url}{server}/lab")


def test_named_servers_that_ended_long_ago_are_forgotten(hub, xnat):
    hub.plugin.ensure_user("alice")
    names = ["20260101T000000001Z", "20260101T000000002Z", "20260101T000000003Z"]
    for name in names:
        with pytest.raises(HubError):
            hub.plugin.start(
                "alice", xnat.state.launch("alice", "P1", name, Environment(image="evil/image:1"))
            )
    hub.stop()
    with sqlite3.connect(hub.folder / "jupyterhub.sqlite") as database:
        change = "UPDATE spawners SET last_activity = '2026-01-01 00:00:00.000000' WHERE name = ?"
        database.executemany(change, [(name,) for name in names[:2]])
    hub.start()

    def rows() -> list[str]:
        with sqlite3.connect(hub.folder / "jupyterhub.sqlite") as database:
            return [name for (name,) in database.execute("SELECT name FROM spawners")]

    wait_until(lambda: names[0] not in rows() and names[1] not in rows(), what="the end of old rows")
    assert names[2] in rows()


@pytest.mark.parametrize("name", ["0", "A", "_", "a.b", "A-b_c.d~e", "2" * 128])
def test_other_names_that_are_one_part_of_a_path(hub, started, name):
    assert started(name)["name"] == name


@pytest.mark.parametrize(
    "name",
    [
        "..", ".", "../alice", "a/b", "a\\b", "a%2Fb", "%2e%2e", "a b", "a?b", "a#b", "a;b", "a\nb", "a\x00b", "a=b", "a,b", "a!b",
        "ä", "\u202ea", "2" * 129, ".hidden", "-rf",
    ],
)  # fmt: skip
def test_a_name_that_could_lead_elsewhere_is_refused(hub, name):
    hub.plugin.ensure_user("alice")
    stopped = "/users/alice?include_stopped_servers"
    before = set(hub.api("GET", stopped).json()["servers"])
    # Straight to the hub: clients and its proxy take dots for their own.
    connection = HTTPConnection(urlsplit(hub.hub_bind_url).netloc, timeout=20)
    path = f"/jupyterhub/hub/api/users/alice/servers/{quote(name, safe='')}"
    connection.request("POST", path, headers={"Authorization": f"token {hub.token}"})
    assert connection.getresponse().status in {400, 404}
    connection.close()
    assert set(hub.api("GET", stopped).json()["servers"]) == before


def test_the_home_page_lists_and_stops_it(hub, xnat, started, visitor):
    started()
    visitor.sign_in("alice", xnat.state.user("alice").password)
    page = visitor.get_page("/hub/home").text
    assert f'data-stop="servers/{NAME}"' in page
    assert f'href="/jupyterhub/user/alice/{NAME}/"' in page
    assert hub.api("DELETE", f"/users/alice/servers/{NAME}").status_code in {202, 204}
    wait_until(lambda: hub.plugin.server("alice", NAME) is None, 20, "the server's end")
    # Stopped on the hub's page, it may be started there again: XNAT still holds what it was started on.
    started_again = visitor.get_page(f"/hub/spawn/alice/{NAME}", allow_redirects=False)
    assert started_again.headers["Location"] == f"/jupyterhub/hub/spawn-pending/alice/{NAME}"
    assert hub.plugin.wait_ready("alice", NAME)["ready"]


@pytest.mark.parametrize(("label", "dashboard"), [("Synthetic heads", None), ("SUBJ01 & co", 7)])
def test_what_only_the_request_says_is_told_to_xnat_s_pages(hub, xnat, label, dashboard):
    options = xnat.state.launch("alice", "P1", NAME)
    assert options["itemLabel"] is options["dashboardConfigId"] is None
    hub.plugin.ensure_user("alice")
    hub.plugin.start(
        "alice", {**options, "itemLabel": label, "dashboardConfigId": dashboard, "xsiType": "evil"}
    )
    facts = hub.plugin.wait_ready("alice", NAME)["user_options"]
    assert (facts["itemLabel"], facts["dashboardConfigId"]) == (label, dashboard)
    assert facts["xsiType"] == options["xsiType"], "XNAT's stored options come first"


def test_what_xnat_stores_stands_whatever_the_request_says(hub, xnat):
    stored = {**xnat.state.launch("alice", "P1", NAME), "itemLabel": "stored", "dashboardConfigId": 1}
    xnat.state.set_user_options("alice", stored, NAME)
    hub.plugin.ensure_user("alice")
    hub.plugin.start("alice", {**stored, "itemLabel": ["nested"], "dashboardConfigId": 2})
    facts = hub.plugin.wait_ready("alice", NAME)["user_options"]
    assert (facts["itemLabel"], facts["dashboardConfigId"]) == ("stored", 1)


def test_what_the_user_s_own_request_says_does_not_count(hub, xnat, visitor):
    xnat.state.launch("alice", "P1", NAME)
    hub.plugin.ensure_user("alice")
    visitor.sign_in("alice", xnat.state.user("alice").password)
    visitor.get_page(f"/hub/spawn/alice/{NAME}?itemLabel=mine&dashboardConfigId=3")
    facts = hub.plugin.wait_ready("alice", NAME)["user_options"]
    assert (facts["itemLabel"], facts["dashboardConfigId"]) == (None, None)
