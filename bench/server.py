"""Answers whatever it is asked with 200, in the place of users' servers; prints its port."""

import asyncio

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.netutil import bind_sockets


def answer(request: HTTPServerRequest) -> None:
    """Answer with a word."""
    assert request.connection
    headers = HTTPHeaders({"Content-Length": "2"})
    request.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), headers, b"ok")
    request.connection.finish()


async def serve() -> None:
    """Serve until killed."""
    sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
    HTTPServer(answer).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
