"""`xnathub upgrade`."""

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack

from xnathub_conf.cli.doctor import reported
from xnathub_conf.doctor.examination import Check, Examination
from xnathub_conf.doctor.upgrade import UpgradeChecks
from xnathub_conf.site.kinds import kind_of, named
from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError


def upgrade(file: str, *, backup: str | None, as_json: bool) -> int:
    """Print what this version of xnathub would change for a site, and change nothing.

    `backup` is looked at in place of the hub's own data. Gives 1 where something stands in the way, or the site is not valid.
    """
    try:
        loaded = load(file)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    logging.getLogger().addHandler(logging.NullHandler())
    return asyncio.run(_upgrade(Examination(loaded, os.environ), backup, as_json=as_json))


async def _upgrade(examination: Examination, backup: str | None, *, as_json: bool) -> int:
    checks = UpgradeChecks(examination, backup).checks()
    async with AsyncExitStack() as stack:
        found = named(kind_of(examination.site).doctor)(examination, stack)
        return await reported(examination, [*checks, *_of_images(found)], as_json=as_json)


def _of_images(checks: list[Check]) -> list[Check]:
    """Return the check that tells which JupyterHub the users' images hold, with those that it needs."""
    wanted = {check.name for check in checks if check.name.endswith(".jupyterhub")}
    wanted |= {need for check in checks if check.name in wanted for need in check.needs}
    return [check for check in checks if check.name in wanted]
