"""The ways of ways.js behind each other web server of the shipped files and behind none: one hub, one attacker's server, one browser."""

import pytest

from tests.browser import test_attack
from tests.browser.conftest import go
from tests.browser.test_attack import (
    ATTACKER,
    COLLEAGUE,
    attacked,
    behind,
    told_whose_it_is,
    try_all,
    ways_reach_their_owner,
)

browser, elsewhere, signed_in = test_attack.browser, test_attack.elsewhere, test_attack.signed_in


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with attacked(tmp_path_factory.mktemp("attack")) as hub:
        yield hub


@pytest.fixture(scope="module", params=["haproxy", "caddy", "traefik", None], ids=str)
def site(hub, request):
    with behind(request.param, hub) as site:
        yield site


def test_the_ways_reach_their_owner_s_server_and_bring_no_foreign_cookie(site, signed_in):
    ways_reach_their_owner(signed_in(ATTACKER), site)


def test_no_way_reaches_it_from_a_colleague_s_browser(site, signed_in, elsewhere):
    page = signed_in(COLLEAGUE)
    for base in (f"{site.web}/jupyterhub/hub/health", elsewhere):
        seen = try_all(page, site, base)
        assert len(seen) >= 75
        assert not [way for way, text in seen.items() if "GRABBED" in text]
        assert site.noted() == []
    go(page, site.grab)
    told_whose_it_is(page)
    assert site.noted() == []
