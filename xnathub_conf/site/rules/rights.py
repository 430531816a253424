"""Rules of `servers.security`."""

from collections.abc import Mapping

from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.schema import filled, node_at
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document

_HERE: KeyPath = ("servers", "security")
_TO_CHANGE_USER = ("SETUID", "SETGID")


def check_rights(document: Document, site: Site) -> None:
    """What is written has an effect on this orchestrator, and a server can still start."""
    security, kind = site.servers.security, kind_of(site)
    # A default may stand in the file.
    written = document.data["servers"].get("security", {})
    changed = [
        key
        for key, value in written.items()
        if (node := node_at((*_HERE, key)) or {}) and filled(value, node) != node.get("default")
    ]
    for key in changed if kind.own_processes else ():
        found = "It has no effect: local servers are the hub's own processes."
        report(document, (*_HERE, key), "rights", found, "Delete it.")
    for key, fix in kind.rights.without.items():
        if key in changed and written[key] != _UNCONFINED:
            found = kind.rights.why
            report(document, (*_HERE, key), "rights", found, fix)
    if kind.own_processes:
        return
    profile, folder = security.seccomp, kind.rights.seccomp_below
    if profile not in {"default", _UNCONFINED} and (
        profile.startswith("/") is bool(folder) or "/../" in f"/{profile}/"
    ):
        found = "Expected an absolute path, or `default` or `unconfined`."
        fix = "Write `default`, or where the profile's file is on the hub's machine."
        if folder:
            found = "Expected a path below the kubelet's folder of profiles, or `default` or `unconfined`."
            fix = f"Write `default`, or the path that follows {folder}."
        report(document, (*_HERE, "seccomp"), "rights", found, fix)
    root = kind.starts_as_root(site.orchestrator, site)
    if root:
        for index, name in enumerate(security.drop_capabilities):
            if name == "ALL" or name in _TO_CHANGE_USER:
                whole = name == "ALL"
                found = f"Without {'any capability' if whole else name}, servers that start as root can't change to `servers.uid`."
                fix = f"Delete {'`drop_capabilities`' if whole else 'it'}, or set `start_as_root: false`."
                report(document, (*_HERE, "drop_capabilities", index), "rights", found, fix)
        if security.read_only_root:
            found = "An image's start script, as root, writes into the image."
            report(
                document, (*_HERE, "read_only_root"), "rights", found, "Set `start_as_root: false` as well."
            )
    elif "drop_capabilities" in changed and "ALL" not in security.drop_capabilities:
        found = "It changes nothing: servers that don't start as root have no capabilities at all."
        report(document, (*_HERE, "drop_capabilities"), "unused-right", found, "Delete it.")
    if security.no_new_privileges and site.servers.environment.get("GRANT_SUDO") in {"1", "yes"}:
        found = "It has no effect: servers can't gain privileges."
        fix = "Delete it, or set servers.security.no_new_privileges: false."
        report(document, ("servers", "environment", "GRANT_SUDO"), "rights", found, fix)
    if "ulimits" not in kind.rights.without:
        _limits(document, security.ulimits)
    _below_default(document, site, root=root)


_LEAST: Mapping[str, int] = {
    "cpu": 60, "data": 64 * 1024**2, "fsize": 1024**2, "nofile": 256, "nproc": 64, "sigpending": 64, "stack": 128 * 1024,
}  # fmt: skip
"""The least with which Jupyter starts and a notebook runs, with room to spare."""

_MOST: Mapping[str, int] = {"nice": 40, "nofile": 1073741816, "rtprio": 99}
"""The most that Linux takes; what is more, `-1` too, keeps containers from starting."""

_NO_LIMIT = {"locks", "rss"}
"""What Linux has not limited since 2.4."""


def _limits(document: Document, ulimits: Mapping[str, int]) -> None:
    """Report limits with which no server starts, or that Linux does not have."""
    for name, limit in ulimits.items():
        path = (*_HERE, "ulimits", name)
        least, most = _LEAST.get(name, 0), _MOST.get(name, _LONG)
        if name in _NO_LIMIT:
            report(document, path, "rights", f"It has no effect: Linux has no limit {name}.", "Delete it.")
        elif 0 <= limit < least:
            found = f"With {name} at {limit} no server runs."
            report(document, path, "rights", found, f"Write {least} or more.")
        elif limit > most or (limit < 0 and name in _MOST):
            found = f"With {name} at {limit} no server starts: Linux takes {most} at most."
            report(document, path, "rights", found, f"Write {most} or less.")


_LONG = 2**63 - 1
_MANY_PROCESSES = 65536


def _below_default(document: Document, site: Site, *, root: bool) -> None:
    """Warn of what lets a server do more to its node than servers may by default."""
    security, without = site.servers.security, kind_of(site).rights.without
    default = (node_at((*_HERE, "drop_capabilities")) or {}).get("default", ())
    kept = [name for name in default if name not in security.drop_capabilities]
    rule, fix = "less-protected", "Delete it, if you can."
    if not security.no_new_privileges:
        found = "Programs such as sudo can give a server's user the rights of its root."
        report(document, (*_HERE, "no_new_privileges"), rule, found, fix)
    if root and kept and "ALL" not in security.drop_capabilities:
        found = f"A server's root has {', '.join(kept)}, which it has not by default."
        report(document, (*_HERE, "drop_capabilities"), rule, found, fix)
    if security.pids_limit > _MANY_PROCESSES and "pids_limit" not in without:
        found = f"{security.pids_limit} processes of one server can be all that its node has room for."
        report(document, (*_HERE, "pids_limit"), rule, found, fix)
    if security.seccomp == _UNCONFINED:
        found = "Servers may make every system call, those too through which containers were left."
        report(document, (*_HERE, "seccomp"), rule, found, fix)
    if security.apparmor == _UNCONFINED:
        found = "No profile keeps servers from files of the kernel's."
        report(document, (*_HERE, "apparmor"), rule, found, fix)
    if security.user_namespaces == "host" and "user_namespaces" not in without:
        found = "Root in a server is root on its node, whatever the engine's default is."
        report(document, (*_HERE, "user_namespaces"), rule, found, fix)
    if security.selinux.type in _UNCONFINED_TYPES:
        found = f"SELinux keeps {security.selinux.type} from nothing on the node."
        report(document, (*_HERE, "selinux", "type"), rule, found, fix)


_UNCONFINED = "unconfined"
_UNCONFINED_TYPES = {"spc_t", "unconfined_service_t", "unconfined_t"}
