"""What answers at the address of `doctor --against` may be anything: it is told in a line, and read no further than a hub's list goes."""

import asyncio
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.unit.helpers import MINIMAL, loaded
from xnathub_conf.cli.doctor import _Table
from xnathub_conf.doctor import old_hub
from xnathub_conf.doctor.examination import Examination
from xnathub_conf.doctor.old_hub import OldHubChecks
from xnathub_conf.values.secret import Secret

TOKEN = "letmein-" * 5


@contextmanager
def answering(answer):
    """Serve what `answer` makes of a path, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = answer(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def asked(answer):
    with answering(answer) as url:
        secret = Secret("env", "OLD")
        checks = OldHubChecks(Examination(loaded(MINIMAL), {"OLD": TOKEN}), url, secret, None)
        return asyncio.run(checks.answers())


def listing(*users, more=None):
    return json.dumps({"version": "4.0", "items": users, "_pagination": {"next": more}}).encode()


@pytest.mark.parametrize(
    "body",
    [b"", b"letmein", b"[" * 100_000, b"3", b'{"items": 3}', listing("alice"), listing({"name": 3}), listing({"name": "a" * 300}), listing({}),
     listing({"name": "a", "servers": [1]}), listing({"name": "a", "servers": {"": 3}}), listing({"name": "a"}, more={"offset": "x"}), listing({"name": "a"}, more=3)],
)  # fmt: skip
def test_an_answer_that_is_no_hub_s(body):
    finding = asked(lambda _path: body)
    assert finding.status == "failed"
    assert "letmein" not in finding.seen


def test_users_that_never_end(monkeypatch):
    monkeypatch.setattr(old_hub, "MOST_USERS", 1_000)

    def page(path):
        offset = int(re.search(r"offset=(\d+)", path)[1]) if "offset" in path else 0
        return listing(
            *({"name": f"u{offset + number}"} for number in range(100)), more={"offset": offset + 100}
        )

    assert "lists more than 1,000 users" in asked(page).seen


def test_a_page_that_is_its_own_next_one_ends_the_list():
    assert asked(lambda _path: listing({"name": "alice"}, more={"offset": 0})).status == "ok"


def test_what_an_old_hub_says_moves_no_cursor(capsys):
    finding = asked(lambda _path: json.dumps({"version": "4\x1b[2J\n9", "items": []}).encode())
    _Table(loaded(MINIMAL), ["old_hub.answers"]).add("old_hub.answers", finding)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"4\x1b[2J" in out
