"""What can be a user's name, and which names look the same."""

import unicodedata


def can_be_user_name(name: str) -> bool:
    """Return whether a text can be a user's name, here and in XNAT: one part of a path, seen as it is, and no stand-in for nobody."""
    return (
        name.isprintable()
        and name == name.strip()
        and name not in {"", ".", "..", "guest"}
        and "/" not in name
        and "\\" not in name
        and len(name) <= 255
    )


def folded(username: str) -> str:
    """Return what names that look the same have in common: guesses at `Alice`, `ALICE` and `alice` count together."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold()).strip()
