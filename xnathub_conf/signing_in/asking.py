"""Asking XNAT, as a user, whether they may use Jupyter: with as few calls as can tell it, since it is asked again and again."""

import asyncio
from typing import Any

from xnathub_conf.signing_in.alias_tokens import alias_token_in
from xnathub_conf.site.hub_settings import sees_xnat_sessions
from xnathub_conf.site.types import SignIn, Site
from xnathub_conf.web.xnat_sessions import Sessions, may_be_a_session
from xnathub_conf.xnat.answers import (
    Credentials,
    XnatError,
    XnatForbidden,
    XnatLoginRedirect,
    XnatNotFound,
    XnatUnauthorized,
)
from xnathub_conf.xnat.client import XnatClient

_KEPT_SECONDS = 300
"""How long it counts whose a session is, while XNAT answers by it what that user alone may ask."""


class Asking:
    """Asks XNAT about users. `sessions` knows whose the sessions of browsers are, None where the hub sees none."""

    def __init__(self, site: Site, xnat: XnatClient, log: Any):
        """Take the site, its XNAT and the hub's log."""
        self._rules, self._xnat, self._log = site.sign_in, xnat, log
        self._opened: dict[str, str] = {}
        self._taken: dict[str, str] = {}
        rules = site.sign_in
        # Where everyone may use Jupyter, nothing else is asked with a session.
        kept = 0 if rules.everyone == "always" else _KEPT_SECONDS
        self.sessions = (
            Sessions(self._owner_of, rules.auth_refresh_age or rules.max_age, kept)
            if sees_xnat_sessions(site)
            else None
        )

    async def account(self, credentials: Credentials, keep: bool = False) -> tuple[str, bool]:
        """Ask whose credentials these are, and whether that account may start Jupyter. Raises XnatError.

        `keep` says that a session which is opened for it will be of use for a while.
        """
        name, opened = await self._xnat.username(credentials)
        may_start = False
        try:
            if name != "guest":
                asked = Credentials(session=opened) if opened else credentials
                may_start = await self._may_start(name, asked)
            return name, may_start
        finally:
            if opened and keep and may_start:
                self._keep(name, opened)
            elif opened:
                self._xnat.end_session(opened)

    async def _may_start(self, name: str, credentials: Credentials) -> bool:
        rules: SignIn = self._rules
        if rules.everyone == "always":
            return True
        roles = await self._xnat.roles(name, credentials)
        if rules.role.casefold() in (role.casefold() for role in roles):
            return True
        return rules.everyone == "preference" and await self._xnat.all_users_can_start(credentials)

    def session(self, session: str | None) -> Credentials | None:
        """Return a browser's session of XNAT as credentials; None where there is none, or it does not count here."""
        if self._rules.xnat_session and session and may_be_a_session(session):
            return Credentials(session=session)
        return None

    async def still_may_start(self, user: Any, session: Credentials | None) -> bool | None:
        """Ask as the user: with the browser's session in XNAT, else with the alias token of a server of theirs."""
        opened = self._opened.get(user.name)
        for known in filter(None, (session, Credentials(session=opened) if opened else None)):
            if (said := await self._by_known_session(user.name, known)) is not None:
                return said
        refused = False
        active = [name for name, spawner in user.spawners.items() if spawner.active]
        for server_name in active[:2] or [""]:
            try:
                alias = await self._xnat.user_options(user.name, server_name, alias_token_in)
            except XnatNotFound:
                continue
            except XnatError as error:
                self._log.warning(
                    "XNAT could not be asked whether %s may still use Jupyter: %s", user.name, error
                )
                return None
            if not alias:
                continue
            try:
                name, may_start = await self.account(alias, keep=True)
            except XnatUnauthorized:
                refused = refused or self._taken.get(user.name) == alias.username
                continue
            except XnatError as error:
                self._log.debug("No word from XNAT on %s: %s", user.name, error)
                continue
            if name == user.name:
                self._taken[name] = alias.username
                return may_start
        if refused and not (self.sessions and self.sessions.has(user.name)):
            # XNAT took it a while ago: the account is disabled, or the token's time is over.
            del self._taken[user.name]
            return False
        return None

    async def _by_known_session(self, username: str, credentials: Credentials) -> bool | None:
        """Ask with a session, of which XNAT says whose it is every _KEPT_SECONDS: one call, where that is known."""
        session = credentials.session
        known = session == self._opened.get(username)
        if self.sessions and self.sessions.known(session) == username:
            known = True
        if not known or self._rules.everyone == "always":
            return await self.may_still_start(username, credentials)
        try:
            said = await self._may_start(username, credentials)
            if self.sessions:
                self.sessions.heard(session)
            return said
        except (XnatUnauthorized, XnatForbidden, XnatLoginRedirect):
            # It is over, or somebody else's.
            if self.sessions:
                self.sessions.forget(session)
            if session == self._opened.get(username):
                del self._opened[username]
        except XnatError as error:
            self._log.debug("No word from XNAT on %s: %s", username, error)
        return None

    def _keep(self, username: str, session: str) -> None:
        """Ask with a session that an alias token opened for a while, since XNAT notes down each that is opened."""

        def end() -> None:
            if self._opened.get(username) == session:
                del self._opened[username]
            self._xnat.end_session(session)

        self._opened[username] = session
        asyncio.get_running_loop().call_later(_KEPT_SECONDS, end)

    async def _owner_of(self, session: str) -> str | None:
        if not (credentials := self.session(session)):
            return "guest"
        try:
            return (await self._xnat.username(credentials))[0]
        except (XnatUnauthorized, XnatForbidden, XnatLoginRedirect):
            return "guest"
        except XnatError as error:
            self._log.warning("An XNAT session could not be checked: %s", error)
            return None

    async def may_still_start(self, username: str, credentials: Credentials) -> bool | None:
        """Ask XNAT, with credentials of the user's own, whether they may start Jupyter; None where that can't be told."""
        try:
            name, may_start = await self.account(credentials)
        except XnatError as error:
            self._log.debug("No word from XNAT on %s: %s", username, error)
            return None
        if self.sessions and credentials.session:
            self.sessions.note(credentials.session, name)
        return may_start if name == username else None
