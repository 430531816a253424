"""One hub and one stand-in XNAT for all tests of this folder, with one web server after the other before them."""

import contextlib
import shutil
from dataclasses import dataclass

import pytest

from tests.proxies.web_servers import KINDS, Echo, WebServer, install_web_servers, make_certificate
from tests.support import RunningHub, Visitor, free_port, install, new_standin
from xnathub_conf.standin import HubLink, HubPlugin, StandIn


@dataclass
class Site:
    """What a browser and XNAT's plugin see of a site: everything through the web server."""

    web: WebServer
    xnat: StandIn
    hub: RunningHub

    @property
    def hub_url(self) -> str:
        return f"{self.web.url}/jupyterhub"

    @property
    def plugin(self) -> HubPlugin:
        link = HubLink(f"{self.hub_url}/hub/api", self.hub_url, self.hub.token, self.web.ca)
        return HubPlugin(link, start_timeout=60, stop_timeout=30, poll_interval=0.2)

    def visitor(self) -> Visitor:
        visitor = Visitor(self.hub_url)
        visitor.verify = self.web.ca
        return visitor


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    install_web_servers()
    if not shutil.which("curl"):
        install("proxies", "curl")
    folder = tmp_path_factory.mktemp("proxies")
    make_certificate(folder)
    return folder


@pytest.fixture(scope="session")
def _port():
    return free_port()


@pytest.fixture(scope="session")
def _xnat(certificates):
    with new_standin() as xnat:
        yield xnat


@pytest.fixture(scope="session")
def _hub(_xnat, _port, tmp_path_factory):
    address = f"https://localhost:{_port}"
    changes = {"xnat": {"public_url": address}, "hub": {"public_url": f"{address}/jupyterhub/"}}
    hub = RunningHub(tmp_path_factory.mktemp("hub"), _xnat, changes)
    try:
        yield hub.start()
    finally:
        hub.stop()


@pytest.fixture(scope="session", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def _web(kind, certificates, _xnat, _hub, _port):
    with WebServer(
        kind, certificates, _xnat.url.removeprefix("http://"), f"127.0.0.1:{_hub.port}", _port
    ) as web:
        yield web


@pytest.fixture
def site(_web, _xnat, _hub):
    yield Site(_web, _xnat, _hub)
    _xnat.faults.clear()
    _hub.plugin.stop("alice")


@contextlib.contextmanager
def before_echoes(kind, certificates, tmp_path_factory, **options):
    folder = tmp_path_factory.mktemp("echoes")
    for name in ("fullchain.pem", "privkey.pem", "site.pem"):
        (folder / name).write_bytes((certificates / name).read_bytes())
    with (
        Echo("xnat") as xnat,
        Echo("hub") as hub,
        WebServer(kind, folder, xnat.address, hub.address, **options) as web,
    ):
        yield web


@pytest.fixture(scope="session")
def echoes(kind, certificates, tmp_path_factory):
    """The web server before two servers that tell what reached them."""
    with before_echoes(kind, certificates, tmp_path_factory) as web:
        yield web


@pytest.fixture
def hurried(kind, certificates, tmp_path_factory):
    """The same, with seconds in place of hours."""
    with before_echoes(kind, certificates, tmp_path_factory, hurry=True) as web:
        yield web
