"""The way out of servers, where the old hub gave it to them by variables."""

import re

from xnathub_conf.migration.ledger import Ledger

_ADDRESS = re.compile(r"http://[^\s/?#@]+/?")
"""Without a user name and a password, which every user could read."""


def way_out(to: Ledger) -> None:
    """Write a proxy that servers' variables name as servers.http_proxy, which leaves out the hub, XNAT and the cluster."""
    servers = to.site.get("servers", {})
    variables = servers.get("environment", {})
    ways = {name: text for name, text in variables.items() if name.lower() in {"http_proxy", "https_proxy"}}
    addresses = {text.rstrip("/") for text in ways.values()}
    if len(addresses) != 1 or not _ADDRESS.fullmatch(*addresses) or "http_proxy" in servers:
        return
    for name in ways:
        to.move(("servers", "environment", name), ("servers", "http_proxy"), *addresses)
    direct = {name: text for name, text in variables.items() if name.lower() == "no_proxy"}
    named = [each for text in direct.values() for each in re.split(r"[\s,]+", text) if each]
    for name in direct:
        to.move(("servers", "environment", name), ("servers", "no_proxy"), [*dict.fromkeys(named)])
