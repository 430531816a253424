"""The text log: one line for each message whatever it holds, and no token of an address in it."""

import logging
import re
import unicodedata

_NAMES = r"(?:[\w.-]|%2[DdEe])*(?:token|_xsrf|secret|password|ticket|code|state|JSESSIONID)"
_EQUALS = r"=|%(?:25)*3[Dd]"
_VALUE = r"(?:(?!%(?:25)*(?:26|23|20|22|27))[^&#\s\"'<>;,)\]}\\])+"
_IN_ADDRESS = re.compile(
    rf"((?:[?&;]|%(?:25)*(?:3[Ff]|26|3[Bb])){_NAMES}(?:{_EQUALS})){_VALUE}", re.IGNORECASE
)
"""A parameter of an address that may be as good as a password, also in an address that is a parameter of another."""

_MOST = 16_384
"""How many characters a message, or a line of a traceback, may have: whoever is signed in can have the hub log a text of theirs."""

_TURNS = frozenset("\u2028\u2029")


def without_tokens(text: str) -> str:
    """Return a text with the values of such parameters taken out of the addresses in it."""
    return _IN_ADDRESS.sub(r"\1[secret]", text)


def shortened(text: str) -> str:
    """Return a text, without its end where it is longer than the log takes."""
    return text if len(text) <= _MOST else f"{text[:_MOST]}... ({len(text) - _MOST} more characters)"


def in_one_line(text: str) -> str:
    r"""Return a text with what could begin a line, move the cursor or turn text around written as `\x1b` or `\u2028`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _plain(character) else _escaped(character) for character in text)


def _plain(character: str) -> bool:
    return character == "\t" or (
        unicodedata.category(character) not in {"Cc", "Cf", "Cs"} and character not in _TURNS
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode() if ord(character) < 0xD800 else ascii(character)[1:-1]


class OneLine(logging.Filter):
    """Makes each record's text one line without tokens; lines of a traceback stay lines, set off by spaces."""

    _formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; let it pass."""
        if not isinstance(record.msg, dict):
            # An entry of the audit log is JSON in ASCII already.
            record.msg, record.args = in_one_line(without_tokens(shortened(record.getMessage()))), ()
        if record.exc_info or record.exc_text:
            text = record.exc_text or self._formatter.formatException(record.exc_info)  # type: ignore[arg-type]
            record.exc_text = "\n    ".join(
                in_one_line(without_tokens(shortened(line))) for line in text.split("\n")
            )
            record.exc_info = None
        return True
