"""The web page: sign in, choose a project, start Jupyter, and see it come up."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

from tornado.template import Loader
from tornado.web import RequestHandler

from .answer import LOGIN_PATH, Answer, json_answer, redirect
from .auth import COOKIE, Caller
from .launches import Launches
from .plugin import HubError
from .records import LoginRefusedError, Session, User
from .state import State

_HERE = Path(__file__).parent
_LOGIN_COOKIE = "STANDIN_LOGIN"
_STATIC = {
    "/standin/style.css": "text/css;charset=UTF-8",
    "/standin/page.js": "text/javascript;charset=UTF-8",
}
_PROJECT = re.compile(r"/data/projects/([^/]+)")
_LAUNCH = re.compile(r"/data/projects/([^/]+)/jupyter")
_EVENT = re.compile(r"[0-9A-Za-z]{1,64}")
_DASHBOARD = re.compile(r"[0-9]{1,9}")
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    # XNAT says nothing of it: what browsers do then.
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cache-Control": "no-store",
}
_loader = Loader(str(_HERE / "templates"))


async def page_answer(state: State, launches: Launches, handler: RequestHandler, caller: Caller) -> Answer:
    """Answer a request for the web page; `handler` gives the form and takes cookies."""
    return await _Page(state, launches, handler, caller).answer()


class _Page:
    """One request for the page; only a session's cookie counts here, as it is what forms are bound to."""

    def __init__(self, state: State, launches: Launches, handler: RequestHandler, caller: Caller) -> None:
        self._state = state
        self._launches = launches
        self._handler = handler
        self._session = caller.session if caller.how == "cookie" else None
        self._user = caller.user if caller.how == "cookie" else None

    async def answer(self) -> Answer:
        """Find the page, or the form's action, by method and path."""
        method, path = self._handler.request.method, self._handler.request.path
        if method in {"GET", "HEAD"}:
            return await self._get(path)
        if method == "POST":
            return await self._post(path)
        return self._message(405, "This page can't do that.")

    async def _get(self, path: str) -> Answer:
        if path in _STATIC:
            body = (_HERE / "static" / Path(path).name).read_bytes()
            return Answer(
                body=body, content_type=_STATIC[path], headers={"X-Content-Type-Options": "nosniff"}
            )
        if path == LOGIN_PATH:
            return self._sign_in_form(self._handler.get_query_argument("next", "/"))
        project = _PROJECT.fullmatch(path)
        if path not in {"/", "/standin/status", "/standin/open"} and project is None:
            return self._message(404, "There is no such page.")
        if self._user is None or self._session is None:
            return redirect(f"{LOGIN_PATH}?{urlencode({'next': self._handler.request.uri})}")
        if path == "/standin/open":
            return await self._open(self._user.name, self._handler.get_query_argument("server", ""))
        await asyncio.get_running_loop().run_in_executor(None, self._launches.refresh, self._user.name)
        if path == "/standin/status":
            return json_answer(self._launches.status(self._user.name))
        return self._projects(self._user, self._session, unquote(project[1]) if project else None)

    async def _open(self, user: str, server: str) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            return redirect(await loop.run_in_executor(None, self._launches.open_url, user, server))
        except HubError as error:
            return self._message(502, str(error))

    async def _post(self, path: str) -> Answer:
        if path == LOGIN_PATH:
            return self._sign_in()
        launch = _LAUNCH.fullmatch(path)
        if path not in {"/standin/sign-out", "/standin/stop"} and launch is None:
            return self._message(404, "There is no such page.")
        if self._user is None or self._session is None:
            return self._message(403, "You are signed out: sign in again.")
        if not self._form_is_ours(self._session.csrf):
            return self._message(403, "This form is out of date: go back, reload the page and try again.")
        if path == "/standin/sign-out":
            self._state.end_session(self._session.id)
            self._handler.clear_cookie(COOKIE, path="/")
            return redirect(LOGIN_PATH, 303)
        if launch is None:
            self._launches.stop(self._user.name, self._handler.get_body_argument("server", None))
            return redirect("/", 303)
        project = unquote(launch[1])
        try:
            event = self._handler.get_body_argument("eventTrackingId", "")
            dashboard = self._handler.get_body_argument("dashboardConfigId", "")
            self._launches.start(
                self._user.name,
                project,
                event if _EVENT.fullmatch(event) else None,
                int(dashboard) if _DASHBOARD.fullmatch(dashboard) else None,
            )
        except (PermissionError, KeyError):
            return self._message(403, "You may not start Jupyter on this project.")
        return redirect(f"/data/projects/{quote(project, safe='')}?open=1", 303)

    # Signing in

    def _sign_in_form(self, target: str, error: str | None = None) -> Answer:
        # There is no session yet to bind the form to, so a cookie of its own does that.
        token = self._handler.get_cookie(_LOGIN_COOKIE) or secrets.token_urlsafe(24)
        secure = self._handler.request.protocol == "https"
        self._handler.set_cookie(
            _LOGIN_COOKIE, token, path="/", httponly=True, secure=secure, samesite="Strict"
        )
        return self._render(
            "sign_in.html", 401 if error else 200, csrf=token, target=_local(target), error=error
        )

    def _sign_in(self) -> Answer:
        target = self._handler.get_body_argument("next", "/")
        token = self._handler.get_cookie(_LOGIN_COOKIE)
        if not token or not self._form_is_ours(token):
            return self._message(403, "This form is out of date: go back, reload the page and try again.")
        try:
            user = self._state.authenticate(
                self._handler.get_body_argument("username", ""),
                self._handler.get_body_argument("password", "", strip=False),
            )
            session = self._state.open_session(user.name)
        except LoginRefusedError as refused:
            return self._sign_in_form(target, str(refused))
        secure = self._handler.request.protocol == "https"
        self._handler.set_cookie(COOKIE, session.id, path="/", httponly=True, secure=secure)
        self._handler.clear_cookie(_LOGIN_COOKIE, path="/")
        return redirect(_local(target), 303)

    def _form_is_ours(self, token: str) -> bool:
        sent: str = self._handler.get_body_argument("csrf", "")
        return hmac.compare_digest(sent.encode(), token.encode())

    # Pages

    def _projects(self, user: User, session: Session, project_id: str | None) -> Answer:
        readable = self._state.projects(user.name)
        if project_id is not None:
            readable = [project for project in readable if project.id == project_id]
            if not readable:
                return self._message(404, "There is no such project, or you can't read it.")
        return self._render(
            "projects.html",
            csrf=session.csrf,
            user=user.name,
            projects=readable,
            one=project_id is not None,
            may_start=self._state.may_start(user.name),
            dashboards=self._state.dashboards,
            launch=self._launches.status(user.name),
            open_now=self._handler.get_query_argument("open", "") == "1",
            path=lambda project: quote(project.id, safe=""),
        )

    def _message(self, status: int, sentence: str) -> Answer:
        return self._render("message.html", status, sentence=sentence)

    def _render(self, template: str, status: int = 200, **values: object) -> Answer:
        body: bytes = _loader.load(template).generate(**values)
        return Answer(status, body, headers=_HEADERS)


def _local(target: str) -> str:
    """Return a path on this server, whatever was asked for: `//host` and `/\\host` lead elsewhere."""
    return target if re.fullmatch(r"/(?![/\\])[\x21-\x7e]*", target) else "/"
