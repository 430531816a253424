"""The command line: which rows to measure, how often, and where the JSON goes."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.results import Result, table

ROWS = {
    "sign-ins": "200 users sign in at once while XNAT is slow",
    "launches": "200 servers start at once while XNAT is slow",
    "plans": "plans with 10 to 10,000 mounts",
    "validate": "xnathub validate against check-jsonschema",
    "large-site": "2,000 allow rules and 500 path rules",
    "hub-start": "time and memory against an empty configuration",
    "active-users": "1,000 running servers that XNAT polls",
    "gate": "a request through the gate of the hub's proxy",
    "swarm": "a start on a real Swarm (root)",
    "kubernetes": "a start on a real Kubernetes (root)",
}


def _measure(row: str, small: bool) -> Callable[[int], list[Result]]:
    """Return a row's benchmark, in its real size or in one that only shows that it runs."""
    from bench import active_users, engines, gate, hub_start, large_site, plans, slow_xnat, validate  # noqa: PLC0415

    real: dict[str, Callable[[int], list[Result]]] = {
        "sign-ins": slow_xnat.sign_ins,
        "launches": slow_xnat.launches,
        "plans": plans.plans,
        "validate": validate.validate,
        "large-site": large_site.large_site,
        "hub-start": hub_start.hub_start,
        "active-users": active_users.active_users,
        "gate": gate.gate,
        "swarm": engines.swarm,
        "kubernetes": engines.kubernetes,
    }
    tiny: dict[str, Callable[[int], list[Result]]] = {
        "sign-ins": lambda repeat: slow_xnat.sign_ins(repeat, 5, 1),
        "launches": lambda repeat: slow_xnat.launches(repeat, 5, 1),
        "plans": lambda repeat: plans.plans(repeat, (10, 100)),
        "validate": lambda repeat: validate.validate(repeat, least=1),
        "hub-start": lambda repeat: hub_start.hub_start(repeat, 0),
        "large-site": lambda repeat: large_site.large_site(repeat, 100, 20),
        "active-users": lambda repeat: active_users.active_users(repeat, 5, 20, 0.5),
        "gate": lambda repeat: gate.gate(repeat, 100, 5),
    }
    return tiny.get(row, real[row]) if small else real[row]


def main() -> int:
    """Measure, print the table, write the JSON; give 1 where a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure, with both sides of each comparison in one run.",
        epilog="Rows: " + "; ".join(f"{name}: {what}" for name, what in ROWS.items()) + ".",
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to measure (default: all)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="repetitions (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every figure")
    parser.add_argument("--small", action="store_true", help="tiny sizes, which only show that it runs")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    results: list[Result] = []
    for row in options.rows or ROWS:
        print(f"{row} ...", file=sys.stderr, flush=True)
        measured = _measure(row, options.small)(options.repeat)
        print(table(measured), flush=True)
        results += measured
        if options.json:
            # After each row: all of them take hours.
            about = {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "load": os.getloadavg()[0],
            }
            made = {**about, "results": [result.as_json() for result in results]}
            options.json.write_text(json.dumps(made, indent=1) + "\n")
    return 1 if any(result.reached is False for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
