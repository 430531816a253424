"""Addresses of the web: who is meant by one."""

from urllib.parse import urlsplit


def host_name(url: str | None) -> str:
    """Return the host of an address, "" for none. A dot at a name's end says only that the name is whole, and is left out."""
    return (urlsplit(url or "").hostname or "").removesuffix(".")
