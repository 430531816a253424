"""Cookies that no page of another host can plant, where browsers come with TLS.

Such a page may set any cookie for the domain that both are below, but none with a name that begins with `__Host-`
(https://www.rfc-editor.org/rfc/rfc6265bis): that one is for the host that set it, all its paths, and TLS alone.
"""

from xnathub_conf.site.hub_settings import browsers_use_tls
from xnathub_conf.site.types import Site


def host_cookie(site: Site, name: str) -> str:
    """Return the name under which a browser keeps a cookie of this host's; JupyterHub sets those that begin so for all paths."""
    return f"__Host-{name}" if browsers_use_tls(site) else name
