"""Rules of folders: what `paths` translates, and what servers may mount."""

from collections.abc import Sequence

from xnathub_conf.site.old_names import OLD_NAMES, what_to_do
from xnathub_conf.site.problems import KeyPath, dotted, sounds_secret
from xnathub_conf.site.rules.reporting import is_normal, report, report_braces, report_shared, report_volume
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.gpus import HIDES_GPUS
from xnathub_conf.values.paths import (
    PathTranslation,
    fixed_part,
    nearest,
    prefixes,
)
from xnathub_conf.values.reserved_names import RESERVED_TARGETS
from xnathub_conf.values.variables import refused


def check_path_rules(document: Document, site: Site) -> None:
    """Rules of `paths` are unambiguous, and lead where something may be mounted."""
    seen: dict[str, KeyPath] = {}
    rules: list[tuple[KeyPath, str, str]] = []
    for kind in ("archive", "workspaces"):
        for index, rule in enumerate(getattr(site.paths, kind)):
            path: KeyPath = ("paths", kind, index)
            if not (
                is_normal(document, (*path, "from"), rule.from_)
                and is_normal(document, (*path, "to"), rule.to)
            ):
                continue
            if rule.from_ in seen:
                other = dotted(seen[rule.from_])
                report(
                    document,
                    (*path, "from"),
                    "path-rule",
                    f"{other} has the same prefix; only one can hold.",
                    "Delete one of them.",
                )
            seen[rule.from_] = path
            rules.append((path, rule.from_, rule.to))
    mounts = [fixed_part(mount.path) for mount in site.servers.allowed_mounts]
    near_mount, near_rule = _Near(mounts), _Near([to for _, _, to in rules])
    archive = [rule for rule in rules if rule[0][1] == "archive"]
    workspaces = [rule for rule in rules if rule[0][1] == "workspaces"]
    near_workspace = _Near([to for _, _, to in workspaces])
    for _, _, to in archive:
        # Of hundreds of rules, only those that something is wrong with are compared with every other.
        for other_path, _, other_to in workspaces if near_workspace(to) else ():
            if _below(to, other_to) or _below(other_to, to):
                report(
                    document,
                    (*other_path, "to"),
                    "path-rule",
                    f"{other_to} and the archive's {to} lie inside each other, so a path could mean either.",
                    "Give archive and workspaces folders of their own.",
                )
    for path, from_, to in rules:
        if not near_mount(to):
            entry = f"- path: {to}"
            if path[1] == "workspaces":
                # XNAT keeps each user's below `users`, and a user's own is to be written to.
                users = "" if from_.endswith("/users") else "/users"
                entry = f'- {{path: "{to}{users}/{{username}}", writable: true}}'
            report(
                document,
                (*path, "to"),
                "path-rule",
                f"Nothing below {to} may be mounted.",
                f"Add `{entry}` to servers.allowed_mounts.",
            )
    translate = PathTranslation({from_: to for _, from_, to in rules})
    for index, mount in enumerate(site.servers.allowed_mounts):
        fixed = fixed_part(mount.path)
        translated = translate(fixed)
        if translated != fixed and not near_rule(fixed):
            report(
                document,
                ("servers", "allowed_mounts", index, "path"),
                "never-matches",
                f"No mount can match: `paths` translates {fixed} to {translated} before this is looked at.",
                f"Write {translated}{mount.path[len(fixed) :]}.",
            )


class _Near:
    """Whether a folder is, lies in, or holds one of many others."""

    def __init__(self, folders: Sequence[str]):
        self._folders = frozenset(folders)
        self._above = frozenset(above for folder in folders for above in prefixes(folder))

    def __call__(self, folder: str) -> bool:
        return folder in self._above or bool(nearest(folder, self._folders))


def _below(path: str, folder: str) -> bool:
    return folder in prefixes(path)


def check_braces(document: Document, site: Site) -> None:
    """No folder that is the same for all users holds a user's name."""
    places: dict[KeyPath, str] = {
        **{("servers", "allowed_mount_targets", n): each for n, each in enumerate(site.servers.allowed_mount_targets)},
        **{("servers", "mounts", n, "target"): each.target for n, each in enumerate(site.servers.mounts)},
        ("servers", "ca_file"): site.servers.ca_file or "",
    }  # fmt: skip
    for kind in ("archive", "workspaces"):
        for index, rule in enumerate(getattr(site.paths, kind)):
            places |= {("paths", kind, index, "from"): rule.from_, ("paths", kind, index, "to"): rule.to}
    for path, folder in places.items():
        report_braces(document, path, folder)


def check_mounts(document: Document, site: Site) -> None:
    """Allowed mounts and targets can match, and no shared folder is writable."""
    seen: set[str] = set()
    for index, mount in enumerate(site.servers.allowed_mounts):
        path: KeyPath = ("servers", "allowed_mounts", index, "path")
        if mount.path in seen:
            report(document, path, "duplicate", "Another entry has the same path.", "Delete one of them.")
        seen.add(mount.path)
        rest = mount.path.replace("{username}", "")
        if "{" in rest or "}" in rest:
            report(
                document,
                path,
                "never-matches",
                "Only {username} may stand in braces.",
                "Write {username}, or no braces.",
            )
        elif mount.path.startswith("/"):
            if not is_normal(document, path, mount.path):
                continue
            if any("{username}" in part and part != "{username}" for part in mount.path.split("/")):
                report(
                    document,
                    path,
                    "username",
                    "{username} must be a path component of its own.",
                    "Put it between slashes: /data/users/{username}",
                )
        else:
            report_volume(document, site, path, mount.path)
        report_shared(document, path, mount.path, writable=mount.writable)
    for index, target in enumerate(site.servers.allowed_mount_targets):
        path = ("servers", "allowed_mount_targets", index)
        if is_normal(document, path, target) and any(
            _below(target, reserved) for reserved in RESERVED_TARGETS
        ):
            report(
                document,
                path,
                "reserved-target",
                f"{target} belongs to the image itself.",
                "Name another folder, such as /data.",
            )
    for name in site.servers.environment:
        if why := refused(name, "site"):
            here = ("servers", "environment", name)
            found = f"The site can't set {name}: {why}."
            fix = f"Delete it. {what_to_do(name)}" if name in OLD_NAMES else "Delete it."
            document.report(document.key_mark(here), here, "reserved-variable", found, fix)
        elif name.startswith("JH_"):
            here = ("servers", "environment", name)
            found = "It was for the old hub; a user's server does nothing with it."
            document.report(
                document.key_mark(here), here, "old-variable", found, what_to_do(name) or "Delete it."
            )
        elif name in HIDES_GPUS and site.servers.environment[name] not in {"", "none", "void"}:
            here = ("servers", "environment", name)
            found = "Every server sees these GPUs where its node's runtime is the maker's, one that was granted none too."
            fix = "Delete it: XNAT asks for GPUs, within `servers.caps.generic_resources`."
            document.report(document.key_mark(here), here, "gpus-for-all", found, fix)
        elif sounds_secret(name) and site.servers.environment[name]:
            here = ("servers", "environment", name)
            found = "Each user can read this in their server, and its name is that of a secret."
            fix = "Delete it. What a user needs a password for, they keep in their own workspace."
            document.report(document.key_mark(here), here, "secret-in-environment", found, fix)
