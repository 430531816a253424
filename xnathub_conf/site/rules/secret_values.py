"""Rules of secrets: where they stand, and what they are worth."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from xnathub_conf.site.problems import KeyPath, dotted
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.schema import secrets_in
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.registry_logins import LoginsError, parse_registry_logins
from xnathub_conf.values.secret import SecretError

_DIFFERENT_CHARACTERS = 8
"""A random token of 32 hexadecimal digits has fewer different ones once in 28 million times."""


ANOTHER_ONE = "Make one with `openssl rand -hex 32`."


def check_token(token: str) -> None:
    """Raise SecretError for a token that could be guessed.

    The hub hashes tokens once, so that all of them have to be random.
    """
    if len(token) < 32 or not token.isascii() or not token.isprintable():
        raise SecretError(f"It has {len(token)} characters; expected at least 32 printable ASCII characters.")
    if len(set(token)) < _DIFFERENT_CHARACTERS:
        raise SecretError(
            f"It is made of {len(set(token))} different characters, and so can be guessed; expected a random one."
        )


def check_service_tokens(document: Document, site: Site) -> None:
    """Tokens in `extra` are as long and random as the hub's own."""
    tokens = site.extra.get("JupyterHub.service_tokens")
    path: KeyPath = ("extra", "JupyterHub.service_tokens")
    for token, service in tokens.items() if isinstance(tokens, Mapping) else ():
        # A shorter one is reported already.
        if len(token) >= 8:
            try:
                check_token(token)
            except SecretError as error:
                mark = document.key_mark((*path, token))
                message = f"The token of the service {service} is weak. {error}"
                document.report(mark, path, "secret", message, ANOTHER_ONE)


_HUBS_VARIABLES = (
    "CONFIGPROXY_AUTH_TOKEN",
    "JPY_API_TOKEN",
    "JPY_COOKIE_SECRET",
    "JUPYTERHUB_CRYPT_KEY",
    "PGPASSWORD",
)
"""Where JupyterHub, its proxy and its database look for secrets by themselves."""


def check_kept_variables(document: Document, site: Site) -> None:
    """No variable of the hub's with a secret in it is handed on to servers."""
    secret = {found.where for _, found in secrets_in(site) if found.kind == "env"}.union(_HUBS_VARIABLES)
    for trait, names in site.extra.items():
        for index, name in (
            enumerate(names) if trait.endswith(".env_keep") and isinstance(names, tuple) else ()
        ):
            if name in secret:
                found = f"Every server, and so its user, would have the hub's secret {name}."
                report(document, ("extra", trait, index), "secret", found, "Delete it.")


def _check_secret_value(document: Document, path: KeyPath, value: str) -> None:
    if _is_token(path):
        try:
            check_token(value)
        except SecretError as error:
            report(document, path, "secret", str(error), ANOTHER_ONE)
    if path == ("hub", "cookie_secret") and not is_hex(value, 64):
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

    if path == ("servers", "registry_logins"):
        try:
            parse_registry_logins(value)
        except LoginsError as error:
            report(document, path, "secret", str(error))


def _is_database(address: str) -> bool:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme in {"sqlite", "sqlite+pysqlite"}:
        return re.match(r"sqlite[^:]*://(/|\Z)", address) is not None
    return parts.scheme in {"postgres", "postgresql", "postgresql+psycopg"} and port != 0 and "://" in address


def _is_token(path: KeyPath) -> bool:
    """Return whether services call the hub with the secret at a path."""
    return path[0] == "hub" and path[-1] in {"api_token", "metrics_token"}


def is_hex(value: str, length: int) -> bool:
    """Return whether a value is that many hexadecimal digits."""
    return len(value) == length and all(c in "0123456789abcdefABCDEF" for c in value)


def check_literal_secrets(document: Document, site: Site) -> None:
    """No secret stands in the file itself."""
    for path, secret in secrets_in(site):
        if secret.kind != "literal":
            continue
        form = _place_instead_of_secret(secret.where)
        if form and not (path == ("hub", "db_url") and secret.where.endswith((".sqlite", ".db"))):
            found = f"This looks like {form}, and would be taken for the secret itself."
            fix = (
                "Write {file: /path/of/the/secret}, with its path."
                if "file" in form
                else "Write {env: NAME}, with the variable's name alone."
            )
            report(document, path, "secret-form", found, fix)
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


_FILE = re.compile(r"(file:\s*|file://)?(~|\.{0,2})/[a-z._][a-zA-Z0-9._-]*(/[A-Za-z0-9._-]+)+|file:\s*\S+")
"""A path whose first folder is in lower case, as no random secret is that happens to begin with a slash."""

_VARIABLE = re.compile(r"env:\s*\S+|\$\{?[A-Za-z_][A-Za-z0-9_]*\}?|\$\([^)]*\)|[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


def _place_instead_of_secret(text: str) -> str | None:
    """Name what a literal secret looks like where it is the place of one."""
    if _FILE.fullmatch(text):
        return "the path of a file"
    return "a variable" if _VARIABLE.fullmatch(text) else None


def check_same_secrets(document: Document, site: Site) -> None:
    """No file or variable is named for two secrets."""
    seen: dict[tuple[str, str], KeyPath] = {}
    for path, secret in secrets_in(site):
        place = (secret.kind, secret.where)
        if place in seen:
            what = {"literal": "value", "file": "file", "env": "variable"}[secret.kind]
            found = f"{dotted(seen[place])} has the same {what}."
            report(document, path, "same-secret", found, "Give each secret a place of its own.")
        seen.setdefault(place, path)


def check_secrets(document: Document, site: Site, environment: Mapping[str, str]) -> None:
    """Every secret can be read on this host and is good; each service's token is another."""
    tokens: list[tuple[KeyPath, str]] = []
    for path, secret in secrets_in(site):
        try:
            value = secret.read(environment)
        except SecretError as error:
            report(document, path, "secret", str(error))
        else:
            _check_secret_value(document, path, value)
            tokens.append((path, value))
    seen: set[str] = set()
    for path, value in tokens:
        if _is_token(path):
            if value in seen:
                found = "Another service has the same token, so the hub can't tell them apart."
                report(document, path, "secret", found, "Make another one with `openssl rand -hex 32`.")
            seen.add(value)
