"""A look from the node, or from the servers' network, out of the hub's container: by a container of the hub's own image."""

import re
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException
from requests import RequestException

LABEL = "org.xnat.jupyter.doctor"
"""The label of such a container."""

_SECONDS = 60


class Untold(Exception):
    """Something can't be looked at from here; the text says why."""


def run_beside(client: Any, program: str, **options: Any) -> tuple[int, str]:
    """Return the exit code of a Python program and what it said, run in such a container, which is removed.

    It has no rights and, unless `options` says so, no network. Raises APIError where the engine refuses, else Untold.
    """
    container = None
    try:
        container = client.containers.create(
            client.containers.get(own_id()).image.id,
            ["python3", "-c", program],
            entrypoint=[],
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            labels={LABEL: "1"},
            **{"network_mode": "none", **options},
        )
        container.start()
        code = container.wait(timeout=_SECONDS)["StatusCode"]
        return code, container.logs().decode("utf-8", "replace")
    except APIError:
        raise
    except (DockerException, RequestException) as error:
        raise Untold(f"The node can't be asked: {error}.") from None
    finally:
        if container:
            container.remove(force=True)


def own_id() -> str:
    """Return the ID of the container that this process is in. Raises Untold outside of one."""
    found = re.search(r"/containers/([0-9a-f]{64})/", Path("/proc/self/mountinfo").read_text("utf-8"))
    if not found:
        raise Untold("That can't be seen from here. Run this in the hub's container.")
    return found[1]
