"""What admins have made for others, by whom: JupyterHub's database does not say, and it ends when they are no admins any more."""

from collections.abc import Iterable
from typing import Any

from jupyterhub import orm
from sqlalchemy import Column, ForeignKey, Integer, Unicode

from xnathub_conf.operating.audit import audit


class Gift(orm.Base):  # type: ignore[misc]
    """A row of a table of our own: an admin's name, and a share, a share code or a token that they made for others."""

    __tablename__ = "xnathub_gifts"

    id = Column(Integer, primary_key=True, autoincrement=True)
    # A name, not an account: what a deleted one made ends too.
    maker = Column(Unicode(255), nullable=False, index=True)
    share_id = Column(Integer, ForeignKey("shares.id", ondelete="CASCADE"), nullable=True)
    code_id = Column(Integer, ForeignKey("share_codes.id", ondelete="CASCADE"), nullable=True)
    token_id = Column(Integer, ForeignKey("api_tokens.id", ondelete="CASCADE"), nullable=True)


def note_gift(db: Any, maker: str, **made: int) -> None:
    """Note who made what: `share_id`, `code_id` or `token_id`."""
    if db.query(Gift).filter_by(maker=maker, **made).first() is None:
        db.add(Gift(maker=maker, **made))
        db.commit()


def makers_of(db: Any, token: int) -> set[str]:
    """Return the names of those whose gift a token is: none where it is its owner's own."""
    return {name for (name,) in db.query(Gift.maker).filter_by(token_id=token)}


def hand_on(db: Any, code: int, share: int) -> None:
    """Note that a share came from a code, so from whoever made that."""
    for gift in db.query(Gift).filter_by(code_id=code).all():
        note_gift(db, gift.maker, share_id=share)


def forget_gifts(db: Any, share: int) -> None:
    """Forget who made a share, since it is its owner's own now. It has one row, however many make it."""
    db.query(Gift).filter_by(share_id=share).delete()
    db.commit()


def makers(db: Any) -> set[str]:
    """Return the names of all who made what has not ended."""
    return {name for (name,) in db.query(Gift.maker).distinct()}


def end_gifts(db: Any, names: Iterable[str]) -> None:
    """End what these made for others."""
    for gift in db.query(Gift).filter(Gift.maker.in_(list(names))).all():
        token, share = db.get(orm.APIToken, gift.token_id or 0), db.get(orm.Share, gift.share_id or 0)
        code = db.get(orm.ShareCode, gift.code_id or 0)
        facts: dict[str, object] = {"made_by": gift.maker, "by": "hub"}
        if token:
            audit("token", "revoked", user=token.owner.name, **facts)
        for event, shared in (("share", share), ("share-code", code)):
            if shared:
                audit(event, "revoked", user=shared.owner.name, server=shared.spawner.name, **facts)
        db.delete(gift)
        db.flush()
        for each in filter(None, (token, share, code)):
            db.delete(each)
        db.commit()
