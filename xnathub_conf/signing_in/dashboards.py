"""Dashboards: XNAT starts one for any user. Who may not use Jupyter otherwise opens the one that runs, and nothing more."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from jupyterhub.apihandlers.auth import OAuthAuthorizeHandler
from jupyterhub.apihandlers.users import SelfAPIHandler
from jupyterhub.scopes import parse_scopes
from jupyterhub.utils import new_token

from xnathub_conf.web.server_names import server_at


def running_dashboards(user: Any) -> list[Any]:
    """Return the spawners of a user's dashboards that run or are on their way: what XNAT said of each as it was started."""
    return [
        spawner
        for spawner in user.spawners.values()
        if spawner.active and spawner.launch_facts.get("dashboard")
    ]


def opens_a_dashboard(user: object, handler: object) -> bool:
    """Return whether a request does no more than open a running dashboard of its user.

    That is who they are, which a server asks with their token, and leave for the dashboard to know them. A handler of ours
    that only leads to servers says so itself, by `opens_servers`.
    """
    dashboards = running_dashboards(user)
    if isinstance(handler, OAuthAuthorizeHandler):
        client = handler.get_argument("client_id", "")
        return any(spawner.oauth_client_id == client for spawner in dashboards)
    return bool(dashboards) and (
        isinstance(handler, WhoAmIHandler) or getattr(handler, "opens_servers", False)
    )


def leads_to_a_dashboard(user: Any, url: str) -> bool:
    """Return whether an address of this hub is a running dashboard of a user's, or lets them in there."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if parts.path.endswith("/hub/gate"):
        parts = urlsplit(query.get("next", [""])[-1])
    server = server_at(user, parts.path)
    for spawner in running_dashboards(user):
        if server == spawner.name:
            return True
        if parts.path.endswith("/hub/api/oauth2/authorize") and query.get("client_id") == [
            spawner.oauth_client_id
        ]:
            return True
    return False


async def end_use(user: Any, log: Any) -> None:
    """End what someone who may no longer use Jupyter has open, but for running dashboards; sign them out where none runs."""
    dashboards = {spawner.name for spawner in running_dashboards(user)}
    if not dashboards:
        running = sum(spawner.active for spawner in user.spawners.values())
        log.warning(
            "%s may no longer use Jupyter, says XNAT, and is signed out; running servers that go on: %d.",
            user.name,
            running,
        )
        user.cookie_id = new_token()
        user.db.commit()
    await user.settings["proxy"].end_use(user, dashboards)


class WhoAmIHandler(SelfAPIHandler):
    """Who a token's owner is, and what the token may: no more than the dashboards, for one who may open only those."""

    expanded_scopes: Any
    only: tuple[str, ...] | None = None
    """The names of the servers that the user may open, None where all of theirs."""

    async def get(self) -> None:
        """Answer with the owner's model with the token's scopes."""
        if self.only is not None:
            name = self.current_user.name
            allowed = {f"access:servers!server={name}/{server}" for server in self.only}
            covering = {"access:servers", f"access:servers!user={name}"}
            may = set(self.expanded_scopes)
            self.expanded_scopes = allowed if covering & may else allowed & may
            self.parsed_scopes = parse_scopes(self.expanded_scopes)
        await super().get()
