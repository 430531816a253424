"""A real Chromium, and what it looks at: the demo's process, or a hub and a stand-in XNAT of the tests' own."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import sync_playwright

from tests.support import XNATHUB, RunningHub, free_port, new_standin, wait_until

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
VIEWS = {
    "": {"viewport": {"width": 1100, "height": 720}, "color_scheme": "light"},
    "-dark": {"viewport": {"width": 1100, "height": 720}, "color_scheme": "dark"},
    "-phone": {"viewport": {"width": 375, "height": 700}, "color_scheme": "light"},
}


def pytest_collection_modifyitems(items):
    if "browser" not in re.split(r"[,\s]+", os.environ.get("XNATHUB_SKIP_LAYERS", "")):
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="XNATHUB_SKIP_LAYERS leaves out the browser: NOT tested"))


def install_chromium() -> None:
    """Install Chromium with apt where there is none; RuntimeError where that can't be done."""
    if Path(CHROMIUM).exists():
        return
    root = [] if os.getuid() == 0 else ["sudo", "--non-interactive"]
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(
                [*root, *command], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, timeout=900
            )
    if not Path(CHROMIUM).exists():
        raise RuntimeError(
            f"The browser tests need {CHROMIUM}, and apt-get did not install it. Install the package chromium, or "
            'leave these tests out: XNATHUB_SKIP_LAYERS="browser".'
        )


@pytest.fixture(scope="module")  # its event loop must not run on into the tests of other folders
def chromium():
    install_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Person:
    """Someone at a browser of their own: a page, and the errors that it wrote to its console."""

    def __init__(self, chromium, view: str = ""):
        self.context = chromium.new_context(**VIEWS[view])
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self._note(str(error), self.page.url))
        self.page.on("console", self._note_message)

    def _note_message(self, message):
        # A page that is itself a refusal has such a status, and the console repeats it.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self._note(message.text, message.location.get("url") or self.page.url)

    def _note(self, text: str, url: str):
        # What JupyterLab says below /user/ is not ours to judge.
        if "/user/" not in url:
            self.errors.append(f"{text} ({url})")

    def fill_in(self, username: str, password: str):
        """Fill in and send a sign-in form, XNAT's or the hub's."""
        self.page.fill('[name="username"]', username)
        self.page.fill('[name="password"]', password)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def looks(self, name: str):
        """Check that nothing is wider than the window, and keep a picture where XNATHUB_SCREENSHOTS says."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if folder := os.environ.get("XNATHUB_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png")
        assert wide <= 0, f"{name} is {wide} pixels wider than the window"


@pytest.fixture
def person(chromium):
    people = []

    def new(view: str = "") -> Person:
        people.append(Person(chromium, view))
        return people[-1]

    yield new
    for each in people:
        each.context.close()
    errors = [error for each in people for error in each.errors]
    assert not errors, errors


class Demo:
    """The real `xnathub demo`, and what it printed."""

    def __init__(self, folder: Path):
        self.temp = folder
        self.process = subprocess.Popen(
            [XNATHUB, "demo", "--xnat-port", str(free_port()), "--hub-port", str(free_port())],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
            start_new_session=True,
        )
        self.lines: list[str] = []
        # Read on to the end, or a full pipe would stop the demo.
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()
        wait_until(
            lambda: "Ctrl-C ends" in self.output or self.process.poll() is not None, 90, "the demo's start"
        )
        assert self.process.poll() is None, self.output
        self.xnat, self.hub = re.findall(r"http://localhost:\d+(?:/jupyterhub/)?", self.output)[:2]
        self.password = re.search(r"with the password {2}(\S+)", self.output)[1]

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def family(self) -> list[psutil.Process]:
        """Give every process that the demo started, itself included."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]


@pytest.fixture
def new_demo(tmp_path):
    demos = []

    def new() -> Demo:
        demos.append(Demo(tmp_path))
        return demos[-1]

    yield new
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(60)


@pytest.fixture(scope="session")
def standin():
    with new_standin() as xnat:
        yield xnat


@pytest.fixture(scope="session")
def hub(standin, tmp_path_factory):
    assert shutil.which("configurable-http-proxy", path=str(Path(sys.executable).parent)), "run scripts/setup"
    hub = RunningHub(tmp_path_factory.mktemp("hub"), standin)
    hub.start()
    yield hub
    hub.stop()
