"""XNAT's REST paths that a hub asks, as functions from a caller to an answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from .answer import JSON, LOGIN_PATH, Answer, error, json_answer, redirect, text_answer
from .auth import Caller
from .records import ADMIN_ROLE, SERVICE_ROLE, User
from .state import State


def rest_answer(state: State, method: str, path: str, caller: Caller) -> Answer:
    """Answer a REST request; `path` is as it came, still quoted."""
    if caller.refusal is not None:
        return error(401, caller.refusal)
    if method == "GET" and path == "/xapi/users/username":
        return _username(state, caller)
    if caller.user is None:
        return _anonymous(state)
    for rule_method, pattern, rule in _RULES:
        match = pattern.fullmatch(path)
        if match and rule_method == method:
            return rule(state, caller.user, caller, *(unquote(group or "") for group in match.groups()))
    if any(pattern.fullmatch(path) for _, pattern, _ in _RULES):
        return error(405, "Method Not Allowed")
    return error(404, "Not Found")


def _username(state: State, caller: Caller) -> Answer:
    if caller.user is not None:
        return text_answer(caller.user.name)
    return text_answer("guest") if state.without_session == "guest" else _anonymous(state)


def _anonymous(state: State) -> Answer:
    if state.without_session == "redirect":
        return redirect(LOGIN_PATH)
    return error(401, "Full authentication is required to access this resource")


def _roles(state: State, user: User, _caller: Caller, name: str) -> Answer:
    if name != user.name and not user.roles & {SERVICE_ROLE, ADMIN_ROLE}:
        return error(403, "Not allowed to see the roles of another user.")
    try:
        return json_answer(sorted(state.user(name).roles))
    except KeyError:
        return error(404, "No such user.")


def _all_users_can_start(state: State, _user: User, _caller: Caller) -> Answer:
    return json_answer({"allUsersCanStartJupyter": state.all_users_can_start})


def _preferences(state: State, user: User, _caller: Caller) -> Answer:
    preferences = {
        "jupyterHubHostUrl": state.site_url,
        "jupyterHubApiUrl": "http://host.docker.internal/jupyterhub/hub/api",
        "jupyterHubToken": "secret-token",
        "startTimeout": 180,
        "stopTimeout": 60,
        "workspacePath": state.workspace_root,
        "allUsersCanStartJupyter": state.all_users_can_start,
        **state.preferences,
    }
    if not user.roles & {SERVICE_ROLE, ADMIN_ROLE}:
        del preferences["jupyterHubToken"]
    return json_answer(preferences)


def _user_options(state: State, user: User, _caller: Caller, name: str, servername: str) -> Answer:
    if SERVICE_ROLE not in user.roles:
        return error(403, f"The role {SERVICE_ROLE} is required.")
    body = state.user_options(name, servername)
    if body is None:
        return error(404, "No options of that server, or its user can't read the data any more.")
    return Answer(body=body, content_type=JSON)


def _projects(state: State, user: User, _caller: Caller) -> Answer:
    return _result_set([{"ID": each.id, "name": each.label} for each in state.projects(user.name)])


def _experiments(state: State, user: User, _caller: Caller, project_id: str) -> Answer:
    """Answer a project's imaging sessions; to who can't read it, as if there were none of that id."""
    found = [each for each in state.projects(user.name) if each.id == project_id]
    if not found:
        return error(404, "Not Found")
    sessions = [
        {
            "ID": f"XNAT_{project_id}_{number:05}",
            "label": label,
            "project": project_id,
            "xsiType": "xnat:mrSessionData",
            "date": "2026-01-01",
            "URI": f"/data/experiments/XNAT_{project_id}_{number:05}",
        }
        for number, label in enumerate(found[0].sessions, start=1)
    ]
    return _result_set(sessions)


def _result_set(rows: list[dict[str, str]]) -> Answer:
    """Return a table as XNAT's REST API gives it with `format=json`: https://wiki.xnat.org/xnat-api/experiment-api."""
    return json_answer({"ResultSet": {"Result": rows, "totalRecords": str(len(rows))}})


def _end_session(state: State, _user: User, caller: Caller) -> Answer:
    if caller.session is not None:
        state.end_session(caller.session.id)
    return text_answer("")


_RULES: tuple[tuple[str, re.Pattern[str], Callable[..., Answer]], ...] = (
    ("GET", re.compile(r"/xapi/users/([^/]+)/roles"), _roles),
    ("GET", re.compile(r"/xapi/jupyterhub/preferences"), _preferences),
    ("GET", re.compile(r"/xapi/jupyterhub/preferences/allUsersCanStartJupyter"), _all_users_can_start),
    ("GET", re.compile(r"/xapi/jupyterhub/users/([^/]+)/server(?:/([^/]*))?/user-options"), _user_options),
    ("GET", re.compile(r"/data/projects"), _projects),
    ("GET", re.compile(r"/data/projects/([^/]+)/experiments"), _experiments),
    ("DELETE", re.compile(r"/data/JSESSION"), _end_session),
)
