"""What becomes of every statement of a jupyterhub_config.py."""

from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.python_config import UNKNOWN, PythonConfig, Setting
from xnathub_conf.migration.site_mounts import by_name
from xnathub_conf.migration.traits import (
    CODE,
    LEFT,
    NO_CONCERN_TRAITS,
    OF_REFERENCE,
    carry_trait,
    common_name,
    unknown_trait,
)


def carry_python(
    to: Ledger, config: PythonConfig, kind: str, variables: set[str], *, is_reference: bool
) -> None:
    """Report what becomes of every statement of a jupyterhub_config.py; `variables` are those that are carried by themselves."""
    for setting in config.settings:
        if setting.trait == "KubeSpawner.volumes":
            to.volumes |= by_name(setting.value)
    for setting in config.settings:
        try:
            _setting(to, setting, kind, variables, is_reference=is_reference)
        except NotCarriedError as error:
            to.leave(f"c.{setting.trait}", at(setting.leaf), str(error))
    for leaf in config.others:
        name = str(leaf.path[-1])
        if name in {
            "import",
            "get_config",
            "c",
            "logger",
            "sh",
            "formatter",
            "tls_config",
        } or name.startswith("logger."):
            to.ignore(name, at(leaf), "It only serves the lines around it.")
        elif name in {"XnatAuthenticator", "pre_spawn_hook"}:
            to.leave(
                name,
                at(leaf),
                "The hub does what the reference's does. If yours does more, look for a key of site.yaml.",
            )
        else:
            to.leave(name, at(leaf), CODE)


def _setting(to: Ledger, setting: Setting, kind: str, variables: set[str], *, is_reference: bool) -> None:
    name, found = f"c.{setting.trait}", at(setting.leaf)
    common = common_name(setting.trait)
    if setting.variable in variables:
        to.ignore(name, found, f"The variable {setting.variable} says it, and is in this list.")
    elif common in NO_CONCERN_TRAITS:
        to.ignore(name, found, NO_CONCERN_TRAITS[common])
    elif setting.value is UNKNOWN or setting.conditional:
        if (
            is_reference
            and common in OF_REFERENCE
            and (setting.conditional or setting.trait == "JupyterHub.services")
        ):
            to.ignore(name, found, OF_REFERENCE[common])
        elif setting.trait == "JupyterHub.services":
            to.leave(
                name,
                found,
                "The hub has the service xnat, by hub.api_token. Others have no key: run them beside the hub.",
            )
        elif common in LEFT:
            to.leave(name, found, LEFT[common])
        elif setting.conditional and setting.value is not UNKNOWN:
            to.leave(
                name,
                found,
                "It holds only under a condition. Look whether it does at your site, and write it as a key of site.yaml.",
            )
        else:
            to.leave(name, found, CODE)
    elif is_reference and setting.trait == "JupyterHub.template_paths":
        to.ignore(name, found, OF_REFERENCE[common])
    elif not carry_trait(to, setting.trait, setting.value, (name, setting.leaf), kind):
        to.leave(name, found, unknown_trait(setting.trait))
