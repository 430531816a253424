"""The hub's handlers, where they differ from JupyterHub's own."""

import asyncio
import json
import secrets
from typing import Any
from urllib.parse import urlsplit

from jupyterhub import orm
from jupyterhub.apihandlers.users import ActivityAPIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.login import LoginHandler, LogoutHandler
from jupyterhub.handlers.pages import HealthCheckHandler
from jupyterhub.handlers.static import CacheControlStaticFilesHandler, LogoHandler
from jupyterhub.utils import new_token
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from xnathub_conf.operating.audit import audit
from xnathub_conf.operating.database_errors import MESSAGE, failed_just_now
from xnathub_conf.operating.metrics import site_state
from xnathub_conf.web.browsers import leave_to_another
from xnathub_conf.web.hub_proof import is_challenge, proof
from xnathub_conf.xnat.answers import XnatError, XnatNotFound

_JUST_SIGNED_OUT = "signed-out"
_BROWSER_COOKIE = "xnathub-browser"
_ENDING_SECONDS = 5


class SignInHandler(LoginHandler):
    """The sign-in page. A browser that is signed in to XNAT on the same host goes straight through."""

    @property
    def template_namespace(self) -> dict[str, object]:
        """Tell the page whether someone has just signed out."""
        return {**super().template_namespace, "signed_out": self.get_argument(_JUST_SIGNED_OUT, "")}

    async def get(self) -> None:
        """Sign in with XNAT's session where there is one, else show the form."""
        if not self.current_user and failed_just_now():
            # Who comes here may well be signed in, but the hub could not look it up.
            self.set_status(503)
            self.finish(await self._render(login_error=MESSAGE))
            return
        if (
            not self.current_user
            and not self.get_argument(_JUST_SIGNED_OUT, "")
            and self.get_cookie("JSESSIONID")
        ):
            try:
                user = await self.login_user(None)
            except HTTPError as error:
                self.set_status(error.status_code)
                self.finish(await self._render(login_error=getattr(error, "jupyterhub_message", "")))
                return
            if user:
                self._jupyterhub_user = user
                target = self.get_next_url(user)
                if sentence := self.authenticator.no_way_to(target, user):
                    self.set_status(403)
                    self.finish(await self._render(login_error=sentence))
                    return
                self.redirect(target, permanent=False)
                return
        await super().get()

    async def post(self) -> None:
        """Sign in with the form's name and password."""
        if "username" not in self.request.body_arguments:
            raise HTTPError(400, "A user name and a password are needed.")
        await super().post()

    async def login_user(self, data: object = None) -> object:
        """Return the user who signs in, None where nobody does."""
        before = self.current_user
        user = await super().login_user(data)
        if user and before and before is not user:
            await leave_to_another(self, before)
        if user and self.authenticator.only_dashboards(user) is not None:
            # They are here for a dashboard alone: each request is looked at, from the first on.
            user._auth_refreshed = None
        return user

    def set_login_cookie(self, user: Any) -> None:
        """Sign in, and remember that this browser is one in which the user did."""
        super().set_login_cookie(user)
        value = f"{secrets.token_urlsafe(12)}:{user.name}"
        self._set_cookie(_BROWSER_COOKIE, value, path=self.hub.base_url, expires_days=31)

    @staticmethod
    def known_browser(handler: Any, username: str | None = None) -> str:
        """Return what tells the browser from others, if the user, or anybody, has signed in with it in the last month, else ""."""
        value = handler.get_secure_cookie(_BROWSER_COOKIE)
        browser, _, owner = (value or b"").decode("utf-8", "replace").partition(":")
        return browser if username in {None, owner} else ""


class SignOutHandler(LogoutHandler):
    """Signing out: the form comes back, and XNAT's session, which goes on, does not sign in again by itself."""

    _leaves: Any = None

    async def get(self) -> None:
        """Sign out; where another site may have led here, ask first."""
        if self.current_user and not self._asked_here():
            self.finish(await self.render_template("sign_out.html"))
        else:
            await self._sign_out()

    async def post(self) -> None:
        """Sign out, as asked with the form."""
        await self._sign_out()

    async def _sign_out(self) -> None:
        self._leaves = self.current_user
        await super().get()
        if self._leaves:
            audit("sign-out", "ok", user=self._leaves.name, address=self.request.remote_ip)

    async def handle_logout(self) -> None:
        """End the passes before the page says that one is signed out; a proxy that is away holds it up for seconds alone."""
        if self._leaves:
            ending = asyncio.ensure_future(self.proxy.end_passes(self._leaves))
            ending.add_done_callback(self._tell_of_failure)
            await asyncio.wait([ending], timeout=_ENDING_SECONDS)

    def _tell_of_failure(self, ending: "asyncio.Future[None]") -> None:
        if not ending.cancelled() and (error := ending.exception()):
            self.log.error("The proxy was not told of a sign-out: %r", error)

    def _asked_here(self) -> bool:
        if site := self.request.headers.get("Sec-Fetch-Site"):
            return site in {"same-origin", "none"}
        # Browsers say nothing of the sort over http.
        return bool(urlsplit(self.request.headers.get("Referer", "")).netloc == self.request.host)

    def _backend_logout_cleanup(self, name: str) -> None:
        """Sign out everywhere: JupyterHub would take a copy of the cookie for as long as it lives."""
        user = self.current_user
        super()._backend_logout_cleanup(name)
        user.cookie_id = new_token()
        for token in self.db.query(orm.APIToken).filter_by(user_id=user.id):
            if token.session_id:
                self.db.delete(token)
        self.db.commit()

    async def render_logout_page(self) -> Any:
        """Lead to the sign-in page, told not to use XNAT's session."""
        self.redirect(f"{self.settings['login_url']}?{_JUST_SIGNED_OUT}=1", permanent=False)


class HealthHandler(HealthCheckHandler):
    """`/hub/health`: 200 while the hub itself works, with what it knows of XNAT and of the site file.

    An orchestrator that looks here must not kill a hub because XNAT is down: servers run on without XNAT, and need their
    hub. With `?xnat` the status is 503 unless XNAT can be used, for those who want to be told.
    """

    def get(self) -> None:
        """Answer with the state as JSON."""
        xnat = self.authenticator.xnat.state.look()
        self.proxy.watch.look()
        if self.get_argument("xnat", None) is not None and xnat["state"] != "up":
            self.set_status(503)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps({"hub": "up", "xnat": xnat, "site": site_state()}))

    head = get


class LaunchableHandler(BaseHandler):
    """Tells a page whether XNAT still holds what one of the reader's servers was started on.

    XNAT puts it away when it stops a server, and a start would end in an error then.
    """

    async def get(self) -> None:
        """Answer `{"launchable": true}`, false, or null where that is not known."""
        user = self.current_user
        if user is None:
            raise HTTPError(403)
        found: bool | None = None
        if self.get_query_argument("user", "") == user.name:
            try:
                found = await self.authenticator.xnat.user_options(
                    user.name, self.get_query_argument("server", ""), bool
                )
            except XnatNotFound:
                found = False
            except XnatError:
                self.log.debug("XNAT does not say what it holds for %s", user.name)
        self.finish({"launchable": found})


class IdentityHandler(WebSocketHandler):
    """Proves to who knows the service token which hub this is; over a websocket too, to see that those get through.

    Anybody may ask. The answer tells nothing to who does not know the token, and a connection ends with it.
    """

    _SECONDS = 10

    def initialize(self, token: str) -> None:
        """Take the service token."""
        self._token = token

    def set_default_headers(self) -> None:
        """Set the headers of all pages, but for a websocket, which is no page."""
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            _set_headers_of_pages(self)
            self.set_header("Cache-Control", "no-store")

    @property
    def max_message_size(self) -> int:
        """The most bytes of a message."""
        return 256

    async def get(self, *args: object, **kwargs: object) -> None:
        """Answer the challenge in the query, or become a websocket."""
        if self.request.headers.get("Upgrade", "").lower() == "websocket":
            await super().get(*args, **kwargs)
            return
        challenge = self.get_query_argument("challenge", "")
        if not is_challenge(challenge):
            raise HTTPError(400)
        self.finish({"proof": proof(self._token, challenge)})

    def open(self, *_: object, **__: object) -> None:
        """Wait for a challenge, but not for ever."""
        IOLoop.current().call_later(self._SECONDS, self.close)

    def on_message(self, message: str | bytes) -> None:
        """Answer a challenge."""
        if isinstance(message, str) and is_challenge(message):
            self.write_message(proof(self._token, message))
        self.close()


class ActivityHandler(ActivityAPIHandler):
    """What a server says of its use. That counts whatever XNAT says of its user: XNAT stops servers that look idle."""

    async def refresh_auth(self, user: object, force: bool = False) -> object:  # noqa: ARG002 - JupyterHub's signature
        """Return the user, without a question to XNAT."""
        return user


class StaticFilesHandler(CacheControlStaticFilesHandler):
    """Style sheets, scripts and pictures, which browsers take for nothing else."""

    def set_default_headers(self) -> None:
        """Set the headers of all pages; browsers may keep these files."""
        _set_headers_of_pages(self)


class LogoFileHandler(LogoHandler):
    """The logo, with the headers of all pages."""

    def set_default_headers(self) -> None:
        """Set the headers."""
        _set_headers_of_pages(self)


def _set_headers_of_pages(handler: RequestHandler) -> None:
    for name, value in handler.settings["headers"].items():
        if name != "Cache-Control":
            handler.set_header(name, value)
    handler.set_header("Content-Security-Policy", "frame-ancestors 'none'")
