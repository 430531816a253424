"""Servers without the internet, on one engine and on a swarm: what they reach and what they don't, from inside."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.docker.firewall import METADATA, metadata_service, rule
from tests.docker.test_docker import Engine
from tests.docker.testbed import Stack, new_name
from xnathub_conf.standin import StandIn, demo_state

TRIES = """
import json, os, socket, urllib.error, urllib.request
direct = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
def status(opener, url, **headers):
    try:
        return opener.open(urllib.request.Request(url, headers=headers), timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return "nothing"
through = urllib.request.build_opener()
passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
passwords.add_password(None, {xnat!r}, os.environ["XNAT_USER"], os.environ["XNAT_PASS"], is_authenticated=True)
as_user = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
print(json.dumps({{
    "XNAT": as_user.open({xnat!r} + "/xapi/users/username", timeout=10).read().decode(),
    "the hub": status(through, os.environ["JUPYTERHUB_API_URL"] + "/"),
    "listed": status(through, "http://listed.example.org:{port}/"),
    "another port of XNAT's host": status(through, "http://{host}:{port}/"),
    "not listed": status(through, "http://other.example.org:{port}/"),
    "XNAT, past the proxy": status(direct, {xnat!r} + "/"),
    "the host, past the proxy": status(direct, "http://{host}:{port}/"),
    "beyond the host, past the proxy": status(direct, "http://{beyond}/"),
}}))
"""
"""Code for a server, which says what answers."""

FOUND = {
    "XNAT": "demo",
    "the hub": 200,
    "listed": 200,
    "another port of XNAT's host": 403,
    "not listed": 403,
    "XNAT, past the proxy": "nothing",
    "the host, past the proxy": "nothing",
    "beyond the host, past the proxy": "nothing",
}


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def web_server(address: str) -> Iterator[int]:
    """Something else than XNAT on the host; gives its port."""
    with http.server.ThreadingHTTPServer((address, 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("kind", ["docker", "swarm"])
def test_servers_without_the_internet_reach_what_they_may(docker_client, host_address, tmp_path, kind):
    name = new_name()
    orchestrator = {"network_name": f"{name}-net", "prefix": name, "server_networks": 2}
    with StandIn(demo_state(), host=host_address) as xnat, web_server(host_address) as port:
        arguments = docker_client, name, tmp_path, xnat, {kind: orchestrator}
        site = Engine(*arguments) if kind == "docker" else Stack(*arguments)
        site.site["servers"] |= {
            "internet": "none",
            "reachable": ["listed.example.org"],
            "hosts": {"listed.example.org": host_address, "other.example.org": host_address},
        }
        try:
            site.create()
            site.start("demo")
            code = TRIES.format(xnat=xnat.url, host=host_address, port=port, beyond=METADATA)
            with metadata_service():
                found = json.loads(site.execute("demo", code))
                if kind == "docker":
                    on_the_node = {"XNAT, past the proxy": 200, "the host, past the proxy": 200}
                    assert found == FOUND | on_the_node, "what the node's firewall is for"
                    (server,) = site.servers()
                    (network,) = server.attrs["NetworkSettings"]["Networks"]
                    (network,) = docker_client.networks.list(names=[network])
                    subnet = network.attrs["IPAM"]["Config"][0]["Subnet"]
                    with rule("INPUT", "-s", subnet, "-j", "DROP"):
                        found = json.loads(site.execute("demo", code))
                assert found == FOUND
            site.stop_all()
        finally:
            site.remove()
            if isinstance(site, Stack):
                site.clean()
