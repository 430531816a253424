"""`xnathub doctor` in the hub's container and on its node, on a real swarm: when all is well, and for each broken state."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
import pytest
import requests
import yaml
from docker.errors import DockerException

from tests.docker.conftest import remove_network
from tests.docker.firewall import METADATA, REAL_METADATA, firewall, metadata_service, rule
from tests.docker.testbed import GID, UID, Stack, new_name, wait_for
from tests.doctor import Diagnosis, diagnose, diagnosis
from tests.support import merged
from xnathub_conf.standin import StandIn, demo_state


def nothing_left(client: docker.DockerClient, label: str) -> None:
    """The doctors of other tests have theirs for a moment."""
    wait_for(lambda: not client.containers.list(all=True, filters={"label": label}, ignore_removed=True), 60)


@pytest.fixture(scope="module")
def stack(docker_client, host_address, tmp_path_factory) -> Iterator[Stack]:
    name = new_name()
    orchestrator = {"swarm": {"network_name": f"{name}-net", "prefix": name}}
    with StandIn(demo_state(), host=host_address) as xnat:
        stack = Stack(docker_client, name, tmp_path_factory.mktemp("doctor"), xnat, orchestrator)
        stack.workspace("alice")
        os.chown(stack.folder / "workspaces" / "users", UID, GID)
        stack.site["hub"]["public_url"] = f"http://{host_address}:{stack.port}/jupyterhub/"
        xnat.state.preferences = {
            "jupyterHubHostUrl": f"http://{host_address}:{stack.port}",
            "jupyterHubApiUrl": f"{stack.url}/hub/api",
            "jupyterHubToken": stack.token,
        }
        with stack.deployed():
            yield stack


def inside(
    stack: Stack, changes: dict | None = None, *arguments: str, skip: str = "docker.each_node"
) -> Diagnosis:
    """Run the command in the hub's container, on a variant of the site file where there are changes.

    The look at each node takes its seconds: tests/docker/test_swarm_nodes.py has it.
    """
    file = "/etc/xnathub/site.yaml"
    hub = stack.hub_container()
    if changes:
        file = "/tmp/site.yaml"
        text = yaml.safe_dump(merged(stack.site, changes))
        written = hub.exec_run(
            ["python3", "-c", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", file, text]
        )
        assert written.exit_code == 0, written.output
    if skip and merged(stack.site, changes or {})["orchestrator"].get("swarm") is not None:
        arguments = (*arguments, "--skip", skip)
    done = hub.exec_run(["xnathub", "doctor", file, "--json", *arguments], demux=True)
    out, err = ((each or b"").decode() for each in done.output)
    assert out, err
    assert stack.token not in out + err
    assert stack.state.user("jupyterhub").password not in out + err
    return diagnosis(out, done.exit_code)


OLD_ENGINE = ["docker.rights"]
"""What there is to say of an engine before Docker 25."""


def of_swarm(**changes) -> dict:
    return {"orchestrator": {"swarm": changes}}


def test_all_is_well_in_the_hub_s_container(stack: Stack):
    stack.options("alice")
    found = inside(stack, None, "--user", "alice", skip="")
    assert found.bad() == OLD_ENGINE, found.text
    assert "A task on each node finds" in found.told("docker.each_node", "ok")
    assert "no_new_privileges" in found.told("docker.rights", "warning")
    assert "may use /var/run/docker.sock" in found.told("docker.socket", "ok")
    assert "overlay" in found.told("docker.network", "ok")
    assert "do not reach 169.254.169.254" in found.told("docker.metadata", "ok")
    assert "xnathub-singleuser:test" in found.told("docker.images", "ok")
    assert re.search(r"xnathub-singleuser:test 6\.\d+\.\d+", found.told("docker.jupyterhub", "ok"))
    assert "Not checked, since they are patterns: xnathub-*:test, missing.example.org/*." in found.told(
        "docker.images", "ok"
    )
    assert f"belongs to {UID}:{GID}" in found.told(f"files.{stack.folder}/archive", "ok")
    assert "all 2" in found.told("files.plan", "ok")
    assert found["hub.scopes"] == found["public_url.websockets"] == found["xnat.settings"] == "ok"
    nothing_left(stack.client, "org.xnat.jupyter.doctor")


def test_all_is_well_on_the_node(stack: Stack):
    found = diagnose(stack.site_file)
    assert found.bad() == OLD_ENGINE, found.text
    assert "in the hub's container" in found.told("xnat.sign_in", "skipped")
    assert found["hub.answers"] == found["docker.nodes"] == "ok"
    assert f"belongs to {UID}:{GID}" in found.told(f"files.{stack.folder}/archive", "ok")


def test_a_cloud_s_metadata_that_servers_reach(stack: Stack):
    one_there = (
        "-d",
        REAL_METADATA,
        "-p",
        "tcp",
        "--dport",
        "80",
        "-j",
        "DNAT",
        "--to-destination",
        METADATA,
    )
    with metadata_service(), rule("PREROUTING", *one_there, table="nat"):
        told = inside(stack, None, "--skip", "xnat").told("docker.metadata", "warning")
        assert "Servers on this node reach 169.254.169.254" in told
        assert "docs/networks.md" in told
        with firewall(stack.port):
            assert inside(stack, None, "--skip", "xnat")["docker.metadata"] == "ok"


def test_a_socket_of_another_group(stack: Stack):
    gid = Path("/var/run/docker.sock").stat().st_gid
    told = inside(stack, {"hub": {"gid": 4242}}).told("docker.socket", "failed")
    assert f"as 4001:4242, may not use /var/run/docker.sock, which belongs to 0:{gid}" in told
    assert f"Set hub.gid to {gid}" in told


def test_an_engine_that_is_not_there(stack: Stack):
    found = inside(stack, of_swarm(docker_host="unix:///run/none.sock"))
    assert "/run/none.sock: No such file" in found.told("docker.socket", "failed")
    told = found.told("docker.api", "failed")
    assert "does not answer: No such file or directory." in told
    assert "[orchestrator.swarm.docker_host]" in told
    assert found["docker.network"] == found[f"files.{stack.folder}/archive"] == "skipped"
    # The rest is tried all the same.
    assert found["hub.scopes"] == "ok"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (None, "There is no network"),
        ({"driver": "overlay", "attachable": False}, "is not attachable"),
        ({"driver": "bridge"}, "is bridge, of this node alone"),
    ],
    ids=["missing", "not-attachable", "bridge"],
)
def test_the_network(stack: Stack, docker_client, unique, options, said):
    if options:
        docker_client.networks.create(unique, **options)
    try:
        told = inside(stack, of_swarm(network_name=unique)).told("docker.network", "failed")
    finally:
        remove_network(docker_client, unique)
    assert said in told
    assert f"docker network create --driver overlay --attachable {unique}" in told
    assert "[orchestrator.swarm.network_name]" in told


def test_constraints_that_no_node_fits(stack: Stack):
    for constraint in ("node.labels.type==gpu", "node.role!=manager", "node.colour==red"):
        told = inside(stack, of_swarm(placement_constraints=[constraint])).told("docker.nodes", "failed")
        assert f"No node of 1 that take work has {constraint}." in told
        assert "docker node update --label-add" in told
    good = of_swarm(
        placement_constraints=["node.role == MANAGER", "node.platform.os==linux", "node.labels.type!=gpu"]
    )
    assert "1 of 1" in inside(stack, good).told("docker.nodes", "ok")


def test_an_image_that_can_not_be_had(stack: Stack):
    images = ["xnathub-singleuser:test", "missing.example.org/lab:1"]
    told = inside(stack, {"servers": {"allowed_images": images}}).told("docker.images", "failed")
    assert "missing.example.org/lab:1 can't be pulled: it is not on the node, and its registry says: " in told
    assert "docker pull missing.example.org/lab:1" in told
    assert "[servers.allowed_images]" in told
    docker = {"swarm": None, "docker": {"network_name": f"{stack.name}-net", "pull_policy": "never"}}
    changes = {"servers": {"allowed_images": images}, "orchestrator": docker}
    assert "is never pulled" in inside(stack, changes).told("docker.images", "failed")


def test_an_image_with_jupyterhub_4_0_wants_a_variable(stack: Stack, docker_client):
    """One that only says so, since the check asks the image and looks at what it answers."""
    lines = b"FROM xnathub-busybox:test\nRUN printf '#!/bin/sh\\necho 4.0.2\\n' >/bin/jupyterhub && chmod +x /bin/jupyterhub\n"
    docker_client.images.build(fileobj=io.BytesIO(lines), tag="xnathub-old:test", rm=True)
    images = ["xnathub-old:test", "xnathub-busybox:test"]
    try:
        old = inside(stack, {"servers": {"allowed_images": images}})
        variable = {"environment": {"JUPYTERHUB_SINGLEUSER_EXTENSION": "0"}}
        mended = inside(stack, {"servers": {"allowed_images": images, **variable}})
    finally:
        docker_client.images.remove("xnathub-old:test", force=True)
    told = old.told("docker.jupyterhub", "warning")
    assert "xnathub-old:test 4.0.2." in told
    assert "do not say: xnathub-busybox:test." in told
    assert 'Set JUPYTERHUB_SINGLEUSER_EXTENSION: "0"' in told
    assert "[servers.environment]" in told
    assert "xnathub-old:test 4.0.2." in mended.told("docker.jupyterhub", "ok")
    nothing_left(docker_client, "org.xnat.xnathub.doctor")


def test_a_plan_that_one_engine_can_not_start(stack: Stack):
    docker = {"swarm": None, "docker": {"network_name": f"{stack.name}-net"}}
    stack.options("alice")
    arguments = ({"orchestrator": docker}, "--user", "alice")
    assert inside(stack, *arguments)["docker.plan"] == "ok"
    stack.options("alice", constraints=("node.role==manager",))
    told = inside(stack, *arguments).told("docker.plan", "failed")
    assert "node.role==manager asks for a node" in told
    assert "Change the hardware" in told


class _Registry(BaseHTTPRequestHandler):
    """As much of a registry as tells that it has an image."""

    CONFIG = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    ).encode()
    MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"

    def do_GET(self) -> None:
        config = f"sha256:{hashlib.sha256(self.CONFIG).hexdigest()}"
        kind = "application/vnd.docker.container.image.v1+json"
        described = {"mediaType": kind, "size": len(self.CONFIG), "digest": config}
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": self.MANIFEST_TYPE, "config": described, "layers": []}
        ).encode()
        body, kind = {
            "/v2/": (b"{}", "application/json"),
            "/v2/lab/manifests/1": (manifest, self.MANIFEST_TYPE),
            f"/v2/lab/blobs/{config}": (self.CONFIG, "application/octet-stream"),
        }.get(self.path, (manifest if "/manifests/sha256:" in self.path else b"", self.MANIFEST_TYPE))
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(body).hexdigest()}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_image_that_can_be_pulled(stack: Stack):
    with registry() as address:
        images = [f"{address}/lab:1", "xnathub-singleuser:test"]
        told = inside(stack, {"servers": {"allowed_images": images}}).told("docker.images", "ok")
        assert "1 on this node, 1 can be pulled" in told
        told = inside(stack, {"servers": {"allowed_images": [f"{address}/lab:2"]}}).told(
            "docker.images", "failed"
        )
        assert "its registry says" in told
    patterns = {"servers": {"allowed_images": ["xnat/*", "xnat/lab"]}}
    assert "Not checked, since they are patterns: xnat/*, xnat/lab." in inside(stack, patterns).told(
        "docker.images", "skipped"
    )


def test_folders_of_the_node(stack: Stack):
    folders = {name: stack.folder / name for name in ("gone", "closed", "file", "other")}
    folders["closed"].mkdir(mode=0o700)
    folders["other"].mkdir()
    folders["file"].write_text("")
    volume = f"{stack.name}-volume"
    paths = [*map(str, folders.values()), volume]
    changes = {"servers": {"allowed_mounts": [{"path": path} for path in paths]}, "paths": None}
    variant = stack.folder / "variant.yaml"
    variant.write_text(yaml.safe_dump(merged(stack.site, changes)))
    for found in (inside(stack, changes), diagnose(variant)):
        told = found.told(f"files.{folders['gone']}", "failed")
        assert f"no folder {folders['gone']} on the node" in told
        assert "say with `paths`" in told
        told = found.told(f"files.{folders['closed']}", "failed")
        assert f"belongs to 0:0 with mode 700, so {UID}:{GID} (servers.uid and gid) can't read it" in told
        assert f"chown {UID}:{GID} {folders['closed']}" in told
        assert "is no folder" in found.told(f"files.{folders['file']}", "failed")
        assert f"not to {UID}:{GID}" in found.told(f"files.{folders['other']}", "warning")
        assert f"docker volume create {volume}" in found.told(f"files.{volume}", "warning")


def answers(engine: str) -> bool:
    # The client asks for the engine's version as it is made: on a busy machine that can time out as well.
    with (
        suppress(DockerException, requests.RequestException),
        closing(docker.DockerClient(base_url=engine, timeout=10)) as client,
    ):
        return bool(client.ping())
    return False


@pytest.fixture
def lone_engine() -> Iterator[str]:
    """A second engine on this host, which is in no swarm."""
    # A short path: containerd makes sockets below it, whose paths may have 104 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="xhtest-"))
    socket = folder / "docker.sock"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                # A network of its own, since it takes away the bridge that the other engine has; mounts of its own,
                # since it leaves one behind.
                *(
                    "unshare",
                    "--net",
                    "--mount",
                    "dockerd",
                    "--host",
                    f"unix://{socket}",
                    "--data-root",
                    folder / "data",
                ),
                *("--exec-root", folder / "exec", "--pidfile", folder / "pid"),
                *("--bridge", "none", "--iptables=false", "--ip-masq=false"),
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        # The socket is there before the engine answers at it.
        wait_for(lambda: socket.exists() and answers(f"unix://{socket}"), 180, (folder / "log").read_text)
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def test_an_engine_in_no_swarm(stack: Stack, lone_engine: str):
    variant = stack.folder / "lone.yaml"
    variant.write_text(yaml.safe_dump(merged(stack.site, of_swarm(docker_host=lone_engine))))
    found = diagnose(variant)
    assert found["docker.api"] == "ok"
    told = found.told("docker.swarm", "failed")
    assert "Swarm is inactive" in told
    assert "docker swarm init" in told
    assert found["docker.nodes"] == "skipped"
