"""The check that servers do not reach a cloud's metadata, where whoever asks is told what the node may do."""

import asyncio
from typing import Any

from docker.errors import APIError

from xnathub_conf.doctor.beside import Untold, run_beside
from xnathub_conf.doctor.examination import Finding, ok, skipped, warning
from xnathub_conf.site.types import Docker, Swarm

ADDRESS = "169.254.169.254"
"""Where clouds answer: the same with Amazon, Google, Microsoft and OpenStack."""

_SILENT = 9
# It connects and asks for nothing.
_TRY = f"""
import socket, sys
try:
    socket.create_connection(("{ADDRESS}", 80), timeout=4).close()
except OSError:
    sys.exit({_SILENT})
"""


async def cloud_metadata(client: Any, settings: Docker | Swarm) -> Finding:
    """Return the finding of whether a container on the hub's network reaches the address from this node."""
    try:
        code, said = await asyncio.to_thread(run_beside, client, _TRY, network_mode=settings.network_name)
    except (APIError, Untold) as error:
        return skipped(str(getattr(error, "explanation", None) or error))
    if code == _SILENT:
        return ok(f"Servers on this node do not reach {ADDRESS}, a cloud's metadata.")
    if code:
        return skipped(f"It can't be told whether servers reach {ADDRESS}: {said.strip().splitlines()[-1:]}.")
    return warning(
        f"Servers on this node reach {ADDRESS}, where a cloud tells whoever asks what the node may do.",
        "Forbid it on every node, with the rules for the firewall in docs/networks.md.",
    )
