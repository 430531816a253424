"""What XNAT's plugin sends of mounts and commands besides the usual, on one engine and on a swarm."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.docker.test_docker import Engine
from tests.docker.testbed import Stack, wait_for
from xnathub_conf.standin import StandIn, demo_state

ODD = "--ServerApp.custom_display_url=http://o'brien/"
LOOKS = """
import json, os
print(json.dumps({
    "atlas": open("/data/atlas/atlas.txt").read(),
    "read-only": bool(os.statvfs("/data/atlas").f_flag & os.ST_RDONLY),
    "command": open(f"/proc/{os.getppid()}/cmdline").read().split("\\0"),
}))
"""


@pytest.mark.parametrize("kind", ["docker", "swarm"])
def test_a_volume_by_name_and_an_apostrophe(docker_client, host_address, run, tmp_path, kind):
    name = f"xhtest-{uuid.uuid4().hex[:8]}"
    # Not named like the site, whose volumes go with it.
    volume = docker_client.volumes.create(f"xhtest-{uuid.uuid4().hex[:8]}-atlas")
    with StandIn(demo_state(), host=host_address) as xnat:
        arguments = (
            docker_client,
            name,
            tmp_path,
            xnat,
            {kind: {"network_name": f"{name}-net", "prefix": name}},
        )
        site = Engine(*arguments) if kind == "docker" else Stack(*arguments)
        site.site["servers"]["allowed_mounts"].append({"path": volume.name})
        try:
            fill = ["sh", "-c", "echo -n atlas > /atlas/atlas.txt"]
            assert run("xnathub-busybox:test", fill, volumes={volume.name: {"bind": "/atlas"}}).code == 0
            site.create()
            mount = {"source": volume.name, "target": "/data/atlas", "type": "volume", "read_only": True}
            options = site.options("demo", command=f"jupyterhub-singleuser {ODD}")
            options["task_template"]["container_spec"]["mounts"].append(mount)
            site.state.set_user_options("demo", options)
            site.plugin.ensure_user("demo")
            site.plugin.start("demo", options)
            site.plugin.wait_ready("demo")
            found = json.loads(site.execute("demo", LOOKS))
            assert ODD in found.pop("command")
            assert found == {"atlas": "atlas", "read-only": True}
            site.stop_all()
            other, nameless = {**mount, "source": f"{name}-data"}, {**mount, "source": "", "target": "atlas"}
            for refused, said in (
                (other, f"The volume {name}-data is no allowed mount."),
                (nameless, "the mount with source '' and target 'atlas' can't be used"),
            ):
                sentence, _ = site.failure("demo", refused)
                assert said in sentence + site.logs()
                assert "servers.allowed_mounts" in sentence + site.logs()
            wait_for(lambda: not site.servers(), 120)
        finally:
            site.remove()
            if isinstance(site, Stack):
                site.clean()
            volume.remove(force=True)
