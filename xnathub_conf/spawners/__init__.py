"""From a launch plan to a spawner: one small adapter for each orchestrator, all of the same shape.

An adapter is a subclass of its orchestrator's spawner with the methods of `Adapter`. Each launch sets every
attribute anew, since a spawner object lives on and would keep what an earlier launch set.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.site.kinds import kind_of, named
from xnathub_conf.site.types import Site
from xnathub_conf.spawners.launch import Launch
from xnathub_conf.spawners.running import Found
from xnathub_conf.spawners.slow_starts import Phase


class Adapter(Protocol):
    """What a spawner class must have to start launch plans."""

    site: Site

    def prepare(self, plan: LaunchPlan) -> object:
        """Return the plan's mounts in the orchestrator's form: with thousands of them that takes its time.

        It runs in a thread, so it looks at the site alone. Raises PolicyRefusal where the orchestrator can't do what the plan
        asks for.
        """

    def apply_plan(self, plan: LaunchPlan, prepared: object = None) -> None:
        """Set on the spawner what the plan says, and nothing from an earlier plan. Quick: it runs in the hub's loop.

        `prepared` is what `prepare` made of the plan. Raises what `prepare` raises.
        """

    async def phase(self) -> Phase:
        """Return what a start that has taken too long is at."""

    async def read_log(self) -> bytes:
        """Return the end of the server's own log, b"" where there is none to be had."""

    async def read_environment(self) -> Mapping[str, str]:
        """Return the variables that the running server was given, whose secrets its log must not tell."""

    async def check_running(self) -> None:
        """Raise LaunchFailed where a server that was started has ended."""


class Findable(Adapter, Protocol):
    """What an adapter has besides whose servers outlive their hub, so that none is forgotten."""

    async def find_all(self) -> list[Found]:
        """Return what runs, or is left, of this hub's servers: what bears its labels and its names."""

    async def remove_found(self, found: Found) -> None:
        """End and remove one of these, if it is still there."""


def spawner_class(site: Site) -> type[Any]:
    """Return the site's spawner class, bound to the site, for JupyterHub.spawner_class."""
    cls: type[object] = named(kind_of(site).adapter)
    return type(cls.__name__, (Launch, cls), {"site": site})
