"""`extra_pod_config` and `extra_container_config` of KubeSpawner: what of them is decided elsewhere, and how the rest is merged."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from xnathub_conf.values.variables import refused

Part = Literal["pod", "container"]

_IDS: Mapping[tuple[str, ...], str] = {
    ("securityContext", "runAsUser"): "`servers.uid`",
    ("securityContext", "runAsGroup"): "`servers.gid`",
    ("securityContext", "runAsNonRoot"): "`orchestrator.kubernetes.start_as_root`",
}
_DECIDED: Mapping[Part, Mapping[tuple[str, ...], str]] = {
    "pod": {
        **_IDS,
        ("securityContext", "fsGroup"): "`servers.gid`",
        ("hostUsers",): "`servers.security.user_namespaces`",
        ("containers",): "`KubeSpawner.extra_containers`",
        # With another, a server that has ended would start anew in place.
        ("restartPolicy",): "",
        # No pod begins with any.
        ("ephemeralContainers",): "",
        ("nodeName",): "`orchestrator.kubernetes.node_selector`",
        ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"): "`orchestrator.kubernetes.node_selector`",
    },
    "container": {
        **_IDS,
        ("securityContext", "allowPrivilegeEscalation"): "`orchestrator.kubernetes.start_as_root`",
        ("securityContext", "privileged"): "`KubeSpawner.privileged`",
        ("name",): "",
        ("restartPolicy",): "",
        ("image",): "`servers.allowed_images`, and XNAT's Jupyter environment",
        ("imagePullPolicy",): "`orchestrator.kubernetes.image_pull_policy`",
        ("command",): "the command in XNAT's Jupyter environment",
        ("args",): "the command in XNAT's Jupyter environment",
        ("resources",): "`servers.caps` and the limits beside it, and XNAT's hardware",
    },
}  # fmt: skip
"""What the plan or the security of servers decides, and what to use in its place ("" where nothing does)."""

_UNLESS_ROOT: Mapping[tuple[str, ...], str] = {
    ("securityContext", "capabilities"): "`orchestrator.kubernetes.start_as_root`",
    ("securityContext", "seccompProfile"): "`orchestrator.kubernetes.start_as_root`",
}
"""The same of containers that don't start as root."""

_LISTS: Mapping[Part, tuple[str, ...]] = {
    "pod": ("volumes",),
    "container": ("env", "volumeMounts", "volumeDevices"),
}
_OWN_VOLUME = re.compile(r"claim-\d+|shm|scratch-tmp|scratch-home-jovyan")


def decided(
    part: Part, config: Mapping[str, object], *, root: bool
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what of a configuration is decided elsewhere: its place, and what to use in its place ("" for nothing)."""
    table = {**_DECIDED[part], **(_UNLESS_ROOT if part == "container" and not root else {})}
    for place, instead in table.items():
        at: Any = config
        path: list[str] = []
        for name in place:
            key = _key(at, name)
            if key is None:
                break
            path.append(key)
            at = at[key]
        else:
            yield tuple(path), instead
    for key, index, name in _names(config, _LISTS[part]):
        if camel(key) == "env":
            if refused(name, "site"):
                yield (key, index, "name"), ""
        elif _OWN_VOLUME.fullmatch(name):
            # Which claim it is depends on the plan, and whole it holds everybody's data.
            yield (key, index, "name"), "another name" if key == "volumes" else "`servers.mounts`"


def _names(config: Mapping[str, object], lists: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    for wanted in lists:
        key = _key(config, wanted)
        items = config[key] if key else ()
        for index, item in enumerate(items if isinstance(items, list | tuple) else ()):
            if isinstance(item, Mapping) and isinstance(item.get("name"), str):
                yield str(key), index, item["name"]


def _key(config: object, wanted: str) -> str | None:
    """Return the key of a mapping that Kubernetes' name stands for, which KubeSpawner takes in snake case too."""
    keys = config if isinstance(config, Mapping) else ()
    return next((key for key in keys if isinstance(key, str) and camel(key) == wanted), None)


def camel(key: str) -> str:
    """Return Kubernetes' name of a key that may be in snake case."""
    return re.sub("_([a-z])", lambda letter: letter[1].upper(), key)


def merged(base: object, changes: object) -> object:
    """Return `base` with `changes` merged in: objects key by key, lists one after the other, and else the change."""
    if isinstance(base, Mapping) and isinstance(changes, Mapping):
        result = dict(base)
        for key, value in changes.items():
            result[key] = merged(result[key], value) if key in result else value
        return result
    if isinstance(base, list | tuple) and isinstance(changes, list | tuple):
        return [*base, *changes]
    return base if changes is None else changes


def with_changes(spec: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """Return the new values of the keys that `changes` names, of a pod's spec or a container as the API has it, in its names."""
    named = {camel(key): value for key, value in changes.items()}
    return {key: merged(spec.get(key), value) if key in spec else value for key, value in named.items()}
