"""What a server's processes may do on their node: `servers.security` in the terms of Docker, Swarm and Kubernetes."""

import base64
import json
from collections.abc import Container, Mapping
from functools import cache
from logging import Logger
from pathlib import Path
from typing import Any

from docker.utils import version_lt

from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.site.types import Security, Servers
from xnathub_conf.values.reserved_names import SCRATCH

HOME_GROUP = 100
"""The group of the home folder in images of docker-stacks, which lets any user write there."""

FIRST_ENGINE, _FIRST_API = 25, "1.44"
"""The Docker, and its API, that are the first to take for services what their privileges are, but for SELinux."""

_OLD_APIS: set[str] = set()
"""Versions of the API of which the log says already what they lack."""


_DEFAULT, _UNCONFINED = "default", "unconfined"


def user_of(servers: Servers) -> str:
    """Return whom a container starts as. Images of docker-stacks start as root, take NB_UID and NB_GID, and drop to them."""
    return "0" if servers.security.start_as_root else f"{servers.uid}:{servers.gid}"


def groups_of(servers: Servers) -> list[str] | None:
    """Return the further groups of a container's user, None for a root, which needs none."""
    return None if servers.security.start_as_root else [str(HOME_GROUP)]


def dropped(security: Security, *, root: bool) -> list[str]:
    """Return the capabilities that a container does not have."""
    return list(security.drop_capabilities) if root else ["ALL"]


def docker_rights(servers: Servers, mounted: Container[str] = ()) -> dict[str, object]:
    """Return a container's rights, as in the HostConfig of Docker's SDK; what is `mounted` already stays as it is."""
    security = servers.security
    rights: dict[str, Any] = {
        "cap_drop": dropped(security, root=security.start_as_root),
        "group_add": groups_of(servers),
        "pids_limit": security.pids_limit,
        "ulimits": ulimits(security),
        "read_only": security.read_only_root,
    }
    options = ["no-new-privileges:true"] if security.no_new_privileges else []
    if security.seccomp != _DEFAULT:
        options.append(f"seccomp={_profile(security.seccomp)}")
    if security.apparmor:
        options.append(f"apparmor={security.apparmor}")
    options += [f"label={part}:{value}" for part, value in selinux(security).items()]
    if security.user_namespaces == "host":
        rights["userns_mode"] = "host"
    if options:
        rights["security_opt"] = options
    if security.read_only_root:
        rights["tmpfs"] = {each: "mode=1777" for each in SCRATCH if each not in mounted}
    return rights


def selinux(security: Security) -> dict[str, str]:
    """Return the parts of the SELinux label that the site names, by their names."""
    return {part: value for part, value in vars(security.selinux).items() if value}


@cache
def _profile(seccomp: str) -> str:
    """Return what an engine is told of a profile: its content, since it looks for no file. Raises LaunchFailed."""
    if seccomp == _UNCONFINED:
        return seccomp
    try:
        return json.dumps(json.loads(Path(seccomp).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise LaunchFailed(
            "seccomp",
            f"The hub can't read the seccomp profile {seccomp}.",
            "Tell your XNAT administrator. site.yaml: servers.security.seccomp.",
            detail=str(error),
            status=502,
        ) from None


def service_privileges(security: Security) -> dict[str, object]:
    """Return a service's part of it that Docker's API calls privileges."""
    privileges: dict[str, Any] = {"NoNewPrivileges": security.no_new_privileges}
    if label := selinux(security):
        privileges["SELinuxContext"] = {part.capitalize(): value for part, value in label.items()}
    if security.seccomp == _UNCONFINED:
        privileges["Seccomp"] = {"Mode": _UNCONFINED}
    elif security.seccomp != _DEFAULT:
        profile = base64.b64encode(_profile(security.seccomp).encode()).decode()
        privileges["Seccomp"] = {"Mode": "custom", "Profile": profile}
    if security.apparmor == _UNCONFINED:
        privileges["AppArmor"] = {"Mode": "disabled"}
    return privileges


def lost_on_old_engines(security: Security, version: str) -> list[str]:
    """Return the keys that a swarm's engine of that API drops without a word."""
    if not version_lt(version, _FIRST_API):
        return []
    asked = {
        "no_new_privileges": security.no_new_privileges,
        "seccomp": security.seccomp != _DEFAULT,
        "apparmor": bool(security.apparmor),
    }
    return [f"servers.security.{key}" for key, is_asked in asked.items() if is_asked]


def check_service_rights(security: Security, version: str, log: Logger) -> None:
    """Log once that services can gain privileges on an engine of that API. Raises LaunchFailed for what is not so by default."""
    lost = lost_on_old_engines(security, version)
    if wanted := [key for key in lost if not key.endswith("no_new_privileges")]:
        raise LaunchFailed(
            "rights",
            f"The engine's API, {version}, does not take {' and '.join(wanted)} for a swarm's services.",
            f"Tell your XNAT administrator: from Docker {FIRST_ENGINE} on it does.",
            status=502,
        )
    if lost and version not in _OLD_APIS:
        _OLD_APIS.add(version)
        log.warning(
            "This engine's API, %s, can't keep servers from gaining privileges (site.yaml: "
            "servers.security.no_new_privileges): a swarm's services can from Docker %s on.",
            version,
            FIRST_ENGINE,
        )


def in_user_namespaces(info: Mapping[str, Any]) -> bool:
    """Return whether an engine, by what it says of itself, has containers in user namespaces."""
    return any("name=userns" in str(each) for each in info.get("SecurityOptions") or ())


def ulimits(security: Security) -> list[dict[str, object]]:
    """Return the limits of each process, as Docker's API has them."""
    return [{"Name": name, "Soft": limit, "Hard": limit} for name, limit in security.ulimits.items()]


def container_security(security: Security, *, root: bool) -> dict[str, object]:
    """Return what a pod's container may do, as in its securityContext; whether it gains privileges, KubeSpawner says itself."""
    drop = dropped(security, root=root)
    rights: dict[str, object] = {"capabilities": {"drop": drop}} if drop else {}
    if security.read_only_root:
        rights["readOnlyRootFilesystem"] = True
    if label := selinux(security):
        rights["seLinuxOptions"] = label
    if security.apparmor == _UNCONFINED:
        rights["appArmorProfile"] = {"type": "Unconfined"}
    elif security.apparmor:
        rights["appArmorProfile"] = {"type": "Localhost", "localhostProfile": security.apparmor}
    if security.seccomp == _UNCONFINED:
        rights["seccompProfile"] = {"type": "Unconfined"}
    elif security.seccomp != _DEFAULT:
        rights["seccompProfile"] = {"type": "Localhost", "localhostProfile": security.seccomp}
    elif not root:
        rights["seccompProfile"] = {"type": "RuntimeDefault"}
    return rights if root else {"runAsNonRoot": True, **rights}


def pod_users(security: Security) -> dict[str, object]:
    """Return whether a pod's users are those of its node, as in its spec."""
    if security.user_namespaces == _DEFAULT:
        return {}
    return {"hostUsers": security.user_namespaces == "host"}
