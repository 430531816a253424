"""The variables that follow from site.yaml for every server: whom it trusts, and its way out."""

from urllib.parse import urlsplit

from xnathub_conf.site.hub_settings import CHART_PROXY_HOST, PROXY_HOST, hub_connect_url
from xnathub_conf.site.types import Site

CA_FILE = "/etc/xnathub/ca.pem"
"""Where a server has the authorities that it trusts."""

_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY")


def site_variables(site: Site) -> dict[str, str]:
    """Return the variables that the site's keys decide; `servers.environment` may still say otherwise."""
    found = dict.fromkeys(_CA_VARIABLES, CA_FILE) if site.servers.ca_file else {}
    if proxy := site.servers.http_proxy:
        upper = {**dict.fromkeys(_PROXY_VARIABLES, proxy), "NO_PROXY": ",".join(_no_proxy(site))}
        # curl reads http_proxy in lower case alone, others read upper case alone.
        found |= upper | {name.lower(): value for name, value in upper.items()}
    return found


def _no_proxy(site: Site) -> list[str]:
    """Return what servers reach directly: themselves, XNAT, the hub, the cluster, and what the site adds."""
    addresses = (site.xnat.url, site.xnat.public_url, hub_connect_url(site), site.hub.public_url)
    # A proxy of the hub that is a container of its own takes servers' calls to the hub.
    hosts = [*(urlsplit(address).hostname for address in addresses if address), PROXY_HOST]
    cluster = [CHART_PROXY_HOST, ".svc", ".cluster.local"] if site.orchestrator.kubernetes else []
    return list(
        dict.fromkeys(
            ["localhost", "127.0.0.1", "::1", *filter(None, hosts), *cluster, *site.servers.no_proxy]
        )
    )
