"""The hub's handlers of what makes users and starts and stops servers, where they differ from JupyterHub's own."""

import asyncio
import json
import time
from typing import Any

from jupyterhub.apihandlers.users import UserAPIHandler, UserServerAPIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.pages import SpawnHandler
from jupyterhub.scopes import needs_scope
from tornado.web import HTTPError

from xnathub_conf.operating.audit import caller, caller_of
from xnathub_conf.operating.loop_turns import Turns
from xnathub_conf.web.on_record import note_accounts

_STARTS = Turns()
"""A new user takes the hub's loop some 10 ms, a start 25 ms, a good part of them before XNAT is asked."""

MESSAGE = "The hub has just started, and still looks whether this server runs. Try again in a minute."


class _InTurn(BaseHandler):
    """What makes a user or starts a server: first those that came earlier get in."""

    methods_in_turn = frozenset({"POST"})

    async def prepare(self) -> None:
        """Look who asks, in turn."""
        if self.request.method in self.methods_in_turn:
            await _STARTS.take()
        await super().prepare()


class UserHandler(_InTurn, UserAPIHandler):
    """A user in the REST API.

    XNAT's plugin makes a user whom it has just not found, and tells the person of an error where their other start was
    there first: a service gets the user that there is.
    """

    @needs_scope("admin:users")
    async def post(self, user_name: str) -> None:
        """Make the user."""
        existing = self.find_user(user_name)
        if existing is None or self.current_user.kind != "service" or self.get_json_body():
            await super().post(user_name)
        else:
            self.write(json.dumps(self.user_model(existing)))

    def on_finish(self) -> None:
        """Note what has changed."""
        super().on_finish()
        note_accounts(self, [self.path_args[0]])


class StartPageHandler(_InTurn, SpawnHandler):
    """The page that starts a server."""

    methods_in_turn = frozenset({"GET", "POST"})


class ServerHandler(_InTurn, UserServerAPIHandler):
    """A user's server in the REST API; the audit log says who stopped it.

    A hub that has just started looks for each server that ran before, and JupyterHub neither starts nor stops one
    meanwhile (RuntimeError and status 500 at a stop).
    """

    _LOOK_SECONDS = 10

    @needs_scope("start:servers")
    async def post(self, user_name: str, server_name: str = "") -> None:
        """Start the server."""
        await self._until_known(self._looked_for(user_name, server_name))
        await super().post(user_name, server_name)

    @needs_scope("delete:servers")
    async def delete(self, user_name: str, server_name: str = "") -> None:
        """Stop the server."""
        caller.set(caller_of(self))
        if spawner := self._looked_for(user_name, server_name):
            # The look ends with it.
            await spawner.stop(now=True)
            await self._until_known(spawner)
        await super().delete(user_name, server_name)

    def _looked_for(self, user_name: str, server_name: str) -> Any:
        user = self.find_user(user_name)
        spawner = user.spawners.get(server_name) if user else None
        return spawner if spawner is not None and spawner.pending == "check" else None

    async def _until_known(self, spawner: Any) -> None:
        end = time.monotonic() + self._LOOK_SECONDS
        while spawner is not None and spawner.pending == "check":
            if time.monotonic() > end:
                self.set_header("Retry-After", "30")
                raise HTTPError(503, MESSAGE)
            await asyncio.sleep(0.2)


class DefaultServerHandler(ServerHandler):
    """A user's default server in the REST API.

    XNAT's plugin stops it with the body `{"remove": true}`, which JupyterHub refuses for a default server.
    """

    def get_json_body(self) -> object:
        """Return the request's body, without `remove` where a default server is stopped."""
        body = super().get_json_body()
        if self.request.method == "DELETE" and isinstance(body, dict):
            body.pop("remove", None)
        return body
