"""Servers on a network besides the hub's, on one engine and on a swarm: what is there answers them, and them alone."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.docker.conftest import remove_network
from tests.docker.test_docker import Engine
from tests.docker.testbed import Stack, wait_for
from xnathub_conf.standin import StandIn, demo_state

LOOKS = """
import json, os, socket, urllib.request
def answers(host, port):
    try:
        socket.create_connection((host, port), 5).close()
    except OSError as error:
        return False
    return True
print(json.dumps({{
    "licence server": answers("licence", 7070),
    "by another name": answers("{name}-other", 7070),
    "the hub": urllib.request.urlopen(os.environ["JUPYTERHUB_API_URL"] + "/", timeout=10).status,
    "XNAT": urllib.request.urlopen("{xnat}/", timeout=10).status,
    "users": [int(each) for each in open("/proc/self/uid_map").read().split()],
}}))
"""
FOUND = {"licence server": True, "by another name": False, "the hub": 200, "XNAT": 200}


@pytest.mark.parametrize("kind", ["docker", "swarm"])
def test_servers_reach_what_is_on_a_further_network(docker_client, host_address, tmp_path, kind):
    name = f"xhtest-{uuid.uuid4().hex[:8]}"
    networks = [f"{name}-licences", f"{name}-elsewhere"]
    driver = {"driver": "overlay", "attachable": True} if kind == "swarm" else {}
    orchestrator = {
        "network_name": f"{name}-net", "prefix": name, "server_networks": 2, "networks": networks[:1],
    }  # fmt: skip
    made = []
    with StandIn(demo_state(), host=host_address) as xnat:
        arguments = docker_client, name, tmp_path, xnat, {kind: orchestrator}
        site = Engine(*arguments) if kind == "docker" else Stack(*arguments)
        if kind == "docker":
            site.site["servers"]["security"] = {"user_namespaces": "host"}
        try:
            listens = ["httpd", "-f", "-p", "7070"]
            for network, called in zip(networks, ("licence", f"{name}-other"), strict=True):
                docker_client.networks.create(network, **driver)
                place = {network: docker_client.api.create_endpoint_config(aliases=[called])}
                container = docker_client.containers.create(
                    "xnathub-busybox:test", listens, network=network, networking_config=place
                )
                made.append(container)
                container.start()
            site.create()
            site.start("demo")
            found = json.loads(site.execute("demo", LOOKS.format(name=name, xnat=xnat.url)))
            assert found.pop("users")[:2] == [0, 0]
            assert found == FOUND
            site.stop_all()
            docker_client.networks.get(networks[0]).disconnect(made[0])
            remove_network(docker_client, networks[0])
            sentence, _ = site.failure("demo")
            assert f"The network {networks[0]} does not exist." in sentence
            wait_for(lambda: not site.servers(), 120)
        finally:
            site.remove()
            for container in made:
                container.remove(force=True)
            if isinstance(site, Stack):
                site.clean()
            for network in networks:
                remove_network(docker_client, network)
