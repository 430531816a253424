"""Who is an admin of the hub: those that `hub.admin_users` lists, whatever the database remembers."""

import logging
from collections.abc import Collection, Iterable
from typing import Any

from jupyterhub import orm, roles

from xnathub_conf.operating.audit import audit
from xnathub_conf.operating.gifts import end_gifts, makers

_log = logging.getLogger("xnathub")


def demote_the_unlisted(db: Any, users: Iterable[orm.User], admin_users: Collection[str]) -> None:
    """Take the admin's rights from those who have them and are not listed, and so from their cookies and tokens.

    What they made for others as admins ends with that.
    """
    unlisted = [user for user in users if user.admin and user.name not in admin_users]
    for user in unlisted:
        user.admin = False
        roles.assign_default_roles(db, entity=user)
        audit("admin", "taken", user=user.name, by="hub")
        _log.warning("%s is no admin of the hub any more: hub.admin_users does not list them.", user.name)
    if unlisted:
        db.commit()
        end_gifts(db, [user.name for user in unlisted])


def end_gifts_of_the_unlisted(db: Any, admin_users: Collection[str]) -> None:
    """End what was made for others by those who were admins, and are not listed: their accounts may be gone, or renamed."""
    end_gifts(db, makers(db) - set(admin_users))
