"""Rules of the site's own mounts, `servers.mounts`."""

import re
from contextlib import suppress

from xnathub_conf.site.problems import KeyPath, visible
from xnathub_conf.site.rules.reporting import is_normal, report, report_shared, report_volume
from xnathub_conf.site.types import Site, SiteMount
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.images import Image, ImageError, overlap, parse_pattern
from xnathub_conf.values.paths import nearest, prefixes
from xnathub_conf.values.reserved_names import (
    CA_FILE,
    DATA_OF_PROJECTS,
    NEEDED_TARGETS,
    RESERVED_TARGETS,
    SCRATCH,
)

_KERNELS = ("/dev", "/proc", "/sys")
"""Folders that the kernel fills, below which no mount may stand either."""

_FILES = ("/etc/", "/run/", "/var/run")
"""Where what an image needs has nothing of the site's below it."""


def check_site_mounts(document: Document, site: Site) -> None:
    """The site's own mounts can be made, hide nothing of an image, and let nobody write into everybody's files."""
    if site.servers.ca_file:
        is_normal(document, ("servers", "ca_file"), site.servers.ca_file)
    allowed = _patterns(site.servers.allowed_images)
    targets: dict[str, list[SiteMount]] = {}
    for index, mount in enumerate(site.servers.mounts):
        path: KeyPath = ("servers", "mounts", index)
        _source(document, site, mount, (*path, "source"))
        for number, pattern in enumerate(mount.images):
            try:
                parse_pattern(pattern)
            except ImageError as error:
                place = (*path, "images", number)
                fix = "Write an image of `servers.allowed_images`, such as xnat/*."
                report(document, place, "never-matches", f"{visible(pattern)}: {error}.", fix)
            else:
                if not any(overlap(each, parse_pattern(pattern)) for each in allowed):
                    found = f"No image that servers.allowed_images allows is one of {pattern}."
                    fix = "Write one that they allow, or delete it."
                    report(document, (*path, "images", number), "unused-mount", found, fix)
        for number, project in enumerate(mount.projects):
            if re.search(r"[{}$<>]", project):
                found = f"Nothing is put in for {project}: a project is named by its ID in XNAT."
                report(
                    document, (*path, "projects", number), "never-matches", found, "Write an ID, such as P1."
                )
        for key in ("images", "projects"):
            if document.data["servers"]["mounts"][index].get(key) == []:
                found = "An empty list is no list: all servers get the mount."
                report(document, (*path, key), "no-effect", found, "Delete it, or write whose it is.")
        if not _ends_as_in_compose(document, (*path, "target"), mount.target) and is_normal(
            document, (*path, "target"), mount.target
        ):
            _target(document, site, mount, (*path, "target"))
        others = targets.setdefault(mount.target, [])
        if any(_meet(mount, other) for other in others):
            found = f"Another entry has the target {mount.target}, and some servers would get both."
            report(document, (*path, "target"), "duplicate", found, "Delete one of them.")
        others.append(mount)
    _nested(document, site.servers.mounts)


def _nested(document: Document, mounts: tuple[SiteMount, ...]) -> None:
    """Report mounts inside read-only ones: engines can't make their folders there."""
    targets: dict[str, list[SiteMount]] = {}
    for mount in mounts:
        targets.setdefault(mount.target, []).append(mount)
    for index, mount in enumerate(mounts):
        for above in prefixes(mount.target):
            around = [each for each in targets.get(above, ()) if not each.writable and _meet(mount, each)]
            if above == mount.target or not around:
                continue
            found = f"It lies in {above}, another entry's target: servers start only where that one's source has this folder."
            fix = (
                f"Write a target outside {above}; or see that the folder is there, and --ignore nested-mount."
            )
            report(document, ("servers", "mounts", index, "target"), "nested-mount", found, fix)


def _meet(one: SiteMount, other: SiteMount) -> bool:
    """Return whether some server gets both mounts."""
    if one.projects and other.projects and not set(one.projects) & set(other.projects):
        return False
    theirs = _patterns(other.images)
    return not (one.images and other.images) or any(
        overlap(image, their) for image in _patterns(one.images) for their in theirs
    )


def _patterns(texts: tuple[str, ...]) -> list[Image]:
    """Return what can be read of a list of patterns; the rest is reported where it stands."""
    found = []
    for text in texts:
        with suppress(ImageError):
            found.append(parse_pattern(text))
    return found


def _source(document: Document, site: Site, mount: SiteMount, path: KeyPath) -> None:
    if _ends_as_in_compose(document, path, mount.source):
        return
    rest = mount.source.replace("{username}", "")
    if "{" in rest or "}" in rest:
        found = "Only {username} may stand in braces."
        report(document, path, "username", found, "Write {username}, or no braces.")
    elif mount.source.startswith("/"):
        if not is_normal(document, path, mount.source):
            return
        if any("{username}" in part and part != "{username}" for part in mount.source.split("/")):
            found = "{username} must be a path component of its own."
            fix = "Put it between slashes, such as /data/scratch/{username}."
            report(document, path, "username", found, fix)
    else:
        report_volume(document, site, path, mount.source)
    report_shared(document, path, mount.source, writable=mount.writable)


def _ends_as_in_compose(document: Document, path: KeyPath, text: str) -> bool:
    """Report what compose files write behind a path, which would be part of its name here."""
    whole, colon, mode = text.rpartition(":")
    if not colon or mode not in {"ro", "rw", "z", "Z"}:
        return False
    found = f"Here `:{mode}` is part of the name."
    fix = f"Write {whole}: a mount is read-only unless `writable: true` stands there."
    report(document, path, "path", found, fix)
    return True


def _target(document: Document, site: Site, mount: SiteMount, path: KeyPath) -> None:
    target, allowed = mount.target, site.servers.allowed_mount_targets
    fix = "Write a place of its own, such as /opt/site-software."
    if any(target in prefixes(each) for each in allowed):
        found = f"XNAT's own mounts appear below {target}, and would have no place in this one."
    elif nearest(target, {DATA_OF_PROJECTS}) and nearest(DATA_OF_PROJECTS, allowed):
        found = f"XNAT's own mounts appear below {DATA_OF_PROJECTS}."
    elif site.servers.ca_file and (target in prefixes(CA_FILE) or nearest(target, {CA_FILE})):
        found = f"Servers have the site's `ca_file` at {CA_FILE}."
    elif target in SCRATCH and not mount.writable:
        found = f"A server writes to {target} as soon as it starts, and this is read-only."
        fix = f"Write a folder below it, such as {target}/site."
    elif nearest(target, _KERNELS):
        found = f"{target} belongs to the image itself."
    elif target in NEEDED_TARGETS or any(target in prefixes(each) for each in RESERVED_TARGETS):
        found = f"{target} belongs to the image itself."
        if not target.startswith(_FILES):
            fix = f"Write a folder below it, such as {target}/site."
    else:
        return
    report(document, path, "reserved-target", found, fix)
