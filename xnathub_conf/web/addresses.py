"""The addresses of the hub that differ from JupyterHub's, each with its handler."""

from importlib.resources import files

from xnathub_conf.web import hub_proof
from xnathub_conf.web.gate import GateHandler, KnownTokenHandler, RenewHandler
from xnathub_conf.web.handlers import (
    ActivityHandler,
    HealthHandler,
    IdentityHandler,
    LaunchableHandler,
    LogoFileHandler,
    SignInHandler,
    SignOutHandler,
    StaticFilesHandler,
)
from xnathub_conf.web.on_record import TokenHandler, TokenListHandler
from xnathub_conf.web.shares import (
    AcceptHandler,
    GroupShareHandler,
    ServerSharesHandler,
    ShareCodesHandler,
    UserShareHandler,
)
from xnathub_conf.web.starts import DefaultServerHandler, ServerHandler, StartPageHandler, UserHandler
from xnathub_conf.web.users import UserListHandler


def addresses(token: str, logo: str) -> list[tuple[object, ...]]:
    """Return the handlers for JupyterHub's `Authenticator.get_handlers`.

    `token` is the one of XNAT's service, `logo` the logo's file.
    """
    return [
        ("/(?:api/)?health$", HealthHandler),
        ("/site/(.*)", StaticFilesHandler, {"path": str(files("xnathub_conf.web") / "static")}),
        ("/logo", LogoFileHandler, {"path": logo}),
        ("/login", SignInHandler),
        ("/logout", SignOutHandler),
        ("/gate", GateHandler),
        ("/gate/renew", RenewHandler),
        ("/gate/token", KnownTokenHandler),
        ("/launchable", LaunchableHandler),
        ("/spawn", StartPageHandler),
        ("/spawn/([^/]+)", StartPageHandler),
        ("/spawn/([^/]+)/([^/]+)", StartPageHandler),
        ("/api/users", UserListHandler),
        ("/api/users/([^/]+)", UserHandler),
        ("/api/users/([^/]+)/server", DefaultServerHandler),
        ("/api/users/([^/]+)/tokens", TokenListHandler),
        ("/api/users/([^/]+)/tokens/([^/]*)", TokenHandler),
        ("/api/shares/([^/]+)/([^/]*)", ServerSharesHandler),
        ("/api/share-codes/([^/]+)/([^/]*)", ShareCodesHandler),
        ("/api/users/([^/]+)/shared/([^/]+)/([^/]*)", UserShareHandler),
        ("/api/groups/([^/]+)/shared/([^/]+)/([^/]*)", GroupShareHandler),
        ("/accept-share", AcceptHandler),
        (f"/{hub_proof.PATH}", IdentityHandler, {"token": token}),
        ("/api/users/([^/]+)/activity", ActivityHandler),
        ("/api/users/([^/]+)/servers/([^/]*)", ServerHandler),
    ]
