"""The demo's command, and somebody who opens what it prints in a browser."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.docker.testbed import wait_for
from tests.plugin_pages import new_event
from tests.support import ROOT, XNATHUB, run_code
from xnathub_conf import __version__

IMAGES = (f"xnathub:{__version__}", f"xnathub-demo:{__version__}")
"""What the demo looks for, and builds where it is missing."""

SAVED = 'import os; print(os.path.exists("/workspace/demo/mask.nii.gz"))'

REFUSED = """
import os
try:
    open("/data/projects/P1/experiments/new", "w")
except OSError as error:
    print("refused:", error.strerror, os.getuid())
"""


@contextmanager
def no_images_but_own() -> Iterator[None]:
    """Have the demo's images to oneself, from when there are none: tests in other processes make and remove them, too."""
    with (Path(tempfile.gettempdir()) / "xnathub-test-images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            for image in IMAGES:
                subprocess.run(["docker", "rmi", image], capture_output=True)


class Demo:
    """The real command, and what it has printed so far."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.temp = folder / "temp"
        self.temp.mkdir()
        self.printed = folder / "printed"
        self.began = time.monotonic()
        with self.printed.open("wb") as printed:
            self.process = subprocess.Popen(
                [XNATHUB, "demo", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(self.temp), **environment},
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.printed.read_text()

    @property
    def addresses(self) -> list[str]:
        """XNAT's and the hub's."""
        return re.findall(r"http://[\d.]+:\d+(?=/jupyterhub/$|$)", self.output, re.MULTILINE)[:2]

    def wait_until_up(self) -> None:
        wait_for(
            lambda: "Ctrl-C ends" in self.output or self.process.poll() is not None, 400, lambda: self.output
        )
        assert self.process.poll() is None, self.output

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(90)


class Browser(requests.Session):
    """Somebody at XNAT's pages."""

    def __init__(self, xnat: str, password: str) -> None:
        super().__init__()
        self.trust_env, self.xnat = False, xnat
        self.headers["Accept"] = "text/html"
        self.send_form("/", "/app/template/Login.vm", username="demo", password=password, next="/")

    def send_form(self, page: str, target: str, **values: str) -> None:
        shown = self.get(self.xnat + page, timeout=20)
        csrf = re.search(r'name="csrf" value="([^"]+)"', shown.text)
        assert csrf, shown.text
        answer = self.post(self.xnat + target, {"csrf": csrf[1], **values}, timeout=20)
        assert answer.ok, answer.text

    def server(self, *dashboard: str) -> tuple[str, str]:
        """Press a project's button, wait, and return the server's address and the token that XNAT opens it with."""
        more = dict(zip(["dashboardConfigId"], dashboard, strict=False))
        self.send_form("/", "/data/projects/P1/jupyter", eventTrackingId=new_event(), **more)
        launch = wait_for(lambda: self.status("starting"), 120)
        assert launch["stage"] == "ready", launch
        where = self.get(self.xnat + launch["url"], timeout=20, allow_redirects=False).headers["Location"]
        server, _, token = where.partition("?token=")
        return server.rstrip("/"), token

    def status(self, but_not: str) -> dict[str, Any] | None:
        found = json.loads(self.get(f"{self.xnat}/standin/status", timeout=20).text)
        return None if found["stage"] == but_not else found

    def stop(self) -> None:
        self.send_form("/", "/standin/stop")
        assert wait_for(lambda: self.status("stopping"), 60)["stage"] == "stopped"


def cells(notebook: str) -> str:
    """Return a notebook's code."""
    found = json.loads((ROOT / "xnathub_conf/cli/demo_files" / notebook).read_text())["cells"]
    return "\n".join("".join(each["source"]) for each in found if each["cell_type"] == "code")


def use(demo: Demo, uid: int = 1000) -> None:
    """Do what the demo is for: the notebook by XNAT's button, and both dashboards. A server runs at the end."""
    xnat = demo.addresses[0]
    up = time.monotonic() - demo.began
    password = re.search(r"with the password {2}(\S+)", demo.output)
    assert password
    browser = Browser(xnat, password[1])
    server, token = browser.server()
    opened = browser.get(f"{server}?token={token}", timeout=60)
    assert opened.status_code == 200
    assert opened.url.endswith("/lab/tree/Start%20here.ipynb")
    print(f"{up:.0f} s to the addresses, {time.monotonic() - demo.began:.0f} s to JupyterLab")
    assert browser.get(f"{server}/api/contents/Start%20here.ipynb?content=0", timeout=20).status_code == 200
    said = run_code(server, token, cells("Start here.ipynb"), "Start here.ipynb")
    for expected in (
        "SUBJ01_MR1 xnat:mrSessionData",
        "12 slices of (64, 64)",
        "Saved: /workspace/demo/mask.nii.gz",
    ):
        assert expected in said
    assert run_code(server, token, REFUSED) == f"refused: Read-only file system {uid}\n"
    browser.stop()
    for number, text in (("1", "Slices"), ("2", "P1: 2 volumes, 24 DICOM files")):
        server, token = browser.server(number)
        shown = browser.get(f"{server}/?token={token}", timeout=120)
        assert shown.status_code == 200
        assert text in shown.text
        browser.stop()
    server, token = browser.server()
    assert run_code(server, token, SAVED) == "True\n"
