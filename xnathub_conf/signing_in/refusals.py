"""Why a sign-in is refused: what the user reads, and what the log says."""

from tornado.web import HTTPError

from xnathub_conf.operating.metrics import SignInOutcome
from xnathub_conf.signing_in.limits import TooManyFailures
from xnathub_conf.xnat.answers import XnatError, XnatTooManySessions


class SignInRefused(HTTPError):
    """A sign-in is refused.

    `outcome` is the short name of why, `jupyterhub_message` what the user sees on the login page, and `username` whose
    sign-in it is where that is known.
    """

    def __init__(
        self,
        outcome: SignInOutcome,
        status: int,
        message: str,
        log_message: str,
        *,
        username: str = "",
        headers: dict[str, str] | None = None,
    ):
        super().__init__(status, "%s", log_message)
        self.username = username
        self.outcome = outcome
        self.jupyterhub_message = message
        self.headers = headers


def wrong_password() -> SignInRefused:
    """The name or password is wrong, or the account is disabled or locked: XNAT doesn't say which."""
    return SignInRefused(
        "wrong-password",
        403,
        "XNAT does not accept this user name and password. Check both, or sign in to XNAT itself to see whether "
        "your account is locked.",
        "XNAT refused the password",
    )


def too_many_sessions(error: XnatTooManySessions) -> SignInRefused:
    """The name and password are right, but XNAT opens no further session for them."""
    return SignInRefused(
        "too-many-sessions",
        403,
        "You have as many sessions open in XNAT as it allows. Sign out of XNAT elsewhere, then sign in again here.",
        f"XNAT opens no session: {error}",
    )


def no_permission(username: str) -> SignInRefused:
    """The account is good, but may not start Jupyter."""
    return SignInRefused(
        "no-permission",
        403,
        f"You are {username} in XNAT, but this account may not use Jupyter. Ask your XNAT administrator for the "
        "role Jupyter.",
        f"{username} has neither the role nor the preference",
        username=username,
    )


def another_session(owner: str, username: str) -> SignInRefused:
    """The name and password are right, but this browser is signed in to XNAT as somebody else."""
    return SignInRefused(
        "another-session",
        403,
        f"This browser is signed in to XNAT as {owner}. Sign out of XNAT first.",
        f"{username} can't sign in in a browser that is signed in to XNAT as {owner}",
        username=username,
    )


def several_people(names: list[str]) -> SignInRefused:
    """The browser sends sessions of XNAT that are several people's, as far as they are known: nobody can tell whose it is."""
    text = "This browser sends too many sessions of XNAT. Delete the cookies named JSESSIONID, and sign in to XNAT again."
    if names:
        both = " and as ".join(names)
        text = f"This browser is signed in to XNAT as {both} at once. Delete the cookies named JSESSIONID, and sign in to XNAT again."
    return SignInRefused("another-session", 403, text, text)


def xnat_down(error: XnatError) -> SignInRefused:
    """XNAT could not be asked, or did not answer as XNAT does."""
    return SignInRefused(
        "xnat-down",
        503,
        "XNAT does not answer properly, so nobody can sign in right now. Try again in a few minutes; if it lasts, "
        "tell your XNAT administrator.",
        f"XNAT could not check a sign-in: {error}",
    )


def too_many_failures(error: TooManyFailures, username: str, address: str) -> SignInRefused:
    """So many passwords were wrong that this one is not passed on to XNAT."""
    wait = f"{error.seconds} seconds" if error.seconds < 120 else f"{-(-error.seconds // 60)} minutes"
    return SignInRefused(
        "too-many-failures",
        429,
        f"Too many wrong passwords for {error}. Try again in {wait}, or sign in to XNAT first and come back here.",
        f"Too many wrong passwords for {error}: {username[:255]!r} from {address} has to wait {wait}",
        headers={"Retry-After": str(error.seconds)},
    )
