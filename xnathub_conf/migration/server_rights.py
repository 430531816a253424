"""What another hub's spawner says of servers' containers, and the keys of a site that it becomes: rights, memory, mounts."""

from collections.abc import Callable, Mapping

from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.rules import is_number
from xnathub_conf.migration.site_mounts import MOUNT_TRAITS, amount, carry_mounts
from xnathub_conf.migration.tree import Node

_SECURITY = "servers.security"
_GPU = "XNAT asks for GPUs, by a compute environment's generic resources; servers.caps.generic_resources is the most for one server."
_MORE = "Servers get no more rights than servers.security leaves them."
_NO_KEY = "no key of site.yaml stands for it."

Part = Callable[[object], dict[str, object]]
"""Makes keys of the site of one entry of such a setting. Raises NotCarriedError, with why."""


def _shm(value: object) -> dict[str, object]:
    return {"servers.shm_size": amount(value)}


def _flag(key: str, *, inverse: bool = False) -> Part:
    def part(value: object) -> dict[str, object]:
        if not isinstance(value, bool):
            raise NotCarriedError("it is neither true nor false.")
        return {key: value is not inverse}

    return part


def _dropped(value: object) -> dict[str, object]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise NotCarriedError("it is no list of names.")
    names = [each.upper().removeprefix("CAP_") for each in value]
    return {f"{_SECURITY}.drop_capabilities": [*dict.fromkeys(names)]}


def _capabilities(value: object) -> dict[str, object]:
    if not isinstance(value, Mapping) or not set(value) <= {"drop"}:
        raise NotCarriedError(_MORE)
    return _dropped(value.get("drop", []))


def _whole(key: str) -> Part:
    def part(value: object) -> dict[str, object]:
        if isinstance(value, bool) or not isinstance(value, int):
            raise NotCarriedError("it is no whole number.")
        return {key: value}

    return part


def _options(value: object) -> dict[str, object]:
    options = value if isinstance(value, list | tuple) else [value]
    if {str(each).removesuffix(":true").removesuffix("=true") for each in options} != {"no-new-privileges"}:
        raise NotCarriedError(
            "of these only no-new-privileges has a key, servers.security.no_new_privileges."
        )
    return {f"{_SECURITY}.no_new_privileges": True}


def _ulimits(value: object) -> dict[str, object]:
    limits = {}
    for each in value if isinstance(value, list | tuple) else [None]:
        found = (
            {str(name).lower(): limit for name, limit in each.items()} if isinstance(each, Mapping) else {}
        )
        if not isinstance(found.get("name"), str) or found.get("soft", found.get("hard")) != found.get(
            "hard"
        ):
            raise NotCarriedError(
                "Servers have one number for each limit: write servers.security.ulimits by hand."
            )
        limits[found["name"]] = found["hard"]
    return {f"{_SECURITY}.ulimits": limits}


def _runs_as(value: object) -> dict[str, object]:
    user, _, group = str(value).partition(":")
    if user in {"0", "root"}:
        return {f"{_SECURITY}.start_as_root": True}
    if not (is_number(user) and is_number(group)):
        raise NotCarriedError("write it as servers.uid and servers.gid, in numbers.")
    return {"servers.uid": int(user), "servers.gid": int(group), f"{_SECURITY}.start_as_root": False}


def _constraints(value: object) -> dict[str, object]:
    if not isinstance(value, list | tuple):
        raise NotCarriedError("it is no list.")
    return {"orchestrator.swarm.placement_constraints": list(value)}


def _no_rights(value: object) -> dict[str, object]:
    if value:
        raise NotCarriedError(_MORE)
    return {}


def _left(why: str) -> Part:
    def part(_value: object) -> dict[str, object]:
        raise NotCarriedError(why)

    return part


_HOST: dict[str, Part] = {
    "shm_size": _shm, "security_opt": _options, "cap_drop": _dropped, "cap_add": _no_rights, "privileged": _no_rights,
    "pids_limit": _whole(f"{_SECURITY}.pids_limit"), "ulimits": _ulimits, "read_only": _flag(f"{_SECURITY}.read_only_root"),
    "mem_limit": lambda value: {"servers.mem_limit": amount(value)}, "runtime": _left(_GPU), "device_requests": _left(_GPU),
    "devices": _left(_GPU), "binds": _left("name these folders in servers.mounts."), "mounts": _left("name these folders in servers.mounts."),
}  # fmt: skip
_PARTS: dict[str, dict[str, Part]] = {
    "DockerSpawner.extra_host_config": _HOST,
    "DockerSpawner.extra_create_kwargs": {"user": _runs_as},
    "DockerSpawner.extra_container_spec": {**_HOST, "user": _runs_as},
    "DockerSpawner.extra_placement_spec": {"constraints": _constraints},
    "KubeSpawner.container_security_context": {
        "allowPrivilegeEscalation": _flag(f"{_SECURITY}.no_new_privileges", inverse=True),
        "readOnlyRootFilesystem": _flag(f"{_SECURITY}.read_only_root"), "capabilities": _capabilities, "privileged": _no_rights,
        "runAsUser": _whole("servers.uid"), "runAsGroup": _whole("servers.gid"),
    },
}  # fmt: skip
"""Settings that hold several things, and what each of those becomes."""

_ONE: dict[str, Part] = {
    "KubeSpawner.allow_privilege_escalation": _flag(f"{_SECURITY}.no_new_privileges", inverse=True),
    "KubeSpawner.privileged": _no_rights,
    "KubeSpawner.extra_resource_limits": _left(_GPU),
    "KubeSpawner.extra_resource_guarantees": _left(_GPU),
    "KubeSpawner.fs_gid": _whole("servers.gid"),
}

CONTAINER_TRAITS = frozenset({*_PARTS, *_ONE, *MOUNT_TRAITS, "KubeSpawner.volumes"})
"""The settings that this module knows, and pods' volumes, which some of them refer to."""


def carry_container(to: Ledger, trait: str, value: object, place: tuple[str, Node]) -> bool:
    """Carry over a setting about servers' containers; return whether it is one. Raises NotCarriedError.

    `trait` is named by the class that a setting belongs to among several that inherit it. What only a part of it has no
    key for makes it one that is not carried over, and its line says which part, and what was taken.
    """
    name, leaf = place
    if trait in MOUNT_TRAITS:
        carry_mounts(to, trait, value, place)
        return True
    if trait in _ONE:
        _put(to, _ONE[trait](value), name, leaf)
        return True
    if trait not in _PARTS:
        return False
    if not isinstance(value, Mapping):
        raise NotCarriedError("It is no map of names to values. Look for a key of site.yaml for what it did.")
    lost = []
    for part, inner in value.items():
        try:
            _put(to, _PARTS[trait].get(str(part), _left(_NO_KEY))(inner), name, leaf)
        except NotCarriedError as error:
            lost.append(f"{part}: {error}")
    if lost:
        raise NotCarriedError(" ".join(lost))
    return True


def _put(to: Ledger, keys: Mapping[str, object], name: str, leaf: Node) -> None:
    for key, value in keys.items():
        to.put(key, value, name, at(leaf))
    if not keys:
        to.ignore(name, at(leaf), "It is so by default.")
