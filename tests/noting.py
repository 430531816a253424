"""A hostile user's server: what she puts into her home makes it note every request, and answer them all."""

import json
from pathlib import Path

from tests.support import RunningHub
from xnathub_conf.spawners.object_names import object_name

_NOTES_ALL = """
import json
from jupyter_server.serverapp import ServerApp
from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler

def note(handler):
    headers = [[name, value] for name, value in handler.request.headers.get_all()]
    with open("noted.jsonl", "a") as file:
        file.write(json.dumps([handler.request.method, handler.request.uri, headers]) + "\\n")

class Grab(RequestHandler):
    def prepare(self):
        note(self)
    def get(self):
        kind = self.get_query_argument("type", "text/html")
        self.set_header("Content-Type", kind)
        self.set_header("Service-Worker-Allowed", "/")
        self.set_cookie("seen", "1", path="/")
        script = "self.grabbed = 'GRABBED'; self.postMessage && self.document === undefined && self.postMessage('GRABBED')"
        texts = {"text/javascript": script, "text/event-stream": "data: GRABBED\\n\\n"}
        self.write(texts.get(kind, "GRABBED"))
    head = post = put = delete = patch = options = get
    def check_xsrf_cookie(self):
        pass

class Socket(WebSocketHandler):
    def prepare(self):
        note(self)
    def check_origin(self, origin):
        return True
    def open(self):
        self.write_message("GRABBED")
    def on_message(self, message):
        self.write_message(message)

made = ServerApp.init_webapp
def init_webapp(self):
    made(self)
    here = self.base_url
    self.web_app.add_handlers(".*", [(here + "grab", Grab), (here + "socket", Socket)])
ServerApp.init_webapp = init_webapp
"""


class Notes:
    """What a user's server on a local hub has received since it was last asked. Made before the server starts."""

    def __init__(self, hub: RunningHub, name: str) -> None:
        folder = hub.folder / "servers" / object_name("server", name, "")
        (folder / ".jupyter").mkdir(parents=True)
        (folder / ".jupyter/jupyter_server_config.py").write_text(_NOTES_ALL)
        self.file: Path = folder / "noted.jsonl"
        self._seen = 0

    def __call__(self) -> list[tuple[str, str, list[list[str]]]]:
        """Return method, address and headers of each new request."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        new, self._seen = lines[self._seen :], len(lines)
        return [tuple(json.loads(line)) for line in new]


def cookies_in(request: tuple[str, str, list[list[str]]]) -> list[str]:
    """Return the cookies of a noted request, each as name=value."""
    return [part for name, value in request[2] if name.lower() == "cookie" for part in value.split("; ")]


def start(hub: RunningHub, name: str, servername: str = "", project: str = "P1") -> dict:
    """Start a user's server as XNAT's plugin does, and return the hub's model of it once it is ready."""
    hub.plugin.ensure_user(name)
    hub.plugin.start(name, hub.xnat.state.launch(name, project, servername))
    return hub.plugin.wait_ready(name, servername)
