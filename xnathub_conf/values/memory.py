"""Amounts of memory as text."""

import re

_SUFFIXES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SITE_FORM = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)([KMGT]?)")
_XNAT_FORM = re.compile(
    r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([kmgt]?)(?:(?<=[kmgt])i)?b?\s*", re.IGNORECASE | re.ASCII
)


def site_bytes(text: str | float) -> int:
    """Read site.yaml's form, a number or one with K, M, G or T (JupyterHub's ByteSpecification), as bytes.

    Raises ValueError on any other form.
    """
    return _bytes(_SITE_FORM, str(text))


def site_amount(amount: int) -> str:
    """Write bytes in site.yaml's form, with the largest suffix that loses nothing."""
    suffix = next(name for name, unit in reversed(_SUFFIXES.items()) if amount % unit == 0)
    return f"{amount // _SUFFIXES[suffix]}{suffix}"


def xnat_bytes(text: str) -> int:
    """Read XNAT's form as bytes: Docker's suffixes b, k, m, g and Kubernetes' Ki, Mi, Gi, all powers of 1024.

    Raises ValueError on any other form.
    """
    return _bytes(_XNAT_FORM, text)


def _bytes(form: re.Pattern[str], text: str) -> int:
    match = form.fullmatch(text)
    if not match:
        raise ValueError("not an amount of memory")
    number = float(match[1]) if "." in match[1] else int(match[1])
    return int(number * _SUFFIXES[match[2].upper()])
