"""What a check is, what it finds, and running one after the other."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.load import LoadedSite
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Site
from xnathub_conf.values.secret import REDACTED, Secret, SecretError

CHECK_SECONDS = 90
"""How long one check may take, whatever its own calls are limited to."""

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What a check found: what was seen, what to do, and the key of site.yaml that it is about."""

    status: Status
    seen: str
    do: str = ""
    key: KeyPath = ()


def ok(seen: str) -> Finding:
    """Return a finding that all is well."""
    return Finding("ok", seen)


def warning(seen: str, do: str, key: KeyPath = ()) -> Finding:
    """Return a finding that works, but should be looked at."""
    return Finding("warning", seen, do, key)


def failed(seen: str, do: str, key: KeyPath = ()) -> Finding:
    """Return a finding that has to be mended."""
    return Finding("failed", seen, do, key)


def skipped(why: str, do: str = "") -> Finding:
    """Return a finding of what could not be told."""
    return Finding("skipped", why, do)


@dataclass(frozen=True)
class Check:
    """One thing to try. It is skipped unless the checks that it `needs` were ok, or gave a warning; it may take `seconds`, or CHECK_SECONDS."""

    name: str
    run: Callable[[], Awaitable[Finding]]
    needs: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass
class Examination:
    """What the checks of one run share, and what earlier ones leave for later ones.

    `at_hub` says that this process is where the hub runs, so that what can't be read here is missing there. `user` and
    `server` name the server whose plan is tried; `plan` is that plan once it is had, `hub_url` where the hub was found.
    """

    loaded: LoadedSite
    environment: Mapping[str, str] = field(repr=False)
    user: str | None = None
    server: str = ""
    plan: LaunchPlan | None = None
    hub_url: str = ""
    _values: set[str] = field(default_factory=set, repr=False)

    @property
    def site(self) -> Site:
        """The site."""
        return self.loaded.site

    @property
    def at_hub(self) -> bool:
        """Whether this is the hub's container, whose image sets the variable, or a hub that needs none."""
        return "XNATHUB_SITE" in self.environment or kind_of(self.site).own_processes

    def read(self, secret: Secret) -> str:
        """Return a secret's value, which no report will show. Raises SecretError."""
        value = secret.read(self.environment)
        self._values.add(value)
        return value

    def unreadable(self, error: SecretError, key: KeyPath) -> Finding:
        """Return the finding that a secret can't be read: a fault at the hub, and no wonder anywhere else."""
        seen, _, do = str(error).partition(". ")
        if self.at_hub:
            return failed(f"{seen}.", do, key)
        return skipped(f"{seen}.", "Run `xnathub doctor` in the hub's container too, where the secrets are.")

    def trust_file_missing(self) -> Finding | None:
        """Return the finding that the file of xnat.ca_file can't be used, where that is so."""
        if not (ca_file := self.site.xnat.ca_file):
            return None
        try:
            ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            return self.unreadable(
                SecretError(
                    f"The file {ca_file} can't be used: {error.strerror or error}. Mount it, or correct the path."
                ),
                ("xnat", "ca_file"),
            )
        return None

    def redacted(self, text: str) -> str:
        """Return text without the value of any secret that was read."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, REDACTED)
        return text


async def examine(
    examination: Examination,
    checks: Sequence[Check],
    *,
    leave_out: Collection[str] = (),
    begin: Callable[[str], None] = lambda _name: None,
) -> AsyncIterator[tuple[str, Finding]]:
    """Run checks one after the other, and give each one's name and finding as it is done.

    `leave_out` names checks, or what stands before their dot; `begin` is told the name of each before it runs.
    """
    good: set[str] = set()
    for check in checks:
        begin(check.name)
        missing = [name for name in check.needs if name not in good]
        if {check.name, check.name.partition(".")[0]} & set(leave_out):
            finding = skipped("Left out with --skip.")
        elif missing:
            finding = skipped(f"Skipped: {missing[0]} did not pass.")
        else:
            finding = await _run(check)
        if finding.status in {"ok", "warning"}:
            good.add(check.name)
        yield (
            check.name,
            Finding(
                finding.status,
                examination.redacted(finding.seen),
                examination.redacted(finding.do),
                finding.key,
            ),
        )


async def _run(check: Check) -> Finding:
    seconds = check.seconds or CHECK_SECONDS
    try:
        async with asyncio.timeout(seconds):
            return await check.run()
    except TimeoutError:
        return failed(f"Nothing was said within {seconds:.0f} s.", "See what keeps the other side so busy.")
    except Exception as error:  # noqa: BLE001 - the checks after this one are worth running
        return failed(
            f"The check itself went wrong: {type(error).__name__}: {error}",
            f"Report it, please, and leave it out meanwhile with --skip {check.name}.",
        )
