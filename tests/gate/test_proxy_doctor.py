"""What doctor says of the proxy before the hub."""

import asyncio

import pytest

from xnathub_conf.doctor.examination import Examination
from xnathub_conf.doctor.hub import HubChecks
from xnathub_conf.site.load import load

SITE = """\
version: 1
xnat: {{url: "https://xnat.example.org", service_account: {{password: {{env: PASSWORD}}}}}}
hub: {{bind_url: "http://127.0.0.1:{port}", api_token: {{env: TOKEN}}}}
servers: {{allowed_images: ["xnat/*"]}}
orchestrator: {{local: {{directory: /srv/servers}}}}
"""


@pytest.fixture
def finding(tmp_path):
    def found(port, **environment):
        (tmp_path / "site.yaml").write_text(SITE.format(port=port))
        checks = HubChecks(Examination(load(tmp_path / "site.yaml"), environment))
        return asyncio.run(checks.proxy())

    return found


def test_the_proxy_with_the_gate_is_known(proxy, finding):
    assert finding(proxy.port).status == "ok"
    # What the question leaves behind is nobody's request.
    assert proxy.hub.requests == []


def test_a_proxy_without_it_is_found(plain_proxy, finding):
    found = finding(plain_proxy.port)
    assert found.status == "failed"
    assert "is not xnathub's" in found.seen
    assert "proxy.chp.image" in found.do


def test_kubernetes_says_where_the_proxy_is(plain_proxy, proxy, finding):
    service = {"PROXY_PUBLIC_SERVICE_HOST": "127.0.0.1", "PROXY_PUBLIC_SERVICE_PORT": str(proxy.port)}
    assert finding(plain_proxy.port, **service).status == "ok"


def test_where_no_proxy_is_nothing_is_said(finding):
    assert finding(1).status == "skipped"
