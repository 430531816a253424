"""The documentation's site in a real browser, on a desk and on a phone: nothing is cut, every link within a page leads somewhere."""

import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AT_FAULT = """(() => {
    const wide = document.documentElement.clientWidth;
    const start = each => each.textContent.trim().slice(0, 60);
    // A table of many columns is moved sideways within its own frame.
    const cut = [...document.querySelectorAll('article pre > code, article table, article img')].filter(each =>
        !each.closest('.language-drawing') && !(each.rows?.[0].cells.length > 4) && (each.scrollWidth > each.clientWidth + 1 && each.tagName === 'CODE'
        || each.getBoundingClientRect().right > wide)).map(each => `cut at the right: ${start(each)}`);
    const nowhere = [...document.querySelectorAll('a[href*="#"]')].filter(each => each.pathname === location.pathname
        && each.hash && !document.getElementById(decodeURIComponent(each.hash.slice(1)))).map(each => each.hash);
    const lists = [...document.querySelectorAll('article ol')].filter(each => each.children.length < 2).map(start);
    const over = document.documentElement.scrollWidth - wide;
    return [...cut, ...nowhere, ...lists, ...(over > 0 ? [`${over} pixels wider than the window`] : [])];
})()"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder], cwd=ROOT, check=True
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_read_to_the_end_of_its_lines(chromium, site, width):
    folder, url = site
    names = sorted(str(each.parent.relative_to(folder)) for each in folder.rglob("index.html"))
    assert len(names) > 30
    page = chromium.new_page(viewport={"width": width, "height": 800})
    found = {}
    for name in names:
        page.goto(f"{url}/{name}/", wait_until="load")
        if at_fault := page.evaluate(AT_FAULT):
            found[name] = at_fault
    page.close()
    assert not found, "\n".join(f"{name}: {each}" for name, all_ in found.items() for each in all_)
