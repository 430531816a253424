"""Logins of registries in both forms."""

from __future__ import annotations

import re

import pytest

from xnathub_conf.values.registry_logins import RegistryLogin, parse_registry_logins

ALICE = RegistryLogin("registry.example.org:5000", "alice", "a:b c")


@pytest.mark.parametrize(
    "text",
    [
        "registry.example.org:5000 alice a:b c",
        "\nRegistry.example.org:5000   alice  a:b c \n\n",
        '{"auths": {"https://registry.example.org:5000/v2/": {"auth": "YWxpY2U6YTpiIGM="}}}',
        '{"auths": {"registry.example.org:5000": {"username": "alice", "password": "a:b c", "auth": "x"}}}',
    ],
)
def test_one_login_in_each_form(text):
    assert parse_registry_logins(text) == (ALICE,)


def test_docker_hub_has_one_name():
    for name in ("docker.io", "https://index.docker.io/v1/"):
        (login,) = parse_registry_logins(f"{name} alice secret")
        assert login.registry == "docker.io"
        assert login.auth_config()["serveraddress"] == "https://index.docker.io/v1/"


def test_a_token_stands_for_user_and_password():
    (login,) = parse_registry_logins('{"auths": {"a.example.org": {"auth": "", "identitytoken": "t0k"}}}')
    assert login.auth_config() == {"identitytoken": "t0k", "serveraddress": "a.example.org"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  \n", "It holds no login."),
        ('{"auths": {}}', "It holds no login."),
        ("a.example.org alice hunter2\na.example.org bob hunter2", "two logins for a.example.org"),
        ("a.example.org alice", "Its line 1 is no"),
        ("alice hunter2 hunter2", "Its line 1 is no"),
        ("{hunter2", "is none"),
        ('{"auths": ["hunter2"]}', "is none"),
        ('{"auths": {"a.example.org": "hunter2"}}', "is none"),
        ("https://[ alice hunter2", "Its line 1 is no"),
        ("https://alice:hunter2@a.example.org alice hunter2", "Its line 1 is no"),
        ("\ufeffa.example.org alice hunter2", "Its line 1 is no"),
        ('{"auths": {"": {"auth": "YTpi"}}}', "for no registry"),
        ('{"auths": {"a hunter2": {"auth": "YTpi"}}}', "for no registry"),
        ('{"auths": {"https://[": {"auth": "YTpi"}}}', "for no registry"),
        ('{"auths": {"a.example.org": {}}, "credsStore": "desktop"}', "Its credsStore names a program"),
        ('{"auths": {"a.example.org": {"auth": "hunter2!"}}}', "Its entry for a.example.org holds neither"),
    ],
)
def test_what_is_no_login_is_told_without_the_secret(text, said):
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        parse_registry_logins(text)
    assert "hunter2" not in str(caught.value)
