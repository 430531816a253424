"""Plans with few and with thousands of mounts, from XNAT's bytes to the adapter; and the loop's standstill meanwhile."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import SimpleNamespace
from typing import Any

from bench.results import Result, median
from tests.support import new_standin
from tests.unit.helpers import SAMPLE, put, site_of
from xnathub_conf.hub.pre_spawn import LivePolicy, pre_spawn_hook
from xnathub_conf.launch.plan import read_plan
from xnathub_conf.launch.policy import Policy
from xnathub_conf.site.types import Site
from xnathub_conf.spawners import spawner_class
from xnathub_conf.standin.faults import Delay
from xnathub_conf.values.paths import PathTranslation
from xnathub_conf.xnat.client import XnatClient

COUNTS = (10, 100, 1_000, 10_000)
MOUNT_US, HELD_MS = 10.0, 20.0
KUBERNETES_MOUNTS = 6_000
"""As many as one pod can describe; Kubernetes keeps no object of 10,000."""


def plans(repeat: int, counts: tuple[int, ...] = COUNTS) -> list[Result]:
    """Measure the time for a mount against that of parsing the JSON alone, then how long the loop is held."""
    results: list[Result] = []
    for kind in ("swarm", "kubernetes"):
        made: dict[int, float] = {}
        for asked in counts:
            count = asked if kind == "swarm" else min(asked, KUBERNETES_MOUNTS)
            if count in made:
                continue
            found = _child("time", kind, count, repeat * 5)
            ours, parsing = found["ours"], found["json"]
            made[count] = median(ours)
            results.append(
                Result(
                    "plans", f"{kind}, {count:,} mounts: bytes to adapter, for a mount", "us",
                    [figure * 1e6 / count for figure in ours], [figure * 1e6 / count for figure in parsing],
                    "json.loads alone",
                    f"under {MOUNT_US:g}" if count >= 1000 else "",
                    median(ours) * 1e6 / count < MOUNT_US if count >= 1000 else None,
                )
            )  # fmt: skip
        least, most = min(made), max(made)
        growth = (made[most] / most) / (made[1_000] / 1_000 if 1_000 in made else made[least] / least)
        results.append(
            Result("plans", f"{kind}: {most:,} mounts, a mount's time by that at 1,000", "x", [growth],
                   target="linear: under 1.5", reached=growth < 1.5)
        )  # fmt: skip
        found = _child("held", kind, most, repeat)
        results.append(
            Result(
                "plans", f"{kind}, {most:,} mounts: longest hold of the loop", "ms", found["ours"], found["idle"],
                "the same loop idle", f"under {HELD_MS:g}", median(found["ours"]) < HELD_MS,
            )
        )  # fmt: skip
    return results


def _child(*arguments: str | int) -> dict[str, list[float]]:
    """Measure in a process of its own, as fresh as a hub."""
    command = [sys.executable, "-m", "bench.plans", *map(str, arguments)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def answer_with(mounts: int) -> bytes:
    """Return XNAT's answer with so many mounts, as a site-wide search makes it."""
    listed = [
        {
            "source": f"/data/xnat/archive/PROJECT_{number:05}/arc001",
            "target": f"/data/projects/PROJECT_{number:05}/experiments",
            "type": "bind",
            "read_only": True,
        }
        for number in range(mounts)
    ]
    answer = put(SAMPLE, "task_template/container_spec/mounts", listed)
    return json.dumps(put(answer, "task_template/resources/generic_resources", {})).encode()


def _site(kind: str) -> Site:
    section: dict[str, Any] = {}
    if kind == "kubernetes":
        section = {"claims": [{"path": "/mnt/archive", "claim_name": "archive"}]}
    site: Site = site_of(
        orchestrator={kind: section},
        paths={"archive": [{"from": "/data/xnat/archive", "to": "/mnt/archive"}]},
        servers__allowed_mounts=[{"path": "/mnt/archive"}],
    )
    return site


def _spawner(site: Site, kind: str) -> Any:
    if kind == "kubernetes":
        # Its class asks for a cluster's address, and calls it only to start something.
        config: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": "x"}
        config |= {"clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:9"}}]}
        config |= {"users": [{"name": "x", "user": {}}]}
        config |= {"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}]}
        with NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump(config, file)
        os.environ["KUBECONFIG"] = file.name
    spawner = spawner_class(site)(_mock=True)
    spawner.user = spawner.user or SimpleNamespace()
    spawner.user.name, spawner.user.db = "alice", SimpleNamespace(commit=lambda: None)
    # Asked for by a service, as by XNAT: then nobody asks XNAT again whether the user may.
    spawner.handler = SimpleNamespace(current_user=SimpleNamespace(kind="service", name="bench"))
    spawner.begin_launch = lambda: None  # no hub waits for it
    spawner.orm_spawner = SimpleNamespace(server=None, name="", user_options=None)
    return spawner


async def _time(kind: str, mounts: int, repeat: int) -> dict[str, list[float]]:
    body, site = answer_with(mounts), _site(kind)
    translate = PathTranslation({rule.from_: rule.to for rule in site.paths.archive})
    policy, spawner = Policy(site), _spawner(site, kind)
    found: dict[str, list[float]] = {"ours": [], "json": []}
    gc.freeze()
    for _ in range(repeat + 1):
        began = time.perf_counter()
        json.loads(body)
        found["json"].append(time.perf_counter() - began)
        began = time.perf_counter()
        plan = policy.check(read_plan(json.loads(body), "alice", "", translate))
        spawner.apply_plan(plan, spawner.prepare(plan))
        found["ours"].append(time.perf_counter() - began)
    # The first one warms up.
    return {side: figures[1:] for side, figures in found.items()}


async def _held(kind: str, _mounts: int, repeat: int) -> dict[str, list[float]]:
    """Return the longest time that the loop came to nothing else, with a plan being made and without."""
    site = _site(kind)
    found: dict[str, list[float]] = {"ours": [], "idle": []}
    # The stand-in is another process: here it would share this one's interpreter lock.
    url = os.environ["BENCH_XNAT"]
    xnat = XnatClient(site_of(xnat__url=url).xnat, os.environ["BENCH_PASSWORD"])
    hook, spawner = pre_spawn_hook(LivePolicy(site), xnat), _spawner(site, kind)
    gc.freeze()
    for number in range(repeat + 1):
        for side in ("ours", "idle"):
            done = asyncio.ensure_future(hook(spawner) if side == "ours" else asyncio.sleep(0.3))
            longest, last = 0.0, time.perf_counter()
            while not done.done():
                await asyncio.sleep(0.001)
                longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
            longest = max(longest, time.perf_counter() - last)
            await done
            if number:
                found[side].append(longest * 1000)
    xnat.close()
    return found


def _with_xnat(kind: str, mounts: int, repeat: int) -> dict[str, list[float]]:
    """Serve the answer from this process, and measure in a child."""
    with new_standin() as xnat:
        xnat.state.set_user_options("alice", answer_with(mounts))
        xnat.faults.set("/", Delay(0.02))
        os.environ["BENCH_XNAT"] = xnat.url
        os.environ["BENCH_PASSWORD"] = xnat.state.user("jupyterhub").password
        return _child("hold", kind, mounts, repeat)


if __name__ == "__main__":
    part, kind, mounts, repeat = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if part == "held":
        print(json.dumps(_with_xnat(kind, mounts, repeat)))
    else:
        print(json.dumps(asyncio.run({"time": _time, "hold": _held}[part](kind, mounts, repeat))))
