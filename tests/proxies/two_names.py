"""A web server before an XNAT and its hub on two host names, set up as docs/own-host.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.proxies.web_servers import SHIPPED, WebServer
from tests.support import ROOT, SMALL_SERVER, RunningHub, free_port, new_standin
from xnathub_conf.standin import HubLink, HubPlugin

_FILES = {
    "nginx": "nginx.conf",
    "haproxy": "haproxy.cfg",
    "caddy": "Caddyfile",
    "traefik": "traefik-xnat.yml",
}


class TwoNames(WebServer):
    """A web server as WebServer is, with XNAT's name and the hub's."""

    def __init__(self, *where, names: tuple[str, str], user_hosts: bool = False) -> None:
        super().__init__(*where)
        self.names, self.user_hosts = names, user_hosts

    def shipped(self, name: str) -> str:
        if name != _FILES[self.kind]:
            return super().shipped(name)
        xnat, hub = self.names
        return self.with_values(
            documented(self.kind, self.user_hosts)
            .replace("xnat.example.org", xnat)
            .replace("jupyter.example.org", hub)
        )

    def get(self, path: str, **kwargs) -> requests.Response:
        return super().get(path, headers={"Host": f"{self.names[1]}:{self.port}"}, **kwargs)


@contextmanager
def hub_at(
    names: tuple[str, str], folder: Path, ca: Path, **of_the_hub: object
) -> Iterator[tuple[RunningHub, int, HubPlugin]]:
    """Run an XNAT and a hub for these two names; give the hub, the port of the web server to be before them, and XNAT's plugin."""
    port, (xnat_name, hub_name) = free_port(), names
    public = f"https://{hub_name}:{port}/jupyterhub"
    changes = {
        "xnat": {"public_url": f"https://{xnat_name}:{port}"},
        "hub": {"public_url": f"{public}/", **of_the_hub},
        "sign_in": {"xnat_session": False},
    }
    with new_standin() as xnat:
        xnat.state.environment = SMALL_SERVER
        hub = RunningHub(folder, xnat, changes)
        link = HubLink(f"{public}/hub/api", public, hub.token, str(ca))
        try:
            yield hub.start(), port, HubPlugin(link, start_timeout=90)
        finally:
            hub.stop()


@contextmanager
def web_before(
    kind: str, served: tuple[RunningHub, int, HubPlugin], folder: Path, certificates: Path, **how: Any
) -> Iterator[TwoNames]:
    """Run a web server before what `hub_at` gives; its `plugin` is XNAT's."""
    for name in ("fullchain.pem", "privkey.pem", "site.pem"):
        (folder / name).write_bytes((certificates / name).read_bytes())
    hub, port, plugin = served
    addresses = (hub.xnat.url.removeprefix("http://"), f"127.0.0.1:{hub.port}")
    with TwoNames(kind, folder, *addresses, port, **how) as server:
        server.plugin, server.state = plugin, hub.xnat.state
        yield server


def documented(kind: str, user_hosts: bool = False) -> str:
    """Return a web server's shipped file, changed as the page says."""
    shipped, page = (SHIPPED / _FILES[kind]).read_text(), (ROOT / "docs" / "own-host.md").read_text()
    new = re.search(rf"(?i)\n### {kind}\n[^#]*?```\w+\n(.*?)```\n", page, re.DOTALL)
    assert new
    settings = _CHANGES[kind](shipped, new[1])
    if user_hosts:
        rows = re.findall(
            rf"(?im)^ +\| {kind} \| ``?([^|]*?)``?(?:, twice|, in each rule| of that name)? \| ``?([^|]*?)``? \|$",
            page,
        )
        assert rows
        for old, stands in rows:
            assert old in settings
            # Only the redirect of the hub's name, which is the last one.
            before, _, after = settings.rpartition(old)
            settings = before + stands + after if "return" in old else settings.replace(old, stands)
    return settings


def _nginx(shipped: str, new: str) -> str:
    connection = "proxy_set_header Connection $connection_upgrade;\n"
    settings = shipped[shipped.index("    ssl_certificate ") : shipped.index(connection) + len(connection)]
    places = shipped[shipped.index("    location = /jupyterhub {") : shipped.index("    location / {")]
    comment = re.compile(r" +# Here the lines of the shipped file.*\n +#.*\n")
    assert comment.search(new)
    return shipped.replace(places, "") + comment.sub(lambda _: settings + places, new)


def _haproxy(shipped: str, new: str) -> str:
    start = shipped.index("    http-request redirect location")
    return shipped[:start] + new + shipped[shipped.index("\nbackend xnat") :]


def _caddy(shipped: str, new: str) -> str:
    before, site = shipped.split("# CHANGE the name:")
    assert "import hub" in site
    return before + site.replace("\timport hub\n", "") + new


def _traefik(shipped: str, new: str) -> str:
    routes = yaml.safe_load(shipped)
    for name, changed in yaml.safe_load(new)["http"]["routers"].items():
        routes["http"]["routers"][name].update(changed)
    return yaml.safe_dump(routes)


_CHANGES = {"nginx": _nginx, "haproxy": _haproxy, "caddy": _caddy, "traefik": _traefik}
