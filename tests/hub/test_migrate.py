"""A real hub from the reference deployment's files, with a stand-in XNAT."""

import subprocess

import yaml

from tests.support import XNATHUB, RunningHub, Visitor, merged, new_standin

OLD = """\
services:
  jupyterhub:
    image: xnat/jupyterhub:1.3.3
    env_file: .env
    environment: {JH_NETWORK: xnat-network, JH_START_TIMEOUT: 60}
  xnat-web:
    env_file: .env
"""


def test_a_migrated_site_runs(tmp_path):
    with new_standin() as xnat:
        hub = RunningHub(tmp_path, xnat)
        old = tmp_path / "old"
        old.mkdir()
        (old / "docker-compose.yml").write_text(OLD)
        variables = {
            "JH_UID": 1000, "JH_GID": 999, "NB_UID": 1000, "NB_GID": 1000, "JH_XNAT_URL": xnat.url,
            "JH_XNAT_SERVICE_TOKEN": hub.token, "JH_XNAT_PASSWORD": xnat.state.user("jupyterhub").password,
            "JH_XNAT_PT_ARCHIVE_PREFIX": "/data/xnat/archive", "JH_XNAT_PT_ARCHIVE_DOCKER_PREFIX": tmp_path / "archive",
            "JH_XNAT_PT_WORKSPACE_PREFIX": "/data/xnat/workspaces",
            "JH_XNAT_PT_WORKSPACE_DOCKER_PREFIX": tmp_path / "workspaces",
        }  # fmt: skip
        (old / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        here = yaml.safe_load(hub.site_file.read_text())
        flags = [
            "--output",
            hub.site_file,
            "--secrets-dir",
            old / "s",
            "--secrets-path",
            old / "s",
            "--force",
        ]
        subprocess.run(
            [XNATHUB, "migrate", old / "docker-compose.yml", *flags], check=True, capture_output=True
        )
        # The search at the run's end would take the old deployment's file for a leak.
        (old / ".env").unlink()
        site = yaml.safe_load(hub.site_file.read_text())
        assert list(site["orchestrator"]) == ["swarm"]
        # No swarm and no free port 8000 here: processes in place of services, and this test's ports.
        ports = {name: here["hub"][name] for name in ("bind_url", "hub_bind_url")}
        changes = {
            "orchestrator": {"swarm": None, **here["orchestrator"]},
            "extra": here["extra"],
            "hub": ports,
        }
        hub.site_file.write_text(yaml.safe_dump(merged(site, changes)))
        try:
            hub.start()
            visitor = Visitor(hub.url)
            visitor.sign_in("alice", xnat.state.user("alice").password)
            assert visitor.is_signed_in_as("alice")
            hub.plugin.ensure_user("alice")
            hub.plugin.start("alice", xnat.state.launch("alice", "P1"))
            hub.plugin.wait_ready("alice")
            (data,) = (tmp_path / "servers").glob("*/data/projects/P1/experiments")
            assert data.resolve() == tmp_path / "archive/P1/arc001"
        finally:
            hub.stop()
