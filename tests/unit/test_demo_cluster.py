"""Which clusters the demo takes for this machine's, and how it brings images there, by what each kind's nodes look like."""

from __future__ import annotations

from typing import Any

import pytest

from xnathub_conf.cli.demo_cluster import is_here, loader

ELSEWHERE = "192.0.2.7"


def node(
    name: str, provider: str = "", address: str = ELSEWHERE, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"providerID": provider} if provider else {},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (
            node("try-control-plane", "kind://docker/try/try-control-plane"),
            "kind load docker-image --name try x:1",
        ),
        (
            node("minikube", labels={"minikube.k8s.io/name": "two"}),
            "minikube --profile two image load x:1",
        ),
        (node("k3d-a-b-server-0", "k3s://k3d-a-b-server-0"), "k3d image import --cluster a-b x:1"),
    ],
)
def test_clusters_in_containers_are_here_wherever_their_nodes_seem_to_be(found, line):
    assert is_here(found)
    how = loader(found)
    assert how
    assert how.line("x:1") == line


def test_docker_desktop_has_dockers_own_images():
    assert is_here(node("docker-desktop"))
    assert loader(node("docker-desktop")) is None


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (node("host", "k3s://host"), "docker save x:1 | k3s ctr images import -"),
        (
            node("host", labels={"microk8s.io/cluster": "true"}),
            "docker save x:1 | microk8s ctr image import -",
        ),
        (node("host"), "docker save x:1 | ctr --namespace k8s.io images import -"),
        (node("host", "aws:///eu-west-1a/i-1"), "docker save x:1 | ctr --namespace k8s.io images import -"),
    ],
)
def test_a_node_that_is_a_host_is_here_by_its_address_alone(found, line, monkeypatch):
    how = loader(found)
    assert how
    assert how.line("x:1") == line
    # What a tunnel leads to may call itself anything, the loopback address too.
    for address in (ELSEWHERE, "127.0.0.1"):
        found["status"]["addresses"][0]["address"] = address
        assert not is_here(found)
    monkeypatch.setattr(
        "xnathub_conf.cli.demo_cluster.free_port", lambda _port, address: {"10.1.2.3": 9}[address]
    )
    found["status"]["addresses"][0]["address"] = "10.1.2.3"
    assert is_here(found)
