"""What can be a user's name, and which names look the same."""

import hashlib
import re
import unicodedata

_LABEL = re.compile(r"[a-z](?:[a-z0-9]|-(?!-)){0,38}(?<!-)")


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


def host_label(username: str) -> str:
    """Return what stands for a user in a host name: the name itself where it can, else one with a hash of it.

    Host names know no upper case: `Alice` gets another one than `alice`, which JupyterHub's own way does not see to.
    """
    if _LABEL.fullmatch(username):
        return username
    readable = re.sub(r"[^a-z0-9]", "", username.lower())[:12] or "x"
    return f"u-{readable}--{hashlib.sha256(username.encode()).hexdigest()[:24]}"


def folded(username: str) -> str:
    """Return what names have in common that a directory behind XNAT may take for one: guesses at `Alice`, `ALICE`, `alice` and `Alíce` count together.

    XNAT itself takes names letter for letter. LDAP and Active Directory, which it may ask, look at neither case nor accents.
    """
    bare = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", username).casefold())
    letters = "".join(each for each in bare if unicodedata.category(each) not in {"Mn", "Me"})
    return unicodedata.normalize("NFKC", letters).replace("\u0131", "i").strip()
