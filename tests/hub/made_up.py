"""Plain processes, each in a folder of its own: an orchestrator that is made up, all of it in this file.

A test copies it into `xnathub_conf/orchestrators/` and adds the one line that registers it.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jupyterhub.spawner import Spawner
from jupyterhub.utils import random_port
from traitlets import Integer

from xnathub_conf.launch.ending import exited
from xnathub_conf.launch.failure import ended_at_once
from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.site.kinds import FirstSite, Kind, Rendered, Setting
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Orchestrator, Site
from xnathub_conf.spawners.slow_starts import Phase


@dataclass(frozen=True)
class Processes(Orchestrator):
    """Processes with a niceness."""

    key: ClassVar[str] = "processes"
    folder: str
    niceness: int


class ProcessSpawner(Spawner):
    """Starts a plan as a process, which writes its log into its folder."""

    niceness = Integer(0, config=True)
    _process: asyncio.subprocess.Process | None = None

    @property
    def _folder(self) -> Path:
        return Path(self.site.orchestrator.folder) / f"{self.user.name}-{self.name}"

    def prepare(self, plan: LaunchPlan) -> None:
        """Do nothing."""

    def apply_plan(self, plan: LaunchPlan, prepared: object = None) -> None:
        """Set command and environment."""
        self.cmd, self.environment = list(plan.command), dict(plan.environment)

    async def start(self) -> tuple[str, int]:
        """Start the process."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.ip, self.port = "127.0.0.1", random_port()
        with (self._folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "nice", f"-{self.niceness}", *self.cmd, *self.get_args(), env=self.get_env(), cwd=self._folder, stdout=log, stderr=log
            )  # fmt: skip
        return self.ip, self.port

    async def poll(self) -> int | str | None:
        """Return None while the process lives."""
        if self._process is None:
            return 0
        code = self._process.returncode
        return None if code is None else await self.note_ending(exited(code))

    async def stop(self, now: bool = False) -> None:
        """End the process."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def phase(self) -> Phase:
        """Return what a start is at."""
        return Phase("slow-process", "The process was still being made.")

    async def read_log(self) -> bytes:
        """Return what the process said."""
        return (self._folder / "log").read_bytes()

    async def read_environment(self) -> Mapping[str, str]:
        """Return nothing: no process outlives its hub."""
        return {}

    async def check_running(self) -> None:
        """Raise LaunchFailed where the process has ended."""
        if (code := await self.poll()) is not None:
            raise ended_at_once(code, "Tell your XNAT administrator.", "")


def _traits(processes: Processes, _site: Site) -> Iterator[Setting]:
    yield Setting("ProcessSpawner.niceness", processes.niceness, ("orchestrator", "processes", "niceness"))


def check_folder(document, site):
    """A rule of its own."""
    if site.orchestrator.folder == "/":
        report(
            document,
            ("orchestrator", "processes", "folder"),
            "path",
            "That is all of the machine.",
            "Name another.",
        )


def checks(examination, _stack):
    """The checks of doctor."""
    from xnathub_conf.doctor.examination import Check, failed, ok

    async def writable():
        folder = examination.site.orchestrator.folder
        return (
            ok(f"{folder} is there.")
            if os.access(folder, os.W_OK)
            else failed(f"{folder} is not there.", "Make it.")
        )

    return [Check("processes.folder", writable)]


def arguments(parser):
    """The flags of `render processes`."""
    parser.add_argument("--user", default="xnat", help="whose the service is")


def renderer(options):
    """What `render processes` writes."""
    return lambda loaded, _text: (
        f"[Service]\nUser={options.user}\nExecStart=xnathub run {loaded.document.file}\n"
    )


KIND = Kind(
    settings=Processes,
    name="processes",
    server="its process",
    schema={
        "title": "Processes",
        "description": "Processes with a niceness.",
        "type": "object",
        "additionalProperties": False,
        "required": ["folder"],
        "properties": {
            "folder": {"description": "Where logs are.", "type": "string", "examples": ["/srv/processes"]},
            "niceness": {"description": "How much they give way.", "type": "integer", "minimum": 0, "maximum": 19, "default": 0},
        },
    },
    adapter="xnathub_conf.orchestrators.made_up:ProcessSpawner",
    spawner="ProcessSpawner",
    traits=_traits,
    plan_traits=("cmd", "environment"),
    own_processes=True,
    hub_host="127.0.0.1",
    bind_host="127.0.0.1",
    rules=("xnathub_conf.orchestrators.made_up:check_folder",),
    doctor="xnathub_conf.orchestrators.made_up:checks",
    first_site=FirstSite("  processes: {folder: /srv/processes}"),
    rendered=Rendered("a unit for systemd", "xnathub_conf.orchestrators.made_up:arguments", "xnathub_conf.orchestrators.made_up:renderer"),
)  # fmt: skip
