"""From the reference deployment's files to a running hub, as its admin goes: migrate, doctor, render, deploy, a notebook.

With XNATHUB_OUTPUTS set, what doctor prints is kept in docs/outputs/, for the pages that show it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.testbed import GID, UID, Stack, command, new_name
from tests.doctor import keep
from tests.support import XNATHUB
from xnathub_conf.standin import StandIn, demo_state

OLD_STACK = """\
version: '3.8'
networks:
  jupyterhub-network:
    name: {name}-net
    driver: overlay
    attachable: true
services:
  jupyterhub:
    image: xnat/jupyterhub:1.3.3
    hostname: jupyterhub
    ports:
      - "{port}:8000"
    networks:
      - jupyterhub-network
    environment:
      JH_NETWORK: {name}-net
      JH_UID: 4001
      JH_GID: {gid}
      NB_UID: {nb_uid}
      NB_GID: {nb_gid}
      JH_START_TIMEOUT: 120
      JH_HTTP_TIMEOUT: 60
      JH_XNAT_URL: {xnat}
      JH_XNAT_USERNAME: jupyterhub
      JH_XNAT_PASSWORD:
      JH_XNAT_SERVICE_TOKEN:
"""

OLD_ENVIRONMENT = """\
JH_XNAT_PASSWORD={password}
JH_XNAT_SERVICE_TOKEN={token}
JH_XNAT_JUPYTERHUB_HOST_URL=http://{host}:{port}
JH_XNAT_JUPYTERHUB_API_URL={api}
JH_XNAT_PT_ARCHIVE_PREFIX=/data/xnat/archive
JH_XNAT_PT_ARCHIVE_SERVER_PREFIX={folder}/archive
JH_XNAT_PT_WORKSPACE_PREFIX=/data/xnat/workspaces
JH_XNAT_PT_WORKSPACE_SERVER_PREFIX={folder}/workspaces
"""


class Walk(Stack):
    """A stack whose site file and secrets `xnathub migrate` writes."""

    def write_site(self) -> None:
        """Leave the file as it is: it was migrated and edited already."""

    @property
    def secrets(self) -> dict[str, str]:
        files = (self.folder / "secrets").iterdir()
        return {file.name: file.read_text().strip() for file in files}

    def old_files(self, host: str) -> None:
        facts = {
            "name": self.name, "port": self.port, "xnat": self.xnat.url, "host": host, "folder": self.folder,
            "gid": Path("/var/run/docker.sock").stat().st_gid, "nb_uid": UID, "nb_gid": GID, "token": self.token,
            "password": self.state.user("jupyterhub").password, "api": f"{self.url}/hub/api",
        }  # fmt: skip
        (self.folder / "docker-stack.yml").write_text(OLD_STACK.format(**facts))
        (self.folder / "xnat.env").write_text(OLD_ENVIRONMENT.format(**facts))

    def xnathub(self, *words: str) -> str:
        return command("env", "-C", str(self.folder), str(XNATHUB), *words)

    def edit(self, old: str, new: str) -> None:
        text = self.site_file.read_text()
        assert text.count(old) == 1, text
        self.site_file.write_text(text.replace(old, new))


@pytest.fixture
def walk(docker_client, host_address, tmp_path) -> Iterator[Walk]:
    name = new_name()
    with StandIn(demo_state(), host=host_address) as xnat:
        walk = Walk(docker_client, name, tmp_path, xnat, {"swarm": {}})
        walk.workspace("demo")
        os.chown(tmp_path / "workspaces" / "users", UID, GID)
        walk.old_files(host_address)
        try:
            yield walk
        finally:
            walk.remove()
            walk.clean()


def test_from_the_reference_deployment_to_a_notebook(walk: Walk, host_address: str):
    told = walk.xnathub("migrate", "docker-stack.yml", "--env-file", "xnat.env")
    assert walk.token not in told
    # What the list says that is left to do: no image here has JupyterHub 4.0. Besides, these are other images than XNAT's own,
    # and the kernel here has no virtual addresses.
    assert "If no image of yours has JupyterHub 4.0, delete" in told
    walk.edit('  environment:\n    JUPYTERHUB_SINGLEUSER_EXTENSION: "0"\n', "")
    walk.edit('"xnat/*"', '"xnathub-*:test"')
    walk.edit("  swarm:\n", f"  swarm:\n    endpoint_mode: dnsrr\n    prefix: {walk.name}\n")
    assert "valid" in walk.xnathub("validate", "site.yaml")
    walk.create()
    walk.state.preferences = {
        "jupyterHubHostUrl": f"http://{host_address}:{walk.port}",
        "jupyterHubApiUrl": f"{walk.url}/hub/api",
        "jupyterHubToken": walk.token,
    }
    walk.options("demo")
    done = walk.hub_container().exec_run(["xnathub", "doctor", "/etc/xnathub/site.yaml", "--user", "demo"])
    report = done.output.decode()
    assert done.exit_code == 0, report
    plain = {
        str(walk.folder): "/data/xnat", walk.xnat.url: "http://xnat.example.org", f"{walk.name}-net": "jupyterhub-network",
        f"http://{host_address}:{walk.port}": "http://xnat.example.org", walk.name: "xnathub", str(walk.port): "8000",
    }  # fmt: skip
    keep("doctor-swarm", report, plain)
    walk.start("demo")
    assert walk.execute("demo", "print(6 * 7)") == "42\n"
