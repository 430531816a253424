"""Who is an admin of the hub: those that `hub.admin_users` lists, whatever the database remembers."""

import logging
from collections.abc import Collection
from typing import Any

from jupyterhub import orm, roles

_log = logging.getLogger("xnathub")


def demote_the_unlisted(db: Any, admin_users: Collection[str]) -> None:
    """Take the admin's rights from everybody in the database who is not listed, and so from their cookies and tokens."""
    for user in db.query(orm.User).filter_by(admin=True):
        if user.name not in admin_users:
            user.admin = False
            roles.assign_default_roles(db, entity=user)
            _log.warning("%s is no admin of the hub any more: hub.admin_users does not list them.", user.name)
    db.commit()
