"""`xnathub doctor --start` against a real hub: a test user's server, from XNAT's button to its stop."""

from __future__ import annotations

import os
import sys
import time

import pytest

from tests.doctor import diagnose
from tests.hub.test_doctor import UID, site  # noqa: F401 - a fixture
from tests.support import SERVE, SMALL_SERVER, wait_until
from xnathub_conf.doctor.probes import ProbeServers
from xnathub_conf.standin import Environment, HubLink

STARTS = ["sign_in", "environment", "plan", "ready", "mounts", "user", "gpu", "xnat", "stop"]


@pytest.fixture
def password(xnat, tmp_path):
    """The file of a test user's password."""
    file = tmp_path / "password-of-alice"
    file.write_text(xnat.state.user("alice").password)
    return file


@pytest.fixture
def start(site, hub, xnat, password):  # noqa: F811 - the fixture above
    # Whichever tests came before: XNAT makes it, and here a first start does, for the hub's own user alone.
    folder = hub.folder / "workspaces/users/alice"
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, UID, UID)
    project = xnat.state.projects("alice")[0].id

    def start(*more: str, user: str = "alice"):
        words = ("--user", user, "--start", project, "--password", str(password), *more)
        found = diagnose(site(), *words)
        assert password.read_text() not in found.text
        return found

    return start


def nothing_is_left(hub) -> None:
    """XNAT's order may reach the hub after doctor has ended, where it was refused at once."""
    wait_until(
        lambda: not [each for each in hub.plugin.users() if each["servers"]], 60, "the end of all servers"
    )


def test_a_server_is_started_looked_into_and_stopped(start, hub, xnat):
    found = start()
    assert found.bad() == [], found.text
    assert {name.removeprefix("start.") for name in found.findings if name.startswith("start.")} == set(
        STARTS
    )
    assert " s after XNAT was asked for it." in found.told("start.ready", "ok")
    assert "a file was read in" in found.told("start.mounts", "ok")
    assert "reaches XNAT as alice" in found.told("start.xnat", "ok")
    assert found["start.user"] == "skipped", "a local server runs as the hub"
    assert "The server is stopped" in found.told("start.stop", "ok")
    nothing_is_left(hub)
    # No session of the test user's, nor of the server's, is left in XNAT.
    ended = xnat.requests.find("/data/JSESSION", "DELETE")
    assert [each.who for each in ended].count("alice") >= 2


def test_a_wrong_password_is_tried_once(start, xnat, password):
    password.write_text("not-hers-8731")
    found = start()
    assert "XNAT does not take alice with this password (401" in found.told("start.sign_in", "failed")
    assert found["start.ready"] == "skipped"
    assert (
        len(
            [
                each
                for each in xnat.requests.find("/xapi/users/username")
                if each.how == "basic" and each.status == 401
            ]
        )
        == 1
    )


def test_what_the_site_refuses_is_told_and_nothing_left(start, hub, xnat):
    xnat.state.environment = Environment(image="evil/image:1")
    found = start()
    assert "evil/image" in found.told("start.plan", "failed")
    nothing_is_left(hub)


def test_why_a_start_fails_is_told(start, hub, xnat):
    ends = f"{sys.executable} -c 'import time; time.sleep(3)'"
    xnat.state.environment = Environment(command=ends)
    found = start()
    assert "The server ended as soon as it was started" in found.told("start.ready", "failed")
    nothing_is_left(hub)


def test_a_start_that_fails_at_once_is_told_at_once(start, hub, xnat):
    xnat.state.environment = Environment(command="/no/such/program")
    began = time.monotonic()
    assert "can't run the server's command" in start().told("start.ready", "failed")
    assert time.monotonic() - began < 30
    nothing_is_left(hub)


def test_an_order_that_xnat_does_not_pass_on_is_told(start, xnat, monkeypatch):
    monkeypatch.setattr(ProbeServers, "limit", 0)
    hub = xnat.hub
    xnat.hub = HubLink("http://127.0.0.1:9/hub/api", hub.public_url, hub.token)
    try:
        told = start().told("start.ready", "failed")
    finally:
        xnat.hub = hub
    assert "asked the hub for no server" in told
    assert "JupyterHub API URL" in told


def test_a_server_without_kernels_is_told(start, xnat):
    xnat.state.environment = SMALL_SERVER
    assert "starts no kernel" in start().told("start.mounts", "failed")


def test_many_at_once_are_ready(start, hub, xnat):
    xnat.state.environment = SMALL_SERVER
    found = start("--load", "3")
    assert "3 servers started at once were ready" in found.told("start.load", "ok")
    nothing_is_left(hub)


def test_it_says_at_which_number_it_broke(start, hub, xnat, tmp_path):
    program = tmp_path / "ends_from_the_fourth_on.py"
    counted = tmp_path / "counted"
    program.write_text(
        f"with open({str(counted)!r}, 'a') as file:\n    number = file.write('x') and file.tell()\n"
        f"if number > 3:\n    import time\n    time.sleep(3)\n    raise SystemExit(7)\n{SERVE}"
    )
    xnat.state.environment = Environment(command=f"{sys.executable} {program}")
    # The first is the one that is looked into.
    told = start("--load", "4").told("start.load", "failed")
    assert told.startswith("2 of 4 servers started at once were ready, ")
    assert "; the 3. was not. 2 times: " in told
    assert "with exit code 7" in told
    nothing_is_left(hub)
