"""What another hub's spawner says of servers' containers, and the keys of a site that it becomes."""

from collections.abc import Mapping

from xnathub_conf.migration.container_parts import (
    ENGINE,
    MORE,
    NO_KEY,
    SECURITY,
    Keys,
    Part,
    PartlyError,
    amount_of,
    constraints,
    cores,
    dns_config,
    dropped,
    flag,
    hosts,
    kept_cores,
    left_behind,
    log_driver,
    memory_folders,
    network,
    no_rights,
    only,
    only_dropped,
    privileges,
    runs_as,
    security_options,
    stop_seconds,
    texts,
    ulimits,
    whole_number,
)
from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.python_values import UNKNOWN, is_known
from xnathub_conf.migration.site_mounts import MOUNT_TRAITS, carry_mounts
from xnathub_conf.migration.tree import Node

_GPU = "XNAT asks for GPUs, by a compute environment's generic resources; servers.caps.generic_resources is the most for one server."
_BY_HAND = "name these folders in servers.mounts."

_NAMES: dict[str, Part] = {
    "dns": texts((*ENGINE, "dns")), "dns_search": texts("servers.dns_search"), "extra_hosts": hosts, "hosts": hosts, "dns_config": dns_config,
}  # fmt: skip
_LIMITS: dict[str, Part] = {
    "shm_size": amount_of("servers.shm_size"), "tmpfs": memory_folders, "mem_limit": amount_of("servers.mem_limit"),
    "mem_reservation": amount_of("servers.mem_guarantee"), "nano_cpus": cores,
    "cpu_quota": left_behind("servers.cpu_limit says it in cores: the quota divided by the period."),
    "cpu_period": left_behind("servers.cpu_limit says it in cores: the quota divided by the period."),
    "pids_limit": whole_number(f"{SECURITY}.pids_limit"), "ulimits": ulimits, "runtime": left_behind(_GPU), "device_requests": left_behind(_GPU),
    "devices": left_behind(_GPU),
}  # fmt: skip
_RIGHTS: dict[str, Part] = {
    "security_opt": security_options, "cap_drop": dropped, "cap_add": no_rights, "privileged": no_rights, "device_cgroup_rules": no_rights,
    "read_only": flag(f"{SECURITY}.read_only_root"), "group_add": left_behind("servers are in the group servers.gid."),
    "ipc_mode": only("private", MORE), "pid_mode": only("", MORE), "uts_mode": only("", MORE), "cgroupns": only("private", MORE),
}  # fmt: skip
_LIFE: dict[str, Part] = {
    "init": only(True, "every server has an init process."),
    "auto_remove": only(True, "a server's container goes as it stops."),
    "restart_policy": left_behind("a server that ended is not started again by itself."),
}
_HOST: dict[str, Part] = {
    **_NAMES, **_LIMITS, **_RIGHTS, **_LIFE, "log_config": log_driver, "network_mode": network, "volumes_from": left_behind(_BY_HAND),
    "port_bindings": left_behind("servers are reached through the hub's proxy alone."),
    "publish_all_ports": only(False, "servers are reached through the hub's proxy alone."),
}  # fmt: skip
_CREATED: dict[str, Part] = {
    "user": runs_as, "groups": left_behind("servers are in the group servers.gid."), "stop_timeout": whole_number("servers.stop_timeout"),
    "environment": left_behind("servers.environment is the key for variables of every server."),
    "env": left_behind("servers.environment is the key for variables of every server."), "runtime": left_behind(_GPU),
    "labels": left_behind("servers have the hub's own labels."), "healthcheck": left_behind("servers.image_health_checks says whether images' own are done."),
    "command": left_behind("the image's own command is started, or what XNAT names."), "args": left_behind("the image's own command is started, or what XNAT names."),
    "entrypoint": left_behind("the image's own entry point is started."), "image": left_behind("XNAT names it, and servers.allowed_images says which it may."),
}  # fmt: skip
_PARTS: dict[str, dict[str, Part]] = {
    "DockerSpawner.extra_host_config": _HOST,
    "DockerSpawner.extra_create_kwargs": _CREATED,
    "DockerSpawner.extra_container_spec": {**_HOST, **_CREATED, "stop_grace_period": stop_seconds, "privileges": privileges},
    "DockerSpawner.extra_placement_spec": {"constraints": constraints},
    "DockerSpawner.extra_resources_spec": {
        "cpu_limit": cores, "cpu_reservation": kept_cores, "mem_limit": amount_of("servers.mem_limit"),
        "mem_reservation": amount_of("servers.mem_guarantee"), "generic_resources": left_behind(_GPU),
    },
    "DockerSpawner.extra_task_spec": {
        "log_driver": log_driver, "restart_policy": left_behind("a server that ended is not started again by itself."),
        "networks": left_behind("orchestrator.swarm.network_name is the network that servers share with the hub."),
        "placement": left_behind("write its constraints as orchestrator.swarm.placement_constraints."),
    },
    "KubeSpawner.container_security_context": {
        "allowPrivilegeEscalation": flag(f"{SECURITY}.no_new_privileges", inverse=True),
        "readOnlyRootFilesystem": flag(f"{SECURITY}.read_only_root"), "capabilities": only_dropped, "privileged": no_rights,
        "runAsUser": whole_number("servers.uid"), "runAsGroup": whole_number("servers.gid"),
    },
}  # fmt: skip
"""Settings that hold several things, and what each of those becomes."""

_MOUNTED = {"mounts": "DockerSpawner.mounts", "binds": "DockerSpawner.volumes"}
"""What mounts folders, and the setting that takes the like."""

_ONE: dict[str, Part] = {
    "KubeSpawner.allow_privilege_escalation": flag(f"{SECURITY}.no_new_privileges", inverse=True),
    "KubeSpawner.privileged": no_rights,
    "KubeSpawner.extra_resource_limits": left_behind(_GPU),
    "KubeSpawner.extra_resource_guarantees": left_behind(_GPU),
    "KubeSpawner.fs_gid": whole_number("servers.gid"),
}

CONTAINER_TRAITS = frozenset({*_PARTS, *_ONE, *MOUNT_TRAITS, "KubeSpawner.volumes"})
"""The settings that this module knows, and pods' volumes, which some of them refer to."""


def carry_container(to: Ledger, trait: str, value: object, place: tuple[str, Node], kind: str) -> bool:
    """Carry over a setting about servers' containers; return whether it is one. Raises NotCarriedError.

    `trait` is named by the class that a setting belongs to among several that inherit it, `kind` is the orchestrator.
    What only a part of it has no key for makes it one that is not carried over, and its line says which part, and what was taken.
    """
    if trait in MOUNT_TRAITS:
        carry_mounts(to, trait, value, place)
        return True
    if trait in _ONE:
        _put(to, _ONE[trait](value), place, kind)
        return True
    if trait not in _PARTS:
        return False
    if not isinstance(value, Mapping):
        raise NotCarriedError("It is no map of names to values. Look for a key of site.yaml for what it did.")
    lost = []
    for part, inner in value.items():
        try:
            if inner is None:
                continue
            if inner is UNKNOWN or not is_known(inner):
                raise NotCarriedError("it is code. Look for a key of site.yaml for what it sets.")
            if part in _MOUNTED:
                carry_mounts(to, _MOUNTED[part], _bound(inner), place)
            else:
                _put(to, _PARTS[trait].get(str(part), left_behind(NO_KEY))(inner), place, kind)
        except NotCarriedError as error:
            if isinstance(error, PartlyError) and error.keys:
                _put(to, error.keys, place, kind)
            lost.append(f"{part}: {error}")
    if lost:
        raise NotCarriedError(" ".join(lost))
    return True


def _bound(value: object) -> object:
    """Return Docker's `source:target:mode` as DockerSpawner has it, all else as it is."""
    if not isinstance(value, list | tuple) or not all(
        isinstance(each, str) and ":" in each for each in value
    ):
        return value
    found = [each.split(":") for each in value]
    return {source: {"bind": target, "mode": ":".join(mode) or "rw"} for source, target, *mode in found}


def _put(to: Ledger, keys: Keys, place: tuple[str, Node], kind: str) -> None:
    name, leaf = place
    for key, value in keys.items():
        path = tuple(key.split(".")) if isinstance(key, str) else key
        to.put(tuple(kind if each == "*" else each for each in path), value, name, at(leaf))
    if not keys:
        to.ignore(name, at(leaf), "It is so by default.")
