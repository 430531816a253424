"""The logins of private registries that an old hub took from Docker's own file."""

from pathlib import Path

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.compose import is_folder, read_text
from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.tree import Found, Node
from xnathub_conf.values.registry_logins import LoginsError, parse_registry_logins

_BY_HAND = "If servers' images are of a private registry, write its login into a file, and name that as servers.registry_logins."


def is_docker_config(target: str) -> bool:
    """Return whether a file stands where Docker's clients look for logins."""
    return target.endswith((".docker/config.json", ".docker"))


def carry_logins(to: Ledger, name: str, source: str, leaf: Node) -> None:
    """Carry over the logins in a file that the old hub mounted. Raises NotCarriedError."""
    try:
        path = Path(leaf.file).parent / Path(source).expanduser()
        file = path / "config.json" if is_folder(path) else path
        text = read_text(file)
        parse_registry_logins(text)
    except (MigrationError, RuntimeError):
        raise NotCarriedError(
            f"It may hold logins of registries, and can't be read here. {_BY_HAND}"
        ) from None
    except LoginsError as error:
        raise NotCarriedError(f"{error} {_BY_HAND}") from None
    found = at(leaf)
    to.secret(
        "servers.registry_logins", "registry_logins", Found(text.rstrip(), found.origin, leaf), name,
        "what is in it, copied",
    )  # fmt: skip
