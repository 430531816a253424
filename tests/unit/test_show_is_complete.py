"""`show` names every trait that is set, by whichever door."""

import ast
import json
import os
import subprocess
import sys

import pytest
from dockerspawner import DockerSpawner, SwarmSpawner
from jupyterhub.spawner import SimpleLocalProcessSpawner
from kubespawner import KubeSpawner

from tests.unit.helpers import MINIMAL, ROOT
from xnathub_conf.cli import main
from xnathub_conf.cli.show import _rows
from xnathub_conf.site.at_starts import without_use
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.load import load

ORCHESTRATORS = {
    "local": "local: {directory: /tmp}",
    "docker": "docker: {}",
    "swarm": "swarm: {}",
    "kubernetes": "kubernetes: {claims: [{path: /data, claim_name: x}], namespace: servers}",
}
CONFIGURED = """
import json, sys
from traitlets.config import Config
from xnathub_conf.hub.configure import configure
c = Config()
configure(c, sys.argv[1])
print(json.dumps([f"{name}.{trait}" for name in c for trait in c[name]]))
"""
SPAWNER_CLASSES = {
    "local": SimpleLocalProcessSpawner, "docker": DockerSpawner, "swarm": SwarmSpawner, "kubernetes": KubeSpawner,
}  # fmt: skip
MERGED = {"extra_pod_config", "extra_container_config"}
"""What `extra` sets of these is shown there; the adapter merges it, and empties the trait for KubeSpawner."""

FILES = {"docker": ("docker", "containers"), "swarm": ("swarm", "containers")}


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_what_a_hub_is_configured_with_is_shown(tmp_path, orchestrator):
    site = tmp_path / "site.yaml"
    text = MINIMAL.replace("swarm: {}", ORCHESTRATORS[orchestrator])
    text = text.replace("{file: /run/secrets/xnat_password}", "{env: A}").replace(
        "{file: /run/secrets/hub_api_token}", "{env: B}"
    )
    site.write_text(text + "extra: {JupyterHub.active_server_limit: 5}\nlogging: {format: json}\n")
    ended = subprocess.run(
        [sys.executable, "-c", CONFIGURED, str(site)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "A": "password", "B": "0123456789abcdef" * 4},
    )
    assert ended.returncode == 0, ended.stderr
    rows = _rows(load(site))
    shown = [trait for row in rows for trait in row["sets"]]
    assert len(shown) == len(set(shown))
    assert set(json.loads(ended.stdout)) <= set(shown)
    at_starts = {
        f"{SPAWNER_CLASSES[orchestrator].__name__}.{trait}" for trait in kinds()[orchestrator].plan_traits
    }
    assert set(shown) <= {*json.loads(ended.stdout), *at_starts, "ConfigurableHTTPProxy.command"}
    (extra,) = [row for row in rows if row["key"].startswith("extra")]
    assert extra["value"] == extra["sets"] == {"JupyterHub.active_server_limit": 5}


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_what_an_adapter_sets_is_listed(orchestrator):
    traits = SPAWNER_CLASSES[orchestrator].class_traits(config=True)
    assigned = set()
    for name in (*FILES.get(orchestrator, (orchestrator,)), "launch"):
        for node in ast.walk(ast.parse((ROOT / "xnathub_conf" / "spawners" / f"{name}.py").read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                assigned.add(node.attr)
    assert assigned & set(traits) - MERGED <= set(kinds()[orchestrator].plan_traits)
    assert set(kinds()[orchestrator].plan_traits) <= set(traits)


ELSEWHERE = {"images_ahead", "internet", "reachable", "registry_logins", "sweep_interval"}
"""What the hub itself does with them, or the rendered file."""


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_a_key_of_servers_says_what_it_sets_or_what_it_is_for_at_a_start(tmp_path, capsys, orchestrator):
    site = tmp_path / "site.yaml"
    site.write_text(MINIMAL.replace("swarm: {}", ORCHESTRATORS[orchestrator]))
    assert main(["show", str(site)]) == 0
    said: dict[str, list[str]] = {}
    key = ""
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("    "):
            said[key].append(line.strip())
        else:
            key = line.partition(" = ")[0]
            said[key] = []
    of_servers = {key: lines for key, lines in said.items() if key.startswith("servers.")}
    assert {key.split(".")[1] for key, lines in of_servers.items() if not lines} == ELSEWHERE
    without = {key for key, lines in of_servers.items() if lines and lines[0].startswith("no effect on ")}
    assert ("servers.security.pids_limit" in without) == (orchestrator in {"kubernetes", "local"})
    assert ("servers.shm_size" in without) == (orchestrator == "local")
    assert said["servers.mounts"][0].startswith("at each start, in its ")
    assert said["servers.allowed_mounts"] == ["checked at each start"]


def test_what_is_shown_to_have_no_effect_is_what_is_refused():
    refused = {key: {("security", each) for each in kind.rights.without} for key, kind in kinds().items()}
    assert refused["kubernetes"] <= without_use(kinds()["kubernetes"])
    assert without_use(kinds()["swarm"]) <= refused["swarm"]
    assert without_use(kinds()["docker"]) == set()
