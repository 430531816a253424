"""The old deployment's files, told apart by what is in them, as one set of settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xnathub_conf.migration import Found, MigrationError
from xnathub_conf.migration.compose import Service, line_of, parse_env, parse_texts, read_services, read_text

IMAGE_DEFAULTS = {
    "JH_NETWORK": "jupyterhub-network",
    "JH_XNAT_USERNAME": "jupyterhub",
    "JH_START_TIMEOUT": "180",
    "JH_HTTP_TIMEOUT": "75",
}
"""What the reference's image sets. Its address, password and token are nobody's own, and not taken for anybody's."""

CHART_DEFAULTS = {
    "JH_XNAT_URL": "http://xnat-xnat-web",
    "JH_XNAT_USERNAME": "jupyterhub",
    "JH_XNAT_UID": "0",
    "JH_XNAT_GID": "0",
    "JH_START_TIMEOUT": "180",
    "JH_HTTP_TIMEOUT": "75",
    "JH_XNAT_ARCHIVE_PVC": "archive",
    "POSTGRES_DB": "jupyterhub",
    "POSTGRES_USER": "jupyterhub",
    "POSTGRES_PORT": "5432",
}
"""The variables that the reference's chart sets."""

_CHART_VALUES: Mapping[str, Any] = {
    "postgresql": {"enabled": "true"},
    "jupyterhub": {
        "hub": {
            "baseUrl": "/jupyterhub",
            "allowNamedServers": "true",
            "concurrentSpawnLimit": "64",
            "consecutiveFailureLimit": "5",
            "db": {"type": "postgres"},
            "extraConfig": {"shutdownOnLogout": "c.JupyterHub.shutdown_on_logout = True"},
        },
        "singleuser": {
            "storage": {
                "type": "static",
                "static": {"pvcName": "workspaces", "subPath": "users/{unescaped_username}"},
            }
        },
    },
}
"""The values that the reference's chart sets, as far as they have a part in a site."""

_OF_XNAT = "JH_XNAT_"


@dataclass
class Old:
    """The settings of a reference deployment, from whatever files they stood in."""

    kind: Literal["swarm", "kubernetes"]
    folder: Path
    hub: dict[str, Found] = field(default_factory=dict)
    """The variables of the hub."""
    plugin: dict[str, Found] = field(default_factory=dict)
    """Those of XNAT, as its plugin reads them."""
    own: set[str] = field(default_factory=set)
    """The hub's variables that stand in no file which others share."""
    elsewhere: dict[str, Found] = field(default_factory=dict)
    """Variables whose value is a Secret of the cluster: how to get it."""
    service: Service | None = None
    chart: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    """The chart's values, and those for the JupyterHub in it, each scalar as text."""
    texts: dict[str, str] = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """Say where a key stands: the last file that has it, with the line."""
        for file, text in reversed(self.texts.items()):
            if (line := line_of(text, name)) > 1 or text.startswith(name):
                return f"{file}:{line}"
        return "the default"


def read_old(
    files: Sequence[Path], env_files: Sequence[Path], environment: Mapping[str, str], service: str | None
) -> Old:
    """Read compose files, Helm values or env files, in the order in which later ones win.

    `env_files` are read like compose's --env-file, else the file .env beside the first compose file; `environment` is
    the process's own, which wins over them. `service` names the hub's service where it is not plain which one it is.
    Raises MigrationError.
    """
    compose: list[tuple[Path, str, Mapping[str, Any]]] = []
    values: list[tuple[Path, str, Mapping[str, Any]]] = []
    plain: list[Path] = []
    for path in files:
        text = read_text(path)
        data = None if _is_env(text) else parse_texts(text, str(path))
        if data is None:
            plain.append(path)
        elif isinstance(data, Mapping) and isinstance(data.get("services"), Mapping):
            compose.append((path, text, data))
        elif isinstance(data, Mapping) and any(
            isinstance(data.get(key), Mapping) for key in ("jupyterhub", "hub", "singleuser")
        ):
            values.append((path, text, data))
        else:
            raise MigrationError(f"{path} is no compose file, no values of the Helm chart and no env file.")
    if compose and values:
        raise MigrationError("One deployment at a time: a compose file and Helm values are two.")
    found: dict[str, Found] = {}
    default = [compose[0][0].parent / ".env"] if compose and not env_files and not plain else []
    for path in [*(each for each in default if each.exists()), *env_files, *plain]:
        known = {**{name: each.value for name, each in found.items()}, **environment}
        found |= parse_env(read_text(path), str(path), known)
    variables = {**{name: each.value for name, each in found.items()}, **environment}
    if values:
        return _helm(values, found)
    if compose:
        return _compose(compose, found, variables, service)
    if not any(name.startswith(("JH_", "NB_")) for name in found):
        raise MigrationError("None of these files sets a variable of the reference's hub (JH_..., NB_...).")
    return _with_defaults(
        Old("swarm", files[0].parent.absolute(), dict(found), dict(found)),
        IMAGE_DEFAULTS,
        "the image's default",
    )


def _is_env(text: str) -> bool:
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            name, equals, _ = stripped.removeprefix("export ").partition("=")
            return bool(equals) and name.strip().replace("_", "").isalnum()
    return False


def _compose(
    files: Sequence[tuple[Path, str, Mapping[str, Any]]],
    found: Mapping[str, Found],
    variables: Mapping[str, str],
    wanted: str | None,
) -> Old:
    services: dict[str, Service] = {}
    for path, text, data in files:
        for service in read_services(path, text, data, variables):
            before = services.setdefault(service.name, service)
            if before is not service:
                before.image = service.image or before.image
                before.environment |= service.environment
                before.own |= service.own
                before.ports, before.volumes = before.ports + service.ports, before.volumes + service.volumes
    hub = services[_hub_service(services, wanted)]
    plugin = dict(found)
    for service in services.values():
        if service is not hub:
            plugin |= service.environment
    plugin = {name: each for name, each in plugin.items() if name.startswith(_OF_XNAT)}
    # A file for both sides, as in the reference: what only the plugin reads may stand at the hub too.
    plugin = {**{name: each for name, each in hub.environment.items() if name.startswith(_OF_XNAT)}, **plugin}
    old = Old(
        "swarm", files[0][0].parent.absolute(), dict(hub.environment), plugin, set(hub.own), service=hub
    )
    old.texts = {str(path): text for path, text, _ in files}
    return _with_defaults(old, IMAGE_DEFAULTS, "the image's default")


def _hub_service(services: Mapping[str, Service], wanted: str | None) -> str:
    if wanted is not None:
        if wanted not in services:
            raise MigrationError(f"There is no service {wanted}. There are: {', '.join(services)}.")
        return wanted
    signs: list[Callable[[Service], bool]] = [
        lambda service: "jupyterhub" in service.image.rpartition("/")[2],
        lambda service: "JH_NETWORK" in service.own,
        lambda service: "JH_XNAT_SERVICE_TOKEN" in service.environment,
    ]
    for fits in signs:
        names = [name for name, service in services.items() if fits(service)]
        if len(names) == 1:
            return names[0]
        if names:
            break
    raise MigrationError(f"Which service is the hub? Name it with --service: {', '.join(services)}.")


def _helm(files: Sequence[tuple[Path, str, Mapping[str, Any]]], found: Mapping[str, Found]) -> Old:
    merged = dict(_CHART_VALUES)
    for _, _, data in files:
        # Values for Zero to JupyterHub itself are those of the chart in the chart.
        merged = _merged(merged, data if "jupyterhub" in data else {"jupyterhub": data})
    values = merged["jupyterhub"]
    old = Old("kubernetes", files[0][0].parent.absolute(), chart=merged, values=values)
    old.texts = {str(path): text for path, text, _ in files}
    for name in ("hub", "singleuser"):
        if not isinstance(values[name], Mapping):
            raise MigrationError(f"jupyterhub.{name} holds no values.")
    hub = values["hub"]
    extra = hub.get("extraEnv") or {}
    if isinstance(extra, list):
        extra = {entry["name"]: entry for entry in extra if isinstance(entry, Mapping) and "name" in entry}
    for key, entry in extra.items():
        name = entry.get("name", key) if isinstance(entry, Mapping) else key
        value = entry.get("value") if isinstance(entry, Mapping) else entry
        reference = (
            ((entry.get("valueFrom") or {}).get("secretKeyRef") or {}) if isinstance(entry, Mapping) else {}
        )
        if reference:
            command = f"kubectl get secret {reference.get('name')} --output jsonpath={{.data.{reference.get('key')}}} | base64 -d"
            old.elsewhere[name] = Found(command, old.origin(name))
        elif isinstance(value, str):
            old.hub[name] = Found(value, old.origin(name))
        old.own.add(name)
    service = (hub.get("services") or {}).get("xnat") or {}
    if token := service.get("apiToken") or service.get("api_token"):
        name = "apiToken" if service.get("apiToken") else "api_token"
        old.hub["JH_XNAT_SERVICE_TOKEN"] = Found(token, old.origin(name))
    old.plugin = {name: each for name, each in {**old.hub, **found}.items() if name.startswith(_OF_XNAT)}
    return _with_defaults(old, CHART_DEFAULTS, "the chart's default")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        before = result.get(key)
        result[key] = (
            _merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
        )
    return result


def _with_defaults(old: Old, defaults: Mapping[str, str], origin: str) -> Old:
    for name, value in defaults.items():
        if name not in old.elsewhere:
            old.hub.setdefault(name, Found(value, origin))
    return old
