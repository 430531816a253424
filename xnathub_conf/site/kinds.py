"""Which orchestrators there are, and what is to be known of each, in one value."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Orchestrator, Site

REGISTERED = (
    "xnathub_conf.orchestrators.local:KIND",
    "xnathub_conf.orchestrators.docker:KIND",
    "xnathub_conf.orchestrators.swarm:KIND",
    "xnathub_conf.orchestrators.kubernetes:KIND",
)
"""Where the Kind of each orchestrator is: a new one is added here."""

_T = TypeVar("_T", bound=Orchestrator)


@dataclass(frozen=True)
class Setting:
    """One trait: `Class.name`, its value (a Secret where it is one), and the key of site.yaml behind it."""

    trait: str
    value: Any
    key: KeyPath


@dataclass(frozen=True)
class Fault:
    """What is wrong with a value: the rule that it breaks, and what to do."""

    rule: str
    message: str
    fix: str = ""


@dataclass(frozen=True)
class Rights:
    """What of `servers.security` an orchestrator can't do for one server: why, and each key with what to do instead."""

    why: str = ""
    without: Mapping[str, str] = field(default_factory=dict)
    partly: frozenset[str] = frozenset()
    """Those of these keys that have an effect in one of their values."""
    seccomp_below: str = ""
    """The folder in which profiles are looked for; none where they are named by their whole path."""


@dataclass(frozen=True)
class FirstSite:
    """What `init` writes of an orchestrator, the lines below `orchestrator:`, and what it asks besides the usual."""

    section: str
    asks_docker_gid: bool = False


@dataclass(frozen=True)
class Rendered:
    """What `render` writes of a site.

    `help` stands in the command's help. `arguments`, a function of a parser, adds flags; `renderer`, a function of what they say, gives
    what makes the text of a loaded site and its file's text.
    """

    help: str
    arguments: str
    renderer: str


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[_T]):
    """All that differs from orchestrator to orchestrator. What is text with a colon in it is imported when it is wanted, by `named`."""

    settings: type[_T]
    name: str
    """What it is called where something is said of it."""
    server: str
    """What a server is there."""
    schema: Mapping[str, Any] | None = None
    """Of its section in site.yaml, where that is not in schema/site.schema.json."""

    # The spawner
    adapter: str
    """The spawner class, one with the methods of spawners.Adapter."""
    spawner: str
    """JupyterHub's class of spawner whose traits it has, and `extra` may set."""
    traits: Callable[[_T, Site], Iterator[Setting]]
    """What the site decides of the spawner, and of nothing else."""
    plan_traits: tuple[str, ...]
    """The traits that the adapter sets at each start."""
    unset: Mapping[str, object] = field(default_factory=dict)
    """A value for each of its keys that sets a trait and may be left out."""
    without_effect: Mapping[str, str] = field(default_factory=dict)
    """Traits that would do nothing under `extra`, each with what to do instead."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """Traits of spawners that `extra` can't set since something of this orchestrator decides them, each with what."""

    # Where hub and servers are
    own_processes: bool = False
    """Servers are processes of the hub's own: they end with it, see its machine and have its rights."""
    hub_host: str
    """The name by which servers find the hub where the site does not say."""
    bind_host: str = "0.0.0.0"  # noqa: S104 - a container's
    """Where the hub itself listens where the site does not say."""
    container: str = "{}"
    """By what a container finds another, `{}`, past the address that several would share."""
    proxy_service: tuple[str, int] | None = None
    """Host and port at which the hub's container finds a proxy that is not its child, whatever its variables say."""
    no_proxy: tuple[str, ...] = ()
    """Names that servers reach without a proxy, besides those of every orchestrator."""
    on_servers_networks: bool = False
    """The networks of the hub's container are those of servers, whose word counts for nothing."""
    mounts_of_node: bool = True
    """Paths that servers mount are those of the node that they are on."""
    sockets: Callable[[_T], Iterator[str]] = lambda _settings: iter(())
    """Where on the node who may use a socket is its root, by the settings."""
    server_networks: str = ""
    """A function of the settings that tells the addresses of the networks that servers alone are on."""
    own_way_out: bool = False
    """Servers without the internet reach XNAT by a proxy of the rendered file's own."""
    certificate_elsewhere: Fault | None = None
    """What is wrong with a certificate for the hub's proxy, where something else has it."""
    secrets_path: str = "/run/secrets"
    """Where the hub's container finds its secrets, unless somebody says otherwise."""

    # Rules
    rules: tuple[str, ...] = ()
    """Functions of a document and its Site, as those of site/rules."""
    volume: Callable[[str], Fault | None] = lambda _name: None
    """What is wrong with the name of a volume."""
    files: Callable[[_T], Iterator[tuple[KeyPath, str]]] = lambda _settings: iter(())
    """The files that its settings name and the hub reads: each with its key."""
    rights: Rights = Rights()
    starts_as_root: Callable[[_T, Site], bool] = lambda _settings, site: site.servers.security.start_as_root
    """Whether servers start as root."""
    unused: tuple[str, ...] = ()
    """The keys of `servers` that a server there can't have."""
    health_checks: bool = False
    """It does the health checks that images bring along."""

    # Commands
    doctor: str
    """A function of an examination and a stack of what is to be closed; it lists the checks of what servers run on."""
    state: str = ""
    """A function of the Site that gives what `support` tells of the engine."""
    first_site: FirstSite
    rendered: Rendered | None = None
    applied: str = ""
    """How a site is deployed, where `apply` does not do it."""

    @property
    def key(self) -> str:
        """Its name in site.yaml."""
        return self.settings.key


def named(reference: str) -> Any:
    """Import what is named as `module:name`."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


@cache
def kinds() -> Mapping[str, Kind[Any]]:
    """Return all orchestrators by their names in site.yaml."""
    found: list[Kind[Any]] = [named(each) for each in REGISTERED]
    return MappingProxyType({kind.key: kind for kind in found})


def kind_of(site: Site) -> Kind[Any]:
    """Return what is to be known of the site's orchestrator."""
    return kinds()[site.orchestrator.key]
