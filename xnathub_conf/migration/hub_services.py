"""Other programs that called the old hub, and roles of its users, as `hub.services` and `hub.roles`."""

import re
from collections.abc import Iterable, Mapping

from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.tokens import safe_token
from xnathub_conf.migration.tree import Found, Node

OF_XNAT = "The service xnat gets what XNAT's plugin needs; hub.api_scopes would change it."
"""What to say of the role of XNAT's service."""

WITH_SERVICE = "Its scopes stand at hub.services, with the services that have it."
"""What to say of the role of other services."""

_WRITE = "write it under hub.services with a token and the scopes that it needs."
_LOST = {
    "admin": "It could do everything at the old hub. At hub.services it may do what its scopes say.",
    "command": "The hub starts no other programs: run it beside the hub.",
    "environment": "The hub starts no other programs: run it beside the hub.",
    "cwd": "The hub starts no other programs: run it beside the hub.",
    "user": "The hub starts no other programs: run it beside the hub.",
    "url": "The hub leads nobody to it: give it an address of its own at the web server.",
    "display": "The hub's pages list no services; pages.links does.",
    "info": "The hub's pages list no services; pages.links does.",
}
_PLUGIN_S = frozenset({"admin:servers", "servers", "admin:users", "read:hub", "tokens"})
"""What XNAT's plugin needs, in the scopes of either hub."""

_SIGN_IN = "Nobody signs in to it through the hub."
_BUILT_IN = frozenset({"user", "admin", "server", "token"})


def is_xnat(name: object) -> bool:
    """Return whether a service of this name is the one that XNAT's plugin calls the hub as."""
    return isinstance(name, str) and "xnat" in name.lower()


def know_services(to: Ledger, services: Iterable[object], roles: Iterable[object]) -> None:
    """Keep which services there are, and the scopes that roles give them, before any of them is carried over."""
    for service in services:
        named = isinstance(service, Mapping) and isinstance(service.get("name"), str)
        if isinstance(service, Mapping) and named and not _was_started(service):
            to.callers.setdefault(service["name"], [])
    for role in roles:
        for name in _texts(role.get("services")) if isinstance(role, Mapping) else ():
            if isinstance(role, Mapping) and name in to.callers:
                to.callers[name] += _texts(role.get("scopes"))


def carry_service(
    to: Ledger, service: Mapping[object, object], place: tuple[str, Node], get_token: str = ""
) -> dict[str, str]:
    """Write one service at hub.services; return which of its parts are not carried over, and why.

    `get_token` is the command that shows its token, where the files don't have it. Raises NotCarriedError where it can't
    be a service here.
    """
    name, leaf = service.get("name"), place[1]
    if not isinstance(name, str):
        raise NotCarriedError(f"It has no name in plain text: {_WRITE}")
    scopes = [*dict.fromkeys(to.callers.get(name, []))]
    if not scopes:
        raise NotCarriedError(_without_scopes(service))
    shown = _named(name)
    file = f"service_{shown.replace('-', '_')}_token"
    if any(each["name"] == shown for each in to.site.get("hub", {}).get("services", [])):
        raise NotCarriedError(f"{shown} is the name of another service: {_WRITE}")
    notes = [] if shown == name else [f"{name} before, which is no name that a service has here"]
    token = service.get("api_token")
    if isinstance(token, str) and token:
        found, wrong = safe_token(Found(token, leaf.origin, leaf))
        to.secrets[file] = found.value
        if wrong:
            notes.append(f"with a new token: the old one {wrong}")
            to.to_do.append(
                f"The token of the service {shown} is new. Give that program what is in the file {file}."
            )
    else:
        to.to_do.append(
            f"Make the file {file} in the folder of the secrets, with the token of the service {shown}"
            + (f", which this shows: {get_token}" if get_token else ": the old files don't have it.")
        )
    entry = {"name": shown, "api_token": {"file": f"{to.secrets_path}/{file}"}, "scopes": scopes}
    _add(to, "services", entry, place, "; ".join(notes))
    parts = {str(part) for part, value in service.items() if value not in (None, False, "", [], {})}
    lost = {part: why for part, why in _LOST.items() if part in parts}
    return lost | {part: _SIGN_IN for part in parts if part.startswith("oauth_")}


def _was_started(service: Mapping[object, object]) -> bool:
    """Return whether the old hub started a program and gave it a token, so that nothing calls this hub as it."""
    return bool(service.get("command")) and not service.get("api_token")


def _without_scopes(service: Mapping[object, object]) -> str:
    words = f"{service.get('name')} {service.get('command')}"
    if "cull" in words:
        return "XNAT's plugin stops idle servers: set the inactivity timeout in XNAT's Jupyter settings."
    if service.get("command"):
        return f"The hub starts no other programs. Run it beside the hub, and {_WRITE}"
    if service.get("admin"):
        return f"It could do everything. If it is still wanted, {_WRITE}"
    return f"No role in these files gives it a scope. If it is still wanted, {_WRITE}"


def carry_role(to: Ledger, role: Mapping[object, object], place: tuple[str, Node]) -> dict[str, str]:
    """Write one role of users at hub.roles; return which of its parts are not carried over, and why.

    Raises NotCarriedError where nothing of it can be carried over.
    """
    name = role.get("name")
    users, scopes = _texts(role.get("users")), _texts(role.get("scopes"))
    services = _texts(role.get("services"))
    if not isinstance(name, str) or not scopes:
        raise NotCarriedError("It has no name or no scopes in plain text: write it under hub.roles.")
    if name in _BUILT_IN:
        raise NotCarriedError(f"It changes JupyterHub's own role {name}, which no key of site.yaml does.")
    lost = {}
    if role.get("groups"):
        lost["groups"] = "The hub has no groups of users: name their users under hub.roles."
    more = [each for each in scopes if each not in _PLUGIN_S]
    if any(map(is_xnat, services)) and more:
        lost["scopes"] = f"{OF_XNAT} The old hub's could do more: {', '.join(more)}."
    elif unknown := [each for each in services if each not in to.callers and not is_xnat(each)]:
        lost["services"] = (
            f"For {', '.join(unknown)}, not at hub.services here. If it calls the hub, {_WRITE}"
        )
    if users:
        shown = _named(name)
        note = "" if shown == name else f"{name} before, which is no name that a role has here"
        _add(
            to,
            "roles",
            {"name": shown, "scopes": [*dict.fromkeys(scopes)], "users": [*dict.fromkeys(users)]},
            place,
            note,
        )
    elif lost:
        raise NotCarriedError(" ".join(lost.values()))
    elif services:
        to.ignore(place[0], at(place[1]), OF_XNAT if all(map(is_xnat, services)) else WITH_SERVICE)
    else:
        raise NotCarriedError(
            "It names neither users nor services, so nobody had it. hub.roles wants its users."
        )
    return lost


def carry_list(to: Ledger, kind: str, value: object, place: tuple[str, Node]) -> None:
    """Carry over all services, or roles, that one setting lists. Raises NotCarriedError with what is not carried over."""
    one = carry_service if kind == "services" else carry_role
    lost = []
    for each in value if isinstance(value, list | tuple) else [None]:
        if not isinstance(each, Mapping):
            lost.append(f"It is code. Write what it comes to as hub.{kind}.")
            continue
        if kind == "services" and is_xnat(each.get("name")):
            to.ignore(place[0], at(place[1]), "The service xnat: the hub has it, with hub.api_token.")
            continue
        name = each.get("name")
        named = f"{name}: " if isinstance(name, str) else ""
        try:
            lost += [f"{named}{part}: {why}" for part, why in one(to, each, place).items()]
        except NotCarriedError as error:
            lost.append(f"{named}{error}")
    if lost:
        raise NotCarriedError(" ".join(dict.fromkeys(lost)))


def _add(to: Ledger, kind: str, entry: object, place: tuple[str, Node], note: str) -> None:
    entries = to.site.setdefault("hub", {}).setdefault(kind, [])
    entries.append(entry)
    to.stands(("hub", kind, len(entries) - 1), entry, place[0], at(place[1]), note)


def _named(name: str) -> str:
    """Return a name in the form that a site's services and roles have."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    plain = plain if plain[:1].isalpha() else f"old-{plain}"
    return plain.strip("-") if len(plain) > 2 else f"{plain}-of-old"


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list | tuple | set) else ()
    return [each for each in values if isinstance(each, str)]
