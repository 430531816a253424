"""A stack whose hub keeps its data in PostgreSQL and reaches a Docker elsewhere, with a certificate and no socket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.docker.cis import not_followed
from tests.docker.firewall import METADATA, firewall, metadata_service
from tests.docker.testbed import Stack, new_name, wait_for
from xnathub_conf.standin import HubError, StandIn, demo_state

CERTIFICATES = Path("/var/lib/xnathub-dockerd-tls")
"""What tests/docker/engine made for whoever comes to the engine over the network."""


class RemoteStack(Stack):
    """A hub with PostgreSQL that has no socket: it reaches Docker with a certificate."""

    render_options = ("--postgres", "--postgres-image", "xnathub-postgres:test")

    def use(self, address: str) -> None:
        self.site["hub"] |= {"db_url": {"file": f"/run/secrets/{self.name}_db"}, "gid": 4001}
        self.site["orchestrator"]["swarm"] |= {
            "docker_host": f"tcp://{address}:2376",
            "tls": self.tls("client"),
        }

    def tls(self, client: str) -> dict[str, str]:
        files = {"ca_cert": "ca.pem", "client_cert": f"{client}.pem", "client_key": f"{client}-key.pem"}
        return {key: f"/run/secrets/{self.name}_{file}" for key, file in files.items()}

    @property
    def secrets(self) -> dict[str, str]:
        return {
            **super().secrets,
            **{f"{self.name}_{file.name}": file.read_text() for file in CERTIFICATES.glob("*.pem")},
            f"{self.name}_db": f"postgresql://jupyterhub:{self.token}@db/jupyterhub",
            "hub_db_password": self.token,
        }

    def database(self) -> Any:
        label = {"label": f"com.docker.swarm.service.name={self.name}_db"}
        return next(iter(self.client.containers.list(filters=label, ignore_removed=True)), None)


@pytest.fixture
def remote_stack(docker_client, host_address, tmp_path) -> Iterator[RemoteStack]:
    name = new_name()
    swarm = {"network_name": f"{name}-net", "prefix": name, "endpoint_mode": "dnsrr", "server_networks": 2}
    orchestrator = {"swarm": swarm}
    with StandIn(demo_state(), host=host_address) as xnat:
        stack = RemoteStack(docker_client, name, tmp_path, xnat, orchestrator)
        stack.use(host_address)
        with stack.deployed():
            yield stack


def servers_part_ways(stack: RemoteStack, host_address: str) -> None:
    """Two users' servers, each on a network of its own, reach the hub's API, and neither each other nor the port of browsers."""
    stack.start("alice")
    other = stack.client.api.tasks(filters={"service": stack.server("alice").name})[0]
    (network,) = other["NetworksAttachments"]
    address = network["Addresses"][0].partition("/")[0]
    assert stack.reached("alice", "jupyterhub:8081", f"{address}:8888") == [200, 404]
    assert stack.reached("demo", "jupyterhub:8081", f"{address}:8888") == [200, 0]
    label = {"label": f"com.docker.swarm.service.name={stack.name}_proxy"}
    (proxy,) = stack.client.containers.list(filters=label, ignore_removed=True)
    ports = [f"{at['IPAddress']}:{stack.port}" for at in proxy.attrs["NetworkSettings"]["Networks"].values()]
    assert set(stack.reached("demo", *ports)) == {0, 403}
    node, metadata = f"{host_address}:{stack.port}", f"{METADATA}:80"
    with metadata_service():
        assert stack.reached("demo", node, metadata) == [200, 200], "what the node's firewall is for"
        with firewall(stack.port):
            assert stack.reached("demo", node, metadata, "jupyterhub:8081") == [0, 0, 200]
            # Browsers, and what is on the node itself, go on as before.
            assert stack.plugin.users()
    sentence, _ = stack.failure("a.b@c.org")
    assert "Servers of 2 people run" in sentence
    stack.plugin.stop("alice", "")


def test_a_hub_with_postgresql_and_a_docker_elsewhere(remote_stack: RemoteStack, host_address: str):
    stack = remote_stack
    assert not [each for each in stack.hub_container().attrs["Mounts"] if each["Type"] == "bind"]
    stack.start("demo")
    asked = stack.database().exec_run(["psql", "--username=jupyterhub", "--command=SELECT name FROM users"])
    assert "demo" in asked.output.decode().split()
    # As docs/threat-model.md says and gives the reasons for.
    database = stack.database().attrs
    assert not_followed(database) <= {
        "4.1 a user that is not root",
        "5.3 no more capabilities",
        "5.10 a limit of memory",
        "5.11 a share of the processors",
        "5.14 no restart without end",
        "5.25 no new privileges",
        "5.28 a limit of processes",
    }
    assert (database["HostConfig"]["CapDrop"], len(database["HostConfig"]["CapAdd"])) == (["ALL"], 5)
    servers_part_ways(stack, host_address)

    killed = stack.database()
    killed.kill("SIGKILL")
    wait_for(lambda: (new := stack.database()) and new.id != killed.id, 120)

    def answers() -> bool:
        with contextlib.suppress(HubError, requests.RequestException):
            return bool(stack.plugin.users())
        return False

    wait_for(answers, 120)
    assert stack.execute("demo", "print(6 * 7)") == "42\n"

    before = stack.hub_container().id
    stack.site["orchestrator"]["swarm"]["tls"] = stack.tls("stranger")
    stack.deploy()
    wait_for(
        lambda: before not in [each.id for each in stack.client.containers.list(ignore_removed=True)], 120
    )
    stack.wait_until_up()
    # A server that the hub can't ask about is not taken for one that has ended.
    assert stack.plugin.server("demo")["ready"]
    sentence, seconds = stack.failure("alice")
    print(f"{seconds:.1f} s: {sentence}")
    assert "The hub and the Docker API do not accept each other's certificates." in sentence
    assert seconds < 45, "only the end of the start timeout, 50 s, ended it"
