"""Rules of addresses: XNAT's and the hub's."""

import ipaddress
import re
from urllib.parse import urlsplit

from xnathub_conf.site.hub_settings import hub_bind_url
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report, written
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.addresses import host_name


def check_addresses(document: Document, site: Site) -> None:
    """Addresses hold a host and fit together, and passwords go to XNAT encrypted."""
    urls: dict[KeyPath, str | None] = {
        ("xnat", "url"): site.xnat.url,
        ("xnat", "public_url"): site.xnat.public_url,
        ("hub", "public_url"): site.hub.public_url,
        ("hub", "bind_url"): site.hub.bind_url,
        ("hub", "hub_bind_url"): hub_bind_url(site),
        ("hub", "hub_connect_url"): site.hub.hub_connect_url,
    }
    for key, url in urls.items():
        if url is None:
            continue
        try:
            parts = urlsplit(url)
            good = parts.hostname is not None or key[1] in {"bind_url", "hub_bind_url"}
            good = good and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
        if not good:
            report(
                document,
                key,
                "address",
                f"{url} holds no host, or a port that can't be.",
                "Write a host, and a port from 1 to 65535 where it is not the usual one.",
            )
    for number, proxy in enumerate(site.hub.trusted_proxies):
        path: KeyPath = ("hub", "trusted_proxies", number)
        try:
            network = ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            report(document, path, "address", f"{proxy} is no address, and no network.")
            continue
        if network.prefixlen == 0:
            report(
                document,
                path,
                "trusts-everybody",
                f"{proxy} is everybody: each caller says which address counts for them.",
                "Name the web server's address, or its network, such as 10.0.3.0/24.",
            )
    if any(problem.rule == "address" for problem in document.problems):
        return
    if urlsplit(site.hub.bind_url).port == urlsplit(hub_bind_url(site)).port:
        report(
            document,
            written(document, ("hub", "bind_url"), ("hub", "hub_bind_url")),
            "address",
            "The proxy and the hub can't listen on the same port.",
            "Change the port in `bind_url` or in `hub_bind_url`.",
        )
    public = site.hub.public_url
    if public and (urlsplit(public).path.rstrip("/") + "/") != site.hub.base_url:
        report(
            document,
            ("hub", "public_url"),
            "address",
            f"Its path is not the hub's `base_url`, {site.hub.base_url}.",
            f"Write {urlsplit(public).scheme}://{urlsplit(public).netloc}{site.hub.base_url}.",
        )
    if urlsplit(site.xnat.url).scheme == "http" and not _is_loopback(host_name(site.xnat.url)):
        report(
            document,
            ("xnat", "url"),
            "unencrypted",
            "Passwords go to XNAT unencrypted.",
            "Write an https:// address where the network is not private.",
        )
    if not site.xnat.verify_tls:
        report(
            document,
            ("xnat", "verify_tls"),
            "unverified",
            "Whoever is between the hub and XNAT can read passwords.",
            "Name the CA's certificate in `ca_file` instead.",
        )
    if site.xnat.ca_file and not site.xnat.verify_tls:
        report(
            document,
            ("xnat", "ca_file"),
            "unused-ca-file",
            "It has no effect while `verify_tls` is false.",
            "Delete it, or set `verify_tls: true`.",
        )
    _check_loopback(document, site)
    for name, url in (("url", site.xnat.url), ("public_url", site.xnat.public_url)):
        _check_page(document, ("xnat", name), url)


def _check_loopback(document: Document, site: Site) -> None:
    """No container is told to look for another one at its own address."""
    if kind_of(site).own_processes:
        return
    if _is_loopback(host_name(site.xnat.url)):
        host = urlsplit(site.xnat.url).hostname
        found = f"Inside the hub's container, {host} is that container itself, where no XNAT answers."
        fix = "Write the address at which other hosts or containers reach XNAT, such as http://xnat-web:8080."
        report(document, ("xnat", "url"), "loopback", found, fix)
    if site.hub.hub_connect_url and _is_loopback(host_name(site.hub.hub_connect_url)):
        found = "Inside a server's container this is the server itself, where no hub answers."
        report(
            document,
            ("hub", "hub_connect_url"),
            "loopback",
            found,
            "Delete it: the default is the hub's name.",
        )


_PAGE = re.compile(r"/(app|data|xapi|REST|login)(/|\Z)|\.(vm|html?|jsp)\Z")
"""What only the address of a page, or of an interface of XNAT's, holds."""


def _check_page(document: Document, path: KeyPath, url: str | None) -> None:
    if url and (page := _PAGE.search(urlsplit(url).path)):
        parts = urlsplit(url)
        rest = parts.path[: page.start()] if page[1] else parts.path.rpartition("/")[0]
        found = "This is the address of a page of XNAT's, below which the hub finds nothing."
        fix = f"Write {parts.scheme}://{parts.netloc}{rest.rstrip('/')}"
        report(document, path, "page-address", found, fix)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
