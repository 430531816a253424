"""Logins of image registries: one for each line, or as in Docker's own config.json."""

import binascii
import json
import re
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any

PULL_SECRET = "xnathub-registry-logins"  # noqa: S105 - a name
"""The Secret from which Kubernetes' nodes take the logins."""

_ADDRESS = re.compile(
    r"(?:https?://)?((?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(?::[0-9]{1,5})?)(?:/.*)?"
)
_DOCKER_HUB = {"docker.io", "index.docker.io", "registry-1.docker.io"}


class LoginsError(ValueError):
    """Text that holds no logins in either form. What it says never holds a login."""


@dataclass(frozen=True)
class RegistryLogin:
    """A user and password for a registry, or the token that stands for both."""

    registry: str
    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def auth_config(self) -> dict[str, str]:
        """Return the login as Docker's API takes it."""
        # What Docker itself calls the registry of docker.io.
        address = "https://index.docker.io/v1/" if self.registry == "docker.io" else self.registry
        if self.identity_token:
            return {"identitytoken": self.identity_token, "serveraddress": address}
        return {"username": self.username, "password": self.password, "serveraddress": address}


def parse_registry_logins(text: str) -> tuple[RegistryLogin, ...]:
    """Return the logins that a secret holds, one for each registry.

    Raises LoginsError where the text is in neither of the two forms.
    """
    logins = _of_config(text) if text.lstrip().startswith("{") else _of_lines(text)
    registries = [login.registry for login in logins]
    for registry in registries:
        if registries.count(registry) > 1:
            raise LoginsError(f"It holds two logins for {registry}; Docker sends one.")
    if not logins:
        raise LoginsError("It holds no login.")
    return tuple(logins)


def auth_configs(logins: tuple[RegistryLogin, ...]) -> dict[str, dict[str, str]]:
    """Return Docker's form of each login by its registry."""
    return {login.registry: login.auth_config() for login in logins}


def _of_lines(text: str) -> list[RegistryLogin]:
    logins = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(maxsplit=2)
        if not words:
            continue
        registry = _host(words[0])
        if len(words) != 3 or not (registry == "localhost" or re.search("[.:]", registry)):
            raise LoginsError(
                f"Its line {number} is no `REGISTRY USER PASSWORD`, and the whole is no config.json of Docker's."
            )
        logins.append(RegistryLogin(registry, words[1], words[2].rstrip()))
    return logins


def _of_config(text: str) -> list[RegistryLogin]:
    try:
        config = json.loads(text)
        auths = config.get("auths") or {}
        entries = [(_host(address), dict(entry)) for address, entry in auths.items()]
    except (ValueError, AttributeError, TypeError):
        raise LoginsError("It begins like a config.json of Docker's, and is none.") from None
    for helper in ("credsStore", "credHelpers"):
        if config.get(helper):
            raise LoginsError(
                f"Its {helper} names a program that keeps the passwords, which the hub does not have. "
                "Write `REGISTRY USER PASSWORD` instead, one registry a line."
            )
    if not all(registry for registry, _ in entries):
        raise LoginsError("One of its entries is for no registry: `auths` holds an entry for each host name.")
    return [_of_entry(registry, entry) for registry, entry in entries]


def _of_entry(registry: str, entry: dict[str, Any]) -> RegistryLogin:
    if isinstance(token := entry.get("identitytoken"), str) and token:
        return RegistryLogin(registry, identity_token=token)
    username, password = entry.get("username"), entry.get("password")
    if not password and isinstance(entry.get("auth"), str):
        try:
            username, _, password = b64decode(entry["auth"], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            password = None
    if not (isinstance(username, str) and isinstance(password, str) and username and password):
        raise LoginsError(f"Its entry for {registry} holds neither `auth` nor `username` and `password`.")
    return RegistryLogin(registry, username, password.rstrip("\0"))


def _host(address: str) -> str:
    """Return a registry's host, with a port where there is one; "" for text that is no address."""
    found = _ADDRESS.fullmatch(address)
    host = found[1].lower() if found else ""
    return "docker.io" if host in _DOCKER_HUB else host
