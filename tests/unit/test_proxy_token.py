"""The token that the hub and a proxy in a container of its own both make."""

import os
import subprocess

import pytest

from tests.support import ROOT
from tests.unit.helpers import MINIMAL
from xnathub_conf.hub.fresh_names import FreshNames
from xnathub_conf.hub.proxy import separate_proxy
from xnathub_conf.site.load import load
from xnathub_conf.values.proxy_token import VARIABLE, proxy_token

TOKEN = "0123456789abcdef" * 4
SHOW = f"await import('{ROOT / 'xnathub_conf/proxy/own_token.mjs'}'); console.log(process.env.CONFIGPROXY_AUTH_TOKEN)"


def ask(**variables):
    return subprocess.run(
        ["node", "--input-type=module", "--eval", SHOW],
        env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_both_make_the_same(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"\ufeff{TOKEN}\r\n")
    for variables in ({VARIABLE: f"file:{file}"}, {VARIABLE: "env:A", "A": TOKEN}):
        assert ask(**variables).stdout == f"{proxy_token(TOKEN)}\n"
    assert ask(CONFIGPROXY_AUTH_TOKEN="given").stdout == "given\n"


@pytest.mark.parametrize("where", ["file:/none", "env:NONE", "file:", "secret"])
def test_a_proxy_without_a_token_does_not_start(where):
    ended = ask(**{VARIABLE: where})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "hub.api_token" in ended.stderr


def test_a_hub_is_told_of_its_proxy_by_a_variable(tmp_path):
    (tmp_path / "site.yaml").write_text(MINIMAL.replace("{file: /run/secrets/hub_api_token}", "{env: TOKEN}"))
    site = load(tmp_path / "site.yaml").site
    assert separate_proxy(site, {}) == {}
    traits = separate_proxy(site, {"XNATHUB_PROXY": "proxy", "TOKEN": TOKEN})
    client = traits.pop("JupyterHubHTTPClient.connector_options")
    assert (type(client["resolver"]), client["use_dns_cache"]) == (FreshNames, False)
    assert traits == {
        "ConfigurableHTTPProxy.should_start": False,
        "ConfigurableHTTPProxy.api_url": "http://tasks.proxy-for-hub:8001",
        "ConfigurableHTTPProxy.auth_token": proxy_token(TOKEN),
        "JupyterHub.hub_connect_url": "http://tasks.hub-for-proxy:8081",
        "Spawner.hub_connect_url": "http://proxy:8000",
    }


@pytest.mark.parametrize(
    ("said", "reach"),
    [("http://jupyterhub:8081", "http://proxy:8000"), ("http://xnat-hub:8081", "http://xnat-hub:8081")],
)
def test_servers_find_the_hub_where_the_site_says(tmp_path, said, reach):
    text = MINIMAL.replace("{file: /run/secrets/hub_api_token}", "{env: TOKEN}\n  hub_connect_url: " + said)
    (tmp_path / "site.yaml").write_text(text)
    traits = separate_proxy(load(tmp_path / "site.yaml").site, {"XNATHUB_PROXY": "proxy", "TOKEN": TOKEN})
    assert traits["Spawner.hub_connect_url"] == reach
