"""What the hub's container is made of, on a Swarm as on one engine."""

import hashlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from xnathub_conf import __version__
from xnathub_conf.render.swarm_limits import connect_host
from xnathub_conf.site.chosen import engine_of
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.load import LoadedSite
from xnathub_conf.site.networks import server_networks
from xnathub_conf.site.schema import secrets_in
from xnathub_conf.site.types import Site

IMAGE = f"xnathub:{__version__}"
"""The hub's image, unless the command line names another."""

SITE = "/etc/xnathub/site.yaml"
"""The site file in the container."""

_HEALTH = (
    "import http.client as h{imports}; c = h.{kind}('127.0.0.1', {port}, timeout=4{trust}); "
    "c.request('GET', '{path}'); exit(c.getresponse().status != 200)"
)


def image_flags(image: str, proxy_image: str | None) -> str:
    """Return the arguments, each with a blank after it, with which a file is made again from the same images."""
    flags = f"--image {shlex.quote(image)} " if image != IMAGE else ""
    return flags + (f"--proxy-image {shlex.quote(proxy_image)} " if proxy_image else "")


def health(port: int, path: str, *, tls: bool = False) -> str:
    """Return the Python program that ends with 0 where a container of the hub's image answers well at a path."""
    if tls:
        # The certificate is for the name that browsers use, and this asks within the container.
        how = {
            "kind": "HTTPSConnection",
            "imports": ", ssl",
            "trust": ", context=ssl._create_unverified_context()",
        }
    else:
        how = {"kind": "HTTPConnection", "imports": "", "trust": ""}
    return _HEALTH.format(port=port, path=path, **how)


def networks_of_servers(site: Site) -> list[str]:
    """Return the names of the networks that servers have for themselves; none where they share the hub's."""
    return server_networks(engine_of(site))


def hub_networks(site: Site) -> dict[str, Any]:
    """Return the networks on which servers find the hub, each with its name there."""
    return {name: {"aliases": [connect_host(site)]} for name in ("jupyter", *networks_of_servers(site))}


def secrets_of(loaded: LoadedSite) -> dict[str, str]:
    """Return the path in the hub's container of each external secret, by the secret's name: the file's."""
    return _named(_secret_files(loaded), "secret")


def _named(paths: Iterable[str], kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        if found.setdefault(docker_name(path), path) != path:
            raise ValueError(
                f"The files {found[docker_name(path)]} and {path} would both be the {kind} {docker_name(path)}; give one another name."
            )
    return found


def _secret_files(loaded: LoadedSite) -> Iterator[str]:
    for _, secret in secrets_in(loaded.site):
        if secret.kind == "file":
            yield secret.where
    yield from (file for _, file in kind_of(loaded.site).files(loaded.site.orchestrator))
    if loaded.site.hub.tls:
        yield loaded.site.hub.tls.key


def config_files(loaded: LoadedSite, secrets: dict[str, str]) -> list[str]:
    """Name the files that the site names and that are no secrets, each of which is a config."""
    site = loaded.site
    profile = site.servers.security.seccomp
    files = (
        site.xnat.ca_file,
        site.pages.logo,
        site.hub.tls.cert if site.hub.tls else None,
        profile if profile.startswith("/") else None,
    )
    found = dict.fromkeys(file for file in files if file and file not in secrets.values())
    named = _named(found, "config")
    if "site" in named or SITE in (*found, *secrets.values()):
        raise ValueError(
            f"A file is named {SITE}, or `site`, as the site file itself is in the stack; name it otherwise."
        )
    return list(found)


def variables_of(loaded: LoadedSite) -> list[str]:
    """Name the variables that the hub's process needs for the site's secrets."""
    named = [secret.where for _, secret in secrets_in(loaded.site) if secret.kind == "env"]
    if loaded.site.extra.get("Authenticator.enable_auth_state"):
        named.append("JUPYTERHUB_CRYPT_KEY")
    return list(dict.fromkeys(named))


def docker_name(path: str) -> str:
    """Return what Docker may call a file: its last part. Raises ValueError where it can't."""
    name = PurePosixPath(path).name
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?", name):
        raise ValueError(
            f"{path}: Docker takes letters, digits, dashes, dots and underscores, 64 at most, in a name."
        )
    return name


def seen_from(folder: Path | None, file: str) -> str:
    """Return a file's path as it is seen from a folder; as it stands where that is the working folder."""
    if folder is None or folder.resolve() == Path.cwd() or Path(file).is_absolute():
        return file
    return os.path.relpath(Path(file).resolve(), folder.resolve())


def literal(text: str) -> str:
    """Double the dollar signs, since `docker stack deploy` puts variables in their places."""
    return text.replace("$", "$$")


def digest(content: str) -> str:
    """Return what tells one site file's text from another."""
    return hashlib.sha256(content.encode()).hexdigest()[:12]
