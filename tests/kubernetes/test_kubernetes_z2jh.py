"""The chart with the real Zero to JupyterHub as its subchart, wherever that can be had.

XNATHUB_Z2JH_CHART names its package, jupyterhub-4.x.tgz; `helm pull` gets it from the repository in Chart.yaml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kubernetes.cookies import COMMAND, assert_no_foreign_cookie_arrives
from tests.kubernetes.test_kubernetes_chart import changed, named, render
from tests.kubernetes.testbed import CHART, Cluster, Release, new_release, wait_for
from xnathub_conf.standin import HubError

IMAGE = {"name": "xnathub", "tag": "test", "pullPolicy": "Never"}


@pytest.fixture(scope="module")
def whole_chart(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with the real Zero to JupyterHub in it, whose folder XNATHUB_Z2JH_CHART names."""
    source = os.environ.get("XNATHUB_Z2JH_CHART")
    if not source:
        pytest.skip("XNATHUB_Z2JH_CHART names no Zero to JupyterHub chart of version 4, packaged as .tgz")
    chart = tmp_path_factory.mktemp("whole") / CHART.name
    shutil.copytree(CHART, chart)
    shutil.copy(source, chart / "charts")
    return chart


def test_the_subchart_gets_what_xnat_needs(cluster, whole_chart):
    objects = render(cluster, changed(jupyterhub={"hub": {"image": IMAGE}}), chart=whole_chart)
    hub = named(objects, "Deployment", "hub")["spec"]["template"]["spec"]
    (container,) = hub["containers"]
    assert container["image"] == "xnathub:test"
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/etc/xnathub/site.yaml", "/etc/xnathub/jupyterhub_config.py", "/etc/xnathub/secrets"} <= mounts
    assert container["readinessProbe"]["httpGet"]["path"] == "/jupyterhub/hub/health"
    names = {(one["kind"], one["metadata"]["name"]) for one in objects}
    assert ("Service", "proxy-public") in names
    assert not [
        name for name in names if "scheduler" in name[1] or "puller" in name[1] or "placeholder" in name[1]
    ]
    assert ("ConfigMap", "xnathub-site") in names
    assert named(objects, "Service", "proxy-public")["spec"]["type"] == "ClusterIP"
    assert len([one for one in objects if one["kind"] == "Deployment"]) == 2


def test_a_user_works_in_a_pod_of_the_subchart_s_hub(cluster, whole_chart):
    jupyterhub = {"hub": {"image": IMAGE}, "proxy": {"chp": {"image": IMAGE}}}
    with new_release(cluster, whole_chart, jupyterhub) as release:
        session = release.sign_in("demo")
        release.start("demo")
        assert session.get(f"{release.url}/user/demo/lab", timeout=60).status_code == 200
        code = "print(open('/data/projects/P1/experiments/README.txt').read().split(':')[0])"
        assert release.execute("demo", code) == "Project P1\n"
        labels = release.pod_of("demo")["metadata"]["labels"]
        # Zero to JupyterHub's network policies find their pods by these.
        assert (
            labels.items()
            >= {
                "app": "jupyterhub",
                "release": "hub",
                "hub.jupyter.org/network-access-hub": "true",
            }.items()
        )
        release.stop("demo")
        assert_no_foreign_cookie_arrives(release)
        assert_no_way_through_the_subchart_s_own_proxy(release)
        release.start_on_old_database("4.0.2")
        assert "user0" in {user["name"] for user in release.plugin.users()}


def assert_no_way_through_the_subchart_s_own_proxy(release: Release) -> None:
    """The proxy becomes configurable-http-proxy as it comes, while the hub runs on: it is told no way, until it is ours again."""
    plain = f"xnathub-plain-proxy-{release.namespace.name}:test"
    dockerfile = "FROM xnathub:test\nENV PATH=/opt/proxy/bin:/opt/xnathub/bin:/usr/bin:/bin\n"
    subprocess.run(
        ["docker", "build", "-q", "-t", plain, "-"],
        input=dockerfile,
        text=True,
        check=True,
        capture_output=True,
    )
    kubectl = release.namespace.kubectl
    try:
        release.namespace.cluster.import_images([plain])
        kubectl("set", "image", "deployment/proxy", f"chp={plain}")
        kubectl("rollout", "status", "deployment/proxy", "--timeout=120s")
        wait_for(
            lambda: "is not xnathub's: it would hand" in kubectl("logs", "deployment/hub", "--tail=20"), 60
        )
        with pytest.raises(HubError):
            release.start("demo", command=COMMAND)
        kubectl("set", "image", "deployment/proxy", "chp=xnathub:test")
        kubectl("rollout", "status", "deployment/proxy", "--timeout=120s")
        release.wait_until_up()
        release.start("demo")
        release.stop("demo")
    finally:
        subprocess.run(["docker", "rmi", "-f", plain], check=False, capture_output=True)
