"""Real hubs to measure: ours and a plain one, with what stands beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support import RunningHub
from xnathub_conf.standin import StandIn

HERE = Path(__file__).parent
OURS, PLAIN = HERE / "config_ours.py", HERE / "config_plain.py"


def server_name(number: int) -> str:
    """Return the name of the server that is started as the `number`th: of two, one as XNAT's pages name it, one the default."""
    return "" if number % 2 else f"20260728T{number:09}Z"


def server_path(user: str, server: str) -> str:
    """Return where a user's server stands in the REST API, below its users."""
    return f"{user}/servers/{server}" if server else f"{user}/server"


@contextmanager
def noop_server() -> Iterator[None]:
    """Let something answer in the place of all users' servers; BENCH_SERVER names it to hubs that start inside."""
    command = [sys.executable, "-m", "bench.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent) as process:
        assert process.stdout
        os.environ["BENCH_SERVER"] = f"127.0.0.1:{process.stdout.readline().strip()}"
        try:
            yield
        finally:
            process.kill()


@contextmanager
def running_hub(
    xnat: StandIn, config: Path | None = None, changes: dict[str, Any] | None = None, *, start: bool = True
) -> Iterator[RunningHub]:
    """Return a hub in a folder of its own."""
    os.environ["PYTHONPATH"] = str(HERE.parent)
    with TemporaryDirectory(prefix="xnathub-bench-") as folder:
        hub = RunningHub(Path(folder), xnat, changes, config=config)
        try:
            yield hub.start() if start else hub
        finally:
            hub.stop()


@contextmanager
def probed(hub: RunningHub) -> Iterator[list[float]]:
    """Ask for the hub's health page all the while; the list holds each answer's milliseconds after the block."""
    times: list[float] = []
    url = f"{hub.site['hub']['hub_bind_url']}/jupyterhub/hub/health"
    command = [sys.executable, "-m", "bench.prober", url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parent
    ) as process:
        try:
            yield times
        finally:
            output, _ = process.communicate()
        times += json.loads(output)
