"""`validate` says yes exactly when the hub starts, secrets given: its verdict beside that of a JupyterHub really set up."""

import json
import subprocess

import pytest
from hypothesis import given

from tests.fuzz.bounds import fuzz
from tests.fuzz.hub_oracle import HubOracle
from tests.fuzz.strategies import ENVIRONMENT, LEAVES, changed, sites, small_site
from tests.support import XNATHUB, RunningHub, new_standin
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError


@pytest.fixture(scope="module")
def oracle():
    oracle = HubOracle(ENVIRONMENT)
    yield oracle
    oracle.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("site")


def check_verdict(data, oracle, folder) -> bool:
    """Fail where `validate` and the hub are not of one mind. Gives the verdict."""
    file = folder / "site.yaml"
    file.write_bytes(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    try:
        load(file, environment=ENVIRONMENT)
    except SiteError:
        assert "xnathub_conf.site.problems.SiteError: " in oracle.ask(folder)
        return False
    assert oracle.ask(folder) == "starts"
    return True


@fuzz(40)
@given(sites())
def test_values_that_fit_the_schema(oracle, folder, data):
    check_verdict(data, oracle, folder)


@pytest.mark.parametrize("orchestrator", kinds())
def test_the_small_site_of_each_orchestrator(oracle, folder, orchestrator):
    assert check_verdict(small_site(orchestrator), oracle, folder)


_CHOICES = [
    (path, value)
    for path, node in LEAVES
    if "tls" not in path  # whose other keys name files
    for value in (node.get("enum") or ([True, False] if node.get("type") == "boolean" else []))
]
_NEEDS = {
    ("servers", "security", "read_only_root"): [(("servers", "security", "start_as_root"), False)],
    ("hub", "user_subdomains"): [
        (("hub", "public_url"), "https://jupyter.example.org/jupyterhub/"),
        (("sign_in", "xnat_session"), False),
    ],
    ("servers", "internet"): [(("orchestrator", "swarm", "server_networks"), 2)],
}
"""Keys that want another one besides."""
_NOT_ON_SWARM = {("servers", "security", "user_namespaces"): "docker"}
"""Keys of all sites that a swarm has no use for, and where they have."""


def test_every_value_of_every_key_that_has_only_a_few(oracle, folder):
    assert len(_CHOICES) > 20
    for path, value in _CHOICES:
        site = small_site(path[1] if path[0] == "orchestrator" else _NOT_ON_SWARM.get(path, "swarm"))
        assert check_verdict(changed(site, [(path, value), *_NEEDS.get(path, [])]), oracle, folder), (
            path,
            value,
        )


_OF_THE_HOST = [
    ("Authenticator.enable_auth_state", True), ("ConfigurableHTTPProxy.should_start", False),
    ("Authenticator.blocked_users", [""]), ("JupyterHub.db_kwargs", {"pool_size": 5}), ("JupyterHub.extra_user_scopes", ["custom:a:b!user"]),
]  # fmt: skip


def test_raw_settings_with_a_condition(oracle, folder):
    """What a later step of JupyterHub refuses, found by the test above in longer runs."""
    verdicts = [
        check_verdict(changed(small_site("local"), [(("extra", trait), value)]), oracle, folder)
        for trait, value in _OF_THE_HOST
    ]
    assert verdicts == [False] * len(_OF_THE_HOST)
    # The small site's database is in memory, which has no pool.
    pool = [
        (("hub", "db_url"), "sqlite:///hub.sqlite"),
        (("extra", "JupyterHub.db_kwargs"), {"pool_size": 5}),
    ]
    assert check_verdict(changed(small_site("local"), pool), oracle, folder)
    scopes = {
        "custom:a:b": {"description": "x", "subscopes": ["custom:a:c"]},
        "custom:a:c": {"description": "y"},
    }
    extra = {"JupyterHub.custom_scopes": scopes, "JupyterHub.extra_user_scopes": ["custom:a:b!user"]}
    assert check_verdict(changed(small_site("local"), [(("extra",), extra)]), oracle, folder)


def test_real_hubs_start_and_those_of_invalid_sites_say_what_validate_says(tmp_path):
    with new_standin() as xnat:
        hub = RunningHub(
            tmp_path,
            xnat,
            {
                "logging": {"level": "WARNING"},
                "hub": {
                    "api_scopes": [
                        "admin:servers",
                        "admin:users",
                        "read:hub",
                        "tokens",
                        "read:users!user=alice",
                    ]
                },
                "extra": {
                    "JupyterHub.db_kwargs": {"pool_size": 3, "pool_pre_ping": True},
                    "JupyterHub.load_groups": {"readers": ["alice"]},
                    "Authenticator.blocked_users": ["mallory"],
                    "SimpleLocalProcessSpawner.env_keep": ["LANG"],
                },
            },
        )
        hub.start()
        assert hub.api("GET", "/users").status_code == 200
        hub.stop()
        text = hub.site_file.read_text()
        for good, bad in (
            ("level: WARNING", "level: LOUD"),
            ("pool_size: 3", "pool_size: three"),
            ("- mallory", "- [mallory]"),
        ):
            assert good in text
            hub.site_file.write_text(text.replace(good, bad))
            said = [
                subprocess.run(
                    [XNATHUB, *command, hub.site_file], capture_output=True, text=True, cwd=tmp_path
                )
                for command in (["validate", "--secrets"], ["run"])
            ]
            assert [done.returncode for done in said] == [1, 1]
            problem = said[0].stdout.splitlines()[0]
            assert problem in said[1].stderr.splitlines()
