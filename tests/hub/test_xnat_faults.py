"""XNAT broken in every way, at sign-in and at a start: what the user reads, what the admin finds, and what comes after."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.certificates import Authority
from tests.support import SMALL_SERVER, RunningHub, Visitor, free_port, new_standin, page_text, wait_until
from xnathub_conf.standin import StandIn, demo_state, faults

CALLS = {"connect_timeout": 1, "read_timeout": 1, "deadline": 3, "retries": 1, "max_body": "1M"}
NOT_ASKED = "XNAT could not be asked what to start."
BAD_ANSWER = "XNAT answered in a way that can't be used."
DOWN = "XNAT does not answer properly, so nobody can sign in right now."
OPTIONS, ROLES = "/xapi/jupyterhub/users", "/xapi/users/alice/roles"


@dataclass(frozen=True)
class Case:
    """A fault, on the path that asks in a sign-in and the one that asks in a start; `cause` is what the log says."""

    cause: str
    sentence: str
    fault: faults.Fault
    sign_in: str = "/xapi"


CASES = {
    "hangs": Case("did not answer in time", NOT_ASKED, faults.Hang()),
    "drips": Case("did not answer within xnat.calls.deadline, 3 s", NOT_ASKED, faults.Drip(0.8)),
    "breaks off": Case("can't be reached", NOT_ASKED, faults.CloseMidway()),
    "500": Case("with 500 Internal Server Error. Look at XNAT's own log", BAD_ANSWER, faults.Status(500)),
    "502": Case("with 502 Bad Gateway. Look at XNAT's own log", BAD_ANSWER, faults.Status(502)),
    "503": Case("with 503 Service Unavailable. Look at XNAT's own log", BAD_ANSWER, faults.Status(503)),
    "redirect": Case("with a redirect (302)", BAD_ANSWER, faults.RedirectToLogin()),
    "login page": Case("came an HTML page", BAD_ANSWER, faults.LoginPage()),
    "truncated": Case("is not valid JSON", BAD_ANSWER, faults.TruncatedJson(), ROLES),
    "no JSON": Case("is not valid JSON", BAD_ANSWER, faults.InvalidJson(), ROLES),
    "50 MB": Case("larger than xnat.calls.max_body", BAD_ANSWER, faults.HugeBody(50_000_000), ROLES),
}
"""Others have tests of their own below: they need a hub, or an XNAT, that is set up otherwise."""


@pytest.fixture(scope="module")
def shared_hub(tmp_path_factory):
    with new_standin() as xnat:
        hub = RunningHub(tmp_path_factory.mktemp("faults"), xnat, {"xnat": {"calls": CALLS}})
        hub.start()
        yield hub
        hub.stop()


@pytest.fixture
def hub(shared_hub):
    shared_hub.xnat.requests.clear()
    yield shared_hub
    shared_hub.xnat.faults.clear()
    nothing_runs(shared_hub)


@pytest.fixture
def own_hub(tmp_path):
    """Return a function that makes and starts a hub with an XNAT and changes of its site file."""
    hubs = []

    def make(xnat: StandIn, changes: dict) -> RunningHub:
        folder = tmp_path / "hub"
        folder.mkdir()
        hubs.append(RunningHub(folder, xnat, changes))
        return hubs[0].start()

    yield make
    for hub in hubs:
        hub.stop()
        hub.xnat.stop()


def password(hub, name="alice"):
    return hub.xnat.state.user(name).password


def nothing_runs(hub):
    """Neither the hub's list nor the machine holds a server or something that is pending."""
    for user in hub.plugin.users():
        assert not user["servers"], user
        assert user["pending"] is None
    assert not list(hub.folder.glob("servers/*/workspace"))
    assert not hub.server_processes()


def complaints(hub, position):
    """Return the lines from a place in the log on that are above information; requests that failed have lines of their own."""
    lines = re.findall(r"^\[[WEC] \S+ \S+ JupyterHub .*", hub.log_since(position), re.MULTILINE)
    return [line for line in lines if not re.search(r"log:\d+\] [45]\d\d (GET|POST)", line)]


def told_once(hub, position, cause):
    log = hub.log_since(position)
    assert "Traceback" not in log, log
    assert [cause in line for line in complaints(hub, position)] == [True], log


def refused_sign_in(hub, cause, sentence=DOWN, status=503):
    position = len(hub.log_since(0))
    visitor = Visitor(hub.url)
    answer = visitor.sign_in("alice", password(hub))
    assert (answer.status_code, sentence in page_text(answer)) == (status, True), page_text(answer)
    assert not visitor.is_signed_in_as("alice")
    told_once(hub, position, cause)


def failed_start(hub, visitor, cause, sentence, before: Callable[[], None] = lambda: None):
    """Start as a signed-in visitor, and read on the page why not; the plugin is told the same."""
    hub.xnat.state.launch("alice", "P1")
    position = len(hub.log_since(0))
    before()
    visitor.get_page("/hub/spawn")
    pending = "/hub/spawn-pending/alice"
    wait_until(lambda: visitor.get_page(pending).status_code != 200, 30, "the failure")
    text = page_text(visitor.get_page(pending))
    assert sentence in text
    assert "Try again in a few minutes; if it lasts, tell your XNAT administrator." in text
    told_once(hub, position, cause)
    nothing_runs(hub)


def works(hub):
    """Sign in and start a server to the end."""
    visitor = Visitor(hub.url)
    assert visitor.sign_in("alice", password(hub)).status_code == 302
    hub.plugin.start("alice", hub.xnat.state.launch("alice", "P1", "", SMALL_SERVER))
    assert hub.plugin.wait_ready("alice")["ready"]
    hub.plugin.stop("alice")
    nothing_runs(hub)


@pytest.fixture
def visitor(hub):
    visitor = Visitor(hub.url)
    assert visitor.sign_in("alice", password(hub)).status_code == 302
    return visitor


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_broken_answer(hub, visitor, case):
    hub.xnat.faults.set(case.sign_in, case.fault)
    refused_sign_in(hub, case.cause)
    hub.xnat.faults.clear()
    hub.xnat.faults.set(OPTIONS, case.fault)
    failed_start(hub, visitor, case.cause, case.sentence)
    hub.xnat.faults.clear()
    works(hub)


@pytest.mark.parametrize("value", [42, ["x"], {"task_template": 1}, None], ids=str)
def test_json_of_a_wrong_shape(hub, visitor, value):
    """An answer that is no list of roles is XNAT's fault; a list that holds none says that the user may not."""
    if not isinstance(value, list):
        hub.xnat.faults.set(ROLES, faults.WrongShape(value))
        refused_sign_in(hub, "XNAT's list of roles is not a list")
    hub.xnat.faults.set(OPTIONS, faults.WrongShape(value))
    hub.xnat.state.launch("alice", "P1")
    position = len(hub.log_since(0))
    page = visitor.start_page()
    assert page.status_code == 502
    assert "XNAT asked for a server in a form that can't be read. Tell your XNAT administrator" in page_text(
        page
    )
    told_once(hub, position, "in a form that can't be read")
    nothing_runs(hub)
    hub.xnat.faults.clear()
    works(hub)


def test_nobody_listens(hub, visitor):
    hub.xnat.stop()
    refused_sign_in(hub, "can't be reached: Connection refused")
    failed_start(hub, visitor, "can't be reached: Connection refused", NOT_ASKED)
    hub.xnat.start()
    works(hub)


def test_xnat_restarts_in_the_middle_of_a_start(hub, visitor):
    """It loses its sessions, drops the request that it was at, and is away for a while."""
    hub.xnat.faults.set(OPTIONS, faults.DropSessions())
    hub.xnat.faults.set(OPTIONS, faults.Delay(0.5))

    def restart_soon():
        hub.xnat.requests.clear()
        threading.Timer(0.2, hub.xnat.stop).start()

    failed_start(hub, visitor, "can't be reached", NOT_ASKED, restart_soon)
    wait_until(lambda: not hub.xnat.serving, 10, "the stop")
    hub.xnat.faults.clear()
    hub.xnat.start()
    works(hub)
    assert len(hub.xnat.state.sessions("jupyterhub")) == 1


def test_a_short_restart_is_not_noticed(hub):
    hub.xnat.faults.set(OPTIONS, faults.DropSessions(), 1)
    hub.xnat.faults.set(OPTIONS, faults.Status(503), 1)
    position = len(hub.log_since(0))
    works(hub)
    assert not complaints(hub, position)


def test_the_limit_of_sessions(hub, visitor):
    state = hub.xnat.state
    state.end_sessions()
    state.session_limit = 0
    try:
        refused_sign_in(hub, "Credentials('alice') has as many sessions", "Sign out of XNAT elsewhere", 403)
        failed_start(hub, visitor, "Credentials('jupyterhub') has as many sessions", NOT_ASKED)
    finally:
        state.session_limit = 1000
    works(hub)


def test_a_wrong_service_password_is_tried_once(own_hub, tmp_path):
    xnat = new_standin()
    xnat.start()
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password")
    account = {"password": {"file": str(wrong)}}
    hub = own_hub(xnat, {"xnat": {"calls": CALLS, "service_account": account}})
    visitor = Visitor(hub.url)
    assert visitor.sign_in("alice", password(hub)).status_code == 302, "users' own sign-ins go on"
    # The one try was the hub's own, when it asked whether XNAT is there.
    for _ in range(2):
        failed_start(hub, visitor, "it is not tried again for", NOT_ASKED)
    assert xnat.requests.find(OPTIONS) == []
    assert xnat.state.user("jupyterhub").failures == 1
    assert "not-the-password" not in hub.log_since(0)
    hub.stop()
    wrong.write_text(password(hub, "jupyterhub"))
    hub.start()
    works(hub)


def test_a_host_that_is_unknown(own_hub):
    xnat = new_standin()
    xnat.start()
    hub = own_hub(xnat, {"xnat": {"calls": CALLS, "url": "http://xnat.invalid"}})
    refused_sign_in(hub, "XNAT at http://xnat.invalid can't be reached")
    failed_api_start(hub, "XNAT at http://xnat.invalid can't be reached")
    hub.stop()
    text = hub.site_file.read_text()
    hub.site_file.write_text(text.replace("http://xnat.invalid", xnat.url))
    hub.start()
    works(hub)


def failed_api_start(hub, cause):
    """Start as XNAT does, where nobody can sign in."""
    position = len(hub.log_since(0))
    hub.plugin.ensure_user("alice")
    answer = hub.api("POST", "/users/alice/server", json={})
    if answer.status_code == 202:
        wait_until(lambda: hub.plugin.server("alice") is None, 30, "the failure")
    else:
        assert NOT_ASKED in answer.json()["message"]
    told_once(hub, position, cause)
    nothing_runs(hub)


def test_certificates(own_hub, tmp_path):
    """One that has expired, one of a CA that the hub doesn't know, and then a good one."""
    good, unknown = Authority(tmp_path / "good"), Authority(tmp_path / "unknown")
    state, port = demo_state(), free_port()
    bad = {
        "certificate has expired": good.issue("expired", days=-1),
        "unable to get local issuer certificate": unknown.issue("foreign"),
    }
    hub = None
    for cause, files in bad.items():
        xnat = StandIn(state, port=port, **files)
        xnat.start()
        if hub is None:
            hub = own_hub(xnat, {"xnat": {"calls": CALLS, "url": xnat.url, "ca_file": str(good.file)}})
        hub.use(xnat)
        refused_sign_in(hub, f"is not good: certificate verify failed: {cause}. Renew it, or name the CA's")
        failed_api_start(hub, f"is not good: certificate verify failed: {cause}. Renew it, or name the CA's")
        xnat.stop()
        assert not xnat.requests.find(), "nobody's password was sent"
    hub.use(StandIn(state, port=port, **good.issue("renewed")))
    hub.xnat.start()
    works(hub)
