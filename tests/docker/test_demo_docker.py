"""`xnathub demo --docker`: from the command to a notebook with its data, and nothing left of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from tests.docker.testbed import wait_for
from tests.plugin_pages import new_event
from tests.support import ROOT, XNATHUB, free_port, run_code
from xnathub_conf import __version__

IMAGES = (f"xnathub:{__version__}", f"xnathub-demo:{__version__}")

DOCKER = """\
#!/bin/sh
# No registry is reached here, so base images have other names.
if [ "$1" = build ]; then
  shift
  set -- build --network host --build-arg BASE=xnathub-base:test --build-arg BUILDER_BASE=xnathub-builder:test "$@"
fi
exec /usr/bin/docker "$@"
"""

REFUSED = """
import os
try:
    open("/data/projects/P1/experiments/new", "w")
except OSError as error:
    print("refused:", error.strerror, os.getuid())
"""


class Demo:
    """The real command, and what it has printed so far."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.temp = folder / "temp"
        programs = folder / "bin"
        for each in (self.temp, programs):
            each.mkdir()
        (programs / "docker").write_text(DOCKER)
        (programs / "docker").chmod(0o755)
        path = f"{programs}:{os.environ['PATH']}"
        self.printed = folder / "printed"
        self.began = time.monotonic()
        with self.printed.open("wb") as printed:
            self.process = subprocess.Popen(
                [XNATHUB, "demo", "--docker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ, "TMPDIR": str(self.temp), "DOCKER_BUILDKIT": "0", "PATH": path, **environment,
                },
                start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self.printed.read_text()

    def wait_until_up(self) -> None:
        wait_for(
            lambda: "Ctrl-C ends" in self.output or self.process.poll() is not None, 400, lambda: self.output
        )
        assert self.process.poll() is None, self.output

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(90)


@pytest.fixture
def new_demo(docker_client, tmp_path) -> Iterator[Any]:
    demos: list[Demo] = []

    def new(*arguments: str, **environment: str) -> Demo:
        folder = tmp_path / str(len(demos))
        folder.mkdir()
        demos.append(Demo(folder, *arguments, **environment))
        return demos[-1]

    yield new
    for demo in demos:
        if demo.process.poll() is None:
            demo.end(signal.SIGTERM)
    for image in IMAGES:
        subprocess.run(["docker", "rmi", image], capture_output=True)


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


def there_is(client: docker.DockerClient) -> set[str]:
    """Name all containers, networks and volumes of a demo, and all unnamed volumes."""
    kinds = (
        (each.name for each in client.containers.list(all=True, ignore_removed=True)),
        (each.name for each in client.networks.list()),
        (each.name for each in client.volumes.list()),
    )
    return {name for kind in kinds for name in kind if "demo-" in name or re.fullmatch("[0-9a-f]{64}", name)}


def cells(notebook: str) -> str:
    """Return a notebook's code."""
    found = json.loads((ROOT / "xnathub_conf/cli/demo_files" / notebook).read_text())["cells"]
    return "\n".join("".join(each["source"]) for each in found if each["cell_type"] == "code")


def test_from_the_command_to_the_notebook_and_nothing_left(docker_client, new_demo):
    before = there_is(docker_client)
    ports = ("--xnat-port", str(free_port()), "--hub-port", str(free_port()))
    demo = new_demo(*ports)
    demo.wait_until_up()
    up = time.monotonic() - demo.began
    xnat, hub = re.findall(r"http://[\d.]+:\d+(?=/jupyterhub/$|$)", demo.output, re.MULTILINE)[:2]
    password = re.search(r"with the password {2}(\S+)", demo.output)
    assert password
    # Docker's own network alone reaches it.
    port = hub.rpartition(":")[2]
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/jupyterhub/hub/health", timeout=5)

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
    assert run_code(server, token, REFUSED) == "refused: Read-only file system 1000\n"
    browser.stop()
    for number, text in (("1", "Slices"), ("2", "P1: 2 volumes, 24 DICOM files")):
        server, token = browser.server(number)
        shown = browser.get(f"{server}/?token={token}", timeout=120)
        assert shown.status_code == 200
        assert text in shown.text
        browser.stop()
    # The signal meets a running server.
    browser.server()
    assert [name for name in there_is(docker_client) if name.startswith("demo-")]
    assert demo.end(signal.SIGINT) == 0, demo.output
    assert "nothing of it is left" in demo.output
    assert there_is(docker_client) == before
    assert not list(demo.temp.iterdir())


def test_what_is_missing_is_one_sentence(new_demo, tmp_path):
    for arguments, environment, says in (
        ((), {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}, "Docker can't be used here: Cannot connect"),
        ((), {"PATH": str(tmp_path)}, "there is no program `docker`"),
        (("--address", "localhost"), {}, "Containers must reach --address"),
        (("--address", "192.0.2.1"), {}, "192.0.2.1 is no address of this machine"),
    ):
        demo = new_demo(*arguments, **environment)
        assert demo.process.wait(400) == 2, demo.output
        assert says in demo.output.splitlines()[-1]
        assert "Traceback" not in demo.output
        assert not list(demo.temp.iterdir())
