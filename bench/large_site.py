"""A site with thousands of rules: how long it takes to load, and to check one plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench.results import Result, interleaved, median
from tests.unit.helpers import SAMPLE, loaded, put, site_text
from xnathub_conf.launch.plan import read_plan
from xnathub_conf.launch.policy import Policy
from xnathub_conf.site.types import Site
from xnathub_conf.values.paths import PathTranslation

LOAD_MS, CHECK_TIMES = 100, 2.0
FEW, CHECKS = 10, 1000


def large_site(repeat: int, rules: int = 2000, path_rules: int = 500) -> list[Result]:
    """Measure loading a large and a small site, then checking a plan that only the last rules allow."""
    large, small = _text(rules, path_rules), _text(FEW, FEW)
    times = interleaved(max(repeat, 5), lambda: _load(large), lambda: _load(small))
    sites = [loaded(text).site for text in (large, small)]
    checks = [_check(sites[0], rules, path_rules), _check(sites[1], FEW, FEW)]
    spent = interleaved(max(repeat, 5), *checks)
    row = f"a site of {rules:,} allow rules and {path_rules:,} path rules"
    return [
        Result(
            row, "load, after imports", "ms", times[0], times[1], f"{FEW} of each",
            f"under {LOAD_MS}", median(times[0]) < LOAD_MS,
        ),
        Result(
            row, "read and check one plan", "us", spent[0], spent[1], f"{FEW} of each",
            f"within {CHECK_TIMES:g} times", median(spent[0]) <= CHECK_TIMES * median(spent[1]),
        ),
    ]  # fmt: skip


def _text(rules: int, path_rules: int) -> str:
    """Return a site file: half of its rules allow images, every second one with a star, half of them folders."""
    folders = range(path_rules)
    mounts = [f"/mnt/archive/{number}" for number in folders]
    mounts += [f"/mnt/other/{number}" for number in range(rules // 2 - path_rules)]
    return site_text(
        servers__allowed_images=[
            f"registry.example.org/group-{number}/{'image-*' if number % 2 else 'image'}:1.*"
            for number in range(rules // 2)
        ],
        servers__allowed_mounts=[{"path": path} for path in mounts],
        paths={"archive": [{"from": f"/data/archive/{n}", "to": f"/mnt/archive/{n}"} for n in folders]},
    )


def _load(text: str) -> float:
    began = time.perf_counter()
    loaded(text)
    return (time.perf_counter() - began) * 1000


def _check(site: Site, rules: int, path_rules: int) -> Callable[[], float]:
    policy = Policy(site)
    translate = PathTranslation({rule.from_: rule.to for rule in site.paths.archive})
    last = rules // 2 - 1
    answer: Any = put(SAMPLE, "task_template/resources/generic_resources", {})
    name = "image-x" if last % 2 else "image"
    image = f"registry.example.org/group-{last}/{name}:1.3"
    answer = put(answer, "task_template/container_spec/image", image)
    mounts = [
        {"source": f"/data/archive/{path_rules - 1}/arc001", "target": "/data/x", "type": "bind"},
        {"source": f"/data/archive/{path_rules - 1}/arc002", "target": "/data/y", "type": "bind"},
    ]
    answer = put(answer, "task_template/container_spec/mounts", mounts)

    def check() -> float:
        began = time.perf_counter()
        for _ in range(CHECKS):
            policy.check(read_plan(answer, "alice", "", translate))
        return (time.perf_counter() - began) / CHECKS * 1e6

    return check
