"""What becomes of every statement of a jupyterhub_config.py."""

from collections.abc import Mapping

from xnathub_conf.migration.hub_services import is_xnat, know_services
from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.python_config import PythonConfig, Setting
from xnathub_conf.migration.python_values import UNKNOWN, is_known
from xnathub_conf.migration.reference import STATEMENTS
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
    path_of,
    unknown_trait,
)
from xnathub_conf.migration.tree import Found

_SERVING = frozenset({"import", "get_config", "c", "logger", "sh", "formatter", "tls_config"})
"""Names of statements, as the reference's file has them, that are there for others."""


def carry_python(
    to: Ledger, config: PythonConfig, kind: str, variables: Mapping[str, Found], *, is_reference: bool
) -> None:
    """Report what becomes of every statement of a jupyterhub_config.py; `variables` are the hub's.

    Those that the reference's hub knows are carried before, all others through the settings that read them.
    """
    for setting in config.settings:
        if setting.trait == "KubeSpawner.volumes" and setting.counts:
            to.volumes |= by_name(setting.value)
    know_services(to, _listed(config, "JupyterHub.services"), _listed(config, "JupyterHub.load_roles"))
    for setting in config.settings:
        try:
            _setting(to, setting, kind, variables, is_reference=is_reference)
        except NotCarriedError as error:
            to.leave(f"c.{setting.trait}", at(setting.leaf), str(error))
    for setting in config.settings:
        if setting.part_of and not to.entry_of(setting.leaf):
            to.follow(setting.leaf, setting.part_of.leaf, f"with {setting.part_of.leaf.origin}")
        for name in setting.variables:
            leaf = variables[name].leaf if name in variables else None
            if leaf and not to.entry_of(leaf):
                to.follow(leaf, setting.leaf, f"through {setting.leaf.origin}, which reads it")
    _set_again(to, config, kind)
    for other in config.others:
        leaf, name = other.leaf, str(other.leaf.path[-1])
        if other.names_a_value or name in _SERVING or name.startswith("logger."):
            to.ignore(name, at(leaf), "It only serves the lines around it.")
        elif is_reference and other.digest in STATEMENTS:
            to.ignore(name, at(leaf), "It is the reference's own, and the hub does the same.")
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
    elif not setting.in_use:
        to.ignore(name, found, "The old hub's spawner is of another class, so it did nothing.")
    elif common in NO_CONCERN_TRAITS:
        to.ignore(name, found, NO_CONCERN_TRAITS[common])
    elif setting.replaced_by:
        to.ignore(name, found, f"{setting.replaced_by.leaf.origin} replaces it.")
    elif setting.part_of:
        pass
    elif variable := is_reference and _said_by(to, setting, kind, variables):
        to.ignore(name, found, _SAYS.format(variable))
    elif is_reference and _is_the_reference_s(setting, common):
        to.ignore(name, found, OF_REFERENCE[common])
    elif common in LEFT and (setting.value is UNKNOWN or setting.conditional):
        raise NotCarriedError(LEFT[common])
    elif setting.conditional and setting.value is not UNKNOWN:
        raise NotCarriedError(
            f"It holds only under a condition. Look whether it does at your site, and write it as {key_of(setting.trait, kind)}."
        )
    elif common == "Spawner.environment" and isinstance(setting.value, dict):
        _environment(to, setting, kind, variables)
    elif setting.value is UNKNOWN:
        raise NotCarriedError(_unknown(setting, kind, variables))
    elif carry_trait(to, setting.trait, setting.value, (name, setting.leaf), kind):
        _assumed(to, setting)
    else:
        to.leave(name, found, unknown_trait(setting.trait))


_SAYS = "The variable {} says it, and is in this list."


def _said_by(to: Ledger, setting: Setting, kind: str, variables: Mapping[str, Found]) -> str:
    """Return the one variable that a setting passes on as it is, where that variable is carried to the same key."""
    path = path_of(setting.trait, kind)
    if len(setting.variables) != 1 or not path or (name := setting.variables[0]) not in variables:
        return ""
    carried = any(each.name == name and path in each.keys for each in to.entries)
    return name if carried and str(setting.value) == variables[name].value.strip() else ""


def _set_again(to: Ledger, config: PythonConfig, kind: str) -> None:
    """Correct what is said of settings that a variable said, where a later line of the file sets them again."""
    for index, setting in enumerate(config.settings):
        entry, path = to.entry_of(setting.leaf), path_of(setting.trait, kind)
        if not entry or len(setting.variables) != 1 or entry.note != _SAYS.format(setting.variables[0]):
            continue
        for later in config.settings[index + 1 :]:
            if (said := to.entry_of(later.leaf)) and path_of(later.trait, kind) == path and path in said.keys:
                entry.note = f"{later.leaf.origin} replaces it."


_IN_THE_REFERENCE = {
    "Spawner.environment": "NB_UID",
    "DockerSpawner.extra_container_spec": "NB_UID",
    "DockerSpawner.tls_config": "tls_config",
}
"""Settings that the reference's file makes under a condition, and what that asks for."""


def _is_the_reference_s(setting: Setting, common: str) -> bool:
    """Return whether a setting is one of the reference's own file."""
    if common == "JupyterHub.template_paths":
        return bool(setting.value == ["/srv/jupyterhub/templates"])
    return setting.conditional and _IN_THE_REFERENCE.get(common) in setting.under


def _unknown(setting: Setting, kind: str, variables: Mapping[str, Found]) -> str:
    """Report why a setting has no value here."""
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


def _environment(to: Ledger, setting: Setting, kind: str, variables: Mapping[str, Found]) -> None:
    """Carry over the variables of servers whose values are known. Raises NotCarriedError for the others."""
    known = {name: text for name, text in setting.value.items() if is_known([name, text])}
    carry_trait(to, setting.trait, known, (f"c.{setting.trait}", setting.leaf), kind)
    _assumed(to, setting)
    if others := [name for name in setting.value if name not in known]:
        named = ", ".join(name if isinstance(name, str) else "one whose name is code" for name in others)
        raise NotCarriedError(f"{named}: {_unknown(setting, kind, variables)}")


def _assumed(to: Ledger, setting: Setting) -> None:
    """Report where a value is only the default of a variable."""
    entry = to.entry_of(setting.leaf)
    if setting.assumed and entry and entry.keys:
        note = f"the default of the variable {', '.join(setting.assumed)}, which these files don't set"
        entry.note = f"{entry.note}; {note}" if entry.note else note


def _listed(config: PythonConfig, trait: str) -> list[object]:
    """Return the entries of a setting that is a list, from all lines that say it plainly."""
    values = [
        each.value for each in config.settings if each.trait == trait and each.counts and not each.part_of
    ]
    return [entry for value in values if isinstance(value, list) for entry in value]


def xnat_token(setting: Setting) -> str | None:
    """Return the token of XNAT's service, where a setting of services says it."""
    services = setting.value if isinstance(setting.value, list) and not setting.conditional else []
    tokens = [
        each["api_token"]
        for each in services
        if isinstance(each, dict) and is_xnat(each.get("name")) and is_known(each.get("api_token", UNKNOWN))
    ]
    return tokens[0] if len(tokens) == 1 and isinstance(tokens[0], str) else None
