"""The compose file that `xnathub render docker` writes."""

import pytest
import yaml

from tests.unit.helpers import MINIMAL
from xnathub_conf.cli import main

SITE = MINIMAL.replace("swarm: {}", "docker: {network_name: our_net}")


@pytest.fixture
def rendered(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def render(text, *words, code=0):
        (tmp_path / "site.yaml").write_text(text)
        assert main(["render", "docker", *words]) == code
        said = capsys.readouterr()
        return (yaml.safe_load(said.out), said.out) if code == 0 else said.err

    return render


def test_hub_and_proxy_have_the_node_s_users_where_servers_have_their_own(rendered):
    compose, _ = rendered(SITE.replace("servers:", "servers:\n  security: {user_namespaces: own}"))
    assert [each.get("userns_mode") for each in compose["services"].values()] == ["host", "host"]
    assert "userns_mode" not in rendered(SITE)[1]


def test_the_hub_has_what_the_site_says_and_no_more_rights(rendered):
    compose, text = rendered(SITE)
    hub = compose["services"]["hub"]
    assert hub["user"] == "1000:999"
    assert hub["read_only"] is True
    assert hub["cap_drop"] == ["ALL"]
    assert hub["security_opt"] == ["no-new-privileges:true"]
    assert hub["pids_limit"] >= 1000
    assert compose["services"]["proxy"]["security_opt"] == hub["security_opt"]
    assert compose["networks"]["jupyter"]["name"] == "our_net"
    assert hub["networks"]["jupyter"]["aliases"] == [hub["hostname"]] == ["jupyterhub"]
    binds = {
        each["target"]: (each["source"], each.get("read_only"))
        for each in hub["volumes"]
        if each["type"] == "bind"
    }
    assert binds == {
        "/etc/xnathub/site.yaml": ("./site.yaml", True),
        "/run/secrets/xnat_password": ("./secrets/xnat_password", True),
        "/run/secrets/hub_api_token": ("./secrets/hub_api_token", True),
        "/var/run/docker.sock": ("/var/run/docker.sock", None),
    }
    assert "#   ./secrets/xnat_password\n" in text


def test_what_else_the_site_names_comes_along(rendered):
    site = SITE.replace("hub:\n", "hub:\n  cookie_secret: {env: COOKIES}\n  bind_url: http://0.0.0.0:9000\n")
    site += "pages: {logo: /etc/xnathub/logo.svg}\n"
    compose, text = rendered(site, "--image", "own:1")
    hub = compose["services"]["hub"]
    assert hub["image"] == "own:1"
    assert compose["services"]["proxy"]["ports"] == ["9000:9000"]
    assert hub["environment"] == {
        "XNATHUB_PROXY": "jupyterhub-proxy",
        "COOKIES": "${COOKIES:?the hub needs it}",
    }
    assert {
        "type": "bind",
        "source": "./secrets/logo.svg",
        "target": "/etc/xnathub/logo.svg",
        "read_only": True,
    } in hub["volumes"]
    assert "variables where `docker compose` runs: COOKIES" in text


def test_the_proxy_has_a_token_and_nothing_else_and_stays_after_an_edit(rendered):
    before = rendered(SITE)[0]["services"]
    proxy = before["proxy"]
    assert [each["source"] for each in proxy["volumes"] if each["type"] == "bind"] == [
        "./secrets/hub_api_token"
    ]
    assert (proxy["read_only"], proxy["cap_drop"], proxy["user"]) == (True, ["ALL"], "1000:1000")
    after = rendered(SITE + "# edited\n", "--image", "hub:2", "--proxy-image", proxy["image"])[0]["services"]
    assert after["proxy"] == proxy
    assert after["hub"]["labels"] != before["hub"]["labels"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("docker: {network_name: our_net}", "swarm: {}", "The site's orchestrator is not docker."),
        ("network_name: our_net", "network_name: bridge", "bridge is Docker's own"),
        ("hub:\n", "hub:\n  bind_url: http://127.0.0.1:8000\n", "must listen on every address"),
        (
            "{file: /run/secrets/hub_api_token}",
            "0123456789abcdef0123456789abcdef",
            "A secret stands in the file itself",
        ),
    ],
)
def test_what_can_not_be_run_that_way_is_said(rendered, old, new, said):
    assert said in rendered(SITE.replace(old, new), code=1)
