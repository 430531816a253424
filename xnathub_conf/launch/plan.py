"""The launch plan: what XNAT's answer asks for, in one typed and immutable form that knows no orchestrator."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from xnathub_conf.values.memory import xnat_bytes
from xnathub_conf.values.paths import PathError, normal_path

ITEM_KEYS = (
    "userId", "servername", "xsiType", "itemId", "itemLabel", "projectId", "eventTrackingId", "dashboardConfigId",
)  # fmt: skip
"""What the hub keeps in `user_options`: flat, and read by XNAT's plugin when it stops a server."""

_CONSTRAINT = re.compile(
    r"\s*([A-Za-z0-9][A-Za-z0-9._/-]*)\s*(==|!=)(?:\s*([^\s\x00-\x1f](?:[^\x00-\x1f]*[^\s\x00-\x1f])?)\s*)?"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_RESOURCE_NAME = re.compile(r"(?!(?i:all|none|void)\Z)[A-Za-z][A-Za-z0-9._:/-]{0,127}")
"""The name of a single one. Words that stand for any number of GPUs are none."""

_QUOTED = re.compile(r"""(?s)"(?:\\.|[^"\\])*"|(?<!\w)'[^']*'|\\.""")
_APOSTROPHE = re.compile(r"\w'\w")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class PlanError(Exception):
    """XNAT's answer has not the form that its plugin gives it. `where` is the place in the answer, the text what is wrong."""

    def __init__(self, where: str, text: str):
        self.where = where
        super().__init__(f"{where}: {text}")


class Mount(NamedTuple):
    """One mount. `source` is a path on the node (bind) or a volume's name (volume), `target` a path in the server."""

    kind: Literal["bind", "volume"]
    source: str
    target: str
    read_only: bool


class Constraint(NamedTuple):
    """One placement constraint in Swarm's terms, such as node.role != manager, or a bare label of a Kubernetes node."""

    key: str
    operator: Literal["==", "!="]
    value: str

    def __str__(self) -> str:
        return f"{self.key}{self.operator}{self.value}"


@dataclass(frozen=True)
class LaunchPlan:
    """What to start for one user.

    `command` is None for the image's own. CPU is in cores, memory in bytes, None where XNAT names none; `shm_size`, which the
    policy decides, is None for the engine's own. A generic resource is an amount, or the name of a single one, such as a GPU's. `item` holds
    the flat facts of ITEM_KEYS. `environment` holds the user's alias token, so it never shows in a repr.
    """

    username: str
    server_name: str
    item: Mapping[str, str | int | float | bool | None]
    image: str
    command: tuple[str, ...] | None
    environment: Mapping[str, str] = field(repr=False)
    mounts: tuple[Mount, ...]
    cpu_limit: float | None
    cpu_guarantee: float | None
    mem_limit: int | None
    mem_guarantee: int | None
    generic_resources: Mapping[str, int | str]
    constraints: tuple[Constraint, ...]
    shm_size: int | None = None


def read_plan(answer: object, username: str, server_name: str, translate: Callable[[str], str]) -> LaunchPlan:
    """Read XNAT's `user-options` answer, parsed from JSON, for one user's server.

    `translate` maps a bind source in normal form to the node's path. Nulls count as absent, unknown keys as nothing.
    Raises PlanError at the first thing that has the wrong type or form.
    """
    top = _mapping(answer, "the answer")
    template = _mapping(top.get("task_template"), "task_template")
    spec = _mapping(template.get("container_spec"), "container_spec")
    resources = _mapping(template.get("resources"), "resources")
    placement = _mapping(template.get("placement"), "placement")
    image = spec.get("image")
    if not isinstance(image, str) or not image:
        raise PlanError("container_spec.image", "no image is named")
    _whole(image, "container_spec.image")
    return LaunchPlan(
        username=username,
        server_name=server_name,
        item=flat_item(top),
        image=image,
        command=_command(spec.get("command")),
        environment=MappingProxyType(_environment(_mapping(spec.get("env"), "container_spec.env"))),
        mounts=_mounts(_list(spec.get("mounts"), "container_spec.mounts"), translate),
        cpu_limit=_cores(resources, "cpu_limit"),
        cpu_guarantee=_cores(resources, "cpu_reservation"),
        mem_limit=_memory(resources, "mem_limit"),
        mem_guarantee=_memory(resources, "mem_reservation"),
        generic_resources=MappingProxyType(
            _generic(_mapping(resources.get("generic_resources"), "resources.generic_resources"))
        ),
        constraints=tuple(
            _constraint(text, f"placement.constraints[{index}]")
            for index, text in enumerate(_list(placement.get("constraints"), "placement.constraints"))
        ),
    )


def flat_item(options: object) -> dict[str, str | int | float | bool | None]:
    """Keep of user options, whoever gave them, only the contract's keys with plain values of a sane length."""
    if not isinstance(options, Mapping):
        return {}
    return {
        key: value
        for key in ITEM_KEYS
        if (value := options.get(key)) is None
        or isinstance(value, bool)
        or _number(value)
        or _short_text(value)
        if key in options
    }


def _short_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 1000 and not _SURROGATE.search(value)


def _whole(text: str, where: str) -> str:
    """Return the text as it is. JSON can write half a character, which no log, page or program can take: PlanError then."""
    if _SURROGATE.search(text):
        raise PlanError(where, "it holds half a character")
    return text


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PlanError(where, "a JSON object was expected")
    return value


def _list(value: object, where: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise PlanError(where, "a JSON list was expected")
    return value


def _command(value: object) -> tuple[str, ...] | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise PlanError("container_spec.command", "text was expected")
    _whole(value, "container_spec.command")
    try:
        # An apostrophe inside a word, as in a title, is no quote: the reference knows none, and splits at spaces.
        if not _APOSTROPHE.search(_QUOTED.sub(" ", value)):
            return tuple(shlex.split(value)) or None
    except ValueError:
        pass
    return tuple(value.split()) or None


def _environment(values: Mapping[str, object]) -> dict[str, str]:
    environment: dict[str, str] = {}
    for name, value in values.items():
        if not _VARIABLE.fullmatch(name):
            raise PlanError("container_spec.env", f"{name!r} is no variable's name")
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise PlanError(f"container_spec.env.{name}", "text was expected")
        environment[name] = _whole(str(value), f"container_spec.env.{name}")
    return environment


def _mounts(values: Sequence[Any], translate: Callable[[str], str]) -> tuple[Mount, ...]:
    mounts: list[Mount] = []
    for index, value in enumerate(values):
        where = f"container_spec.mounts[{index}]"
        try:
            mounts.append(_mount(value, where, translate))
        except PathError as error:
            source, target = value["source"] or "", value["target"] or ""
            raise PlanError(
                where, f"the mount with source {source!r} and target {target!r} can't be used: {error}"
            ) from None
        except (KeyError, TypeError, AttributeError):
            raise PlanError(where, "a source, a target and a type were expected, all text") from None
    return tuple(mounts)


def _mount(value: Any, where: str, translate: Callable[[str], str]) -> Mount:
    """Read one mount. Raises PathError for one that can't be, and what Python raises for one that is not whole."""
    kind: Any
    kind, source, target = value["type"] or "bind", value["source"], value["target"]
    if kind == "volume" and (source is None or source == ""):
        raise PathError(
            "it is to be a volume, and XNAT's plugin sends no volume's name. In XNAT, give the mount that name as its local path "
            "and an absolute container path, and list the volume in site.yaml under servers.allowed_mounts"
        )
    target = normal_path(target)
    # The plugin takes any mount with a volume's name for a volume, and sends the local path: it is what is mounted.
    if kind == "volume" and isinstance(source, str) and source.startswith("/"):
        kind = "bind"
    if kind == "bind":
        source = translate(normal_path(source))
    elif kind != "volume" or not isinstance(source, str):
        raise PathError("its type is neither bind nor volume")
    elif "/" in source:
        raise PathError("a path is no volume's name")
    # What is not said to be writable is not.
    return Mount(kind, _whole(source, where), target, value.get("read_only") is not False)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e300


def _cores(resources: Mapping[str, Any], key: str) -> float | None:
    value = resources.get(key)
    if value is None or value == "":
        return None
    if not _number(value):
        raise PlanError(f"resources.{key}", "a number of cores was expected")
    return float(value) or None


def _memory(resources: Mapping[str, Any], key: str) -> int | None:
    value = resources.get(key)
    if value is None or value == "":
        return None
    if _number(value):
        return int(value) or None
    try:
        return xnat_bytes(value) or None
    except (ValueError, TypeError):
        raise PlanError(f"resources.{key}", "an amount of memory such as 8G was expected") from None


def _generic(values: Mapping[str, object]) -> dict[str, int | str]:
    resources: dict[str, int | str] = {}
    for name, value in values.items():
        if value is None or value == "":
            continue
        _whole(name, "resources.generic_resources")
        where = f"resources.generic_resources.{name}"
        amount: int | str
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value):
            amount = int(value)
        elif (isinstance(value, str) and _RESOURCE_NAME.fullmatch(value)) or (
            isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 999_999
        ):
            amount = value
        else:
            raise PlanError(
                where, "a whole number was expected, or the name of a single one such as GPU-8a2b"
            )
        if amount:
            resources[name] = amount
    return resources


def _constraint(value: object, where: str) -> Constraint:
    match = _CONSTRAINT.fullmatch(_whole(value, where)) if isinstance(value, str) else None
    if not match:
        raise PlanError(where, "a constraint such as node.labels.type==gpu was expected")
    operator: Literal["==", "!="] = "==" if match[2] == "==" else "!="
    # A node's label in Kubernetes may be without a value, such as node-role.kubernetes.io/gpu.
    return Constraint(match[1], operator, match[3] or "")
