"""`xnathub demo --kubernetes`: from the command to a notebook with its data, and nothing left of it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml

from tests.demo import IMAGES, Demo, no_images_but_own, use
from tests.kubernetes.testbed import CACHE, RUN, VOLUMES, Cluster, wait_for
from tests.support import free_port
from xnathub_conf import __version__

CLASS = "xnathub-demo-test"
FOREIGN = "a-hospitals-node"


@pytest.fixture
def images(cluster: Cluster) -> Iterator[None]:
    """This machine's Docker has both images, and the node neither."""
    with no_images_but_own():
        for image in IMAGES:
            name = image.partition(":")[0]
            subprocess.run(["docker", "tag", f"{name}:test", image], check=True)
        forget_images()
        yield
        forget_images()


def forget_images() -> None:
    names = [f"docker.io/library/{image}" for image in IMAGES]
    subprocess.run(
        ["ctr", "--address", str(RUN / "containerd.sock"), "--namespace", "k8s.io", "images", "rm", *names],
        capture_output=True,
    )


@pytest.fixture
def storage(cluster: Cluster) -> Iterator[Path]:
    """A default storage class, and volumes for the claims of two demos; no volume is used twice."""
    folder = VOLUMES / f"demo-{uuid.uuid4().hex[:8]}"
    names = [f"{folder.name}-{number}" for number in range(6)]
    kind = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    try:
        cluster.apply(kind)
        for name in names:
            (folder / name).mkdir(parents=True)
            (folder / name).chmod(0o777)
            spec = {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": CLASS,
                "hostPath": {"path": str(folder / name)},
            }
            cluster.apply(
                {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
            )
        yield folder
    finally:
        cluster.kubectl("delete", "storageclass", CLASS, "--ignore-not-found")
        cluster.kubectl("delete", "persistentvolume", *names, "--ignore-not-found", "--timeout=60s")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_demo(cluster: Cluster, images: None, tmp_path: Path) -> Iterator[Any]:
    demos: list[Demo] = []

    def new(*arguments: str, **environment: str) -> Demo:
        folder = tmp_path / str(len(demos))
        folder.mkdir()
        given = {"CONTAINERD_ADDRESS": str(RUN / "containerd.sock"), **cluster.environment, **environment}
        ports = ("--xnat-port", str(free_port()), "--hub-port", str(free_port()))
        demos.append(Demo(folder, *ports, "--kubernetes", *arguments, **given))
        return demos[-1]

    yield new
    for demo in demos:
        if demo.process.poll() is None:
            demo.end(signal.SIGTERM)


def namespaces(cluster: Cluster) -> set[str]:
    names = {each["metadata"]["name"] for each in cluster.get("namespaces")["items"]}
    return {name for name in names if name.startswith("xnathub-demo-")}


def is_healthy(demo: Demo) -> bool:
    try:
        return requests.get(f"{demo.addresses[1]}/jupyterhub/hub/health", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def test_from_the_command_to_the_notebook_and_nothing_left(cluster, storage, new_demo):
    demo = new_demo()
    demo.wait_until_up()
    assert (
        "The cluster of the context test, https://10.89.0.1:6443, gets the namespace xnathub-demo-"
        in demo.output
    )
    assert f"docker save xnathub-demo:{__version__} | ctr" in demo.output
    use(demo)
    (namespace,) = namespaces(cluster)
    # The way to the hub may break; it comes again.
    kubectls = [each for each in psutil.Process(demo.process.pid).children() if each.name() == "kubectl"]
    assert len(kubectls) == 2
    for each in kubectls:
        each.kill()
    wait_for(lambda: is_healthy(demo), 30)
    servers = ("pods", "--namespace", namespace, "--selector", "component=singleuser-server")
    assert len(cluster.get(*servers)["items"]) == 1
    family = psutil.Process(demo.process.pid).children(recursive=True)
    # A second Ctrl-C does not cut the cleaning up short.
    demo.process.send_signal(signal.SIGINT)
    assert demo.end(signal.SIGINT) == 0, demo.output
    assert "nothing of it is left" in demo.output
    assert not namespaces(cluster)
    assert not psutil.wait_procs(family, 5)[1]
    assert not list(demo.temp.iterdir())


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_amid_the_start_leaves_nothing(cluster, storage, new_demo, how):
    demo = new_demo("test")
    wait_for(lambda: namespaces(cluster) or demo.process.poll() is not None, 60, lambda: demo.output)
    assert demo.end(how) == 0, demo.output
    assert not namespaces(cluster)
    assert not list(demo.temp.iterdir())


def test_a_hub_that_is_gone_ends_the_demo(cluster, storage, new_demo):
    demo = new_demo()
    demo.wait_until_up()
    (namespace,) = namespaces(cluster)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    assert demo.process.wait(120) == 2
    assert "The hub has ended by itself" in demo.output
    assert not namespaces(cluster)


def refused(demo: Demo, says: str) -> None:
    assert demo.process.wait(300) == 2, demo.output
    assert says in demo.output.splitlines()[-1], demo.output
    assert "Traceback" not in demo.output
    assert not list(demo.temp.iterdir())


def kubeconfig(path: Path, server: str | None = None, token: str | None = None) -> str:
    """Write the tests' own access anew, with another server or another account."""
    config = yaml.safe_load((CACHE / "kubeconfig").read_text())
    if server:
        config["clusters"][0]["cluster"] = {"server": server}
    if token:
        config["users"][0]["user"] = {"token": token}
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_what_is_missing_is_one_sentence(cluster, new_demo, tmp_path):
    nowhere = kubeconfig(tmp_path / "nowhere", f"https://127.0.0.1:{free_port()}")
    for arguments, environment, says in (
        ((), {"PATH": str(tmp_path)}, "there is no program `kubectl`"),
        ((), {"KUBECONFIG": str(tmp_path / "none")}, "kubectl has no current context"),
        (("other",), {}, "kubectl has no context other"),
        ((), {"KUBECONFIG": nowhere}, "Kubernetes can't be used here: The connection to the server"),
        ((), {}, "has no default storage class"),
    ):
        refused(new_demo(*arguments, **environment), says)


def test_addresses_that_are_none_for_pods(storage, new_demo):
    refused(new_demo("--address", "localhost"), "Pods must reach --address")
    refused(new_demo("--address", "192.0.2.1"), "192.0.2.1 is no address of this machine")


def test_another_machines_cluster_is_left_alone_unless_it_is_named(cluster, storage, new_demo):
    cluster.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": FOREIGN}, "spec": {"unschedulable": True}}
    )
    try:
        status = {"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]}}
        cluster.kubectl(
            "patch", "node", FOREIGN, "--subresource=status", "--type=merge", "--patch", json.dumps(status)
        )
        refused(new_demo(), "is not this machine's, for all that its node a-hospitals-node shows.")
        demo = new_demo("test")
        wait_for(lambda: "gets the namespace" in demo.output, 60, lambda: demo.output)
        demo.end(signal.SIGTERM)
    finally:
        cluster.kubectl("delete", "node", FOREIGN)
    assert not namespaces(cluster)


def test_an_account_that_may_not_is_told_so(cluster, storage, new_demo, tmp_path):
    name = f"demo-{uuid.uuid4().hex[:8]}"
    account = f"system:serviceaccount:default:{name}"
    try:
        cluster.kubectl("create", "serviceaccount", name)
        token = cluster.kubectl("create", "token", name).strip()
        access = kubeconfig(tmp_path / "access", token=token)
        refused(
            new_demo(KUBECONFIG=access),
            "Kubernetes can't be used here: Error from server (Forbidden): nodes is forbidden",
        )
        cluster.kubectl("create", "clusterrolebinding", name, "--clusterrole=view", f"--user={account}")
        reads = ("--verb=list", "--resource=nodes,storageclasses.storage.k8s.io")
        cluster.kubectl("create", "clusterrole", name, *reads)
        cluster.kubectl(
            "create", "clusterrolebinding", f"{name}-nodes", f"--clusterrole={name}", f"--user={account}"
        )
        refused(new_demo(KUBECONFIG=access), "namespaces is forbidden")
    finally:
        for kind, each in (
            ("clusterrolebinding", name), ("clusterrolebinding", f"{name}-nodes"), ("clusterrole", name), ("serviceaccount", name),
        ):  # fmt: skip
            cluster.kubectl("delete", kind, each, "--ignore-not-found")


def test_images_that_can_not_be_brought(cluster, storage, new_demo, tmp_path):
    refused(new_demo(CONTAINERD_ADDRESS=str(tmp_path / "none.sock")), "it can't be brought there (")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "kubectl").symlink_to(CACHE / "bin" / "kubectl")
    refused(
        new_demo(PATH=str(programs)),
        "there is no Docker here that could build it: build it elsewhere with `docker build",
    )
    assert not namespaces(cluster)
