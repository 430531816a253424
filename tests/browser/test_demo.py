"""What people see: the demo from sign-in to a stopped server, and every page that says no, in a real browser."""

import re
import signal
from urllib.parse import quote

import psutil
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import VIEWS
from tests.support import SMALL_SERVER, wait_until
from xnathub_conf.standin import Environment, faults

EVENT = r"\d{8}T\d{9}Z"
"""What XNAT's pages name a server after."""


def open_folder(page, *names):
    for name in names:
        page.locator(".jp-DirListing-item", has_text=re.compile(f"^{re.escape(name)}")).first.dblclick()
        expect(page.locator(".jp-BreadCrumbs")).to_contain_text(name)


def run_all(page) -> str:
    """Run the cells of the notebook that is open, to the last one, and return what they print."""
    # Before the kernel is there, the notebook is drawn anew.
    expect(page.get_by_text(re.compile(r"Python 3 .*\| Idle"))).to_be_visible(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(page.get_by_text(re.compile(r"\d+ of 262144 voxels"))).to_be_visible(timeout=120_000)
    expect(page.get_by_text("Traceback")).to_have_count(0)
    return " ".join(page.locator(".jp-OutputArea-output").all_text_contents())


def test_the_demo_from_sign_in_to_ctrl_c(new_demo, person):
    demo = new_demo()
    someone = person()
    page = someone.page

    page.goto(demo.xnat)
    someone.looks("xnat-sign-in")
    someone.fill_in("demo", demo.password)
    expect(page.get_by_role("heading", name="Your projects")).to_be_visible()
    someone.looks("xnat-projects")

    page.get_by_role("button", name="Start Jupyter on Synthetic heads").click()
    expect(page.locator("#server-messages li").first).to_be_visible()
    someone.looks("xnat-starting")
    # The server opens by itself, and the hub asks for no password: XNAT's session is enough.
    page.wait_for_url(re.compile(rf"/jupyterhub/user/demo/{EVENT}/lab"), timeout=90_000)
    assert page.url.startswith(demo.hub)
    said = run_all(page)
    assert "SUBJ01_MR1 xnat:mrSessionData 2026-01-01" in said
    assert "T1w, synthetic MR 12 slices of (64, 64)" in said
    assert "Saved: " in said
    # The slider moves the picture.
    slider = page.get_by_role("slider").first
    before = page.locator(".jp-OutputArea-output img").first.get_attribute("src")
    slider.press("ArrowRight")
    expect(page.locator(".jp-OutputArea-output img").first).not_to_have_attribute("src", before)
    expect(page.locator(".jp-OutputArea-output img")).to_have_count(2)
    expect(page.get_by_text("Would you like to get notified about official Jupyter news?")).to_have_count(0)
    slider.evaluate("it => it.scrollIntoView({block: 'start'})")
    someone.looks("jupyterlab")
    page.locator(".jp-BreadCrumbs-home").click()
    open_folder(page, "data", "projects", "P1", "experiments")
    for name in ("README.txt", "SUBJ01_MR1", "SUBJ02_MR1", "sessions.csv"):
        expect(page.locator(".jp-DirListing-item", has_text=name)).to_be_visible()

    page.goto(demo.xnat)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#server-line")).to_contain_text("Stopped.", timeout=30_000)
    someone.looks("xnat-stopped")

    # Once more: what was saved is there, and Ctrl-C meets a running server.
    page.get_by_role("button", name="Start Jupyter on Synthetic phantoms").click()
    page.wait_for_url(re.compile(rf"/jupyterhub/user/demo/{EVENT}/lab"), timeout=90_000)
    assert "The mask of before: " in run_all(page)
    page.goto(page.url.partition("/lab")[0] + "/lab/tree/data/projects")
    expect(page.locator(".jp-DirListing-item")).to_have_text([re.compile("^P2")], timeout=60_000)

    family = demo.family()
    assert any("jupyterhub-singleuser" in " ".join(process.cmdline()) for process in family)
    assert list(demo.temp.glob("xnathub-demo-*"))
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0
    demo.reader.join(10)
    assert "nothing of it is left" in demo.output
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, [process.cmdline() for process in alive]
    assert not list(demo.temp.iterdir())


def test_the_demo_s_dashboards(new_demo, person):
    demo = new_demo()
    someone = person()
    page = someone.page
    page.goto(demo.xnat)
    someone.fill_in("demo", demo.password)
    page.get_by_role("button", name="Start slice viewer on Synthetic heads").click()
    page.wait_for_url(re.compile(rf"/jupyterhub/user/demo/{EVENT}/"), timeout=90_000)
    picture = page.locator("img").first
    expect(picture).to_be_visible(timeout=90_000)
    before = picture.get_attribute("src")
    page.get_by_label("Session").select_option("SUBJ02_MR1")
    expect(picture).not_to_have_attribute("src", before, timeout=30_000)
    someone.looks("dashboard-panel")
    page.goto(demo.xnat)
    page.get_by_role("button", name="Start overview on Synthetic phantoms").click()
    page.wait_for_url(re.compile(rf"/jupyterhub/user/demo/{EVENT}/"), timeout=120_000)
    expect(page.get_by_text("P2: 2 volumes, 24 DICOM files")).to_be_visible(timeout=120_000)
    someone.looks("dashboard-voila")


def test_the_password_that_the_demo_prints_signs_in_at_its_hub(new_demo, person):
    demo = new_demo()
    someone = person()
    someone.page.goto(demo.hub)
    expect(someone.page.get_by_label("XNAT user name:")).to_be_focused()
    someone.fill_in("demo", demo.password)
    # The hub goes on to a server at once, and there is nothing to start yet.
    expect(someone.page.locator("body")).to_contain_text("press Start Jupyter there")
    assert someone.page.get_by_role("link", name="Open XNAT").get_attribute("href").rstrip("/") == demo.xnat


def sign_in(someone, hub, standin, name, password=None):
    someone.page.goto(f"{hub.url}/hub/login")
    someone.fill_in(name, password or standin.state.user(name).password)


@pytest.fixture
def clean(standin, hub):
    kept = standin.state.environment
    yield
    standin.faults.clear()
    standin.state.environment = kept
    for name in ("alice", "Alice", "a.b@c.org"):
        standin.state.remove_user_options(name)
        if hub.api("GET", f"/users/{name}").status_code == 200:
            hub.plugin.stop(name)


def test_signed_in_to_xnat_means_no_form(person, hub, standin, clean):
    someone = person()
    someone.page.goto(standin.url)
    someone.fill_in("Alice", standin.state.user("Alice").password)
    expect(someone.page.get_by_role("heading", name="Your projects")).to_be_visible()
    someone.page.goto(f"{hub.url}/hub/home")
    expect(someone.page.locator("#login_widget")).to_contain_text("Alice")
    # Signing out of the hub is meant, although XNAT's session goes on.
    someone.page.locator("#logout").click()
    expect(someone.page.get_by_label("XNAT user name:")).to_be_visible()
    expect(someone.page.locator("#signed-out")).to_contain_text("You are signed out of Jupyter")


@pytest.mark.parametrize("view", VIEWS)
def test_sign_in_page(person, hub, standin, clean, view):
    someone = person(view)
    page = someone.page
    page.goto(f"{hub.url}/hub/login")
    help_text = page.locator("#sign-in-help")
    expect(help_text).to_contain_text("Use your XNAT user name and password")
    expect(page.locator("#insecure-login-warning")).to_be_hidden()
    link = help_text.get_by_role("link", name="Sign in to XNAT")
    assert link.get_attribute("href").rstrip("/") == standin.url
    someone.looks(f"sign-in{view}")


@pytest.mark.parametrize("view", VIEWS)
def test_refused_sign_ins_say_which(person, hub, standin, clean, view):
    someone = person(view)
    error = someone.page.locator(".login_error")
    sign_in(someone, hub, standin, "alice", "not it")
    expect(error).to_contain_text("XNAT does not accept this user name and password")
    expect(someone.page.get_by_label("XNAT user name:")).to_have_value("alice")
    someone.looks(f"wrong-password{view}")
    sign_in(someone, hub, standin, "nobody")
    expect(error).to_contain_text("You are nobody in XNAT")
    expect(error).to_contain_text("Ask your XNAT administrator for the role Jupyter")
    someone.looks(f"no-permission{view}")
    standin.faults.set("/xapi", faults.Status(503))
    sign_in(someone, hub, standin, "alice")
    expect(error).to_contain_text("XNAT does not answer properly")
    someone.looks(f"xnat-down{view}")


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_to_start_leads_to_xnat(person, hub, standin, clean, view):
    someone = person(view)
    standin.state.remove_user_options("alice")
    sign_in(someone, hub, standin, "alice")
    page = someone.page
    page.goto(f"{hub.url}/hub/spawn")
    expect(page.locator("body")).to_contain_text("XNAT holds nothing to start for you.")
    expect(page.get_by_role("link", name="Open XNAT")).to_be_visible()
    someone.looks(f"nothing-to-start{view}")
    page.get_by_role("link", name="Open XNAT").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.url.startswith(standin.url)


@pytest.mark.parametrize("view", VIEWS)
def test_a_refused_image_names_rule_and_key(person, hub, standin, clean, view):
    someone = person(view)
    standin.state.environment = Environment(image="evil.example.org/image:1")
    standin.state.launch("alice", "P1")
    sign_in(someone, hub, standin, "alice")
    someone.page.goto(f"{hub.url}/hub/spawn")
    body = someone.page.locator("body")
    expect(body).to_contain_text("The image evil.example.org/image:1 is not allowed")
    expect(body).to_contain_text("The rule is image (site.yaml: servers.allowed_images)")
    expect(body).to_contain_text("Ask your XNAT administrator")
    expect(someone.page.get_by_role("heading", name="Your server did not start")).to_be_visible()
    someone.looks(f"refused{view}")


def test_a_refusal_is_shown_in_xnat_too(person, hub, standin, clean):
    someone = person()
    standin.state.environment = Environment(image="evil.example.org/image:1")
    page = someone.page
    page.goto(standin.url)
    someone.fill_in("alice", standin.state.user("alice").password)
    page.get_by_role("button", name="Start Jupyter on Synthetic heads").click()
    expect(page.locator("#server-error")).to_contain_text("The image evil.example.org/image:1 is not allowed")
    someone.looks("xnat-refused")


def test_who_has_no_role_opens_a_dashboard(person, hub, standin, clean):
    someone = person()
    standin.state.environment = SMALL_SERVER
    page = someone.page
    page.goto(standin.url)
    someone.fill_in("nobody", standin.state.user("nobody").password)
    expect(page.get_by_text("so you can start dashboards only")).to_be_visible()
    expect(page.get_by_role("button", name="Start Jupyter on Synthetic heads")).to_have_count(0)
    someone.looks("xnat-dashboards")
    page.get_by_role("button", name="Start dashboard on Synthetic heads").click()
    page.wait_for_url(re.compile(rf"/jupyterhub/user/nobody/{EVENT}/"), timeout=60_000)
    expect(page.locator("body")).to_have_text("nobody")
    (server,) = hub.api("GET", "/users/nobody").json()["servers"].values()
    assert server["user_options"]["dashboardConfigId"] == 1
    page.goto(standin.url)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#server-line")).to_contain_text("Stopped.")


@pytest.mark.parametrize("view", VIEWS)
def test_a_start_that_fails_late_says_why(person, hub, standin, clean, view):
    someone = person(view)
    page = someone.page
    sign_in(someone, hub, standin, "alice")
    standin.state.launch("alice", "P1")
    for fault in (faults.Delay(3), faults.LoginPage()):
        standin.faults.set("/xapi/jupyterhub/users", fault)
    page.goto(f"{hub.url}/hub/spawn")
    # Without a reload by hand: the page of the start turns into that of the failure.
    expect(page.get_by_role("heading", name="Your server did not start")).to_be_visible()
    expect(page.locator("body")).to_contain_text("XNAT answered in a way that can't be used.")
    someone.looks(f"failed{view}")


@pytest.mark.parametrize("view", VIEWS)
def test_progress_and_home(person, hub, standin, clean, view):
    someone = person(view)
    page = someone.page
    sign_in(someone, hub, standin, "a.b@c.org")
    standin.state.launch("a.b@c.org", "P1")
    page.goto(f"{hub.url}/hub/home")
    expect(page.locator("main")).to_contain_text(
        re.compile(r"Your server (on the project P1 )?is not running")
    )
    someone.looks(f"home{view}")
    # Held back, so that the page with the progress stays long enough to be looked at.
    standin.faults.set("/xapi/jupyterhub/users", faults.Delay(3))
    page.goto(f"{hub.url}/hub/spawn")
    expect(page.get_by_role("heading", name="Your server is starting")).to_be_visible()
    expect(page.locator("#progress-log")).to_contain_text("Asking XNAT what to start")
    expect(page.locator("#time-so-far")).to_have_text(re.compile(r"[1-9]\d* s"))
    someone.looks(f"progress{view}")
    wait_until(lambda: hub.plugin.wait_ready("a.b@c.org"), 60, "the server")
    page.wait_for_url(re.compile(r"/jupyterhub/user/a\.b(@|%40)c\.org/lab"), timeout=60_000)
    page.goto(f"{hub.url}/hub/home")
    expect(page.locator("main")).to_contain_text("Your server on the project P1 is running")
    someone.looks(f"home-running{view}")
    # Its table has the server's right to know who its user is, and a token made here.
    page.goto(f"{hub.url}/hub/token")
    page.get_by_label("Note").fill("for a script that has a long name to tell it from others")
    page.get_by_role("button", name="Request new API token").click()
    expect(page.locator("#token-result")).to_be_visible()
    page.reload()
    expect(page.locator(".token-row")).not_to_have_count(0)
    someone.looks(f"token{view}")
    page.goto(f"{hub.url}/hub/home")
    page.get_by_role("button", name="Stop my server").click()
    expect(page.locator("#state")).to_contain_text("Your server on the project P1 is not running")
    expect(page.get_by_role("button", name="Stop my server")).to_have_count(0)
    page.goto(f"{hub.url}/user/a.b@c.org/lab")
    expect(page.get_by_role("heading", name="Your server is not running")).to_be_visible()
    someone.looks(f"not-running{view}")
    page.goto(f"{hub.url}/hub/nowhere")
    expect(page.get_by_role("heading", name="No such page")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("None")
    expect(page.locator("#login_widget")).to_contain_text("a.b@c.org")
    someone.looks(f"no-such-page{view}")
    page.goto(f"{hub.url}/hub/admin")
    expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
    someone.looks(f"not-allowed{view}")
    page.goto(f"{hub.url}/hub/logout")
    expect(page.locator("#signed-out")).to_contain_text("Servers that you left running go on")
    someone.looks(f"signed-out{view}")


def test_home_shows_a_stop_in_xnat_and_offers_no_start_that_must_fail(person, hub, standin, clean):
    someone = person()
    page = someone.page
    hub.plugin.ensure_user("alice")
    hub.plugin.start("alice", standin.state.launch("alice", "P1"))
    hub.plugin.wait_ready("alice")
    sign_in(someone, hub, standin, "alice")
    page.goto(f"{hub.url}/hub/home")
    expect(page.locator("#state")).to_have_text(re.compile("Your server on the project P1 is running"))
    refused = re.compile(r"/hub/api/users/alice/server$")
    page.route(refused, lambda route: route.fulfill(status=500))
    page.get_by_role("button", name="Stop my server").click()
    expect(page.locator("#stop-failed")).to_contain_text("It could not be stopped (HTTP 500). Try again.")
    expect(page.get_by_role("button", name="Stop my server")).to_be_enabled()
    page.unroute(refused)
    # As XNAT does it.
    hub.plugin.stop("alice")
    standin.state.remove_user_options("alice")
    expect(page.locator("#state")).to_contain_text(
        "Your server on the project P1 is not running", timeout=45_000
    )
    expect(page.get_by_role("link", name="Start again what I chose last")).to_have_count(0)
    expect(page.get_by_role("main").get_by_role("link", name="Open XNAT")).to_be_visible()
    page.goto(f"{hub.url}/user/alice/lab")
    expect(page.locator("main")).to_contain_text("XNAT has put away what it was started on")
    expect(page.get_by_role("link", name="Start it again")).to_have_count(0)


def test_the_site_s_name_logo_and_contact(person, hub, standin, clean):
    someone = person()
    page = someone.page
    page.goto(f"{hub.url}/hub/login")
    expect(page).to_have_title("Sign in - Jupyter at Example Hospital")
    expect(page.locator("#site")).to_have_text(re.compile("Jupyter at Example Hospital"))
    logo = page.locator("#site img")
    assert logo.evaluate("image => image.complete && image.naturalWidth > 0")
    sign_in(someone, hub, standin, "nobody")
    expect(page).to_have_title("Not signed in - Jupyter at Example Hospital")
    expect(page.locator(".contact")).to_contain_text("Your XNAT administrator: Imaging support")
    assert page.locator(".contact a").get_attribute("href") == "mailto:imaging@example.org"
    sign_in(someone, hub, standin, "alice", "not it")
    expect(page.locator(".contact")).to_be_hidden()


def test_pages_work_with_the_keyboard_alone(person, hub, standin, clean):
    someone = person()
    page = someone.page
    standin.state.launch("alice", "P1")
    page.goto(f"{hub.url}/hub/login?next={quote('/jupyterhub/hub/home')}")
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type(standin.state.user("alice").password)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    press_on(page, "Start again what I chose last")
    page.wait_for_url(re.compile(r"/jupyterhub/user/alice/lab"), timeout=60_000)
    page.goto(f"{hub.url}/hub/home")
    press_on(page, "Stop my server")
    expect(page.locator("#state")).to_contain_text("Your server on the project P1 is not running")
    press_on(page, "Sign out")
    expect(page.locator("#signed-out")).to_be_visible()


def press_on(page, text: str):
    """Walk with the tab key to what has this text, see that the focus shows, and press Enter."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == text:
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"The tab key does not lead to {text}")


@pytest.mark.parametrize("view", VIEWS)
def test_servers_with_names(person, hub, standin, clean, view):
    standin.state.environment = SMALL_SERVER
    # As XNAT's pages name them.
    lungs, atlas = "20260728T120000123Z", "20260728T130500456Z"
    someone = person(view)
    page = someone.page
    hub.plugin.ensure_user("alice")
    for name, project, dashboard in ((lungs, "P1", None), (atlas, "P2", 1)):
        options = standin.state.launch("alice", project, name)
        hub.plugin.start("alice", {**options, "dashboardConfigId": dashboard})
        hub.plugin.wait_ready("alice", name)
    sign_in(someone, hub, standin, "alice")
    page.goto(f"{hub.url}/hub/home")
    expect(page.get_by_role("heading", name="Notebooks and dashboards")).to_be_visible()
    expect(page.locator("#state")).to_have_text(re.compile(r"^\s*For another one, choose your data in XNAT"))
    row = page.locator(f"li[data-server='{lungs}']")
    expect(row).to_contain_text(re.compile(r"Notebook on the project P1\s+of\s+.*2026[^.]*\s+is running"))
    other = page.locator(f"li[data-server='{atlas}']")
    expect(other).to_contain_text(re.compile(r"Dashboard on the project P2\s+of\s+.*2026[^.]*\s+is running"))
    someone.looks(f"home-named{view}")
    address = row.get_by_role("link", name="Open Notebook on the project P1").get_attribute("href")
    assert address.startswith(f"/jupyterhub/user/alice/{lungs}/")
    row.get_by_role("button", name="Stop Notebook on the project P1").click()
    expect(
        row.get_by_role("link", name="Start Notebook on the project P1 of 2026-07-28 12:00 UTC")
    ).to_be_visible()
    expect(row.get_by_role("button", name="Stop")).to_be_hidden()
    assert list(hub.api("GET", "/users/alice").json()["servers"]) == [atlas]
    hub.plugin.stop("alice", atlas)
    # XNAT's plugin removes what it stops; what its user stops stays in the list until they remove it.
    page.reload()
    expect(row.get_by_role("link", name="Start")).to_be_visible()
    expect(other).to_have_count(0)
    someone.looks(f"home-named-stopped{view}")
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    stopped = hub.api("GET", "/users/alice?include_stopped_servers=1").json()["servers"]
    # What other tests stopped stays.
    assert lungs not in stopped
    for name in (lungs, atlas):
        standin.state.remove_user_options("alice", name)


@pytest.mark.parametrize("view", VIEWS)
def test_a_server_that_is_stopping(person, hub, standin, clean, view):
    someone = person(view)
    page = someone.page
    sign_in(someone, hub, standin, "alice")
    standin.state.launch("alice", "P1")
    page.goto(f"{hub.url}/hub/spawn")
    page.wait_for_url(re.compile(r"/jupyterhub/user/alice/lab"), timeout=60_000)
    # Away from JupyterLab first, whose calls to a server that is held would hold up the browser.
    page.goto(f"{hub.url}/hub/home")
    # Stopped as a process that is held, the server needs all of its time to end.
    servers = [
        p
        for p in psutil.Process(hub.process.pid).children(recursive=True)
        if "singleuser" in " ".join(p.cmdline())
    ]
    for server in servers:
        server.suspend()
    page.get_by_role("button", name="Stop my server").click()
    page.goto(f"{hub.url}/hub/spawn-pending/alice")
    expect(page.get_by_role("heading", name="Your server is stopping")).to_be_visible()
    someone.looks(f"stopping{view}")
    page.get_by_role("button", name="Look again").click()
    for server in servers:
        server.kill()
