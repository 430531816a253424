"""What a hub that runs takes of a changed site file."""

import asyncio
import os
import signal
from types import SimpleNamespace

from tests.unit.helpers import MINIMAL
from xnathub_conf.hub.reload import LiveSite
from xnathub_conf.site.load import load_site


def test_a_signal_makes_the_hub_look_at_once_and_what_needs_a_restart_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("xnathub_conf.hub.reload.LOOK_SECONDS", 3600)
    monkeypatch.setattr("xnathub_conf.hub.reload.load_site", lambda path, _environment: load_site(path))
    file = tmp_path / "site.yaml"
    file.write_text(MINIMAL)
    old = load_site(file)

    async def run():
        taken = asyncio.Queue()
        LiveSite(file, old, [taken.put_nowait]).start(SimpleNamespace(template_vars={}))
        file.write_text(MINIMAL + "pages: {name: New}\nsign_in: {role: Other}\n")
        os.kill(os.getpid(), signal.SIGHUP)
        return await asyncio.wait_for(taken.get(), 60)

    new = asyncio.run(run())
    assert new.pages.name == "New"
    assert new.sign_in == old.sign_in
    assert (new.servers, new.hub, new.orchestrator) == (old.servers, old.hub, old.orchestrator)
