"""Checks of folders that servers mount: on the node they must be there, and belong to whom the servers run as.

On the node itself the folders are looked at as they are. The hub's container does not see them, so there a container of
the hub's own image is started for a moment, as the servers' user, with the folders and nothing else.
"""

import asyncio
import json
import os
import stat
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import APIError
from docker.types import Mount

from xnathub_conf.doctor.beside import Untold, run_beside
from xnathub_conf.doctor.docker import DockerChecks
from xnathub_conf.doctor.examination import Check, Examination, Finding, failed, ok, skipped, warning
from xnathub_conf.site.chosen import engine_of, settings_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Local
from xnathub_conf.values.paths import fixed_part

_LOOK = "import json, os; s = os.stat('/look'); print(json.dumps([s.st_uid, s.st_gid, s.st_mode]))"  # in the hub's image


@dataclass(frozen=True)
class Folder:
    """What there is at a path: its owner, group and mode; `mode` 0 stands for nothing."""

    uid: int = 0
    gid: int = 0
    mode: int = 0


def engine_checks(examination: Examination, stack: AsyncExitStack) -> list[Check]:
    """List the checks of Docker's API and of the folders on its node; what they open is closed with the stack."""
    docker = DockerChecks(examination, engine_of(examination.site))
    stack.push_async_callback(docker.close)
    return [*docker.checks(), *FilesChecks(examination, docker).checks()]


def local_checks(examination: Examination, _stack: AsyncExitStack) -> list[Check]:
    """List the checks of the folders of this machine."""
    local = settings_of(examination.site, Local)
    return [*FilesChecks(examination, None).checks(), *_local_folder(local.directory)]


class FilesChecks:
    """The checks of allowed mounts, and of what a plan mounts."""

    def __init__(self, examination: Examination, engine: DockerChecks | None):
        """Take the engine whose node has the folders, or None where it is this machine."""
        self._examination = examination
        self._engine = engine
        self._servers = examination.site.servers

    def checks(self) -> list[Check]:
        """List the checks: one for each allowed mount, and one for the plan's."""
        needs = ("docker.api",) if self._engine else ()
        found: list[Check] = []
        for index, mount in enumerate(self._servers.allowed_mounts):
            found.append(Check(f"files.{mount.path}", self._allowed(index), needs))
        return [*found, Check("files.plan", self.plan, ("xnat.plan", *needs))]

    def _allowed(self, index: int) -> Any:
        async def check() -> Finding:
            mount = self._servers.allowed_mounts[index]
            if not mount.path.startswith("/"):
                if self._engine is None:
                    return skipped(f"{mount.path} is a volume.")
                return await self._engine.volume(mount.path)
            path = fixed_part(mount.path)
            key: KeyPath = ("servers", "allowed_mounts", index, "path")
            try:
                folder = await self._look(path)
            except Untold as why:
                return skipped(str(why))
            return self._judged(path, folder, key, writable=False)

        return check

    async def plan(self) -> Finding:
        """What the plan mounts is there, and what it mounts writable is the servers' user's."""
        plan = self._examination.plan
        if plan is None:
            return skipped("There is no plan to look at.")
        binds = [mount for mount in plan.mounts if mount.kind == "bind"]
        # A site-wide search mounts thousands, which are all of one kind.
        some = [mount for mount in binds if not mount.read_only] + [m for m in binds if m.read_only][:20]
        for mount in some:
            try:
                folder = await self._look(mount.source)
            except Untold as why:
                return skipped(str(why))
            finding = self._judged(mount.source, folder, ("paths",), writable=not mount.read_only)
            # Below the archive, being able to read is enough.
            if finding.status == "failed" or (finding.status == "warning" and not mount.read_only):
                return finding
        said = f"all {len(binds)}" if len(some) == len(binds) else f"{len(some)} of {len(binds)}"
        return ok(f"The folders of the plan are there: {said} were looked at.")

    def _judged(self, path: str, folder: Folder, key: KeyPath, *, writable: bool) -> Finding:
        uid, gid = self._servers.uid, self._servers.gid
        if not folder.mode:
            return failed(
                f"There is no folder {path} on the node.",
                "Mount the storage there, or say with `paths` where the node keeps it.",
                key,
            )
        if not stat.S_ISDIR(folder.mode):
            return failed(f"{path} is no folder.", "Correct the path.", key)
        seen = f"{path} belongs to {folder.uid}:{folder.gid} with mode {stat.S_IMODE(folder.mode):o}"
        wanted = f"{uid}:{gid} (servers.uid and gid)"
        give = f"If {folder.uid} is Tomcat's user, set servers.uid to it; else: chown {uid}:{gid} {path}."
        bits = next(
            shift for holds, shift in ((folder.uid == uid, 6), (folder.gid == gid, 3), (True, 0)) if holds
        )
        needed = (0o7 if writable else 0o5) << bits
        if folder.mode & needed != needed:
            verb = "write to" if writable else "read"
            return failed(f"{seen}, so {wanted} can't {verb} it.", give, ("servers", "uid"))
        if folder.uid != uid:
            return warning(f"{seen}, not to {wanted}.", give, ("servers", "uid"))
        return ok(f"{seen}, on this node." if self._engine else f"{seen}.")

    async def _look(self, path: str) -> Folder:
        engine = self._engine
        if engine is None or not (self._examination.at_hub or engine.is_remote):
            return await asyncio.to_thread(_look_here, path)
        return await asyncio.to_thread(_look_beside, engine.client, path)


def _look_here(path: str) -> Folder:
    try:
        seen = Path(path).stat()
    except FileNotFoundError:
        return Folder()
    except OSError as error:
        raise Untold(f"{path} can't be looked at: {error.strerror}. Run this as root.") from None
    return Folder(seen.st_uid, seen.st_gid, seen.st_mode)


def _look_beside(client: Any, path: str) -> Folder:
    folder = Mount("/look", path, type="bind", read_only=True)
    try:
        code, said = run_beside(client, _LOOK, mounts=[folder])
    except APIError as error:
        if "bind source path does not exist" in str(error.explanation):
            return Folder()
        raise Untold(f"The node can't be asked for {path}: {error.explanation}.") from None
    if code:
        raise Untold(f"{path} can't be looked at: {said.strip().splitlines()[-1:]}.")
    return Folder(*json.loads(said))


def _local_folder(directory: str) -> Sequence[Check]:
    """List the check of the folder in which local servers are made."""

    async def check() -> Finding:
        key: KeyPath = ("orchestrator", "local", "directory")
        path = Path(directory)
        above = next(each for each in (path, *path.parents) if each.exists())
        if not above.is_dir():
            return failed(f"{above} is no folder.", "Correct the path.", key)
        if not os.access(above, os.W_OK | os.X_OK):
            return failed(
                f"{above} is not writable for this user.",
                "Make the folder and give it to the hub's user.",
                key,
            )
        return ok(f"Servers get their folders in {directory}.")

    return [Check("files.directory", check)]
