"""The hub killed at steps of a start and a stop, and while the API server is away; the proxy killed; a node that is drained."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from tests.docker.watching import Kernel, read_by_a_browser
from tests.kubernetes.testbed import TARPIT, Cluster, Release, wait_for
from xnathub_conf.standin import HubError, faults

NAME = "20260728T120000123Z"
HUB_POD = ("--selector", "app.kubernetes.io/component=hub")
PROXY_POD = ("--selector", "app.kubernetes.io/component=proxy")
STEPS = ("asked", "xnat", "created", "ready", "stop")
"""After which step the hub is killed: the request for a start, XNAT asked, the pod made, the server up, and the request
for a stop."""


def hub_processes(release: Release) -> list[psutil.Process]:
    """Return the processes of the hub's container, which the node runs beside all others of this host."""
    (pod,) = release.namespace.get("pods", *HUB_POD)["items"]
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    found = []
    for process in psutil.process_iter():
        try:
            if container in Path(f"/proc/{process.pid}/cgroup").read_text():
                found.append(process)
        except OSError:
            """It has ended meanwhile."""
    assert found
    return found


def kill_hub(release: Release) -> None:
    for process in hub_processes(release):
        process.kill()


def replace_hub(release: Release) -> None:
    """Make a new pod in place of the killed one, which its node would restart later and later."""
    release.namespace.kubectl("delete", "pod", *HUB_POD, "--grace-period=0", "--force")
    release.wait_until_up()


def settle(release: Release, user: str) -> bool:
    """Wait until a user's server either runs or is gone, and nothing is left of another; say whether it runs."""
    plugin = release.plugin

    def settled() -> bool:
        server = plugin.server(user, NAME)
        if server and server["pending"]:
            return False
        return len(release.servers()) == (2 if server else 1)

    wait_for(settled, 240, lambda: f"{plugin.server(user, NAME)} {len(release.servers())}")
    return plugin.server(user, NAME) is not None


class Going:
    """A start and a stop as XNAT does them, and how far they are, as seen from outside of the hub."""

    def __init__(self, release: Release, user: str) -> None:
        self.release, self.user = release, user
        self.reached = {step: threading.Event() for step in STEPS}

    def run(self) -> None:
        release = self.release
        options = release.state.launch(self.user, "P1", NAME, environment=release.environment())
        self.reached["asked"].set()
        try:
            release.plugin.start(self.user, options)
            release.plugin.wait_ready(self.user, NAME)
            self.reached["ready"].set()
            self.reached["stop"].set()
            release.plugin.stop(self.user, NAME)
        except (HubError, requests.RequestException):
            """The hub was killed meanwhile."""

    def wait(self, step: str) -> None:
        if step == "created":
            wait_for(lambda: len(self.release.servers()) == 2, 120)
        elif step == "xnat":
            wait_for(lambda: not self.release.xnat.faults.on, 120)
        else:
            assert self.reached[step].wait(180), step


def test_killed_at_a_step(release: Release):
    release.start("demo")
    bystander = release.pod_of("demo")["metadata"]["uid"]
    release.workspace("alice")
    release.plugin.ensure_user("alice")
    for step in STEPS:
        if step == "xnat":
            release.xnat.faults.set("/xapi/jupyterhub/users", faults.Delay(1), 1)
        going = Going(release, "alice")
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(going.run)
            going.wait(step)
            kill_hub(release)
            replace_hub(release)
            ended.result()
        release.xnat.faults.clear()
        runs = settle(release, "alice")
        print(f"killed after {step}: the server {'runs' if runs else 'is gone'}")
        assert release.pod_of("demo")["metadata"]["uid"] == bystander
        assert release.plugin.server("demo")["ready"]
        if runs:
            release.stop("alice", NAME)
            wait_for(lambda: len(release.servers()) == 1, 120)
        assert "Traceback" not in release.namespace.kubectl("logs", "deployment/hub")
    # After all of that, a start is like any other.
    release.start("alice", servername=NAME)
    assert release.execute("alice", "print(6 * 7)", NAME) == "42\n"


def test_a_start_that_outlives_its_hub_can_be_stopped(release: Release):
    """The new hub still looks for a server whose image is being pulled."""
    release.workspace("demo")
    image = f"{TARPIT.host}/web:1"
    options = release.state.launch("demo", "P1", environment=release.environment(image=image))
    release.plugin.ensure_user("demo")
    with TARPIT:
        release.plugin.start("demo", options)
        wait_for(release.servers, 60)
        kill_hub(release)
        replace_hub(release)
        assert release.plugin.server("demo")["pending"] == "check"
        with pytest.raises(HubError, match="still looks whether this server runs") as refused:
            release.plugin.start("demo", options)
        assert refused.value.status == 503
        release.stop("demo")
        assert release.plugin.server("demo") is None
    wait_for(lambda: not release.servers(), 60)
    release.start("demo")
    assert "Traceback" not in release.namespace.kubectl("logs", "deployment/hub")


def test_a_hub_that_restarts_while_the_api_server_is_away_loses_no_server(release: Release, cluster: Cluster):
    release.start("demo")
    before = release.pod_of("demo")["metadata"]["uid"]
    url = release.url
    token = {"Authorization": f"token {release.plugin.token('demo', 'test', 600)}"}

    def works() -> bool:
        try:
            return "version" in requests.get(f"{url}/user/demo/api", headers=token, timeout=60).json()
        except (requests.RequestException, ValueError):
            return False

    processes = hub_processes(release)
    with cluster.without_api_server():
        for process in processes:
            process.kill()
        # The node can't start it again, for want of its Secret, but may try; the chart's proxy leads to the server.
        time.sleep(15)
        assert works()

    def ready() -> bool:
        try:
            return bool((release.plugin.server("demo") or {}).get("ready"))
        except HubError:
            return False

    wait_for(ready, 300)
    assert release.pod_of("demo")["metadata"]["uid"] == before
    wait_for(works, 60)
    # Two looks of the sweep later, it is there still.
    time.sleep(7)
    assert release.pod_of("demo")["metadata"]["uid"] == before

    def stopped() -> bool:
        try:
            release.stop("demo")
        except HubError:
            """The cluster may miss its node once more, and its pods get no traffic then."""
        return not release.servers()

    wait_for(stopped, 180)


def test_a_proxy_that_is_killed_is_replaced_for_who_is_at_work(release: Release):
    release.start("demo")
    server = f"{release.url}/user/demo"
    browser = release.sign_in("demo")
    assert browser.get(f"{server}/lab", timeout=60).ok
    kernel = Kernel(server, release.plugin.token("demo", "test", 600))
    wait_for(lambda: kernel.count() > 3, 60)
    counted = kernel.count()
    release.namespace.kubectl("delete", "pod", *PROXY_POD, "--grace-period=0", "--force")
    wait_for(lambda: kernel.error, 60)

    def answers() -> bool:
        try:
            # Without a way round by the sign-in page: the pass that the browser has is still good.
            return browser.get(f"{server}/api/kernels", timeout=20, allow_redirects=False).ok
        except requests.RequestException:
            return False

    wait_for(answers, 120)
    assert read_by_a_browser(browser, server) > counted, "it has counted on"
    # The new one has the gate too.
    assert "This is the server of demo" in release.sign_in("alice").get(server, timeout=60).text
    release.start("alice")
    assert release.execute("alice", "print(6 * 7)") == "42\n"


def test_a_server_on_a_node_that_is_drained_has_ended_and_starts_again(release: Release, cluster: Cluster):
    release.start("demo")
    (release.workspace("demo") / "kept.txt").write_text("kept")
    before = release.pod_of("demo")["metadata"]["uid"]
    # As `kubectl drain` does, but for pods of others on this node.
    with cluster.without_room():
        release.namespace.kubectl(
            "delete", "pod", "--selector", "component=singleuser-server", "--wait=false"
        )
        wait_for(lambda: release.plugin.server("demo") is None, 120)
        sentence = release.failure("demo")
        assert "No node of the cluster can take the server" in sentence
        wait_for(lambda: not release.servers(), 60)
    release.start("demo")
    assert release.pod_of("demo")["metadata"]["uid"] != before
    code = "import os; print(open(os.path.expandvars('$JUPYTERHUB_ROOT_DIR/kept.txt')).read())"
    assert release.execute("demo", code) == "kept\n"
