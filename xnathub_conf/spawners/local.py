"""Processes of the hub's own user, for demos and development.

A process has no mounts of its own, so the plan's targets appear as links below the server's root directory. There is no
isolation: images, limits and read-only mounts are not applied.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from jupyterhub.spawner import SimpleLocalProcessSpawner

from xnathub_conf.launch.ending import Ending, exited
from xnathub_conf.launch.failure import ADMIN, LaunchFailed, ended_at_once
from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.launch.why_ended import why_ended
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.types import Local, Site
from xnathub_conf.spawners.object_names import object_name
from xnathub_conf.spawners.slow_starts import Phase
from xnathub_conf.values.paths import prefixes

_PR_SET_PDEATHSIG = 1
"""prctl(2) of Linux."""

_LOOK_SECONDS = 0.05


class XnatLocalSpawner(SimpleLocalProcessSpawner):
    """Starts a plan as a process with links in place of mounts."""

    site: Site
    note_ending: Callable[[Ending], Awaitable[int | str]]
    """Of the launch that is mixed in."""
    _plan: LaunchPlan | None = None

    @property
    def _root(self) -> Path:
        local = settings_of(self.site, Local)
        return Path(local.directory) / object_name("server", self.user.name, self.name)

    def prepare(self, plan: LaunchPlan) -> None:
        """Do nothing: links are made at the start."""

    def apply_plan(self, plan: LaunchPlan, prepared: None = None) -> None:  # noqa: ARG002 - every adapter's signature
        """Set command and environment; paths that mounts provide are moved below the server's root directory."""
        root = str(self._root)
        targets = {above for mount in plan.mounts for above in prefixes(mount.target)}
        environment = {
            name: root + value if targets.intersection(prefixes(value)) else value
            for name, value in plan.environment.items()
        }
        # The whole root, so that data and workspace both show in the file browser.
        environment["JUPYTERHUB_ROOT_DIR"] = root
        self._plan = plan
        self.home_dir = root
        self.environment = environment
        self.cmd = list(plan.command or [str(Path(sys.executable).with_name("jupyterhub-singleuser"))])
        # Jupyter refuses to run as root unless told; in a container of its own that is nothing special.
        self.args = ["--allow-root"] if plan.command is None and os.getuid() == 0 else []

    def make_preexec_fn(self, name: str) -> object:
        """Return what runs first in the new process, which is to end with its hub, even one that is killed."""
        prepare, prctl = super().make_preexec_fn(name), getattr(ctypes.CDLL(None), "prctl", None)

        def first() -> None:
            prepare()
            if prctl:
                prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

        return first

    async def start(self) -> object:
        """Make the links, then start the process."""
        try:
            self._make_links(self._root)
        except OSError as error:
            raise LaunchFailed(
                "folder",
                f"The hub's machine can't prepare the server's folders: {error.strerror or error}.",
                ADMIN,
                detail=str(error.filename2 or error.filename or ""),
                status=502,
            ) from None
        try:
            return await super().start()
        except OSError as error:
            raise LaunchFailed(
                "command",
                f"The hub's machine can't run the server's command: {error.strerror or error}.",
                ADMIN,
                detail=f"[{self.cmd[0]}]",
                status=502,
            ) from None

    def _make_links(self, root: Path) -> None:
        _remove_links(root)
        for mount in self._plan.mounts if self._plan else ():
            source, link = Path(mount.source), Path(f"{root}{mount.target}")
            if not mount.read_only:
                source.mkdir(parents=True, exist_ok=True)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)

    async def poll(self) -> object:
        """Return None while the process lives, else its exit code."""
        code = await super().poll()
        return None if code is None else await self.note_ending(exited(code))

    async def phase(self) -> Phase:
        """Return what a start is at: there is only one step."""
        return Phase("slow-process", "The hub's machine was still making its process.")

    async def read_log(self) -> bytes:
        """Return nothing: what a process says goes to the hub's own log."""
        return b""

    async def read_environment(self) -> Mapping[str, str]:
        """Return nothing, since there is no log."""
        return {}

    async def check_running(self) -> None:
        """Raise LaunchFailed where the process has ended."""
        code = await self.poll()
        if code is not None:
            advice = "Tell your XNAT administrator. What it said is in the hub's own log."
            raise ended_at_once(code, advice, why_ended(code, ()))

    async def progress(self) -> AsyncIterator[dict[str, object]]:
        """Return what happens: there is only one step."""
        yield {"progress": 40, "message": "Starting Jupyter on the hub's own machine"}

    async def wait_for_death(self, timeout: float = 10) -> bool:
        """Return whether the process ended within `timeout` seconds; JupyterHub's own looks would grow rare."""
        end = time.monotonic() + timeout
        while await self.poll() is None:
            if time.monotonic() > end:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def stop(self, now: bool = False) -> None:
        """Stop the process and take its links away."""
        await super().stop(now)
        _remove_links(self._root)


def _remove_links(root: Path) -> None:
    """Take away the links below a folder and the folders that only held links; files of the user stay."""
    for folder, folders, files in os.walk(root, topdown=False):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                path.unlink()
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
