"""Entries of Docker's and Kubernetes' settings of a container, and the keys of a site that each becomes: rights, memory, names, logs."""

from collections.abc import Callable, Mapping

from xnathub_conf.migration.ledger import NotCarriedError
from xnathub_conf.migration.rules import is_number
from xnathub_conf.migration.site_mounts import amount
from xnathub_conf.site.problems import KeyPath, holds_secret
from xnathub_conf.values.reserved_names import SHARED_MEMORY

SECURITY = "servers.security"
MORE = "Servers get no more rights than servers.security leaves them."
NO_KEY = "no key of site.yaml stands for it."
ENGINE = ("orchestrator", "*")
_OWN_NETWORKS = frozenset({"default", "bridge", "host", "none"})

Keys = dict[str | KeyPath, object]
Part = Callable[[object], Keys]
"""Makes keys of the site of one entry of such a setting; `*` is the orchestrator. Raises NotCarriedError, with why."""


def amount_of(key: str) -> Part:
    """Return what takes an amount of memory to a key."""
    return lambda value: {key: amount(value)}


class PartlyError(NotCarriedError):
    """Some of an entry has no key; `keys` are what the rest of it becomes."""

    def __init__(self, keys: Keys, why: str) -> None:
        super().__init__(why)
        self.keys = keys


def _all_but(keys: Keys, lost: list[str]) -> Keys:
    """Return the keys of an entry. Raises PartlyError where some of it is lost, with the sentences that say why."""
    if lost:
        raise PartlyError(keys, " ".join(lost))
    return keys


def flag(key: str, *, inverse: bool = False) -> Part:
    """Return what takes a yes or no to a key."""

    def part(value: object) -> Keys:
        if not isinstance(value, bool):
            raise NotCarriedError("it is neither true nor false.")
        return {key: value is not inverse}

    return part


def dropped(value: object) -> Keys:
    """Return the capabilities that servers lose, in the form of a site."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise NotCarriedError("it is no list of names.")
    names = [each.upper().removeprefix("CAP_") for each in value]
    return {f"{SECURITY}.drop_capabilities": [*dict.fromkeys(names)]}


def only_dropped(value: object) -> Keys:
    """Return a pod's capabilities, of which none may be added."""
    if not isinstance(value, Mapping) or not set(value) <= {"drop"}:
        raise NotCarriedError(MORE)
    return dropped(value.get("drop", []))


def whole_number(key: str) -> Part:
    """Return what takes a whole number to a key."""

    def part(value: object) -> Keys:
        if isinstance(value, bool) or not isinstance(value, int):
            raise NotCarriedError("it is no whole number.")
        return {key: value}

    return part


def security_options(value: object) -> Keys:
    """Return what Docker's security options come to."""
    keys: Keys = {}
    lost = []
    for each in value if isinstance(value, list | tuple) else [value]:
        name, _, rest = str(each).replace("=", ":", 1).partition(":")
        part, _, label = rest.partition(":")
        if name == "no-new-privileges" and rest in {"", "true", "false"}:
            keys[f"{SECURITY}.no_new_privileges"] = rest != "false"
        elif name == "seccomp" and (rest in {"unconfined", "builtin"} or rest.startswith("/")):
            keys[f"{SECURITY}.seccomp"] = "default" if rest == "builtin" else rest
        elif name == "seccomp":
            lost.append("a seccomp profile goes into a file, which servers.security.seccomp names.")
        elif name == "apparmor":
            keys[f"{SECURITY}.apparmor"] = rest
        elif name == "label" and part in {"user", "role", "type", "level"}:
            keys[f"{SECURITY}.selinux.{part}"] = label
        else:
            lost.append(f"{name}: {NO_KEY}")
    return _all_but(keys, lost)


def _lower(value: object) -> dict[str, object]:
    """Return a map with its names in small letters, as Docker's SDK takes them beside those of its API; an empty one for what is none."""
    return {str(name).lower(): inner for name, inner in value.items()} if isinstance(value, Mapping) else {}


def ulimits(value: object) -> Keys:
    """Return limits of processes, which have one number each in a site."""
    limits, lost = {}, []
    for each in value if isinstance(value, list | tuple) else [value]:
        found = _lower(each)
        soft, hard = found.get("soft"), found.get("hard")
        number = hard if soft is None else soft
        if not isinstance(found.get("name"), str) or hard not in {None, number}:
            lost.append("servers have one number for each limit: write servers.security.ulimits by hand.")
        else:
            limits[found["name"]] = number
    keys: Keys = {f"{SECURITY}.ulimits": limits} if limits else {}
    if lost:
        raise PartlyError(keys, lost[0])
    return keys


def texts(key: str | KeyPath) -> Part:
    """Return what takes a text, or a list of texts, to a key."""

    def part(value: object) -> Keys:
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
            raise NotCarriedError("it is no list of texts.")
        return {key: list(found)} if found else {}

    return part


def hosts(value: object) -> Keys:
    """Return names with their addresses, of the SDK's map, Docker's `name:address`, or a service's, which the SDK makes of a map."""
    pairs = value.items() if isinstance(value, Mapping) else _pairs(value)
    keys: Keys = {}
    lost = []
    for name, address in pairs:
        if address == "host-gateway":
            lost.append(f"{name} is the node itself there: write its address in servers.hosts.")
        else:
            keys["servers", "hosts", str(name).lower()] = str(address)
    return _all_but(keys, lost)


def _pairs(value: object) -> list[tuple[str, str]]:
    listed = value if isinstance(value, list | tuple) else [value]
    found = [str(each).partition(":") for each in listed]
    if not all(separator for _, separator, _ in found):
        raise NotCarriedError("it names no hosts with their addresses.")
    return [(name.strip(), address.strip()) for name, _, address in found]


def dns_config(value: object) -> Keys:
    """Return what a service says of DNS: Docker's SDK has its map in small letters, the API in capitals."""
    found = _lower(value)
    keys = texts((*ENGINE, "dns"))(found.get("nameservers") or [])
    keys |= texts("servers.dns_search")(found.get("search") or [])
    if not found:
        raise NotCarriedError("it is no map. Write `dns` at orchestrator by hand.")
    if found.get("options"):
        raise PartlyError(keys, f"its options: {NO_KEY}")
    return keys


def log_driver(value: object) -> Keys:
    """Return a log driver with its options, but for those that may be secrets."""
    found = _lower(value)
    driver, options = found.get("type", found.get("name")), found.get("config", found.get("options")) or {}
    if not isinstance(driver, str) or not isinstance(options, Mapping):
        raise NotCarriedError(
            "write log_driver and log_options at orchestrator by hand: it names no driver in plain text."
        )
    keys: Keys = {(*ENGINE, "log_driver"): driver}
    lost = []
    for name, text in options.items():
        if holds_secret((str(name),)):
            lost.append(
                f"{name} may be a secret, which has no place in site.yaml: set it in daemon.json of the nodes."
            )
        else:
            keys[(*ENGINE, "log_options", str(name))] = str(text)
    return _all_but(keys, lost)


def cores(value: object) -> Keys:
    """Return Docker's billionths of a core as cores."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotCarriedError("it is no number.")
    return {"servers.cpu_limit": value / 10**9}


def network(value: object) -> Keys:
    """Return the network that servers share with the hub."""
    if not isinstance(value, str) or value in _OWN_NETWORKS or ":" in value:
        raise NotCarriedError(
            "servers share a network with the hub, which network_name at orchestrator names."
        )
    return {(*ENGINE, "network_name"): value}


def memory_folders(value: object) -> Keys:
    """Return what memory at /dev/shm comes to; other folders in memory have no key."""
    folders = (
        value
        if isinstance(value, Mapping)
        else dict.fromkeys(value if isinstance(value, list | tuple) else [])
    )
    keys: Keys = {}
    for option in str(folders.get(SHARED_MEMORY) or "").split(","):
        if option.startswith("size="):
            keys["servers.shm_size"] = amount(option.removeprefix("size="))
    if others := [str(each) for each in folders if each != SHARED_MEMORY]:
        raise PartlyError(
            keys, f"{', '.join(others)}: {NO_KEY} servers.security.read_only_root has /tmp in memory."
        )
    return keys


def only(wanted: object, why: str) -> Part:
    """Return what takes the one value that is so here anyway."""

    def part(value: object) -> Keys:
        if value not in (wanted, ""):
            raise NotCarriedError(why)
        return {}

    return part


def runs_as(value: object) -> Keys:
    """Return user and group, and whether servers start as root."""
    user, _, group = str(value).partition(":")
    if user in {"0", "root"}:
        return {f"{SECURITY}.start_as_root": True}
    if not (is_number(user) and is_number(group)):
        raise NotCarriedError("write it as servers.uid and servers.gid, in numbers.")
    return {"servers.uid": int(user), "servers.gid": int(group), f"{SECURITY}.start_as_root": False}


def constraints(value: object) -> Keys:
    """Return a service's constraints."""
    if not isinstance(value, list | tuple):
        raise NotCarriedError("it is no list.")
    return {"orchestrator.swarm.placement_constraints": list(value)}


def kept_cores(value: object) -> Keys:
    """Return the same as what is kept for a server."""
    return {"servers.cpu_guarantee": cores(value)["servers.cpu_limit"]}


def stop_seconds(value: object) -> Keys:
    """Return a time to stop in, which Docker's API has in nanoseconds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise NotCarriedError("it is no whole number.")
    return {"servers.stop_timeout": max(1, round(value / 10**9))}


def privileges(value: object) -> Keys:
    """Return what a service says of privileges: Docker's SDK has one part of it in small letters, the API in capitals."""
    if not isinstance(value, Mapping):
        raise NotCarriedError(NO_KEY)
    keys: Keys = {}
    lost = []
    for name, inner in value.items():
        selinux = inner if name == "SELinuxContext" and isinstance(inner, Mapping) else {}
        if name == "NoNewPrivileges" and isinstance(inner, bool):
            keys[f"{SECURITY}.no_new_privileges"] = inner
        elif {str(part).lower() for part in selinux} <= {"user", "role", "type", "level"} and selinux:
            keys |= {f"{SECURITY}.selinux.{str(part).lower()}": text for part, text in selinux.items()}
        else:
            lost.append(f"{name}: {NO_KEY}")
    return _all_but(keys, lost)


def no_rights(value: object) -> Keys:
    """Return nothing, where no rights are taken."""
    if value:
        raise NotCarriedError(MORE)
    return {}


def left_behind(why: str) -> Part:
    """Return what leaves a value behind, and says why."""

    def part(_value: object) -> Keys:
        raise NotCarriedError(why)

    return part
