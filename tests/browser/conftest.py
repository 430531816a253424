"""A real Chromium, and what it looks at: the demo's process, or a hub and a stand-in XNAT of the tests' own."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Error, expect, sync_playwright

from tests.support import XNATHUB, RunningHub, free_port, install, new_standin, wait_until

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
VIEWS = {
    "": {"viewport": {"width": 1280, "height": 720}, "color_scheme": "light"},
    "-dark": {"viewport": {"width": 1280, "height": 720}, "color_scheme": "dark"},
    "-phone": {"viewport": {"width": 320, "height": 640}, "color_scheme": "light"},
    "-phone-dark": {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"},
}
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
USABLE = """
globalThis.usable = new Set([...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')].filter(
    each => each.checkVisibility({visibilityProperty: true}) && !each.disabled && each.type !== 'hidden'))
"""
"""What people can use of a page: what its links, buttons and fields are."""
ARRIVED = """(() => {
    const here = document.activeElement;
    usable.delete(here);
    const {outlineStyle, boxShadow} = getComputedStyle(here);
    return here === document.body || outlineStyle !== 'none' || boxShadow !== 'none' ? '' : here.outerHTML;
})()"""
LOGO = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 60"><rect width="120" height="60" rx="8" fill="#0b5a7a"/>
<circle cx="32" cy="30" r="18" fill="none" stroke="#fff" stroke-width="6"/><path d="M64 18h40M64 30h28M64 42h40" stroke="#fff" stroke-width="6"/></svg>
"""


@pytest.fixture(scope="module")  # its event loop must not run on into the tests of other folders
def chromium():
    if not Path(CHROMIUM).exists():
        install("browser", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium):
    contexts = []

    def new():
        contexts.append(chromium.new_context(ignore_https_errors=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        return page

    yield new
    for context in contexts:
        context.close()


def go(page, url: str):
    """Open an address and return the answer, again where containers that others start meanwhile disturb the network."""
    for _ in range(5):
        try:
            return page.goto(url)
        except Error as error:
            # Its page of an error loads the address again by itself.
            signs = ("ERR_NETWORK_CHANGED", "chrome-error://", "is interrupted by another navigation")
            if not any(sign in str(error) for sign in signs):
                raise
            page.wait_for_timeout(1000)
    return page.goto(url)


def sign_in_to_xnat(page, xnat, url: str, name: str):
    """Open XNAT's page at an address and sign in there."""
    go(page, url)
    page.fill('[name="username"]', name)
    page.fill('[name="password"]', xnat.state.user(name).password)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your projects")).to_be_visible()


class Person:
    """Someone at a browser of their own: a page, and the errors that it wrote to its console."""

    def __init__(self, chromium, view: str = ""):
        self.context = chromium.new_context(**VIEWS[view])
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self._note(str(error), self.page.url))
        self.page.on("console", self._note_message)
        self.page.on("request", self._note_request)

    def _note_message(self, message):
        # A page that is itself a refusal has such a status, and the console repeats it.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self._note(message.text, message.location.get("url") or self.page.url)

    def _note_request(self, request):
        if urlsplit(request.url).hostname not in {"127.0.0.1", "localhost", None}:
            self._note(f"asks for {request.url}", self.page.url)

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
        if "/hub/" in self.page.url:
            self.page.evaluate(AXE.read_text())
            # Its one rule of WCAG 2.2 alone is off by default.
            violations = self.page.evaluate(
                "axe.run({rules: {'target-size': {enabled: true}}}).then(results => results.violations)"
            )
            assert not violations, f"{name}: " + "; ".join(
                f"{each['id']}: {each['help']}: {node['html']} {node['failureSummary']}"
                for each in violations
                for node in each["nodes"]
            )
            self.walks(name)

    def walks(self, name: str):
        """Walk through the page with the tab key: it comes by all that can be used, shows where it is, and gets out again."""
        page = self.page
        page.evaluate(USABLE)
        for _ in range(page.evaluate("usable.size") + 5):
            page.keyboard.press("Tab")
            unseen = page.evaluate(ARRIVED)
            assert not unseen, f"{name}: nothing shows that the focus is on {unseen}"
        missed = page.evaluate("[...usable].map(each => each.outerHTML)")
        assert not missed, f"{name}: the tab key does not lead to {missed}"


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
        """Return every process that the demo started, itself included."""
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
    folder = tmp_path_factory.mktemp("hub")
    (folder / "logo.svg").write_text(LOGO)
    pages = {
        "name": "Jupyter at Example Hospital",
        "logo": f"{folder}/logo.svg",
        "contact": "Imaging support, imaging@example.org",
    }
    hub = RunningHub(folder, standin, {"pages": pages})
    hub.start()
    yield hub
    hub.stop()
