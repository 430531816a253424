"""What YAML's readers don't take alike: words for yes and no, dates, and numbers in odd forms."""

import re
from typing import NamedTuple

FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
"""A number with a fraction or an exponent, in YAML 1.2's plain forms."""

_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_YAML_1_1_BOOL = re.compile(r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|[yYnN]")
_ODD_NUMBER = re.compile(
    r"[-+]?(0o[0-7]+|0b[01_]+|0x[0-9a-fA-F_]+|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?"
    r"|[0-9][0-9_]*(:[0-5]?[0-9])*(\.[0-9_]*)?([eE][-+]?[0-9]+)?)"
)
"""What looks like a number to some reader; asked only of text that is no number in YAML 1.2's plain forms."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t][0-9:.+Zz \t-]*)?")
_START = re.compile(r"[-+.0-9yYnNoO]")
"""What everything that readers disagree on begins with; it spares most text the closer look."""


class Ambiguity(NamedTuple):
    """What is unclear about a value, and what to do."""

    found: str
    fix: str


def ambiguity(value: str, *, secret: bool, only_text: bool) -> Ambiguity | None:
    """Return what is unclear about a plain value; None where all readers take it alike.

    A `secret` is not shown. Where the key takes `only_text`, the remedy is text.
    """
    if not _START.match(value):
        return None
    shown = "this" if secret else value if len(value) <= 40 else value[:37] + "..."
    in_quotes = "Put it in quotes." if secret or len(value) > 40 else f'Put it in quotes: "{value}".'
    if _YAML_1_1_BOOL.fullmatch(value):
        meant = "true" if value.lower() in {"yes", "on", "y"} else "false"
        fix = in_quotes if only_text else f"Write {meant}, or put {shown} in quotes for the text."
        return Ambiguity(f"Some YAML readers take {shown} for {meant}.", fix)
    if _DATE.fullmatch(value):
        return Ambiguity(f"Some YAML readers take {shown} for a date.", in_quotes)
    if _ODD_NUMBER.fullmatch(value) or _NOT_FINITE.fullmatch(value) or FLOAT.fullmatch(value):
        fix = f"Write a plain decimal number, or put {shown} in quotes for the text."
        return Ambiguity(f"YAML readers disagree on what number {shown} is.", in_quotes if only_text else fix)
    return None
