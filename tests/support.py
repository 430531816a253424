"""A real hub on this machine for tests, and a browser-like client for it."""

import contextlib
import html
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, NoReturn

import certifi
import psutil
import pytest
import requests
import websocket
import yaml

from tests.certificates import Authority
from tests.secret_search import Search
from xnathub_conf.cli.run import hub_environment
from xnathub_conf.standin import Environment, HubLink, HubPlugin, StandIn, demo_state, make_sample_archive
from xnathub_conf.web.gate_pass import GateKey

SERVE = """
import http.server, importlib.metadata, os, signal, urllib.parse
signal.signal(signal.SIGINT, signal.SIG_DFL)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-JupyterHub-Version", importlib.metadata.version("jupyterhub"))
        self.end_headers()
        self.wfile.write(os.environ["JUPYTERHUB_USER"].encode())
port = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
SMALL_SERVER = Environment(command=f"{sys.executable} -c '{SERVE}'")
"""What XNAT asks a local hub to start where any server will do: one that is up in no time."""

_OF_LAB = ("jupyterlab", "jupyter_lsp", "panel.io.jupyter_server_extension", "voila.server_extension")
WITHOUT_LAB = Environment(
    command=f"{Path(sys.executable).with_name('jupyterhub-singleuser')} --allow-root "
    + " ".join(f"--ServerApp.jpserver_extensions={name}=False" for name in _OF_LAB)
)
"""Jupyter's server with its own sign-in, files and kernels, for half of what it costs to start JupyterLab too."""

ROOT = Path(__file__).resolve().parents[1]
XNATHUB = Path(sys.executable).with_name("xnathub")


def free_port() -> int:
    """Return a port that nothing listens at.

    None that the system gives to outgoing calls, or another test running at the same time could get it before it is used.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def cannot_test(layer: str, reason: str) -> NoReturn:
    """Fail, since a layer of the tests has not got what it needs."""
    pytest.fail(f"{reason}\nXNATHUB_SKIP_LAYERS={layer} leaves these tests out.", pytrace=False)


def install(layer: str, *packages: str) -> None:
    """Install Debian packages that a layer of the tests needs; fail where that can't be done."""
    done = subprocess.run(
        [ROOT / "scripts/packages", *packages], stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        cannot_test(layer, f"scripts/packages {' '.join(packages)} ended with:\n{done.stderr[-1000:]}")


def wait_until(look, timeout: float = 30, what: str = "it"):
    """Look again and again until there is something to give; fail after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        if found := look():
            return found
        assert time.monotonic() < end, f"{what} did not happen within {timeout} s"
        time.sleep(0.05)


def new_standin(**kwargs) -> StandIn:
    return StandIn(demo_state(), **kwargs)


class RunningHub:
    """`xnathub run` with the orchestrator `local` in a folder of its own; `changes` are merged into its site file.

    `program` is the `xnathub` that runs: this environment's, or an installed wheel's. With `config`, JupyterHub runs with
    that configuration file instead.
    """

    def __init__(
        self,
        folder: Path,
        xnat: StandIn,
        changes: dict | None = None,
        program: Path = XNATHUB,
        config: Path | None = None,
    ):
        self.folder = folder
        self.xnat = xnat
        self.token = secrets.token_hex(32)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/jupyterhub"
        self.hub_bind_url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "hub.log"
        self.site_file = folder / "site.yaml"
        (folder / "token").write_text(self.token)
        (folder / "password").write_text(xnat.state.user("jupyterhub").password)
        make_sample_archive(folder / "archive")
        self.site = merged(self._site(), changes or {})
        self.site_file.write_text(yaml.safe_dump(self.site))
        self.command: list[str | Path] = [program, "run", self.site_file]
        if config:
            self.command = [sys.executable, "-m", "jupyterhub", "--config", config]
        self.process: subprocess.Popen | None = None
        self.use(xnat)

    def use(self, xnat: StandIn) -> None:
        """Link XNAT's plugin to this hub; another XNAT than the first must listen at its address."""
        self.xnat = xnat
        xnat.hub = HubLink(f"{self.url}/hub/api", self.url, self.token)
        if Search.current:
            Search.current.secret("service token", self.token)
            Search.current.file("files of hubs", self.folder)

    def _site(self) -> dict:
        folder = str(self.folder)
        return {
            "version": 1,
            "xnat": {
                "url": self.xnat.url,
                "service_account": {"password": {"file": f"{folder}/password"}},
                "calls": {"deadline": 20, "read_timeout": 7, "connect_timeout": 2, "retries": 1},
            },
            "hub": {
                "api_token": {"file": f"{folder}/token"},
                "bind_url": f"http://127.0.0.1:{self.port}",
                "hub_bind_url": self.hub_bind_url,
            },
            "servers": {
                "allowed_images": ["xnat/*"],
                "allowed_mounts": [
                    {"path": f"{folder}/archive"},
                    {"path": f"{folder}/workspaces/users/{{username}}", "writable": True},
                ],
                "start_timeout": 60,
                "stop_timeout": 5,
            },
            "paths": {
                "archive": [{"from": "/data/xnat/archive", "to": f"{folder}/archive"}],
                "workspaces": [{"from": "/data/xnat/workspaces", "to": f"{folder}/workspaces"}],
            },
            "orchestrator": {"local": {"directory": f"{folder}/servers"}},
            "extra": {"ConfigurableHTTPProxy.api_url": f"http://127.0.0.1:{free_port()}"},
        }

    def begin(self) -> None:
        """Start the process, and wait for nothing."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                # The proxy and its Node.js are this environment's, whichever xnathub runs.
                env=hub_environment(self.site_file),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start(self) -> "RunningHub":
        self.begin()

        def healthy() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(requests.RequestException):
                answer = requests.get(f"{self.url}/hub/health", timeout=5)
                # Until it has heard of XNAT, its own question could come between a test's. JupyterHub's own page is empty.
                return answer.status_code == 200 and b'"unknown"' not in answer.content
            return False

        wait_until(healthy, 60, "the hub's start")
        if Search.current and self.cookie_secret:
            Search.current.secret("cookie secret", self.cookie_secret)
            proof = GateKey(bytes.fromhex(self.cookie_secret)).proxy_proof
            Search.current.secret("proof of the hub's proxy", proof)
        return self

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise
            self.process = None

    @property
    def cookie_secret(self) -> str:
        """What JupyterHub made to sign its cookies with, or "" where site.yaml names one."""
        file = self.folder / "jupyterhub_cookie_secret"
        return file.read_text().strip() if file.exists() else ""

    @property
    def plugin(self) -> HubPlugin:
        """XNAT's plugin, as it calls this hub."""
        return HubPlugin(self.xnat.hub, start_timeout=60, stop_timeout=30, poll_interval=0.2)

    def api(self, method: str, path: str, **kwargs) -> requests.Response:
        """Call the hub's REST API with the service's token."""
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(method, f"{self.url}/hub/api{path}", headers=headers, timeout=30, **kwargs)

    def server_processes(self) -> list[psutil.Process]:
        """Return the processes of users' servers: children of the hub, but for its proxy."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "configurable-http-proxy" not in " ".join(child.cmdline())]

    def log_since(self, position: int) -> str:
        return self.log.read_text("utf-8", "replace")[position:]


def merged(base: dict, changes: dict) -> dict:
    """Merge `changes` into a copy of `base`; a None takes a key away."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def build_wheel(folder: Path) -> Path:
    """Build the package's wheel into `folder` as `python -m build` does: an sdist first, and the wheel from that."""
    build = [sys.executable, "-m", "hatchling", "build", "-d", folder, "-t"]
    subprocess.run([*build, "sdist"], cwd=ROOT, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    subprocess.run(["tar", "-xf", sdist, "-C", folder], check=True)
    subprocess.run(
        [*build, "wheel"], cwd=folder / sdist.name.removesuffix(".tar.gz"), check=True, capture_output=True
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def install_wheel(wheel: Path, folder: Path, extra: str = "") -> Path:
    """Install a wheel with its pinned packages into a new environment at `folder`, and give its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    lock = ROOT / "requirements" / "hub.lock"
    command = ["uv", "pip", "install", "--quiet", "--python", folder, "--constraint", lock, f"{wheel}{extra}"]
    subprocess.run(
        command, check=True, cwd=folder, env={**os.environ, "PATH": f"{XNATHUB.parent}:{os.environ['PATH']}"}
    )
    return folder / "bin"


class Visitor(requests.Session):
    """A browser without JavaScript: cookies, the hub's forms, and the text that a page shows."""

    def __init__(self, hub_url: str):
        super().__init__()
        # The environment may name another CA, which requests would prefer.
        self.trust_env = False
        self.headers["Accept"] = "text/html,*/*"
        self.hub_url = hub_url

    def get_page(self, path: str, **kwargs) -> requests.Response:
        return self.get(self.hub_url + path, timeout=60, **kwargs)

    def sign_in(self, username: str, password: str) -> requests.Response:
        form = self.get_page("/hub/login")
        xsrf = re.search(r'name="_xsrf"\s+value="([^"]*)"', form.text)[1]
        return self.post(
            f"{self.hub_url}/hub/login",
            data={"username": username, "password": password, "_xsrf": xsrf},
            headers={"Referer": form.url, "Sec-Fetch-Mode": "navigate"},
            allow_redirects=False,
            timeout=60,
        )

    def start_page(self) -> requests.Response:
        """Start the own server, and return the page that says why it does not come up.

        The hub waits a second for the end of a start. On a busy machine the page with the progress comes before it.
        """
        page = self.get_page("/hub/spawn")
        end = time.monotonic() + 30
        while page.status_code == 200 and "/hub/spawn-pending/" in page.url and time.monotonic() < end:
            time.sleep(0.2)
            page = self.get_page(page.url.removeprefix(self.hub_url))
        return page

    def is_signed_in_as(self, username: str) -> bool:
        page = self.get_page("/hub/home", allow_redirects=False)
        return page.status_code == 200 and f'user: "{username}"' in page.text


PROGRAM = {"Authorization": "token of-no-hub"}
"""Sent by what reaches a made-up server as programs do: the gate leaves it to the server what a token is worth."""


def signed_in(hub_url: str, username: str, password: str) -> requests.Session:
    """Sign in on a hub's page and follow where it leads, as a browser; give the browser."""
    session = requests.Session()
    session.trust_env = False
    session.headers["Accept"] = "text/html,*/*"
    page = session.get(f"{hub_url}/hub/login", timeout=30)
    assert page.status_code == 200, page.text
    form = {
        "_xsrf": session.cookies.get("_xsrf", path="/jupyterhub/hub/"),
        "username": username,
        "password": password,
    }
    answer = session.post(f"{hub_url}/hub/login", data=form, timeout=60)
    assert "/hub/login" not in answer.url, answer.text
    return session


def page_text(response: requests.Response) -> str:
    """Return what a page shows, without its tags."""
    body = response.text.partition("<body>")[2]
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", body, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))).strip()


LOOKS_AROUND = """
import os, pathlib
readme = pathlib.Path("/data/projects/P1/experiments/README.txt")
print(readme.read_text().split(":")[0])
try:
    readme.write_text("mine")
except OSError as error:
    print(type(error).__name__, error.errno)
root = pathlib.Path(os.environ["JUPYTERHUB_ROOT_DIR"])
(root / "result.txt").write_text("done")
print(os.getuid(), os.getgid(), root)
print(sorted(os.listdir("/workspace")), sorted(os.listdir("/data/projects")))
print(open("/proc/self/status").read().split("CapEff:")[1].split()[0])
"""
"""Code for a server on project P1 of the demo: reads the archive, can't write there, writes to the workspace."""


def what_it_sees(user: str, uid: int, gid: int) -> list[str]:
    """The lines that LOOKS_AROUND prints in a user's container."""
    return [
        "Project P1",
        "OSError 30",
        f"{uid} {gid} /workspace/{user}",
        f"['{user}'] ['P1']",
        "0000000000000000",
    ]


LOOKS_AT_ITS_LIMITS = """
import json, os, pathlib
software = pathlib.Path("/opt/site-software/version.txt")
seen = {"software": software.read_text(), "shm": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize}
try:
    software.write_text("mine")
except OSError as error:
    seen["write"] = error.errno
pathlib.Path("/dev/shm/x").write_bytes(bytes(65 << 20))
import ssl
named = {os.environ[name] for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")}
trusted = [str(each["subject"]) for each in ssl.create_default_context().get_ca_certs()]
seen["trust"] = [*named, len(trusted) > 50, any("The Hospital" in each for each in trusted)]
import urllib.error, urllib.request
def reached(url):
    try:
        return urllib.request.urlopen(url, timeout=10).status
    except urllib.error.URLError as error:
        return type(error.reason).__name__
seen["way out"] = [reached(os.environ["JUPYTERHUB_API_URL"] + "/"), reached("http://elsewhere.example.org/")]
rights = dict(line.split(":", 1) for line in open("/proc/self/status"))
seen["gains privileges"] = rights["NoNewPrivs"].strip() != "1"
# MKNOD, NET_RAW, SETFCAP, SETPCAP, SYS_CHROOT: what not even a program of root's could have again.
seen["dropped"] = not any(int(rights["CapBnd"], 16) >> bit & 1 for bit in (27, 13, 31, 8, 18))
import socket
seen["names"] = [socket.gethostbyname("pacs.example.org"), "imaging.example.org" in open("/etc/resolv.conf").read()]
print(json.dumps(seen))
"""
"""Code for a server on project P2, which says what the site's own keys under `servers` came to there."""

SITE_SERVERS = {
    "shm_size": "128M",
    "http_proxy": "http://127.0.0.1:9",
    "hosts": {"pacs.example.org": "192.0.2.7"},
    "dns_search": ["imaging.example.org"],
}
"""The site's keys that LOOKS_AT_ITS_LIMITS looks at, besides `site_software`."""

EATS_MEMORY = (
    """sh -c 'echo got $JUPYTERHUB_API_TOKEN and $XNAT_PASS; python3 -m http.server 8888 --directory /etc/xnathub-none & """
    """until [ -e $JUPYTERHUB_ROOT_DIR/eat ]; do sleep 0.2; done; exec python3 -c "b = b\\"x\\" * 10**9"'"""
)
"""A server's command that answers, until a file `eat` in its user's workspace has it use more memory than there is."""

ITS_LIMITS = {
    "software": "7.4",
    "shm": 128 << 20,
    "write": 30,
    "gains privileges": False,
    "dropped": True,
    "trust": ["/etc/xnathub/ca.pem", True, True],
    # The hub directly, all else by the proxy, at whose address nothing is.
    "way out": [200, "ConnectionRefusedError"],
    "names": ["192.0.2.7", True],
}
"""What LOOKS_AT_ITS_LIMITS sees then."""

STARTS_TOO_MANY = """
import json, resource, subprocess
started = []
try:
    while len(started) < 300:
        started.append(subprocess.Popen(["sleep", "60"]))
    refused = None
except OSError as error:
    refused = error.errno
for each in started:
    each.kill()
    each.wait()
limits = [resource.getrlimit(each) for each in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE)]
print(json.dumps([refused, 0 < len(started) < 200, limits]))
"""
"""Code for a server with the keys of ENGINE_SECURITY: how its 200th process is refused, and what a process may use."""

ENGINE_SECURITY = {"pids_limit": 200, "ulimits": {"msgqueue": 300_000}}

SECCOMP = json.dumps(
    {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["msgget"], "action": "SCMP_ACT_ERRNO"}]}
)
"""A seccomp profile that refuses one call."""

MAKES_THAT_CALL = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
made = libc.msgget(0, 0o600)
print(errno.errorcode[ctypes.get_errno()] if made < 0 else "made")
"""

TOO_MANY = [11, True, [[16384, 16384], [0, 0], [300_000, 300_000]]]
"""What STARTS_TOO_MANY prints then: open files and dumps are limited by default."""


def site_software(folder: Path) -> dict[str, Any]:
    """Make a folder with software that servers on P2 get, and give its entry of `servers.mounts`."""
    folder.mkdir(parents=True)
    (folder / "version.txt").write_text("7.4")
    (folder / "version.txt").chmod(0o666)
    authorities = Authority(folder / "The Hospital").file.read_text() + Path(certifi.where()).read_text()
    (folder / "authorities.pem").write_text(authorities)
    return {"source": str(folder), "target": "/opt/site-software", "projects": ["P2"]}


def run_code(server: str, token: str, code: str, notebook: str | None = None) -> str:
    """Run code in a new kernel of the server at an address, a notebook's where one is named, and give what it prints."""
    headers = {"Authorization": f"token {token}"}
    made = requests.post(f"{server}/api/kernels", headers=headers, json={"path": notebook}, timeout=60)
    assert made.status_code == 201, made.text
    kernel = f"{server}/api/kernels/{made.json()['id']}"
    try:
        return run_cell(f"{kernel}/channels", code, header=[f"Authorization: token {token}"])
    finally:
        requests.delete(kernel, headers=headers, timeout=60)


def run_cell(channels: str, code: str, **connection) -> str:
    """Run code that prints something in a kernel, through its websocket, and give that.

    `connection`: what else websocket-client shall open it with.
    """
    channel = websocket.create_connection(channels.replace("http", "ws", 1), timeout=60, **connection)
    message_id = uuid.uuid4().hex
    header = {
        "msg_id": message_id,
        "msg_type": "execute_request",
        "version": "5.3",
        "username": "",
        "session": "",
    }
    content = {
        "code": code,
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
    }
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    text, ended = "", False
    try:
        channel.send(json.dumps(message))
        # The output may come a moment after the end.
        while not (ended and text):
            reply = json.loads(channel.recv())
            if reply["parent_header"].get("msg_id") != message_id:
                continue
            if reply["msg_type"] == "stream":
                text += reply["content"]["text"]
            elif reply["msg_type"] == "error":
                raise AssertionError("\n".join(reply["content"]["traceback"]))
            elif reply["msg_type"] == "status":
                ended = reply["content"]["execution_state"] == "idle"
        return text
    finally:
        channel.close()
