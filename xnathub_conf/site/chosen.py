"""Which orchestrator a site has chosen."""

from typing import TypeVar

from xnathub_conf.site.types import Docker, Orchestrator, Site, Swarm

_T = TypeVar("_T", bound=Orchestrator)


def settings_of(site: Site, kind: type[_T]) -> _T | None:
    """Return the settings of the site's orchestrator where it is of this kind, else None."""
    return site.orchestrator if isinstance(site.orchestrator, kind) else None


def engine_of(site: Site) -> Docker | Swarm | None:
    """Return the settings of the site's orchestrator where it is reached by Docker's API, else None."""
    return site.orchestrator if isinstance(site.orchestrator, Docker | Swarm) else None
