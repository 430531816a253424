"""What the gate itself says to a person is a page, as the hub's are."""

from playwright.sync_api import expect

from tests.browser.conftest import VIEWS
from tests.gate.restarting import take_restarting_hub
from tests.gate.servers import Proxy


def test_a_hub_that_is_away(person, tmp_path):
    someone = person()
    page = someone.page
    with Proxy(tmp_path) as proxy:
        take_restarting_hub(proxy)
        proxy.hub.go()
        page.goto(f"http://127.0.0.1:{proxy.port}/jupyterhub/hub/home", timeout=60_000)
        expect(page.get_by_role("heading", name="Not available right now")).to_be_visible()
        expect(page.get_by_role("main")).to_contain_text("The hub is away, most likely for a restart.")
        for view, how in VIEWS.items():
            page.set_viewport_size(how["viewport"])
            page.emulate_media(color_scheme=how["color_scheme"])
            someone.looks(f"hub-away{view}")
        proxy.hub.come_back()
        page.get_by_role("link", name="Try again").click()
        expect(page.locator("body")).to_contain_text("answer of the hub")
