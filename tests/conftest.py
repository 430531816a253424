"""Over every run: which tests it has, and the secrets that it makes, looked for at its end in all that it gave out.

Tests may run in several processes (pytest-xdist). Each keeps its secrets and what was given out; the first one, which
runs no tests then, gets all of that and searches.
"""

import functools
import os
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.layers import FIRST_TEST_SECONDS, LAYERS, RUN_AGAIN, TESTS, group_of, layer_of, left_out
from tests.progress import Progress
from tests.secret_search import Search
from xnathub_conf.standin.state import State

pytest.register_assert_rewrite("tests.plugin_pages")
SEARCH = pytest.StashKey[Search]()
SECONDS: Counter[str] = Counter()
"""What the tests of each layer took, set-up and end included."""
_IN_ADDRESS = re.compile(r"(?:token|_xsrf)(?:=|%(?:25)*3[Dd])([\w~-]{32,})")
SECRETS = "xnathub-secrets"
"""Under which name the first process and those of pytest-xdist hand over a folder, and what they know of secrets."""


def pytest_configure(config):
    config.stash[SEARCH] = None
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config))
    try:
        left_out(os.environ.get("XNATHUB_SKIP_LAYERS", ""))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tell a process of pytest-xdist where to keep what was given out."""
    node.workerinput[SECRETS] = str(node.config.stash[SEARCH].folder)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take over what a process of pytest-xdist knew; one that crashed has failed the run anyway."""
    if handed_over := getattr(node, "workeroutput", {}).get(SECRETS):
        node.config.stash[SEARCH].take(handed_over)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep together what may not run side by side; the marks that pytest-xdist has for it do nothing in pytest 9.2."""
    from tests.scheduling import GroupScheduling  # needs pytest-xdist

    return GroupScheduling(config, log)


def pytest_collection_modifyitems(config, items):
    skipped = left_out(os.environ.get("XNATHUB_SKIP_LAYERS", ""))
    if hasattr(config, "workerinput"):
        # What takes longest begins first.
        items.sort(key=lambda item: LAYERS.index(layer_of(item.path)) if TESTS in item.path.parents else 0)
    begun = set()
    of_layers = [item for item in items if TESTS in item.path.parents]
    for item in of_layers:
        layer = layer_of(item.path)
        if layer in skipped:
            item.add_marker(pytest.mark.skip(reason=f"XNATHUB_SKIP_LAYERS leaves out {layer}: NOT tested"))
            continue
        if layer in RUN_AGAIN:
            # What hung once would hang again, and have no limit then.
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2, rerun_except="from pytest-timeout"))
        if layer in FIRST_TEST_SECONDS and (group := group_of(item.path)) not in begun:
            begun.add(group)
            item.add_marker(pytest.mark.timeout(FIRST_TEST_SECONDS[layer]))


def pytest_sessionstart(session):
    if session.config.option.collectonly:
        return
    # Not one of pytest's folders, which the next runs clear away. The processes of one run share it.
    shared = getattr(session.config, "workerinput", {}).get(SECRETS)
    folder = Path(tempfile.mkdtemp(prefix="xnathub-secret-search-", dir=shared))
    search = session.config.stash[SEARCH] = Search(folder)
    Search.current = search
    if not shared:
        search.start()
    _know_what_xnat_gives(search)
    _keep_what_the_hub_says(search)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    search = session.config.stash[SEARCH]
    if search and hasattr(session.config, "workerinput"):
        session.config.workeroutput[SECRETS] = search.hand_over()
    elif search:
        # It takes minutes, and whoever interrupted the run doesn't wait for it.
        if exitstatus != pytest.ExitCode.INTERRUPTED and search.finish():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        shutil.rmtree(search.folder)


def pytest_runtest_logreport(report):
    path = TESTS.parent / report.nodeid.partition("::")[0]
    if TESTS in path.parents:
        SECONDS[layer_of(path)] += report.duration


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    if SECONDS.total() > 60:
        each = ", ".join(f"{layer} {seconds:.0f}" for layer, seconds in SECONDS.most_common())
        terminalreporter.section("seconds by layer")
        terminalreporter.line(f"{each}; together {SECONDS.total():.0f}.")
    search = config.stash[SEARCH]
    if search and search.secrets and exitstatus != pytest.ExitCode.INTERRUPTED:
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
        for address in (request.url, answer.headers.get("Location", "")):
            if "/jupyterhub/hub" in address:
                for token in _IN_ADDRESS.findall(address):
                    search.secret("token in an address", token, only_in="logs")
        if path.startswith("/jupyterhub/hub") and not kwargs.get("stream"):
            head = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
            search.text("pages and answers", f"{request.method} {path}", head.encode() + answer.content)

    _after(requests.Session, "send", keep)
