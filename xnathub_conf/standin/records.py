"""What the stand-in keeps: accounts, projects, sessions, alias tokens, and what admins set for Jupyter servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SERVICE_ROLE = "JupyterHub"
USER_ROLE = "Jupyter"
ADMIN_ROLE = "Administrator"
WithoutSession = Literal["guest", "401", "redirect"]


class LoginRefusedError(Exception):
    """A login that XNAT refuses; its text says why."""


@dataclass
class User:
    """An account: login name, password, roles, and the ids of the projects it may read."""

    name: str
    user_id: int
    password: str = field(repr=False)
    roles: set[str]
    projects: set[str]
    enabled: bool = True
    failures: int = 0


@dataclass(frozen=True)
class Project:
    """A project: id, what people call it, its folder's name under the archive root, and its sessions' subjects."""

    id: str
    label: str
    folder: str
    sessions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """A live XNAT session: the JSESSIONID, whose it is, and the token that its forms must carry."""

    id: str
    user: str
    csrf: str = field(repr=False)
    opened: float


@dataclass(frozen=True)
class AliasToken:
    """An alias and a secret that stand for their owner's name and password."""

    alias: str
    secret: str = field(repr=False)
    owner: str


@dataclass(frozen=True)
class Environment:
    """What an XNAT admin sets for Jupyter servers: image, command, labels, variables, limits, placement."""

    image: str = "xnat/datascience-notebook:1.3.0"
    command: str | None = None
    labels: Mapping[str, str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cpu_limit: float | None = None
    cpu_reservation: float | None = None
    mem_limit: str | None = None
    mem_reservation: str | None = None
    generic_resources: Mapping[str, str] | None = None
    constraints: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that XNAT offers: what its button says, and what it runs, None for what Jupyter servers run."""

    label: str = "dashboard"
    environment: Environment | None = None
