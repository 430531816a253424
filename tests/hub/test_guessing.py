"""Guessed passwords end at the hub before XNAT locks the account, and keep nobody else out."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support import RunningHub, Visitor, new_standin, page_text
from xnathub_conf.standin import faults

PER_USER, PER_ADDRESS = 3, 6


@pytest.fixture(scope="module")
def own_xnat():
    with new_standin() as xnat:
        yield xnat


@pytest.fixture(scope="module")
def strict(own_xnat, tmp_path_factory):
    """A hub behind one more proxy, which the tests stand in for with X-Forwarded-For."""
    changes = {
        "hub": {"reverse_proxies": 1},
        "sign_in": {"failures_per_user": PER_USER, "failures_per_address": PER_ADDRESS},
    }
    hub = RunningHub(tmp_path_factory.mktemp("strict"), own_xnat, changes).start()
    yield hub
    hub.stop()


@pytest.fixture
def person(own_xnat):
    own_xnat.requests.clear()
    name = f"person{len(own_xnat.state.users())}"
    own_xnat.state.add_user(name, roles=["Jupyter"], projects=["P1"])
    return own_xnat.state.user(name)


_addresses = iter(f"198.51.100.{number}" for number in range(1, 255))


@pytest.fixture
def address():
    return next(_addresses)


def browser(hub, address, **headers):
    visitor = Visitor(hub.url)
    visitor.headers.update({"X-Forwarded-For": address, **headers})
    return visitor


def wrong(hub, person, address, times=1, **headers):
    return [
        browser(hub, address, **headers).sign_in(person.name, f"wrong password {n}").status_code
        for n in range(times)
    ]


def asked(xnat):
    # The hub itself asks now and then whether XNAT is there.
    return sum(each.who != "jupyterhub" for each in xnat.requests.find("/xapi/users/username"))


def test_guesses_at_one_name_end_before_xnat_locks_it(strict, person, address):
    xnat = strict.xnat
    assert wrong(strict, person, address, PER_USER) == [403] * PER_USER
    position = len(strict.log_since(0))
    for each in (address, "203.0.113.99"):
        answer = browser(strict, each).sign_in(person.name, person.password)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 900
        assert "Too many wrong passwords for this user name. Try again in 15 minutes" in page_text(answer)
    assert asked(xnat) == PER_USER
    assert person.failures == PER_USER < xnat.state.lockout_after
    log = strict.log_since(position)
    assert log.count("Too many wrong passwords for this user name") == 2, "one line for each try"
    assert "Traceback" not in log
    assert f"'{person.name}' from {address}" in log


def test_names_that_look_the_same_are_one(strict, person, address):
    names = [person.name.upper(), person.name.title(), "\uff50" + person.name[1:]]
    for name in names:
        assert browser(strict, address).sign_in(name, "wrong password").status_code == 403
    assert browser(strict, address).sign_in(person.name, person.password).status_code == 429


def test_a_browser_that_was_signed_in_before_gets_in_all_the_same(strict, person, address):
    known = browser(strict, address)
    assert known.sign_in(person.name, person.password).status_code == 302
    known.get_page("/hub/logout", headers={"Sec-Fetch-Site": "same-origin"})
    wrong(strict, person, "203.0.113.1", PER_USER)
    assert browser(strict, address).sign_in(person.name, person.password).status_code == 429
    assert known.sign_in(person.name, person.password).status_code == 302


def test_a_session_in_xnat_gets_in_all_the_same(strict, person, address):
    wrong(strict, person, "203.0.113.2", PER_USER)
    visitor = browser(strict, address)
    opened = requests.get(
        f"{strict.xnat.url}/xapi/users/username", auth=(person.name, person.password), timeout=10
    )
    visitor.cookies.set("JSESSIONID", opened.cookies["JSESSIONID"], path="/")
    assert visitor.get_page("/hub/login", allow_redirects=False).status_code == 302


def test_the_cookie_of_a_known_browser_helps_with_no_other_name(strict, person, address):
    known = browser(strict, address)
    known.sign_in(person.name, person.password)
    known.get_page("/hub/logout", headers={"Sec-Fetch-Site": "same-origin"})
    codes = [known.sign_in("alice", f"wrong {n}").status_code for n in range(PER_USER + 1)]
    assert codes == [403] * PER_USER + [429]
    forged = browser(strict, address)
    forged.cookies.set("xnathub-browser", "2|1:0|10:1|15:xnathub-browser|4:YWxpY2U=|" + "0" * 64, path="/")
    assert forged.sign_in("alice", "wrong").status_code == 429


def test_a_known_browser_has_its_own_limit(strict, person, address):
    known = browser(strict, address)
    known.sign_in(person.name, person.password)
    known.get_page("/hub/logout", headers={"Sec-Fetch-Site": "same-origin"})
    codes = [known.sign_in(person.name, f"wrong {n}").status_code for n in range(PER_USER + 1)]
    assert codes == [403] * PER_USER + [429]


def test_guesses_from_one_address_end_whatever_the_names(strict, person, address):
    for number in range(PER_ADDRESS):
        assert browser(strict, address).sign_in(f"nobody-{number}", "wrong").status_code == 403
    answer = browser(strict, address).sign_in(person.name, person.password)
    assert answer.status_code == 429
    assert "Too many wrong passwords for your network address" in page_text(answer)
    assert browser(strict, "203.0.113.3").sign_in(person.name, person.password).status_code == 302


def test_an_address_can_not_be_chosen(strict, person, address):
    for number in range(PER_ADDRESS):
        claims = f"192.0.2.{number}, 192.0.2.{number + 100}, {address}"
        headers = {"X-Real-Ip": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
        assert browser(strict, claims, **headers).sign_in(f"none-{number}", "wrong").status_code == 403
    assert browser(strict, address).sign_in(person.name, person.password).status_code == 429
    # Nor somebody else's, to keep them out.
    assert browser(strict, "192.0.2.0").sign_in(person.name, person.password).status_code == 302


@pytest.mark.parametrize("proof", [None, "", "x" * 43])
def test_past_the_proxy_nobody_guesses(strict, person, address, proof):
    visitor = browser(strict, address)
    visitor.get_page("/hub/login")
    visitor.hub_url, xsrf = f"{strict.hub_bind_url}/jupyterhub", visitor.cookies["_xsrf"]
    if proof is not None:
        visitor.headers["X-Xnathub-Proxy"] = proof
    form = {"username": person.name, "password": person.password, "_xsrf": xsrf}
    answer = visitor.post(
        f"{visitor.hub_url}/hub/login", data=form, headers={"Referer": visitor.hub_url}, timeout=30
    )
    assert answer.status_code == 403
    assert answer.text.startswith("At this port the hub answers calls of its API alone.")
    visitor.hub_url = strict.url
    assert visitor.sign_in(person.name, person.password).status_code == 302


def test_many_guesses_at_one_moment_get_no_further(strict, person, address):
    visitors = [browser(strict, address) for _ in range(12)]
    for visitor in visitors:
        visitor.get_page("/hub/login")
    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(lambda each: each.sign_in(person.name, "wrong").status_code, visitors))
    assert sorted(codes) == [403] * PER_USER + [429] * (12 - PER_USER)
    assert asked(strict.xnat) == PER_USER


@pytest.fixture
def twin(own_xnat, person):
    """The account of somebody who guesses: their name differs in case alone from the one that they are after."""
    own_xnat.state.add_user(person.name.title(), roles=["Jupyter"], projects=["P1"])
    return own_xnat.state.user(person.name.title())


def test_a_browser_known_by_a_name_in_another_case_guesses_no_further(strict, person, twin, address):
    known = browser(strict, address)
    codes = []
    for number in range(3 * PER_USER):
        assert known.sign_in(twin.name, twin.password).status_code == 302
        known.get_page("/hub/logout", headers={"Sec-Fetch-Site": "same-origin"})
        codes.append(known.sign_in(person.name, f"wrong {number}").status_code)
    assert codes == [403] * PER_USER + [429] * (2 * PER_USER)
    assert person.failures == PER_USER


def test_the_right_password_of_a_name_in_another_case_makes_up_for_nothing(strict, person, twin, address):
    wrong(strict, person, address, PER_USER - 1)
    assert browser(strict, address).sign_in(twin.name, twin.password).status_code == 302
    assert wrong(strict, person, next(_addresses), 2) == [403, 429]


def test_many_names_at_one_moment_get_no_further_than_others(strict, address):
    visitors = [browser(strict, address) for _ in range(4 * PER_ADDRESS)]
    for visitor in visitors:
        visitor.get_page("/hub/login")
    strict.xnat.requests.clear()
    strict.xnat.faults.set("/xapi", faults.Delay(1))
    with ThreadPoolExecutor(len(visitors)) as pool:
        each = enumerate(visitors)
        codes = list(pool.map(lambda one: one[1].sign_in(f"nobody-{one[0]}", "wrong").status_code, each))
    strict.xnat.faults.clear()
    assert sorted(codes) == [403] * PER_ADDRESS + [429] * (3 * PER_ADDRESS)
    assert asked(strict.xnat) == PER_ADDRESS


def test_many_people_who_sign_in_at_one_moment_all_get_in(strict, address):
    names = [f"crowd{number}" for number in range(2 * PER_ADDRESS)]
    for name in names:
        strict.xnat.state.add_user(name, "right password", roles=["Jupyter"])
    with ThreadPoolExecutor(len(names)) as pool:
        sign_in = lambda name: browser(strict, address).sign_in(name, "right password").status_code  # noqa: E731
        assert list(pool.map(sign_in, names)) == [302] * len(names)


def test_the_token_api_is_no_way_round(strict, person, address):
    strict.plugin.ensure_user(person.name)

    def guess(password):
        return requests.post(
            f"{strict.url}/hub/api/users/{person.name}/tokens",
            json={"auth": {"username": person.name, "password": password}},
            headers={"X-Forwarded-For": address},
            timeout=30,
        ).status_code

    assert [guess(f"wrong {n}") for n in range(PER_USER)] == [403] * PER_USER
    assert guess(person.password) == 403
    assert asked(strict.xnat) == PER_USER
    assert browser(strict, address).sign_in(person.name, person.password).status_code == 429


def test_the_right_password_makes_up_for_wrong_ones(strict, person, address):
    for _ in range(3):
        wrong(strict, person, next(_addresses), PER_USER - 1)
        assert browser(strict, address).sign_in(person.name, person.password).status_code == 302


def test_xnat_down_counts_for_nothing(strict, person, address):
    strict.xnat.faults.set("/xapi", faults.Status(500))
    codes = [browser(strict, address).sign_in(person.name, person.password).status_code for _ in range(8)]
    strict.xnat.faults.clear()
    assert codes == [503] * 8
    assert browser(strict, address).sign_in(person.name, person.password).status_code == 302


@pytest.mark.parametrize("name", ["a" * 256, "a\nb", "a:b", "\u202ealice", " "])
def test_odd_names_never_reach_xnat(strict, person, address, name):
    assert browser(strict, address).sign_in(name, "wrong").status_code == 403
    assert asked(strict.xnat) == 0


def at_the_sign_in_page(strict, address, session, visitor=None):
    visitor = visitor or browser(strict, address)
    visitor.cookies.set("JSESSIONID", session, path="/")
    return visitor.get_page("/hub/login", allow_redirects=False).status_code


def test_sessions_that_are_made_up_keep_xnat_busy_with_one_at_a_time(strict, person, address):
    xnat, other = strict.xnat, next(_addresses)
    known = browser(strict, address)
    assert known.sign_in(person.name, person.password).status_code == 302
    known.get_page("/hub/logout", headers={"Sec-Fetch-Site": "same-origin"})
    for number in range(PER_ADDRESS):
        assert at_the_sign_in_page(strict, address, f"made-up-{number}") == 200
    xnat.requests.clear()
    xnat.faults.set("/xapi/users/username", faults.Delay(0.4))
    began = time.monotonic()
    with ThreadPoolExecutor(12) as pool:
        made_up = [pool.submit(at_the_sign_in_page, strict, address, f"another-{n}") for n in range(10)]
        time.sleep(0.2)
        # From elsewhere, and in a browser in which somebody signed in before, nobody waits for that.
        real = xnat.state.open_session(person.name).id
        assert at_the_sign_in_page(strict, other, real) == 302
        assert at_the_sign_in_page(strict, address, real, known) == 302
        assert time.monotonic() - began < 3
        assert asked(xnat) < 10
        # A new browser waits for its turn, and comes in.
        assert at_the_sign_in_page(strict, address, real) == 302
        assert [each.result() for each in made_up] == [200] * 10
    xnat.faults.clear()
    assert time.monotonic() - began >= 4


@pytest.mark.parametrize("session", ["a" * 129, "short", "with space 1234", "a" * 15_000])
def test_what_can_be_no_session_is_not_asked_about(strict, person, address, session):
    assert at_the_sign_in_page(strict, address, session) == 200
    assert asked(strict.xnat) == 0
