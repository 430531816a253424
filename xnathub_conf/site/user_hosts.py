"""Host names of users' servers."""

from urllib.parse import urlsplit

from xnathub_conf.site.types import Site
from xnathub_conf.values.addresses import host_name
from xnathub_conf.values.user_names import host_label


def user_host(site: Site, username: str) -> str | None:
    """Return the host name of a user's servers, None where they have none of their own."""
    if not site.hub.user_subdomains:
        return None
    return f"{host_label(username)}.{host_name(site.hub.public_url)}"


def user_origin(site: Site, host: str) -> str:
    """Return what addresses at a host name of a user's servers begin with."""
    public = urlsplit(site.hub.public_url or "")
    return f"{public.scheme}://{host}{f':{public.port}' if public.port else ''}"
