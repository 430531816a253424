"""A changed site file, taken by the hub that runs: the policy and the pages, all of it or nothing."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from xnathub_conf.operating.audit import audit
from xnathub_conf.operating.metrics import RELOADS, set_site_state
from xnathub_conf.site.differences import Difference, differences
from xnathub_conf.site.hub_settings import page_variables
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.load import load_site
from xnathub_conf.site.problems import KeyPath, SiteError, dotted
from xnathub_conf.site.schema import takes_effect
from xnathub_conf.site.types import Site
from xnathub_conf.values.secret import Secret

log = logging.getLogger("xnathub")

LOOK_SECONDS = 5
_TASKS: set[asyncio.Task[None]] = set()


class LiveSite:
    """The site as the hub that runs has it. Each of `takers` gets a new one that has changed in what may change."""

    def __init__(self, path: Path, site: Site, takers: list[Callable[[Site], None]]):
        """Take the file that `site` was read from."""
        self._path = path
        self._site = site
        self._takers = takers
        self._seen = _stamp(path)
        self._wanted = asyncio.Event()
        self._app: Any = None
        set_site_state("taken")

    def start(self, app: object) -> None:
        """Look after the file from now on, and at once whenever SIGHUP comes; for local servers at the file alone."""
        self._app = app
        loop = asyncio.get_running_loop()
        # A terminal that is closed sends it too, to end what was started in it.
        if not kind_of(self._site).own_processes:
            loop.add_signal_handler(signal.SIGHUP, self._wanted.set)
        task = loop.create_task(self._watch())
        # The loop holds tasks weakly.
        _TASKS.add(task)

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), LOOK_SECONDS)
            asked = self._wanted.is_set()
            self._wanted.clear()
            stamp = await asyncio.to_thread(_stamp, self._path)
            if asked or stamp != self._seen:
                self._seen = stamp
                try:
                    await self._take()
                except Exception:
                    log.exception(
                        "The changed site file could not be taken; the hub goes on with the one before."
                    )

    async def _take(self) -> None:
        try:
            new = await asyncio.to_thread(load_site, self._path, os.environ)
        except SiteError as error:
            self._refuse(error)
            return
        found = differences(self._site, new)
        live = [each for each in found if each.effect == "live"]
        rest = [each for each in found if each.effect not in {"live", "nothing"}]
        site: Site = _with_live(self._site, new)
        for take in self._takers:
            take(site)
        self._app.template_vars.update(page_variables(site))
        self._site = site
        set_site_state("restart-needed" if rest else "taken")
        RELOADS.labels("ok").inc()
        audit("site", "taken", keys=_keys(live), restart_needed=_keys(rest))
        log.info("The site file is taken anew: %s.", _keys(live) or "nothing changes for the hub that runs")
        if rest:
            log.warning("What else has changed in the site file needs a restart of the hub: %s.", _keys(rest))

    def _refuse(self, error: SiteError) -> None:
        set_site_state("invalid")
        RELOADS.labels("invalid").inc()
        problems = [str(problem) for problem in error.problems if problem.severity == "error"]
        audit("site", "invalid", detail=problems[0] if problems else str(error))
        log.error(
            "The site file was changed and is not valid; the hub goes on with the one before. %s",
            " ".join(problems),
        )


def _with_live(old: object, new: object, key: KeyPath = ()) -> Any:
    """Return the old site with what the hub can take while it runs from the new one."""
    if is_dataclass(old) and type(old) is type(new) and not isinstance(old, Secret):
        taken = {
            field.name: _with_live(
                getattr(old, field.name), getattr(new, field.name), (*key, field.name.removesuffix("_"))
            )
            for field in fields(old)
        }
        return replace(old, **taken)  # type: ignore[type-var]
    try:
        return new if takes_effect(key) == "live" else old
    except KeyError:
        return old


def _keys(found: list[Difference]) -> str:
    return ", ".join(dict.fromkeys(dotted(each.key) for each in found))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what tells that a file was written or replaced; None where there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino
