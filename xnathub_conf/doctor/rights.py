"""Whether an engine can keep servers to what `servers.security` says."""

from collections.abc import Iterable, Mapping
from typing import Any

from xnathub_conf.doctor.examination import Finding, failed, ok, warning
from xnathub_conf.site.chosen import engine_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Site, Swarm
from xnathub_conf.spawners.rights import FIRST_ENGINE, in_user_namespaces, lost_on_old_engines

_HERE: KeyPath = ("servers", "security")


def engine_rights(
    site: Site, info: Mapping[str, Any], version: str, nodes: Iterable[Mapping[str, Any]]
) -> Finding:
    """Say what an engine, by what it says of itself and its API's version, and a swarm's nodes drop of the site's rights."""
    security = site.servers.security
    if security.user_namespaces == "own" and not in_user_namespaces(info):
        return failed(
            "The engine has no user namespaces, so no server starts.",
            "Set userns-remap in its daemon.json, or servers.security.user_namespaces: default.",
            (*_HERE, "user_namespaces"),
        )
    if not isinstance(engine_of(site), Swarm):
        return ok("The engine takes what servers may do.")
    old = [
        f"{each['Description']['Hostname']} ({engine})"
        for each in nodes
        if _is_old(engine := each["Description"]["Engine"]["EngineVersion"])
    ]
    # A worker is told by its manager, and drops what it does not know as well.
    lost = lost_on_old_engines(security, "0" if old else version)
    if not lost:
        return ok("The swarm takes what servers may do.")
    seen = f"{', '.join(lost)}: {', '.join(old) or f'the API {version}'} is too old for it."
    do = f"Bring the nodes to Docker {FIRST_ENGINE} or later."
    if lost == ["servers.security.no_new_privileges"]:
        return warning(
            f"{seen} Programs such as sudo may give servers more rights.", do, (*_HERE, "no_new_privileges")
        )
    return failed(f"{seen} On such managers no server starts, and such workers take no notice.", do, _HERE)


def _is_old(engine: str) -> bool:
    major = engine.partition(".")[0]
    return major.isdigit() and int(major) < FIRST_ENGINE
