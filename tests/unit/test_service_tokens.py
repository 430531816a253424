"""Tokens of the site's own services are checked, kept apart and taken along as the hub's own are."""

import pytest
import yaml

from tests.unit.helpers import MINIMAL
from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError, dotted
from xnathub_conf.site.schema import secrets_in

GOOD, OTHER = "0123456789abcdef" * 4, "fedcba9876543210" * 4


def site(tmp_path):
    data = yaml.safe_load(MINIMAL)
    data["xnat"]["service_account"]["password"] = {"env": "PASSWORD"}
    data["hub"]["api_token"] = {"env": "XNAT"}
    data["hub"]["services"] = [
        {"name": name, "api_token": {"env": name.upper()}, "scopes": ["list:users"]}
        for name in ("board", "export")
    ]
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def test_they_are_among_the_sites_secrets(tmp_path):
    found = {dotted(path): secret.where for path, secret in secrets_in(load(site(tmp_path)).site)}
    assert found["hub.services[0].api_token"] == "BOARD"
    assert found["hub.services[1].api_token"] == "EXPORT"


@pytest.mark.parametrize(
    ("export", "said"),
    [("letmein", "7 characters"), (GOOD, "Another service has the same token"), (OTHER, None)],
)
def test_weak_and_equal_ones_are_told(tmp_path, export, said):
    environment = {"PASSWORD": "x", "XNAT": "0f1e2d3c4b5a6978" * 4, "BOARD": GOOD, "EXPORT": export}
    if said is None:
        assert load(site(tmp_path), environment=environment)
        return
    with pytest.raises(SiteError) as told:
        load(site(tmp_path), environment=environment)
    (problem,) = told.value.problems
    assert dotted(problem.path) == "hub.services[1].api_token"
    assert said in problem.message
    assert export not in str(problem)
