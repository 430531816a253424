"""What another hub mounts in every server, and the entries of `servers.mounts` that it becomes."""

import re
from collections.abc import Iterator, Mapping

from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.tree import Node
from xnathub_conf.values.memory import site_amount, xnat_bytes
from xnathub_conf.values.paths import nearest
from xnathub_conf.values.reserved_names import SHARED_MEMORY

MOUNT_TRAITS = frozenset(
    {
        "DockerSpawner.volumes",
        "DockerSpawner.read_only_volumes",
        "DockerSpawner.mounts",
        "KubeSpawner.volume_mounts",
    }
)
"""The settings that name what is mounted."""

_OF_XNAT = ("/data", "/workspace")
"""Where XNAT has its folders, and where it mounts them in servers."""

OF_USERS = "users/{"
"""What the path of one user's folder in XNAT's workspaces begins with."""

_XNAT_SAYS = "XNAT says what a server mounts of its own folders, and servers.allowed_mounts what it may."
_READ_ONLY = "read-only here: what servers of several users may write to has {username} in its source"


def amount(value: object) -> str:
    """Return an amount of memory, in Docker's form or Kubernetes', as a site has it. Raises NotCarriedError."""
    try:
        return site_amount(xnat_bytes(str(value)))
    except ValueError:
        raise NotCarriedError("it is no amount of memory.") from None


def carry_mounts(to: Ledger, trait: str, value: object, place: tuple[str, Node]) -> None:
    """Carry over what a setting of DockerSpawner, SwarmSpawner or KubeSpawner mounts. Raises NotCarriedError."""
    lost, notes = [], []
    mounts = _pod_mounts(value) if trait == "KubeSpawner.volume_mounts" else _mounts(trait, value)
    for mount in mounts:
        try:
            if isinstance(mount, tuple):
                notes.append(add_mount(to, mount, place))
            else:
                pod_mount(to, to.volumes, mount, place)
        except NotCarriedError as error:
            lost.append(str(error))
    if lost:
        kept = [f"{note}." for note in notes if note]
        raise NotCarriedError(" ".join(dict.fromkeys([*lost, *kept])))


def add_mount(to: Ledger, mount: tuple[str, str, bool], place: tuple[str, Node]) -> str:
    """Write one mount, its source, target and whether it is writable, as the site's own; return what is different with it.

    Raises NotCarriedError.
    """
    source, target, writable = mount
    name, leaf = place
    notes = []
    if "{username}" in source:
        notes.append(
            "another folder for users whose names hold other characters than letters and digits: the old hub escaped these"
        )
    source = source.replace("{raw_username}", "{username}").replace("{unescaped_username}", "{username}")
    if nearest(source, _OF_XNAT) or nearest(target, _OF_XNAT):
        raise NotCarriedError(f"{target}: {_XNAT_SAYS}")
    if re.search(r"[{}]", source.replace("{username}", "") + target):
        raise NotCarriedError(
            f"{target}: only {{username}} may stand in braces. Write servers.mounts by hand."
        )
    entry: dict[str, object] = {"source": source, "target": target}
    if writable and "{username}" in source:
        entry["writable"] = True
    elif writable:
        notes.append(_READ_ONLY)
    mounts = to.site.setdefault("servers", {}).setdefault("mounts", [])
    mounts.append(entry)
    note = f"{target} is {'; '.join(notes)}" if notes else ""
    to.stands(("servers", "mounts", len(mounts) - 1), entry, name, at(leaf), note)
    return note


def plain_mounts(trait: str, value: object) -> list[tuple[str, str, bool]]:
    """Return the source, the target and whether it is writable of each mount that a setting of DockerSpawner names; none where it is no plain one."""
    try:
        return [*_mounts(trait, value)]
    except NotCarriedError:
        return []


def _mounts(trait: str, value: object) -> Iterator[tuple[str, str, bool]]:
    """Return each mount that such a setting names. Raises NotCarriedError."""
    if isinstance(value, Mapping):
        for source, into in value.items():
            target, mode = (
                (into.get("bind"), into.get("mode", "rw")) if isinstance(into, Mapping) else (into, "rw")
            )
            yield _mount(
                source,
                target,
                trait != "DockerSpawner.read_only_volumes" and "ro" not in str(mode).split(","),
            )
    elif isinstance(value, list | tuple) and trait == "DockerSpawner.mounts":
        for each in value:
            named = (
                {str(key).lower(): inner for key, inner in each.items()} if isinstance(each, Mapping) else {}
            )
            if named.get("type", "volume") not in {"bind", "volume"}:
                raise NotCarriedError(
                    "It mounts what is neither a folder nor a volume. Look at servers.mounts."
                )
            yield _mount(
                named.get("source"),
                named.get("target"),
                not named.get("read_only", named.get("readonly", False)),
            )
    else:
        raise NotCarriedError("Write what it mounts as servers.mounts by hand.")


def _mount(source: object, target: object, writable: bool) -> tuple[str, str, bool]:
    if not isinstance(source, str) or not isinstance(target, str):
        raise NotCarriedError("It names no source and target in plain text. Write servers.mounts by hand.")
    return source.rstrip("/") or "/", target.rstrip("/") or "/", writable


def by_name(volumes: object) -> dict[str, object]:
    """Return volumes of a pod by their names, from a list or from a map."""
    return {str(each.get("name")): each for each in entries_of(volumes) or () if isinstance(each, Mapping)}


def _pod_mounts(value: object) -> list[Mapping[str, object]]:
    below = entries_of(value)
    return [each if isinstance(each, Mapping) else {} for each in ([None] if below is None else below)]


def entries_of(value: object) -> list[object] | None:
    """Return what is in a list or, as the chart merges them, in a map; None for what is neither."""
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else None


def claim_of(volume: object) -> str | None:
    """Return the name of the claim that a pod's volume is, where it is one."""
    claim = volume.get("persistentVolumeClaim") if isinstance(volume, Mapping) else None
    name = claim.get("claimName") if isinstance(claim, Mapping) else None
    return name if isinstance(name, str) else None


def pod_mount(
    to: Ledger, volumes: Mapping[str, object], mount: Mapping[str, object], place: tuple[str, Node]
) -> None:
    """Carry over one mount of a pod; `volumes` are the pod's by name. Raises NotCarriedError."""
    volume = volumes.get(str(mount.get("name")))
    target = mount.get("mountPath")
    if not isinstance(volume, Mapping) or not isinstance(target, str):
        raise NotCarriedError("Its volume is not in these files. Write servers.mounts by hand.")
    name, leaf = place
    empty, claim = volume.get("emptyDir"), volume.get("persistentVolumeClaim")
    if isinstance(empty, Mapping) and target == SHARED_MEMORY:
        limit = empty.get("sizeLimit")
        if limit is None:
            to.ignore(
                name,
                at(leaf),
                "Servers have half of their memory for it by default; servers.shm_size would say how much.",
            )
        else:
            to.put("servers.shm_size", amount(limit), name, at(leaf))
    elif str(mount.get("subPath") or mount.get("subPathExpr") or "").startswith(OF_USERS):
        raise NotCarriedError(f"{target}: {_XNAT_SAYS}")
    elif (
        isinstance(claim, Mapping)
        and (held := claim_of(volume))
        and not (mount.get("subPath") or mount.get("subPathExpr"))
    ):
        read_only = mount.get("readOnly") is True or claim.get("readOnly") is True
        add_mount(to, (held, target.rstrip("/"), not read_only), place)
    else:
        raise NotCarriedError(
            "Only whole claims are carried over. Name the claim in orchestrator.kubernetes.claims and its folder in servers.mounts, "
            "if servers still need it."
        )
