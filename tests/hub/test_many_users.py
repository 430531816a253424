"""XNAT's plugin asks for all users at once, and takes a user that it does not see for one without servers."""

import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support import SMALL_SERVER, RunningHub, new_standin

MANY = 10_000
NAME = "20260728T120000123Z"
DAY = "2026-07-28 12:00:00.000000"


def fill(database):
    """Put users into a hub's database, as many as a large XNAT has."""
    (role,) = database.execute("SELECT id FROM roles WHERE name = 'user'").fetchone()
    numbers = range(1, MANY + 1)
    rows = [(number, f"user{number:05}", f"cookie{number}", DAY) for number in numbers]
    database.executemany(
        "INSERT INTO users (id, name, admin, cookie_id, created) VALUES (?, ?, 0, ?, ?)", rows
    )
    database.executemany(
        "INSERT INTO user_role_map (user_id, role_id, managed_by_auth) VALUES (?, ?, 0)",
        [(number, role) for number in numbers],
    )


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A hub with many users, of whom alice, the last, has a server."""
    with new_standin() as xnat:
        xnat.state.environment = SMALL_SERVER
        hub = RunningHub(tmp_path_factory.mktemp("crowded"), xnat).start()
        hub.stop()
        with contextlib.closing(sqlite3.connect(hub.folder / "jupyterhub.sqlite")) as database, database:
            fill(database)
        hub.start()
        hub.plugin.ensure_user("alice")
        hub.plugin.start("alice", xnat.state.launch("alice", "P1", NAME))
        hub.plugin.wait_ready("alice", NAME)
        yield hub
        hub.stop()


def test_all_users_come_in_one_answer_soon_and_hold_up_nobody(crowded):
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        asked = pool.submit(crowded.plugin.users)
        waits = []
        while not asked.done():
            at = time.monotonic()
            assert requests.get(f"{crowded.url}/hub/health", timeout=20).ok
            waits.append(time.monotonic() - at)
            time.sleep(0.02)
        seconds = time.monotonic() - began
    users = asked.result()
    print(f"{len(users):,} users in {seconds:.2f} s; others waited at most {max(waits):.2f} s")
    assert len({user["name"] for user in users}) == len(users) == MANY + 1
    assert users[-1]["servers"][NAME]["user_options"]["eventTrackingId"]
    # Others were answered meanwhile, again and again.
    assert len(waits) > 2


def test_everyone_looks_as_by_themselves(crowded):
    users = {user["name"]: user for user in crowded.plugin.users()}
    for name in ("user00001", f"user{MANY}", "alice"):
        assert users[name] == crowded.plugin.user(name)


def test_who_asks_for_a_page_gets_one(crowded):
    page = crowded.api("GET", "/users", params={"limit": 3, "offset": 2}).json()
    assert [user["name"] for user in page] == ["user00003", "user00004", "user00005"]
    active = crowded.api("GET", "/users", params={"state": "active"}).json()
    assert [user["name"] for user in active] == ["alice"]
