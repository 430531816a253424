"""The hub's handlers, where they differ from JupyterHub's own."""

from typing import Any

from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers.login import LoginHandler, LogoutHandler
from tornado.web import HTTPError

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
