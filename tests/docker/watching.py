"""What is open to a user's server, and calls to it and to the hub, watched while the hub starts anew.

XNATHUB_KERNELS and XNATHUB_REDEPLOYS say how many kernels are watched, and how often the hub is deployed anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable

import requests
import websocket

from tests.docker.testbed import wait_for

KERNELS = int(os.environ.get("XNATHUB_KERNELS", "1"))
REDEPLOYS = int(os.environ.get("XNATHUB_REDEPLOYS", "1"))
LONGEST_WAIT = 20
"""Seconds that requests to the hub wait for it: what comes later may be refused."""

COUNTS = "import time\nfor number in range(100_000):\n    print(number, flush=True)\n    time.sleep(0.1)\n"


class Again:
    """Calls something again and again, and keeps how each call ended."""

    def __init__(self, call: Callable[[], requests.Response]) -> None:
        self.call, self.ended = call, threading.Event()
        self.found: list[tuple[str, float]] = []
        self.thread = threading.Thread(target=self._go)
        self.thread.start()

    def _go(self) -> None:
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                answer = self.call()
                said = "" if answer.ok else f"{answer.status_code} {answer.text[:200]}"
            except requests.RequestException as error:
                said = repr(error)
            self.found.append((said, time.monotonic() - began))
            time.sleep(0.05)

    def end(self) -> list[tuple[str, float]]:
        """Return the calls that failed, with the seconds that each took."""
        self.ended.set()
        self.thread.join()
        assert self.found
        print(f"{len(self.found)} calls, the longest {max(took for _, took in self.found):.1f} s")
        return [(said, took) for said, took in self.found if said]

    def end_of_calls_to_the_hub(self) -> list[tuple[str, float]]:
        """Return the calls that failed, but for those that waited as long as they may: a busy machine's hub takes longer."""
        return [
            (said, took)
            for said, took in self.end()
            if took < LONGEST_WAIT - 1 or not said.startswith("503 ")
        ]


def read_by_a_browser(browser: requests.Session, server: str) -> int:
    """Return how far the kernel of a server is by what a browser reads, which opens a websocket of its own by its cookies."""
    (running,) = browser.get(f"{server}/api/kernels", timeout=30).json()
    assert running["execution_state"] == "busy"
    url = f"{server}/api/kernels/{running['id']}/channels"
    cookie = requests.Request("GET", url, cookies=browser.cookies).prepare().headers["Cookie"]
    origin = "/".join(server.split("/")[:3])
    channel = websocket.create_connection(
        url.replace("http", "ws", 1), timeout=60, cookie=cookie, origin=origin
    )
    with contextlib.closing(channel):
        while (message := json.loads(channel.recv()))["msg_type"] != "stream":
            pass
    return int(message["content"]["text"].split()[0])


class Kernel:
    """A kernel that counts aloud, over one websocket."""

    def __init__(self, server: str, token: str) -> None:
        header = {"Authorization": f"token {token}"}
        made = requests.post(f"{server}/api/kernels", headers=header, timeout=60)
        assert made.status_code == 201, made.text
        url = f"{server}/api/kernels/{made.json()['id']}/channels".replace("http", "ws", 1)
        self.channel = websocket.create_connection(url, timeout=60, header=[f"Authorization: token {token}"])
        message = {
            "header": {"msg_id": "1", "msg_type": "execute_request", "version": "5.3", "username": "", "session": ""},
            "content": {"code": COUNTS, "silent": False, "store_history": False, "user_expressions": {}},
            "parent_header": {}, "metadata": {}, "channel": "shell",
        }  # fmt: skip
        self.channel.send(json.dumps(message))
        self.said = ""
        self.error: Exception | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                message = json.loads(self.channel.recv())
                if message["msg_type"] == "stream":
                    self.said += message["content"]["text"]
        except Exception as error:  # noqa: BLE001 - whatever ends it is told
            self.error = error

    def count(self) -> int:
        """Return how far it is, having left out nothing."""
        assert self.error is None, repr(self.error)
        numbers = [int(line) for line in self.said.split("\n")[:-1]]
        assert numbers == list(range(len(numbers)))
        return len(numbers)

    def counts_on(self) -> None:
        before = self.count()
        wait_for(lambda: self.count() > before, 120)
