"""A hub on one Docker engine whose proxy speaks https itself, with a certificate that its host renews."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.docker.test_docker import Engine
from tests.docker.testbed import new_name, wait_for
from xnathub_conf.standin import HubLink, HubPlugin, StandIn, demo_state


class OverTls(Engine):
    """The files of a certificate and its key are two more of the hub's secrets."""

    files: dict[str, Path]

    @property
    def secrets(self) -> dict[str, str]:
        own = {f"{self.name}.crt": "certfile", f"{self.name}.key": "keyfile"}
        return {**super().secrets, **{name: self.files[kind].read_text() for name, kind in own.items()}}


@pytest.fixture
def hub(docker_client, host_address: str, tmp_path: Path, monkeypatch) -> Iterator[OverTls]:
    name = new_name()
    docker = {"network_name": f"{name}-net", "prefix": name, "pull_policy": "never", "server_networks": 4}
    authority = Authority(tmp_path / "authority")
    for program in ("REQUESTS", "WEBSOCKET_CLIENT"):
        monkeypatch.setenv(f"{program}_CA_BUNDLE", str(authority.file))
    with StandIn(demo_state(), host=host_address) as xnat:
        hub = OverTls(docker_client, name, tmp_path, xnat, {"docker": docker})
        hub.files = authority.issue("first")
        hub.url = hub.url.replace("http", "https", 1)
        hub.plugin = HubPlugin(HubLink(f"{hub.url}/hub/api", hub.url, hub.token), start_timeout=90)
        hub.site["hub"]["tls"] = {kind: f"/run/secrets/{name}.{end}" for kind, end in ENDS.items()}
        try:
            hub.create()
            yield hub
            print(hub.logs())
        finally:
            hub.remove()


ENDS = {"cert": "crt", "key": "key"}


def test_servers_start_and_a_renewed_certificate_is_taken(hub: OverTls):
    hub.start("alice")
    assert hub.execute("alice", "print(6 * 7)") == "42\n"
    hub.files = Authority(hub.folder / "another").issue("second")
    for name, text in hub.secrets.items():
        # Into the same file: another in its place would not be seen through the mount.
        (hub.folder / "secrets" / name).write_text(text)
    want = ssl.PEM_cert_to_DER_cert(hub.files["certfile"].read_text())

    def shown() -> bool:
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", hub.port))) == want

    wait_for(shown, 60, hub.logs)
    proxy = hub.client.containers.get(f"{hub.name}_proxy")
    assert proxy.attrs["State"]["Health"]["Status"] == "healthy"
