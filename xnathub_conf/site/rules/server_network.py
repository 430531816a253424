"""Rules of how servers find names, and of where what they say is kept."""

import difflib
import ipaddress
import re
from collections.abc import Mapping

from xnathub_conf.site.chosen import engine_of
from xnathub_conf.site.hub_settings import CHART_PROXY_HOST, PROXY_HOST
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Docker, Site, Swarm
from xnathub_conf.site.yaml_source import Document

_FILE_OPTIONS = frozenset({"max-size", "max-file", "compress"})
_JSON_OPTIONS = frozenset({"labels", "labels-regex", "env", "env-regex", "tag"})
_OPTIONS: Mapping[str, frozenset[str]] = {
    "local": _FILE_OPTIONS,
    "json-file": _FILE_OPTIONS | _JSON_OPTIONS,
    "none": frozenset(),
}
"""The options of the drivers that every engine has."""


def check_server_network(document: Document, site: Site) -> None:
    """Addresses are such, and the hub is found."""
    servers = site.servers
    hub = re.search("//([^/:]+)", site.hub.hub_connect_url or "")
    kind = kind_of(site)
    usual = "" if kind.own_processes else kind.hub_host
    taken = {"localhost", PROXY_HOST, CHART_PROXY_HOST, hub[1] if hub else usual}
    for name, address in servers.hosts.items():
        here: KeyPath = ("servers", "hosts", name)
        _address(document, here, address)
        if name in taken:
            found = f"{name} is what servers call the hub, or themselves."
            report(document, here, "server-network", found, "Delete it.")


def check_names_and_log(document: Document, site: Site) -> None:
    """Servers of Docker's find names, and keep what they say, as the engine can."""
    engine = engine_of(site)
    above: KeyPath = ("orchestrator", engine.key)
    for index, address in enumerate(engine.dns):
        _address(document, (*above, "dns", index), address)
    _log(document, above, engine)


def _address(document: Document, path: KeyPath, text: str) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        report(document, path, "address", f"{text} is no address.", "Write one such as 10.0.0.5.")
        return
    if address.is_loopback or address.is_unspecified:
        found = f"At {text} a server reaches itself."
        report(document, path, "server-network", found, "Write the address of the other machine.")


def _log(document: Document, above: KeyPath, engine: Docker | Swarm) -> None:
    driver, options = engine.log_driver, engine.log_options
    if options and not driver:
        found = "Options are those of a log driver, and none is named."
        report(document, (*above, "log_options"), "server-network", found, "Add `log_driver`.")
        return
    known = _OPTIONS.get(driver or "", options.keys())
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            fix = f"Write {near[0]}." if near else "Delete it."
            found = f"The log driver {driver} has no option {name}."
            report(document, (*above, "log_options", name), "server-network", found, fix)
