"""The settings of the orchestrator that a site has chosen, for what is of one kind of orchestrator alone."""

from typing import TypeVar

from xnathub_conf.site.types import Docker, Orchestrator, Site, Swarm

_T = TypeVar("_T", bound=Orchestrator)


def settings_of(site: Site, kind: type[_T]) -> _T:
    """Return the settings of the site's orchestrator. Raises ValueError where it is of another kind."""
    if not isinstance(site.orchestrator, kind):
        raise ValueError(f"The site's orchestrator is not {kind.key}.")
    return site.orchestrator


def engine_of(site: Site) -> Docker | Swarm:
    """Return the settings of an orchestrator that is reached by Docker's API. Raises ValueError where it is another."""
    if not isinstance(site.orchestrator, Docker | Swarm):
        raise ValueError("The site's orchestrator is neither docker nor swarm.")
    return site.orchestrator
