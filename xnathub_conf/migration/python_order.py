"""Which settings of a jupyterhub_config.py counted in the old hub: the last of its class, and a spawner's own class over its bases."""

from collections.abc import Sequence

from xnathub_conf.migration.python_config import Setting

_SPAWNERS = {
    "swarm": ("Spawner", "DockerSpawner", "SwarmSpawner"),
    "docker": ("Spawner", "DockerSpawner"),
    "kubernetes": ("Spawner", "KubeSpawner"),
}
"""The classes whose settings a spawner of each kind has, later ones winning."""

_BASES = {"JupyterHub": "Application", "ConfigurableHTTPProxy": "Proxy"}


def settle(settings: Sequence[Setting], kind: str) -> None:
    """Note at each setting which one counted instead of it, or holds it as a part, and whether its class was in use."""
    named = _spawner(settings)
    by_name: dict[tuple[str, str], list[tuple[int, Setting]]] = {}
    for setting in settings:
        family, rank = _rank(setting.trait, kind, named)
        setting.in_use = rank >= 0
        if setting.in_use and not setting.skipped:
            name = setting.trait.partition(".")[2]
            by_name.setdefault((family, name), []).append((rank, setting))
    for found in by_name.values():
        _settle_one(found)


def _settle_one(found: Sequence[tuple[int, Setting]]) -> None:
    """Go through what is said of one setting from its end; each comes with how much its class counts."""
    sets: dict[int, Setting] = {}
    whole: dict[int, Setting] = {}
    for rank, setting in reversed(found):
        setting.replaced_by = sets.get(rank)
        if setting.conditional:
            continue
        setting.part_of = whole.get(rank)
        if not setting.adds:
            sets.setdefault(rank, setting)
        elif setting.holds_earlier:
            whole.setdefault(rank, setting)
    # What a class of its own says holds over what stands further down for its base.
    for rank, setting in found:
        setting.replaced_by = next((sets[each] for each in sorted(sets) if each > rank), setting.replaced_by)


def _spawner(settings: Sequence[Setting]) -> str | None:
    """Return the class that the hub started servers with, where it is named."""
    for setting in reversed(settings):
        if setting.trait == "JupyterHub.spawner_class" and not setting.skipped and not setting.conditional:
            last = setting.value.rpartition(".")[2] if isinstance(setting.value, str) else ""
            return last if last.endswith("Spawner") else None
    return None


def _rank(trait: str, kind: str, named: str | None) -> tuple[str, int]:
    """Return what a setting's class is one of, and how much it counts there; -1 where it is not in use."""
    class_name = trait.partition(".")[0]
    chain = _SPAWNERS[kind]
    if class_name in chain:
        return "Spawner", chain.index(class_name)
    if class_name.endswith("Spawner"):
        other = class_name in {each for those in _SPAWNERS.values() for each in those}
        return "Spawner", -1 if other or (named and class_name != named) else len(chain)
    if class_name.endswith("Authenticator"):
        return "Authenticator", int(class_name != "Authenticator")
    return _BASES.get(class_name, class_name), int(class_name in _BASES)
