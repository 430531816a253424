"""`xnathub doctor` in the hub's pod and with an admin's kubeconfig, on a real cluster."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.doctor import Diagnosis, diagnose, diagnosis, keep
from tests.kubernetes.testbed import (
    SINGLEUSER,
    UID,
    Cluster,
    Namespace,
    Release,
    new_namespace,
    site_values,
    wait_for,
)
from tests.support import merged

FILE = "/etc/xnathub/site.yaml"


def in_pod(release: Release, changes: dict[str, Any] | None = None, *arguments: str) -> Diagnosis:
    """Run the command in the hub's pod, on a variant of its site file where there are changes."""
    hub = ["kubectl", "--namespace", release.namespace.name, "exec", "--stdin", "deployment/hub", "--"]
    file = FILE
    if changes:
        site = yaml.safe_load(release.namespace.kubectl("exec", "deployment/hub", "--", "cat", FILE))
        file = "/tmp/site.yaml"
        release.namespace.kubectl(
            *("exec", "--stdin", "deployment/hub", "--", "sh", "-c", f"cat > {file}"),
            text=yaml.safe_dump(merged(site, changes)),
        )
    done = subprocess.run(
        [*hub, "xnathub", "doctor", file, "--json", *arguments],
        capture_output=True,
        text=True,
        env=release.namespace.cluster.environment,
    )
    assert done.stdout, done.stderr
    assert release.state.user("jupyterhub").password not in done.stdout + done.stderr
    return diagnosis(done.stdout, done.returncode)


def test_in_the_hub_s_pod(release: Release):
    release.workspace("alice")
    release.state.launch("alice", "P1", environment=release.environment())
    found = in_pod(release, None, "--user", "alice", "--skip", "xnat.settings")
    assert found.bad() == [], found.text
    assert "to the hub's account" in found.told("kubernetes.api", "ok")
    assert found["kubernetes.rights"] == found["hub.scopes"] == found["xnat.plan"] == "ok"
    assert found["kubernetes.pod"] == "ok"
    assert f"Of 1 nodes 1 have all of 1 images ahead of time: {SINGLEUSER}" in found.told(
        "kubernetes.images_ahead", "ok"
    )
    assert "has xnathub's gate" in found.told("hub.proxy", "ok")
    assert "3 mounts lie in xnat-workspaces, xnat-archive" in found.told("kubernetes.plan", "ok")
    assert re.search(r"xnathub-singleuser:test 6\.\d+\.\d+", found.told("kubernetes.jupyterhub", "ok"))
    assert "org.xnat.xnathub.doctor" not in release.namespace.kubectl("get", "pods", "--show-labels")
    # The account can't look at more than it needs.
    for name in ("claim.xnat-archive", "claim.xnat-workspaces", "quotas", "nodes", "images"):
        assert "need not" in found.told(f"kubernetes.{name}", "skipped")


def test_the_table(release: Release):
    release.workspace("alice")
    release.state.launch("alice", "P1", environment=release.environment())
    command = ("exec", "deployment/hub", "--", "xnathub", "doctor", FILE, "--user", "alice")
    report = release.namespace.kubectl(*command, "--skip", "xnat.settings")
    assert "ok       kubernetes.rights" in report
    plain = {
        release.xnat.url: "http://xnat-web.xnat.svc.cluster.local:8080", release.namespace.name: "xnat",
        release.url.removesuffix("/jupyterhub"): "http://xnat.example.org",
    }  # fmt: skip
    keep("doctor-kubernetes", report, plain)


def test_a_namespace_where_the_hub_has_no_rights(release: Release):
    told = in_pod(release, {"orchestrator": {"kubernetes": {"namespace": "kube-system"}}}).told(
        "kubernetes.rights", "failed"
    )
    assert (
        "may not list pods, watch pods, create pods, delete pods, list events, watch events, get pods/log in kube-system"
        in told
    )
    assert "bind its Role hub" in told
    assert "[orchestrator.kubernetes.namespace]" in told


def test_a_pod_that_the_namespace_would_refuse(release: Release):
    """The hub's own account can tell, by asking for a pod that is never made."""
    namespace = release.namespace
    metadata = {"name": "doctor", "namespace": namespace.name}
    namespace.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "0"}}}
    )
    namespace.kubectl("wait", "--for=jsonpath={.status.hard}", "resourcequota/doctor", "--timeout=60s")
    try:
        told = in_pod(release).told("kubernetes.pod", "failed")
    finally:
        namespace.kubectl("delete", "resourcequota", "doctor")
    assert "exceeded quota: doctor" in told
    assert "Raise the quota" in told

    enforce = "pod-security.kubernetes.io/enforce"
    namespace.cluster.kubectl("label", "namespace", namespace.name, f"{enforce}=restricted")
    try:
        assert in_pod(release)["kubernetes.pod"] == "ok"
        root = {"orchestrator": {"kubernetes": {"start_as_root": True}}}
        told = in_pod(release, root).told("kubernetes.pod", "failed")
    finally:
        namespace.cluster.kubectl("label", "namespace", namespace.name, f"{enforce}-")
    assert "violates PodSecurity" in told
    assert "start_as_root" in told
    assert release.servers() == []

    told = in_pod(release, {"orchestrator": {"kubernetes": {"namespace": "kube-system"}}}).told(
        "kubernetes.pod", "failed"
    )
    assert "may not create pods in the namespace kube-system" in told


def test_a_plan_that_the_cluster_can_not_start(release: Release):
    release.workspace("alice")
    options = release.state.launch("alice", "P1", environment=release.environment())
    options["task_template"]["placement"]["constraints"] = ["engine.labels.gpu==1"]
    release.state.set_user_options("alice", options)
    told = in_pod(release, None, "--user", "alice").told("kubernetes.plan", "failed")
    assert "engine.labels.gpu==1 asks for what no node of Kubernetes has" in told


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    with new_namespace(cluster) as namespace:
        yield namespace


@pytest.fixture
def as_admin(namespace: Namespace, tmp_path: Path):
    """Run the command on this machine, with the cluster's own kubeconfig, on a site in a namespace of its own."""

    def run(
        kubernetes: dict[str, Any] | None = None, servers: dict[str, Any] | None = None, **environment: str
    ):
        site = site_values("http://127.0.0.1:1")["site"]
        claims = [
            {"path": "/data/xnat/archive", "claim_name": "xnat-archive"},
            {"path": "/data/xnat/workspaces", "claim_name": "xnat-workspaces"},
        ]
        here = {"namespace": namespace.name, "claims": claims, **(kubernetes or {})}
        changes = {"servers": servers or {}, "orchestrator": {"kubernetes": here}}
        (tmp_path / "site.yaml").write_text(yaml.safe_dump(merged(site, changes)))
        left_out = [f"--skip={subject}" for subject in ("xnat", "hub", "public_url")]
        config = {"KUBECONFIG": namespace.cluster.environment["KUBECONFIG"], **environment}
        return diagnose(tmp_path / "site.yaml", *left_out, environment=config)

    return run


def test_with_an_admin_s_kubeconfig(as_admin):
    found = as_admin(servers={"allowed_images": [SINGLEUSER, "other/*"]})
    assert found.bad() == [], found.text
    assert "is bound, as ReadWriteMany" in found.told("kubernetes.claim.xnat-archive", "ok")
    assert "has no quota" in found.told("kubernetes.quotas", "ok")
    assert "1 of 1 nodes" in found.told("kubernetes.nodes", "ok")
    assert SINGLEUSER in found.told("kubernetes.images", "ok")
    assert "in the hub's pod: kubectl exec" in found.told("kubernetes.rights", "skipped")


def test_claims(as_admin, namespace: Namespace):
    namespace.claim("doctor-unbound", "ReadWriteMany")
    namespace.volume("doctor-one", "ReadWriteOnce")
    namespace.claim("doctor-one", "ReadWriteOnce")
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/doctor-one", "--timeout=60s")
    names = {
        "/data/xnat/archive": "doctor-unbound",
        "/data/xnat/workspaces": "doctor-none",
        "/data/one": "doctor-one",
    }
    found = as_admin({"claims": [{"path": path, "claim_name": name} for path, name in names.items()]})
    told = found.told("kubernetes.claim.doctor-unbound", "failed")
    assert "is Pending, not bound to storage" in told
    assert f"kubectl --namespace {namespace.name} describe pvc doctor-unbound" in told
    assert "[orchestrator.kubernetes.claims[0].claim_name]" in told
    told = found.told("kubernetes.claim.doctor-none", "failed")
    assert f"There is no volume claim doctor-none in {namespace.name}" in told
    assert "for one node alone" in found.told("kubernetes.claim.doctor-one", "warning")


@pytest.mark.parametrize(
    ("hard", "said"),
    [
        ({"pods": "0"}, "leaves too little pods: 0 of 0"),
        ({"limits.memory": "512Mi"}, "leaves too little limits.memory"),
        ({"requests.cpu": "20m"}, "leaves too little requests.cpu"),
        ({"limits.cpu": "10"}, "wants limits.cpu of every pod, and the site has no default"),
        ({"pods": "5", "limits.memory": "2Gi", "requests.cpu": "1"}, ""),
    ],
)
def test_quotas(as_admin, namespace: Namespace, hard, said):
    metadata = {"name": "doctor", "namespace": namespace.name}
    namespace.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    )
    namespace.kubectl("wait", "--for=jsonpath={.status.hard}", "resourcequota/doctor", "--timeout=60s")
    try:
        found = as_admin()
    finally:
        namespace.kubectl("delete", "resourcequota", "doctor")
    told = found.told("kubernetes.quotas", "failed" if said else "ok")
    assert said in told
    assert "Raise the quota" in told or not said


def test_nodes(as_admin, namespace: Namespace):
    told = as_admin({"node_selector": {"doctor": "yes"}}).told("kubernetes.nodes", "failed")
    assert "No node of 1 has doctor=yes." in told
    assert "kubectl label node NODE NAME=VALUE" in told
    (node,) = namespace.cluster.get("nodes")["items"]
    name = node["metadata"]["name"]
    namespace.cluster.kubectl("taint", "node", name, "doctor=gpu:NoSchedule")
    try:
        told = as_admin().told("kubernetes.nodes", "failed")
        assert "doctor=gpu:NoSchedule" in told
        assert "Add them to tolerations" in told
        for toleration in (
            {"key": "doctor", "operator": "Exists"},
            {"key": "doctor", "value": "gpu", "effect": "NoSchedule"},
            {"operator": "Exists"},
        ):
            assert as_admin({"tolerations": [toleration]})["kubernetes.nodes"] == "ok"
        assert as_admin({"tolerations": [{"key": "doctor", "value": "x"}]})["kubernetes.nodes"] == "failed"
    finally:
        namespace.cluster.kubectl("taint", "node", name, "doctor=gpu:NoSchedule-")


def test_a_pod_looks_around_on_each_node(release: Release, tmp_path: Path):
    namespace, workspace = release.namespace, release.workspace("alice")
    volume = f"{namespace.name}-gone"
    claims = [
        {"path": f"/data/xnat/{name}", "claim_name": f"xnat-{name}"} for name in ("archive", "workspaces")
    ]

    def on_each_node(changes: dict[str, Any], status: str) -> str:
        kubernetes = {"namespace": namespace.name, "claims": claims}
        here = {"orchestrator": {"kubernetes": kubernetes}}
        (tmp_path / "site.yaml").write_text(
            yaml.safe_dump(merged(merged(release.values["site"], here), changes))
        )
        left_out = [f"--skip={subject}" for subject in ("xnat", "hub", "public_url", "kubernetes.jupyterhub")]
        config = {"KUBECONFIG": namespace.cluster.environment["KUBECONFIG"]}
        found = diagnose(tmp_path / "site.yaml", *left_out, environment=config)
        assert "org.xnat.xnathub.doctor" not in namespace.kubectl("get", "pods", "--show-labels")
        return found.told("kubernetes.each_node", status)

    assert "as they should be: node." in on_each_node({}, "ok")

    workspace.chmod(0o755)
    os.chown(workspace, 0, 0)
    told = on_each_node({"xnat": {"url": "http://10.89.0.1:1"}}, "failed")
    release.workspace("alice")
    assert f"node: /data/xnat/workspaces/users: not writable for UID {UID}, owned by 0; " in told
    assert "no way to XNAT: Connection refused. All is well on: none." in told

    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "hostPath": {"path": str(namespace.folder / "gone"), "type": "Directory"},
        "claimRef": {"namespace": namespace.name, "name": "gone"},
    }
    namespace.cluster.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec}
    )
    namespace.volumes.append(volume)
    namespace.claim("gone", "ReadWriteMany")
    claims.append({"path": "/data/gone", "claim_name": "gone"})
    told = on_each_node({}, "failed")
    assert "node: The node can't mount a volume: MountVolume.SetUp failed" in told


def test_pull_secrets(as_admin, namespace: Namespace):
    namespace.kubectl("create", "secret", "generic", "doctor-other", "--from-literal=a=hidden-value")
    namespace.kubectl(
        *("create", "secret", "docker-registry", "doctor-pull"),
        *("--docker-server=r.example.org", "--docker-username=u", "--docker-password=hidden-value"),
    )
    found = as_admin({"image_pull_secrets": ["doctor-none", "doctor-other", "doctor-pull"]})
    assert "hidden-value" not in found.text
    assert "create secret docker-registry doctor-none" in found.told(
        "kubernetes.pull_secret.doctor-none", "failed"
    )
    assert "of the type Opaque" in found.told("kubernetes.pull_secret.doctor-other", "failed")
    assert found["kubernetes.pull_secret.doctor-pull"] == "ok"


def test_images(as_admin):
    images = {"allowed_images": ["missing.example.org/lab:1"]}
    assert "the first start tells" in as_admin(servers=images).told("kubernetes.images", "skipped")
    told = as_admin({"image_pull_policy": "Never"}, images).told("kubernetes.images", "failed")
    assert "missing.example.org/lab:1; and image_pull_policy is Never" in told
    assert "patterns" in as_admin(servers={"allowed_images": ["xnat/*"]}).told("kubernetes.images", "skipped")


def test_images_ahead_of_time(as_admin, namespace: Namespace):
    """The pod is one as the DaemonSet makes them, on a node that may not pull."""
    servers = {
        "allowed_images": [SINGLEUSER, "missing.example.org/*"],
        "images_ahead": [SINGLEUSER, "missing.example.org/lab:1"],
    }
    assert "has no pods" in as_admin(servers=servers).told("kubernetes.images_ahead", "warning")
    containers = [
        {"name": f"image-{number}", "image": image, "imagePullPolicy": "Never", "command": ["true"]}
        for number, image in enumerate(servers["images_ahead"])
    ]
    labels = {"app.kubernetes.io/name": "xnathub", "app.kubernetes.io/component": "images-ahead"}
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "doctor-ahead", "labels": labels},
        "spec": {"initContainers": containers, "containers": [{**containers[0], "name": "waits"}], "terminationGracePeriodSeconds": 0},
    }  # fmt: skip
    namespace.apply(pod)
    try:
        wait_for(lambda: "ErrImageNeverPull" in namespace.kubectl("get", "pod", "doctor-ahead"), 60)
        told = as_admin(servers=servers).told("kubernetes.images_ahead", "warning")
    finally:
        namespace.kubectl("delete", "pod", "doctor-ahead")
    (node,) = namespace.cluster.get("nodes")["items"]
    assert "Of 1 nodes 0 have all of 2 images ahead of time." in told
    assert f"missing.example.org/lab:1 is not on {node['metadata']['name']}: ErrImageNeverPull" in told
    assert f"{SINGLEUSER} is not on" not in told


def test_which_jupyterhub_images_hold(as_admin, namespace: Namespace):
    """Images that are on a node are asked; one that is not, or holds none, is named, and nothing is pulled."""
    namespace.cluster.kubectl(
        *("label", "namespace", namespace.name, "pod-security.kubernetes.io/enforce=restricted")
    )
    others = ["missing.example.org/lab:1", "xnathub-pause:test"]
    found = as_admin(servers={"allowed_images": ["xnathub-singleuser:test", *others]})
    told = found.told("kubernetes.jupyterhub", "ok")
    assert re.search(r"images: xnathub-singleuser:test 6\.\d+\.\d+\.", told)
    assert f"do not say: {', '.join(others)}" in told
    nothing = as_admin(servers={"allowed_images": others}).told("kubernetes.jupyterhub", "skipped")
    assert "kubectl run ask" in nothing
    assert namespace.get("pods")["items"] == []


def test_a_cluster_that_does_not_answer(as_admin, tmp_path: Path):
    assert "how to reach the cluster" in as_admin(KUBECONFIG=str(tmp_path / "none")).told(
        "kubernetes.api", "failed"
    )
    down = {
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    (tmp_path / "down").write_text(yaml.safe_dump(down))
    told = as_admin(KUBECONFIG=str(tmp_path / "down")).told("kubernetes.api", "failed")
    assert "http://127.0.0.1:1 does not answer" in told
