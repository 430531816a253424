"""One HTTP answer as data, so that rules can make it and faults can change it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

JSON = "application/json"
HTML = "text/html;charset=UTF-8"
TEXT = "text/plain;charset=UTF-8"
LOGIN_PATH = "/app/template/Login.vm"


@dataclass(frozen=True)
class Answer:
    """Status, body and headers; the last five fields are for faults.

    `pieces` are sent instead of the body, `length` bytes in all, with `pause` seconds between two; `cut`
    closes the connection half-way through the body, `silent` sends nothing at all.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Iterator[bytes] | None = None
    length: int | None = None
    pause: float = 0
    cut: bool = False
    silent: bool = False


def json_answer(value: object) -> Answer:
    """Answer 200 with a value as JSON."""
    return Answer(body=json.dumps(value).encode(), content_type=JSON)


def text_answer(text: str) -> Answer:
    """Answer 200 with plain text."""
    return Answer(body=text.encode(), content_type=TEXT)


def error(status: int, sentence: str) -> Answer:
    """Answer an error as XNAT's servlet container does: an HTML page with one sentence."""
    head = f"<!doctype html><html><head><title>Error {status}</title></head>"
    body = f"<body><h1>Error {status}</h1><p>{sentence}</p></body></html>"
    headers = {"WWW-Authenticate": 'Basic realm="XNAT Protected Area"'} if status == 401 else {}
    return Answer(status, (head + body).encode(), headers=headers)


def redirect(location: str, status: int = 302) -> Answer:
    """Answer a redirect."""
    return Answer(status, headers={"Location": location})
