"""Checks of XNAT: that it answers, that the service account may ask, what it answers, and what its plugin is set to."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cached_property

from xnathub_conf.doctor.examination import Check, Examination, Finding, failed, ok, skipped
from xnathub_conf.doctor.http import certificate
from xnathub_conf.hub.pre_spawn import plan_reader
from xnathub_conf.launch.plan import LaunchPlan, PlanError
from xnathub_conf.launch.policy import PolicyRefusal
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.values.secret import SecretError
from xnathub_conf.xnat.answers import (
    Credentials,
    XnatBadAnswer,
    XnatError,
    XnatForbidden,
    XnatLoginRedirect,
    XnatNotFound,
    XnatUnauthorized,
    XnatUntrusted,
)
from xnathub_conf.xnat.client import XnatClient
from xnathub_conf.xnat.plugin_settings import contradictions

ROLE = "JupyterHub"
"""The role that lets the service account ask what to start."""

_PASSWORD: KeyPath = ("xnat", "service_account", "password")
_URL: KeyPath = ("xnat", "url")


class XnatChecks:
    """The checks of XNAT. `close` ends the session that they opened."""

    def __init__(self, examination: Examination, newest_server: Callable[[str], Awaitable[str]]):
        """Take what tells the name of the server that a user started last."""
        self._examination = examination
        self._newest_server = newest_server
        site = examination.site
        # Each call once: a password that is wrong must not be tried again, and a fault must not be papered over.
        self._xnat = replace(site.xnat, calls=replace(site.xnat.calls, retries=0))
        self._client = XnatClient(self._xnat, "")
        self._username = ""

    def checks(self) -> list[Check]:
        """List the checks in their order."""
        return [
            Check("xnat.answers", self.answers),
            Check("xnat.certificate", self.certificate),
            Check("xnat.sign_in", self.sign_in, ("xnat.answers",)),
            Check("xnat.role", self.role, ("xnat.sign_in",)),
            Check("xnat.plan", self.plan, ("xnat.role",)),
            Check("xnat.settings", self.settings, ("xnat.sign_in",)),
        ]

    async def close(self) -> None:
        """End the service account's session and let go of connections."""
        await self._client.end_service_session()
        self._client.close()

    async def answers(self) -> Finding:
        """XNAT answers who asks without a name."""
        if missing := self._examination.trust_file_missing():
            return missing
        try:
            await self._client.username(Credentials())
        except (XnatUnauthorized, XnatLoginRedirect):
            pass
        except XnatError as error:
            return _failed(error)
        return ok(f"XNAT answers at {self._xnat.url}.")

    async def certificate(self) -> Finding:
        """XNAT's certificate is good for some time."""
        return await certificate(self._xnat.url, _URL, verify=self._xnat.verify_tls)

    async def sign_in(self) -> Finding:
        """The service account signs in, with one try."""
        try:
            password = self._examination.read(self._xnat.service_account.password)
        except SecretError as error:
            return self._examination.unreadable(error, _PASSWORD)
        self._client.close()
        self._client = XnatClient(self._xnat, password)
        try:
            self._username = await self._client.service_username()
        except XnatError as error:
            return _failed(error, _PASSWORD if isinstance(error, XnatForbidden) else _URL)
        return ok(f"The service account signs in, as {self._username}.")

    async def role(self) -> Finding:
        """The service account holds its role."""
        key: KeyPath = ("xnat", "service_account", "username")
        try:
            roles = await self._client.service_roles(self._username)
        except XnatError as error:
            return _failed(error, key)
        if ROLE in roles:
            return ok(f"{self._username} holds the role {ROLE}.")
        held = (
            f"{self._username} holds the roles {', '.join(roles)}"
            if roles
            else f"{self._username} has no role"
        )
        return failed(
            f"{held}, not {ROLE}.",
            f"Give the role {ROLE} to {self._username}: in XNAT, Administer > Users > Advanced Settings.",
            key,
        )

    async def plan(self) -> Finding:
        """What XNAT would start for a user can be read, and the site's rules allow it."""
        examination = self._examination
        user = examination.user
        if user is None:
            return skipped("No user is named.", "Name one who pressed Start Jupyter before, with --user.")
        # XNAT's pages give each server a name.
        server = examination.server or await self._newest_server(user)
        whose = f"{user}'s server {server}" if server else user
        try:
            plan = await self.planned(user, server)
        except XnatNotFound:
            return ok(
                f"XNAT answers that it holds nothing to start for {whose}, until they press Start Jupyter."
            )
        except PlanError as error:
            return failed(
                f"What XNAT would start for {whose} can't be read: {error}.",
                "See the compute environment in XNAT's Jupyter settings.",
            )
        except PolicyRefusal as refusal:
            key: KeyPath = tuple(refusal.key.split(".")) if refusal.key else ()
            change = f"change {refusal.key}, or " if key else ""
            return failed(
                f"The site's rule {refusal.rule} refuses what XNAT would start for {whose}: {refusal}",
                f"If it should be allowed, {change}see the compute environment in XNAT's Jupyter settings.",
                key,
            )
        except XnatError as error:
            return _failed(error)
        examination.plan = plan
        return ok(
            f"XNAT would start {plan.image} with {len(plan.mounts)} mounts for {whose}, and the rules allow it."
        )

    async def planned(self, user: str, server: str) -> LaunchPlan:
        """Ask what XNAT would start for a user's server. Raises PlanError, PolicyRefusal or XnatError."""
        return await self._client.user_options(
            user, server, lambda answer: self._read_plan(answer, user, server)
        )

    @cached_property
    def _read_plan(self) -> Callable[..., LaunchPlan]:
        return plan_reader(self._examination.site)

    async def settings(self) -> Finding:
        """XNAT's Jupyter settings go with the site."""
        examination = self._examination
        try:
            preferences = await self._client.plugin_preferences()
        except XnatNotFound:
            return failed(
                "XNAT knows nothing of JupyterHub.",
                "Install XNAT's JupyterHub plugin and restart XNAT.",
                _URL,
            )
        except XnatForbidden as error:
            return skipped(str(error))
        except XnatError as error:
            return _failed(error)
        try:
            token = examination.read(examination.site.hub.api_token)
        except SecretError:
            token = None
        found = contradictions(examination.site, preferences, token)
        if found:
            return failed(
                " ".join(each.text for each in found),
                " ".join(each.fix for each in found) + " See `xnathub plugin`.",
                found[0].key,
            )
        return ok("XNAT's Jupyter settings go with the site.")


def _failed(error: XnatError, key: KeyPath = _URL) -> Finding:
    """Take apart what the client says: a sentence of what is wrong, and what to do."""
    seen, _, do = str(error).partition(". ")
    if isinstance(error, XnatUntrusted):
        key = ("xnat", "ca_file")
    elif isinstance(error, XnatBadAnswer):
        key = _URL
    return failed(f"{seen.rstrip('.')}.", do or "Look at XNAT's own log.", key)
