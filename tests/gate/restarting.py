"""A hub that can go away and come back, behind the proxy."""

import contextlib
import socket
import threading

from tests.gate.servers import Proxy, RawHub


class Restarting(RawHub):
    """A hub that can go away and come back at the same port."""

    def __init__(self, name: str) -> None:
        self.open: set[socket.socket] = set()
        self.is_away = False
        super().__init__(name)

    def _serve(self, connection: socket.socket) -> None:
        # One that was accepted a moment ago may come after all have been closed.
        with self.lock:
            self.open.add(connection)
            late = self.is_away
        if late:
            connection.close()
        else:
            super()._serve(connection)

    def go(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            self.is_away = True
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.open.clear()

    def come_back(self) -> None:
        self.is_away = False
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=200)
        threading.Thread(target=self._accept, daemon=True).start()


def take_restarting_hub(proxy: Proxy) -> Restarting:
    """Put a hub that can go away and come back in the place of a proxy's hub, and return it."""
    proxy.hub.close()
    proxy.hub = hub = Restarting("the hub")
    route = {"target": f"http://127.0.0.1:{hub.port}", "hub": True}
    assert proxy.api("POST", "/routes/jupyterhub/hub", route).status_code == 201
    return hub
