"""The real proxy with the gate, and small servers behind it that keep every byte they get."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.support import ROOT, free_port, wait_until

MODULES = ROOT / "xnathub_conf" / "proxy"
USERS = ("alice", "bob")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class RawServer:
    """Answers each HTTP request it reads with its own name, and keeps what came in, byte by byte and by request.

    It takes a body's length as a careful server does, so that what is left over shows up as one more request. `answers`
    are more lines for an answer by its path, `exact` is all that it sends in place of any answer.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.raw = b""
        self.requests: list[bytes] = []
        self.answers: dict[bytes, list[str]] = {}
        self.exact: bytes | None = None
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            stream = _Recorder(connection, self)
            try:
                while head := stream.head():
                    body = stream.body(head)
                    with self.lock:
                        self.requests.append(head + body)
                    if self.reply(connection, head, body) == "upgraded":
                        while stream.more():
                            pass
                        return
            except (ConnectionError, ValueError):
                return

    def reply(self, connection: socket.socket, head: bytes, body: bytes) -> str:
        if self.exact is not None:
            connection.sendall(self.exact)
            connection.shutdown(socket.SHUT_WR)
            return ""
        lines = self.answers.get(head.split(b" ")[1].split(b"?")[0], [])
        if b"upgrade: websocket" in head.lower():
            extra = "".join(f"{line}\r\n" for line in lines)
            connection.sendall(
                f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{extra}\r\n".encode()
            )
            connection.sendall(f"hello from {self.name}".encode())
            return "upgraded"
        text = f"answer of {self.name} to {head.split(b' ')[1].decode('latin-1')}".encode()
        if b"/slow" in head.split(b"\r\n")[0]:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for _ in range(600):
                connection.sendall(b"5\r\ntick\n\r\n")
                time.sleep(0.1)
        extra = "".join(f"{line}\r\n" for line in lines)
        length = 0 if head.startswith(b"HEAD ") else len(text)
        connection.sendall(
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n{extra}\r\n".encode() + text[:length]
        )
        return ""

    def forget(self) -> None:
        with self.lock:
            self.raw, self.requests = b"", []

    def close(self) -> None:
        self.listener.close()


class _Recorder:
    def __init__(self, connection: socket.socket, server: RawServer) -> None:
        self.connection, self.server, self.buffer = connection, server, b""

    def more(self) -> bytes:
        data = self.connection.recv(65536)
        with self.server.lock:
            self.server.raw += data
        self.buffer += data
        return data

    def take(self, end: int) -> bytes:
        while len(self.buffer) < end:
            if not self.more():
                raise ConnectionError
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data

    def line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            if not self.more():
                raise ConnectionError
        return self.take(self.buffer.index(b"\r\n") + 2)

    def head(self) -> bytes:
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                return b""
        return self.take(self.buffer.index(b"\r\n\r\n") + 4)

    def body(self, head: bytes) -> bytes:
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            body = b""
            while size := int(self.line().split(b";")[0], 16):
                body += self.take(size)
                self.take(2)
            while self.line() != b"\r\n":
                pass
            return body
        return self.take(int(fields.get(b"content-length", b"0")))


class RawHub(RawServer):
    """A hub with an answer to `gate/renew`: `say` is what it gives, a status and a cookie.

    Also to `gate/token`: `tokens` are those that it knows, None where it can't tell.
    """

    say = (403, "")
    tokens: Set[str] | None = frozenset()
    delay = 0.0

    def reply(self, connection, head, body):
        if b"/hub/gate/token" in head.split(b"\r\n")[0]:
            time.sleep(self.delay)
            known = self.tokens is not None and json.loads(body)["token"] in self.tokens
            status = 500 if self.tokens is None else 204 if known else 403
            length = "" if known else "Content-Length: 0\r\n"
            connection.sendall(f"HTTP/1.1 {status} X\r\n{length}\r\n".encode())
            return ""
        if b"/hub/gate/renew" not in head.split(b"\r\n")[0]:
            return super().reply(connection, head, body)
        time.sleep(self.delay)
        status, cookie = self.say
        text = json.dumps({"cookie": cookie})
        connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        return ""

    @property
    def renewals(self) -> list[dict]:
        return self._asked(b"/gate/renew")

    @property
    def asked_tokens(self) -> list[str]:
        return [each["token"] for each in self._asked(b"/gate/token")]

    def _asked(self, path: bytes) -> list[dict]:
        bodies = [each for each in self.requests if path in each.split(b"\r\n")[0]]
        return [json.loads(each.split(b"\r\n\r\n", 1)[1]) for each in bodies]


def find_command() -> list[str]:
    command = shutil.which("configurable-http-proxy")
    assert command, "scripts/setup installs configurable-http-proxy"
    return ["node", str(Path(command).resolve())]


@dataclass
class Proxy:
    """configurable-http-proxy before a hub and alice's and bob's servers; with `gate` as shipped, without as upstream."""

    folder: Path
    gate: bool = True
    options: dict = field(default_factory=dict)

    def __enter__(self) -> Proxy:
        self.key = secrets.token_bytes(32)
        self.epochs = {name: secrets.token_hex(8) for name in USERS}
        self.hub = RawHub("the hub")
        self.servers = {name: RawServer(name) for name in USERS}
        self.service = RawServer("a service")
        self.port, self.api_port = free_port(), free_port()
        self.token = secrets.token_hex(16)
        node, script = find_command()
        flags = ["--import", str(MODULES / "gate.mjs")] if self.gate else []
        self.log = self.folder / f"proxy-{self.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    node,
                    *self.options.get("node", []),
                    *flags,
                    script,
                    "--ip=127.0.0.1",
                    f"--port={self.port}",
                    "--api-ip=127.0.0.1",
                    f"--api-port={self.api_port}",
                    f"--default-target=http://127.0.0.1:{self.hub.port}",
                    "--log-level=info",
                ],
                env={"CONFIGPROXY_AUTH_TOKEN": self.token, "PATH": os.environ["PATH"]},
                stdout=log,
                stderr=log,
            )
        wait_until(self._up, 20, "the proxy's start")
        for name in USERS:
            self.route(name)
        self.api("POST", "/routes/jupyterhub/services/s", {"target": self._url(self.service), "service": "s"})
        if self.gate and self.options.get("configured", True):
            self.configure()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)
        for server in (self.hub, self.service, *self.servers.values()):
            server.close()

    def _up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.api("GET", "/routes").ok
        except requests.RequestException:
            return False

    @staticmethod
    def _url(server: RawServer) -> str:
        return f"http://127.0.0.1:{server.port}"

    def api(self, method: str, path: str, data: object = None) -> requests.Response:
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(
            method, f"http://127.0.0.1:{self.api_port}/api{path}", json=data, headers=headers, timeout=10
        )

    def configure(self, **changes: object) -> None:
        settings = {
            "key": base64.b64encode(self.key).decode(),
            "base_url": "/jupyterhub/",
            "hub_prefix": "/jupyterhub/hub/",
            "bind_session": True,
            "own_host": False,
            "xnat_url": "https://xnat.example.org",
            "recheck": 30,
            "secure": False,
            **self.options.get("settings", {}),
            **changes,
        }
        assert self.api("POST", "/gate", settings).status_code == 201

    def route(self, name: str) -> None:
        data = {
            "target": self._url(self.servers[name]),
            "user": name,
            "server_name": "",
            "gate": self.epochs[name],
        }
        if host := self.options.get("hosts", {}).get(name):
            data["host"] = host
        assert self.api("POST", f"/routes/jupyterhub/user/{name}", data).status_code == 201

    def sign(self, text: str) -> bytes:
        return hmac.new(self.key, text.encode(), hashlib.sha256).digest()

    def pass_for(self, name: str, session: str | None = None, **changes: object) -> str:
        """Return the value of the cookie that the hub sets for a browser signed in as `name`."""
        now = time.time()
        mark = self.sign(f"session:{session}").hex()[:16] if session else ""
        data = {
            "u": name,
            "e": self.epochs.get(name, ""),
            "s": mark,
            "t": int(now),
            "x": int(now) + 3600,
            **changes,
        }
        body = b64(json.dumps(data).encode())
        return f"{body}.{b64(self.sign(f'xnathub-gate:{body}'))}"

    def send(
        self,
        *pieces: bytes,
        wait: float = 0.7,
        pause: float = 0.05,
        port: int | None = None,
        silent: bool = False,
        answers: int = 1,
    ) -> bytes:
        """Send bytes over one connection, piece by piece, and give all that comes back.

        So many answers are waited for, `silent` where none may come; then nothing may come for `wait` seconds.
        """
        with socket.create_connection(("127.0.0.1", port or self.port), timeout=10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for number, piece in enumerate(pieces):
                    if number:
                        time.sleep(pause)
                    connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass
            got = b""
            try:
                while True:
                    # A busy machine may be late.
                    late = not silent and got.count(b"HTTP/1.1 ") < answers
                    connection.settimeout(max(wait, 10) if late else wait)
                    if not (data := connection.recv(65536)):
                        break
                    got += data
            except (TimeoutError, ConnectionResetError):
                pass
            return got

    def get(self, path: str, *headers: str, method: str = "GET", body: bytes = b"", wait: float = 3) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, wait=wait)
