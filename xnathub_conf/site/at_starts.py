"""What becomes of the keys of `servers` that set nothing of JupyterHub: they are used, or checked, at each start."""

from collections.abc import Mapping

from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Site

_HERE = "servers"
_SECURITY = "security"

_MADE_OF: Mapping[str, str] = {
    "docker": "its container", "swarm": "its service", "kubernetes": "its pod", "local": "its process",
}  # fmt: skip

_CHECKED = {"allowed_images", "allowed_mounts", "allowed_mount_targets", "caps"}

_USED = {
    "ca_file", "cpu_guarantee", "cpu_limit", "dns_search", "environment", "gid", "hosts", "http_proxy", "image_health_checks", "mem_guarantee",
    "mem_limit", "mounts", "no_proxy", _SECURITY, "shm_size", "stop_timeout", "uid",
}  # fmt: skip

WITHOUT_USE: Mapping[str, frozenset[tuple[str, ...]]] = {
    "docker": frozenset(),
    "swarm": frozenset([(_SECURITY, "user_namespaces")]),
    "kubernetes": frozenset(
        [
            (_SECURITY, "pids_limit"),
            (_SECURITY, "ulimits"),
            (_SECURITY, "start_as_root"),
            ("image_health_checks",),
        ]
    ),
    "local": frozenset(
        (each,)
        for each in _USED - {"ca_file", "environment", "http_proxy", "mounts", "no_proxy", "stop_timeout"}
    ),
}
"""By orchestrator, the keys that do nothing there; whoever changes one from its default is told so."""

_NAMES = {"swarm": "a swarm", "kubernetes": "Kubernetes", "local": "servers of the hub's own machine"}


def at_each_start(site: Site, key: KeyPath) -> str:
    """Return in words where a key of `servers` has its effect at a start, "" for one that has it elsewhere."""
    if len(key) < 2 or key[0] != _HERE:
        return ""
    kind, name = site.orchestrator.key, str(key[1])
    if any(tuple(map(str, key[1:]))[: len(each)] == each for each in WITHOUT_USE[kind]):
        return f"no effect on {_NAMES[kind]}"
    if name in _CHECKED:
        return "checked at each start"
    return f"at each start, in {_MADE_OF[kind]}" if name in _USED else ""
