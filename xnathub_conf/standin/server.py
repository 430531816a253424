"""The HTTP server: sends answers, lets faults act, records requests, and runs in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from .answer import Answer
from .auth import COOKIE, Caller, identify
from .faults import Faults
from .launches import Launches
from .pages import page_answer
from .plugin import HubLink
from .request_log import Request, RequestLog
from .rest import rest_answer
from .starts import is_start, start_answer
from .state import State

_REST = re.compile(r"/xapi/.*|/data/(JSESSION.*|projects|projects/[^/]+/experiments)", re.DOTALL)


class StandIn:
    """A stand-in for XNAT on `host` and `port` (0: any free one); with a certificate and key, over HTTPS.

    `hub` is the JupyterHub that its page starts servers on; it may be set later. `state`, `faults` and
    `requests` may be used from any thread, before the start and while it serves. As a context manager it
    serves inside the block.
    """

    def __init__(
        self,
        state: State,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        certfile: str | Path | None = None,
        keyfile: str | Path | None = None,
        hub: HubLink | None = None,
    ) -> None:
        self.state = state
        self.faults = Faults()
        self.requests = RequestLog()
        self.launches = Launches(state, hub)
        self.secure = certfile is not None
        self._host = host
        self._port = port
        self._tls = _tls(certfile, keyfile) if certfile is not None else None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def hub(self) -> HubLink | None:
        """The hub that the page starts servers on."""
        return self.launches.hub

    @hub.setter
    def hub(self, hub: HubLink | None) -> None:
        self.launches.hub = hub

    @property
    def url(self) -> str:
        """The address it serves on, without a slash at its end; the port is 0 before the first start."""
        return f"{'https' if self.secure else 'http'}://{self._host}:{self._port}"

    @property
    def serving(self) -> bool:
        """Whether it serves."""
        return self._thread is not None

    def start(self) -> None:
        """Serve from a thread of its own; returns once it listens.

        OSError when the port can't be had, RuntimeError when it serves already.
        """
        if self._thread is not None:
            raise RuntimeError("the stand-in serves already")
        sockets = bind_sockets(self._port, self._host, family=socket.AF_INET)
        self._port = sockets[0].getsockname()[1]
        self.state.site_url = self.state.site_url or self.url
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(sockets, ready)), name="xnat-stand-in", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Stop serving and close every connection; does nothing when it doesn't serve."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self, sockets: list[socket.socket], ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        application = Application([(r".*", _Handler, {"standin": self})], log_function=lambda _handler: None)
        server = HTTPServer(application, ssl_options=self._tls)
        server.add_sockets(sockets)
        ready.set()
        await self._stopping.wait()
        server.stop()
        await server.close_all_connections()


def _tls(certfile: str | Path, keyfile: str | Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile)
    return context


class _Handler(RequestHandler):
    def initialize(self, standin: StandIn) -> None:
        self.standin = standin

    async def _respond(self) -> None:
        started = time.time()
        caller, answer = await self._answer()
        self.standin.requests.add(
            Request(
                method=self.request.method,
                path=self.request.path,
                who=caller.user.name if caller.user else None,
                how=caller.how,
                opened_session=caller.opened,
                status=answer.status,
                at=started,
                seconds=time.time() - started,
            )
        )
        # The client may go away at any moment, above all while a fault is playing with it.
        with contextlib.suppress(StreamClosedError):
            await self._send(answer)

    get = post = delete = put = head = _respond

    async def _answer(self) -> tuple[Caller, Answer]:
        standin, request = self.standin, self.request
        faults = standin.faults.take(request.path)
        for fault in faults:
            await fault.before(standin.state)
        for fault in faults:
            instead = fault.instead()
            if instead is not None:
                return Caller(), instead
        caller = identify(standin.state, request.headers.get("Authorization"), self.get_cookie(COOKIE))
        if caller.opened and caller.session is not None:
            self._set_session(caller.session.id)
        if is_start(request.method, request.path):
            answer = start_answer(standin.state, standin.hub, caller, request)
        elif _REST.fullmatch(request.path):
            answer = rest_answer(standin.state, request.method, request.path, caller)
        else:
            answer = await page_answer(standin.state, standin.launches, self, caller)
        for fault in faults:
            answer = fault.change(answer)
        return caller, answer

    def _set_session(self, session_id: str) -> None:
        self.set_cookie(COOKIE, session_id, path="/", httponly=True, secure=self.standin.secure)

    async def _send(self, answer: Answer) -> None:
        if answer.silent:
            closed = asyncio.Event()
            self.detach().set_close_callback(closed.set)
            await closed.wait()
            return
        self.set_status(answer.status)
        self.set_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        if answer.cut:
            self.set_header("Content-Length", str(len(answer.body) or 1))
            self.write(answer.body[: len(answer.body) // 2])
            await self.flush()
            self.detach().close()
        elif answer.pieces is not None:
            self.set_header("Content-Length", str(answer.length))
            for piece in answer.pieces:
                self.write(piece)
                await self.flush()
                await asyncio.sleep(answer.pause)
            await self.finish()
        else:
            await self.finish(answer.body or None)

    def compute_etag(self) -> None:
        """Never answer 304: a test wants each body."""

    def data_received(self, chunk: bytes) -> Any:
        """Unused: bodies are small and read whole."""
