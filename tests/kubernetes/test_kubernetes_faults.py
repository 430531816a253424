"""The API server gone for a while, and pods that the hub does not know."""

from __future__ import annotations

import time

import requests

from tests.kubernetes.testbed import BUSYBOX, Cluster, Release, wait_for
from tests.plugin_pages import EVENT
from xnathub_conf.standin import HubError

SENTENCE = "The Kubernetes API can't be reached. Try again later. Tell your XNAT administrator."

TOLD = "Not starting alice's server"


def test_without_the_api_server_nothing_is_lost(release: Release, cluster: Cluster):
    release.start("demo", servername=EVENT)
    before = release.pod_of("demo", EVENT)["metadata"]["uid"]
    url, plugin = release.url, release.plugin
    options = release.state.launch("alice", "P1", EVENT, release.environment())
    release.workspace("alice")
    plugin.ensure_user("alice")
    token = {"Authorization": f"token {plugin.token('demo', 'test', 600)}"}
    told = release.namespace.kubectl("logs", "deployment/hub").count(TOLD)
    with cluster.without_api_server():
        sentence = release.failing_options("alice", options, plugin)
        assert sentence.endswith(SENTENCE)
        assert plugin.server("alice", EVENT) is None
        assert plugin.server("demo", EVENT)["ready"]
        answer = requests.get(f"{url}/user/demo/{EVENT}/api", headers=token, timeout=60)
        assert "version" in answer.json()
    # Services lead nowhere, and no pod is placed, until the node has been heard of again.
    wait_for(release.healthy, 180)
    log = release.namespace.kubectl("logs", "deployment/hub")
    assert log.count(TOLD) == told + 1
    assert "The Kubernetes API can't be reached" in log
    assert release.pod_of("demo", EVENT)["metadata"]["uid"] == before
    said: list[str] = []
    wait_for(lambda: starts(release, "alice", said), 240, lambda: "\n".join([*said, why(release)]))
    # The default server, which REST clients start, too.
    release.start("alice")
    release.stop_all()


def test_servers_on_a_node_that_is_gone_are_put_away(release: Release, cluster: Cluster):
    """One that is stopped, and one that Kubernetes evicts: no node says that their pods have ended."""
    release.start("alice")
    release.start("demo")
    url, token = release.url, release.secrets("xnathub-secrets")["hub_api_token"].decode()
    evicted = release.pod_of("demo")["metadata"]["name"]
    with cluster.without_node():
        stopped = requests.delete(
            f"{url}/hub/api/users/alice/server", headers={"Authorization": f"token {token}"}, timeout=90
        )
        assert stopped.status_code in {202, 204}, stopped.text
        release.namespace.kubectl("delete", "pod", evicted, "--wait=false", "--grace-period=1")
        wait_for(lambda: not release.servers(), 180)
    wait_for(release.healthy, 180)
    assert release.plugin.server("alice") is None
    assert release.plugin.server("demo") is None
    assert release.start("demo")["ready"]


def why(release: Release) -> str:
    """Return what the hub and Kubernetes have said lately."""
    said = (("logs", "deployment/hub", "--tail=40"), ("get", "pods,events"))
    return "\n".join(release.namespace.kubectl(*each, check=False) for each in said)


def starts(release: Release, user: str, said: list[str]) -> bool:
    try:
        return bool(release.start(user, servername=EVENT))
    except HubError as error:
        said.append(str(error))
        return False


def test_pods_that_the_hub_does_not_know_are_removed_and_nothing_else(release: Release):
    release.start("demo", servername=EVENT)
    known = release.pod_of("demo", EVENT)["metadata"]["uid"]
    for name, xnat in {"bob": release.xnat.url, "carl": "https://xnat.example.org"}.items():
        container = {"name": "notebook", "image": BUSYBOX, "imagePullPolicy": "Never"}
        metadata = {
            "name": f"jupyter-{name}",
            "labels": {"component": "singleuser-server"},
            "annotations": {
                "hub.jupyter.org/username": name,
                "org.xnat.jupyter.user": name,
                "org.xnat.jupyter.server": "",
                "org.xnat.jupyter.xnat": xnat,
            },
        }
        spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
        release.namespace.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def names() -> set[str]:
        return {pod["metadata"]["name"] for pod in release.servers()}

    wait_for(lambda: "jupyter-bob" not in names(), 180)
    time.sleep(5)
    assert "jupyter-carl" in names()
    assert release.pod_of("demo", EVENT)["metadata"]["uid"] == known
    release.namespace.kubectl("delete", "pod", "jupyter-carl", "--wait=false")
    log = release.namespace.kubectl("logs", "deployment/hub")
    assert log.count("jupyter-bob, which runs for 'bob' though the hub knows of no such server.") == 1
