"""Names of containers, services and pods."""

from jupyterhub.slugs import safe_slug

_LONGEST = 63
"""A DNS label's length: names are host names too."""


def object_name(prefix: str, username: str, server_name: str) -> str:
    """Name what runs a user's server: a DNS label, different for every user and server.

    Plain lower-case names stay readable; the others are shortened to letters, digits and dashes with a hash, by
    JupyterHub's own rule, so that `Alice` and `alice` never meet.
    """
    each = (_LONGEST - len(prefix) - len("----")) // 2
    name = f"{prefix}-{safe_slug(username, max_length=each)}"
    return f"{name}--{safe_slug(server_name, max_length=each)}" if server_name else name
