"""What becomes of the keys of `servers` that set nothing of JupyterHub: they are used, or checked, at each start."""

from typing import Any

from xnathub_conf.site.kinds import Kind, kind_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Site

_HERE = "servers"
_SECURITY = "security"

_CHECKED = {"allowed_images", "allowed_mounts", "allowed_mount_targets", "caps"}

_USED = {
    "ca_file", "cpu_guarantee", "cpu_limit", "dns_search", "environment", "gid", "hosts", "http_proxy", "image_health_checks", "mem_guarantee",
    "mem_limit", "mounts", "no_proxy", _SECURITY, "shm_size", "stop_timeout", "uid",
}  # fmt: skip

_OF_PROCESSES = {"ca_file", "environment", "http_proxy", "mounts", "no_proxy", "stop_timeout"}
"""What of these is of use where servers are the hub's own processes."""


def without_use(kind: Kind[Any]) -> set[tuple[str, ...]]:
    """Return the keys that do nothing with an orchestrator; whoever changes one from its default is told so."""
    if kind.own_processes:
        return {(each,) for each in _USED - _OF_PROCESSES}
    found: set[tuple[str, ...]] = {
        (_SECURITY, each) for each in kind.rights.without.keys() - kind.rights.partly
    }
    return found if kind.health_checks else found | {("image_health_checks",)}


def at_each_start(site: Site, key: KeyPath) -> str:
    """Return in words where a key of `servers` has its effect at a start, "" for one that has it elsewhere."""
    if len(key) < 2 or key[0] != _HERE:
        return ""
    kind, name = kind_of(site), str(key[1])
    if any(tuple(map(str, key[1:]))[: len(each)] == each for each in without_use(kind)):
        return f"no effect on {kind.name}"
    if name in _CHECKED:
        return "checked at each start"
    return f"at each start, in {kind.server}" if name in _USED else ""
