"""A changed site file that the hub takes while it runs: all of it or nothing."""

from __future__ import annotations

import json

import pytest
import requests
import yaml

from tests.doctor import diagnose
from tests.support import SMALL_SERVER, RunningHub, Visitor, merged, new_standin, wait_until
from xnathub_conf.standin import Environment, HubError

OTHER = Environment(image="other/image:1", command=SMALL_SERVER.command)


@pytest.fixture(scope="module")
def xnat():
    with new_standin() as xnat:
        yield xnat


@pytest.fixture(scope="module")
def hub(xnat, tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    hub = RunningHub(folder, xnat, {"logging": {"audit_file": f"{folder}/audit.log"}})
    try:
        yield hub.start()
    finally:
        hub.stop()


@pytest.fixture
def edit(hub: RunningHub):
    """Write the hub's file with changes, or as the text that it is given, and wait until the hub has seen it."""

    def edit(changes: dict | str, state: str) -> str:
        text = changes if isinstance(changes, str) else yaml.safe_dump(merged(hub.site, changes))
        seen, position = len(told(hub)), hub.log.stat().st_size
        new = hub.folder / "new.yaml"
        new.write_text(text)
        new.replace(hub.site_file)
        wait_until(lambda: len(told(hub)) > seen, 60, "the hub's look at its file")
        assert requests.get(f"{hub.url}/hub/health", timeout=10).json()["site"] == state
        return hub.log_since(position)

    yield edit
    if hub.site_file.read_text() != yaml.safe_dump(hub.site):
        edit({}, "taken")


def told(hub: RunningHub) -> list[dict]:
    """Return the audit log's lines on the site file."""
    file = hub.folder / "audit.log"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [line for line in lines if line["event"] == "site"]


def starts(hub: RunningHub, xnat) -> bool:
    xnat.state.environment = OTHER
    hub.plugin.ensure_user("alice")
    hub.plugin.start("alice", xnat.state.launch("alice", "P1"))
    try:
        hub.plugin.wait_ready("alice")
    except HubError:
        return False
    hub.plugin.stop("alice")
    return True


def refused(hub: RunningHub, xnat) -> bool:
    try:
        return not starts(hub, xnat)
    except HubError as error:
        return "rules do not allow" in str(error)


def page(hub: RunningHub) -> str:
    return Visitor(hub.url).get_page("/hub/login").text


def test_policy_and_pages_are_taken_without_a_restart(hub: RunningHub, xnat, edit):
    assert refused(hub, xnat)
    process = hub.process.pid
    changes = {
        "servers": {"allowed_images": ["xnat/*", "other/*"]},
        "pages": {"notice": "Maintenance on Sunday"},
    }
    log = edit(changes, "taken")
    assert "The site file is taken anew: servers.allowed_images, pages.notice." in log
    assert starts(hub, xnat)
    assert "Maintenance on Sunday" in page(hub)
    line = told(hub)[-1]
    assert (line["outcome"], line["keys"]) == ("taken", "servers.allowed_images, pages.notice")
    edit({}, "taken")
    assert refused(hub, xnat)
    assert "Maintenance on Sunday" not in page(hub)
    assert hub.process.pid == process
    assert hub.process.poll() is None


def test_a_file_that_is_not_valid_changes_nothing_and_is_told(hub: RunningHub, xnat, edit):
    bad = {
        "servers": {"allowed_images": ["xnat/*", "other/*"], "cpu_limit": "many"},
        "pages": {"notice": "New"},
    }
    log = edit(bad, "invalid")
    assert "is not valid; the hub goes on with the one before." in log
    assert "servers.cpu_limit" in log
    assert told(hub)[-1]["outcome"] == "invalid"
    assert refused(hub, xnat)
    assert "New" not in page(hub)
    good = hub.folder / "good.yaml"
    good.write_text(yaml.safe_dump(hub.site))
    assert "is not valid" in diagnose(good, "--skip", "files").told("hub.site", "failed")
    edit("version: [", "invalid")
    edit({}, "taken")
    assert diagnose(good, "--skip", "files")["hub.site"] == "ok"


def test_what_needs_a_restart_is_told_and_the_rest_taken(hub: RunningHub, edit):
    log = edit({"hub": {"shutdown_on_logout": True}, "pages": {"notice": "Both"}}, "restart-needed")
    assert "What else has changed in the site file needs a restart of the hub: hub.shutdown_on_logout." in log
    assert "Both" in page(hub)
    assert told(hub)[-1]["restart_needed"] == "hub.shutdown_on_logout"
    good = hub.folder / "good.yaml"
    good.write_text(yaml.safe_dump(hub.site))
    assert "needs a restart" in diagnose(good, "--skip", "files").told("hub.site", "warning")
