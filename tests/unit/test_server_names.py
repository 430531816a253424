"""What may be a server's name, and what happens where JupyterHub keeps its own rule elsewhere."""

import pytest
from jupyterhub import slugs, user
from jupyterhub.handlers import base

from xnathub_conf.web.server_names import RuleMissing, can_be_server_name, take_xnat_server_names


@pytest.fixture(autouse=True)
def jupyterhub_s_own(monkeypatch):
    for name in ("app", "handlers.base", "handlers.pages", "user"):
        monkeypatch.setattr(f"jupyterhub.{name}.is_valid_safe_slug", slugs.is_valid_safe_slug)


def test_the_rule_is_put_in_place_and_again():
    take_xnat_server_names()
    take_xnat_server_names()
    assert user.is_valid_safe_slug is base.is_valid_safe_slug is can_be_server_name


@pytest.mark.parametrize(
    "gone",
    [
        "jupyterhub.slugs.is_valid_safe_slug",
        "jupyterhub.user.is_valid_safe_slug",
        "jupyterhub.handlers.base.BaseHandler._check_named_server_request",
    ],
)
def test_a_jupyterhub_without_the_private_name_is_refused(monkeypatch, gone):
    monkeypatch.delattr(gone)
    with pytest.raises(RuleMissing, match="XNAT's pages could start no server"):
        take_xnat_server_names()


def test_a_jupyterhub_with_another_rule_is_refused(monkeypatch):
    monkeypatch.setattr("jupyterhub.app.is_valid_safe_slug", str.islower)
    with pytest.raises(RuleMissing):
        take_xnat_server_names()


@pytest.mark.parametrize("name", ["20260728T120000123Z", "scan-7", "A", "a.b", "_x", "0~1"])
def test_names_of_xnat(name):
    assert can_be_server_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/..", "a\\b", "a%2e", "a b", "a\n", "\n", "\x7f", "é", "a?", "a#", "a=b", "a" * 129],
)
def test_names_that_could_lead_elsewhere(name):
    assert not can_be_server_name(name)
