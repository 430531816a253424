"""The site's policy: what a launch plan may hold. Each refusal names its rule and the key that would change it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal, TypeVar

from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.launch.site_mounts import SiteMounts
from xnathub_conf.launch.site_variables import site_variables
from xnathub_conf.site.types import Site
from xnathub_conf.values.amounts import least
from xnathub_conf.values.images import AllowedImages, Image, ImageError, parse_image
from xnathub_conf.values.paths import nearest, prefixes
from xnathub_conf.values.variables import refused

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters but for tab and line feed, and those that turn text around where it is shown."""

ENGINES_SHM_SIZE = 64 * 1024**2
"""The size of /dev/shm in bytes where an engine is told none."""

Rule = Literal[
    "claim", "command", "constraints", "environment", "image", "mount-source", "mount-target", "mount-writable", "resources",
    "too-large",
]  # fmt: skip
"""The rules by their stable short names, those of the adapters among them."""


class PolicyRefusal(Exception):
    """The policy refuses a plan.

    `rule` is the rule's name, `key` the key of site.yaml that would change the answer ("" where none
    does), and the text says what was asked for and why it is refused.
    """

    def __init__(self, rule: Rule, key: str, text: str):
        self.rule = rule
        self.key = key
        super().__init__(text)


class Policy:
    """The policy of one site, with its lists made ready once."""

    def __init__(self, site: Site):
        servers = site.servers
        self._servers = servers
        self._images = AllowedImages(servers.allowed_images)
        self._targets = frozenset(servers.allowed_mount_targets)
        self._roots: dict[str, bool] = {}
        self._user_roots: list[tuple[str, bool]] = []
        for mount in servers.allowed_mounts:
            if "{username}" in mount.path:
                self._user_roots.append((mount.path, mount.writable))
            else:
                self._roots[mount.path] = mount.writable
        self._site_mounts = SiteMounts(servers)
        self._variables = {**site_variables(site), **servers.environment}
        ca_file = (servers.ca_file,) if servers.ca_file else ()
        shared = [
            *self._roots,
            *ca_file,
            *(each.source for each in servers.mounts if "{username}" not in each.source),
        ]
        # A name is one component of a path.
        self._users_folders = [
            re.compile("[^/]+".join(map(re.escape, root.split("{username}"))) + "(?=/)")
            for root, _ in self._user_roots
        ]
        self._above_roots = frozenset(
            above for root in shared for above in (prefixes(root) if root.startswith("/") else (root,))
        )

    def check(self, plan: LaunchPlan) -> LaunchPlan:
        """Check a plan against every rule, and give it with the site's mounts, and its defaults where XNAT named no resources.

        Raises PolicyRefusal at the first rule that the plan breaks.
        """
        image = self._check_image(plan)
        self._check_command(plan)
        self._check_environment(plan.environment)
        self._check_mounts(plan)
        plan = self._with_default_resources(self._with_site_mounts(plan, image))
        self._check_resources(plan)
        return replace(plan, shm_size=self._shm_size(plan.mem_limit))

    def _check_image(self, plan: LaunchPlan) -> Image:
        key = "servers.allowed_images"
        try:
            image = parse_image(plan.image)
        except ImageError as error:
            raise PolicyRefusal("image", key, f"{plan.image!r} is no image reference: {error}.") from None
        if not self._images.allow(image):
            raise PolicyRefusal("image", key, f"The image {plan.image} is not allowed.")
        return image

    @staticmethod
    def _check_command(plan: LaunchPlan) -> None:
        for word in plan.command or ():
            if _CONTROL.search(word):
                raise PolicyRefusal("command", "", "The command holds a control character.")

    @staticmethod
    def _check_environment(environment: Mapping[str, str]) -> None:
        for name, value in environment.items():
            if why := refused(name, "xnat"):
                key = "" if refused(name, "site") else "servers.environment"
                raise PolicyRefusal("environment", key, f"XNAT may not set the variable {name}: {why}.")
            if "\0" in value:
                raise PolicyRefusal("environment", "", f"The variable {name} holds a NUL character.")

    def _check_mounts(self, plan: LaunchPlan) -> None:
        roots = dict(self._roots)
        # A name with a slash would reach into the folder of another user.
        for path, writable in self._user_roots if "/" not in plan.username else ():
            own = path.replace("{username}", plan.username)
            # Nor may one who is called like a folder of the site have it for a workspace, or what it lies in.
            if own not in self._above_roots:
                roots[own] = writable
        targets: set[str] = set()
        for mount in plan.mounts:
            root = nearest(mount.source, roots) if mount.kind == "bind" else mount.source
            if root not in roots or root.startswith("/") != (mount.kind == "bind"):
                text = (
                    f"{mount.source} lies under no allowed mount."
                    if mount.kind == "bind"
                    else f"The volume {mount.source} is no allowed mount."
                )
                raise PolicyRefusal("mount-source", "servers.allowed_mounts", text)
            if mount.kind == "bind" and self._in_a_users_folder(mount.source):
                raise PolicyRefusal(
                    "mount-source",
                    "",
                    f"{mount.source} lies in a user's own folder, where a link may lead anywhere on the node. Only that "
                    "folder itself may be mounted.",
                )
            if not (mount.read_only or roots[root]):
                raise PolicyRefusal(
                    "mount-writable",
                    "servers.allowed_mounts",
                    f"{mount.source} may only be mounted read-only.",
                )
            if not nearest(mount.target, self._targets):
                raise PolicyRefusal(
                    "mount-target",
                    "servers.allowed_mount_targets",
                    f"{mount.target} is not below a folder where mounts may appear.",
                )
            _take_target(mount.target, targets, "")

    def _with_site_mounts(self, plan: LaunchPlan, image: Image) -> LaunchPlan:
        ours = self._site_mounts.of(plan, image, self._above_roots)
        targets = {mount.target for mount in plan.mounts}
        for mount in ours:
            _take_target(mount.target, targets, "servers.mounts")
        return replace(plan, mounts=(*plan.mounts, *ours))

    def _shm_size(self, mem_limit: int | None) -> int | None:
        """Return the size of /dev/shm in bytes, None for the engine's own; never more than the memory that it counts as."""
        if size := self._servers.shm_size:
            return least(size, mem_limit)
        half = (mem_limit or 0) // 2
        return half if half > ENGINES_SHM_SIZE else None

    def _in_a_users_folder(self, source: str) -> bool:
        """Return whether a path lies inside a folder that is some user's own, rather than one of the site's beside those."""
        found = (folder.match(source) for folder in self._users_folders)
        return any(match and match[0] not in self._above_roots for match in found)

    def _with_default_resources(self, plan: LaunchPlan) -> LaunchPlan:
        servers, caps = self._servers, self._servers.caps
        # A default limit gives way to a larger reservation that XNAT asks for, as far as the cap.
        cpu_limit = plan.cpu_limit or _most(least(servers.cpu_limit, caps.cpu), plan.cpu_guarantee)
        mem_limit = plan.mem_limit or _most(least(servers.mem_limit, caps.mem), plan.mem_guarantee)
        return replace(
            plan,
            cpu_limit=cpu_limit,
            mem_limit=mem_limit,
            # A default guarantee gives way to a smaller limit that XNAT asks for.
            cpu_guarantee=plan.cpu_guarantee
            or (servers.cpu_guarantee and least(servers.cpu_guarantee, cpu_limit)),
            mem_guarantee=plan.mem_guarantee
            or (servers.mem_guarantee and least(servers.mem_guarantee, mem_limit)),
            environment=MappingProxyType({**plan.environment, **self._variables}),
        )

    def _check_resources(self, plan: LaunchPlan) -> None:
        caps = self._servers.caps
        for what, unit, cap, limit, guarantee in (
            ("cpu", "cores", caps.cpu, plan.cpu_limit, plan.cpu_guarantee),
            ("mem", "bytes of memory", caps.mem, plan.mem_limit, plan.mem_guarantee),
        ):
            most = max(limit or 0, guarantee or 0)
            if cap is not None and most > cap:
                raise PolicyRefusal(
                    "resources",
                    f"servers.caps.{what}",
                    f"{most:,} {unit} were asked for; at most {cap:,} are allowed.",
                )
            if limit and guarantee and guarantee > limit:
                raise PolicyRefusal(
                    "resources", "", f"{guarantee:,} {unit} are reserved, more than the limit of {limit:,}."
                )
        for name, amount in plan.generic_resources.items():
            cap = caps.generic_resources.get(name, 0)
            # A single one is asked for by its name.
            if (1 if isinstance(amount, str) else amount) > cap:
                raise PolicyRefusal(
                    "resources",
                    f"servers.caps.generic_resources.{name}",
                    f"{amount} of {name} were asked for; at most {cap} are allowed.",
                )


_Amount = TypeVar("_Amount", int, float)


def _take_target(target: str, taken: set[str], key: str) -> None:
    if target in taken:
        raise PolicyRefusal("mount-target", key, f"Two mounts have the same target {target}.")
    taken.add(target)


def _most(default: _Amount | None, asked: _Amount | None) -> _Amount | None:
    """Return the default, or what was asked for where that is more; None, no limit, where there is no default."""
    return default if default is None or asked is None else max(default, asked)
