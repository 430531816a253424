"""The pass of a browser, which the gate in the hub's proxy asks for before a user's server: a signed cookie.

The hub makes it, and xnathub_conf/proxy/signing.mjs checks it. It names one person; nobody's server ever receives it.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field

COOKIE = "xnathub-gate"
GRANT_SECONDS = 3600
"""For how long one may use another's server after having said so on the hub's page."""


@dataclass(frozen=True)
class Pass:
    """What a pass says.

    `epoch` is the user's current one: signing out changes it. `session` marks the XNAT session that the browser had, ""
    for none; `bound` says that it was the user's own. `checked` and `expires` are in seconds since 1970. `grants` says
    until when servers of others may be used, each as owner/name. `only` names the user's servers that it opens, None where all of them.
    """

    user: str
    epoch: str
    session: str
    checked: int
    expires: int
    bound: bool = False
    grants: dict[str, int] = field(default_factory=dict)
    only: tuple[str, ...] | None = None


class GateKey:
    """The key that hub and gate share, made from the hub's cookie secret, so that passes outlive a restart."""

    def __init__(self, cookie_secret: bytes):
        self.key = hmac.digest(cookie_secret, b"xnathub gate", "sha256")

    def _mark(self, text: str) -> str:
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()[:16]

    def epoch(self, cookie_id: str) -> str:
        """Return the epoch of a user with this `cookie_id`, which JupyterHub keeps and a sign-out renews."""
        return self._mark(f"epoch:{cookie_id}")

    def session_mark(self, session: str | None) -> str:
        """Return what a pass holds of an XNAT session, which it must not tell."""
        return self._mark(f"session:{session}") if session else ""

    @property
    def proxy_proof(self) -> str:
        """What the gate sends the hub with each request, and nobody else: what it says of the caller counts."""
        return _base64(hmac.digest(self.key, b"proxy", "sha256"))

    def write(self, about: Pass) -> str:
        """Return the cookie's value."""
        content: dict[str, object] = {
            "u": about.user, "e": about.epoch, "s": about.session, "t": about.checked, "x": about.expires,
        }  # fmt: skip
        if about.bound:
            content["b"] = 1
        if about.grants:
            content["f"] = about.grants
        if about.only is not None:
            content["o"] = about.only
        text = _base64(json.dumps(content, separators=(",", ":")).encode())
        return f"{text}.{_base64(self._signature(text))}"

    def ticket(self, about: Pass, state: str, host: str, until: int) -> str:
        """Return what the gate takes for a pass at a user's host, from the browser alone that it marked by `state`, until a time."""
        text = self.write(about).partition(".")[0]
        right = hmac.digest(self.key, f"ticket:{state}:{host}:{until}:{text}".encode(), "sha256")
        return f"{text}.{until}.{_base64(right)}"

    def read(self, cookie: str, now: float) -> Pass | None:
        """Return what a cookie says, or None where this hub did not write it or its time is over."""
        text, _, signature = cookie.partition(".")
        if not hmac.compare_digest(_base64(self._signature(text)), signature):
            return None
        content = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if content["x"] <= now:
            return None
        return Pass(
            content["u"],
            content["e"],
            content["s"],
            content["t"],
            content["x"],
            "b" in content,
            content.get("f", {}),
            tuple(content["o"]) if "o" in content else None,
        )

    def _signature(self, text: str) -> bytes:
        return hmac.digest(self.key, f"{COOKIE}:{text}".encode(), "sha256")

    def asked_by_the_gate(self, question: str, body: bytes, proof: str) -> bool:
        """Return whether the gate wrote this request's body, for the question of this name."""
        right = hmac.digest(self.key, f"{question}:".encode() + body, "sha256")
        return hmac.compare_digest(_base64(right), proof)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
