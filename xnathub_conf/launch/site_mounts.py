"""The site's own mounts: those of site.yaml's `servers.mounts` that one plan gets."""

from collections.abc import Container
from typing import Literal

from xnathub_conf.launch.plan import LaunchPlan, Mount
from xnathub_conf.site.types import Servers
from xnathub_conf.values.images import AllowedImages, Image
from xnathub_conf.values.reserved_names import CA_FILE


class SiteMounts:
    """The mounts of one site, with their patterns made ready once."""

    def __init__(self, servers: Servers):
        self._ca_file = servers.ca_file
        self._mounts = [
            (each, AllowedImages(each.images) if each.images else None) for each in servers.mounts
        ]

    def of(self, plan: LaunchPlan, image: Image, shared: Container[str]) -> tuple[Mount, ...]:
        """Return what a plan gets. None of a user's own is among them where that would be one of the `shared` folders."""
        project = plan.item.get("projectId")
        found = [Mount("bind", self._ca_file, CA_FILE, True)] if self._ca_file else []
        for each, images in self._mounts:
            if (images and not images.allow(image)) or (each.projects and project not in each.projects):
                continue
            source = each.source
            if "{username}" in source:
                source = source.replace("{username}", plan.username)
                # A name with a slash would reach into the folder of another user.
                if "/" in plan.username or source in shared:
                    continue
            kind: Literal["bind", "volume"] = "bind" if source.startswith("/") else "volume"
            found.append(Mount(kind, source, each.target, not each.writable))
        return tuple(found)
