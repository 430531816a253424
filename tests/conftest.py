"""Over every run: the secrets that it makes are looked for, at its end, in all that it gave out."""

import functools
from urllib.parse import urlsplit

import pytest
import requests

from tests.secret_search import Search
from xnathub_conf.standin.state import State

SEARCH = pytest.StashKey[Search]()


def pytest_configure(config):
    config.stash[SEARCH] = None


def pytest_sessionstart(session):
    if session.config.option.collectonly:
        return
    folder = session.config._tmp_path_factory.mktemp("secret-search")
    search = session.config.stash[SEARCH] = Search(folder).start()
    Search.current = search
    _know_what_xnat_gives(search)
    _keep_what_the_hub_says(search)


def pytest_sessionfinish(session):
    search = session.config.stash[SEARCH]
    if search and search.finish():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    search = config.stash[SEARCH]
    if search and search.secrets:
        terminalreporter.section("secrets", red=bool(search.found), green=not search.found)
        for line in search.summary():
            terminalreporter.line(line, red=line.startswith("FOUND"))


def _after(cls, name, then):
    """Call `then` with the result of each call of a method."""
    method = getattr(cls, name)

    @functools.wraps(method)
    def noted(self, *args, **kwargs):
        result = method(self, *args, **kwargs)
        then(self, result, *args, **kwargs)
        return result

    setattr(cls, name, noted)


def _know_what_xnat_gives(search):
    _after(State, "add_user", lambda _, user, *a, **k: search.secret("password", user.password, user.name))
    _after(State, "set_password", lambda _, __, name, password: search.secret("password", password, name))
    _after(
        State, "create_alias", lambda _, token, *a: search.secret("alias token", token.secret, token.alias)
    )
    _after(State, "open_session", lambda _, session, *a: search.secret("XNAT session", session.id))


def _keep_what_the_hub_says(search):
    """Pages and API answers, but not what servers say to their users, who may read their own environment."""

    def keep(_, answer, request, **kwargs):
        path = urlsplit(request.url).path
        if path.startswith("/jupyterhub/hub") and not kwargs.get("stream"):
            head = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
            search.text("pages and answers", f"{request.method} {path}", head.encode() + answer.content)

    _after(requests.Session, "send", keep)
