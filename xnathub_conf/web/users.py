"""All users in one answer, as XNAT's plugin asks for them: it takes who is not there for someone without servers."""

import asyncio
import json
from collections import defaultdict
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.users import UserListAPIHandler
from jupyterhub.scopes import Scope, needs_scope
from jupyterhub.utils import isoformat

from xnathub_conf.web.on_record import note_accounts

_AT_ONCE = 500
"""How many users are looked up between two turns of the hub's loop."""


class UserListHandler(UserListAPIHandler):
    """The users in the REST API. JupyterHub would hold up everybody for seconds while it lists 10,000."""

    @needs_scope("list:users", post_filter=True)
    async def get(self) -> None:
        """Return all users to who may see all and asks for no page or choice of them; to others, what JupyterHub gives."""
        sees_all = all(scope == Scope.ALL for scope in self.parsed_scopes.values())
        if not sees_all or self.accepts_pagination or self.request.arguments:
            super().get()
            return
        pieces: list[str] = []
        last = 0
        while models := self._after(last):
            last = max(models)
            pieces += map(json.dumps, filter(None, models.values()))
            await asyncio.sleep(0)
        self.write(f"[{','.join(pieces)}]")

    def on_finish(self) -> None:
        """Note new admins."""
        super().on_finish()
        if self.request.method == "POST" and self.get_status() == 201:
            note_accounts(self, self.get_json_body()["usernames"])

    def _after(self, last: int) -> dict[int, dict[str, object]]:
        """Return the models of the users that come after an ID, by theirs: JupyterHub's, where it has more than a row of one."""
        user = orm.User
        columns = (user.id, user.name, user.admin, user.created, user.last_activity, user.user_info)
        rows = self.db.query(*columns).filter(user.id > last).order_by(user.id).limit(_AT_ONCE).all()
        if not rows:
            return {}
        ids = (rows[0].id, rows[-1].id)
        roles, groups = self._names(orm.Role, user.roles, ids), self._names(orm.Group, user.groups, ids)
        known: dict[str, object] | None = None
        models: dict[int, dict[str, object]] = {}
        for row in rows:
            if row.id in self.users:
                models[row.id] = self.user_model(self.users[row.id])
                continue
            # Who sees all sees of everyone the same.
            known = known or self.user_model(self.db.get(user, row.id))
            facts = {
                **known,
                "name": row.name,
                "admin": row.admin,
                "roles": roles[row.id],
                "groups": groups[row.id],
                "created": isoformat(row.created),
                "last_activity": isoformat(row.last_activity),
                "user_info": row.user_info,
            }
            models[row.id] = {key: facts[key] for key in known}
        return models

    def _names(self, what: Any, relation: object, ids: tuple[int, int]) -> dict[int, list[str]]:
        """Return the names of the roles or groups of users whose IDs lie between two."""
        names: dict[int, list[str]] = defaultdict(list)
        query = self.db.query(orm.User.id, what.name).join(relation).filter(orm.User.id.between(*ids))
        for user_id, name in query.order_by(what.id):
            names[user_id].append(name)
        return names
