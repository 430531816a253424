"""The hub's handlers, where they differ from JupyterHub's own."""

from typing import Any

from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers.login import LoginHandler, LogoutHandler
from tornado.ioloop import IOLoop
from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler

from xnathub_conf.identity import is_challenge, proof

_JUST_SIGNED_OUT = "signed-out"


class SignInHandler(LoginHandler):
    """The sign-in page. A browser that is signed in to XNAT on the same host goes straight through."""

    async def get(self) -> None:
        """Sign in with XNAT's session where there is one, else show the form."""
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
                self.redirect(self.get_next_url(user), permanent=False)
                return
        await super().get()

    async def post(self) -> None:
        """Sign in with the form's name and password."""
        if "username" not in self.request.body_arguments:
            raise HTTPError(400, "A user name and a password are needed.")
        await super().post()


class SignOutHandler(LogoutHandler):
    """Signing out: the form comes back, and XNAT's session, which goes on, does not sign in again by itself."""

    async def render_logout_page(self) -> Any:
        """Lead to the sign-in page, told not to use XNAT's session."""
        self.redirect(f"{self.settings['login_url']}?{_JUST_SIGNED_OUT}=1", permanent=False)


class DefaultServerHandler(UserServerAPIHandler):
    """A user's default server in the REST API.

    XNAT's plugin stops it with the body `{"remove": true}`, which JupyterHub refuses for a default server.
    """

    def get_json_body(self) -> Any:
        """Give the request's body, without `remove` where a default server is stopped."""
        body = super().get_json_body()
        if self.request.method == "DELETE" and isinstance(body, dict):
            body.pop("remove", None)
        return body


class IdentityHandler(WebSocketHandler):
    """Proves to who knows the service token which hub this is; over a websocket too, to see that those get through.

    Anybody may ask. The answer tells nothing to who does not know the token, and a connection ends with it.
    """

    _SECONDS = 10

    def initialize(self, token: str) -> None:
        """Take the service token."""
        self._token = token

    @property
    def max_message_size(self) -> int:
        """The most bytes of a message."""
        return 256

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Answer the challenge in the query, or become a websocket."""
        if self.request.headers.get("Upgrade", "").lower() == "websocket":
            await super().get(*args, **kwargs)
            return
        challenge = self.get_query_argument("challenge", "")
        if not is_challenge(challenge):
            raise HTTPError(400)
        self.set_header("Cache-Control", "no-store")
        self.finish({"proof": proof(self._token, challenge)})

    def open(self, *_: Any, **__: Any) -> None:
        """Wait for a challenge, but not for ever."""
        IOLoop.current().call_later(self._SECONDS, self.close)

    def on_message(self, message: str | bytes) -> None:
        """Answer a challenge."""
        if isinstance(message, str) and is_challenge(message):
            self.write_message(proof(self._token, message))
        self.close()
