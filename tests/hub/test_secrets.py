"""Secrets stay out of what a hub says, at its most talkative and when it falls over. The whole run is searched too."""

import json
import secrets
import sqlite3
import subprocess

import pytest

from tests.secret_search import Search
from tests.support import XNATHUB, RunningHub, Visitor, new_standin


@pytest.fixture
def xnat():
    with new_standin() as xnat:
        yield xnat


def known(hub):
    """Every secret of a hub, its XNAT and their users."""
    state = hub.xnat.state
    found = {"service token": hub.token, "cookie secret": hub.cookie_secret}
    found |= {f"password of {user.name}": user.password for user in state.users()}
    found |= {f"session of {session.user}": session.id for session in state.sessions()}
    for user in ("alice", "demo"):
        if options := state.user_options(user):
            variables = json.loads(options)["task_template"]["container_spec"]["env"]
            found[f"alias token of {user}"] = variables["XNAT_PASS"]
    return found


def assert_none_in(text, hub, **more):
    for kind, secret in {**known(hub), **more}.items():
        assert secret not in text, kind


def test_the_most_talkative_log_and_the_database_hold_none(tmp_path, xnat):
    hub = RunningHub(tmp_path, xnat, {"logging": {"level": "DEBUG"}}).start()
    try:
        visitor = Visitor(hub.url)
        assert visitor.sign_in("alice", xnat.state.user("alice").password).status_code == 302
        Visitor(hub.url).sign_in("alice", wrong := "a-wrong-password-" + secrets.token_hex(8))
        alias = xnat.state.create_alias("demo")
        assert Visitor(hub.url).sign_in(alias.alias, alias.secret).status_code == 302
        with_session = Visitor(hub.url)
        session = xnat.state.open_session("demo").id
        with_session.cookies.set("JSESSIONID", session, path="/")
        assert with_session.get_page("/hub/login", allow_redirects=False).status_code == 302
        xnat.state.launch("alice", "P1")
        visitor.get_page("/hub/spawn")
        server = hub.plugin.wait_ready("alice")
        token = hub.plugin.token("alice", "test", 300)
        visitor.get_page("/hub/home")
        hub.plugin.stop("alice")
    finally:
        hub.stop()
    log = hub.log.read_text("utf-8", "replace")
    more = {"wrong password": wrong, "alias": alias.secret, "session": session, "hub token": token}
    assert_none_in(log, hub, **more)
    assert log.count(" D ") > 50 or "DEBUG" in log or "[D " in log
    with sqlite3.connect(tmp_path / "jupyterhub.sqlite") as database:
        assert_none_in("\n".join(database.iterdump()), hub, **more)
    assert_none_in(json.dumps(server), hub, **more)


def crashed(hub):
    with pytest.raises(AssertionError):
        hub.start()
    hub.process = None
    return hub.log.read_text("utf-8", "replace")


def test_a_hub_that_can_not_reach_its_database_keeps_its_password(tmp_path, xnat):
    password = "pg-" + secrets.token_hex(16)
    Search.current.secret("database password", password, "hub")
    (tmp_path / "db").write_text(f"postgresql://hub:{password}@127.0.0.1:1/hub")
    log = crashed(RunningHub(tmp_path, xnat, {"hub": {"db_url": {"file": f"{tmp_path}/db"}}}))
    # The search at the end would take the file for a leak, since there is more in it than the password.
    (tmp_path / "db").unlink()
    assert "psycopg" in log
    assert password not in log


def test_what_a_hub_that_can_not_start_says_holds_none(tmp_path, xnat):
    (tmp_path / "jupyterhub.sqlite").write_text("no database " * 99)
    hub = RunningHub(tmp_path, xnat)
    log = crashed(hub)
    assert "file is not a database" in log
    assert hub.token not in log
    assert xnat.state.user("jupyterhub").password not in log


@pytest.mark.parametrize("kind", ["file", "env", "literal"])
@pytest.mark.parametrize(
    "command", [["validate"], ["show"], ["render", "swarm"], ["render", "kubernetes"]], ids=" ".join
)
def test_no_command_prints_one(tmp_path, xnat, monkeypatch, kind, command):
    values = {"api_token": secrets.token_hex(32), "cookie_secret": secrets.token_hex(32)}
    values["password"] = "xnat-" + secrets.token_hex(16)

    def given(name):
        Search.current.secret("secret of a site file", values[name])
        if kind == "literal":
            return values[name]
        if kind == "env":
            monkeypatch.setenv(name.upper(), values[name])
            # The site file of the tests names files for the other two.
            return {"env": name.upper()} | ({} if name == "cookie_secret" else {"file": None})
        (tmp_path / name).write_text(values[name])
        return {"file": f"{tmp_path}/{name}"}

    orchestrator = {"kubernetes": {"claims": [{"path": str(tmp_path), "claim_name": "x"}]}}
    if command[-1] != "kubernetes":
        orchestrator = {"swarm": {}}
    in_container = {"bind_url": "http://0.0.0.0:8000", "hub_bind_url": "http://0.0.0.0:8081"}
    changes = {
        "xnat": {"service_account": {"password": given("password")}},
        "hub": {"api_token": given("api_token"), "cookie_secret": given("cookie_secret")} | in_container,
        "orchestrator": {"local": None, **orchestrator},
        # The proxy is a container of its own there, and what is rendered says where.
        "extra": None,
    }
    hub = RunningHub(tmp_path, xnat, changes)
    done = subprocess.run([XNATHUB, *command, hub.site_file], capture_output=True, text=True, timeout=60)
    Search.current.text("commands", f"xnathub {' '.join(command)}", done.stdout + done.stderr)
    for name, value in values.items():
        assert value not in done.stdout + done.stderr, name
    if kind == "literal":
        # The site file itself holds them then, and what is rendered would.
        hub.site_file.unlink()
        assert done.returncode == (1 if command[0] == "render" else 0)
    else:
        assert done.returncode == 0, done.stderr
