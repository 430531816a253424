"""What a server's processes may do on their node: `servers.security` in the terms of Docker, Swarm and Kubernetes."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.site.types import Security, Servers

HOME_GROUP = 100
"""The group of the home folder in images of docker-stacks, which lets any user write there."""

SCRATCH = ("/tmp", "/home/jovyan")  # noqa: S108 - the container's own
"""What stays writable where the image is read-only."""


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


def docker_rights(servers: Servers) -> dict[str, object]:
    """Return a container's rights, as in the HostConfig of Docker's SDK."""
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
        options.append(f"seccomp={_docker_profile(security.seccomp)}")
    if security.apparmor:
        options.append(f"apparmor={security.apparmor}")
    options += [f"label={part}:{value}" for part, value in selinux(security).items()]
    if options:
        rights["security_opt"] = options
    if security.read_only_root:
        rights["tmpfs"] = dict.fromkeys(SCRATCH, "mode=1777")
    return rights


def selinux(security: Security) -> dict[str, str]:
    """Return the parts of the SELinux label that the site names, by their names."""
    return {part: value for part, value in vars(security.selinux).items() if value}


@cache
def _docker_profile(seccomp: str) -> str:
    """Return what the engine is told of a profile: its content, since it looks for no file. Raises LaunchFailed."""
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
    label = {part.capitalize(): value for part, value in selinux(security).items()}
    return {"NoNewPrivileges": security.no_new_privileges, **({"SELinuxContext": label} if label else {})}


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
    if security.apparmor:
        rights["appArmorProfile"] = {"type": "Localhost", "localhostProfile": security.apparmor}
    if security.seccomp == _UNCONFINED:
        rights["seccompProfile"] = {"type": "Unconfined"}
    elif security.seccomp != _DEFAULT:
        rights["seccompProfile"] = {"type": "Localhost", "localhostProfile": security.seccomp}
    elif not root:
        rights["seccompProfile"] = {"type": "RuntimeDefault"}
    return rights if root else {"runAsNonRoot": True, **rights}
