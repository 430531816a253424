"""Stacks of made-up valid sites: each one's hub is healthy, or `render` says what keeps it from that.

XNATHUB_STACKS says how many; a few by default, since each takes some fifteen seconds.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from tests.certificates import Authority
from tests.docker.testbed import STACK, TEST, new_name, wait_for
from tests.fuzz.strategies import ENVIRONMENT, LEAVES, changed, extra_traits, fitting, small_site
from tests.support import XNATHUB, free_port
from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError

COUNT = int(os.environ.get("XNATHUB_STACKS", "3"))

VARIABLES = {**ENVIRONMENT, "JUPYTERHUB_CRYPT_KEY": "0123456789abcdef" * 4}

_LEFT_ALONE = {"docker_host", "tls", "subnet", "network_name", "server_networks", "prefix"}
"""What says where this machine's engine is, or could take a network that others use here, or 200 of them."""

_KEYS = [
    leaf
    for leaf in LEAVES
    if leaf[0][0] != "orchestrator"
    or (leaf[0][1] == "swarm" and leaf[0][-1] not in _LEFT_ALONE and "tls" not in leaf[0])
]
_CHANGES = st.sampled_from(_KEYS).flatmap(lambda leaf: st.tuples(st.just(leaf[0]), fitting(leaf[1])))
SITES = st.lists(_CHANGES | extra_traits("swarm"), min_size=1, max_size=4).map(
    lambda changes: changed(small_site("swarm"), changes)
)


def of_this_machine(site: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the site with a free port, and a network of its own."""
    bind_url = site["hub"].get("bind_url", "http://0.0.0.0:8000")
    changes = [
        (("hub", "bind_url"), re.sub(r":[0-9]+/?$", f":{free_port()}", bind_url)),
        (("orchestrator", "swarm", "network_name"), f"{name}-net"),
        (("orchestrator", "swarm", "prefix"), "xhtest-fz"),
    ]
    return changed(site, changes)


def is_valid(file: Path) -> bool:
    """Return whether a site is valid with these variables; its files are not here, but in the stack."""
    try:
        load(str(file), environment=VARIABLES)
    except SiteError as error:
        return all("file" in problem.rule for problem in error.problems)
    return True


def deploy(client: docker.DockerClient, name: str, folder: Path, authority: Authority) -> str:
    """Deploy a site to the end; give what its first line says where it is no stack, nothing where its hub is healthy."""
    rendered = subprocess.run(
        [XNATHUB, "render", "swarm", "site.yaml", "--image", "xnathub:test"],
        cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if rendered.returncode:
        assert rendered.stderr, rendered
        assert "Traceback" not in rendered.stderr, rendered.stderr
        return rendered.stderr.splitlines()[0]
    (folder / "docker-stack.yml").write_text(rendered.stdout)
    stack = yaml.safe_load(rendered.stdout)
    files = authority.issue(name)
    labels = {TEST: name}
    try:
        for secret in stack["secrets"]:
            client.secrets.create(name=secret, data=files["keyfile"].read_bytes(), labels=labels)
        for config in (each for each, value in stack["configs"].items() if value.get("external")):
            client.configs.create(name=config, data=files["certfile"].read_bytes(), labels={STACK: name})
        deployed = subprocess.run(
            ["docker", "stack", "deploy", "--resolve-image", "never", "--compose-file", "docker-stack.yml", name],
            cwd=folder, capture_output=True, text=True, env={**os.environ, **VARIABLES}, timeout=60,
        )  # fmt: skip
        assert deployed.returncode == 0, deployed.stderr
        wait_for(lambda: _health(client, name) == "healthy", 120, lambda: _logs(client, name))
    finally:
        subprocess.run(["docker", "stack", "rm", name], capture_output=True, timeout=60)
        label = {"label": f"{STACK}={name}"}
        wait_for(lambda: not client.containers.list(all=True, filters=label, ignore_removed=True), 120)
        for secret in client.secrets.list(filters={"label": f"{TEST}={name}"}):
            secret.remove()
        for config in client.configs.list(filters=label):
            config.remove()
        for volume in client.volumes.list(filters={"name": f"{name}_data"}):
            volume.remove(force=True)
    return ""


def _containers(client: docker.DockerClient, name: str) -> list[Any]:
    filters = {"label": f"com.docker.swarm.service.name={name}_hub"}
    return client.containers.list(all=True, filters=filters, ignore_removed=True)


def _health(client: docker.DockerClient, name: str) -> str:
    states = [each.attrs["State"] for each in _containers(client, name) if each.status == "running"]
    return states[0]["Health"]["Status"] if states else ""


def _logs(client: docker.DockerClient, name: str) -> str:
    tasks = client.api.tasks(filters={"service": f"{name}_hub"})
    said = "".join(each.logs(tail=30).decode() for each in _containers(client, name)[:2])
    return "\n".join([str(each["Status"].get("Err")) for each in tasks[:2]] + [said])


@pytest.mark.timeout(90 + 150 * COUNT)
def test_a_valid_site_is_a_healthy_stack_or_says_why_not(docker_client, tmp_path):
    authority = Authority(tmp_path / "authority")
    told = {"healthy": 0, "said": 0}

    @seed(20260101)
    @settings(
        max_examples=COUNT, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(SITES)
    def judge(site: dict[str, Any]) -> None:
        name = new_name()
        folder = tmp_path / name
        folder.mkdir()
        (folder / "site.yaml").write_text(yaml.safe_dump(of_this_machine(site, name), allow_unicode=True))
        assume(is_valid(folder / "site.yaml"))
        began = time.monotonic()
        try:
            said = deploy(docker_client, name, folder, authority)
        except AssertionError as error:
            raise AssertionError(f"{(folder / 'site.yaml').read_text()}\n{error}") from None
        told["said" if said else "healthy"] += 1
        print(f"{time.monotonic() - began:.1f} s: {said or 'healthy'}")

    judge()
    print(told)
    assert told["healthy"] > 0
