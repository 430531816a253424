"""A hub with a certificate of its own, where no web server stands before it, and what happens as it is renewed."""

import shutil
import socket
import ssl

import pytest
import requests
import websocket

from tests.certificates import Authority
from tests.support import RunningHub, Visitor, new_standin, run_code, wait_until
from xnathub_conf.standin.plugin import start_body


class OverTls(RunningHub):
    """A hub that browsers and XNAT reach over https."""

    def use(self, xnat) -> None:
        self.url = f"https://127.0.0.1:{self.port}/jupyterhub"
        super().use(xnat)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def trusted(authority, monkeypatch):
    """What programs of this process trust: requests, and websocket-client."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", str(authority.file))


@pytest.fixture
def hub(authority, tmp_path):
    place({"certfile": "hub.crt", "keyfile": "hub.key"}, authority.issue("first"), tmp_path)
    tls = {"cert": str(tmp_path / "hub.crt"), "key": str(tmp_path / "hub.key")}
    with new_standin() as xnat:
        hub = OverTls(tmp_path, xnat, {"hub": {"tls": tls}})
        try:
            yield hub.start()
        finally:
            hub.stop()


def place(names: dict[str, str], files, folder) -> None:
    for kind, name in names.items():
        shutil.copyfile(files[kind], folder / name)


def shown(hub: RunningHub) -> bytes:
    """Return the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", hub.port), 10) as plain,
        context.wrap_socket(plain) as connection,
    ):
        certificate = connection.getpeercert(binary_form=True)
        assert certificate
        return certificate


def der(files) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files["certfile"].read_text())


def test_a_certificate_is_renewed_under_a_running_kernel(hub, authority):
    with pytest.raises(requests.ConnectionError):
        requests.get(hub.url.replace("https", "http"), timeout=10)
    browser = Visitor(hub.url)
    browser.verify = str(authority.file)
    password = hub.xnat.state.user("demo").password
    assert browser.sign_in("demo", password).status_code == 302
    assert {cookie.secure for cookie in browser.cookies} == {True}
    assert browser.is_signed_in_as("demo")

    options = hub.xnat.state.launch("demo", "P1")
    hub.plugin.ensure_user("demo")
    hub.plugin.start("demo", start_body(options))
    hub.plugin.wait_ready("demo")
    token = hub.plugin.token("demo", "a test", 3600)
    server = f"{hub.url}/user/demo"
    assert run_code(server, token, "print(6 * 7)") == "42\n"
    headers = [f"Authorization: token {token}"]
    events = f"{server}/api/events/subscribe".replace("https", "wss")
    open_one = websocket.create_connection(events, timeout=60, header=headers)

    position = len(hub.log.read_text())
    second = authority.issue("second")
    place({"certfile": "hub.crt"}, second, hub.folder)
    wait_until(lambda: "can't be used, and the old one stays" in hub.log_since(position), 60, "the refusal")
    assert shown(hub) != der(second)
    place({"keyfile": "hub.key"}, second, hub.folder)
    wait_until(lambda: shown(hub) == der(second), 60, "the new certificate")
    assert run_code(server, token, "print(6 * 7)") == "42\n"
    open_one.ping()
    opcode, _ = open_one.recv_data(control_frame=True)
    while opcode != websocket.ABNF.OPCODE_PONG:
        opcode, _ = open_one.recv_data(control_frame=True)
    open_one.close()
