"""Names of containers, services and pods."""

import hashlib
import json
import re
from base64 import b32encode
from urllib.parse import quote

_LONGEST = 63
"""A DNS label's length: names are host names too."""

_DIGEST = 24
"""Characters of a digest in a name, of 5 bits each. Users may choose their names in XNAT, so it must not be short."""


def object_name(prefix: str, username: str, server_name: str) -> str:
    """Name what runs a user's server: a DNS label, different for every user and server.

    Plain lower-case names stay readable; the others are shortened to letters, digits and dashes with a digest, so
    that `Alice` and `alice` never meet.
    """
    parts = [username, server_name] if server_name else [username]
    readable = "--".join(parts)
    name = f"{prefix}-{readable}"
    if len(name) <= _LONGEST and all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", part) for part in parts):
        return name
    digest = b32encode(hashlib.sha256(json.dumps(parts).encode()).digest()).decode().lower()[:_DIGEST]
    room = _LONGEST - len(prefix) - len("----") - _DIGEST
    shortened = re.sub("[^a-z0-9]+", "-", readable.lower()).strip("-")[:room].strip("-")
    # Plain parts are joined by two dashes and hold no such pair themselves: three tell the digest.
    return f"{prefix}-{shortened or 'x'}---{digest}"


def oauth_client_id(username: str, server_name: str) -> str:
    """Name a server to the hub's OAuth provider, different for every user and server; a cookie of it bears that name.

    JupyterHub joins the two by a dash, which may stand in both: the server `b` of a user `a` and that of a user `a-b` would
    be one.
    """
    # A plus sign is none of what `quote` leaves.
    return "jupyterhub-user-" + "+".join(quote(part, safe="") for part in (username, server_name) if part)
