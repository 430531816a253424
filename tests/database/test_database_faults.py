"""A hub whose database fails: what users read, and that nothing is stuck when the database is back."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support import SMALL_SERVER, RunningHub, Visitor, new_standin, page_text, wait_until
from xnathub_conf.standin import HubError, faults

SENTENCE = "The hub can't use its database right now. Try again in a few minutes; if it lasts, tell your XNAT administrator."


@pytest.fixture
def new_hub(tmp_path):
    """Return a function that starts a hub on a database, with its XNAT."""
    hubs = []

    def make(db_url: str) -> RunningHub:
        xnat = new_standin()
        xnat.start()
        folder = tmp_path / "hub"
        folder.mkdir()
        hubs.append(RunningHub(folder, xnat, {"hub": {"db_url": db_url}}))
        return hubs[0].start()

    yield make
    for hub in hubs:
        hub.stop()
        hub.xnat.stop()


def options(hub, user):
    return hub.xnat.state.launch(user, hub.xnat.state.projects(user)[0].id, "", SMALL_SERVER)


def launch(hub, user):
    hub.plugin.ensure_user(user)
    hub.plugin.start(user, options(hub, user))
    assert hub.plugin.wait_ready(user)["ready"]


def sign_in(hub, user):
    visitor = Visitor(hub.url)
    return visitor, visitor.sign_in(user, hub.xnat.state.user(user).password)


def works(hub, *users):
    for user in users:
        visitor, answer = sign_in(hub, user)
        assert answer.status_code == 302, page_text(answer)
        assert visitor.is_signed_in_as(user)
        launch(hub, user)
        hub.plugin.stop(user)
    assert not hub.server_processes()
    for user in hub.plugin.users():
        assert (user["pending"], user["servers"]) == (None, {})


def test_a_full_disk(small_disk, new_hub):
    hub = new_hub(f"sqlite:///{small_disk.folder}/hub.sqlite")
    launch(hub, "demo")
    hub.plugin.ensure_user("alice")
    visitor, _ = sign_in(hub, "alice")
    position = len(hub.log_since(0))
    small_disk.fill()

    # Someone new: an account has to be written.
    _, answer = sign_in(hub, "Alice")
    assert (answer.status_code, SENTENCE in page_text(answer)) == (500, True), page_text(answer)
    # A start, by XNAT and by the user.
    with pytest.raises(HubError, match="can't use its database"):
        hub.plugin.start("alice", options(hub, "alice"))
    page = visitor.get_page("/hub/spawn")
    assert (page.status_code, SENTENCE in page_text(page)) == (503, True), page_text(page)
    # A stop: the server ends, whatever the hub can keep of it.
    hub.api("DELETE", "/users/demo/server")
    log = hub.log_since(position)
    assert "database or disk is full" in log
    assert "Traceback" not in log, log

    small_disk.free()
    wait_until(lambda: hub.plugin.server("demo") is None, 60, "the stop")
    works(hub, "Alice", "alice", "demo")
    print(log)


def test_the_disk_gets_full_in_the_middle_of_a_start(small_disk, new_hub):
    hub = new_hub(f"sqlite:///{small_disk.folder}/hub.sqlite")
    hub.plugin.ensure_user("alice")
    hub.xnat.faults.set("/xapi/jupyterhub/users", faults.Delay(1))
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(hub.plugin.start, "alice", options(hub, "alice"))
        wait_until(lambda: hub.plugin.server("alice"), 20, "the start")
        small_disk.fill()
        with pytest.raises(HubError, match="can't use its database"):
            going.result()
    hub.xnat.faults.clear()
    small_disk.free()
    wait_until(lambda: hub.plugin.server("alice") is None, 60, "the end of the start")
    wait_until(lambda: not hub.server_processes(), 20, "the server's end")
    works(hub, "alice")


def test_postgresql_restarts_under_load(postgres, new_hub):
    hub = new_hub(postgres.url)
    assert "secret-of-the-database" not in hub.log_since(0)
    launch(hub, "demo")
    names = [f"reader{number}" for number in range(8)]
    for name in names:
        hub.xnat.state.add_user(name, roles=["Jupyter"], projects=["P1"])
    over, failures, done = threading.Event(), [], []

    def go_on(name: str) -> None:
        while not over.is_set():
            try:
                _, answer = sign_in(hub, name)
                if answer.status_code != 302:
                    failures.append(page_text(answer))
                launch(hub, name)
                hub.plugin.stop(name)
                done.append(name)
            except HubError as error:
                failures.append(str(error))
            except (requests.RequestException, AssertionError, TypeError) as error:
                failures.append(repr(error))

    with ThreadPoolExecutor(len(names)) as pool:
        going = [pool.submit(go_on, name) for name in names]
        wait_until(lambda: len(done) >= 4, 60, "the load")
        for _ in range(3):
            postgres.control("restart", "--mode=immediate")
            before = len(done)
            wait_until(lambda: len(done) >= before + 4, 60, "the load after the restart")  # noqa: B023
        over.set()
        for each in going:
            each.result()
    print(f"{len(done)} rounds, {len(failures)} failures: {set(failures)}")
    assert hub.plugin.server("demo")["ready"], "no running server is lost"
    hub.plugin.stop("demo")
    wait_until(
        lambda: not any(user["pending"] for user in hub.plugin.users()), 30, "an end of what is pending"
    )
    for name in names:
        hub.plugin.stop(name)
    works(hub, *names[:3], "demo")
    assert "secret-of-the-database" not in hub.log_since(0)
