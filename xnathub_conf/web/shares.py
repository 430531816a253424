"""Shares of servers: a line of the audit log for each that is made, accepted or revoked, and a note of those that admins make."""

from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.shares import (
    GroupShareAPIHandler,
    ServerShareAPIHandler,
    ServerShareCodeAPIHandler,
    UserShareAPIHandler,
)
from jupyterhub.handlers.pages import AcceptShareHandler
from tornado.web import HTTPError, authenticated

from xnathub_conf.operating.audit import audit, caller_of
from xnathub_conf.operating.gifts import forget_gifts, hand_on, makers_of, note_gift


def note_makers(handler: Any, owner: str, **made: int) -> None:
    """Note who has made something that is not its owner's own."""
    for name in sorted(_makers(handler, owner)):
        note_gift(handler.db, name, **made)


def _makers(handler: Any, owner: str) -> set[str]:
    """Return the admin who makes something for somebody else, and who made the token with which it is made.

    The admin who made a token knows it, and so has what it makes, whoever owns that.
    """
    who, token = handler.current_user, handler.get_token()
    names = makers_of(handler.db, token.id) if token else set()
    if getattr(who, "admin", False) and who.name != owner:
        names.add(who.name)
    return names


def _note(handler: Any, event: str, outcome: str, owner: str, server: str, **facts: object) -> None:
    audit(event, outcome, user=owner, server=server, **facts, **caller_of(handler))


class ServerSharesHandler(ServerShareAPIHandler):
    """With whom a server is shared."""

    async def post(self, user_name: str, server_name: str | None = None) -> None:
        """Share it."""
        spawner = self._lookup_spawner(user_name, server_name, raise_404=False)
        before = {share.id: frozenset(share.scopes) for share in spawner.shares} if spawner else {}
        await super().post(user_name, server_name)
        share = orm.Share.find(self.db, spawner, self._with())
        if _makers(self, user_name):
            # What was there already is somebody else's, unless it has become more.
            if before.get(share.id) != frozenset(share.scopes):
                note_makers(self, user_name, share_id=share.id)
        elif self.current_user.name == user_name and self._scopes(spawner).issuperset(share.scopes):
            forget_gifts(self.db, share.id)
        self._note_it("made", user_name, server_name)

    async def patch(self, user_name: str, server_name: str | None = None) -> None:
        """Share it no more, or less of it, with somebody."""
        await super().patch(user_name, server_name)
        self._note_it("revoked", user_name, server_name)

    async def delete(self, user_name: str, server_name: str | None = None) -> None:
        """Share it with nobody."""
        await super().delete(user_name, server_name)
        _note(self, "share", "revoked", user_name, server_name or "")

    def _scopes(self, spawner: Any) -> frozenset[str]:
        scopes = self.get_json_body().get("scopes") or ["access:servers"]
        return frozenset(orm.Share._apply_filter(frozenset(scopes), spawner.user.name, spawner.name))

    def _with(self) -> object:
        body = self.get_json_body()
        if name := body.get("user"):
            return self.find_user(name).orm_user
        return orm.Group.find(self.db, name=body["group"])

    def _note_it(self, outcome: str, owner: str, server: str | None) -> None:
        body = self.get_json_body()
        _note(self, "share", outcome, owner, server or "", to=body.get("user"), group=body.get("group"))


class UserShareHandler(UserShareAPIHandler):
    """A share that somebody has."""

    def delete(self, user_name: str, owner_name: str, server_name: str) -> None:
        """Give it back."""
        super().delete(user_name, owner_name, server_name)
        _note(self, "share", "revoked", owner_name, server_name, to=user_name)


class GroupShareHandler(GroupShareAPIHandler):
    """A share that a group has."""

    def delete(self, group_name: str, owner_name: str, server_name: str) -> None:
        """Give it back."""
        super().delete(group_name, owner_name, server_name)
        _note(self, "share", "revoked", owner_name, server_name, group=group_name)


class ShareCodesHandler(ServerShareCodeAPIHandler):
    """Codes that somebody turns into a share."""

    async def post(self, user_name: str, server_name: str | None = None) -> None:
        """Make one."""
        await super().post(user_name, server_name)
        spawner = self._lookup_spawner(user_name, server_name)
        codes = self.db.query(orm.ShareCode.id).filter_by(spawner_id=spawner.id)
        note_makers(self, user_name, code_id=codes.order_by(orm.ShareCode.id.desc()).first()[0])
        _note(self, "share-code", "made", user_name, server_name or "")

    def delete(self, user_name: str, server_name: str | None = None) -> None:
        """Revoke one or all."""
        super().delete(user_name, server_name)
        _note(self, "share-code", "revoked", user_name, server_name or "")


class AcceptHandler(AcceptShareHandler):
    """The page that turns a code into a share."""

    @authenticated
    def post(self) -> None:
        """Take the share. JupyterHub writes a code to the log, and a wrong one may be a right one with a slip."""
        code = orm.ShareCode.find(self.db, code=self.get_argument("code"))
        if code is None:
            raise HTTPError(400, "Share not found or expired")
        if code.owner == self.current_user.orm_user:
            raise HTTPError(400, "You can't share with yourself!")
        there = orm.Share.find(self.db, code.spawner, self.current_user.orm_user)
        before = frozenset(there.scopes if there else ())
        share = code.exchange(self.current_user.orm_user)
        if before != frozenset(share.scopes):
            hand_on(self.db, code.id, share.id)
        owner, spawner = self._user_from_orm(share.owner), share.spawner
        _note(self, "share", "accepted", owner.name, spawner.name, to=self.current_user.name)
        self.redirect(self._get_next_url(owner, spawner))
