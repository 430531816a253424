"""The archive of `xnathub support`: nothing that was planted in what it is made of is in it."""

from __future__ import annotations

import json
import secrets
import socket
import sqlite3
import tarfile
from contextlib import closing
from urllib.parse import quote

import pytest

from tests.unit.helpers import site_text
from xnathub_conf.cli.support import support
from xnathub_conf.operating.anonymous import Numbers

SYLLABLES = ("ba", "ne", "ko", "li", "mu", "ra", "so", "ty", "vi", "xe")


def made_up(number: int) -> str:
    return "".join(SYLLABLES[int(digit)] for digit in f"{number * 7919 % 1000000:06}").title()


USERS = [made_up(number) for number in range(1, 51)] + [
    "Müller.Hans", "o'Brien", "alice@hospital.example", "a-b_c", "Ann Lee", "user", "x y", "Ünal",
]  # fmt: skip
PROJECTS = [f"{made_up(number)}_{number}" for number in range(51, 101)]
PATIENTS = [f"PAT-{made_up(number)}" for number in range(101, 151)]
SECRETS = [secrets.token_hex(16) for _ in range(25)] + [secrets.token_urlsafe(24) + "a1" for _ in range(25)]


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A folder of a hub with its site, database, audit file and log."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XNAT_PASSWORD", "hunter2-and-more")
    (tmp_path / "token").write_text(SECRETS[0])
    (tmp_path / "jupyterhub_cookie_secret").write_text(SECRETS[1])
    text = site_text(
        hub__admin_users=USERS[:2],
        hub__api_token={"file": f"{tmp_path}/token"},
        xnat__service_account={"password": {"env": "XNAT_PASSWORD"}},
        logging__audit_file=f"{tmp_path}/audit.log",
        servers__mounts=[{"source": "/software", "target": "/opt/software", "projects": PROJECTS[:2]}],
        paths={"archive": [{"from": "/data/xnat/archive", "to": "/mnt/archive"}]},
        servers__allowed_mounts=[{"path": "/mnt/archive"}],
        extra={"ConfigurableHTTPProxy.auth_token": SECRETS[2]},
    )
    (tmp_path / "site.yaml").write_text(text)
    with closing(sqlite3.connect(tmp_path / "jupyterhub.sqlite")) as database:
        database.execute("create table users (name)")
        database.execute("create table spawners (user_options, server_id)")
        database.execute("create table alembic_version (version_num)")
        database.executemany("insert into users values (?)", [(name,) for name in USERS[:30]])
        options = [
            (json.dumps({"projectId": name, "itemLabel": "Only in the database"}),) for name in PROJECTS[:20]
        ]
        database.executemany("insert into spawners values (?, 1)", options)
        database.commit()
    audit = [
        json.dumps(
            {
                "event": "start",
                "outcome": "ok",
                "user": user,
                "by": "service xnat",
                "project": project,
                "item": patient,
            }
        )
        for user, project, patient in zip(USERS, PROJECTS, PATIENTS, strict=False)
    ]
    audit += [json.dumps({"event": "sign-in", "outcome": "wrong-password", "user": user}) for user in USERS]
    (tmp_path / "audit.log").write_text("\n".join(audit))
    log = []
    for user, project, patient, secret in zip(
        USERS * 2, PROJECTS * 2, PATIENTS * 2, SECRETS * 2, strict=False
    ):
        log += [
            f"[I JupyterHub base] User logged in: {user}",
            f"[I JupyterHub log] 302 GET /jupyterhub/user/{quote(user)}/lab?token={secret} ({user}@10.1.2.3) 5.1ms",
            f"[W xnathub] 403 mount: denied [user {user!r}, server '20260728T120000123Z']",
            f"[I JupyterHub] GET /data/projects/{project}/subjects/{patient}/experiments/{patient}_MR1",
            f"[E] /data/xnat/archive/{project}/arc001/{patient}_MR1/SCANS is not on the node; /mnt/archive/{patient}",
            f"[E] Authorization: token {secret} password={secret} JSESSIONID={secret}",
            f"[E] container jupyter-{user.lower()} of {user}: sqlalchemy postgresql://hub:{secret}@db/hub",
        ]
    (tmp_path / "hub.log").write_text("\n".join(log))
    return tmp_path


def test_nothing_that_was_planted_is_in_it(planted, capsys):
    (planted / "hub.log").chmod(0o600)
    assert support("site.yaml", "support.tar.gz", ["hub.log"]) == 0
    said = capsys.readouterr().out
    assert "log-1.txt, log-2.txt" in said
    archive = planted / "support.tar.gz"
    assert archive.stat().st_mode & 0o777 == 0o600
    texts = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            texts[member.name.partition("/")[2]] = opened.extractfile(member).read().decode()
    assert set(texts) == {
        "facts.json", "site.txt", "warnings.txt", "doctor.json", "engine.json", "log-1.txt", "log-2.txt",
    }  # fmt: skip
    whole = "\n".join(texts.values())
    values = {*USERS, *PROJECTS, *PATIENTS, *SECRETS, "hunter2-and-more", "Only in the database"} - {
        "user",
        "x y",
        "a-b_c",
    }
    assert len(values) >= 200
    forms = {form for value in values for form in (value, quote(value), json.dumps(value)[1:-1])}
    assert [form for form in forms if form.lower() in whole.lower()] == []
    # What is left is of use, and a name has one number wherever it stands.
    first = json.loads(texts["log-2.txt"].splitlines()[0])
    assert first["event"] == "start"
    assert f"User logged in: {first['user']}\n" in texts["log-1.txt"]
    assert f"/data/projects/{first['project']}/" in texts["log-1.txt"]
    facts = json.loads(texts["facts.json"])
    assert facts["database"]["users"] == 30
    assert json.loads(texts["doctor.json"])["results"]


def test_what_never_answers_holds_up_nothing(planted, monkeypatch):
    monkeypatch.setattr("xnathub_conf.cli.support.DOCTOR_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = (planted / "site.yaml").read_text()
        port = silent.getsockname()[1]
        (planted / "site.yaml").write_text(
            text.replace("https://xnat.example.org", f"http://127.0.0.1:{port}")
        )
        assert support("site.yaml", "support.tar.gz", []) == 0
    with tarfile.open(planted / "support.tar.gz") as opened:
        found = json.load(opened.extractfile("xnathub-support/doctor.json"))
    assert found["complete"] is False


def test_a_number_is_no_name_of_somebody():
    numbers = Numbers()
    # The second is a word that lines need.
    for name in ("alice", "user", "user-1"):
        numbers.learn("user", name)
    assert numbers.in_text("alice, user, user-1, users") == "user-1, user, user-2, users"


def test_what_is_no_name_stays():
    line = "[I 2026-11-29 08:00:00.123 JupyterHub app:3770] JupyterHub is now running at http://127.0.0.1:8000/jupyterhub/"
    assert Numbers().in_text(line) == line


def test_thousands_of_names_are_found_in_long_logs():
    """With a list of them in place of a tree this took longer than any test may."""
    numbers = Numbers()
    names = [f"{made_up(number)}.{number}" for number in range(3000)]
    for name in names:
        numbers.learn("user", name)
    text = numbers.in_text("\n".join(f"a start of {name} on a node, {name}s" for name in names * 10))
    lines = text.splitlines()
    assert lines[0] == f"a start of user-1 on a node, {names[0]}s"
    assert lines[-1].startswith("a start of user-3000 on a node, ")
