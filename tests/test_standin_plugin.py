"""What the stand-in's plugin asks of a hub, and what its page makes of the answers, against a scripted hub."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from xnathub_conf.standin import HubError, HubLink, HubPlugin, StandIn, demo_state
from xnathub_conf.standin.plugin import START_KEYS


class ScriptedHub(ThreadingHTTPServer):
    """A hub with one server per user and name, whose start takes `start_takes` seconds and fails with `failure`, if set."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.users = set()
        self.servers = {}
        self.start_takes = 0.4
        self.failure = None
        self.refuse_start = None
        self.hide_progress = False

    @property
    def link(self):
        origin = f"http://127.0.0.1:{self.server_port}"
        return HubLink(f"{origin}/jupyterhub/hub/api", f"{origin}/jupyterhub/", "service-token")

    def asked_for(self, method):
        return [(path, body) for asked, path, body in self.asked if asked == method]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *args):
        pass

    def reply(self, status, value=None):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"" if value is None else json.dumps(value).encode())

    def handle_any(self):
        hub = self.server
        path = self.path.removeprefix("/jupyterhub/hub/api")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.asked.append((self.command, path, json.loads(body) if body else None))
        if self.headers["Authorization"] != "token service-token":
            return self.reply(403, {"status": 403, "message": "Missing or invalid credentials."})
        if path == "/":
            return self.reply(200, {"version": "6.1.1"})
        if path == "/info":
            return self.reply(200, {"spawner": {}})
        if path == "/users":
            return self.reply(200, [{"name": name} for name in sorted(hub.users)])
        name, _, rest = path.removeprefix("/users/").partition("/")
        if not rest:
            if self.command == "POST":
                hub.users.add(name)
                return self.reply(201, {"name": name, "servers": {}})
            if name not in hub.users:
                return self.reply(404, {"status": 404, "message": "Not Found"})
            servers = {
                server: model for (user, server), model in hub.servers.items() if user == name and model
            }
            return self.reply(200, {"name": name, "servers": servers})
        if rest == "tokens":
            return self.reply(201, {"token": "fresh"})
        key = (name, rest.removesuffix("/progress").removeprefix("servers/"))
        key = (name, "") if rest.removesuffix("/progress") == "server" else key
        if rest.endswith("/progress"):
            return self.progress(key)
        if self.command == "DELETE":
            hub.servers[key] = None
            return self.reply(204)
        return self.start(key, hub.asked[-1][2])

    def start(self, key, body):
        hub = self.server
        if hub.refuse_start:
            return self.reply(403, {"status": 403, "message": hub.refuse_start})
        server = {
            "ready": False,
            "pending": "spawn",
            "url": "/".join(["/jupyterhub/user", key[0], *filter(None, key[1:]), ""]),
            "user_options": body,
        }
        hub.servers[key] = server
        time.sleep(hub.start_takes)
        if hub.failure:
            hub.servers[key] = None
            return self.reply(500, {"status": 500, "message": "Internal Server Error"})
        server.update(ready=True, pending=None)
        return self.reply(201)

    def progress(self, key):
        hub = self.server
        if hub.hide_progress:
            return self.reply(403, {"status": 403, "message": "Forbidden"})
        server = hub.servers.get(key)
        if server is None and not hub.failure:
            return self.reply(400, {"status": 400, "message": "not starting"})
        self.send_response(200)
        self.end_headers()
        if server and server["pending"]:
            self.event(progress=40, message="Pulling the image")
            while server["pending"] and hub.servers[key]:
                time.sleep(0.02)
        if server is None or hub.servers[key] is None:
            return self.event(progress=100, failed=True, message=f"Spawn failed: {hub.failure}")
        return self.event(progress=100, ready=True, message="Server ready")

    def event(self, **event):
        self.wfile.write(b"\n\ndata: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815


@pytest.fixture
def hub():
    with ScriptedHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def standin(hub):
    with StandIn(demo_state(), hub=hub.link) as running:
        yield running


def settle(standin, user):
    for _ in range(400):
        status = standin.launches.status(user)
        if status["stage"] not in {"starting", "stopping"}:
            return status
        time.sleep(0.02)
    raise AssertionError(status)


EVENT = "20260728T120000123Z"


def test_a_launch_asks_the_hub_as_xnat_does(hub, standin):
    standin.launches.start("a.b@c.org", "P1", EVENT)
    status = settle(standin, "a.b@c.org")
    assert (status["stage"], status["error"], status["progress"]) == ("ready", None, 100)
    assert "Pulling the image" in status["messages"]
    assert status["url"] == f"/standin/open?server={EVENT}"
    asked = [(method, path) for method, path, _ in hub.asked]
    user = ("GET", "/users/a.b@c.org")
    assert asked[:4] == [("GET", "/"), ("GET", "/info"), user, ("POST", user[1])]
    (made, no_body), (started, body) = hub.asked_for("POST")
    assert (made, no_body, started) == ("/users/a.b@c.org", None, f"/users/a.b@c.org/servers/{EVENT}")
    assert set(body) == {*START_KEYS, "task_template"}
    assert body["task_template"] is None
    assert (body["servername"], body["eventTrackingId"], body["projectId"]) == (EVENT, EVENT, "P1")
    stored = json.loads(standin.state.user_options("a.b@c.org", EVENT))
    assert (stored["eventTrackingId"], stored["itemLabel"], body["itemLabel"]) == (EVENT, None, "P1")


def test_a_server_is_opened_at_the_public_host_with_a_token(hub, standin):
    standin.launches.start("alice", "P1", EVENT)
    settle(standin, "alice")
    origin = hub.link.public_url.removesuffix("/jupyterhub/")
    opened = standin.launches.open_url("alice", EVENT)
    assert opened == f"{origin}/jupyterhub/user/alice/{EVENT}/?token=fresh"
    with pytest.raises(HubError, match="does not run"):
        standin.launches.open_url("alice", "other")


def test_a_stop_removes_the_server_and_its_options(hub, standin):
    standin.launches.start("alice", "P1")
    server = settle(standin, "alice")["server"]
    assert re.fullmatch(r"\d{8}T\d{9}Z", server)
    standin.launches.stop("alice")
    assert settle(standin, "alice")["stage"] == "stopped"
    assert hub.asked_for("DELETE") == [(f"/users/alice/servers/{server}", {"remove": True})]
    assert standin.state.user_options("alice", server) is None


def test_the_default_server_of_a_rest_client(hub, standin):
    standin.launches.start("alice", "P1", "")
    assert settle(standin, "alice")["stage"] == "ready"
    standin.launches.stop("alice")
    assert settle(standin, "alice")["stage"] == "stopped"
    assert hub.asked_for("DELETE") == [("/users/alice/server", {"remove": True})]


def test_the_hubs_own_sentence_is_told_when_a_start_fails(hub, standin):
    hub.failure = "XNAT holds no data for you."
    for _ in range(2):
        standin.launches.start("alice", "P1")
        status = settle(standin, "alice")
        assert (status["stage"], status["error"]) == ("failed", "Spawn failed: XNAT holds no data for you.")
    hub.failure = None
    standin.launches.start("alice", "P1")
    assert settle(standin, "alice")["stage"] == "ready"


def test_an_earlier_failure_is_not_taken_for_this_one(hub, standin):
    hub.failure = "An old story"
    standin.launches.start("alice", "P1")
    settle(standin, "alice")
    hub.failure = "A new story"
    standin.launches.start("alice", "P1")
    assert settle(standin, "alice")["error"] == "Spawn failed: A new story"


def test_a_refused_start_is_told(hub, standin):
    hub.refuse_start = "Too many servers."
    standin.launches.start("alice", "P1")
    assert settle(standin, "alice")["error"] == "Too many servers."


def test_without_a_right_to_progress_it_polls(hub, standin):
    hub.hide_progress = True
    standin.launches.start("alice", "P1")
    assert settle(standin, "alice")["stage"] == "ready"


def test_several_servers_of_a_user(hub, standin):
    for project in ("P1", "P2"):
        standin.launches.start("alice", project)
        settle(standin, "alice")
    status = standin.launches.status("alice")
    assert (status["stage"], status["project"]) == ("ready", "P2")
    (other,) = status["others"]
    assert (other["stage"], other["project"]) == ("ready", "P1")
    standin.launches.stop("alice", other["server"])
    settle(standin, "alice")
    assert standin.launches.open_url("alice", status["server"])
    assert standin.state.user_options("alice", other["server"]) is None
    standin.launches.start("alice", "P2", status["server"])
    assert settle(standin, "alice")["error"] == "A server with the same name is already running."


def test_a_server_that_was_started_or_culled_elsewhere_is_noticed(hub, standin):
    plugin = HubPlugin(hub.link)
    plugin.ensure_user("alice")
    plugin.start("alice", standin.state.launch("alice", "P2"))
    standin.launches.refresh("alice")
    assert standin.launches.status("alice")["project"] == "P2"
    hub.servers["alice", ""] = None
    standin.launches.refresh("alice")
    assert standin.launches.status("alice")["stage"] == "stopped"


def test_timeouts_are_xnats_own(hub):
    hub.users.add("alice")
    hub.servers["alice", ""] = {"ready": False, "pending": "spawn"}
    plugin = HubPlugin(hub.link, start_timeout=0.1, stop_timeout=0.1, poll_interval=0.02)
    with pytest.raises(HubError, match=r"didn't start within XNAT's 0.1 seconds"):
        plugin.wait_ready("alice")
    hub.servers["alice", ""] = None
    with pytest.raises(HubError, match="its start failed"):
        plugin.wait_ready("alice")
    assert plugin.server("ghost") is None


def test_the_rest_of_the_plugins_calls(hub):
    plugin = HubPlugin(hub.link)
    plugin.ensure_user("Alice")
    plugin.ensure_user("Alice")
    assert plugin.version() == "6.1.1"
    assert [user["name"] for user in plugin.users()] == ["Alice"]
    assert plugin.token("Alice", "a note", 60) == "fresh"
    assert hub.asked_for("POST") == [
        ("/users/Alice", None),
        (
            "/users/Alice/tokens",
            {"note": "a note", "expires_in": 60, "scopes": ["access:servers!user=Alice"]},
        ),
    ]


def test_an_answer_of_another_shape_ends_a_launch(hub, standin):
    hub.users.add("alice")
    hub.servers["alice", ""] = {"url": "/"}
    standin.launches.start("alice", "P1", "")
    assert settle(standin, "alice")["error"] == "The hub's answer isn't what XNAT expects."


def test_a_wrong_token_is_told(hub):
    link = hub.link
    with pytest.raises(HubError, match="invalid credentials") as caught:
        HubPlugin(HubLink(link.api_url, link.public_url, "wrong")).info()
    assert caught.value.status == 403
    assert "service-token" not in repr(link)
