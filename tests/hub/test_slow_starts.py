"""Servers that are started and never answer: the user, XNAT and the log hear why, in place of a bare timeout."""

import re
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import SMALL_SERVER, RunningHub, Visitor, new_standin, page_text, wait_until
from xnathub_conf.spawners.object_names import object_name
from xnathub_conf.standin import Environment, HubError

SECONDS = 5


@pytest.fixture(scope="module")
def xnat():
    with new_standin() as standin:
        yield standin


@pytest.fixture(scope="module")
def hub(xnat, tmp_path_factory):
    hub = RunningHub(tmp_path_factory.mktemp("slow"), xnat, {"servers": {"http_timeout": SECONDS}})
    hub.start()
    yield hub
    hub.stop()


def python(code: str) -> str:
    quiet = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
    return f"{sys.executable} -c {shlex.quote(quiet + code)}"


LISTENS = """
import http.server, os, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503)
port = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
DEAF = """
import os, socket, time, urllib.parse
port = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port
taking = socket.create_server(("127.0.0.1", port))
kept = [taking.accept() for _ in range(99)]
"""
AFTER = f"Your server was not up after {SECONDS} s. "
KEY = "raise servers.http_timeout in site.yaml."
CASES = {
    "silent": (python("import time; time.sleep(600)"), (AFTER + "It runs, but nothing listens at port", KEY)),
    "sick": (python(LISTENS), (AFTER + "It runs, and something listens at port", KEY)),
    "deaf": (python(DEAF), (AFTER + "It runs, and something listens at port", KEY)),
    "ended": (python("import sys; sys.exit(3)"), ("with exit code 3. Tell your XNAT administrator.",)),
    "missing": ("/no/such/program", ("can't run the server's command: No such file or directory.",)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_server_that_does_not_answer_is_explained(hub, xnat, case):
    command, texts = CASES[case]
    options = xnat.state.launch("alice", "P1", case, environment=Environment(command=command))
    hub.plugin.ensure_user("alice")
    position = len(hub.log_since(0))
    with pytest.raises(HubError) as told:
        hub.plugin.start("alice", options)
    visitor = Visitor(hub.url)
    visitor.sign_in("alice", xnat.state.user("alice").password)
    page = page_text(visitor.get_page(f"/hub/spawn-pending/alice/{case}"))
    log = hub.log_since(position)
    for text in texts:
        assert text in str(told.value)
        assert text in page
        assert text in log
    assert "Traceback" not in log
    assert "TimeoutError" not in log
    assert "Spawner.http_timeout" not in log
    assert not hub.server_processes()


def test_a_folder_that_can_not_be_made_is_named(hub, xnat):
    """As on a full disk, which a file in the way stands for."""
    root = hub.folder / "servers" / object_name("server", "demo", "")
    root.parent.mkdir(exist_ok=True)
    root.touch()
    options = xnat.state.launch("demo", "P1", "", environment=Environment(command="true"))
    hub.plugin.ensure_user("demo")
    position = len(hub.log_since(0))
    with pytest.raises(HubError) as told:
        hub.plugin.start("demo", options)
    root.unlink()
    sentence = "The hub's machine can't prepare the server's folders: Not a directory."
    assert sentence in str(told.value)
    assert sentence in hub.log_since(position)
    assert "Traceback" not in hub.log_since(position)


def test_who_waits_is_told_how_long_starts_of_the_image_took_lately(hub, xnat):
    def options(name, environment):
        return xnat.state.launch("alice", "P1", name, environment=environment)

    hub.plugin.ensure_user("alice")
    hub.plugin.start("alice", options("quick", SMALL_SERVER))
    hub.plugin.wait_ready("alice", "quick")
    hub.plugin.stop("alice", "quick")
    silent = options("waits", Environment(command=CASES["silent"][0]))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(hub.plugin.start, "alice", silent)
        wait_until(lambda: hub.plugin.server("alice", "waits"), 30, "the start")
        said = [event.get("message", "") for event in hub.plugin.progress("alice", "waits")]
        with pytest.raises(HubError):
            asked.result()
    assert any(re.search(r"Starts of this image took about [0-9]+ s lately", each) for each in said), said
