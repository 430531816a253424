"""Why a Docker engine did not start a server, as a sentence for its user."""

import re
from collections.abc import Sequence

from docker.errors import APIError, DockerException
from requests import RequestException

from xnathub_conf.launch.failure import ADMIN, LESS, LaunchFailed

_NO_IMAGE = r"no such image|pull access denied|manifest|repository .* not found|no basic auth credentials|unauthorized"


def engine_error(error: DockerException | RequestException, image: str) -> LaunchFailed:
    """Return why the engine did not do what it was asked for."""
    if isinstance(error, APIError):
        return engine_failure(str(error.explanation or error), image)
    if re.search("SSL|TLS", str(error)):
        return LaunchFailed(
            "docker-tls",
            "The hub and the Docker API do not accept each other's certificates.",
            f"{ADMIN} site.yaml: tls.",
            detail=str(error),
            status=503,
        )
    return LaunchFailed(
        "docker-api",
        "The Docker API can't be reached.",
        f"Try again later. {ADMIN}",
        detail=str(error),
        status=503,
    )


def engine_failure(text: str, image: str, constraints: Sequence[str] = ()) -> LaunchFailed:
    """Return a sentence for what Docker says of a container, task or service that it can't start.

    `constraints` are those of the task, which a swarm says are not satisfied and does not name.
    """
    text = text.strip().rstrip(".")
    if found := re.search(r"no suitable node \((.*)\)", text):
        asked = f" It asks for {', '.join(constraints)}." if constraints and "constraints" in found[1] else ""
        return LaunchFailed(
            "unschedulable",
            f"No node of the swarm can take the server: {found[1]}.{asked}",
            LESS if "insufficient" in found[1] else ADMIN,
            status=503,
        )
    if found := re.search(r"bind source path does not exist: (.*)", text):
        return _failed(
            "mount", f"The folder {found[1]}, which XNAT asks for, is not on the node.", "site.yaml: paths."
        )
    if re.search(_NO_IMAGE, text, re.IGNORECASE):
        return pull_failure(text, image)
    if "no command specified" in text.lower():
        return _failed(
            "command",
            f"The image {image} does not say what to start.",
            "XNAT's Jupyter environment: command.",
        )
    if found := re.search(r"network (\S+) not found", text):
        return _failed(
            "network",
            f"The network {found[1]} does not exist.",
            "site.yaml: network_name, server_networks, networks.",
        )
    # A swarm's managers tell each other of a service in one message of 4 MB at most; of which kind depends.
    if "larger than max" in text or "message is too large" in text:
        return _failed(
            "too-large", f"XNAT asks for more mounts than Docker takes: {text}.", "Start on fewer projects."
        )
    return _failed("docker", f"Docker could not start the server: {text}.")


def pull_failure(text: str, image: str) -> LaunchFailed:
    """Return a sentence for what Docker, or a registry, says of an image that it can't pull."""
    return _failed(
        "image",
        f"The image {image} can't be pulled: {text.strip().rstrip('.')}.",
        "Is its name right, does its registry answer, and may the node pull it? site.yaml: servers.registry_logins.",
    )


def _failed(reason: str, message: str, advice: str = "") -> LaunchFailed:
    return LaunchFailed(reason, message, f"{ADMIN} {advice}".strip(), status=502)
