"""The state that a demo starts from."""

from __future__ import annotations

from collections.abc import Mapping

from .records import SERVICE_ROLE, USER_ROLE
from .state import State

SERVICE_ACCOUNT = "jupyterhub"
PROJECTS = {"P1": "Synthetic heads", "P2": "Synthetic phantoms", "P3": "Restricted pilot"}
SESSIONS = {"SUBJ01_MR1": "SUBJ01", "SUBJ02_MR1": "SUBJ02"}
"""The sessions that each project holds, and whose they are."""

USERS: dict[str, tuple[str, ...]] = {
    "demo": ("P1", "P2"),
    "alice": ("P1", "P2", "P3"),
    "Alice": ("P2",),
    "a.b@c.org": ("P1",),
}
USER_WITHOUT_ROLE = "nobody"


def demo_state(passwords: Mapping[str, str] | None = None) -> State:
    """Return a state with demo users, three projects and the service account `jupyterhub`.

    `passwords` maps login names to passwords; each account without one gets a generated password, to be read
    from `state.user(name).password`. The user `nobody` can read P1 and lacks the role Jupyter.
    """
    given = passwords or {}
    state = State()
    for project_id, label in PROJECTS.items():
        state.add_project(project_id, label, sessions=SESSIONS)
    state.add_user(SERVICE_ACCOUNT, given.get(SERVICE_ACCOUNT), [SERVICE_ROLE])
    for name, projects in USERS.items():
        state.add_user(name, given.get(name), [USER_ROLE], projects)
    state.add_user(USER_WITHOUT_ROLE, given.get(USER_WITHOUT_ROLE), [], ["P1"])
    return state
