"""A registry that takes every connection and never says a word, as one behind a bad network does."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.support import free_port


class Tarpit:
    """`with Tarpit() as tarpit`: its images begin with `tarpit.host`."""

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self.host = f"127.0.0.1:{self.port}"
        self._held: list[socket.socket] = []

    def __enter__(self) -> Tarpit:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._take, daemon=True).start()
        return self

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._held.append(self._listener.accept()[0])

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for each in self._held:
            each.close()
