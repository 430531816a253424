"""What the pages of XNAT's plugin do, from Start to Stop, for six names, notebooks and dashboards."""

import pytest

from tests.plugin_pages import DASHBOARD, NAMES, add_people, opened, start, stop
from tests.support import SMALL_SERVER, RunningHub, new_standin


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    with new_standin() as xnat:
        add_people(xnat.state)
        hub = RunningHub(tmp_path_factory.mktemp("pages"), xnat).start()
        yield hub
        hub.stop()


def test_notebooks_and_dashboards_of_six_people_from_start_to_stop(pages):
    plugin, state = pages.plugin, pages.xnat.state
    servers = [
        (name, start(plugin, state, name, dashboard, SMALL_SERVER))
        for name in NAMES
        for dashboard in (None, DASHBOARD)
    ]
    for name, event in servers:
        answer = opened(plugin, state, name, event)
        # Each address leads to its own user's server, whoever else is spelled nearly so.
        assert (answer.status_code, answer.content.decode()) == (200, name)
    for name, event in servers:
        stop(plugin, state, name, event)
    assert all(not user["servers"] for user in plugin.users())
