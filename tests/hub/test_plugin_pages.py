"""What the pages of XNAT's plugin do, from Start to Stop, for six names, notebooks and dashboards."""

import sys

import pytest

from tests.plugin_pages import Place, add_people, walk
from tests.support import RunningHub, new_standin
from xnathub_conf.standin import Environment

_CODE = """
import http.server, os, signal, urllib.parse
signal.signal(signal.SIGINT, signal.SIG_DFL)
user, server = os.environ["JUPYTERHUB_USER"], os.environ["JUPYTERHUB_SERVER_NAME"]
open(os.path.join("workspace", user, server), "w").close()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write("\\n".join([user, server, *os.listdir("workspace"), *os.listdir("data/projects/P1")]).encode())
port = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    with new_standin() as xnat:
        add_people(xnat.state)
        hub = RunningHub(tmp_path_factory.mktemp("pages"), xnat).start()
        yield hub
        hub.stop()


def test_notebooks_and_dashboards_of_six_people_from_start_to_stop(pages):
    def workspace(name):
        folder = pages.folder / "workspaces" / "users" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def restart():
        pages.stop()
        pages.start()

    environment = Environment(command=f"{sys.executable} -c '{_CODE}'")
    walk(
        pages.plugin,
        pages.xnat.state,
        Place(environment, "", workspace, restart, None),
    )
