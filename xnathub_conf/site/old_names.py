"""What settings of the reference deployment are called in site.yaml.

The names are those of its hub image, its Helm chart and XNAT's plugin. `xnathub migrate` carries the values over by its own rules; a test
holds them against this table.
"""

import re
from collections.abc import Mapping
from functools import cache

from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.raw_instead import NO_EFFECT, NOT_TO_SET
from xnathub_conf.site.schema import described, keys_named

OLD_NAMES: Mapping[str, str] = {
    "JH_XNAT_URL": "xnat.url",
    "JH_XNAT_USERNAME": "xnat.service_account.username",
    "JH_XNAT_PASSWORD": "xnat.service_account.password",
    "JH_XNAT_JUPYTERHUB_HOST_URL": "hub.public_url",
    "JH_XNAT_START_TIMEOUT": "xnat.start_timeout",
    "JH_XNAT_STOP_TIMEOUT": "xnat.stop_timeout",
    "JH_XNAT_SERVICE_TOKEN": "hub.api_token",
    "JH_UID": "hub.uid",
    "JH_GID": "hub.gid",
    "NB_UID": "servers.uid",
    "NB_GID": "servers.gid",
    "JH_XNAT_UID": "servers.uid",
    "JH_XNAT_GID": "servers.gid",
    "JH_START_TIMEOUT": "servers.start_timeout",
    "JH_HTTP_TIMEOUT": "servers.http_timeout",
    "JH_SPAWNER": "orchestrator",
    "JH_NETWORK": "orchestrator.swarm.network_name",
    "DOCKER_HOST": "orchestrator.swarm.docker_host",
    "DOCKER_TLS_VERIFY": "orchestrator.swarm.tls.verify",
    "JH_TLS_VERIFY": "orchestrator.swarm.tls.verify",
    "JH_TLS_CA_CERT": "orchestrator.swarm.tls.ca_cert",
    "JH_TLS_CLIENT_CERT": "orchestrator.swarm.tls.client_cert",
    "JH_TLS_CLIENT_KEY": "orchestrator.swarm.tls.client_key",
    "JH_XNAT_ARCHIVE_PVC": "orchestrator.kubernetes.claims",
    "JH_XNAT_PT_ARCHIVE_PREFIX": "paths.archive",
    "JH_XNAT_PT_ARCHIVE_SERVER_PREFIX": "paths.archive",
    "JH_XNAT_PT_ARCHIVE_DOCKER_PREFIX": "paths.archive",
    "JH_XNAT_PT_WORKSPACE_PREFIX": "paths.workspaces",
    "JH_XNAT_PT_WORKSPACE_SERVER_PREFIX": "paths.workspaces",
    "JH_XNAT_PT_WORKSPACE_DOCKER_PREFIX": "paths.workspaces",
    "JH_XNAT_WORKSPACE_PATH": "servers.allowed_mounts",
    "JUPYTERHUB_SINGLEUSER_EXTENSION": "servers.environment",
}
"""The key, or the section, that stands for a variable."""

WITHOUT_KEY: Mapping[str, str] = {
    "JH_XNAT_JUPYTERHUB_API_URL": "XNAT's own: where its plugin calls the hub.",
    "JH_XNAT_INACTIVITY_TIMEOUT": "XNAT's own: its plugin goes on stopping idle servers.",
    "JH_XNAT_MAX_SERVER_LIFETIME": "XNAT's own: its plugin goes on stopping old servers.",
    "JH_XNAT_ALL_USERS_CAN_START_JUPYTER": "XNAT's own: the hub asks XNAT for it at each sign-in.",
    "JH_XNAT_SERVICE_USER_ENABLED": "XNAT's own.",
    "JUPYTERHUB_CRYPT_KEY": "Nothing is encrypted with it here: the hub keeps no sign-in data.",
    "JH_VERSION": "It was for building the old image.",
    "JH_DOCKERSPAWNER_VERSION": "It was for building the old image.",
}
"""Variables that no key stands for, and why."""

_TRAIT = re.compile(r"(?:c\.)?([A-Z][A-Za-z]*)\.([a-z0-9_]+)")


def what_to_do(name: str) -> str | None:
    """Return what to do with a setting's old name, one of JupyterHub's traits among them, or None where it is none."""
    variable = name.upper()
    if variable in OLD_NAMES:
        return f"In site.yaml this is `{OLD_NAMES[variable]}`."
    if variable in WITHOUT_KEY:
        return f"Delete it. {WITHOUT_KEY[variable]}"
    if variable.startswith("JH_"):
        return "Delete it: no key of site.yaml stands for this variable."
    if trait := _TRAIT.fullmatch(name):
        if key := _keys_of_traits().get(f"{_kind(trait[1])}.{trait[2]}"):
            return f"In site.yaml this is `{key}`."
        if instead := _refused(trait[1], trait[2]):
            return instead
        return f"Move it to `extra:`, as `{trait[1]}.{trait[2]}`."
    return None


def _refused(class_name: str, name: str) -> str:
    """Return what to do with a trait that `extra` would refuse in turn, "" with any other."""
    kind = next((kind for kind in kinds().values() if kind.spawner == class_name), None)
    whose = "Spawner" if kind or class_name == "Spawner" else class_name
    tables: list[Mapping[str, str]] = [kind.without_effect, kind.instead] if kind else []
    tables += [NO_EFFECT.get(whose, {}), NOT_TO_SET.get(whose, {})]
    return next((table[name] for table in tables if name in table), "")


def _kind(class_name: str) -> str:
    """Return what the spawners, and the authenticators, have in common."""
    return re.sub(r"^.*(Spawner|Authenticator)$", r"\1", class_name)


@cache
def _keys_of_traits() -> Mapping[str, str]:
    """Return the key that sets each trait: the schema's descriptions say `as JupyterHub.base_url`."""
    found: dict[str, str] = {}
    for key, text in described():
        for class_name, trait in re.findall(r"\bas ([A-Z][A-Za-z]*)\.([a-z0-9_]+)", text):
            found.setdefault(f"{_kind(class_name)}.{trait}", key)
    return found


def elsewhere(name: str) -> str | None:
    """Return the one key with this name that stands elsewhere in the file, dashes and capitals aside."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("-", "_")
    keys = keys_named(plain)
    return keys[0] if keys else None
