"""What of a pod's configuration takes it below *restricted*, the highest of Kubernetes' pod security standards."""

from collections.abc import Iterator, Mapping
from typing import Any

Place = tuple[str | int, ...]

_VOLUMES = frozenset(
    {
        "configmap",
        "csi",
        "downwardapi",
        "emptydir",
        "ephemeral",
        "persistentvolumeclaim",
        "projected",
        "secret",
    }
)
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
    }
)  # fmt: skip
_PROFILES = ("RuntimeDefault", "Localhost")


def pod_below_restricted(config: object) -> Iterator[Place]:
    """Yield the places of a pod's spec, or of what is merged into one, that *restricted* forbids."""
    for name in ("hostnetwork", "hostpid", "hostipc"):
        key, value = _at(config, name)
        if value is True:
            yield (key,)
    yield from _below(config, "securitycontext", _rights)
    for name in ("initcontainers", "containers", "ephemeralcontainers"):
        yield from _below(config, name, containers_below_restricted)
    yield from _below(config, "volumes", _volumes)


def containers_below_restricted(containers: object) -> Iterator[Place]:
    """Yield the places of a list or map of whole containers that *restricted* forbids, or the container that lacks what it asks for."""
    for at, container in _entries(containers):
        for place in container_below_restricted(container):
            yield (at, *place)
        _, rights = _at(container, "securitycontext")
        _, capabilities = _at(rights, "capabilities")
        _, drop = _at(capabilities, "drop")
        _, profile = _at(rights, "seccompprofile")
        wanted = (
            _at(rights, "allowprivilegeescalation")[1] is False,
            _at(rights, "runasnonroot")[1] is True,
            isinstance(drop, list | tuple) and "ALL" in drop,
            _at(profile, "type")[1] in _PROFILES,
        )
        if not all(wanted):
            yield (at,)


def container_below_restricted(config: object) -> Iterator[Place]:
    """Yield the places of a container, or of what is merged into one, that *restricted* forbids."""
    yield from _below(config, "securitycontext", _rights)
    key, ports = _at(config, "ports")
    for index, port in _entries(ports):
        name, value = _at(port, "hostport")
        if value:
            yield (key, index, name)


def _volumes(volumes: object) -> Iterator[Place]:
    """Yield the places of a list or map of volumes whose kind *restricted* forbids, such as hostPath."""
    for at, volume in _entries(volumes):
        for key in volume if isinstance(volume, Mapping) else ():
            if key != "name" and _plain(key) not in _VOLUMES:
                yield (at, key)


def _rights(context: object) -> Iterator[Place]:
    for name, good in (
        ("privileged", (False, None)),
        ("allowprivilegeescalation", (False, None)),
        ("runasnonroot", (True, None)),
        ("procmount", ("Default", None)),
    ):
        key, value = _at(context, name)
        if value not in good:
            yield (key,)
    key, value = _at(context, "runasuser")
    if value == 0:
        yield (key,)
    key, capabilities = _at(context, "capabilities")
    added, names = _at(capabilities, "add")
    if isinstance(names, list | tuple) and set(map(str, names)) - {"NET_BIND_SERVICE"}:
        yield (key, added)
    for kind in ("seccompprofile", "apparmorprofile"):
        key, profile = _at(context, kind)
        kind_key, value = _at(profile, "type")
        if value not in (*_PROFILES, None):
            yield (key, kind_key)
    key, options = _at(context, "selinuxoptions")
    for name in ("user", "role"):
        option, value = _at(options, name)
        if value:
            yield (key, option)
    key, sysctls = _at(context, "sysctls")
    for index, sysctl in _entries(sysctls):
        if _at(sysctl, "name")[1] not in _SYSCTLS:
            yield (key, index)


def _below(config: object, name: str, look: Any) -> Iterator[Place]:
    key, value = _at(config, name)
    for place in look(value):
        yield (key, *place)


def _entries(many: object) -> Iterator[tuple[str | int, object]]:
    """Yield the entries of a list, or of a map as KubeSpawner takes it in place of one."""
    if isinstance(many, Mapping):
        yield from many.items()
    elif isinstance(many, list | tuple):
        yield from enumerate(many)


def _at(config: Any, name: str) -> tuple[str, object]:
    """Return a key and its value by its name without capitals and underscores; the value is None where there is none."""
    for key in config if isinstance(config, Mapping) else ():
        if _plain(key) == name:
            return key, config[key]
    return name, None


def _plain(key: object) -> str:
    return str(key).replace("_", "").lower()
