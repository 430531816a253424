"""Signing in with an XNAT account: by password, by alias token, or by the session of a browser signed in to XNAT.

The rules are XNAT's plugin's own: a user may start servers with the role `Jupyter`, compared without case, or when
the preference allUsersCanStartJupyter is true. Hub names equal XNAT names letter for letter, since the plugin puts
them into the hub's paths as they are.
"""

import re
from typing import Any

from jupyterhub.auth import Authenticator
from tornado.web import HTTPError

from xnathub_conf import identity
from xnathub_conf.handlers import DefaultServerHandler, IdentityHandler, SignInHandler, SignOutHandler
from xnathub_conf.hub_settings import xnat_public_url
from xnathub_conf.site_types import SignIn, Site
from xnathub_conf.xnat_client import (
    Credentials,
    XnatClient,
    XnatError,
    XnatForbidden,
    XnatLoginRedirect,
    XnatTooManySessions,
    XnatUnauthorized,
)

_SESSION_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")


class SignInRefused(HTTPError):
    """A sign-in is refused. `jupyterhub_message` is what the user sees on the login page."""

    def __init__(self, status: int, message: str, log_message: str):
        super().__init__(status, "%s", log_message)
        self.jupyterhub_message = message


def wrong_password() -> SignInRefused:
    """The name or password is wrong, or the account is disabled or locked: XNAT doesn't say which."""
    return SignInRefused(
        403,
        "XNAT does not accept this user name and password. Check both, or sign in to XNAT itself to see whether "
        "your account is locked.",
        "XNAT refused the password",
    )


def too_many_sessions(error: XnatTooManySessions) -> SignInRefused:
    """The name and password are right, but XNAT opens no further session for them."""
    return SignInRefused(
        403,
        "You have as many sessions open in XNAT as it allows. Sign out of XNAT elsewhere, then sign in again here.",
        f"XNAT opens no session: {error}",
    )


def no_permission(username: str) -> SignInRefused:
    """The account is good, but may not start Jupyter."""
    return SignInRefused(
        403,
        f"You are {username} in XNAT, but this account may not use Jupyter. Ask your XNAT administrator for the "
        "role Jupyter.",
        f"{username} has neither the role nor the preference",
    )


def xnat_down(error: XnatError) -> SignInRefused:
    """XNAT could not be asked, or did not answer as XNAT does."""
    return SignInRefused(
        503,
        "XNAT does not answer properly, so nobody can sign in right now. Try again in a few minutes; if it lasts, "
        "tell your XNAT administrator.",
        f"XNAT could not check a sign-in: {error}",
    )


class XnatAuthenticator(Authenticator):
    """Asks XNAT who a user is and whether they may start Jupyter. Use `for_site` to get the class for a site."""

    site: Site
    xnat: XnatClient

    @classmethod
    def for_site(cls, site: Site, xnat: XnatClient) -> type["XnatAuthenticator"]:
        """Give a subclass bound to a site and its client, for JupyterHub.authenticator_class."""
        return type("XnatAuthenticator", (cls,), {"site": site, "xnat": xnat})

    def normalize_username(self, username: str) -> str:
        """Give the name as it is: `Alice` and `alice` are two people in XNAT."""
        return username

    def validate_username(self, username: str) -> bool:
        """Say whether a name can be a user's: what can't be part of a path can't be one."""
        return (
            bool(super().validate_username(username))
            and username.isprintable()
            and username == username.strip()
            and username not in {".", "..", "guest"}
            and "\\" not in username
            and len(username) <= 255
        )

    def is_admin(self, handler: Any, authentication: dict[str, Any]) -> bool:  # noqa: ARG002 - JupyterHub's signature
        """Say whether site.yaml lists the user as an admin; who is no longer listed stops being one."""
        return authentication["name"] in self.site.hub.admin_users

    def get_handlers(self, app: Any) -> list[Any]:
        """Give the hub's handlers that differ from JupyterHub's."""
        token = next(service["api_token"] for service in app.services if service["name"] == "xnat")
        return [
            ("/login", SignInHandler),
            ("/logout", SignOutHandler),
            ("/api/users/([^/]+)/server", DefaultServerHandler),
            (f"/{identity.PATH}", IdentityHandler, {"token": token}),
        ]

    def xnat_url(self) -> str:
        """XNAT's address for links, without a slash at its end."""
        return xnat_public_url(self.site)

    async def authenticate(self, handler: Any, data: dict[str, str] | None) -> dict[str, Any] | None:
        """Check a login form (`data`), or with data None the XNAT session that the browser sent.

        Gives the user's model, or None where a session is nobody's. Raises SignInRefused.
        """
        if data is None:
            return await self._by_session(handler.get_cookie("JSESSIONID"))
        return await self._by_password(data.get("username", ""), data.get("password", ""))

    async def _by_password(self, username: str, password: str) -> dict[str, Any]:
        # A colon ends the user name in HTTP Basic, so no account can hold one.
        if not username or not password or ":" in username:
            raise wrong_password()
        credentials = Credentials(username, password)
        session = ""
        try:
            name, session = await self.xnat.username(credentials)
            if session:
                credentials = Credentials(session=session)
            return await self._checked(name, credentials)
        except XnatUnauthorized:
            raise wrong_password() from None
        except XnatForbidden:
            raise no_permission(username) from None
        except XnatTooManySessions as error:
            raise too_many_sessions(error) from None
        except XnatError as error:
            raise xnat_down(error) from None
        finally:
            if session:
                self.xnat.end_session(session)

    async def _by_session(self, session: str | None) -> dict[str, Any] | None:
        if not (self.site.sign_in.xnat_session and session and _SESSION_ID.fullmatch(session)):
            return None
        credentials = Credentials(session=session)
        try:
            name, _ = await self.xnat.username(credentials)
            return None if name == "guest" else await self._checked(name, credentials)
        except (XnatUnauthorized, XnatForbidden, XnatLoginRedirect):
            return None
        except XnatError as error:
            # The form is still there to try; it says so when XNAT is really down.
            self.log.warning("An XNAT session could not be checked: %s", error)
            return None

    async def _checked(self, name: str, credentials: Credentials) -> dict[str, Any]:
        """Give the user's model if the account may start Jupyter; raise SignInRefused if not."""
        if not self.validate_username(name):
            raise wrong_password()
        if not await self._may_start(name, credentials):
            raise no_permission(name)
        return {"name": name}

    async def _may_start(self, name: str, credentials: Credentials) -> bool:
        rules: SignIn = self.site.sign_in
        if rules.everyone == "always":
            return True
        roles = await self.xnat.roles(name, credentials)
        if rules.role.casefold() in (role.casefold() for role in roles):
            return True
        return rules.everyone == "preference" and await self.xnat.all_users_can_start(credentials)
