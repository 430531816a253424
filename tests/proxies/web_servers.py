"""Real web servers that run from the shipped files, with only their example values changed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from tests.support import ROOT, cannot_test, free_port, install, wait_until

SHIPPED = ROOT / "reverse-proxy"
KINDS = ["nginx", "haproxy", "caddy", "traefik"]
_TRAEFIK = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xnathub-traefik"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin:{_TRAEFIK}/bin"


def install_web_servers(kinds: Sequence[str] = KINDS, layer: str = "proxies") -> None:
    """Make sure of the web servers that a layer of the tests needs."""
    if "traefik" in kinds:
        _install_traefik(layer)
    missing = [name for name in kinds if name != "traefik" and not shutil.which(name, path=PATH)]
    if not missing:
        return
    install(layer, *missing)
    if Path("/run/systemd/system").is_dir():
        # Nothing but the tests wants them, and port 80 may be wanted by others.
        root = [] if os.getuid() == 0 else ["sudo", "-n"]
        subprocess.run([*root, "systemctl", "disable", "--now", *missing], check=True)


def _install_traefik(layer: str) -> None:
    """Make sure of the pinned Traefik, which Debian hasn't: the package index has its published program."""
    lock = ROOT / "requirements" / "traefik.lock"
    _TRAEFIK.mkdir(parents=True, exist_ok=True)
    with (_TRAEFIK / "installing").open("w") as installing:
        fcntl.flock(installing, fcntl.LOCK_EX)
        made = _TRAEFIK / "made-of"
        if made.exists() and made.read_text() == lock.read_text():
            return
        made.unlink(missing_ok=True)
        uv = Path(sys.executable).with_name("uv")
        how = ["--quiet", "--no-cache", "--upgrade", "--require-hashes"]
        done = subprocess.run(
            [uv, "pip", "install", *how, "--python", sys.executable, "--target", _TRAEFIK, "-r", lock],
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
        if done.returncode:
            cannot_test(layer, f"Traefik can't be had:\n{done.stderr[-1000:]}")
        made.write_text(lock.read_text())


def make_certificate(folder: Path) -> None:
    """Make fullchain.pem, privkey.pem, and site.pem with both, for localhost, names below it and 127.0.0.1."""
    cert, key = folder / "fullchain.pem", folder / "privkey.pem"
    names = "subjectAltName=DNS:localhost,DNS:xnat.localhost,DNS:jupyter.localhost,DNS:*.jupyter.localhost,IP:127.0.0.1"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext {names}"
    subprocess.run([*command.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    (folder / "site.pem").write_text(cert.read_text() + key.read_text())


class WebServer:
    """One web server before an XNAT and a hub (`host:port` each); `folder` has the certificate. A context manager.

    `hurry` has it wait for seconds where the shipped file says hours.
    """

    def __init__(
        self, kind: str, folder: Path, xnat: str, hub: str, port: int | None = None, *, hurry: bool = False
    ) -> None:
        self.hurry = hurry
        self.kind, self.folder, self.xnat, self.hub = kind, folder, xnat, hub
        self.port, self.plain_port = port or free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self.ca = str(folder / "fullchain.pem")
        self.log = folder / f"{kind}-{self.port}.log"

    def shipped(self, name: str) -> str:
        """Return a shipped file with its example values replaced."""
        return self.with_values((SHIPPED / name).read_text())

    def with_values(self, text: str) -> str:
        """Return a web server's settings with the tests' addresses, ports and folders in place of the example's."""
        changes = {
            "127.0.0.1:8080": self.xnat,
            "127.0.0.1:8000": self.hub,
            "/etc/ssl/xnat": str(self.folder),
            "/var/log/nginx": str(self.folder),
            "xnat.example.org": "localhost",
            "listen 443": f"listen {self.port}",
            "listen 80": f"listen {self.plain_port}",
            "bind :443": f"bind :{self.port}",
            "bind :80": f"bind :{self.plain_port}",
            '":443"': f'":{self.port}"',
            '":80"': f'":{self.plain_port}"',
            "/etc/traefik": str(self.folder),
            **({" 6h\n": " 5s\n"} if self.hurry else {}),
        }
        for old, new in changes.items():
            text = text.replace(old, new)
        return text

    def _command(self) -> list[str | Path]:
        folder = self.folder
        if self.kind == "nginx":
            (folder / "site.conf").write_text(self.shipped("nginx.conf"))
            # What /etc/nginx/nginx.conf holds around the shipped file, with every path in the tests' folder.
            user = "user root;" if os.getuid() == 0 else ""
            kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            paths = " ".join(f"{each}_temp_path {folder}/{each};" for each in kinds)
            (folder / "nginx.conf").write_text(
                f"daemon off; {user} pid {folder}/pid; error_log stderr; events {{}}\n"
                f"http {{ access_log off; {paths} include {folder}/site.conf; }}\n"
            )
            return ["nginx", "-e", "stderr", "-c", folder / "nginx.conf"]
        if self.kind == "haproxy":
            text = self.shipped("haproxy.cfg")
            if os.getuid():
                # Only root can become someone else.
                text = text.replace("    user haproxy\n    group haproxy\n", "")
            (folder / "haproxy.cfg").write_text(text)
            return ["haproxy", "-db", "-f", folder / "haproxy.cfg"]
        if self.kind == "traefik":
            for name in ("traefik.yml", "traefik-xnat.yml"):
                (folder / name).write_text(self.shipped(name))
            return ["traefik", f"--configFile={folder}/traefik.yml"]
        ports = f"http_port {self.plain_port}\n\thttps_port {self.port}\n\tstorage file_system {folder}/caddy"
        (folder / "Caddyfile").write_text(
            self.shipped("Caddyfile").replace(
                "{\n\tservers {", f"{{\n\tadmin off\n\t{ports}\n\tservers {{", 1
            )
        )
        return ["caddy", "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]

    def __enter__(self) -> WebServer:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                # Caddy keeps its state at home.
                env={
                    **os.environ,
                    "PATH": PATH,
                    "HOME": str(self.folder),
                    "XDG_CONFIG_HOME": str(self.folder),
                },
            )
        try:
            wait_until(self._answers, 20, f"{self.kind}'s start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/jupyterhub/hub/health").status_code == 200
        except requests.RequestException:
            return False

    def get(self, path: str, **kwargs) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(self.url + path, verify=self.ca, timeout=30, **kwargs)


class Echo:
    """A web server that answers each GET with its own name, the path and the headers that reached it."""

    def __init__(self, name: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got = self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET(len(got))

            def do_GET(self, length: int = 0) -> None:
                seen = {key.lower(): self.headers.get_all(key) for key in self.headers}
                body = json.dumps(
                    {"name": name, "path": self.path, "headers": seen, "length": length}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Content-Type-Options", "nosniff")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Echo:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
