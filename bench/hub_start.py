"""From a hub's start to its health page, and the memory that it then holds: ours against an empty configuration."""

from __future__ import annotations

import contextlib
import time

import psutil
import requests

from bench.hubs import HERE, running_hub
from bench.results import Result, median
from tests.support import RunningHub, new_standin

CONFIGURATION = HERE.parent / "jupyterhub_config.py"
EMPTY = HERE / "config_empty.py"
TIME_PERCENT, MEMORY_MB = 5, 15
SETTLE_SECONDS = 2


def hub_start(repeat: int, settle_seconds: float = SETTLE_SECONDS) -> list[Result]:
    """Start each in a new folder, by turns, with Swarm's spawner, which calls no engine until it starts something."""
    configurations = {"ours": CONFIGURATION, "empty": EMPTY, "xnathub run": None}
    seconds: dict[str, list[float]] = {name: [] for name in configurations}
    memory: dict[str, list[float]] = {name: [] for name in configurations}
    orchestrator: dict[str, object] = {"orchestrator": {"local": None, "swarm": {}}}
    with new_standin() as xnat:
        for number in range(repeat):
            names = list(configurations) if number % 2 == 0 else list(configurations)[::-1]
            for name in names:
                with running_hub(xnat, configurations[name], orchestrator, start=False) as hub:
                    seconds[name].append(_start(hub))
                    time.sleep(settle_seconds)
                    assert hub.process
                    memory[name].append(psutil.Process(hub.process.pid).memory_full_info().pss / 1e6)
    slower = median(seconds["ours"]) / median(seconds["empty"]) - 1
    more = median(memory["ours"]) - median(memory["empty"])
    return [
        Result(
            "hub start", "to the health page", "s", seconds["ours"], seconds["empty"], "empty configuration",
            f"under {TIME_PERCENT} % more", slower < TIME_PERCENT / 100,
        ),
        Result(
            "hub start", "`xnathub run`, which checks the file first", "s", seconds["xnathub run"],
            seconds["empty"], "empty configuration",
        ),
        Result(
            "hub start", "memory (PSS)", "MB", memory["ours"], memory["empty"], "empty configuration",
            f"under {MEMORY_MB} MB more", more < MEMORY_MB,
        ),
    ]  # fmt: skip


def _start(hub: RunningHub) -> float:
    url = f"{hub.site['hub']['hub_bind_url']}/jupyterhub/hub/health"
    with requests.Session() as session:
        session.trust_env = False
        began = time.perf_counter()
        hub.begin()
        while True:
            assert hub.process
            assert hub.process.poll() is None, hub.log.read_text()
            with contextlib.suppress(requests.ConnectionError):
                if session.get(url, timeout=5).status_code == 200:
                    return time.perf_counter() - began
            time.sleep(0.005)
