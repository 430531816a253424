"""What undoes another key, or does nothing where it stands, is told; so is what a user could put something else in the place of."""

import re

import pytest

from tests.unit.helpers import ROOT, problems_of, site_text
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.schema import EFFECTS, node_at, takes_effect

PROXY = "http://proxy.example.org:3128"
LOCAL = {"local": {"directory": "/srv/x"}}
WORKSPACES = "/data/xnat/workspaces/users"


@pytest.mark.parametrize(
    ("servers", "path"),
    [
        ({"http_proxy": PROXY, "no_proxy": ["*"]}, ("no_proxy", 0)),
        ({"http_proxy": PROXY, "environment": {"HTTPS_PROXY": "http://q:1"}}, ("environment", "HTTPS_PROXY")),
        ({"http_proxy": PROXY, "environment": {"no_proxy": "x"}}, ("environment", "no_proxy")),
    ],
)
def test_what_undoes_the_way_out_is_told(servers, path):
    (problem,) = problems_of(site_text(**{f"servers__{key}": value for key, value in servers.items()}))
    told = ("no-effect", "error") if path[0] == "no_proxy" else ("two-ways-out", "warning")
    assert (problem.rule, problem.severity, problem.path) == (*told, ("servers", *path))
    assert "delete `http_proxy`" in problem.fix


def test_variables_of_a_way_out_are_taken_where_no_key_says_it():
    assert problems_of(site_text(servers__environment={"HTTPS_PROXY": "http://q:1"})) == []


@pytest.mark.parametrize(
    ("servers", "path"),
    [
        ({"ca_file": f"{WORKSPACES}/alice/ca.pem"}, ("ca_file",)),
        ({"ca_file": f"{WORKSPACES}/ca.pem"}, ("ca_file",)),
    ],
)
def test_what_all_servers_have_lies_where_no_user_writes(servers, path):
    (problem,) = problems_of(site_text(**{f"servers__{key}": value for key, value in servers.items()}))
    assert (problem.rule, problem.path, problem.severity) == ("link", ("servers", *path), "error")
    assert WORKSPACES in problem.fix


@pytest.mark.parametrize(
    ("subnet", "told"),
    [
        ("8.8.0.0/20", True),
        ("172.32.0.0/20", True),
        ("172.16.0.0/20", False),
        ("100.64.0.0/16", False),
        ("0.0.0.0/1", True),
    ],
)
def test_a_network_of_others_is_warned_of(subnet, told):
    found = problems_of(site_text(orchestrator={"swarm": {"subnet": subnet}}))
    assert [(each.rule, each.severity) for each in found] == [("public-subnet", "warning")] * told


VALUES = {
    "shm_size": "2G", "dns_search": ["example.org"], "hosts": {"pacs": "10.0.0.5"}, "images_ahead": ["xnat/x:1"], "internet": "none",
    "security": {"pids_limit": 100}, "uid": 54, "gid": 54, "registry_logins": {"file": "/run/secrets/x"}, "cpu_limit": 2,
    "cpu_guarantee": 1, "mem_limit": "2G", "mem_guarantee": "1G",
}  # fmt: skip


@pytest.mark.parametrize("key", VALUES)
def test_local_servers_are_told_what_they_can_not_have(key):
    (problem,) = problems_of(site_text(orchestrator=LOCAL, **{f"servers__{key}": VALUES[key]}))
    # What is to protect is refused, what is not is told alone: a site's file still serves for a demo.
    severity = "warning" if key in kinds()["local"].unused else "error"
    assert (problem.severity, problem.fix) == (severity, "Delete it.")
    assert problem.message.startswith("It has no effect: ")
    assert problem.path[:2] == ("servers", key)


def test_the_page_of_keys_by_orchestrator_names_what_local_servers_can_not_have():
    text = (ROOT / "docs" / "engines.md").read_text()
    both = re.search(r"for demos: (.*?) are refused there; (.*?) are warned of", text, re.DOTALL)
    refused, told = (set(re.findall(r"`(\w+)`", each)) for each in both.groups())
    assert told == set(kinds()["local"].unused)
    assert refused | told == set(VALUES)


def test_tests_that_the_page_of_keys_names_are_there():
    text = (ROOT / "docs" / "engines.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 15
    for file, test in named:
        assert not test or f"def {test}(" in (ROOT / file).read_text(), (file, test)
        assert (ROOT / file).is_file()


@pytest.mark.parametrize(
    "key",
    [
        "servers.internet",
        "orchestrator.docker.mtu",
        "orchestrator.swarm.mtu",
        "orchestrator.swarm.encrypted",
        "orchestrator.swarm.subnet",
    ],
)
def test_what_docker_makes_once_takes_new_networks(key):
    assert takes_effect(tuple(key.split("."))) == "new-networks"
    assert "Docker changes no network" in EFFECTS["new-networks"]


def test_every_key_that_counts_when_a_network_is_made_says_so():
    for engine in ("docker", "swarm"):
        for key, node in node_at(("orchestrator", engine))["properties"].items():
            counts = "It counts when" in node.get("description", "")
            assert counts == (node.get("x-takes-effect") == "new-networks"), key
