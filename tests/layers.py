"""The layers of the tests, by folder: which are left out, which share one engine, and what waits for an engine."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent

LAYERS = [
    "kubernetes", "docker", "hub", "gate", "database", "browser", "proxies", "tools", "fuzz", "docs", "standin", "unit",
]  # fmt: skip
"""What takes longest comes first. All but `standin`, the files beside this one, are folders."""

ONE_AT_A_TIME = {"kubernetes", "docker", "database", "browser", "proxies"}
"""Layers whose tests share a thing that only one test may use: they run beside others, never beside each other."""

APART = {
    "docker": {
        "test_docker.py", "test_docker_doctor.py", "test_internet.py", "test_swarm.py", "test_swarm_remote.py",
    },
}  # fmt: skip
"""Files of such a layer that use a thing which the layer's others don't, here the node's firewall and a name server: they
run beside those, one after the other."""

RUN_AGAIN = {"kubernetes", "docker", "hub", "database", "browser", "proxies"}
"""Layers whose tests wait for other programs, which a busy machine may hold up: one that fails runs a second time, and the
run tells of both."""

FIRST_TEST_SECONDS = {"kubernetes": 1800, "docker": 1200}
"""The first test of these waits until the engine is there: on a bare machine, everything of it is built."""


def left_out(value: str) -> set[str]:
    """Return the layers that XNATHUB_SKIP_LAYERS names, apart by commas or spaces; ValueError for one that there is not."""
    names = set(re.split(r"[,\s]+", value)) - {""}
    if unknown := sorted(names - set(LAYERS)):
        raise ValueError(
            f"XNATHUB_SKIP_LAYERS: there is no layer {', '.join(unknown)}. The layers are {', '.join(sorted(LAYERS))}."
        )
    return names


def layer_of(path: Path) -> str:
    """Return the layer that a file of tests belongs to; ValueError for a folder that is none."""
    inside = path.relative_to(TESTS)
    layer = inside.parts[0] if len(inside.parts) > 1 else "standin"
    if layer not in LAYERS:
        raise ValueError(f"tests/{layer} is no layer: name it in {Path(__file__).name}.")
    return layer


def group_of(path: Path) -> str:
    """Return the name that tests share which run in one process, one after the other: a layer's or a file's."""
    layer = layer_of(path)
    if layer not in ONE_AT_A_TIME:
        return str(path.relative_to(TESTS))
    return f"{layer}, apart" if path.name in APART.get(layer, ()) else layer
