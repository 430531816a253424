"""A rule of what users may have put a link in the place of."""

from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.paths import fixed_part, prefixes


def check_links(document: Document, site: Site) -> None:
    """Nothing inside a folder that its user may write is mounted by itself: Docker would follow a link on the node."""
    servers = site.servers
    entries: list[tuple[KeyPath, str, bool]] = [
        *((("servers", "allowed_mounts", n, "path"), m.path, m.writable) for n, m in enumerate(servers.allowed_mounts)),
        *((("servers", "mounts", n, "source"), m.source, m.writable) for n, m in enumerate(servers.mounts)),
    ]  # fmt: skip
    writable = {path for _, path, is_writable in entries if is_writable and "{username}" in path}
    for key, path, _ in entries:
        for folder in writable.intersection(prefixes(path)) - {path}:
            found = f"It lies in {folder}, where its user may put a link in its place that leads anywhere on the node."
            report(document, key, "link", found, f"Delete it, or name a folder outside {folder}.")
    for folder in {fixed_part(each) for each in writable}.intersection(prefixes(servers.ca_file or "")):
        if "{username}" not in str(servers.ca_file):
            found = f"It lies in {folder}, where users have folders that they write to: one of them could put anything in its place."
            report(document, ("servers", "ca_file"), "link", found, f"Name a place outside {folder}.")
