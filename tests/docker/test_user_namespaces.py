"""Servers whose users are others than the node's: a hub on a second real engine, one with `userns-remap`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from tests.docker.firewall import rule
from tests.docker.test_docker import Engine
from tests.docker.testbed import GID, SINGLEUSER, UID, command, wait_for
from xnathub_conf.standin import StandIn, demo_state

FIRST = 500_000
"""The user of the node that root is in containers of this engine."""

_START = """
for file in passwd group subuid subgid; do mount --bind {folder}/$file /etc/$file; done
mount -t tmpfs none /run/docker
exec dockerd --data-root {folder}/data --exec-root {folder}/run --pidfile {folder}/pid --host unix://{folder}/docker.sock \
  --bridge {bridge} --iptables=false --userns-remap dockremap >>{folder}/log 2>&1 </dev/null
"""

# Its own: with `none` it would take away docker0, which is the other engine's.
BRIDGE = "xhtest-userns"
WITHIN_A_NETWORK = ("-m", "physdev", "--physdev-is-bridged", "-j", "ACCEPT")

LOOKS = """
import json, os
with open("/workspace/demo/made", "w") as file:
    file.write("x")
print(json.dumps([open("/proc/self/uid_map").read().split(), os.getuid(), os.getgid()]))
"""


@pytest.fixture
def remapping(docker_client, monkeypatch) -> Iterator[tuple[docker.DockerClient, str]]:
    """An engine beside the other one, on this machine's own network: its client, and its address."""
    # Root of its containers passes through all folders above its data.
    folder = Path(tempfile.mkdtemp(prefix="xhtest-engine-"))
    folder.chmod(0o711)
    for file, line in {
        "passwd": "dockremap:x:888:888::/:/bin/false", "group": "dockremap:x:888:", "subuid": f"dockremap:{FIRST}:65536", "subgid": f"dockremap:{FIRST}:65536",
    }.items():  # fmt: skip
        Path(f"/etc/{file}").touch()
        (folder / file).write_text(Path(f"/etc/{file}").read_text() + f"{line}\n")
    command("ip", "link", "add", BRIDGE, "type", "bridge")
    command("ip", "address", "add", "10.99.200.1/24", "dev", BRIDGE)
    process = subprocess.Popen(
        ["unshare", "-m", "bash", "-c", _START.format(folder=folder, bridge=BRIDGE)], start_new_session=True
    )
    address = f"unix://{folder}/docker.sock"

    def client() -> docker.DockerClient | None:
        with contextlib.suppress(DockerException):
            return docker.DockerClient(base_url=address)
        return None

    try:
        found = wait_for(client, 120, lambda: (folder / "log").read_text()[-3000:])
        for image in ("xnathub:test", SINGLEUSER):
            saved = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
            subprocess.run(["docker", "--host", address, "load"], stdin=saved.stdout, check=True, timeout=300)
            assert saved.wait(60) == 0
        monkeypatch.setenv("DOCKER_HOST", address)
        yield found, address
        found.close()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        command("ip", "link", "delete", BRIDGE)
        shutil.rmtree(folder)


class Remapped(Engine):
    """A hub on that engine, where XNAT's folders belong to whom the servers' user is on the node."""

    def workspace(self, user: str) -> Path:
        folder = super().workspace(user)
        os.chown(folder, FIRST + UID, FIRST + GID)
        return folder


def test_root_in_a_server_is_nobody_on_its_node(remapping, host_address, tmp_path):
    client, address = remapping
    name = f"xhtest-{uuid.uuid4().hex[:8]}"
    orchestrator = {
        "network_name": f"{name}-net",
        "prefix": name,
        "pull_policy": "never",
        "docker_host": address,
    }
    # The other engine has the node's firewall, and would have nobody on this one's networks talk to each other.
    with StandIn(demo_state(), host=host_address) as xnat, rule("FORWARD", *WITHIN_A_NETWORK):
        hub = Remapped(client, name, tmp_path, xnat, {"docker": orchestrator})
        hub.site["servers"]["security"] = {"user_namespaces": "own"}
        hub.site["hub"]["gid"] = Path(address.removeprefix("unix://")).stat().st_gid
        try:
            hub.create()
            hub.start("demo")
            users_map, uid, gid = json.loads(hub.execute("demo", LOOKS))
            assert users_map == ["0", str(FIRST), "65536"]
            assert (uid, gid) == (UID, GID)
            made = (hub.workspace("demo") / "made").stat()
            assert (made.st_uid, made.st_gid) == (FIRST + UID, FIRST + GID)
        finally:
            hub.remove()
