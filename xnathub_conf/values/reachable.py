"""What servers may reach that have no other way out: names, all below a domain, addresses and networks."""

import ipaddress
import re
from collections.abc import Iterable

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Reachable:
    """A list of what may be reached. An entry with a port, `host:port`, is for that port alone.

    Raises ValueError for an entry that is none of these.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self.networks: list[Network] = []
        self._names: set[str] = set()
        self._domains: list[str] = []
        self._ports: set[tuple[str, int]] = set()
        for entry in entries:
            self._add(entry.lower())

    def _add(self, entry: str) -> None:
        if network := _network(entry):
            self.networks.append(network)
        elif _NAME.fullmatch(entry):
            self._names.add(entry)
        elif entry.startswith(".") and _NAME.fullmatch(entry[1:]):
            self._domains.append(entry)
        else:
            host, colon, port = entry.rpartition(":")
            host = host.strip("[]")
            if not (colon and port.isdecimal() and (_network(host) or _NAME.fullmatch(host))):
                raise ValueError(entry)
            self._ports.add((host, int(port)))

    def has_names(self) -> bool:
        """Return whether there is an entry that is no address and no network."""
        return bool(self._names or self._domains)

    def allows_name(self, host: str, port: int) -> bool:
        """Return whether a host may be reached by the name, or the address, that it is asked for by."""
        host = host.lower().rstrip(".")
        return host in self._names or (host, port) in self._ports or host.endswith(tuple(self._domains))

    def allows_address(self, address: str) -> bool:
        """Return whether an address lies in one of the networks."""
        found = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self.networks)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None
