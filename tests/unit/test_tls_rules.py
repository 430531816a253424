"""What is asked of the hub's own certificate, and what follows from one."""

import pytest
from cryptography.hazmat.primitives import serialization

from tests.certificates import Authority
from tests.unit.helpers import problems_of, site_of, site_text
from xnathub_conf.site.hub_settings import browsers_use_tls, hub_settings, reverse_proxies

TLS = {"cert": "/run/hub.crt", "key": "/run/hub.key"}


def test_browsers_come_over_https_and_no_web_server_is_expected():
    site = site_of(hub__tls=TLS, hub__public_url="https://hub.example.org/jupyterhub/")
    assert browsers_use_tls(site)
    assert reverse_proxies(site) == 0
    settings = {setting.trait: setting.value for setting in hub_settings(site)}
    assert (settings["JupyterHub.ssl_cert"], settings["JupyterHub.ssl_key"]) == tuple(TLS.values())
    assert not {trait for trait in hub_traits(site_of()) if "ssl" in trait}
    assert browsers_use_tls(site_of(hub__tls=TLS))


def hub_traits(site):
    return {setting.trait for setting in hub_settings(site)}


@pytest.mark.parametrize(
    ("changes", "path", "fix"),
    [
        (
            {"orchestrator": {"kubernetes": {"claims": [{"path": "/data", "claim_name": "x"}]}}},
            ("hub", "tls"),
            "the chart's `ingress.tlsSecret`",
        ),
        (
            {"hub__public_url": "http://hub.example.org/jupyterhub/"},
            ("hub", "public_url"),
            "Write https://hub.example.org/jupyterhub/.",
        ),
    ],
)
def test_a_certificate_of_no_use_is_refused(changes, path, fix):
    found = [each for each in problems_of(site_text(hub__tls=TLS, **changes)) if each.severity == "error"]
    assert [(each.path, each.rule) for each in found] == [(path, "own-certificate")]
    assert fix in found[0].fix


def test_the_raw_settings_have_a_key_now():
    (problem,) = problems_of(site_text(extra={"JupyterHub.ssl_cert": "/a"}))
    assert problem.fix == "Use `hub.tls.cert`."


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


def host_problems(tmp_path, cert, key):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef" * 4)
    secrets = {"hub__api_token": {"file": str(token)}, "xnat__service_account": {"password": {"env": "P"}}}
    text = site_text(**secrets, hub__tls={"cert": str(cert), "key": str(key)})
    return [
        (each.path, f"{each.message} {each.fix}") for each in problems_of(text, environment={"P": "hunter2"})
    ]


def test_a_certificate_and_its_key_belong_together(authority, tmp_path):
    one, other = authority.issue("one"), authority.issue("other")
    assert host_problems(tmp_path, one["certfile"], one["keyfile"]) == []
    ((path, message),) = host_problems(tmp_path, one["certfile"], other["keyfile"])
    assert path == ("hub", "tls")
    assert "is not that of the certificate in" in message


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(authority, tmp_path):
    one = authority.issue("one")
    key = serialization.load_pem_private_key(one["keyfile"].read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"hunter2")
    one["keyfile"].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    ((_, message),) = host_problems(tmp_path, one["certfile"], one["keyfile"])
    assert "its key without a passphrase" in message
    one["certfile"].write_text("no certificate")
    assert len(host_problems(tmp_path, one["certfile"], one["keyfile"])) == 1
