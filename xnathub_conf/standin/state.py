"""What the stand-in knows: users, projects, sessions, alias tokens, and the options of Jupyter servers."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .records import (
    USER_ROLE,
    AliasToken,
    Dashboard,
    Environment,
    LoginRefusedError,
    Project,
    Session,
    User,
    WithoutSession,
)
from .server_options import project_options


@dataclass(frozen=True)
class _Stored:
    """A server's options as they are sent, and the project that the user must still be able to read."""

    body: bytes
    project: str | None


class State:
    """All that the stand-in holds, safe to change from any thread while it serves.

    The plain attributes may be set at any time: `all_users_can_start`, `session_limit` (live sessions per
    user), `lockout_after` (consecutive wrong passwords), `without_session` (what a caller without a live
    session gets), `environment`, `dashboards` (by their IDs), `archive_root`, `workspace_root` (paths as XNAT spells
    them) and `site_url` (XNAT_HOST; the server fills it in at its start when it is empty).
    """

    def __init__(self) -> None:
        self.all_users_can_start = False
        self.session_limit = 1000
        self.lockout_after = 20
        self.without_session: WithoutSession = "guest"
        self.environment = Environment()
        self.dashboards: dict[int, Dashboard] = {1: Dashboard()}
        self.archive_root = "/data/xnat/archive"
        self.workspace_root = "/data/xnat/workspaces"
        self.preferences: Mapping[str, object] = {}
        self.site_url = ""
        self._lock = threading.RLock()
        self._users: dict[str, User] = {}
        self._projects: dict[str, Project] = {}
        self._sessions: dict[str, Session] = {}
        self._aliases: dict[str, AliasToken] = {}
        self._options: dict[tuple[str, str], _Stored] = {}

    # Users

    def add_user(
        self,
        name: str,
        password: str | None = None,
        roles: Iterable[str] = (),
        projects: Iterable[str] = (),
    ) -> User:
        """Add an account, with a generated password unless given; ValueError when the name is taken."""
        with self._lock:
            if name in self._users:
                raise ValueError(f"user {name} exists")
            user = User(
                name=name,
                user_id=len(self._users) + 1,
                password=password if password is not None else secrets.token_urlsafe(12),
                roles=set(roles),
                projects=set(projects),
            )
            self._users[name] = user
            return user

    def user(self, name: str) -> User:
        """Return the account of exactly that name; KeyError when there is none."""
        with self._lock:
            return self._users[name]

    def users(self) -> list[User]:
        """Return all accounts in the order they were added."""
        with self._lock:
            return list(self._users.values())

    def set_password(self, name: str, password: str) -> None:
        """Change a password and lift a lock-out. As in XNAT, sessions that are open stay open."""
        with self._lock:
            user = self._users[name]
            user.password = password
            user.failures = 0

    def set_roles(self, name: str, roles: Iterable[str]) -> None:
        """Replace an account's roles."""
        with self._lock:
            self._users[name].roles = set(roles)

    def set_projects(self, name: str, projects: Iterable[str]) -> None:
        """Replace the list of projects that an account may read."""
        with self._lock:
            self._users[name].projects = set(projects)

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Enable or disable an account; disabling ends its sessions and revokes its alias tokens."""
        with self._lock:
            self._users[name].enabled = enabled
            if not enabled:
                self.end_sessions(name)
                self._aliases = {a: t for a, t in self._aliases.items() if t.owner != name}

    def unlock(self, name: str) -> None:
        """Lift the lock-out that wrong passwords brought about."""
        with self._lock:
            self._users[name].failures = 0

    def may_start(self, name: str) -> bool:
        """Tell whether an account may start Jupyter, by its role (in any case) or the site's setting."""
        with self._lock:
            if self.all_users_can_start:
                return True
            return USER_ROLE.lower() in {role.lower() for role in self._users[name].roles}

    # Projects

    def add_project(
        self,
        project_id: str,
        label: str,
        folder: str | None = None,
        sessions: Mapping[str, str] | None = None,
    ) -> Project:
        """Add a project, or replace the one of that id; its folder is named like its id unless told.

        `sessions` maps its imaging sessions' labels to their subjects'.
        """
        with self._lock:
            project = Project(project_id, label, folder or project_id, dict(sessions or {}))
            self._projects[project_id] = project
            return project

    def projects(self, user: str | None = None) -> list[Project]:
        """Return all projects, or those that a user may read."""
        with self._lock:
            readable = None if user is None else self._users[user].projects
            return [p for p in self._projects.values() if readable is None or p.id in readable]

    # Logins

    def authenticate(self, name: str, password: str) -> User:
        """Return the account behind a login name and password, or behind an alias and its secret.

        LoginRefusedError for a wrong pair, a disabled account, and a locked one, right password or not.
        """
        with self._lock:
            token = self._aliases.get(name)
            if token is not None:
                if not _same(token.secret, password):
                    raise LoginRefusedError(
                        "Your login attempt failed because the alias token's secret is wrong."
                    )
                name, password = token.owner, self._users[token.owner].password
            user = self._users.get(name)
            if user is None:
                raise LoginRefusedError(
                    "Your login attempt failed because the username or password is wrong."
                )
            if not user.enabled:
                raise LoginRefusedError("Your login attempt failed because the account is disabled.")
            if user.failures >= self.lockout_after:
                raise LoginRefusedError(
                    "Your login attempt failed because the account is locked: too many wrong passwords."
                )
            if not _same(user.password, password):
                user.failures += 1
                raise LoginRefusedError(
                    "Your login attempt failed because the username or password is wrong."
                )
            user.failures = 0
            return user

    def create_alias(self, owner: str) -> AliasToken:
        """Issue an alias token for an account; KeyError when there is no such account."""
        with self._lock:
            token = AliasToken(secrets.token_hex(16), secrets.token_urlsafe(32), self._users[owner].name)
            self._aliases[token.alias] = token
            return token

    def revoke_alias(self, alias: str) -> None:
        """Revoke an alias token; one that is unknown is left be."""
        with self._lock:
            self._aliases.pop(alias, None)

    # Sessions

    def open_session(self, user: str) -> Session:
        """Open a session for an account; LoginRefusedError when it has `session_limit` of them already."""
        with self._lock:
            if len(self.sessions(user)) >= self.session_limit:
                raise LoginRefusedError(
                    "Your login attempt failed because the account has reached its maximum of "
                    f"{self.session_limit} concurrent sessions."
                )
            session = Session(secrets.token_hex(16).upper(), user, secrets.token_urlsafe(24), time.time())
            self._sessions[session.id] = session
            return session

    def session(self, session_id: str) -> Session | None:
        """Return the live session of that JSESSIONID, if there is one."""
        with self._lock:
            return self._sessions.get(session_id)

    def sessions(self, user: str | None = None) -> list[Session]:
        """Return the live sessions, oldest first: all of them, or one user's."""
        with self._lock:
            return [s for s in self._sessions.values() if user is None or s.user == user]

    def end_session(self, session_id: str) -> None:
        """End one session; one that is unknown is left be."""
        with self._lock:
            self._sessions.pop(session_id, None)

    def end_sessions(self, user: str | None = None) -> None:
        """End one user's sessions, or all of them as a restart of XNAT does."""
        with self._lock:
            for session in self.sessions(user):
                del self._sessions[session.id]

    # Options of Jupyter servers

    def check_launch(self, user: str, project: str, *, dashboard: bool = False) -> None:
        """Check that a user may start Jupyter on a project, or a dashboard, which needs no role.

        KeyError for an unknown user or project; PermissionError when the user can't read the project or may
        not start servers.
        """
        with self._lock:
            account, item = self._users[user], self._projects[project]
            if item.id not in account.projects:
                raise PermissionError(f"{user} can't read project {project}.")
            if not (dashboard or self.may_start(user)):
                raise PermissionError(f"{user} may not start Jupyter: the role {USER_ROLE} is missing.")

    def launch(
        self,
        user: str,
        project: str,
        servername: str = "",
        environment: Environment | None = None,
        *,
        dashboard: bool = False,
    ) -> dict[str, object]:
        """Store, and return, the options of starting Jupyter, or a dashboard, on a project, with a fresh alias token.

        Raises what `check_launch` raises.
        """
        with self._lock:
            self.check_launch(user, project, dashboard=dashboard)
            account, item = self._users[user], self._projects[project]
            options = project_options(
                account,
                item,
                servername,
                environment or self.environment,
                self.create_alias(account.name),
                site_url=self.site_url,
                archive_root=self.archive_root,
                workspace_root=self.workspace_root,
            )
            self._options[user, servername] = _Stored(_dump(options), project)
            return options

    def set_user_options(self, user: str, options: dict[str, object] | bytes, servername: str = "") -> None:
        """Store options as given, as a dict or as the very bytes to send, for whatever user and server name.

        They are served without a look at what the user may read.
        """
        with self._lock:
            body = options if isinstance(options, bytes) else _dump(options)
            self._options[user, servername] = _Stored(body, None)

    def remove_user_options(self, user: str, servername: str = "") -> None:
        """Forget a server's options; where there are none nothing happens."""
        with self._lock:
            self._options.pop((user, servername), None)

    def user_options(self, user: str, servername: str = "") -> bytes | None:
        """Return a server's options as sent; None without any, or when the user lost the project."""
        with self._lock:
            stored = self._options.get((user, servername))
            if stored is None:
                return None
            if stored.project is not None and stored.project not in self._users[user].projects:
                return None
            return stored.body


def _dump(options: dict[str, object]) -> bytes:
    return json.dumps(options, ensure_ascii=False).encode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
