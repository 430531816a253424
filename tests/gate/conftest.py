"""One proxy for all tests that leave it as it is."""

import pytest

from tests.gate.servers import Proxy


@pytest.fixture(scope="session")
def _proxy(tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("gate")) as proxy:
        yield proxy


@pytest.fixture
def proxy(_proxy):
    _forget(_proxy)
    yield _proxy
    _forget(_proxy)


def _forget(proxy):
    for server in (proxy.hub, proxy.service, *proxy.servers.values()):
        server.forget()
        server.answers, server.exact = {}, None


@pytest.fixture(scope="session")
def plain_proxy(tmp_path_factory):
    """The proxy as it comes, without the gate: what the tests are shown to fail on."""
    with Proxy(tmp_path_factory.mktemp("plain"), gate=False) as proxy:
        yield proxy
