"""Where XNAT's folders are on the nodes of a swarm, from XNAT's path translation."""

import os.path

from xnathub_conf.migration.reference import ARCHIVE, WORKSPACES
from xnathub_conf.migration.tree import Found
from xnathub_conf.migration.variables import Migration, prefix_lines, prefixes


def folders(m: Migration) -> None:
    """Carry over which folders servers may mount, and how XNAT's paths become the nodes'."""
    to, folder = m.to, m.old.folder
    mounts: list[dict[str, object]] = []
    origins: list[str] = []
    for kind, section, default in (("ARCHIVE", "archive", ARCHIVE), ("WORKSPACE", "workspaces", WORKSPACES)):
        source, target, name = prefixes(m, kind, default)
        here = source.value.rstrip("/")
        if target:
            note = ""
            path = target.value.rstrip("/")
            if not path.startswith("/"):
                path = os.path.normpath(os.path.join(folder, path))  # noqa: PTH118 - no link is to be followed
                note = f"a path from {folder}, as the old files had it"
            if path != here:
                to.put(f"paths.{section}", [{"from": here, "to": path}], name, target, note)
                here = path
            else:
                to.ignore(name, target, "It is the same path in XNAT: nothing to translate.")
            origins.append(name)
        mounts.append(
            {"path": here} if kind == "ARCHIVE" else {"path": f"{here}/users/{{username}}", "writable": True}
        )
        prefix_lines(m, kind, section)
    if origins or [mount["path"] for mount in mounts] != [ARCHIVE, f"{WORKSPACES}/users/{{username}}"]:
        name = ", ".join(origins) or "JH_XNAT_WORKSPACE_PATH"
        to.put("servers.allowed_mounts", mounts, name, Found("", "the lines above"))
    if origins:
        to.to_do.append(
            "Paths are translated by the hub now. Take XNAT's own path translation out of its Jupyter settings, and the "
            "variables JH_XNAT_PT_... out of XNAT's environment, which would set it again."
        )
    else:
        to.to_do.append(
            "If XNAT's Jupyter settings hold a path translation (Administer, Plugin Settings, JupyterHub), write it as "
            "`paths`, name the translated folders in servers.allowed_mounts, and empty it in XNAT."
        )
