"""From which address a request comes is what named proxies say, the hub's own first of all, and nobody chooses their own."""

from types import SimpleNamespace

import pytest
from tornado.httputil import HTTPHeaders

from tests.unit.helpers import problems_of, site_of, site_text
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


def test_users_pods_do_not_count_unnamed():
    """Each pod has an address of its own; the hub knows those of the servers that it has started."""
    users = {
        user: SimpleNamespace(
            spawners={"": SimpleNamespace(active=active, server=SimpleNamespace(ip=address))}
        )
        for user, active, address in ((1, True, "10.244.0.9"), (2, False, "10.244.0.8"))
    }
    server = HubServer(SimpleNamespace(settings={"users": users}))
    claims = [{"path": "/data/xnat", "claim_name": "xnat"}]
    in_pods = site_of(
        orchestrator={"kubernetes": {"claims": claims}},
        servers__allowed_mounts=[{"path": "/data/xnat"}],
        hub__reverse_proxies=1,
    )
    callers = Callers(in_pods)
    assert callers.servers_have_addresses
    for pod, address in (
        ("10.244.0.9", "10.244.0.9"),
        ("10.244.0.8", "192.0.2.1"),
        ("10.244.0.5", "192.0.2.1"),
    ):
        assert callers.address("10.244.0.3", f"192.0.2.1, {pod}", server.servers) == address
    assert not Callers(site_of()).servers_have_addresses, "there servers may have the web server's address"


def test_what_is_no_address_is_said():
    (problem,) = problems_of(site_text(hub__trusted_proxies=["10.0.0.5", "10.0.0.0/99"]))
    assert (problem.rule, problem.path) == ("address", ("hub", "trusted_proxies", 1))


@pytest.mark.parametrize("proof", [GateKey(b"secret").proxy_proof, "made up", None])
def test_the_proxy_s_proof_is_taken_out_of_the_headers(proof):
    server = HubServer(SimpleNamespace(settings={"cookie_secret": b"secret"}))
    headers = HTTPHeaders({"X-Xnathub-Proxy": proof} if proof else {})
    assert server.from_the_proxy(headers) == (proof == GateKey(b"secret").proxy_proof)
    assert not headers
