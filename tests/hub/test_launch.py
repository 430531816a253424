"""From XNAT's answer to a running server, and every way that ends before."""

import json

import psutil
import pytest
import requests

from tests.support import page_text
from xnathub_conf.standin import Environment, HubError


def start(hub, xnat, name="alice", project="P1", servername=""):
    options = xnat.state.launch(name, project, servername)
    hub.plugin.ensure_user(name)
    hub.plugin.start(name, options)
    return options


def contents(hub, server, path, name="alice"):
    token = hub.plugin.token(name, "test", 300)
    address = hub.url.removesuffix("/jupyterhub") + server["url"] + f"api/contents/{path}"
    return requests.get(address, headers={"Authorization": f"token {token}"}, timeout=20)


@pytest.mark.usefixtures("jupyterlab")
def test_the_server_sees_the_project_s_files(hub, xnat):
    start(hub, xnat)
    server = hub.plugin.wait_ready("alice")
    listing = contents(hub, server, "data/projects/P1/experiments").json()
    assert any(entry["type"] == "directory" for entry in listing["content"])
    readme = contents(hub, server, "data/projects/P1/experiments/README.txt").json()
    assert readme["content"] == (hub.folder / "archive/P1/arc001/README.txt").read_text()


def test_a_second_start_keeps_nothing_of_the_first(hub, xnat):
    start(hub, xnat, project="P1")
    hub.plugin.wait_ready("alice")
    hub.plugin.stop("alice")
    start(hub, xnat, project="P2")
    server = hub.plugin.wait_ready("alice")
    projects = contents(hub, server, "data/projects").json()["content"]
    assert [entry["name"] for entry in projects] == ["P2"]


def test_what_a_user_posts_decides_nothing_and_is_not_kept(hub, xnat):
    xnat.state.launch("alice", "P1")
    hub.plugin.ensure_user("alice")
    evil = {
        "image": "evil",
        "task_template": {"container_spec": {"image": "evil"}},
        "projectId": "P3",
        "x": [1],
    }
    assert hub.api("POST", "/users/alice/server", json=evil).status_code in {201, 202}
    facts = hub.plugin.wait_ready("alice")["user_options"]
    assert facts["projectId"] == "P1"
    assert not {"image", "task_template", "x"} & set(facts)


def test_the_alias_secret_appears_nowhere(hub, xnat):
    options = start(hub, xnat)
    hub.plugin.wait_ready("alice")
    secret = json.loads(xnat.state.user_options("alice"))["task_template"]["container_spec"]["env"][
        "XNAT_PASS"
    ]
    assert secret not in hub.log_since(0)
    assert secret not in hub.api("GET", "/users/alice").text
    stored = b"".join(file.read_bytes() for file in hub.folder.glob("jupyterhub.sqlite*"))
    assert b"eventTrackingId" in stored
    assert secret.encode() not in stored
    assert options["eventTrackingId"] in hub.api("GET", "/users/alice").text


def test_nothing_to_start_leads_back_to_xnat(hub, xnat, visitor):
    xnat.state.remove_user_options("alice")
    visitor.sign_in("alice", xnat.state.user("alice").password)
    page = visitor.start_page()
    assert page.status_code == 409
    assert "press Start Jupyter there" in page_text(page)
    assert f'<a href="{xnat.url}">Open XNAT</a>' in page.text


REFUSALS = {
    "image": (
        Environment(image="evil/image:1"),
        "The image evil/image:1 is not allowed",
        "servers.allowed_images",
    ),
    "environment": (
        Environment(env={"LD_PRELOAD": "/x"}),
        "XNAT may not set the variable LD_PRELOAD: it decides which libraries and programs are loaded.",
        "servers.environment",
    ),
    "resources": (
        Environment(generic_resources={"gpu": "1"}),
        "at most 0 are allowed",
        "generic_resources.gpu",
    ),
    "reserved": (Environment(mem_limit="1G", mem_reservation="2G"), "more than the limit", ""),
}


@pytest.mark.parametrize("rule", REFUSALS)
def test_refusals_name_the_rule_and_its_key(hub, xnat, visitor, rule):
    environment, sentence, key = REFUSALS[rule]
    xnat.state.environment = environment
    xnat.state.launch("alice", "P1")
    visitor.sign_in("alice", xnat.state.user("alice").password)
    position = len(hub.log_since(0))
    page = visitor.start_page()
    assert page.status_code == 403
    for text in (sentence, key, "Ask your XNAT administrator"):
        assert text in page_text(page)
    assert "Traceback" not in hub.log_since(position)
    assert sentence in hub.log_since(position)


@pytest.mark.parametrize(
    "change", [{"source": "/etc"}, {"source": "/data/xnat/archive/../../etc"}, {"target": "/etc"}]
)
def test_mounts_outside_the_rules_are_refused(hub, xnat, visitor, change):
    options = xnat.state.launch("alice", "P1")
    options["task_template"]["container_spec"]["mounts"][1].update(change)
    xnat.state.set_user_options("alice", options)
    visitor.sign_in("alice", xnat.state.user("alice").password)
    page = visitor.start_page()
    assert page.status_code in {403, 502}
    assert "administrator" in page_text(page)
    assert hub.plugin.server("alice") is None


def test_a_failed_start_is_told_to_the_plugin(hub, xnat):
    xnat.state.environment = Environment(image="evil/image:1")
    with pytest.raises(HubError, match=r"evil/image:1 is not allowed"):
        start(hub, xnat)


def test_the_service_account_keeps_one_session(hub, xnat):
    xnat.state.end_sessions("jupyterhub")
    for _ in range(3):
        xnat.state.launch("alice", "P1")
        start(hub, xnat)
        hub.plugin.wait_ready("alice")
        hub.plugin.stop("alice")
    assert len(xnat.state.sessions("jupyterhub")) == 1
    asked = [request.how for request in xnat.requests.find("/xapi/jupyterhub/users")]
    assert asked[-2:] == ["cookie", "cookie"]


def test_restart_of_the_hub_reads_its_database_again(hub, xnat):
    """Local servers end with their hub; the hub itself comes back with its users and their names."""
    start(hub, xnat, "a.b@c.org", "P1")
    hub.plugin.wait_ready("a.b@c.org")
    hub.stop()
    hub.start()
    assert "a.b@c.org" in {user["name"] for user in hub.api("GET", "/users").json()}
    start(hub, xnat, "a.b@c.org", "P1")
    assert hub.plugin.wait_ready("a.b@c.org")["ready"]


def test_local_servers_end_with_a_hub_that_is_killed(hub, xnat):
    start(hub, xnat)
    hub.plugin.wait_ready("alice")
    servers = hub.server_processes()
    assert servers
    hub.process.kill()
    hub.process.wait()
    assert not psutil.wait_procs(servers, timeout=20)[1]
    hub.start()
    assert hub.plugin.server("alice") is None
    start(hub, xnat)
    assert hub.plugin.wait_ready("alice")["ready"]
