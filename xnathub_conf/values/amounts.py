"""Amounts of cores and of memory, of which some may not be named."""

from typing import TypeVar

_Amount = TypeVar("_Amount", int, float)


def least(one: _Amount | None, other: _Amount | None) -> _Amount | None:
    """Return the smaller of two amounts, None where neither is named."""
    return min((amount for amount in (one, other) if amount is not None), default=None)
