"""A registry that takes every connection and never says a word, as one behind a bad network does."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.support import free_port


class Tarpit:
    """`with Tarpit() as tarpit`: its images begin with `tarpit.host`.

    Its port is its own from the start, though nothing listens there before it is entered.
    """

    def __init__(self) -> None:
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = free_port()
        self._place.bind(("127.0.0.1", self.port))
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
        # A call that waits in accept() would go on listening.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._held:
            each.close()
