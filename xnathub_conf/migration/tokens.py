"""Tokens with which programs call the hub."""

import secrets

from xnathub_conf.migration.tree import Found
from xnathub_conf.site.rules.secret_values import check_token
from xnathub_conf.values.secret import SecretError

LENGTH = 32
"""How many characters a token has at least."""


def safe_token(old: Found) -> tuple[Found, str]:
    """Return a token that the hub takes, and what is wrong with the old one where it is a new one; empty where it is the old one."""
    value = old.value
    try:
        check_token(value)
    except SecretError:
        wrong = "is too short to be safe" if len(value) < LENGTH else "can be guessed"
    else:
        wrong = "" if value.strip() == value else "has spaces at its ends"
    return (Found(secrets.token_hex(LENGTH), old.origin, old.leaf) if wrong else old), wrong
