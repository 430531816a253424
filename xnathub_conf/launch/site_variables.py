"""The variables that follow from site.yaml for every server: whom it trusts, and its way out."""

from urllib.parse import urlsplit

from xnathub_conf.site.hub_settings import PROXY_HOST, hub_connect_url
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.networks import WAY_OUT_HOST, WAY_OUT_PORT
from xnathub_conf.site.types import Site
from xnathub_conf.values.reserved_names import CA_FILE

_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY")


def site_variables(site: Site) -> dict[str, str]:
    """Return the variables that the site's keys decide; `servers.environment` may still say otherwise."""
    found = dict.fromkeys(_CA_VARIABLES, CA_FILE) if site.servers.ca_file else {}
    if proxy := _proxy(site):
        upper = {**dict.fromkeys(_PROXY_VARIABLES, proxy), "NO_PROXY": ",".join(_no_proxy(site))}
        # curl reads http_proxy in lower case alone, others read upper case alone.
        found |= upper | {name.lower(): value for name, value in upper.items()}
    return found


def _proxy(site: Site) -> str | None:
    return f"http://{WAY_OUT_HOST}:{WAY_OUT_PORT}" if _has_way_out(site) else site.servers.http_proxy


def _has_way_out(site: Site) -> bool:
    """Return whether servers reach XNAT too by the rendered file's own proxy alone."""
    return kind_of(site).own_way_out and site.servers.internet == "none"


def _no_proxy(site: Site) -> list[str]:
    """Return what servers reach directly: themselves, XNAT, the hub, the cluster, and what the site adds."""
    xnats = () if _has_way_out(site) else (site.xnat.url, site.xnat.public_url, site.hub.public_url)
    addresses = (*xnats, hub_connect_url(site))
    # A proxy of the hub that is a container of its own takes servers' calls to the hub.
    hosts = [*(urlsplit(address).hostname for address in addresses if address), PROXY_HOST]
    cluster = kind_of(site).no_proxy
    return list(
        dict.fromkeys(
            ["localhost", "127.0.0.1", "::1", *filter(None, hosts), *cluster, *site.servers.no_proxy]
        )
    )
