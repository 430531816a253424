"""XNAT's REST calls that start and stop servers, as the plugin's pages make them."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import unquote

from tornado.httputil import HTTPServerRequest

from .answer import Answer, error, json_answer, text_answer
from .auth import Caller
from .plugin import HubError, HubLink, HubPlugin
from .state import State

SERVER = re.compile(r"/xapi/jupyterhub/users/([^/]+)/server(?:/([^/]*))?")
ENVIRONMENTS = "/xapi/compute-environments/available"
_POOL = ThreadPoolExecutor(100, thread_name_prefix="standin-starts")


def is_start(method: str, path: str) -> bool:
    """Return whether a request is one of these."""
    return path == ENVIRONMENTS or (method in {"POST", "DELETE"} and SERVER.fullmatch(path) is not None)


def start_answer(state: State, hub: HubLink | None, caller: Caller, request: HTTPServerRequest) -> Answer:
    """Answer such a request. As in XNAT, the server itself comes and goes after the answer."""
    method, path = request.method, request.path
    if caller.user is None:
        return error(401, caller.refusal or "Full authentication is required to access this resource")
    if path == ENVIRONMENTS:
        return json_answer(_environments(state))
    match = SERVER.fullmatch(path)
    assert match is not None
    user, server = (unquote(each or "") for each in match.groups())
    if user != caller.user.name:
        return error(403, "Not allowed to start servers of another user.")
    if hub is None:
        return error(500, "XNAT has no hub.")
    plugin = HubPlugin(hub)
    if method == "DELETE":
        _POOL.submit(_stop, state, plugin, user, server)
        return text_answer("")
    try:
        asked = json.loads(request.body)
        if asked["servername"] != server:
            return error(400, "Server name in path does not match server name in request body.")
        options = state.launch(user, asked["projectId"], server)
    except (ValueError, LookupError, TypeError):
        return error(400, "This is no request to start a server.")
    except PermissionError as refused:
        return error(403, str(refused))
    _POOL.submit(_start, plugin, user, options)
    return text_answer("")


def _environments(state: State) -> list[dict[str, object]]:
    """List the one environment of the stand-in, as XNAT does."""
    environment = {"name": "Jupyter", "image": state.environment.image}
    hardware = {"hardwareConfigs": [{"id": 1, "hardware": {"name": "Standard"}}]}
    return [{"id": 1, "computeEnvironment": environment, "hardwareOptions": hardware}]


def _start(plugin: HubPlugin, user: str, options: dict[str, object]) -> None:
    # XNAT notes the failure in its event, which nobody asks here for.
    with suppress(HubError):
        plugin.ensure_user(user)
        plugin.start(user, options)


def _stop(state: State, plugin: HubPlugin, user: str, server: str) -> None:
    with suppress(HubError):
        plugin.stop(user, server)
    state.remove_user_options(user, server)
