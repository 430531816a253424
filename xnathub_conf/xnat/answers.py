"""What XNAT answers, who asks, and typed errors for answers that are not what they should be."""

import json
from dataclasses import dataclass

from xnathub_conf.operating.metrics import XnatOutcome


class XnatError(Exception):
    """A call to XNAT did not give what it should. The text is for the admin and names what to look at."""

    outcome: XnatOutcome = "bad-answer"


class XnatUnreachable(XnatError):
    """No connection, or no answer within the deadline."""

    outcome = "unreachable"


class XnatUntrusted(XnatError):
    """XNAT's certificate is not good."""

    outcome = "untrusted"


class XnatBadAnswer(XnatError):
    """An answer that XNAT itself would not give: a login page, HTML, broken JSON, too much of it, or a 5xx."""


class XnatLoginRedirect(XnatBadAnswer):
    """A redirect, which for a session means that XNAT no longer knows it."""

    outcome = "login-redirect"


class XnatUnauthorized(XnatError):
    """401: XNAT does not accept the credentials."""

    outcome = "unauthorized"


class XnatTooManySessions(XnatError):
    """401: the account has as many sessions open as XNAT allows."""

    outcome = "too-many-sessions"


class XnatForbidden(XnatError):
    """403: XNAT knows who asks and refuses."""

    outcome = "forbidden"


class XnatNotFound(XnatError):
    """404: XNAT holds no such thing."""

    outcome = "not-found"


@dataclass(frozen=True)
class Credentials:
    """Who asks: a user name with its password, an XNAT session's ID, or nobody. None shows in a repr but the name."""

    username: str = ""
    password: str = ""
    session: str = ""

    def __repr__(self) -> str:
        return "Credentials(session)" if self.session else f"Credentials({self.username!r})"


@dataclass(frozen=True)
class Answer:
    """What XNAT answered: the body, and the ID of the session that the call opened, if it did."""

    body: bytes
    content_type: str
    session: str = ""

    def text(self) -> str:
        """Return the body of a plain-text answer. Raises XnatBadAnswer for HTML."""
        text = self.body.decode("utf-8", "replace").strip()
        if "html" in self.content_type or text.startswith("<"):
            raise _not_xnat("an HTML page")
        return text

    def json(self) -> object:
        """Parse the body as JSON. Raises XnatBadAnswer for anything else."""
        if "html" in self.content_type or self.body.lstrip()[:1] == b"<":
            raise _not_xnat("an HTML page")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise XnatBadAnswer(
                f"XNAT's answer of {len(self.body):,} bytes is not valid JSON. Look at XNAT's own log and at the proxy "
                "in front of it, which may cut answers short."
            ) from None


def _not_xnat(what: str) -> XnatBadAnswer:
    return XnatBadAnswer(
        f"Where JSON was asked for came {what}. Check that xnat.url is XNAT's own address and that no proxy in front "
        "of it demands a login of its own."
    )


def role_names(answer: Answer) -> list[str]:
    """Return the names in an answer that lists roles. Raises XnatBadAnswer."""
    roles = answer.json()
    if not isinstance(roles, list):
        raise XnatBadAnswer("XNAT's list of roles is not a list.")
    return [role for role in roles if isinstance(role, str)]
