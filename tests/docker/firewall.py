"""The node's firewall, as docs/networks.md has it, and a host that stands for a cloud's metadata."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator

from tests.docker.testbed import command, wait_for
from tests.support import ROOT

METADATA = "169.254.77.2"
"""A link-local address as that of a cloud's metadata, where a small web server answers beyond the node."""

REAL_METADATA = "169.254.169.254"
"""Where a cloud answers, and so may answer the machine that the tests run on."""

_ANSWERS = """\
import http.server as h
class H(h.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header('Content-Security-Policy', 'x'); self.end_headers()
h.HTTPServer(('', 80), H).serve_forever()
"""


@contextlib.contextmanager
def metadata_service() -> Iterator[None]:
    """Put a host beside the node, with a web server that answers with a header of Jupyter's own."""
    name = f"xhtest{uuid.uuid4().hex[:5]}"
    command("ip", "netns", "add", name)
    try:
        for words in (
            f"link add {name}a type veth peer name {name}b netns {name}",
            f"addr add {METADATA.rpartition('.')[0]}.1/30 dev {name}a",
            f"link set {name}a up",
            f"-n {name} addr add {METADATA}/30 dev {name}b",
            f"-n {name} link set {name}b up",
            f"-n {name} route add default via {METADATA.rpartition('.')[0]}.1",
        ):
            command("ip", *words.split())
        web = subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", _ANSWERS])
        try:
            wait_for(_answers, 120)
            yield
        finally:
            web.kill()
            web.wait()
    finally:
        command("ip", "netns", "delete", name)


@contextlib.contextmanager
def rule(chain: str, *words: str, table: str = "filter") -> Iterator[None]:
    """Put a rule first in a chain of the node's firewall."""
    command("iptables", "-t", table, "-I", chain, *words)
    try:
        yield
    finally:
        command("iptables", "-t", table, "-D", chain, *words)


def _answers() -> bool:
    with contextlib.suppress(OSError), socket.create_connection((METADATA, 80), timeout=2):
        return True
    return False


@contextlib.contextmanager
def firewall(port: int) -> Iterator[None]:
    """Apply the rules that docs/networks.md gives for a node, to this port."""
    text = (ROOT / "docs" / "networks.md").read_text()
    rules = [line.split("#")[0].split() for line in text.splitlines() if line.startswith("iptables -")]
    assert len(rules) == 5
    rules = [[word if word != "8000" else str(port) for word in rule] for rule in rules]
    done: list[list[str]] = []
    try:
        for rule in rules:
            command(*rule)
            done.append(rule)
        yield
    finally:
        for rule in done:
            command(*("-D" if word == "-I" else word for word in rule))
