"""The old deployment's files, told apart by what is in them, as one set of settings."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from xnathub_conf.migration import MigrationError, reference
from xnathub_conf.migration.chart import ChartValues, read_chart
from xnathub_conf.migration.chart_code import read_code
from xnathub_conf.migration.compose import is_file, read_text
from xnathub_conf.migration.python_config import PythonConfig, read_python
from xnathub_conf.migration.services import Compose, Service
from xnathub_conf.migration.tree import Found, Node, parse_tree

_OF_XNAT = "JH_XNAT_"
_VALUES_KEYS = frozenset(
    {
        "jupyterhub", "hub", "singleuser", "proxy", "postgresql", "postgresqlExternalHost", "scheduling", "prePuller", "cull", "ingress",
        "imagePullSecrets", "imagePullSecret", "rbac", "global", "debug", "custom", "fullnameOverride", "nameOverride", "httpRoute",
    }
)  # fmt: skip


@dataclass
class Old:
    """The settings of the old deployment, from whatever files they stood in."""

    kind: Literal["swarm", "docker", "kubernetes"]
    folder: Path
    hub: dict[str, Found] = field(default_factory=dict)
    """The variables of the hub."""
    plugin: dict[str, Found] = field(default_factory=dict)
    """Those of XNAT, as its plugin reads them."""
    own: set[str] = field(default_factory=set)
    """The hub's variables that stand in no file which others share."""
    elsewhere: dict[str, Found] = field(default_factory=dict)
    """Variables whose value is a Secret of the cluster: how to get it."""
    compose: Compose | None = None
    service: Service | None = None
    chart: ChartValues | None = None
    python: list[PythonConfig] = field(default_factory=list)
    env_lines: list[Node] = field(default_factory=list)
    """The lines of all env files."""
    is_reference: bool = True
    """Whether it is the reference's hub, and not another one."""


@dataclass
class _Files:
    compose: list[tuple[Path, str]] = field(default_factory=list)
    values: list[Node] = field(default_factory=list)
    plain: list[Path] = field(default_factory=list)
    python: list[tuple[Path, str]] = field(default_factory=list)


def read_old(
    files: Sequence[Path], env_files: Sequence[Path], environment: Mapping[str, str], service: str | None
) -> Old:
    """Read compose files, Helm values, env files or a jupyterhub_config.py, in the order in which later ones win.

    `env_files` are read like compose's --env-file, else the file .env beside the first compose file; `environment` is
    the process's own, which wins over them. `service` names the hub's service where it is not plain which one it is.
    Raises MigrationError.
    """
    files, env_files = _once(files), _once(env_files)
    told = _told_apart(files)
    if told.compose and told.values:
        raise MigrationError("One deployment at a time: a compose file and Helm values are two.")
    default = (
        [told.compose[0][0].parent / ".env"] if told.compose and not env_files and not told.plain else []
    )
    compose = Compose({name: Found(value, "the shell") for name, value in environment.items()})
    found: dict[str, Found] = {}
    for path in dict.fromkeys([*(each for each in default if is_file(each)), *env_files, *told.plain]):
        compose.variables = {
            **found,
            **{name: Found(value, "the shell") for name, value in environment.items()},
        }
        for leaf, each in compose.read_env_file(path):
            if each:
                if (before := found.get(str(leaf.path[0]))) and before.leaf:
                    compose.replaced.append((before.leaf, each))
                found[str(leaf.path[0])] = each
    compose.variables = {**found, **{name: Found(value, "the shell") for name, value in environment.items()}}
    if told.values:
        old = _helm(told.values, found, files[0].parent.absolute())
    elif told.compose:
        old = _compose(told.compose, found, compose, service)
    elif any(name.startswith(("JH_", "NB_")) for name in found):
        old = Old("swarm", files[0].parent.absolute(), dict(found), dict(found))
        _with_defaults(old, reference.IMAGE, "the image's default")
    elif told.python:
        old = Old("swarm", files[0].parent.absolute(), dict(found), is_reference=False)
    else:
        raise MigrationError("None of these files sets a variable of the reference's hub (JH_..., NB_...).")
    old.compose = compose if told.compose or compose.env_files else None
    old.python += [_python(old, text, str(path)) for path, text in told.python]
    if not old.is_reference and not old.chart:
        if not old.python:
            raise MigrationError(
                "This is not the reference's hub: nothing sets a variable JH_... of it. Name its jupyterhub_config.py too."
            )
        old.kind = old.python[-1].kind
    old.env_lines = [leaf for lines in compose.env_files.values() for leaf, _ in lines]
    return old


def _once(files: Sequence[Path]) -> list[Path]:
    """Return files without those that are named again further on, by whatever path."""
    return [*reversed({path.resolve(): path for path in reversed(files)}.values())]


def _told_apart(files: Sequence[Path]) -> _Files:
    told = _Files()
    maybe: list[tuple[Path, Node]] = []
    for path in files:
        text = read_text(path)
        if path.suffix == ".py":
            told.python.append((path, text))
        elif _is_env(text):
            told.plain.append(path)
        else:
            tree = parse_tree(text, str(path))
            if isinstance(tree.get("services").value, dict) and not _VALUES_KEYS & set(tree.keys):
                told.compose.append((path, text))
            elif _VALUES_KEYS & set(tree.keys):
                told.values.append(tree)
            else:
                maybe.append((path, tree))
    for path, tree in maybe:
        # Any keys may stand in one values file of several; in a compose file that only overrides, other parts than services.
        if told.values:
            told.values.insert(
                sum(each.file in map(str, files[: files.index(path)]) for each in told.values), tree
            )
        elif told.compose and {"networks", "volumes", "secrets", "configs", "include"} & set(tree.keys):
            told.compose.append((path, read_text(path)))
        else:
            raise MigrationError(f"{path} is no compose file, no values of the Helm chart and no env file.")
    return told


def _is_env(text: str) -> bool:
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            name, equals, _ = stripped.removeprefix("export ").partition("=")
            return bool(equals) and name.strip().replace("_", "").isalnum()
    return False


def _compose(
    files: Sequence[tuple[Path, str]], found: Mapping[str, Found], compose: Compose, wanted: str | None
) -> Old:
    for path, text in files:
        compose.read(path, text)
    compose.resolve()
    hub = compose.services[_hub_service(compose.services, wanted)]
    plugin = dict(found)
    for service in compose.services.values():
        if service is not hub:
            plugin |= service.environment
    plugin = {name: each for name, each in plugin.items() if name.startswith(_OF_XNAT)}
    # A file for both sides, as in the reference: what only the plugin reads may stand at the hub too.
    plugin = {**{name: each for name, each in hub.environment.items() if name.startswith(_OF_XNAT)}, **plugin}
    old = Old(
        "swarm", files[0][0].parent.absolute(), dict(hub.environment), plugin, set(hub.own), service=hub
    )
    names = {*hub.own, *hub.environment}
    old.is_reference = any(name.startswith("JH_") for name in names) or "xnat/jupyterhub" in hub.image
    if old.is_reference:
        _with_defaults(old, reference.IMAGE, "the image's default")
    old.python = _mounted_python(old, hub, files[0][0].parent, compose)
    return old


def _python(old: Old, text: str, file: str) -> PythonConfig:
    """Read a jupyterhub_config.py, with the hub's variables."""
    return read_python(text, file, {name: found.value for name, found in old.hub.items()})


def _mounted_python(old: Old, hub: Service, folder: Path, compose: Compose) -> list[PythonConfig]:
    """Read the hub's jupyterhub_config.py where the stack brings it: as a volume, or as a config."""
    sources: list[Path | Node] = []
    for node in hub.nodes:
        for each in node.get("volumes").items:
            source, _, target = each.text.partition(":")
            source, target = (
                (each.get("source").text, each.get("target").text) if each.keys else (source, target)
            )
            if target.split(":")[0].endswith(".py"):
                sources.append(folder / source)
        for each in node.get("configs").items:
            name = each.text or each.get("source").text
            for tree in compose.trees:
                config = tree.get("configs", name)
                inner = config.get("content")
                if each.get("target").text.endswith(".py") or re.search(r"\bc\.|get_config", inner.text):
                    sources += [inner] if inner.text.strip() else []
                if config.get("file").text.endswith(".py"):
                    sources.append(folder / config.get("file").text)
    if not sources and not old.is_reference:
        # It may be built into the image.
        builds = [node.get("build") for node in hub.nodes]
        contexts = [each.text or each.get("context").text for each in builds if each.line]
        sources = [folder / context / "jupyterhub_config.py" for context in contexts]
    return [
        _python(old, each.text, f"{each.origin} ({each.name})")
        if isinstance(each, Node)
        else _python(old, read_text(each), str(each))
        for each in dict.fromkeys(sources)
        if isinstance(each, Node) or is_file(each)
    ]


def _hub_service(services: Mapping[str, Service], wanted: str | None) -> str:
    if not services:
        raise MigrationError(
            "These compose files have no services. Name those that the old hub was started from."
        )
    if wanted is not None:
        if wanted not in services:
            raise MigrationError(f"There is no service {wanted}. There are: {', '.join(services)}.")
        return wanted
    signs: list[Callable[[Service], bool]] = [
        lambda service: "jupyterhub" in service.image.rpartition("/")[2],
        lambda service: service.name == "jupyterhub",
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


def _helm(trees: Sequence[Node], found: Mapping[str, Found], folder: Path) -> Old:
    chart = read_chart(trees)
    old = Old(
        "kubernetes",
        folder,
        dict(chart.variables),
        own=set(chart.variables),
        chart=chart,
        is_reference=chart.is_reference,
    )
    old.elsewhere = dict(chart.elsewhere)
    old.plugin = {name: each for name, each in {**old.hub, **found}.items() if name.startswith(_OF_XNAT)}
    _with_defaults(old, chart.defaults, "the chart's default")
    old.python = read_code(chart, {name: each.value for name, each in old.hub.items()})
    return old


def _with_defaults(old: Old, defaults: Mapping[str, str], origin: str) -> None:
    for name, value in defaults.items():
        if name not in old.elsewhere:
            old.hub.setdefault(name, Found(value, origin))
