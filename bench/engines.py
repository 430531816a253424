"""From a launch to a server that answers, on real engines: through the hub, and by the engine's own command alone."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker
import requests

from bench.hubs import server_name
from bench.results import Result, median
from tests.docker.conftest import SOCKET
from tests.docker.testbed import Stack
from tests.kubernetes.testbed import Cluster, Release, new_release
from tests.support import ROOT
from xnathub_conf.standin import StandIn, demo_state

OVERHEAD_PERCENT = 10
USER = "demo"
TIMEOUT_SECONDS = 90


def swarm(repeat: int) -> list[Result]:
    """Measure a stack on the tests' engine."""
    os.environ["DOCKER_HOST"] = SOCKET
    subprocess.run([ROOT / "tests" / "docker" / "engine"], check=True)
    client = docker.DockerClient(base_url=SOCKET)
    gateway = client.networks.get("docker_gwbridge").attrs["IPAM"]["Config"][0]["Gateway"]
    name = f"xhbench-{uuid.uuid4().hex[:8]}"
    section = {"swarm": {"network_name": f"{name}-net", "prefix": name}}
    with TemporaryDirectory() as folder, StandIn(demo_state(), host=gateway) as xnat:
        Path(folder).chmod(0o755)
        stack = Stack(client, name, Path(folder), xnat, section)
        try:
            stack.create()
            return _by_turns(
                "Swarm", "docker service create", repeat,
                lambda server: _timed(lambda: stack.start(USER, servername=server)),
                lambda server: _bare_service(stack, server), stack.stop_all,
            )  # fmt: skip
        finally:
            stack.remove()
            stack.clean()


def kubernetes(repeat: int) -> list[Result]:
    """Measure a release of the chart on the tests' cluster."""
    subprocess.run([ROOT / "tests" / "kubernetes" / "cluster"], check=True)
    with new_release(Cluster()) as release:
        plugin = release.plugin

        def start(server: str) -> None:
            release.workspace(USER)
            options = release.state.launch(USER, "P1", server, release.environment())
            plugin.ensure_user(USER)
            plugin.start(USER, options)
            plugin.wait_ready(USER, server)

        return _by_turns(
            "Kubernetes", "kubectl run", repeat, lambda server: _timed(lambda: start(server)),
            lambda server: _bare_pod(release, server), release.stop_all,
        )  # fmt: skip


def _by_turns(
    engine: str,
    command: str,
    repeat: int,
    hub: Callable[[str], float],
    bare: Callable[[str], float],
    stop: Callable[[], None],
) -> list[Result]:
    """Start through the hub, as XNAT's pages do and the default server by turns, then the very same by hand beside it.

    The first of each warms up.
    """
    ours: list[float] = []
    other: list[float] = []
    for number in range(repeat + 1):
        server = server_name(number + 1)
        times = hub(server), bare(server)
        stop()
        if number:
            ours.append(times[0])
            other.append(times[1])
    overhead = (median(ours) / median(other) - 1) * 100
    return [
        Result(
            f"{engine}: from the launch to a server that answers", "a server of the tests' image", "s", ours,
            other, f"`{command}` of the same", f"under {OVERHEAD_PERCENT} % more", overhead < OVERHEAD_PERCENT,
        )
    ]  # fmt: skip


def _base_path(server: str) -> str:
    return f"/jupyterhub/user/{USER}/" + (f"{server}/" if server else "")


def _timed(start: Callable[[], Any]) -> float:
    began = time.monotonic()
    start()
    return time.monotonic() - began


_ASK = """\
import sys, time, urllib.error, urllib.request
print("ready", flush=True)
url = sys.stdin.readline().strip()
while True:
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError as error:
        if error.code < 500:
            break
    except OSError:
        time.sleep(0.05)
    else:
        break
"""


def _bare_service(stack: Stack, server: str) -> float:
    """Copy the running server's service with Docker's command line, and wait until the copy answers."""
    spec = stack.server(USER, server).attrs["Spec"]
    task = spec["TaskTemplate"]
    container = task["ContainerSpec"]
    name = f"{stack.name}-bare"
    options = [
        "--detach",
        "--no-resolve-image",
        "--quiet",
        "--name",
        name,
        "--init",
        "--user",
        container["User"],
    ]
    options += ["--restart-condition", "none", "--endpoint-mode", "dnsrr"]
    options += ["--limit-memory", str(task["Resources"]["Limits"]["MemoryBytes"])]
    options += ["--stop-grace-period", "2s"]
    for network in task["Networks"]:
        options += ["--network", network["Target"]]
    for variable in container["Env"]:
        options += ["--env", variable]
    for mount in container["Mounts"]:
        readonly = ",readonly" if mount.get("ReadOnly") else ""
        source, target = mount["Source"], mount["Target"]
        options += ["--mount", f"type={mount['Type']},source={source},target={target}{readonly}"]
    # Asked from the network that it is on, at its task's address: a name that is not there yet takes DNS seconds.
    ask = ["docker", "exec", "--interactive", stack.hub_container().id, "python3", "-c", _ASK]
    with subprocess.Popen(ask, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdin
        assert asking.stdout
        asking.stdout.readline()
        began = time.monotonic()
        command = ["docker", "service", "create", *options, container["Image"], *container.get("Args", ())]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        try:
            asking.stdin.write(f"http://{_task_address(stack, name)}:8888{_base_path(server)}api\n")
            asking.stdin.flush()
            assert asking.wait(TIMEOUT_SECONDS) == 0
            return time.monotonic() - began
        finally:
            asking.kill()
            subprocess.run(["docker", "service", "rm", name], check=True, stdout=subprocess.DEVNULL)


def _task_address(stack: Stack, name: str) -> str:
    network = stack.site["orchestrator"]["swarm"]["network_name"]
    for _ in range(TIMEOUT_SECONDS * 20):
        for task in stack.client.api.tasks(filters={"service": name}):
            for attached in task.get("NetworksAttachments") or ():
                if attached["Network"]["Spec"]["Name"] == network and task["Status"]["State"] == "running":
                    return str(attached["Addresses"][0].split("/")[0])
        time.sleep(0.05)
    raise AssertionError("the service's task does not run")


def _bare_pod(release: Release, server: str) -> float:
    """Copy the running server's pod with kubectl, and wait until the copy answers."""
    spec = release.pod_of(USER, server)["spec"]
    for key in ("nodeName", "serviceAccountName", "serviceAccount"):
        spec.pop(key, None)
    name = "bare"
    overrides = json.dumps({"apiVersion": "v1", "spec": spec})
    namespace = release.namespace
    try:
        began = time.monotonic()
        image = spec["containers"][0]["image"]
        namespace.kubectl("run", name, f"--image={image}", "--restart=Never", f"--overrides={overrides}")
        address = ""
        while time.monotonic() - began < TIMEOUT_SECONDS:
            if not address:
                address = namespace.kubectl("get", "pod", name, "--output=jsonpath={.status.podIP}")
            with contextlib.suppress(requests.RequestException):
                url = f"http://{address}:8888{_base_path(server)}api"
                if address and requests.get(url, timeout=2).status_code < 500:
                    return time.monotonic() - began
            time.sleep(0.05)
        raise AssertionError(namespace.kubectl("describe", "pod", name))
    finally:
        namespace.kubectl("delete", "pod", name, "--now")
