"""What of an old deployment's values the report may show: secrets stand open in old files, under any name and in any form."""

import re
from collections.abc import Iterator

from xnathub_conf.operating.log_text import without_tokens
from xnathub_conf.site.problems import KeyPath, holds_secret

HIDDEN = "(not shown)"

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_WORDS = frozenset(
    "pass pw pwd pat pats key keys auth authorization cred creds dsn cookie cookies jwt salt sas bearer otp".split()  # noqa: SIM905
)
_ENDS = ("pass", "pwd", "key", "creds", "phrase")
_PARTS = ("password", "passwd", "passwort", "passphrase", "pgpass", "secret", "token", "apikey", "credential")


def may_be_secret(name: str) -> bool:
    """Return whether what goes by a name may be a secret: DB_PASS, API_KEY_PROD, sslpassword. A bare `key` is a label's."""
    if name.lower() in {"key", "keys"}:
        return False
    lower = name.lower()
    if holds_secret((name,)) or any(part in lower for part in _PARTS):
        return True
    words = [word.lower() for word in _WORD.findall(name)]
    return any(word in _WORDS or (len(word) > 4 and word.endswith(_ENDS)) for word in words)


_IN_ADDRESS = re.compile(
    r"""(//[^\s"'<>@/:]{0,200}:)(?!PASSWORD@)[^\s"'<>]{1,300}@(?!sha256:)|(//)[^\s"'<>@/:]{1,300}@(?!sha256:)"""
)
"""Who calls an address: a password may hold slashes, and a token stand alone. PASSWORD is what the report asks to be filled in."""
_BEFORE_HOST = re.compile(
    r"""(?<![\w.-])([\w.-]{1,64}:)(?!PASSWORD@)[^\s@"'/]{1,300}@(?!sha256:)(?=[\w\[])"""
)
_KNOWN = re.compile(
    r"\b(?:gh[a-z]_\w{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}|xox[a-z]-[\w-]{8,}|AKIA\w{12,}|hf_\w{10,}|sk-[\w-]{12,}|eyJ[\w-]{8,}\.[\w.-]+)"
    r"|(?<=-----BEGIN )[^-]{0,40}PRIVATE KEY-----[\s\S]*"
)
"""Tokens that show by themselves what they are."""
_SCHEME = re.compile(r"(?i)\b(bearer|basic|digest|negotiate)(\s{1,3})[\w.~+/=-]{4,}")
_OPTION = re.compile(
    r"""(?<![\w.-])(?:(--?[\w.-]{1,80})(?:["']?\s{0,3}[=:]\s{0,3}|\s{1,3})|([\w.-]{1,80})["']?\s{0,3}[=:]\s{0,3})"""
)
_GIVEN = re.compile(r""""[^"]*"?|'[^']*'?|[^\s"'&;,]+""")
_ATTACHED = re.compile(r"(?<!\S)-p(?=[^\s\d=-])\S+")
_USERS = frozenset({"-u", "-U", "--user", "--proxy-user"})


def without_addresses_secrets(text: str) -> str:
    """Return one of our own sentences, without what an address or a word of the old files in it may give away."""
    text = _IN_ADDRESS.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}@", without_tokens(text))
    return _KNOWN.sub(HIDDEN, _BEFORE_HOST.sub(rf"\1{HIDDEN}@", text))


def without_secrets(text: str) -> str:
    """Return a text of the old files without what in it may be a secret: in addresses, assignments and commands."""
    text = _SCHEME.sub(rf"\1\2{HIDDEN}", _ATTACHED.sub(f"-p{HIDDEN}", without_addresses_secrets(text)))
    return "".join(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    done = 0
    while found := _OPTION.search(text, done):
        yield text[done : found.end()]
        done = found.end()
        name = found[1] or found[2]
        given = _GIVEN.match(text, done) if name in _USERS or may_be_secret(name) else None
        if given and (name not in _USERS or ":" in given[0]):
            yield HIDDEN
            done = given.end()
    yield text[done:]


_ASSIGNS = re.compile(r"""\s*["']?([A-Za-z_][\w.-]*)["']?\s*(?:=|:\s)""")


def shown_key(part: str | int) -> str | int:
    """Return a key of an old file, without the value that slipped into it, as in `DB_PASSWORD=letmein:`."""
    if not isinstance(part, str):
        return part
    assigns = _ASSIGNS.match(part)
    return f"{assigns[1]}={HIDDEN}" if assigns else without_addresses_secrets(part)


_STRUCTURE = frozenset(
    "file env environment name key value valueFrom secretKeyRef secret external source target create optional labels content".split()  # noqa: SIM905
)


def shown_path(path: KeyPath, *, alone: bool) -> KeyPath:
    """Return a path of an old file, without a secret that was taken for a key, as in `password: {letmein}`.

    `alone` says whether nothing stands at the last key.
    """
    shown = [*map(shown_key, path)]
    below = False
    for index, part in enumerate(path):
        if isinstance(part, str) and (
            (below and part not in _STRUCTURE)
            or (alone and index == len(path) - 1 and holds_secret(path[:-1]))
        ):
            shown[index] = HIDDEN
        below = below or bool(re.search("(?i)passw|passphrase|token", str(part)))
    return tuple(shown)


def shown_value(key: KeyPath, value: object) -> object:
    """Return what the report shows of a value at a key of the site."""
    if _is_file(value):
        return value
    # What is named freely has names of its site's making; all others are the schema's.
    free = (
        [str(part) for part in key[1:]] if key[0] == "extra" or key[:2] == ("servers", "environment") else []
    )
    if key[-1] != "image_pull_secrets" and (holds_secret(key) or any(map(may_be_secret, free))):
        return HIDDEN
    return _masked(value)


def _masked(value: object) -> object:
    """Return data without what its keys, the names beside values, or its own form say to be secrets."""
    if isinstance(value, dict) and not _is_file(value):
        names_secret = may_be_secret(str(value.get("name", "")))
        return {
            shown_key(key): HIDDEN
            if not isinstance(each, dict | list)
            and (may_be_secret(str(key)) or (names_secret and key == "value"))
            else _masked(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [*_arguments(value)]
    return without_secrets(value) if isinstance(value, str) else value


def _arguments(values: list[object]) -> Iterator[object]:
    """Return the entries of a list, without those that an option before them says to be secrets."""
    option = ""
    for each in values:
        secret = option and isinstance(each, str) and not each.startswith("-")
        if secret and (may_be_secret(option) or (option in _USERS and ":" in str(each))):
            yield HIDDEN
        else:
            yield _masked(each)
        option = each if isinstance(each, str) and each.startswith("-") and "=" not in each else ""


def _is_file(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"file"}
