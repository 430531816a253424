"""Rules of secrets: where they stand, and what they are worth."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.schema import entries
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.secret import Secret, SecretError

_TOKENS: frozenset[KeyPath] = frozenset({("hub", "api_token"), ("hub", "metrics_token")})
_DIFFERENT_CHARACTERS = 8
"""A random token of 32 hexadecimal digits has fewer different ones once in 28 million times."""


def _check_secret_value(document: Document, path: KeyPath, value: str) -> None:
    if path in _TOKENS and (len(value) < 32 or not value.isascii() or not value.isprintable()):
        found = f"It has {len(value)} characters; expected at least 32 printable ASCII characters."
        report(document, path, "secret", found, "Make one with `openssl rand -hex 32`.")
    elif path in _TOKENS and len(set(value)) < _DIFFERENT_CHARACTERS:
        found = f"It is made of {len(set(value))} different characters, and so can be guessed; expected a random one."
        report(document, path, "secret", found, "Make one with `openssl rand -hex 32`.")
    if path == ("hub", "cookie_secret") and not _is_hex(value, 64):
        report(
            document,
            path,
            "secret",
            "Expected 64 hexadecimal digits.",
            "Make them with `openssl rand -hex 32`.",
        )
    if path == ("hub", "db_url") and not _is_database(value):
        report(
            document,
            path,
            "secret",
            "Expected a database address that the hub has a driver for.",
            "Write sqlite:///jupyterhub.sqlite, or postgresql://user:password@host/database.",
        )


def _is_database(address: str) -> bool:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme in {"sqlite", "sqlite+pysqlite"}:
        return re.match(r"sqlite[^:]*://(/|\Z)", address) is not None
    return parts.scheme in {"postgres", "postgresql", "postgresql+psycopg"} and port != 0 and "://" in address


def _is_hex(value: str, length: int) -> bool:
    return len(value) == length and all(c in "0123456789abcdefABCDEF" for c in value)


def _secrets(site: Site) -> Iterator[tuple[KeyPath, Secret]]:
    for path, value in entries(site):
        if isinstance(value, Secret):
            yield path, value


def check_literal_secrets(document: Document, site: Site) -> None:
    """No secret stands in the file itself."""
    for path, secret in _secrets(site):
        if secret.kind != "literal":
            continue
        if path != ("hub", "db_url") or not secret.where.startswith("sqlite:"):
            report(
                document,
                path,
                "literal-secret",
                "A secret stands in the file itself.",
                "Write {file: /path/of/the/secret} or {env: NAME}.",
            )
        _check_secret_value(document, path, secret.where)


def check_secrets(document: Document, site: Site, environment: Mapping[str, str]) -> None:
    """Every secret can be read on this host and is good; XNAT's token and Prometheus's are two."""
    tokens: list[tuple[KeyPath, str]] = []
    for path, secret in _secrets(site):
        try:
            value = secret.read(environment)
        except SecretError as error:
            report(document, path, "secret", str(error))
        else:
            _check_secret_value(document, path, value)
            tokens.append((path, value))
    if len({value for path, value in tokens if path in _TOKENS}) < sum(path in _TOKENS for path, _ in tokens):
        found = "XNAT and Prometheus have the same token, so the hub can't tell them apart."
        report(
            document,
            ("hub", "metrics_token"),
            "secret",
            found,
            "Make another one with `openssl rand -hex 32`.",
        )
