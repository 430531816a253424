"""What becomes of every statement of a jupyterhub_config.py."""

from collections.abc import Mapping

from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.python_config import PythonConfig, Setting
from xnathub_conf.migration.python_values import UNKNOWN, is_known
from xnathub_conf.migration.site_mounts import by_name
from xnathub_conf.migration.traits import (
    CODE,
    LEFT,
    NO_CONCERN_TRAITS,
    OF_REFERENCE,
    SIGN_IN,
    carry_trait,
    common_name,
    key_of,
    unknown_trait,
)
from xnathub_conf.migration.tree import Found

_SERVING = frozenset({"import", "get_config", "c", "logger", "sh", "formatter", "tls_config"})
"""Names of statements, as the reference's file has them, that are there for others."""


def carry_python(
    to: Ledger, config: PythonConfig, kind: str, variables: Mapping[str, Found], *, is_reference: bool
) -> None:
    """Report what becomes of every statement of a jupyterhub_config.py; `variables` are the hub's.

    Those of the reference's hub are carried by themselves, those of another one through the settings that read them.
    """
    for setting in config.settings:
        if setting.trait == "KubeSpawner.volumes":
            to.volumes |= by_name(setting.value)
    for setting in config.settings:
        try:
            _setting(to, setting, kind, variables, is_reference=is_reference)
        except NotCarriedError as error:
            to.leave(f"c.{setting.trait}", at(setting.leaf), str(error))
        for name in () if is_reference else setting.variables:
            leaf = variables[name].leaf if name in variables else None
            if leaf and not to.entry_of(leaf):
                to.follow(leaf, setting.leaf, f"through {setting.leaf.origin}, which reads it")
    for other in config.others:
        leaf, name = other.leaf, str(other.leaf.path[-1])
        if other.names_a_value or name in _SERVING or name.startswith("logger."):
            to.ignore(name, at(leaf), "It only serves the lines around it.")
        elif name in {"XnatAuthenticator", "pre_spawn_hook"}:
            to.leave(
                name,
                at(leaf),
                "The hub does what the reference's does. If yours does more, look for a key of site.yaml.",
            )
        else:
            to.leave(name, at(leaf), CODE)


def _setting(
    to: Ledger, setting: Setting, kind: str, variables: Mapping[str, Found], *, is_reference: bool
) -> None:
    name, found = f"c.{setting.trait}", at(setting.leaf)
    common = common_name(setting.trait)
    if setting.skipped:
        to.ignore(name, found, "The hub's variables never lead there.")
    elif is_reference and len(setting.variables) == 1 and setting.variables[0] in variables:
        to.ignore(name, found, f"The variable {setting.variables[0]} says it, and is in this list.")
    elif common in NO_CONCERN_TRAITS:
        to.ignore(name, found, NO_CONCERN_TRAITS[common])
    elif is_reference and (
        setting.trait in {"JupyterHub.template_paths", "JupyterHub.load_roles", "JupyterHub.services"}
        or (setting.conditional and common in OF_REFERENCE)
    ):
        to.ignore(name, found, OF_REFERENCE[common])
    elif setting.trait == "JupyterHub.services":
        _services(to, setting, name)
    elif common in LEFT and (setting.value is UNKNOWN or setting.conditional):
        raise NotCarriedError(LEFT[common])
    elif setting.conditional and setting.value is not UNKNOWN:
        raise NotCarriedError(
            f"It holds only under a condition. Look whether it does at your site, and write it as {key_of(setting.trait, kind)}."
        )
    elif setting.value is UNKNOWN:
        raise NotCarriedError(_unknown(setting, kind, variables))
    elif carry_trait(to, setting.trait, setting.value, (name, setting.leaf), kind):
        _assumed(to, setting)
    else:
        to.leave(name, found, unknown_trait(setting.trait))


def _unknown(setting: Setting, kind: str, variables: Mapping[str, Found]) -> str:
    """Say why a setting has no value here."""
    if setting.trait == "JupyterHub.authenticator_class":
        return SIGN_IN
    key = key_of(setting.trait, kind)
    unset = [name for name in setting.variables if name not in variables]
    if not unset:
        return f"It is code. Write what it comes to as {key}."
    return (
        f"It comes from the variable {', '.join(unset)}, which these files don't set. Give the file that does with --env-file, or write "
        f"it as {key}."
    )


def _assumed(to: Ledger, setting: Setting) -> None:
    """Say so where a value is only the default of a variable."""
    entry = to.entry_of(setting.leaf)
    if setting.assumed and entry and entry.keys:
        note = f"the default of the variable {', '.join(setting.assumed)}, which these files don't set"
        entry.note = f"{entry.note}; {note}" if entry.note else note


def _services(to: Ledger, setting: Setting, name: str) -> None:
    """Report of the hub's services besides XNAT's, whose token becomes hub.api_token by itself."""
    services = setting.value if isinstance(setting.value, list) else [UNKNOWN]
    if any(not _is_xnat(each) for each in services) or not xnat_token(setting):
        to.leave(
            name,
            at(setting.leaf),
            "The hub has the service xnat, by hub.api_token. Others have no key: run them beside the hub.",
        )


def xnat_token(setting: Setting) -> str | None:
    """Return the token of XNAT's service, where a setting of services says it."""
    services = setting.value if isinstance(setting.value, list) and not setting.conditional else []
    tokens = [
        each["api_token"] for each in services if _is_xnat(each) and is_known(each.get("api_token", UNKNOWN))
    ]
    return tokens[0] if len(tokens) == 1 and isinstance(tokens[0], str) else None


def _is_xnat(service: object) -> bool:
    return (
        isinstance(service, dict)
        and isinstance(service.get("name"), str)
        and "xnat" in service["name"].lower()
    )
