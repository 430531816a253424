"""What `xnathub diff` says of a change, beside what a hub and a running server do after it."""

import os
import signal

import psutil
import pytest
import requests
import yaml

from tests.support import WITHOUT_LAB, RunningHub, Visitor, merged, new_standin, wait_until
from xnathub_conf.site.differences import differences, whole_effect
from xnathub_conf.site.load import load_site
from xnathub_conf.standin import Environment


@pytest.fixture
def xnat():
    with new_standin() as xnat:
        yield xnat


@pytest.fixture
def hub(xnat, tmp_path):
    hub = RunningHub(tmp_path, xnat).start()
    yield hub
    for process in servers(hub):
        process.kill()
    hub.stop()


OUTLIVES = f"sh -c 'trap \"\" TERM; {WITHOUT_LAB.command}; true'"
"""A local server ends with its hub, by a signal that its shell ignores here; containers know no such signal."""


def servers(hub):
    """List the processes of users' servers: those that work in the hub's folder of servers."""
    found = []
    for process in psutil.process_iter(["environ", "name"]):
        environment = process.info["environ"] or {}
        root = environment.get("JUPYTERHUB_ROOT_DIR", "")
        if (
            root.startswith(str(hub.folder))
            and environment.get("JUPYTERHUB_USER")
            and process.info["name"] != "sh"
        ):
            found.append(process)
    return found


def started(hub, xnat, name="alice"):
    hub.plugin.ensure_user(name)
    hub.plugin.start(name, xnat.state.launch(name, "P1", environment=Environment(command=OUTLIVES)))
    hub.plugin.wait_ready(name)
    (process,) = wait_until(lambda: servers(hub), what="the server's process")
    return process


def change(hub, changes):
    """Change the site file, and say what `xnathub diff` says that it takes."""
    before = load_site(hub.site_file)
    hub.site_file.write_text(yaml.safe_dump(merged(yaml.safe_load(hub.site_file.read_text()), changes)))
    return whole_effect(differences(before, load_site(hub.site_file)))


def restart(hub):
    """End the hub so that servers go on, as they do where they are containers, and start it again."""
    os.kill(hub.process.pid, signal.SIGKILL)
    hub.process.wait()
    hub.start()


def answer(hub, name="alice"):
    """Ask the server something that it may only answer after asking the hub who asks."""
    token = hub.plugin.token(name, "test", 300)
    address = f"{hub.url}/user/{name}/api/contents"
    return requests.get(address, headers={"Authorization": f"token {token}"}, timeout=30).status_code


def may_sign_in(hub, xnat, name):
    visitor = Visitor(hub.url)
    visitor.sign_in(name, xnat.state.user(name).password)
    return visitor.is_signed_in_as(name)


def test_hub_restart(hub, xnat):
    server = started(hub, xnat)
    assert not may_sign_in(hub, xnat, "nobody")
    changes = {"sign_in": {"everyone": "always"}, "logging": {"level": "DEBUG"}}
    assert change(hub, changes) == "hub-restart"
    assert not may_sign_in(hub, xnat, "nobody")
    restart(hub)
    assert may_sign_in(hub, xnat, "nobody")
    assert answer(hub) == 200
    assert servers(hub) == [server]


def test_new_servers(hub, xnat):
    server = started(hub, xnat)
    changes = {"servers": {"environment": {"TZ": "Asia/Tokyo"}, "default_url": "/tree"}}
    assert change(hub, changes) == "new-servers"
    restart(hub)
    assert answer(hub) == 200
    assert servers(hub) == [server]
    assert "TZ" not in server.environ()
    server.kill()
    hub.plugin.stop("alice")
    after = started(hub, xnat).environ()
    assert after["TZ"] == "Asia/Tokyo"
    assert after["JUPYTERHUB_DEFAULT_URL"] == "/tree"


def test_running_servers(hub, xnat):
    server = started(hub, xnat)
    assert change(hub, {"hub": {"db_url": "sqlite:///another.sqlite"}}) == "running-servers"
    restart(hub)
    hub.plugin.ensure_user("alice")
    assert answer(hub) >= 400
    assert server.is_running()
    server.kill()
    wait_until(lambda: not servers(hub), what="the old server's end")
    started(hub, xnat)
    assert answer(hub) == 200
