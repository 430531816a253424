"""Tokens, accounts and admins in the REST API: a line of the audit log for each that is made, changed or gone."""

from typing import Any

from jupyterhub.apihandlers.users import UserTokenAPIHandler, UserTokenListAPIHandler
from jupyterhub.orm import APIToken

from xnathub_conf.operating.audit import audit, caller_of
from xnathub_conf.web.shares import note_makers


def note_accounts(handler: Any, names: list[str]) -> None:
    """Note what a request that is answered has made of accounts: a name that is gone, a right of admins that came or went."""
    method, status = handler.request.method, handler.get_status()
    if method == "DELETE" and status == 204:
        _note(handler, "account", "deleted", names)
    if method not in {"POST", "PATCH"} or status not in {200, 201}:
        return
    body = handler.get_json_body() or {}
    if method == "PATCH" and "name" in body:
        _note(handler, "account", "renamed", names, to=body["name"])
    if "admin" in body and (body["admin"] or method == "PATCH"):
        _note(handler, "admin", "given" if body["admin"] else "taken", names)


def _note(handler: Any, event: str, outcome: str, names: list[str], **facts: object) -> None:
    for name in names:
        audit(event, outcome, user=name, **facts, **caller_of(handler))


class TokenListHandler(UserTokenListAPIHandler):
    """A user's tokens in the REST API, and on the hub's page."""

    async def post(self, user_name: str) -> None:
        """Make one, and note who made it where that is not its owner alone."""
        await super().post(user_name)
        owner = self.find_user(user_name)
        tokens = self.db.query(APIToken.id).filter_by(user_id=owner.id)
        note_makers(self, user_name, token_id=tokens.order_by(APIToken.id.desc()).first()[0])

    def on_finish(self) -> None:
        """Note a new one."""
        super().on_finish()
        if self.request.method == "POST" and self.get_status() == 201:
            _note(self, "token", "made", [self.path_args[0]])


class TokenHandler(UserTokenAPIHandler):
    """One of a user's tokens."""

    def on_finish(self) -> None:
        """Note its end."""
        super().on_finish()
        if self.request.method == "DELETE" and self.get_status() == 204:
            _note(self, "token", "revoked", [self.path_args[0]])
