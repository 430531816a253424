"""The ways of ways.js behind each other web server of the shipped files and behind none: one hub, one attacker's server, one browser."""

import pytest
from playwright.sync_api import expect

from tests.browser import test_attack
from tests.browser.conftest import go
from tests.browser.test_attack import (
    ATTACKER,
    COLLEAGUE,
    REACHED_BY_THE_OWNER,
    attacked,
    behind,
    told_whose_it_is,
    try_all,
    ways_of,
)
from tests.noting import cookies_in

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
    page = signed_in(ATTACKER)
    go(page, site.grab)
    expect(page.locator("body")).to_have_text("GRABBED")
    seen = try_all(page, site, f"{site.web}/jupyterhub/hub/health")
    noted = site.noted()
    assert len(ways_of(noted)) >= REACHED_BY_THE_OWNER, (sorted(ways_of(noted)), seen)
    assert sum("GRABBED" in each for each in seen.values()) >= 20, seen
    assert {cookie for request in noted for cookie in cookies_in(request)} <= {"seen=1"}


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
