"""The check of which JupyterHub images hold: those of 4.0 keep no sign-in that XNAT's pages bring, unless told otherwise."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from docker.errors import APIError, DockerException, ImageNotFound
from requests import RequestException

from xnathub_conf.doctor.examination import Examination, Finding, ok, skipped, warning

# The Python of the program that servers are tells it at once; JupyterHub's own command loads all of the hub first.
_OF_SINGLEUSER = (
    "program=$(command -v jupyterhub-singleuser) && $(sed -n '1s/^#!//p' \"$program\") "
    "-c 'import importlib.metadata as m; print(m.version(\"jupyterhub\"))'"
)
ASK = [
    "sh",
    "-c",
    f"{_OF_SINGLEUSER} 2>/dev/null || jupyterhub --version 2>/dev/null || "
    "python3 -c 'import jupyterhub as j; print(j.__version__)'",
]
"""The command that an image is asked with."""

LABEL = "org.xnat.xnathub.doctor"
"""The label of what is made to ask an image."""

_VARIABLE = "JUPYTERHUB_SINGLEUSER_EXTENSION"
_SECONDS, _SECONDS_FOR_ALL = 30, 60
_LOOK_AGAIN_SECONDS = 0.2


async def which_jupyterhub(examination: Examination, client: object, names: Sequence[str]) -> Finding:
    """Return the finding for the images of these names that are on this node; others can't be told.

    Each is asked in a container of its own, without a network, a writable disk, or any right, and removed after 30 seconds.
    """
    told: dict[str, str] = {}
    end = time.monotonic() + _SECONDS_FOR_ALL
    for name in names:
        if time.monotonic() < end and (version := await asyncio.to_thread(_version, client, name)):
            told[name] = version
    return finding(examination, names, told, "docker run --rm IMAGE jupyterhub --version")


def finding(examination: Examination, names: Sequence[str], told: Mapping[str, str], by_hand: str) -> Finding:
    """Return what is to be said of the images' versions of JupyterHub; `by_hand` asks an image that did not tell."""
    silent = ", ".join(name for name in names if name not in told)
    untold = f" Not known, since they are not on this engine or do not say: {silent}." if silent else ""
    if not told:
        why = (
            untold
            or "No image is named in full in servers.allowed_images; `xnathub doctor --user NAME` asks that of a user's server."
        )
        return skipped(why.strip(), f"Ask one yourself: {by_hand}")
    seen = f"JupyterHub in images: {', '.join(f'{name} {version}' for name, version in told.items())}."
    plan = examination.plan
    given = {**(plan.environment if plan else {}), **examination.site.servers.environment}
    old = [name for name, version in told.items() if version.startswith("4.0.")]
    if old and given.get(_VARIABLE) != "0":
        return warning(
            f"{seen}{untold} Of {', '.join(old)}, pages opened from XNAT load, and their kernels do not.",
            f'Set {_VARIABLE}: "0" in servers.environment, or in XNAT\'s Jupyter environment.',
            ("servers", "environment"),
        )
    return ok(seen + untold)


def version_in(said: str) -> str:
    """Return the version of JupyterHub in what an image answered, "" where there is none."""
    found = re.search(r"^(\d+\.\d+\.\d+\S{0,20})$", said.strip(), re.MULTILINE)
    return found[1] if found else ""


def _version(client: Any, name: str) -> str:
    """Return the version of JupyterHub that an image on this node holds, "" where it can't be told."""
    try:
        image = client.images.get(name)
        container = client.containers.create(
            image.id,
            entrypoint=ASK[:1],
            command=ASK[1:],
            labels={LABEL: "version"},
            user="65534:65534",
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit="512m",
            pids_limit=64,
            environment={"HOME": "/nonexistent"},
        )
    except (ImageNotFound, APIError, DockerException, RequestException):
        return ""
    try:
        container.start()
        end = time.monotonic() + _SECONDS
        while container.status not in {"exited", "dead"} and time.monotonic() < end:
            time.sleep(_LOOK_AGAIN_SECONDS)
            container.reload()
        return version_in(container.logs(stdout=True, stderr=False, tail=5).decode("utf-8", "replace"))
    except (DockerException, RequestException):
        return ""
    finally:
        _remove(container)


def _remove(container: Any) -> None:
    try:
        container.remove(force=True, v=True)
    except APIError as error:
        # It is gone, or on its way.
        if error.status_code not in {404, 409}:
            raise
