"""XNAT's answer to `user-options`: what a server on a project is to be started with."""

from datetime import UTC, datetime

from .records import AliasToken, Environment, Project, User


def project_options(
    user: User,
    item: Project,
    servername: str,
    env: Environment,
    token: AliasToken,
    *,
    site_url: str,
    archive_root: str,
    workspace_root: str,
) -> dict[str, object]:
    """Return the options of a server on a project, as the plugin stores them."""
    now = datetime.now(UTC)
    workspace = f"/workspace/{user.name}"
    return {
        "id": user.user_id,
        "created": int(now.timestamp() * 1000),
        "userId": user.user_id,
        "servername": servername,
        "xsiType": "xnat:projectData",
        "itemId": item.id,
        "itemLabel": None,
        "projectId": item.id,
        # XNAT's pages name the server after it.
        "eventTrackingId": servername or now.strftime("%Y%m%dT%H%M%S%fZ"),
        "dashboardConfigId": None,
        "task_template": {
            "container_spec": {
                "image": env.image,
                "command": env.command,
                "labels": dict(env.labels) if env.labels is not None else None,
                "env": {
                    "XNAT_HOST": site_url,
                    "XNAT_USER": token.alias,
                    "XNAT_PASS": token.secret,
                    "XNAT_DATA": "/data",
                    "XNAT_XSI_TYPE": "xnat:projectData",
                    "XNAT_ITEM_ID": item.id,
                    "JUPYTERHUB_ROOT_DIR": workspace,
                    "XDG_CONFIG_HOME": workspace,
                    **env.env,
                },
                "mounts": [
                    _mount(f"{workspace_root}/users/{user.name}", workspace, read_only=False),
                    _mount(
                        f"{archive_root}/{item.folder}/arc001",
                        f"/data/projects/{item.id}/experiments",
                        read_only=True,
                    ),
                ],
            },
            "resources": {
                "cpu_limit": env.cpu_limit,
                "cpu_reservation": env.cpu_reservation,
                "mem_limit": env.mem_limit,
                "mem_reservation": env.mem_reservation,
                "generic_resources": dict(env.generic_resources or {}),
            },
            "placement": {"constraints": list(env.constraints) if env.constraints is not None else None},
        },
    }


def _mount(source: str, target: str, *, read_only: bool) -> dict[str, object]:
    return {"source": source, "target": target, "type": "bind", "read_only": read_only, "propagation": None}
