"""Where the gate in the hub's proxy sends browsers without a pass, and where it asks whether a pass still holds."""

import json
import re
import time
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

from jupyterhub import orm, scopes
from jupyterhub.handlers.base import BaseHandler
from tornado.httputil import url_concat
from tornado.web import HTTPError

from xnathub_conf.operating.audit import audit
from xnathub_conf.site.hub_settings import own_host, sees_xnat_sessions
from xnathub_conf.site.user_hosts import user_host, user_origin
from xnathub_conf.web.browsers import bound_session, leave_to_another
from xnathub_conf.web.gate_pass import COOKIE, GRANT_SECONDS, Pass
from xnathub_conf.web.host_cookies import host_cookie
from xnathub_conf.web.server_names import server_at
from xnathub_conf.web.xnat_sessions import SeveralPeople, own_session, owners_of, sent_sessions

_TOKEN_COOKIE = "xnathub-token"  # noqa: S105 - its name
_FROM_XNAT = "xnat:"
_TICKET_SECONDS = 30
_MOST_GRANTS = 20
_OPENED = " (opened)"


class GateHandler(BaseHandler):
    """`/hub/gate?next=`: gives a browser the pass to its own person's servers, and to nobody else's."""

    opens_servers = True

    async def get(self) -> None:
        """Lead back to the server with a pass; sign in first where nobody is signed in, and refuse others' servers."""
        address = self.get_query_argument("next", "")
        owner = self._owner(address)
        self.set_header("Cache-Control", "no-store")
        site = self.authenticator.site
        if (host := user_host(site, owner)) and not self._state():
            # There the gate marks the browser, and sends it back.
            self.redirect(f"{user_origin(site, host)}{address}")
            return
        user = self.current_user
        if token := self._token_of_xnat():
            # Where no page of XNAT's led here, it may be anybody's link, with a token of theirs.
            if user.name != token.user.name if user else not self._led_by_xnat():
                # The token stays in its cookie for the answer to this question.
                page = await self.render_template(
                    "switch_user.html", other=token.user.name, next=address, state=self._state()
                )
                self.finish(page)
                return
            if not user:
                self._use_up(token)
                user = self._sign_in_with(token)
        self._forget_token()
        if not user:
            self.redirect(url_concat(self.settings["login_url"], {"next": self.request.uri}))
            return
        if user.name == owner:
            if sentence := self.authenticator.no_way_to(address, user):
                raise HTTPError(403, "%s", sentence)
            self._let_in(self._new_pass(user), address)
            return
        self.set_status(403)
        self.finish(
            await self.render_template(
                "foreign_server.html",
                owner=owner,
                may_ask=bool(self._foreign(address)),
                next=address,
                state=self._state(),
            )
        )

    async def post(self) -> None:
        """Issue a pass to another's server to someone who may use it and has said so on the page."""
        address = self.get_body_argument("next", "")
        owner = self._owner(address)
        user = self.current_user
        if self.get_body_argument("switch", ""):
            await self._switch(address)
            return
        names = self._foreign(address)
        if not names:
            raise HTTPError(403, "This site's rules do not allow you to open that server.")
        until = int(time.time()) + GRANT_SECONDS
        audit("foreign-server", "ok", user=user.name, owner=owner, address=self.request.remote_ip)
        grants = {f"{owner}/{name}": until for name in names}
        self._let_in(replace(self._new_pass(user), grants=grants), address)

    def _owner(self, address: str) -> str:
        """Return whose server a path on this host leads to. Raises HTTPError for any other address."""
        parts = urlsplit(address)
        start = f"{self.settings['base_url']}user/"
        plain = "\\" not in address and address.isprintable() and not parts.scheme and not parts.netloc
        name, *rest = parts.path.removeprefix(start).split("/")
        # The gate decides by the route itself; an address that could be read in two ways is nobody's.
        if (
            not plain
            or not address.startswith(start)
            or {".", ".."}.intersection(map(unquote, (name, *rest)))
        ):
            raise HTTPError(400, "This address leads to no server.")
        return unquote(name)

    def _foreign(self, address: str) -> list[str]:
        """Return the servers of another's that the user may open after the question, none where an address leads to none of them."""
        user = self.current_user
        if self.authenticator.site.sign_in.foreign_servers != "ask" or not user:
            return []
        if self.authenticator.only_dashboards(user) is not None:
            return []
        owner = self.find_user(self._owner(address))
        names = may_use(self.parsed_scopes, owner)
        asked = server_at(owner, urlsplit(address).path) if owner else None
        # A cookie holds no more.
        return sorted(names, key=lambda name: name != asked)[:_MOST_GRANTS] if asked in names else []

    def _new_pass(self, user: Any) -> Pass:
        site, key = self.authenticator.site, self.proxy.gate_key
        session = "; ".join(sent_sessions(self)) if sees_xnat_sessions(site) else None
        now = int(time.time())
        epoch = key.epoch(user.cookie_id)
        return Pass(
            user.name,
            epoch,
            key.session_mark(session),
            self.authenticator.last_yes(user.name) or now,
            now + int(site.sign_in.max_age),
            bool(bound_session(self, user)),
            only=self.authenticator.only_dashboards(user),
        )

    def _state(self) -> str:
        """Return the gate's mark of the browser that it sent here from a user's host, "" for none."""
        state = self.get_argument("state", "")
        return state if re.fullmatch("[0-9a-f]{64}", state) else ""

    def _let_in(self, about: Pass, address: str) -> None:
        """Lead to a server with a pass: a cookie, or at a user's own host what the gate there takes for one."""
        site = self.authenticator.site
        host = user_host(site, self._owner(address))
        if host is None:
            self._give(about)
            self.redirect(address)
            return
        ticket = self.proxy.gate_key.ticket(about, self._state(), host, int(time.time()) + _TICKET_SECONDS)
        path = f"{user_origin(site, host)}{self.hub.base_url}gate/pass"
        self.redirect(url_concat(path, {"ticket": ticket, "next": address}))

    def _give(self, about: Pass) -> None:
        site = self.authenticator.site
        self._set_cookie(
            host_cookie(site, COOKIE),
            self.proxy.gate_key.write(about),
            encrypted=False,
            path=f"{self.settings['base_url']}user/",
            max_age=about.expires - int(time.time()),
        )

    def _token_of_xnat(self) -> orm.APIToken | None:
        """Return the token with which XNAT's page opened a server, on a host where the hub sees no session of XNAT.

        None for one that is no more, that has signed somebody in already, or that may do more than XNAT's page asks for.
        """
        token = self._sent_token().removeprefix(_FROM_XNAT)
        if not token or not own_host(self.authenticator.site):
            return None
        found = orm.APIToken.find(self.db, token)
        if found is None or found.user is None or (found.note or "").endswith(_OPENED):
            return None
        return found if list(found.scopes) == [f"access:servers!user={found.user.name}"] else None

    def _led_by_xnat(self) -> bool:
        """Return whether the gate saw that a page of XNAT's led to the address with the token."""
        return self._sent_token().startswith(_FROM_XNAT)

    def _sent_token(self) -> str:
        return str(self.get_cookie(host_cookie(self.authenticator.site, _TOKEN_COOKIE), ""))

    def _forget_token(self) -> None:
        if self._sent_token():
            name = host_cookie(self.authenticator.site, _TOKEN_COOKIE)
            self.clear_cookie(name, path="/" if name.startswith("__Host-") else f"{self.hub.base_url}gate")

    def _use_up(self, token: orm.APIToken) -> None:
        """Note that a token signs in, which it does once."""
        token.note = f"{token.note or ''}{_OPENED}"
        self.db.commit()

    def _sign_in_with(self, token: orm.APIToken) -> object:
        """Sign in the owner of a token that is used up; return the user."""
        user = self._user_from_orm(token.user)
        self.set_login_cookie(user)
        self._jupyterhub_user = user
        audit("sign-in", "ok", user=user.name, way="token", address=self.request.remote_ip)
        return user

    async def _switch(self, address: str) -> None:
        """Sign in the owner of XNAT's token in place of who was signed in, as the page was told to."""
        token = self._token_of_xnat()
        self._forget_token()
        if token is None:
            raise HTTPError(403, "That took too long. Open the server from XNAT again.")
        # Before anything that takes its time: the same may be asked twice at once.
        self._use_up(token)
        if self.current_user:
            await leave_to_another(self, self.current_user)
        self.clear_login_cookie()
        self.set_session_cookie()
        self._let_in(self._new_pass(self._sign_in_with(token)), address)


class _QuestionHandler(BaseHandler):
    """Answers the gate, and nobody else."""

    def check_xsrf_cookie(self) -> None:
        """Check nothing: what the gate sends is signed."""

    def _asked(self, question: str) -> dict[str, Any]:
        """Return what the gate asks. Raises HTTPError for anybody else."""
        proof = self.request.headers.get("X-Xnathub-Gate", "")
        if not self.proxy.gate_key.asked_by_the_gate(question, self.request.body, proof):
            raise HTTPError(404)
        asked: dict[str, Any] = json.loads(self.request.body)
        return asked


class KnownTokenHandler(_QuestionHandler):
    """`/hub/gate/token`: tells the gate whether a program's token is one of the hub's."""

    def post(self) -> None:
        """Answer with 204, or 403."""
        found = orm.APIToken.find(self.db, self._asked("token")["token"])
        self.set_status(204 if found else 403)
        self.finish()


class RenewHandler(_QuestionHandler):
    """`/hub/gate/renew`: tells the gate whether a browser's pass still holds."""

    opens_servers = True
    told_sessions: tuple[str, ...] = ()

    async def post(self) -> None:
        """Answer with a new cookie, or 403."""
        key = self.proxy.gate_key
        asked = self._asked("renew")
        about = key.read(asked["cookie"], time.time())
        user = self.find_user(about.user) if about else None
        if about is None or user is None or about.epoch != key.epoch(user.cookie_id):
            raise HTTPError(403)
        sent = self.told_sessions = tuple(asked["session"].split("; ")) if asked["session"] else ()
        mark = key.session_mark(asked["session"]) if sees_xnat_sessions(self.authenticator.site) else ""
        sessions, session = self.authenticator.sessions, None
        try:
            session = await own_session(sessions, user.name, sent) if sessions else None
        except SeveralPeople:
            raise HTTPError(403) from None
        # What XNAT has said since to another browser of the user's counts here too.
        if about.checked >= self.authenticator.last_yes(
            user.name
        ) and not await self.authenticator.refresh_user(user, self):
            raise HTTPError(403)
        if sessions and not await sessions.still(user.name, about.bound, session):
            raise HTTPError(403)
        if sessions and mark != about.session and None in (await owners_of(sessions, sent)).values():
            # Another session, and XNAT can't be asked whose: it may be the next person's.
            raise HTTPError(503)
        grants = {}
        only = self.authenticator.only_dashboards(user)
        if about.grants and only is None and self.authenticator.site.sign_in.foreign_servers == "ask":
            have = scopes.parse_scopes(scopes.get_scopes_for(user.orm_user))
            owners = {server.partition("/")[0] for server in about.grants}
            may = {f"{each}/{name}" for each in owners for name in may_use(have, self.find_user(each))}
            grants = {server: until for server, until in about.grants.items() if server in may}
        bound = about.bound or bool(sessions and sessions.known(session) == user.name)
        checked = self.authenticator.last_yes(user.name) or int(time.time())
        fresh = replace(about, session=mark, bound=bound, checked=checked, grants=grants, only=only)
        self.finish({"cookie": key.write(fresh)})


def may_use(have: object, owner: Any) -> list[str]:
    """Return the names of an owner's running servers to which JupyterHub's scopes, parsed, give access."""
    return [
        name
        for name, spawner in (owner.spawners.items() if owner else ())
        if spawner.active
        and scopes.has_scope(f"access:servers!server={owner.name}/{name}", have, db=owner.db)
    ]
