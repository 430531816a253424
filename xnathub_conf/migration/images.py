"""The images that another hub's spawner started, and the list of those that XNAT may name."""

from typing import Any

from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.tree import Node


def list_of_names(value: Any) -> list[str]:
    """Return a list of texts, sorted where it had no order. Raises NotCarriedError."""
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(each, str) for each in value
    ):
        raise NotCarriedError("It is no list of names. Write the key of site.yaml by hand.")
    return sorted(value) if isinstance(value, set | frozenset) else list(value)


def images_of(profiles: object) -> list[str]:
    """Return the images that KubeSpawner's profiles, and their choices, name."""
    if isinstance(profiles, dict):
        override = profiles.get("kubespawner_override")
        image = override.get("image") if isinstance(override, dict) else None
        named = [image] if isinstance(image, str) else []
        return [*named, *(each for below in profiles.values() for each in images_of(below))]
    return [each for below in profiles for each in images_of(below)] if isinstance(profiles, list) else []


def allow_images(to: Ledger, value: object, name: str, leaf: Node) -> None:
    """Let servers start from images that a spawner's settings name. Raises NotCarriedError."""
    images = list(value.values()) if isinstance(value, dict) else value
    named = [images] if isinstance(images, str) else list_of_names(images)
    before = to.site.get("servers", {}).get("allowed_images", [])
    to.site.setdefault("servers", {})["allowed_images"] = [*dict.fromkeys([*before, *named])]
    to.stands(
        ("servers", "allowed_images"), named, name, at(leaf), "XNAT says which of them a server starts from"
    )
