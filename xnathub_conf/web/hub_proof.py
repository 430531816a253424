"""How a hub proves which hub it is, to who knows its service token, without telling the token.

`xnathub doctor` sends a challenge to an address and sees by the answer whether it leads to the site's own hub.
"""

import hashlib
import hmac
import re
import secrets

PATH = "identity"
"""Where a hub answers, below its `hub/`."""

_CHALLENGE = re.compile(r"[0-9a-f]{32}")


def new_challenge() -> str:
    """Return a challenge that nobody saw before."""
    return secrets.token_hex(16)


def is_challenge(text: str) -> bool:
    """Return whether text has a challenge's form; nothing else is ever answered."""
    return _CHALLENGE.fullmatch(text) is not None


def proof(token: str, challenge: str) -> str:
    """Return the answer to a challenge: an HMAC, from which a token of 32 random characters can't be guessed."""
    return hmac.new(token.encode(), f"xnathub identity {challenge}".encode(), hashlib.sha256).hexdigest()


def proves(token: str, challenge: str, answer: str) -> bool:
    """Return whether an answer could only be given by who knows the token."""
    return hmac.compare_digest(proof(token, challenge).encode(), answer.encode())
