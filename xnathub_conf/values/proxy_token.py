"""The token with which the hub tells a proxy in a container of its own where users' servers are."""

import hashlib
import hmac

VARIABLE = "XNATHUB_PROXY_TOKEN_FROM"
"""The proxy's variable that says where the hub's service token is: `file:` and a path, or `env:` and a variable's name."""


def proxy_token(api_token: str) -> str:
    """Return the token that hub and proxy both make from the hub's service token, so that nobody has to make one.

    proxy/own_token.mjs does the same. Who has it can't find the service token by it.
    """
    return hmac.new(api_token.encode(), b"xnathub proxy", hashlib.sha256).hexdigest()
