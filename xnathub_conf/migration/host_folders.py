"""Where XNAT's folders are on the nodes, from XNAT's path translation or from what another hub mounted."""

import os.path
import re

from xnathub_conf.migration.ledger import at
from xnathub_conf.migration.reference import ARCHIVE, WORKSPACES
from xnathub_conf.migration.site_mounts import MOUNT_TRAITS, plain_mounts
from xnathub_conf.migration.traits import common_name
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
        to.to_do.append(_TRANSLATION)


_TRANSLATION = (
    "If XNAT's Jupyter settings hold a path translation (Administer, Plugin Settings, JupyterHub), write it as `paths`, name the translated "
    "folders in servers.allowed_mounts, and empty it in XNAT."
)


def python_folders(m: Migration) -> None:
    """Write where XNAT's folders are on the host, as far as a jupyterhub_config.py mounts them in servers at XNAT's own path."""
    to, sections = m.to, {"archive": ARCHIVE, "workspaces": WORKSPACES}
    found: dict[str, str] = {}
    for setting in (each for config in m.old.python for each in config.settings if not each.skipped):
        trait = common_name(setting.trait)
        if trait not in MOUNT_TRAITS or trait.startswith("KubeSpawner."):
            continue
        for source, target, _ in plain_mounts(trait, setting.value):
            for section, folder in sections.items():
                inner = target.removeprefix(folder)
                above = source.removesuffix(inner)
                same = target == f"{folder}{inner}" and source == f"{above}{inner}" and inner[:1] in {"", "/"}
                if same and re.fullmatch(r"/[^{}]+", above):
                    found[section] = above
                    if above != folder:
                        rule = [{"from": folder, "to": above}]
                        to.put(f"paths.{section}", rule, f"c.{setting.trait}", at(setting.leaf))
    if "paths" in to.site:
        archive, workspaces = (found.get(section, folder) for section, folder in sections.items())
        mounts: list[dict[str, object]] = [
            {"path": archive},
            {"path": f"{workspaces}/users/{{username}}", "writable": True},
        ]
        to.put("servers.allowed_mounts", mounts, "mounts", Found("", "the lines above"))
    to.to_do.append(_TRANSLATION)
