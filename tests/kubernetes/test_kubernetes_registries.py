"""Images of a private registry on a cluster: a real registry with a password, from which the node's own runtime pulls."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import docker
import pytest

from tests.docker.conftest import SOCKET
from tests.docker.processes import WEB_SERVER
from tests.docker.registry import PASSWORD, USER, Registry
from tests.kubernetes.testbed import RUN, Cluster, Release, new_release, wait_for
from tests.secret_search import Search

FORMS = ("none", "lines", "config.json", "named")


@pytest.fixture(scope="module")
def registry(cluster: Cluster, tmp_path_factory) -> Iterator[Registry]:
    client = docker.DockerClient(base_url=SOCKET)
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        if Search.current:
            Search.current.secret("registry password", PASSWORD)
        # One name for each form of login: an image that a node has is not pulled again.
        for form in FORMS:
            registry.push(client, "xnathub-busybox:test", f"private/{form}:1")
        yield registry
        for form in FORMS:
            image = f"{registry.host}/private/{form}:1"
            cluster.run(
                "ctr", "-a", f"{RUN}/containerd.sock", "-n", "k8s.io", "images", "rm", image, check=False
            )
    client.close()


@pytest.fixture(scope="module")
def private(cluster: Cluster, registry: Registry) -> Iterator[Release]:
    with new_release(cluster) as release:
        release.values["site"]["servers"]["allowed_images"].append(f"{registry.host}/private/*")
        release.upgrade()
        yield release


def started(release: Release, registry: Registry, form: str) -> list[str]:
    """Start a server from the image of that name, and return the names of its pod's pull secrets."""
    release.start("demo", image=f"{registry.host}/private/{form}:1", command=WEB_SERVER.command)
    names = pull_secrets(release)
    release.stop("demo")
    return names


def pull_secrets(release: Release) -> list[str]:
    """Return the names of the pull secrets of a server that runs."""
    pod = release.pod_of("demo")
    assert pod["status"]["phase"] == "Running"
    return [each["name"] for each in pod["spec"]["imagePullSecrets"]]


def test_without_a_login_the_keys_are_named(private: Release, registry: Registry):
    told = private.failure("demo", image=f"{registry.host}/private/none:1", command=WEB_SERVER.command)
    assert f"The image {registry.host}/private/none:1 can't be pulled: " in told
    assert "site.yaml: orchestrator.kubernetes.image_pull_secrets, or servers.registry_logins." in told


@pytest.mark.parametrize("form", ["lines", "config.json"])
def test_the_chart_makes_the_pull_secret(private: Release, registry: Registry, form: str):
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    private.values["secrets"]["registryLogins"] = (
        f"registry.example.org someone else's\n{registry.host} {USER} {PASSWORD}\n"
        if form == "lines"
        else json.dumps({"auths": {registry.host: {"auth": auth}}})
    )
    logins = {"file": "/etc/xnathub/secrets/registry_logins"}
    private.values["site"]["servers"]["registry_logins"] = logins
    private.upgrade()
    secret = private.namespace.get("secret", "xnathub-registry-logins")
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    held = json.loads(private.secrets("xnathub-registry-logins")[".dockerconfigjson"])
    assert held["auths"][registry.host] == {"auth": auth}
    assert started(private, registry, form) == ["xnathub-registry-logins"]


def test_a_pull_secret_that_the_node_has_after_its_first_pull(private: Release, registry: Registry):
    """As where it is made a moment late, or the node has not fetched it yet: the pull that fails is not the last."""
    private.values["secrets"].pop("registryLogins", None)
    private.values["site"]["servers"].pop("registry_logins", None)
    private.values["site"]["orchestrator"]["kubernetes"]["image_pull_secrets"] = ["imaging-registry"]
    private.upgrade()
    private.workspace("demo")
    image = f"{registry.host}/private/named:1"
    environment = private.environment(image=image, command=WEB_SERVER.command)
    options = private.state.launch("demo", "P1", environment=environment)
    plugin = private.plugin
    plugin.ensure_user("demo")
    plugin.start("demo", options)

    def pull_failed() -> bool:
        reasons = {
            event["reason"]
            for event in private.namespace.get("events")["items"]
            if image in event["message"] or "imaging-registry" in event["message"]
        }
        return {"FailedToRetrieveImagePullSecret", "Failed"} <= reasons

    wait_for(pull_failed, 60)
    login = {"auths": {registry.host: {"username": USER, "password": PASSWORD}}}
    secret = {
        **{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "imaging-registry"}},
        **{"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": json.dumps(login)}},
    }
    private.namespace.kubectl("create", "--filename=-", text=json.dumps(secret))
    plugin.wait_ready("demo")
    assert pull_secrets(private) == ["imaging-registry"]
    private.stop("demo")
