"""A scanner of web applications, Wapiti, against a hub's pages: what it finds is known, and said why it stays."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import requests
import yaml

from tests.support import RunningHub, Visitor, install, new_standin

TRIAGED = Path(__file__).with_name("scanner_findings.yaml")
MODULES = "backup,cookieflags,crlf,csp,csrf,exec,file,htaccess,http_headers,methods,permanentxss,redirect,shellshock,sql,xss"
"""All but those that guess by time or by name, or ask a server of Wapiti's own elsewhere."""
PAGES = (
    "login?next=/jupyterhub/hub/home", "home", "token", "admin", "spawn", "spawn/alice", "api/info", "health", "metrics", "identity",
    "user-redirect/lab", "gate?next=/jupyterhub/user/alice/lab", "oauth_login", "user/demo/lab?token=x", "none?a=b",
    "api/oauth2/authorize?client_id=x&redirect_uri=http://evil.example&response_type=code",
)  # fmt: skip
# Debian's version can leave out an address only by a pattern that Python 3.11 does not take.
WAPITI = """\
import fnmatch, re
from wapitiCore.main.wapiti import wapiti_main
from wapitiCore.net import crawler
crawler.wildcard_translate = lambda pattern: re.compile(fnmatch.translate(pattern))
wapiti_main()
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    if not shutil.which("wapiti"):
        install("tools", "wapiti")
    with new_standin() as xnat:
        hub = RunningHub(
            tmp_path_factory.mktemp("scanned"), xnat, {"hub": {"admin_users": ["alice"]}}
        ).start()
        try:
            yield hub
        finally:
            hub.stop()


@pytest.fixture(scope="module")
def admin(hub):
    """An admin's browser, signed in before the scanner guesses at names until the hub takes no more passwords."""
    visitor = Visitor(hub.url)
    visitor.sign_in("alice", hub.xnat.state.user("alice").password)
    assert visitor.is_signed_in_as("alice")
    return visitor


def cookies_for_wapiti(visitor, file):
    cookies = {}
    for cookie in visitor.cookies:
        facts = {"value": cookie.value, "expires": None, "secure": False, "port": None, "version": 0}
        cookies.setdefault("127.0.0.1", {}).setdefault(cookie.path, {})[cookie.name] = facts
    file.write_text(json.dumps(cookies))


def scan(hub, folder, *words):
    """Return what the scanner finds, each as its kind and what it says."""
    report = folder / "report.json"
    command = [
        *(
            "/usr/bin/python3",
            "-c",
            WAPITI,
            "--url",
            f"{hub.url}/hub/login",
            "--scope",
            "folder",
            "--no-bugreport",
        ),
        *("--module", MODULES, "--depth", "3", "--scan-force", "normal", "--timeout", "60"),
        # Each module stops there, so that a busy machine looks at less and not for longer.
        *("--max-scan-time", "60", "--max-attack-time", "12"),
        *("--format", "json", "--output", report, "--store-session", folder, "--store-config", folder),
        *("--exclude", f"{hub.url}/hub/logout*"),
        *(word for page in PAGES for word in ("--start", f"{hub.url}/hub/{page}")),
        *words,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=550, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    found = json.loads(report.read_text())
    return {
        f"{kind}: {one['info']}"
        for group in ("vulnerabilities", "anomalies", "additionals")
        for kind, several in found[group].items()
        for one in several
    }


@pytest.mark.parametrize("who", ["nobody", "an admin"])
def test_a_scanner_finds_nothing_that_is_not_known(hub, admin, tmp_path, who):
    position = len(hub.log_since(0))
    words = []
    if who == "an admin":
        cookies_for_wapiti(admin, tmp_path / "cookies.json")
        words = ["--cookie", str(tmp_path / "cookies.json")]
    found = scan(hub, tmp_path, *words)
    triaged = yaml.safe_load(TRIAGED.read_text())
    assert not {each for each in found if not any(re.search(known, each) for known in triaged)}
    if who == "nobody":
        # None is kept for what is mended.
        assert not {known for known in triaged if not any(re.search(known, each) for each in found)}
    log = hub.log_since(position)
    assert "Traceback" not in log
    assert not re.search(r"\] 5\d\d [A-Z]+ /", log)
    assert requests.get(f"{hub.url}/hub/health", timeout=30).ok
    if who == "an admin":
        assert admin.is_signed_in_as("alice")
        assert re.search(r"200 GET /jupyterhub/hub/admin.* \(alice@", log), "the scanner was signed in"
