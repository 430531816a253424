"""What can be a user's name."""


def can_be_user_name(name: str) -> bool:
    """Say whether a text can be a user's name, here and in XNAT: one part of a path, seen as it is, and no stand-in for nobody."""
    return (
        name.isprintable()
        and name == name.strip()
        and name not in {"", ".", "..", "guest"}
        and "/" not in name
        and "\\" not in name
        and len(name) <= 255
    )
