"""From which address a request comes is what named proxies say, the hub's own first of all, and nobody chooses their own."""

import asyncio
import timeit
from types import SimpleNamespace
from typing import Any

import pytest
from kubespawner import KubeSpawner
from tornado.httputil import HTTPHeaders

from tests.unit.helpers import problems_of, site_of, site_text
from xnathub_conf.spawners.kubernetes import XnatKubernetesSpawner
from xnathub_conf.spawners.kubernetes_addresses import WatchedPods
from xnathub_conf.web.gate_pass import GateKey
from xnathub_conf.web.incoming import Callers, HubServer, neighbours

ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth1\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0001000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth1\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ("", 0, "10.9.9.9"),
        ("192.0.2.1", 0, "192.0.2.1"),
        # One web server in front of the hub's own proxy: the browser, then that web server.
        ("192.0.2.1,10.0.0.5", 1, "192.0.2.1"),
        # What the browser claims stands further left.
        ("203.0.113.7, 198.51.100.1, 192.0.2.1,10.0.0.5", 1, "192.0.2.1"),
        ("evil,,;,192.0.2.1", 0, "192.0.2.1"),
        ("evil, 192.0.2.1", 1, "192.0.2.1"),
        # Someone past the web server.
        ("192.0.2.1", 1, "192.0.2.1"),
        ("no address", 0, "10.9.9.9"),
        ("192.0.2.1:4711", 0, "192.0.2.1"),
        ("[2001:db8:1:2::9]:443", 0, "2001:db8:1:2::9"),
        ("::ffff:192.0.2.1", 0, "192.0.2.1"),
    ],
)
def test_the_address_is_what_the_nearest_proxies_say(forwarded, proxies, address):
    site = site_of(hub__reverse_proxies=proxies)
    assert Callers(site).address("10.9.9.9", forwarded) == address


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("192.0.2.1, 10.0.0.5", "192.0.2.1"),
        ("192.0.2.1, 10.1.7.7, 10.0.0.5", "192.0.2.1"),
        # A Jupyter server that reaches the proxy's port claims in vain.
        ("192.0.2.1, 10.0.1.9", "10.0.1.9"),
        ("203.0.113.7, 192.0.2.1, 10.0.0.5", "192.0.2.1"),
    ],
)
def test_where_proxies_are_named_nobody_else_counts(forwarded, address):
    site = site_of(hub__trusted_proxies=["10.0.0.5", "10.1.0.0/16"], hub__reverse_proxies=0)
    assert Callers(site).address("127.0.0.1", forwarded) == address


def test_servers_on_the_hubs_own_network_do_not_count_unnamed(monkeypatch):
    monkeypatch.setattr("xnathub_conf.web.incoming.servers_networks", lambda _: neighbours(ROUTES))
    callers = Callers(site_of(hub__reverse_proxies=1))
    assert callers.address("127.0.0.1", "192.0.2.1, 10.0.1.9") == "10.0.1.9"
    assert callers.address("127.0.0.1", "192.0.2.1, 172.18.0.9") == "172.18.0.9"
    # What comes through the published port: from the gateway, or as it is.
    assert callers.address("127.0.0.1", "192.0.2.1, 172.18.0.1") == "192.0.2.1"
    assert callers.address("127.0.0.1", "192.0.2.1, 198.51.100.7") == "192.0.2.1"


CLAIMS = [{"path": "/data/xnat", "claim_name": "xnat"}]
IN_PODS = {
    "orchestrator": {"kubernetes": {"claims": CLAIMS}},
    "servers__allowed_mounts": [{"path": "/data/xnat"}],
    "hub__reverse_proxies": 1,
}


def pod(*addresses: str, phase: str = "Running", **metadata: str) -> dict[str, Any]:
    status = {"phase": phase, **({"podIPs": [{"ip": each} for each in addresses]} if addresses else {})}
    return {"metadata": metadata, "status": status}


@pytest.fixture
def watched(monkeypatch) -> WatchedPods:
    """KubeSpawner's own watch of pods, without a cluster."""
    monkeypatch.setattr("kubespawner.reflector.shared_client", lambda _: None)
    watched = asyncio.run(made_in_a_loop())
    monkeypatch.setattr(KubeSpawner, "reflectors", {("events", "n"): None, ("pods", "n"): watched})
    return watched


async def made_in_a_loop() -> WatchedPods:
    return WatchedPods(namespace="n", labels={})


def test_users_pods_do_not_count_whatever_they_are_at(watched, monkeypatch):
    """Each pod has an address of its own, and runs its user's code before its server is up and after it was stopped."""
    callers = [
        Callers(site_of(**IN_PODS), XnatKubernetesSpawner.has_address),
        # A whole network of pods is named, for the web server's sake.
        Callers(
            site_of(**IN_PODS, hub__trusted_proxies=["10.244.0.0/16"]), XnatKubernetesSpawner.has_address
        ),
    ]

    now = [1000.0]
    monkeypatch.setattr("xnathub_conf.web.incoming.time.monotonic", lambda: now[0])
    for each in ("10.244.0.8", "10.244.0.9"):
        assert callers[0].address("10.244.0.3", f"192.0.2.1, {each}") == each, "the cluster may not tell yet"
    now[0] += 11

    def taken(of: str) -> bool:
        """Whether what a pod claims is taken for its address."""
        found = {each.address("10.244.0.3", f"192.0.2.1, {of}") for each in callers}
        assert found in ({"192.0.2.1"}, {of})
        return found == {"192.0.2.1"}

    assert taken("10.244.0.9")
    watched.resources = {"n/up": pod("10.244.0.9", "fd00::9"), "n/pulls": pod(phase="Pending")}
    assert not taken("10.244.0.9")
    assert XnatKubernetesSpawner.has_address("fd00::9")
    assert taken("10.244.0.8")
    # What the watch does with each event.
    watched.resources["n/pulls"] = pod("10.244.0.8", phase="Pending")
    assert not taken("10.244.0.8"), "it starts"
    watched.resources["n/pulls"] = pod("10.244.0.8", deletionTimestamp="2026-01-01T00:00:00Z")
    assert not taken("10.244.0.8"), "it ends"
    watched.resources.pop("n/pulls", None)
    watched.resources.pop("n/never", None)
    assert callers[0].address("10.244.0.3", "192.0.2.1, 10.244.0.8") == "10.244.0.8"
    now[0] += 11
    assert taken("10.244.0.8"), "it is gone, and its address may be anybody's"
    watched.resources["n/up"] = pod("10.244.0.9", phase="Failed")
    callers[0].address("10.244.0.3", "192.0.2.1, 10.244.0.9")
    now[0] += 11
    assert taken("10.244.0.9"), "so may that of a pod that has ended"


def test_a_thousand_pods_cost_a_request_nothing(watched):
    watched.resources = {f"n/{each}": pod(f"10.244.{each // 250}.{each % 250}") for each in range(1000)}
    callers = Callers(site_of(**IN_PODS), XnatKubernetesSpawner.has_address)
    seconds = min(
        timeit.repeat(lambda: callers.address("127.0.0.1", "192.0.2.1, 10.244.3.9"), number=100, repeat=5)
    )
    assert seconds / 100 < 0.0002


def test_what_is_no_address_is_said():
    (problem,) = problems_of(site_text(hub__trusted_proxies=["10.0.0.5", "10.0.0.0/99"]))
    assert (problem.rule, problem.path) == ("address", ("hub", "trusted_proxies", 1))


@pytest.mark.parametrize("proof", [GateKey(b"secret").proxy_proof, "made up", None])
def test_the_proxy_s_proof_is_taken_out_of_the_headers(proof):
    server = HubServer(SimpleNamespace(settings={"cookie_secret": b"secret"}))
    headers = HTTPHeaders({"X-Xnathub-Proxy": proof} if proof else {})
    assert server.from_the_proxy(headers) == (proof == GateKey(b"secret").proxy_proof)
    assert not headers
