"""`xnathub doctor` against a real hub and the stand-in XNAT: when all is well, and for each thing that may not be."""

from __future__ import annotations

import copy
import os
import pty
import re
import subprocess
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.doctor import diagnose
from tests.support import SMALL_SERVER, XNATHUB, RunningHub, free_port, merged
from xnathub_conf.standin import StandIn, demo_state
from xnathub_conf.standin.faults import Hang, LoginPage, RedirectToLogin, Status, TruncatedJson

UID = 5001 if os.getuid() == 0 else os.getuid()


@pytest.fixture
def site(hub, xnat, tmp_path):
    """Write a variant of the hub's own site file, all well unless told otherwise."""
    if os.getuid() == 0:
        for path in (hub.folder / "archive", hub.folder / "workspaces" / "users"):
            path.mkdir(parents=True, exist_ok=True)
            os.chown(path, UID, UID)
    origin = hub.url.removesuffix("/jupyterhub")
    xnat.state.preferences = {
        "jupyterHubHostUrl": origin,
        "jupyterHubApiUrl": f"{hub.url}/hub/api",
        "jupyterHubToken": hub.token,
    }

    def write(changes: dict | None = None) -> Path:
        data = yaml.safe_load(hub.site_file.read_text())
        data = merged(data, {"servers": {"uid": UID, "gid": UID}, "hub": {"public_url": f"{hub.url}/"}})
        data["hub"]["api_token"]["file"] = f"{tmp_path}/token"
        data["xnat"]["service_account"]["password"]["file"] = f"{tmp_path}/password"
        for name in ("token", "password"):
            (tmp_path / name).write_text((hub.folder / name).read_text())
        (tmp_path / "site.yaml").write_text(yaml.safe_dump(merged(data, changes or {})))
        return tmp_path / "site.yaml"

    service = copy.deepcopy(vars(xnat.state.user("jupyterhub")))
    yield write
    vars(xnat.state.user("jupyterhub")).update(service)
    xnat.state.preferences = {}


def test_all_is_well(site, hub, xnat):
    found = diagnose(site())
    assert found.bad() == [], found.text
    assert found.code == 0
    skipped = {name for name, each in found.findings.items() if each["status"] == "skipped"}
    assert skipped == {"xnat.certificate", "xnat.plan", "files.plan", "public_url.certificate"}
    assert hub.url in found.told("hub.answers", "ok")
    assert "has xnathub's gate" in found.told("hub.proxy", "ok")
    assert "service xnat" in found.told("hub.token", "ok")
    # Signed in once, and out again.
    opened = [each for each in xnat.requests.find() if each.opened_session and each.who]
    assert len(opened) == 1
    assert xnat.requests.find("/data/JSESSION", "DELETE")


def test_a_plan_is_tried_for_a_user(site, hub, xnat):
    nothing = diagnose(site(), "--user", "nobody")
    assert "nothing to start" in nothing.told("xnat.plan", "ok")
    project = xnat.state.projects("alice")[0].id
    xnat.state.launch("alice", project, "second")
    workspace = hub.folder / "workspaces" / "users" / "alice"
    workspace.mkdir(parents=True, exist_ok=True)
    os.chown(workspace, UID, UID)
    found = diagnose(site(), "--user", "alice", "--server", "second")
    assert "xnat/datascience-notebook:1.3.0 with 2 mounts" in found.told("xnat.plan", "ok")
    assert "all 2" in found.told("files.plan", "ok")

    if os.getuid() == 0:
        os.chown(workspace, 0, 0)
        workspace.chmod(0o700)
        told = diagnose(site(), "--user", "alice", "--server", "second").told("files.plan", "failed")
        assert f"belongs to 0:0 with mode 700, so {UID}:{UID} (servers.uid and gid) can't write to it" in told
        assert f"chown {UID}:{UID} {workspace}" in told
    workspace.rmdir()
    told = diagnose(site(), "--user", "alice", "--server", "second").told("files.plan", "failed")
    assert f"no folder {workspace}" in told

    found = diagnose(
        site({"servers": {"allowed_images": ["other/*"]}}), "--user", "alice", "--server", "second"
    )
    told = found.told("xnat.plan", "failed")
    assert "The image xnat/datascience-notebook:1.3.0 is not allowed" in told
    assert "change servers.allowed_images" in told
    assert "[servers.allowed_images]" in told


def test_the_plan_of_a_user_who_pressed_start_is_found_by_itself(site, hub, xnat, tmp_path):
    xnat.state.environment = SMALL_SERVER
    project = xnat.state.projects("alice")[0].id
    name = "20260728T120000123Z"
    hub.plugin.ensure_user("alice")
    for server in ("20260727T120000123Z", name):
        hub.plugin.start("alice", xnat.state.launch("alice", project, server))
        hub.plugin.wait_ready("alice", server)
    try:
        found = diagnose(site(), "--user", "alice")
        assert f"with 2 mounts for alice's server {name}" in found.told("xnat.plan", "ok")
        file = site()
        (tmp_path / "token").write_text("another" * 9)
        found = diagnose(file, "--user", "alice")
        assert "nothing to start for alice," in found.told("xnat.plan", "ok"), "a hub that is not the site's"
    finally:
        for server in ("20260727T120000123Z", name):
            hub.plugin.stop("alice", server)
            xnat.state.remove_user_options("alice", server)


def test_a_wrong_password_is_tried_once(site, xnat):
    xnat.state.set_password("jupyterhub", "changed")
    found = diagnose(site(), "--user", "alice")
    told = found.told("xnat.sign_in", "failed")
    assert "refused the password of the service account jupyterhub" in told
    assert "Correct xnat.service_account.password" in told
    assert "[xnat.service_account.password]" in told
    assert xnat.state.user("jupyterhub").failures == 1
    assert "Skipped: xnat.sign_in did not pass." in found.told("xnat.role", "skipped")
    assert found.code == 1
    # What does not hang together is tried all the same.
    assert found["hub.scopes"] == found["public_url.websockets"] == "ok"


def test_a_missing_role_is_told(site, xnat):
    for roles, said in ([], "has no role"), (["Other"], "holds the roles Other"):
        xnat.state.set_roles("jupyterhub", roles)
        told = diagnose(site()).told("xnat.role", "failed")
        assert said in told
        assert "Give the role JupyterHub to jupyterhub" in told


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        (Status(502), "xnat.answers", "502"),
        (LoginPage(), "xnat.answers", "xnat.url is XNAT's own address"),
        (RedirectToLogin(), "xnat.sign_in", "redirect"),
        (Hang(), "xnat.answers", "in time"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else None,
)
def test_what_stands_in_the_way_of_xnat(site, xnat, fault, check, said):
    xnat.faults.set("/xapi/users/username", fault)
    found = diagnose(site({"xnat": {"calls": {"read_timeout": 1}}}))
    assert said in found.told(check, "failed")
    # Never twice for the same thing: what went wrong must not lock the account.
    assert len(xnat.requests.find("/xapi/users/username")) <= 2


def test_a_plan_that_can_not_be_read(site, xnat):
    xnat.state.launch("alice", xnat.state.projects("alice")[0].id)
    xnat.faults.set("/xapi/jupyterhub/users", TruncatedJson())
    assert "not valid JSON" in diagnose(site(), "--user", "alice").told("xnat.plan", "failed")


def test_xnat_down(site):
    told = diagnose(site({"xnat": {"url": f"http://127.0.0.1:{free_port()}"}})).told("xnat.answers", "failed")
    assert "can't be reached: Connection refused" in told
    assert "[xnat.url]" in told


def test_settings_of_xnat_that_contradict_the_site(site, hub, xnat):
    xnat.state.preferences = {**xnat.state.preferences, "jupyterHubToken": "another", "startTimeout": 10}
    told = diagnose(site()).told("xnat.settings", "failed")
    assert "XNAT holds another token than the hub." in told
    assert "gives up on a start after 10 s" in told
    assert "xnathub plugin" in told


def make_certificate(folder: Path, days: float) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    end = datetime.now(UTC) + timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=400))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.mark.parametrize(
    ("days", "changes", "status", "said", "answers"),
    [
        (100.5, {}, "ok", "good for 100 more days", "ok"),
        (29.5, {}, "warning", "good for 29 more days", "ok"),
        (-1.5, {}, "failed", "was good until", "failed"),
        (100.5, {"ca_file": None}, "ok", "good for 100 more days", "failed"),
        (100.5, {"ca_file": None, "verify_tls": False}, "warning", "Nothing checks who signed it", "ok"),
    ],
    ids=["good", "soon", "expired", "unknown", "unchecked"],
)
def test_the_certificate(site, hub, tmp_path, days, changes, status, said, answers):  # noqa: PLR0917
    make_certificate(tmp_path, days)
    state = demo_state()
    with StandIn(state, certfile=tmp_path / "cert.pem", keyfile=tmp_path / "key.pem") as xnat:
        file = site({"xnat": {"url": xnat.url, "ca_file": str(tmp_path / "cert.pem"), **changes}})
        (tmp_path / "password").write_text(state.user("jupyterhub").password)
        found = diagnose(file)
    told = found.told("xnat.certificate", status)
    assert said in told
    if status != "ok":
        assert "Renew the certificate of 127.0.0.1" in told or "verify_tls" in told
    assert found["xnat.answers"] == answers
    if answers == "failed":
        assert "xnat.ca_file" in found.told("xnat.answers", "failed")


def test_files_that_are_not_there(site, tmp_path):
    found = diagnose(
        site(
            {
                "xnat": {
                    "url": "https://127.0.0.1:1",
                    "ca_file": "/none/ca.pem",
                    "service_account": {"password": {"file": "/none/password"}},
                },
                "hub": {"api_token": {"file": None, "env": "NO_SUCH_VARIABLE"}},
            }
        )
    )
    assert "/none/ca.pem can't be used: No such file" in found.told("xnat.answers", "failed")
    assert "NO_SUCH_VARIABLE is not set" in found.told("hub.token", "failed")
    found = diagnose(site({"xnat": {"service_account": {"password": {"file": "/none/password"}}}}))
    assert "/none/password can't be read" in found.told("xnat.sign_in", "failed")


def test_a_hub_that_is_down(site):
    where = {"bind_url": f"http://127.0.0.1:{free_port()}", "hub_bind_url": f"http://127.0.0.1:{free_port()}"}
    found = diagnose(site({"hub": where}))
    told = found.told("hub.answers", "failed")
    assert "Connection refused" in told
    assert "Start the hub" in told
    # Browsers find it all the same.
    assert found["public_url.leads_here"] == "ok"


def test_another_token_than_the_hub_s_is_never_sent(site, hub, tmp_path):
    file = site({"hub": {"api_token": {"file": None, "env": "OTHER"}}})
    position = hub.log.stat().st_size
    found = diagnose(file, environment={"OTHER": "x" * 40})
    told = found.told("hub.token", "failed")
    assert "does not know the token of hub.api_token" in told
    assert "Restart the hub" in told
    told = found.told("public_url.leads_here", "failed")
    assert "leads to another hub" in told
    assert "/hub/api/user " not in hub.log_since(position)


def test_a_token_without_its_scopes(xnat, site, tmp_path):
    (tmp_path / "own").mkdir()
    shared = xnat.hub
    scopes = ["servers", "read:hub"]
    other = RunningHub(tmp_path / "own", xnat, {"hub": {"api_scopes": scopes}})
    try:
        other.start()
        told = diagnose(other.site_file).told("hub.scopes", "failed")
    finally:
        other.stop()
        # The other hub took XNAT's link over.
        xnat.hub = shared
    assert "lacks admin:users (XNAT makes users), tokens (XNAT makes the tokens" in told
    assert "Add admin:users, tokens to hub.api_scopes" in told


@pytest.mark.parametrize(
    ("path", "said"),
    [("archive", "no folder"), ("file", "is no folder"), ("closed", "can't read it")],
)
def test_folders(site, hub, path, said, request):
    folder = hub.folder / f"doctor-{path}"
    if path == "file":
        folder.write_text("")
    if path == "closed":
        if os.getuid():
            pytest.skip("only root can give a folder to somebody else")
        folder.mkdir(mode=0o700)
    told = diagnose(site({"servers": {"allowed_mounts": [{"path": str(folder)}]}, "paths": None})).told(
        f"files.{folder}", "failed"
    )
    assert said in told
    assert str(folder) in told


def test_a_folder_of_somebody_else_s_that_can_be_read(site, hub):
    folder = hub.folder / "doctor-other"
    folder.mkdir()
    other = UID + 1
    changes = {"servers": {"uid": other, "allowed_mounts": [{"path": str(folder)}]}, "paths": None}
    told = diagnose(site(changes)).told(f"files.{folder}", "warning")
    assert f"not to {other}:{UID}" in told
    assert "set servers.uid" in told


# ---- the public URL


class _Answer(BaseHTTPRequestHandler):
    """A web server that gives its own answer, or passes GET on without its headers, and so no websocket."""

    status, body, to, more = 200, b"", "", ()

    def do_GET(self) -> None:
        body, status = self.body, self.status
        if self.to:
            passed = requests.get(self.to + self.path, timeout=20, allow_redirects=False)
            body, status = passed.content, passed.status_code
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.more:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web_server(**answer):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Answer,), answer))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "said", "do"),
    [
        ({"status": 404, "body": b"<html>XNAT"}, "its answer is 404", "pass /jupyterhub/ to the hub"),
        ({"body": b"<html>Welcome"}, "something that is not this hub", "pass /jupyterhub/ to the hub"),
        ({"body": b'["proof"]'}, "something that is not this hub", "pass /jupyterhub/ to the hub"),
        ({"body": b'{"proof": "' + b"0" * 64 + b'"}'}, "another hub", "Point the reverse proxy to the hub"),
    ],
)
def test_a_public_url_that_leads_elsewhere(site, answer, said, do):
    with web_server(**answer) as url:
        found = diagnose(site({"hub": {"public_url": f"{url}/jupyterhub/"}}))
    told = found.told("public_url.leads_here", "failed")
    assert said in told
    assert do in told
    assert "[hub.public_url]" in told
    assert found["public_url.websockets"] == "skipped"


def test_a_public_url_that_nobody_answers(site):
    url = f"https://127.0.0.1:{free_port()}/jupyterhub/"
    found = diagnose(site({"hub": {"public_url": url}}))
    assert "Connection refused" in found.told("public_url.leads_here", "failed")
    assert "No certificate can be had" in found.told("public_url.certificate", "failed")


def test_a_proxy_that_passes_no_websockets(site, hub):
    with web_server(to=hub.url.removesuffix("/jupyterhub")) as url:
        found = diagnose(site({"hub": {"public_url": f"{url}/jupyterhub/"}}))
    assert found["public_url.leads_here"] == "ok"
    told = found.told("public_url.websockets", "failed")
    assert "No websocket gets through" in told
    assert "Upgrade and Connection" in told


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        ("", "ok"),
        ("strict-origin-when-cross-origin", "ok"),
        ("no-referrer, origin", "ok"),
        ("Same-Origin", "warning"),
        ("origin, no-referrer", "warning"),
    ],
)
def test_an_xnat_that_hides_that_its_pages_led_to_a_hub_of_another_host(site, hub, policy, outcome):
    own = {
        "hub": {"public_url": f"{hub.url.replace('127.0.0.1', 'localhost')}/"},
        "sign_in": {"xnat_session": False},
    }
    with web_server(more=[("Referrer-Policy", policy)] if policy else []) as url:
        found = diagnose(site({"xnat": {"public_url": url}, **own}))
    told = found.told("public_url.led_here", outcome)
    assert ("Let XNAT's web server send" in told) == (outcome == "warning")


def test_without_a_public_url(site):
    found = diagnose(site({"hub": {"public_url": None}}))
    assert "is not set" in found.told("public_url.set", "skipped")


def test_host_names_apart_are_recommended(site):
    own = "https://jupyter.example.org/jupyterhub/"
    told = [
        diagnose(site(changes), "--skip", "xnat", "--skip", "hub").told("public_url.set", "ok")
        for changes in (
            {},
            {"hub": {"public_url": own}, "sign_in": {"xnat_session": False}},
            {"hub": {"public_url": own, "user_subdomains": True}, "sign_in": {"xnat_session": False}},
        )
    ]
    assert "on XNAT's own host name. One of its own is safer: see own-host.md." in told[0]
    assert "a host name of its own. One for each user's servers too is safest: see own-host.md." in told[1]
    assert "safe" not in told[2]


def test_the_hub_proves_nothing_to_what_is_no_challenge(hub):
    for challenge in ("", "0" * 31, "0" * 33, "g" * 32, "0" * len(hub.token)):
        answer = requests.get(f"{hub.url}/hub/identity", params={"challenge": challenge}, timeout=20)
        assert answer.status_code == 400
        assert "proof" not in answer.text
    good = requests.get(f"{hub.url}/hub/identity?challenge={'0' * 32}", timeout=20)
    assert re.fullmatch(r'\{"proof": "[0-9a-f]{64}"\}', good.text)
    assert good.headers["Cache-Control"] == "no-store"
    assert requests.post(f"{hub.url}/hub/identity", timeout=20).status_code in {403, 405}


# ---- how it is shown


def test_plain_lines_and_what_is_left_out(site):
    done = subprocess.run(
        [XNATHUB, "doctor", site(), "--skip", "public_url", "--skip", "xnat.certificate"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    assert re.fullmatch(r"ok       xnat\.answers +XNAT answers at http://127\.0\.0\.1:\d+\.", lines[0])
    assert sum("Left out with --skip." in line for line in lines) == 5
    assert re.fullmatch(r"\d+ ok, \d+ skipped", lines[-1])


def test_a_terminal_sees_what_runs(site):
    controller, terminal = pty.openpty()
    process = subprocess.Popen([XNATHUB, "doctor", site()], stdout=terminal, stderr=terminal, stdin=terminal)
    os.close(terminal)
    screen = b""
    try:
        while piece := os.read(controller, 4096):
            screen += piece
    except OSError:
        pass
    os.close(controller)
    assert process.wait(60) == 0, screen.decode()
    assert b"\r\x1b[K...      hub.answers\r\x1b[K\x1b[32mok      \x1b[0m hub.answers" in screen
