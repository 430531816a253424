"""The shipped reverse-proxy files, in front of a real hub: nginx, HAProxy and Caddy for real, Traefik's for its form."""

import json
import os
import re
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import pytest
import requests
import websocket
import yaml

from tests.support import RunningHub, Visitor, free_port, new_standin, page_text, wait_until

SHIPPED = Path(__file__).parents[2] / "reverse-proxy"
PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "caddy": "caddy"}


def install() -> None:
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if not missing:
        return
    sudo = [] if os.getuid() == 0 else ["sudo"]
    # A package's own service would take port 80.
    environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
    ):
        done = subprocess.run([*sudo, *environment, *command], capture_output=True, text=True)
        if done.returncode:
            reason = f"no reverse proxies to test with: {done.stderr[-1000:]}"
            if "proxies" in os.environ.get("XNATHUB_SKIP_LAYERS", "").split(","):
                pytest.skip(f"SKIPPED ON REQUEST (XNATHUB_SKIP_LAYERS): {reason}")
            pytest.fail(f"{reason}\nXNATHUB_SKIP_LAYERS=proxies skips these tests.", pytrace=False)


class Proxied:
    """A hub, a stand-in XNAT and one proxy in front of both, from its shipped file with only the CHANGE lines changed."""

    def __init__(self, kind: str, folder: Path):
        self.kind, self.folder = kind, folder
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self.xnat = new_standin()
        self.xnat.start()
        self.hub = RunningHub(folder, self.xnat, {"hub": {"public_url": f"{self.url}/jupyterhub/"}}).start()
        self.certificate()
        self.process = self.start()
        wait_until(self.answers, 20, f"{kind}'s start")

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "proxy.log").read_text()
        try:
            return self.get("/jupyterhub/hub/health").status_code == 200
        except requests.ConnectionError:
            return False

    def get(self, path: str, **kwargs) -> requests.Response:
        return requests.get(self.url + path, verify=self.ca, timeout=30, **kwargs)

    def certificate(self) -> None:
        cert, key = self.folder / "fullchain.pem", self.folder / "privkey.pem"
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-days",
                    "1",
                    "-subj",
                    "/CN=localhost",
                ),
                *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert),
            ],
            check=True,
            capture_output=True,
        )
        (self.folder / "site.pem").write_text(cert.read_text() + key.read_text())
        self.ca = str(cert)

    def shipped(self, name: str) -> str:
        text = (SHIPPED / name).read_text()
        changes = {
            "127.0.0.1:8080": self.xnat.url.removeprefix("http://"),
            "127.0.0.1:8000": f"127.0.0.1:{self.hub.port}",
            "/etc/ssl/xnat": str(self.folder),
            "xnat.example.org": "localhost",
            "listen 443": f"listen {self.port}",
            "listen 80": f"listen {self.plain_port}",
            "bind :443": f"bind :{self.port}",
            "bind :80": f"bind :{self.plain_port}",
        }
        for old, new in changes.items():
            text = text.replace(old, new)
        return text

    def start(self) -> subprocess.Popen:
        folder = self.folder
        if self.kind == "nginx":
            (folder / "site.conf").write_text(self.shipped("nginx.conf"))
            (folder / "nginx.conf").write_text(
                f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n"
                f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
                f"include {folder}/site.conf; }}\n"
            )
            command = ["nginx", "-c", folder / "nginx.conf"]
        elif self.kind == "haproxy":
            (folder / "haproxy.cfg").write_text(self.shipped("haproxy.cfg"))
            command = ["haproxy", "-f", folder / "haproxy.cfg", "-db"]
        else:
            head = f"{{\n\tadmin off\n\thttp_port {self.plain_port}\n\thttps_port {self.port}\n\tstorage file_system {folder}/caddy\n}}\n"
            (folder / "Caddyfile").write_text(head + self.shipped("Caddyfile"))
            command = ["caddy", "run", "--config", folder / "Caddyfile"]
        with (folder / "proxy.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.hub.stop()
        self.xnat.stop()

    def visitor(self) -> Visitor:
        visitor = Visitor(f"{self.url}/jupyterhub")
        visitor.verify = self.ca
        return visitor


@pytest.fixture(scope="module", params=list(PROGRAMS))
def proxied(request, tmp_path_factory):
    install()
    site = Proxied(request.param, tmp_path_factory.mktemp(request.param))
    yield site
    site.stop()


def test_xnat_at_the_root_and_the_hub_below(proxied):
    assert "stand-in" in page_text(proxied.get("/")).lower()
    assert "XNAT user name" in page_text(proxied.get("/jupyterhub/"))
    slash = proxied.get("/jupyterhub", allow_redirects=False)
    assert slash.status_code in {301, 302}
    assert slash.headers["Location"].endswith("/jupyterhub/")
    assert "XNAT user name" not in page_text(proxied.get("/jupyterhubx"))


def test_plain_http_is_sent_to_https(proxied):
    answer = requests.get(f"http://localhost:{proxied.plain_port}/x", allow_redirects=False, timeout=20)
    assert answer.status_code in {301, 308}
    assert answer.headers["Location"].startswith("https://localhost")


def test_sign_in_over_https_with_secure_cookies(proxied):
    visitor = proxied.visitor()
    answer = visitor.sign_in("alice", proxied.xnat.state.user("alice").password)
    assert answer.status_code == 302
    assert visitor.is_signed_in_as("alice")
    cookies = [cookie for cookie in answer.raw.headers.getlist("Set-Cookie") if "hub-login" in cookie]
    assert cookies
    assert all("Secure" in cookie and "HttpOnly" in cookie for cookie in cookies)


def test_a_browser_signed_in_to_xnat_goes_straight_in(proxied):
    state = proxied.xnat.state
    visitor = proxied.visitor()
    visitor.get(
        f"{proxied.url}/xapi/users/username", auth=("Alice", state.user("Alice").password), timeout=20
    )
    visitor.get_page("/hub/login")
    assert visitor.is_signed_in_as("Alice")


def test_a_kernel_runs_a_cell_and_progress_and_uploads_pass(proxied):
    plugin, state = proxied.hub.plugin, proxied.xnat.state
    plugin.ensure_user("alice")
    token = plugin.token("alice", "test", 600)
    headers = {"Authorization": f"token {token}"}
    plugin.start("alice", state.launch("alice", "P1"))
    service = {"Authorization": f"token {proxied.hub.token}"}
    arrivals = []
    with proxied.get(
        "/jupyterhub/hub/api/users/alice/server/progress", headers=service, stream=True
    ) as stream:
        for line in stream.iter_lines():
            if line.startswith(b"data:"):
                arrivals.append((time.monotonic(), json.loads(line[5:])))
    server = plugin.wait_ready("alice")
    assert arrivals[-1][1].get("ready")
    if len(arrivals) > 1 and not arrivals[0][1].get("ready"):
        assert arrivals[0][0] < arrivals[-1][0] - 0.2, "the first event came with the last: something buffers"

    body = {"type": "file", "format": "text", "content": "x" * 20_000_000}
    path = f"{server['url']}api/contents/workspace/alice/large.txt"
    upload = requests.put(proxied.url + path, headers=headers, json=body, verify=proxied.ca, timeout=120)
    assert upload.status_code == 201
    uploaded = proxied.hub.folder / "workspaces/users/alice/large.txt"
    assert uploaded.stat().st_size == 20_000_000

    answer = run_cell(proxied, server["url"], headers, "print(6 * 7)")
    assert answer == "42\n"


def run_cell(proxied, server: str, headers: dict, code: str) -> str:
    kernel = requests.post(
        f"{proxied.url}{server}api/kernels", headers=headers, json={}, verify=proxied.ca, timeout=60
    ).json()
    channel = websocket.create_connection(
        f"{proxied.url.replace('https', 'wss')}{server}api/kernels/{kernel['id']}/channels",
        header=[f"{name}: {value}" for name, value in headers.items()],
        sslopt={"ca_certs": proxied.ca},
        timeout=60,
    )
    header = {
        "msg_id": uuid.uuid4().hex,
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
    channel.send(json.dumps(message))
    text = ""
    while True:
        reply = json.loads(channel.recv())
        if reply.get("parent_header", {}).get("msg_id") != header["msg_id"]:
            continue
        if reply["msg_type"] == "stream":
            text += reply["content"]["text"]
        if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle" and text:
            channel.close()
            return text


def test_a_browser_s_own_forwarding_headers_do_not_count(proxied):
    log_before = len(proxied.hub.log_since(0))
    proxied.get("/jupyterhub/hub/login", headers={"X-Forwarded-For": "203.0.113.9", "X-Scheme": "http"})
    assert "203.0.113.9" not in proxied.hub.log_since(log_before)


def test_traefik_s_file_has_the_form_that_traefik_wants():
    site = yaml.safe_load((SHIPPED / "traefik.yml").read_text())
    http = site["http"]
    for router in http["routers"].values():
        assert router["service"] in http["services"]
        assert all(name in http["middlewares"] for name in router.get("middlewares", ()))
        assert re.fullmatch(r"Host\(`[^`]+`\)( && Path(Prefix)?\(`[^`]+`\))?", router["rule"])
    assert http["middlewares"]["scheme"]["headers"]["customRequestHeaders"] == {"X-Scheme": "https"}
