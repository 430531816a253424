"""The end of a server's own log, for whoever wants to know why it did not start: a few short lines, without secrets."""

import re
from collections.abc import Mapping
from urllib.parse import quote

MOST_LINES = 50
MOST_BYTES = 64 * 1024
"""How much of a log is read: what a server says is its user's affair, and may be anything."""

_MOST_CHARACTERS = 240
_TAKEN_OUT = "***"
_SECRET_NAME = re.compile(r"pass|secret|token|key|cred|auth|cookie|XNAT_USER", re.IGNORECASE)
_SHORTEST_SECRET = 4

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")
_SAID = (
    re.compile(
        r"(?i)((?:token|password|passwd|secret|api_?key|code|state)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;]+"
    ),
    re.compile(r"(?i)((?:authorization|cookie)[\"']?\s*:\s*).+"),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)\S+"),
    re.compile(r"(://)[^/\s@]+(?=@)"),
)
"""What programs write in front of secrets, the hub's own words in addresses among them."""


def last_lines(log: bytes, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return up to 50 of a log's last lines that say something, of 240 characters at most.

    What the server was given in variables whose names tell of a secret is taken out, and what looks like one.
    """
    text = log.decode("utf-8", "replace")
    for secret in _secrets(environment):
        text = text.replace(secret, _TAKEN_OUT)
    text = _ESCAPES.sub("", text)
    lines = []
    for line in text.splitlines():
        said = "".join(c if c.isprintable() else " " for c in line).strip()
        for pattern in _SAID:
            said = pattern.sub(rf"\1{_TAKEN_OUT}", said)
        if said:
            lines.append(said if len(said) <= _MOST_CHARACTERS else f"{said[:_MOST_CHARACTERS]}...")
    return tuple(lines[-MOST_LINES:])


def _secrets(environment: Mapping[str, str]) -> list[str]:
    """Return the secrets of a server's variables in the forms they are written in, the longest first."""
    values = {
        value
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET
    }
    return sorted(values | {quote(value, safe="") for value in values}, key=len, reverse=True)
