"""What operators watch: health, metrics, the audit log and the log, on a real hub of their own."""

import contextlib
import json
import re
import signal
import sqlite3
from pathlib import Path
from urllib.parse import urljoin

import psutil
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.hub.test_launch import start
from tests.support import SMALL_SERVER, RunningHub, Visitor, new_standin, page_text, wait_until
from xnathub_conf.standin import Environment, HubError, faults

TOKEN = "metrics-token-" + "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def _xnat():
    with new_standin() as xnat:
        xnat.state.environment = SMALL_SERVER
        yield xnat


@pytest.fixture(scope="module")
def _hub(_xnat, tmp_path_factory):
    folder = tmp_path_factory.mktemp("operated")
    (folder / "metrics_token").write_text(TOKEN)
    changes = {
        "hub": {"metrics_token": {"file": f"{folder}/metrics_token"}, "admin_users": ["alice"]},
        "logging": {"format": "json", "audit_file": f"{folder}/audit.log"},
        # How often the hub looks whether a server still runs.
        "extra": {"SimpleLocalProcessSpawner.poll_interval": 2},
    }
    hub = RunningHub(folder, _xnat, changes)
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture(autouse=True)
def xnat_is_up(hub):
    yield
    hub.xnat.faults.clear()
    wait_until(lambda: health(hub).json()["xnat"]["state"] == "up", 60, "news that XNAT is up")


def health(hub, query=""):
    return requests.get(f"{hub.url}/hub/health{query}", timeout=10)


def start_in_vain(hub, xnat):
    def try_it():
        start(hub, xnat)
        hub.plugin.wait_ready("alice")

    with pytest.raises(HubError):
        try_it()


def as_prometheus(hub, path="/metrics"):
    return requests.get(f"{hub.url}/hub{path}", headers={"Authorization": f"token {TOKEN}"}, timeout=10)


def samples(hub) -> dict:
    """Return every sample of the metrics by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(as_prometheus(hub).text)
        for sample in family.samples
    }


def grown(before, after, name, **labels) -> float:
    key = (name, *sorted(labels.items()))
    return after[key] - before[key]


def audit_lines(hub) -> list[dict]:
    return [json.loads(line) for line in (hub.folder / "audit.log").read_text().splitlines()]


def new_lines(hub, before, count=1, event=None) -> list[dict]:
    """Wait for so many audit lines, of one event or of all, beyond those before."""

    def new():
        lines = [line for line in audit_lines(hub)[len(before) :] if event in (None, line["event"])]
        return lines if len(lines) >= count else None

    return wait_until(new, 90, f"{count} lines of the audit log")


# ---- health


def test_health_is_good_while_xnat_is_up(hub):
    wait_until(lambda: health(hub).json()["xnat"]["state"] == "up", 30, "news of XNAT")
    answer = health(hub, "?xnat")
    assert answer.status_code == 200
    assert answer.json()["hub"] == "up"
    assert answer.json()["xnat"]["seconds_ago"] >= 0
    assert requests.head(f"{hub.url}/hub/health", timeout=10).status_code == 200
    assert requests.get(f"{hub.url}/hub/api/health", timeout=10).json()["hub"] == "up"


def test_health_says_that_xnat_is_down_and_the_hub_lives_on(hub, xnat):
    xnat.faults.set("/", faults.Status(503))
    start_in_vain(hub, xnat)
    assert health(hub).status_code == 200, "an orchestrator would kill the hub"
    assert health(hub).json()["xnat"]["state"] == "down"
    answer = health(hub, "?xnat")
    assert answer.status_code == 503
    assert answer.json()["xnat"]["state"] == "down"
    assert samples(hub)["xnathub_xnat_up",] == 0
    # However often one looks, XNAT is asked seldom: by one probe, with its one retry.
    xnat.requests.clear()
    for _ in range(50):
        health(hub, "?xnat")
    assert len(xnat.requests.find("/xapi/users/username")) <= 2
    xnat.faults.clear()
    wait_until(lambda: health(hub).json()["xnat"]["state"] == "up", 60, "news that XNAT is back")
    assert samples(hub)["xnathub_xnat_up",] == 1


def test_health_tells_a_refused_service_account_from_a_dead_xnat(hub, xnat):
    xnat.faults.set("/xapi/jupyterhub/users", faults.Status(403))
    start_in_vain(hub, xnat)
    assert health(hub).json()["xnat"]["state"] == "refused"
    Visitor(hub.url).sign_in("alice", xnat.state.user("alice").password)
    assert health(hub).json()["xnat"]["state"] == "refused", (
        "a user's sign-in says nothing of the service account"
    )
    assert "service_account" not in health(hub).text


# ---- metrics


def test_metrics_need_their_token_and_it_opens_nothing_else(hub):
    assert requests.get(f"{hub.url}/hub/metrics", timeout=10).status_code == 403
    assert hub.api("GET", "/../metrics").status_code == 403, "XNAT's token"
    assert as_prometheus(hub).status_code == 200
    for path in ("/api/users", "/api/services", "/api/proxy"):
        assert as_prometheus(hub, path).status_code in {403, 404}, path


def test_sign_ins_calls_and_refusals_are_counted(hub, xnat):
    before = samples(hub)
    Visitor(hub.url).sign_in("alice", xnat.state.user("alice").password)
    Visitor(hub.url).sign_in("alice", "not it")
    Visitor(hub.url).sign_in("nobody", xnat.state.user("nobody").password)
    xnat.state.environment = Environment(image="evil/image:1")
    start_in_vain(hub, xnat)
    after = samples(hub)
    for outcome in ("ok", "wrong-password", "no-permission"):
        assert grown(before, after, "xnathub_sign_ins_total", way="password", outcome=outcome) == 1, outcome
    assert grown(before, after, "xnathub_launches_refused_total", rule="image") == 1
    call = "xnathub_xnat_call_seconds_count"
    assert grown(before, after, call, call="username", outcome="ok") == 2
    assert grown(before, after, call, call="username", outcome="unauthorized") == 1
    assert grown(before, after, call, call="user-options", outcome="ok") == 1
    assert grown(before, after, "jupyterhub_login_duration_seconds_count", status="LoginStatus.success") == 1


def test_labels_hold_nothing_that_a_user_can_choose(hub, xnat):
    before = {key for key in samples(hub) if key[0].startswith("xnathub_")}
    for n in range(5):
        Visitor(hub.url).sign_in(f"made-up-{n}", "x")
    assert {key for key in samples(hub) if key[0].startswith("xnathub_")} == before


def test_every_query_of_the_dashboard_names_metrics_that_exist(hub, xnat):
    start(hub, xnat)
    hub.plugin.wait_ready("alice")
    known = {key[0] for key in samples(hub)}
    dashboard = json.loads((Path(__file__).parents[2] / "grafana/xnathub.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    names = {name for query in queries for name in re.findall(r"\b(?:xnathub|jupyterhub)_\w+", query)}
    assert len(queries) > 10
    assert names - known == set()
    labels = {
        name: {label for key in samples(hub) if key[0] == name for label, _ in key[1:]} for name in names
    }
    for query in queries:
        (name,) = re.findall(r"\b(?:xnathub|jupyterhub)_\w+", query)
        asked = re.findall(r"(\w+)(?:=~|!=|=)\"", query)
        for by in re.findall(r"by \((.*?)\)", query):
            asked += re.findall(r"\w+", by)
        assert set(asked) - {"job"} <= labels[name], query


# ---- the audit log


def test_a_sign_in_is_on_record(hub, xnat):
    before = audit_lines(hub)
    Visitor(hub.url).sign_in("alice", xnat.state.user("alice").password)
    (line,) = new_lines(hub, before)
    assert (line["event"], line["outcome"], line["user"]) == ("sign-in", "ok", "alice")
    assert (line["way"], line["address"]) == ("password", "127.0.0.1")
    assert re.match(r"20\d\d-\d\d-\d\dT", line["time"])


def test_a_session_s_sign_in_and_its_refusal_name_the_user(hub, xnat):
    before = audit_lines(hub)
    for name in ("alice", "nobody"):
        visitor = Visitor(hub.url)
        visitor.cookies.set("JSESSIONID", xnat.state.open_session(name).id, path="/")
        visitor.get_page("/hub/login")
    good, bad = new_lines(hub, before, 2, "sign-in")
    assert (good["user"], good["way"], good["outcome"]) == ("alice", "session", "ok")
    assert (bad["user"], bad["way"], bad["outcome"]) == ("nobody", "session", "no-permission")


def test_a_sign_in_by_xnats_token_is_on_record_and_goes_once(new_hub):
    """XNAT's button, on a host name of the hub's own. Sent a second time, from another browser, the token signs nobody in."""
    hub = new_hub(
        {
            "hub": {"public_url": "http://jupyter.localhost/jupyterhub/"},
            "xnat": {"public_url": "https://xnat.example.org"},
            "sign_in": {"xnat_session": False},
        }
    )
    hub.xnat.state.environment = SMALL_SERVER
    start(hub, hub.xnat)
    hub.plugin.wait_ready("alice")
    token = hub.plugin.token("alice", "test", 600)

    def press_the_button():
        visitor = Visitor(hub.url)
        headers = {"Referer": "https://xnat.example.org/data/projects/P1", "Sec-Fetch-Mode": "navigate"}
        sent_on = visitor.get_page(f"/user/alice/lab?token={token}", headers=headers, allow_redirects=False)
        answer = visitor.get(urljoin(hub.url, sent_on.headers["Location"]), timeout=30, allow_redirects=False)
        return answer.headers["Location"], visitor.is_signed_in_as("alice")

    assert press_the_button() == ("/jupyterhub/user/alice/lab", True)
    where, signed_in = press_the_button()
    assert (where.partition("?")[0], signed_in) == ("/jupyterhub/hub/login", False)
    entries = [text for text in hub.log.read_text().splitlines() if '"event": "sign-in"' in text]
    (line,) = [json.loads(text[text.index("{") :]) for text in entries]
    assert (line["outcome"], line["user"], line["way"]) == ("ok", "alice", "token")
    assert line["address"] == "127.0.0.1"
    assert token not in hub.log.read_text()


def test_no_name_can_forge_a_line(hub):
    before = audit_lines(hub)
    name = 'eve\n{"event": "sign-in", "outcome": "ok", "user": "root"}\r\u2028'
    Visitor(hub.url).sign_in(name, "x")
    Visitor(hub.url).sign_in("e" * 5000, "x")
    first, second = new_lines(hub, before, 2)
    assert (first["user"].strip(), first["outcome"]) == (name.strip(), "wrong-password")
    assert len(second["user"]) <= 1001
    assert "\u2028" not in (hub.folder / "audit.log").read_text("utf-8")


def test_a_start_and_a_stop_say_who_what_and_which_image(hub, xnat):
    before = audit_lines(hub)
    start(hub, xnat)
    hub.plugin.wait_ready("alice")
    hub.plugin.stop("alice")
    began, ended = new_lines(hub, before, 2)
    assert (began["event"], began["outcome"]) == ("start", "ok")
    assert (ended["event"], ended["outcome"]) == ("stop", "ok")
    for line in (began, ended):
        assert line["user"] == "alice"
        assert line["by"] == "service xnat"
        assert line["address"] == "127.0.0.1"
        assert line["project"] == line["item"] == "P1"
        assert line["type"] == "xnat:projectData"
        assert line["image"] == xnat.state.environment.image
    assert began["seconds"] > 0


def test_a_refused_and_a_failed_start_say_why(hub, xnat):
    before = audit_lines(hub)
    xnat.state.environment = Environment(image="evil/image:1")
    start_in_vain(hub, xnat)
    (line,) = new_lines(hub, before)
    assert (line["event"], line["outcome"], line["reason"]) == ("start", "refused", "image")
    assert (line["image"], line["project"]) == ("evil/image:1", "P1")
    assert "evil/image:1 is not allowed" in line["detail"]
    before = audit_lines(hub)
    xnat.faults.set("/xapi/jupyterhub/users", faults.LoginPage())
    start_in_vain(hub, xnat)
    (line,) = new_lines(hub, before)
    assert (line["event"], line["outcome"], line["reason"]) == ("start", "failed", "xnat")


def test_a_server_that_ends_by_itself_is_on_record(hub, xnat):
    start(hub, xnat)
    hub.plugin.wait_ready("alice")
    before = audit_lines(hub)
    (process,) = hub.server_processes()
    process.kill()
    (line,) = new_lines(hub, before)
    assert (line["event"], line["outcome"], line["by"]) == ("stop", "ended-by-itself", "hub")
    assert (line["project"], line["reason"], line["code"]) == ("P1", "killed", 137)
    assert "It was killed, with exit code 137." in line["detail"]
    visitor = Visitor(hub.url)
    visitor.sign_in("alice", xnat.state.user("alice").password)
    for page in ("/hub/home", "/user/alice/lab"):
        assert "It was killed, with exit code 137." in page_text(visitor.get_page(page))
    start(hub, xnat)
    hub.plugin.wait_ready("alice")
    assert "killed" not in page_text(visitor.get_page("/hub/home"))


def test_tokens_admins_and_sign_outs_say_who_and_from_where(hub, xnat):
    hub.plugin.ensure_user("demo")
    before = audit_lines(hub)
    visitor = Visitor(hub.url)
    visitor.sign_in("alice", xnat.state.user("alice").password)
    xsrf = re.search(r'xsrf_token: "([^"]*)"', visitor.get_page("/hub/home").text)[1]

    def ask(method, path, **body):
        headers = {"X-XSRFToken": xsrf, "Referer": hub.url}
        answer = visitor.request(
            method, f"{hub.url}/hub/api/users{path}", json=body, headers=headers, timeout=30
        )
        assert answer.ok, answer.text
        return answer

    token = ask("POST", "/alice/tokens", note="mine").json()["id"]
    ask("DELETE", f"/alice/tokens/{token}")
    ask("PATCH", "/demo", admin=True)
    ask("PATCH", "/demo", admin=False)
    ask("POST", "", usernames=["eve"], admin=True)
    ask("PATCH", "/eve", name="mallory")
    ask("DELETE", "/mallory")
    visitor.post(f"{hub.url}/hub/logout", data={"_xsrf": xsrf}, headers={"Referer": hub.url}, timeout=30)
    lines = new_lines(hub, before, 9)
    assert [(line["event"], line["outcome"], line["user"]) for line in lines] == [
        ("sign-in", "ok", "alice"), ("token", "made", "alice"), ("token", "revoked", "alice"), ("admin", "given", "demo"),
        ("admin", "taken", "demo"), ("admin", "given", "eve"), ("account", "renamed", "eve"), ("account", "deleted", "mallory"),
        ("sign-out", "ok", "alice"),
    ]  # fmt: skip
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    assert {line["by"] for line in lines[1:-1]} == {"alice"}
    assert lines[6]["to"] == "mallory"


def test_the_audit_file_is_opened_again_after_it_was_moved(hub, xnat):
    file = hub.folder / "audit.log"
    file.rename(hub.folder / "audit.log.1")
    Visitor(hub.url).sign_in("alice", xnat.state.user("alice").password)
    wait_until(file.exists, 30, "a new audit file")
    assert new_lines(hub, [])[0]["user"] == "alice"


# ---- the log


@pytest.fixture
def new_hub(tmp_path):
    """Return a function that starts a hub with an XNAT of its own, and gives the hub."""
    with contextlib.ExitStack() as stack:

        def new(changes: dict) -> RunningHub:
            hub = RunningHub(tmp_path, stack.enter_context(new_standin()), changes)
            stack.callback(hub.stop)
            return hub.start()

        yield new


def test_every_line_of_the_log_is_an_object_even_a_traceback(new_hub):
    # A process can't be made so, and nobody has said what a user reads then; no server writes into the hub's log either.
    broken = {"extra": {"SimpleLocalProcessSpawner.popen_kwargs": {"no_such_argument": 1}}}
    hub = new_hub({"logging": {"format": "json"}, **broken})
    passwords = [hub.xnat.state.user(name).password for name in ("alice", "jupyterhub")]
    Visitor(hub.url).sign_in("alice", passwords[0])
    start_in_vain(hub, hub.xnat)
    hub.stop()
    text = hub.log.read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    assert {"ConfigProxy", "JupyterHub", "xnathub", "xnathub.audit"} <= {entry["logger"] for entry in entries}
    for entry in entries:
        assert {"time", "level", "logger"} <= set(entry)
    assert any("TypeError" in entry.get("exc_info", "") for entry in entries)
    (began,) = [entry for entry in entries if entry.get("event") == "start"]
    assert (began["outcome"], began["user"], began["reason"]) == ("failed", "alice", "error")
    assert not [secret for secret in (hub.token, *passwords) if secret in text]


def test_the_audit_log_stands_in_the_hub_s_log_whatever_its_level(new_hub):
    hub = new_hub({"logging": {"level": "ERROR"}})
    Visitor(hub.url).sign_in("eve\nforged", "x")
    hub.stop()
    (line,) = [line for line in hub.log.read_text().splitlines() if "xnathub.audit" in line]
    assert json.loads(line[line.index("{") :])["outcome"] == "wrong-password"
    assert "\nforged" not in hub.log.read_text()


def test_the_database_costs_no_more_than_it_must(hub, xnat):
    start(hub, xnat)
    database = hub.folder / "jupyterhub.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        asked = "SELECT secret FROM oauth_clients WHERE identifier = 'jupyterhub-user-alice'"
        ((secret,),) = connection.execute(asked)
        tokens = connection.execute("SELECT DISTINCT hashed FROM api_tokens").fetchall()
    # In the same form as JupyterHub keeps the server's token, and no less hidden.
    assert {each.split(":")[1] for each in (secret, *(token for (token,) in tokens))} == {"1"}
    assert re.fullmatch(r"sha512:1:[0-9a-f]{16}:[0-9a-f]{128}", secret)
    assert database.with_name("jupyterhub.sqlite-wal").stat().st_size > 0
    for file in hub.folder.glob("jupyterhub.sqlite*"):
        assert file.stat().st_mode & 0o777 == 0o600, file
    hub.plugin.stop("alice")


def test_a_crash_of_the_interpreter_says_where(new_hub):
    hub = new_hub({})
    children = psutil.Process(hub.process.pid).children(recursive=True)
    hub.process.send_signal(signal.SIGSEGV)
    hub.process.wait(30)
    for child in children:
        child.kill()
    said = hub.log.read_text()
    assert "Fatal Python error: Segmentation fault" in said
    assert "most recent call first" in said
