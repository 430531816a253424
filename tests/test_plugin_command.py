"""`xnathub plugin --xnat`, asking the stand-in XNAT what its plugin is set to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support import new_standin
from xnathub_conf.cli import main
from xnathub_conf.standin.faults import LoginPage

TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def xnat():
    with new_standin() as xnat:
        yield xnat


@pytest.fixture
def site_file(xnat, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "password").write_text(xnat.state.user("jupyterhub").password)
    public = f"{xnat.url}/jupyterhub/"
    xnat.state.preferences = {"jupyterHubApiUrl": f"{public}hub/api", "jupyterHubToken": TOKEN}
    site = {
        "version": 1,
        "xnat": {"url": xnat.url, "service_account": {"password": {"file": f"{tmp_path}/password"}}},
        "hub": {"api_token": {"file": f"{tmp_path}/token"}, "public_url": public},
        "servers": {"allowed_images": ["xnat/*"]},
        "orchestrator": {"swarm": {}},
    }
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    return str(tmp_path / "site.yaml")


def found(site_file, capsys):
    code = main(["plugin", site_file, "--xnat", "--json"])
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    names = [each["preference"] for each in json.loads(out)["contradictions"]]
    assert code == bool(names)
    return names


def test_xnat_is_asked_as_the_service_account_which_leaves_no_session(xnat, site_file, capsys):
    assert found(site_file, capsys) == []
    assert [(each.method, each.path) for each in xnat.requests.find()] == [
        ("GET", "/xapi/jupyterhub/preferences"),
        ("DELETE", "/data/JSESSION"),
    ]
    assert xnat.state.sessions("jupyterhub") == []


@pytest.mark.parametrize(
    ("address", "public", "said"),
    [
        ("https://xnat.example.org", "https://jupyter.example.org/jupyterhub/", "to xnat.example.org alone"),
        ("https://example.org/xnat", "https://example.org/jupyterhub/", "below /xnat/ alone"),
    ],
)
def test_a_session_that_never_comes_is_warned_of(site_file, capsys, address, public, said):
    assert main(["plugin", site_file]) == 0
    assert capsys.readouterr().err == ""
    file = Path(site_file)
    site = yaml.safe_load(file.read_text())
    site["xnat"]["url"], site["hub"]["public_url"] = address, public
    file.write_text(yaml.safe_dump(site))
    assert main(["plugin", site_file]) == 0
    assert said in capsys.readouterr().err


def test_what_contradicts_the_site_is_found(xnat, site_file, capsys):
    xnat.state.preferences = {
        **xnat.state.preferences,
        "startTimeout": 30,
        "jupyterHubToken": "secret-token",
        "workspacePath": "/elsewhere",
    }
    assert found(site_file, capsys) == ["startTimeout", "workspacePath", "jupyterHubToken"]


def test_without_its_role_the_account_is_not_told_the_token(xnat, site_file, capsys):
    xnat.state.set_roles("jupyterhub", [])
    xnat.state.preferences = {**xnat.state.preferences, "jupyterHubToken": "another"}
    assert found(site_file, capsys) == []


def test_a_refused_password_is_tried_once(xnat, site_file, capsys):
    xnat.state.set_password("jupyterhub", "changed")
    assert main(["plugin", site_file, "--xnat"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Correct xnat.service_account.password" in err
    assert xnat.state.user("jupyterhub").failures == 1


def test_a_login_page_in_the_way_is_told(xnat, site_file, capsys):
    xnat.faults.set("/xapi/jupyterhub", LoginPage())
    assert main(["plugin", site_file, "--xnat"]) == 2
    assert "xnat.url" in capsys.readouterr().err
