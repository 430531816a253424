"""What XNAT's plugin is to be told, and what it was told that contradicts the site."""

from __future__ import annotations

import io
import json

import pytest

from tests.unit.helpers import EXAMPLE, loaded, site_of, site_text
from xnathub_conf.cli import main
from xnathub_conf.xnat.plugin_settings import contradictions, plugin_settings, preferences_of

SITE = {"hub__public_url": "https://xnat.example.org/jupyterhub/"}
RIGHT = {
    "jupyterHubHostUrl": "https://xnat.example.org",
    "jupyterHubApiUrl": "https://xnat.example.org/jupyterhub/hub/api",
    "jupyterHubToken": "t" * 32,
    "startTimeout": 180,
    "stopTimeout": 60,
    "pathTranslationArchivePrefix": "",
    "pathTranslationArchiveDockerPrefix": None,
    "workspacePath": "/data/xnat/workspaces",
    "allUsersCanStartJupyter": False,
    "inactivityTimeout": 120,
}
RULES = {"paths__archive": [{"from": "/data/xnat/archive", "to": "/mnt/archive"}]}
ALLOWED = [{"path": "/mnt/archive"}, {"path": "/data/xnat/workspaces/users/{username}", "writable": True}]


@pytest.mark.parametrize(
    ("changes", "host", "api"),
    [
        (SITE, "https://xnat.example.org", "https://xnat.example.org/jupyterhub/hub/api"),
        (
            {"hub__public_url": "https://hub.example.org:8443/", "hub__base_url": "/"},
            "https://hub.example.org:8443",
            "https://hub.example.org:8443/hub/api",
        ),
        ({}, "https://xnat.example.org", "https://xnat.example.org/jupyterhub/hub/api"),
        (
            {"xnat__url": "http://xnat-web:8080", "xnat__public_url": "https://x.org/xnat"},
            "https://x.org",
            "https://x.org/jupyterhub/hub/api",
        ),
    ],
)
def test_the_addresses_to_enter(changes, host, api):
    values = {each.preference: each.value for each in plugin_settings(site_of(**changes))}
    assert values["jupyterHubHostUrl"] == host
    assert values["jupyterHubApiUrl"] == api


@pytest.mark.parametrize("changes", [SITE, {}, {**SITE, **RULES, "servers__allowed_mounts": ALLOWED}])
def test_what_is_to_be_entered_contradicts_nothing(changes):
    site = site_of(**changes)
    entered = {each.preference: each.value for each in plugin_settings(site)}
    assert contradictions(site, {**RIGHT, **entered}) == []
    variables = {name: each.value for each in plugin_settings(site) for name in each.variables}
    assert contradictions(site, preferences_of(variables)) == []


def test_a_dot_at_the_end_of_a_host_name_leads_nowhere_else():
    site = site_of(**SITE)
    for url in ("https://xnat.example.org.", "https://xnat.example.org.:443"):
        assert not contradictions(site, {**RIGHT, "jupyterHubHostUrl": url}), url


@pytest.mark.parametrize(
    ("changes", "now", "preference", "said", "fix"),
    [
        ({}, {"jupyterHubApiUrl": "http://172.17.0.1/jupyterhub/hub"}, "jupyterHubApiUrl", "end in /jupyterhub/hub/api", "https://xnat.example.org/jupyterhub/hub/api"),
        ({}, {"jupyterHubApiUrl": "http://172.17.0.1/jupyterhub/hub/api/"}, "jupyterHubApiUrl", "end in /jupyterhub/hub/api", "Enter"),
        ({}, {"jupyterHubApiUrl": "http://172.17.0.1/hub/api"}, "jupyterHubApiUrl", "end in", "Enter"),
        ({}, {"jupyterHubApiUrl": "172.17.0.1/jupyterhub/hub/api"}, "jupyterHubApiUrl", "end in", "Enter"),
        ({}, {"jupyterHubHostUrl": "https://other.example.org"}, "jupyterHubHostUrl", "hub.public_url", "Enter https://xnat.example.org in XNAT"),
        ({}, {"jupyterHubHostUrl": "http://xnat.example.org"}, "jupyterHubHostUrl", "leads elsewhere", "Enter"),
        ({}, {"jupyterHubHostUrl": "https://xnat.example.org/jupyterhub/"}, "jupyterHubHostUrl", "adds /jupyterhub/ again", "Enter https://xnat.example.org."),
        ({}, {"startTimeout": "90"}, "startTimeout", "after 90 s, but servers.start_timeout and http_timeout let a start take 120 + 60 s", "Enter 180"),
        ({}, {"startTimeout": "soon"}, "startTimeout", "no number", "Enter 180"),
        ({}, {"startTimeout": 300}, "startTimeout", "xnat.start_timeout says 180", "300 in site.yaml"),
        ({}, {"stopTimeout": 5}, "stopTimeout", "servers.stop_timeout lets a stop take 10 s", "Enter 60"),
        (RULES, {"pathTranslationArchivePrefix": "/data/xnat/archive", "pathTranslationArchiveDockerPrefix": "/docker/archive"}, "pathTranslationArchivePrefix", "translated twice", "Empty both"),
        ({}, {"pathTranslationArchivePrefix": "/data/xnat/archive"}, "pathTranslationArchivePrefix", "only one", "Empty both"),
        ({}, {"pathTranslationArchivePrefix": "/data/xnat/archive", "pathTranslationArchiveDockerPrefix": "/docker/archive"}, "pathTranslationArchiveDockerPrefix", "under no allowed mount", "paths.archive"),
        ({}, {"pathTranslationArchivePrefix": "/data/xnat/archive", "pathTranslationArchiveDockerPrefix": "."}, "pathTranslationArchiveDockerPrefix", "not absolute", "Empty both"),
        ({}, {"pathTranslationWorkspacePrefix": "/data", "pathTranslationWorkspaceDockerPrefix": "/docker"}, "workspacePath", "/docker/xnat/workspaces/users/{username}", "paths.workspaces"),
        ({}, {"workspacePath": "/home/xnat"}, "workspacePath", "/home/xnat/users/{username}", "servers.allowed_mounts"),
        ({"servers__allowed_mounts": [{"path": "/data/xnat/archive"}, {"path": "/data/xnat/workspaces/users/{username}"}]}, {}, "workspacePath", "read-only alone", "servers.allowed_mounts"),
        ({"sign_in__everyone": "never"}, {"allUsersCanStartJupyter": True}, "allUsersCanStartJupyter", "only those with the role Jupyter", "sign_in.everyone"),
        ({}, {"jupyterHubToken": "x" * 32}, "jupyterHubToken", "another token", "{file: /run/secrets/hub_api_token}"),
    ],
)  # fmt: skip
def test_each_contradiction_says_what_to_do(changes, now, preference, said, fix):
    allowed = {"servers__allowed_mounts": ALLOWED} if RULES.keys() & changes.keys() else {}
    site = site_of(**{**SITE, **allowed, **changes})
    assert not contradictions(site, {**RIGHT, "workspacePath": None}, "t" * 32)
    (found,) = contradictions(site, {**RIGHT, **now}, "t" * 32)
    assert found.preference == preference
    assert said in found.text
    assert fix in found.fix
    assert "tttt" not in found.text + found.fix
    assert "xxxx" not in found.text + found.fix


@pytest.mark.parametrize(
    "now",
    [
        {"jupyterHubApiUrl": "http://172.17.0.1:8000/jupyterhub/hub/api"},
        {"jupyterHubHostUrl": "https://XNAT.example.org:443/"},
        {"pathTranslationArchivePrefix": "/data/xnat/archive", "pathTranslationArchiveDockerPrefix": "/data/xnat/archive"},
        {"pathTranslationArchivePrefix": "/archive", "pathTranslationArchiveDockerPrefix": "/data/xnat/archive"},
        {"pathTranslationWorkspacePrefix": "/w", "pathTranslationWorkspaceDockerPrefix": "/data/xnat/workspaces", "workspacePath": "/w"},
        {"allUsersCanStartJupyter": True},
    ],
)  # fmt: skip
def test_what_is_as_good_as_what_is_to_be_entered(now):
    assert contradictions(site_of(**SITE), {**RIGHT, **now}, "t" * 32) == []


def test_of_two_variables_the_server_s_wins_and_a_blank_one_is_nothing():
    variables = {
        "JH_XNAT_PT_ARCHIVE_DOCKER_PREFIX": "/docker",
        "JH_XNAT_PT_ARCHIVE_SERVER_PREFIX": "/server",
        "JH_XNAT_START_TIMEOUT": " ",
        "JH_XNAT_STOP_TIMEOUT": " 30 ",
        "PATH": "/bin",
    }
    assert preferences_of(variables) == {
        "pathTranslationArchiveDockerPrefix": "/server",
        "stopTimeout": "30",
    }


# ---- the command


@pytest.fixture
def site_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("s3cr3t-of-hub" * 4)
    (tmp_path / "site.yaml").write_text(site_text(**SITE, hub__api_token={"file": str(tmp_path / "token")}))
    return tmp_path / "site.yaml"


def test_the_table_names_all_and_no_secret(site_file, capsys):
    assert main(["plugin"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for each in plugin_settings(loaded(site_file.read_text()).site):
        assert each.label in out
        assert each.value in out
    assert f"what is in {{file: {site_file.parent}/token}}" in out
    assert "s3cr3t" not in out


@pytest.mark.parametrize(
    ("changes", "safer", "safest"),
    [
        ({}, True, False),
        ({"hub__public_url": "https://jupyter.example.org/jupyterhub/"}, False, True),
        (
            {"hub__public_url": "https://jupyter.example.org/jupyterhub/", "hub__user_subdomains": True},
            False,
            False,
        ),
    ],
    ids=["XNAT's host", "own host", "a host for each user"],
)
def test_host_names_apart_are_recommended(site_file, capsys, changes, safer, safest):
    site_file.write_text(site_text(**{**SITE, **changes}))
    assert main(["plugin"]) == 0
    out = capsys.readouterr().out
    assert ("One of its own for the hub is safer: see own-host.md." in out) == safer
    assert ("is safer still (hub.user_subdomains): see own-host.md." in out) == safest


def test_the_variables_are_those_that_agree(site_file, capsys, monkeypatch):
    assert main(["plugin", "--format", "env"]) == 0
    out = capsys.readouterr().out
    assert "JH_XNAT_JUPYTERHUB_HOST_URL=https://xnat.example.org\n" in out
    assert "JH_XNAT_START_TIMEOUT=180\n" in out
    assert "s3cr3t" not in out
    assert not [line for line in out.splitlines() if line.startswith(("JH_XNAT_PT", "JH_XNAT_SERVICE_TOKEN"))]
    monkeypatch.setattr("sys.stdin", io.StringIO(out))
    assert main(["plugin", "--current", "-"]) == 0
    assert "agrees" in capsys.readouterr().out


def test_current_variables_are_read_as_a_shell_does(site_file, capsys):
    (site_file.parent / "env").write_text(
        "# XNAT\n\nexport JH_XNAT_START_TIMEOUT='90' # short\nJH_XNAT_SERVICE_TOKEN=\"another-s3cr3t\"\nJH_XNAT_STOP_TIMEOUT=it's\n"
    )
    for arguments in ([], ["--json"], ["--format=env"]):
        assert main(["plugin", "--current", "env", *arguments]) == 1
        out, err = capsys.readouterr()
        assert "s3cr3t" not in out + err
        said = err if arguments == ["--format=env"] else out
        for preference in ("startTimeout", "stopTimeout", "jupyterHubToken"):
            assert preference in said
        if arguments == ["--json"]:
            report = json.loads(out)
            assert [each["preference"] for each in report["contradictions"]] == [
                "startTimeout",
                "stopTimeout",
                "jupyterHubToken",
            ]
            assert {"message", "fix", "key", "line"} <= report["contradictions"][0].keys()
            (token,) = (each for each in report["settings"] if each["preference"] == "jupyterHubToken")
            assert (token["value"], token["secret"]) == (None, f"{{file: {site_file.parent}/token}}")
            assert (token["key"], token["line"]) == ("hub.api_token", 8)


def test_without_settings_to_look_at_nothing_is_said_of_them(site_file, capsys):
    assert main(["plugin", "--json"]) == 0
    assert "contradictions" not in json.loads(capsys.readouterr().out)


def test_what_can_not_be_read_is_said(site_file, capsys):
    (site_file.parent / "binary").write_bytes(b"\xff")
    for name in ("none", ".", "binary"):
        assert main(["plugin", "--current", name]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert f"{name} can't be read: " in err
    assert main(["plugin", "none.yaml"]) == 1
    assert main(["plugin", str(EXAMPLE), "--xnat"]) == 2
    assert "/run/secrets/xnat_password can't be read" in capsys.readouterr().err
