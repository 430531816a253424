"""Rules of the site's own mounts, `servers.mounts`."""

from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.problems import KeyPath, visible
from xnathub_conf.site.rules.reporting import is_normal, report, report_shared, report_volume
from xnathub_conf.site.types import Kubernetes, Site, SiteMount
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.images import ImageError, parse_pattern
from xnathub_conf.values.paths import fixed_part, nearest, prefixes
from xnathub_conf.values.reserved_names import RESERVED_TARGETS

_KERNELS = ("/dev", "/proc", "/sys")
"""Folders that the kernel fills, below which no mount may stand either."""


def check_site_mounts(document: Document, site: Site) -> None:
    """The site's own mounts can be made, hide nothing of an image, and let nobody write into everybody's files."""
    ca_file, ca_path = site.servers.ca_file, ("servers", "ca_file")
    if ca_file and is_normal(document, ca_path, ca_file):
        _claim(document, site, ca_file, ca_path)
    targets: dict[str, list[SiteMount]] = {}
    for index, mount in enumerate(site.servers.mounts):
        path: KeyPath = ("servers", "mounts", index)
        _source(document, site, mount, (*path, "source"))
        for number, pattern in enumerate(mount.images):
            try:
                parse_pattern(pattern)
            except ImageError as error:
                place = (*path, "images", number)
                report(document, place, "never-matches", f"{visible(pattern)}: {error}.")
        if is_normal(document, (*path, "target"), mount.target):
            _target(document, mount, (*path, "target"))
        others = targets.setdefault(mount.target, [])
        # Of mounts with conditions, one may hold where the other does not.
        if any(_always(other) or _always(mount) for other in others):
            found = f"Another entry has the target {mount.target}, and some servers would get both."
            report(document, (*path, "target"), "duplicate", found, "Delete one of them.")
        others.append(mount)


def _always(mount: SiteMount) -> bool:
    return not (mount.images or mount.projects)


def _source(document: Document, site: Site, mount: SiteMount, path: KeyPath) -> None:
    rest = mount.source.replace("{username}", "")
    if "{" in rest or "}" in rest:
        report(document, path, "username", "Only {username} may stand in braces.")
    elif mount.source.startswith("/"):
        if not is_normal(document, path, mount.source):
            return
        if any("{username}" in part and part != "{username}" for part in mount.source.split("/")):
            report(document, path, "username", "{username} must be a path component of its own.")
        _claim(document, site, mount.source, path)
    else:
        report_volume(document, site, path, mount.source)
    report_shared(document, path, mount.source, writable=mount.writable)


def _claim(document: Document, site: Site, source: str, path: KeyPath) -> None:
    kubernetes = settings_of(site, Kubernetes)
    if kubernetes and not nearest(fixed_part(source), {claim.path for claim in kubernetes.claims}):
        report(
            document,
            path,
            "claim",
            f"No volume claim holds {source}.",
            "Add its claim to orchestrator.kubernetes.claims."
            if path[-1] == "ca_file"
            else "Add its claim to orchestrator.kubernetes.claims, or write the claim's name in place of the path.",
        )


def _target(document: Document, mount: SiteMount, path: KeyPath) -> None:
    hidden = any(mount.target in prefixes(reserved) for reserved in RESERVED_TARGETS)
    if hidden or nearest(mount.target, _KERNELS):
        fix = (
            ""
            if nearest(mount.target, _KERNELS)
            else f"Write a folder below it, such as {mount.target}/site."
        )
        report(document, path, "reserved-target", f"{mount.target} belongs to the image itself.", fix)
