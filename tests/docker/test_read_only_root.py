"""Servers whose image is read-only and which start as their user, from inside, on one engine and on a swarm."""

from __future__ import annotations

import json
import os
import uuid

import pytest

from tests.docker.test_docker import Engine
from tests.docker.testbed import GID, UID, Stack
from xnathub_conf.standin import StandIn, demo_state

LOOKS = """
import errno, json, os
def write(folder):
    try:
        with open(folder + "/made", "w") as file:
            file.write("x")
    except OSError as error:
        return errno.errorcode[error.errno]
    return "written"
mounts = {line.split()[1]: line.split()[3].split(",")[0] for line in open("/proc/mounts")}
users = [line.split()[1] for line in open("/proc/1/status") if line.startswith(("Uid", "Gid"))]
print(json.dumps({
    "image": mounts["/"], "first process": users,
    **{folder: write(folder) for folder in ("/var/tmp", "/tmp", "/home/jovyan", "/workspace/demo")},
}))
"""
FOUND = {
    "image": "ro", "first process": [str(UID), str(GID)], "/var/tmp": "EROFS", "/tmp": "written", "/home/jovyan": "written", "/workspace/demo": "written",
}  # fmt: skip


@pytest.mark.parametrize("home", ["in memory", "mounted"])
@pytest.mark.parametrize("kind", ["docker", "swarm"])
def test_nothing_is_written_to_the_image(docker_client, host_address, tmp_path, kind, home):
    name = f"xhtest-{uuid.uuid4().hex[:8]}"
    orchestrator = {"network_name": f"{name}-net", "prefix": name}
    with StandIn(demo_state(), host=host_address) as xnat:
        site = (Engine if kind == "docker" else Stack)(
            docker_client, name, tmp_path, xnat, {kind: orchestrator}
        )
        site.site["servers"]["security"] = {"read_only_root": True, "start_as_root": False}
        homes = tmp_path / "homes"
        if home == "mounted":
            (homes / "demo").mkdir(parents=True)
            os.chown(homes / "demo", UID, GID)
            mount = {"source": f"{homes}/{{username}}", "target": "/home/jovyan", "writable": True}
            site.site["servers"]["mounts"] = [mount]
        try:
            site.create()
            site.start("demo")
            assert json.loads(site.execute("demo", LOOKS)) == FOUND
            assert (homes / "demo/made").exists() == (home == "mounted")
            site.stop_all()
        finally:
            site.remove()
            if isinstance(site, Stack):
                site.clean()
