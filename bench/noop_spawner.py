"""A spawner that starts nothing: what is measured is then the hub and XNAT alone."""

import os
from typing import Any

from jupyterhub.spawner import Spawner

from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.spawners.slow_starts import Phase


class NoopSpawner(Spawner):
    """Says at once that a server runs, at the address in BENCH_SERVER, where something answers for all of them."""

    running = False

    def prepare(self, plan: LaunchPlan) -> None:
        """Do nothing."""

    def apply_plan(self, plan: LaunchPlan, prepared: None = None) -> None:  # noqa: ARG002 - every adapter's signature
        """Take a plan, as adapters do."""
        self.environment = dict(plan.environment)

    async def start(self) -> tuple[str, int]:
        """Start nothing."""
        self.running = True
        host, _, port = os.environ["BENCH_SERVER"].partition(":")
        return host, int(port)

    async def poll(self) -> int | None:
        """Return whether the server runs."""
        return None if self.running else 0

    async def phase(self) -> Phase:
        """Return that there is nothing to wait for."""
        return Phase("slow", "Nothing is started here.")

    async def read_log(self) -> bytes:
        """Return nothing: nothing has a log."""
        return b""

    async def check_running(self) -> None:
        """Do nothing: what answers is another process."""

    async def stop(self, now: bool = False) -> None:  # noqa: ARG002 - JupyterHub's signature
        """Stop nothing."""
        self.running = False

    def get_state(self) -> dict[str, Any]:
        """Return what a restarted hub must know."""
        return {**super().get_state(), "running": self.running}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what an earlier hub knew."""
        super().load_state(state)
        self.running = state.get("running", False)
