"""Signing in with an XNAT account: by password, by alias token, or by the session of a browser signed in to XNAT.

The rules are XNAT's plugin's own: a user may start servers with the role `Jupyter`, compared without case, or when
the preference allUsersCanStartJupyter is true. Hub names equal XNAT names letter for letter, since the plugin puts
them into the hub's paths as they are.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from jupyterhub import orm
from jupyterhub.auth import Authenticator

from xnathub_conf.operating.audit import audit
from xnathub_conf.operating.metrics import SIGN_INS, SignInOutcome, SignInWay
from xnathub_conf.signing_in.admins import demote_the_unlisted, end_gifts_of_the_unlisted
from xnathub_conf.signing_in.asking import Asking
from xnathub_conf.signing_in.dashboards import (
    WhoAmIHandler,
    end_use,
    leads_to_a_dashboard,
    opens_a_dashboard,
    running_dashboards,
)
from xnathub_conf.signing_in.limits import SignInLimits, TooManyFailures, counted_as
from xnathub_conf.signing_in.refusals import (
    SignInRefused,
    another_session,
    no_permission,
    several_people,
    too_many_failures,
    too_many_sessions,
    wrong_password,
    xnat_down,
)
from xnathub_conf.site.hub_settings import xnat_public_url
from xnathub_conf.site.types import Site
from xnathub_conf.spawners.ended import start_forgetting
from xnathub_conf.spawners.images_ahead import start_bringing
from xnathub_conf.spawners.orphans import start_sweep
from xnathub_conf.values.user_names import can_be_user_name
from xnathub_conf.web.addresses import addresses
from xnathub_conf.web.handlers import SignInHandler
from xnathub_conf.web.xnat_sessions import (
    MOST_SESSIONS,
    SeveralPeople,
    known_session,
    own_session,
    sent_sessions,
)
from xnathub_conf.xnat.answers import (
    Credentials,
    XnatError,
    XnatForbidden,
    XnatLoginRedirect,
    XnatTooManySessions,
    XnatUnauthorized,
)
from xnathub_conf.xnat.client import XnatClient

_CHECKED = "xnat_checked"
"""In the hub's database, `user_info`: when XNAT last said that the user may use Jupyter, in seconds since 1970."""


class XnatAuthenticator(Authenticator):
    """Asks XNAT who a user is and whether they may start Jupyter. Use `for_site` to get the class for a site."""

    site: Site
    xnat: XnatClient

    def __init__(self, **kwargs: object):
        super().__init__(**kwargs)
        rules = self.site.sign_in
        self._limits = SignInLimits(rules)
        self.asking = Asking(self.site, self.xnat, self.log)
        self.sessions = self.asking.sessions
        self._asking: dict[str, asyncio.Task[bool | None]] = {}
        self._lost: dict[str, float] = {}
        self._yes: dict[str, float] = {}

    @classmethod
    def for_site(
        cls, site: Site, xnat: XnatClient, at_start: Callable[[Any], None] = lambda _app: None
    ) -> type["XnatAuthenticator"]:
        """Return a subclass bound to a site and its client, for JupyterHub.authenticator_class.

        `at_start` is given the application as the hub starts.
        """
        return type(
            "XnatAuthenticator", (cls,), {"site": site, "xnat": xnat, "at_start": staticmethod(at_start)}
        )

    def normalize_username(self, username: str) -> str:
        """Return the name as it is: `Alice` and `alice` are two people in XNAT."""
        return username

    def validate_username(self, username: str) -> bool:
        """Return whether a name can be a user's: what can't be part of a path can't be one."""
        return bool(super().validate_username(username)) and can_be_user_name(username)

    def is_admin(self, handler: object, authentication: dict[str, object]) -> bool:  # noqa: ARG002 - JupyterHub's signature
        """Return whether site.yaml lists the user as an admin; who is no longer listed stops being one."""
        return authentication["name"] in self.site.hub.admin_users

    def get_handlers(self, app: Any) -> list[object]:
        """Return the hub's handlers that differ from JupyterHub's, and the one for the files of its pages.

        JupyterHub calls this once, as it starts, and has no other place to begin something that goes on.
        """
        self.at_start(app)
        start_sweep(app, self.site)
        start_forgetting(app)
        start_bringing(app, self.site)
        demote_the_unlisted(app.db, app.db.query(orm.User).filter_by(admin=True), self.site.hub.admin_users)
        end_gifts_of_the_unlisted(app.db, self.site.hub.admin_users)
        token = next(service["api_token"] for service in app.services if service["name"] == "xnat")
        return [*addresses(token, app.logo_file), ("/api/user", WhoAmIHandler)]

    def xnat_url(self) -> str:
        """XNAT's address for links, without a slash at its end."""
        return xnat_public_url(self.site)

    async def authenticate(self, handler: Any, data: object) -> dict[str, object] | None:
        """Check a login form (`data`), or with data None the XNAT session that the browser sent.

        Gives the user's model, or None where a session is nobody's. Raises SignInRefused.
        """
        way: SignInWay = "session" if data is None else "password"
        name = data.get("username") if isinstance(data, dict) else ""

        def note(outcome: SignInOutcome, user: object) -> None:
            SIGN_INS.labels(way, outcome).inc()
            audit("sign-in", outcome, user=str(user), way=way, address=counted_as(handler.request.remote_ip))

        try:
            if data is None:
                # JupyterHub asks for API calls too, before it looks for their XSRF token: a session is for the page only.
                page = isinstance(handler, SignInHandler)
                name = await self._by_session(handler) if page else None
            else:
                name = await self._by_password(handler, data)
                await self._nobody_else_in(handler, name)
        except SignInRefused as refused:
            user = handler.find_user(refused.username) if refused.outcome == "no-permission" else None
            if not (user and running_dashboards(user)):
                note(refused.outcome, refused.username or name)
                raise
            note("ok", user.name)
            self._lost[user.name] = time.monotonic()
            return {"name": user.name}
        if name is None:
            return None
        note("ok", name)
        self._said_yes(name)
        return {"name": name, "user_info": {_CHECKED: int(time.time())}}

    async def _by_password(self, handler: Any, data: object) -> str:
        username, password = (
            (data.get("username"), data.get("password")) if isinstance(data, dict) else ("", "")
        )
        # A colon ends the user name in HTTP Basic, so no account can hold one.
        if not (
            isinstance(username, str)
            and isinstance(password, str)
            and username
            and password
            and ":" not in username
            and len(username) <= 255
            and username.isprintable()
        ):
            raise wrong_password()
        address = counted_as(handler.request.remote_ip)
        try:
            browser = SignInHandler.known_browser(handler, username)
            attempt = await self._limits.begin(username, address, browser)
        except TooManyFailures as error:
            raise too_many_failures(error, username, address) from None
        judge = self._limits.undecided
        try:
            name, may_start = await self.asking.account(Credentials(username, password))
            judge = self._limits.right
        except XnatUnauthorized:
            judge = self._limits.wrong
            raise wrong_password() from None
        except XnatForbidden:
            judge = self._limits.right
            raise no_permission(username) from None
        except XnatTooManySessions as error:
            raise too_many_sessions(error) from None
        except XnatError as error:
            raise xnat_down(error) from None
        finally:
            judge(attempt)
        return self._welcome(name, may_start)

    async def _by_session(self, handler: Any) -> str | None:
        sent = sent_sessions(handler)
        given = [each for each in sent if self.asking.session(each)]
        if given and len(sent) > MOST_SESSIONS:
            raise several_people([])
        found: dict[str, bool] = {}
        for session in given:
            name, may_start = await self._whose(handler, session)
            if name is None:
                return None
            found[name] = may_start
        found.pop("guest", None)
        if len(found) > 1:
            # XNAT may take any of them, so it can't be told whose browser this is.
            raise several_people(sorted(found))
        return self._welcome(*next(iter(found.items()))) if found else None

    async def _whose(self, handler: Any, session: str) -> tuple[str | None, bool]:
        """Return whose a session is, and whether they may start Jupyter: `guest` for nobody, None where XNAT can't be asked."""
        asker = SignInHandler.known_browser(handler) or counted_as(handler.request.remote_ip)
        name, may_start = "guest", False
        try:
            async with self._limits.session(asker) as nobodys:
                if handler.request.connection.stream.closed():
                    return None, False
                with suppress(XnatUnauthorized, XnatForbidden, XnatLoginRedirect):
                    name, may_start = await self.asking.account(Credentials(session=session))
                if name == "guest":
                    nobodys()
        except TimeoutError:
            self.log.warning(
                "Too many sessions that are nobody's come from %s: one was not checked",
                handler.request.remote_ip,
            )
            return None, False
        except XnatError as error:
            # The form is still there to try; it says so when XNAT is really down.
            self.log.warning("An XNAT session could not be checked: %s", error)
            return None, False
        if self.sessions:
            self.sessions.note(session, name)
        return name, may_start

    async def _nobody_else_in(self, handler: Any, name: str) -> None:
        """Refuse a password where the browser is somebody else's in XNAT: it would be theirs here at the next page."""
        if not self.sessions:
            return
        try:
            owner = await self.sessions.owner(await own_session(self.sessions, name, sent_sessions(handler)))
        except SeveralPeople as error:
            raise several_people(error.names) from None
        if owner not in {name, "guest", None}:
            raise another_session(owner, name)

    def _welcome(self, name: str, may_start: bool) -> str:
        if not self.validate_username(name):
            raise wrong_password()
        if not may_start:
            raise no_permission(name)
        return name

    # Once signed in

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | dict[str, object]:
        """Ask XNAT again about someone who is signed in: JupyterHub calls this every `sign_in.auth_refresh_age`.

        Gives the user's model where XNAT says yes, and False, which signs them out, where it says no. Where it can't be
        asked, False after a no, else True until `sign_in.max_age` has passed since its last yes.
        """
        rules = self.site.sign_in
        # Another admin may have made them one, on the hub's page.
        demote_the_unlisted(user.db, [user.orm_user], self.site.hub.admin_users)
        if user.name in self._lost and time.monotonic() - self._lost[user.name] < rules.auth_refresh_age:
            return self._dashboards_only(user, handler)
        session = self.asking.session(self._session_of(user.name, handler)) if handler else None
        if user.name not in self._asking:
            # Pages ask for many things at once: one question answers all.
            task = asyncio.ensure_future(self.asking.still_may_start(user, session))
            self._asking[user.name] = task
            task.add_done_callback(lambda _: self._asking.pop(user.name))
        said = await asyncio.shield(self._asking[user.name])
        if said:
            self._said_yes(user.name)
            return {"name": user.name, "user_info": {_CHECKED: int(time.time())}}
        if said is None and user.name in self._lost:
            # Its no stays, until it says yes.
            return self._dashboards_only(user, handler)
        if said is None:
            checked = (user.user_info or {}).get(_CHECKED, 0)
            return bool(time.time() - checked <= rules.max_age)
        if user.name not in self._lost:
            # A hub that starts anew must not go by the yes of before.
            user.user_info = {_CHECKED: 0}
            user.db.commit()
            await end_use(user, self.log)
        self._lost[user.name] = time.monotonic()
        self._yes.pop(user.name, None)
        return self._dashboards_only(user, handler)

    def _session_of(self, name: str, handler: Any) -> str | None:
        sent = sent_sessions(handler)
        known = known_session(self.sessions, name, sent) if self.sessions else None
        return known or (sent[-1] if sent else None)

    def _said_yes(self, name: str) -> None:
        self._lost.pop(name, None)
        self._yes[name] = time.time()

    def last_yes(self, name: str) -> int:
        """Return when XNAT last said that a user may use Jupyter, in seconds since 1970; 0 where that is too long ago to count."""
        said, rules = self._yes.get(name, 0), self.site.sign_in
        return int(said) if time.time() - said < (rules.auth_refresh_age or rules.max_age) else 0

    def _dashboards_only(self, user: object, handler: object) -> bool:
        """Return whether a request of one who may not use Jupyter goes on: if it opens a dashboard that XNAT started for them."""
        if not opens_a_dashboard(user, handler):
            return False
        if isinstance(handler, WhoAmIHandler):
            handler.only = self.only_dashboards(user)
        # JupyterHub notes the time of this answer next, and would let all requests pass for a while.
        asyncio.get_running_loop().call_soon(setattr, user, "_auth_refreshed", None)
        return True

    def only_dashboards(self, user: Any) -> tuple[str, ...] | None:
        """Return the names of the only servers that a user may open, where they may not use Jupyter; else None."""
        names = (spawner.name for spawner in running_dashboards(user))
        return tuple(names) if user.name in self._lost else None

    def no_way_to(self, url: str, user: Any) -> str:
        """Return the sentence for one who has just signed in and may not go to a page of the hub, "" where they may."""
        if user.name not in self._lost or leads_to_a_dashboard(user, url):
            return ""
        return no_permission(user.name).jupyterhub_message

    def confirmed(self, user: Any) -> None:
        """Note that XNAT has said of itself that the user may use Jupyter."""
        self._said_yes(user.name)
        user.user_info = {_CHECKED: int(time.time())}
