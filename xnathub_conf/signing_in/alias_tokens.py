"""The alias token of a user, which XNAT hands to each of their servers."""

from typing import Any

from xnathub_conf.xnat.answers import Credentials


def alias_token_in(answer: Any) -> Credentials | None:
    """Return the alias token in XNAT's answer to `user-options`, whatever else is there."""
    try:
        return alias_token(answer["task_template"]["container_spec"]["env"])
    except (KeyError, TypeError, AttributeError):
        return None


def alias_token(variables: Any) -> Credentials | None:
    """Return the user's alias token, which XNAT puts into each server's environment, or None."""
    alias, secret = variables.get("XNAT_USER"), variables.get("XNAT_PASS")
    if isinstance(alias, str) and isinstance(secret, str) and alias and secret and ":" not in alias:
        return Credentials(alias, secret)
    return None
