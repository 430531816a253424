"""What a server's processes may do on their node: `servers.security` in the terms of Docker, Swarm and Kubernetes."""

from typing import Any

from xnathub_conf.site.types import Security, Servers

HOME_GROUP = 100
"""The group of the home folder in images of docker-stacks, which lets any user write there."""

SCRATCH = ("/tmp", "/home/jovyan")  # noqa: S108 - the container's own
"""What stays writable where the image is read-only."""


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
    if security.no_new_privileges:
        rights["security_opt"] = ["no-new-privileges:true"]
    if security.read_only_root:
        rights["tmpfs"] = dict.fromkeys(SCRATCH, "mode=1777")
    return rights


def ulimits(security: Security) -> list[dict[str, object]]:
    """Return the limits of each process, as Docker's API has them."""
    return [{"Name": name, "Soft": limit, "Hard": limit} for name, limit in security.ulimits.items()]


def container_security(security: Security, *, root: bool) -> dict[str, object]:
    """Return what a pod's container may do, as in its securityContext; whether it gains privileges, KubeSpawner says itself."""
    drop = dropped(security, root=root)
    rights: dict[str, object] = {"capabilities": {"drop": drop}} if drop else {}
    if security.read_only_root:
        rights["readOnlyRootFilesystem"] = True
    if root:
        return rights
    return {"runAsNonRoot": True, **rights, "seccompProfile": {"type": "RuntimeDefault"}}
