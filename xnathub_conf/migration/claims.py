"""The claims of a hub on Kubernetes, from Helm values and XNAT's path translation."""

import os.path
import re
from collections.abc import Mapping
from typing import Any

from xnathub_conf.migration.chart import ChartValues
from xnathub_conf.migration.ledger import Ledger, NotCarriedError, Outcome, at
from xnathub_conf.migration.reference import ARCHIVE, WORKSPACES
from xnathub_conf.migration.site_mounts import OF_USERS, by_name, claim_of, entries_of, pod_mount
from xnathub_conf.migration.tree import Found, Node
from xnathub_conf.migration.variables import Migration, plain, prefix_lines, prefixes

_HERE = "orchestrator.kubernetes"
_SAME = "Both folders would have this path. Write `paths` and orchestrator.kubernetes.claims by hand."
_SUBPATH = "users/{unescaped_username}"

NAME_CLAIMS = (
    "Write the names of the claims that hold XNAT's archive and workspaces: orchestrator.kubernetes.claims."
)
"""What to do where the old files don't say it."""


def python_claims(m: Migration) -> None:
    """Write the claims that hold XNAT's folders, as far as a jupyterhub_config.py mounts them in servers."""
    to, names = m.to, {ARCHIVE: "archive", WORKSPACES: "workspaces"}
    settings = [each for config in m.old.python for each in config.settings]
    mounts = [
        mount
        for each in settings
        if each.trait == "KubeSpawner.volume_mounts" and each.counts
        for mount in entries_of(each.value) or ()
        if isinstance(mount, Mapping)
    ]
    found: dict[str, str] = {}
    for mount in mounts:
        folder = _folder_of(mount)
        if folder and (claim := claim_of(to.volumes.get(str(mount.get("name"))))):
            found.setdefault(folder, claim)
    claims = [{"path": path, "claim_name": found.get(path, name)} for path, name in names.items()]
    said = "mounted in servers before" if len(found) == len(names) else "names to be replaced"
    to.put(
        f"{_HERE}.claims", claims, "claims", Found("", "KubeSpawner.volume_mounts" if found else "new"), said
    )
    if len(found) < len(names):
        to.ask(NAME_CLAIMS, f"{_HERE}.claims")


def _folder_of(mount: Mapping[object, object]) -> str | None:
    """Return which of XNAT's folders is mounted, going by where it stands in servers, or by the folder of one user in it."""
    target = str(mount.get("mountPath", ""))
    for folder in (ARCHIVE, WORKSPACES):
        if target == folder or target.startswith(f"{folder}/"):
            return folder
    inner = str(mount.get("subPath") or mount.get("subPathExpr") or "")
    return WORKSPACES if inner.startswith(OF_USERS) else None


def storage(m: Migration, chart: ChartValues) -> None:
    """Carry over the claims that hold XNAT's folders, and how XNAT's paths become theirs."""
    hub, to = m.old.hub, m.to
    held_in = chart.singleuser.get("storage")
    claim, volumes = held_in.get("static", "pvcName"), _claims(held_in)
    workspaces = at(claim) if claim.text else Found("workspaces", "the chart's default")
    archive = hub.get("JH_XNAT_ARCHIVE_PVC", Found("archive", "the chart's default"))
    archive_s = m.named("JH_XNAT_ARCHIVE_PVC", "the archive's claim")
    for node in volumes:
        mounted = _mount_of(held_in, node)
        held = node.get("persistentVolumeClaim", "claimName")
        if mounted.startswith(ARCHIVE) and archive.leaf is None:
            archive, archive_s = at(held), held.name
        elif mounted.startswith(WORKSPACES) and not claim.text:
            workspaces = at(held)
    archive, workspaces = _claim(to, archive, "archive"), _claim(to, workspaces, "workspaces")
    claims: list[dict[str, str]] = []
    mounts: list[dict[str, Any]] = []
    translated = False
    rows = (("ARCHIVE", "archive", ARCHIVE, archive), ("WORKSPACE", "workspaces", WORKSPACES, workspaces))
    for kind, section, default, claimed in rows:
        source, target, name = prefixes(m, kind, default)
        if kind == "WORKSPACE" and not target and (inner := _inner(held_in)):
            target, name = inner, held_in.get("static", "subPath").name
        taken = [each["path"] for each in claims]
        path = root = plain(source.value)
        if target and target.value.startswith("/") and plain(target.value) in taken:
            to.leave(name, target, _SAME)
        elif target:
            translated = True
            root, path = _translated(m.to, section, path, (name, target), claimed.value)
        if root in taken:
            to.leave(name or f"JH_XNAT_PT_{kind}_PREFIX", target or source, _SAME)
            path = root = next(each for each in (default, f"/{section}") if each not in taken)
        claims.append({"path": root, "claim_name": claimed.value})
        mounts.append(
            {"path": path} if kind == "ARCHIVE" else {"path": f"{path}/users/{{username}}", "writable": True}
        )
        prefix_lines(m, kind, section)
    names = (archive_s, claim.name if claim.line or chart.is_reference else "the workspaces' claim")
    for index, (name, found) in enumerate(zip(names, (archive, workspaces), strict=True)):
        if found.leaf:
            to.stands(("orchestrator", "kubernetes", "claims", index, "claim_name"), found.value, name, found)
    to.put(
        f"{_HERE}.claims",
        claims,
        ", ".join(names),
        Found("", "the lines above" if archive.leaf else archive.origin),
    )
    to.put("servers.allowed_mounts", mounts, "JH_XNAT_PT_..." if translated else "mounts",
           Found("", "the lines above" if translated else "new"))  # fmt: skip
    if "the chart's default" in {archive.origin, workspaces.origin} and not chart.is_reference:
        to.ask(NAME_CLAIMS, f"{_HERE}.claims")
    static = (held_in.get("type"), held_in.get("static", "subPath"))
    if static[0].text == "static" and static[1].text.strip("/") == _SUBPATH:
        for leaf in static:
            to.ignore(leaf.name, at(leaf), "Workspaces are mounted in the same way.") if leaf.line else None


def site_mounts(to: Ledger, chart: ChartValues) -> None:
    """Carry over what servers mount besides XNAT's folders."""
    held_in = chart.singleuser.get("storage")
    nodes, mounts = _entries(held_in.get("extraVolumes")), _entries(held_in.get("extraVolumeMounts"))
    volumes = by_name([node.typed() for node in nodes])
    for mount in mounts:
        lead, *others = mount.leaves()
        if not mount.keys or any(map(to.entry_of, (lead, *others))):
            continue
        volume = next((node for node in nodes if node.get("name").text == mount.get("name").text), mount)
        try:
            pod_mount(to, volumes, mount.typed(), (lead.name, lead))
        except NotCarriedError as error:
            for leaf in (lead, *others):
                to.leave(leaf.name, at(leaf), str(error))
        said = to.entry_of(lead)
        for leaf in (*others, *volume.leaves()):
            if leaf.line and not to.entry_of(leaf) and said and said.outcome != Outcome.NOT_CARRIED:
                to.follow(leaf, lead, f"with {lead.origin}")


def _entries(node: Node) -> list[Node]:
    return [*node.items, *node.keys.values()]


def _claim(to: Ledger, found: Found, default: str) -> Found:
    """Return the name of a claim; where it can't be one, the chart's own."""
    if re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", found.value):
        return found
    to.leave(
        f"the claim {default}",
        found,
        "It can't be a claim's name. Write it under orchestrator.kubernetes.claims.",
    )
    return Found(default, "the chart's default")


def _inner(held_in: Node) -> Found | None:
    """Return the folder of a claim that holds XNAT's workspaces, where it is not the claim as a whole."""
    sub = held_in.get("static", "subPath")
    above = sub.text.strip("/").removesuffix(_SUBPATH)
    folder = os.path.normpath(above).strip("/") if above else ""
    fits = (
        sub.line and above.endswith("/") and folder and ".." not in folder and not re.search(r"[{}]", folder)
    )
    return Found(folder, sub.origin, sub) if fits else None


def _translated(
    to: Ledger, section: str, source: str, named: tuple[str, Found], claim: str
) -> tuple[str, str]:
    """Carry over a prefix of XNAT's path translation; gives the path of the claim, and that of the folder."""
    name, target = named
    if target.value.startswith("/"):
        path = plain(target.value)
        to.put(f"paths.{section}", [{"from": source, "to": path}], name, target)
        return path, path
    if below := os.path.normpath(target.value).strip("./"):
        path = f"/{claim}/{below}"
        to.put(f"paths.{section}", [{"from": source, "to": path}], name, target)
        return f"/{claim}", path
    to.ignore(name, target, "The hub finds XNAT's path in the claim by itself.")
    return source, source


def _claims(held_in: Node) -> list[Node]:
    return [
        each
        for each in held_in.get("extraVolumes").items
        if each.get("persistentVolumeClaim", "claimName").text
    ]


def _mount_of(held_in: Node, volume: Node) -> str:
    mounts = held_in.get("extraVolumeMounts").items
    return next(
        (each.get("mountPath").text for each in mounts if each.get("name").text == volume.get("name").text),
        "",
    )
