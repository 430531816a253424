"""The hub of a site file, with the spawner that starts nothing."""

import os

from bench.noop_spawner import NoopSpawner
from xnathub_conf.hub.configure import configure
from xnathub_conf.spawners.launch import Launch

c = get_config()  # type: ignore[name-defined]  # noqa: F821 - JupyterHub gives it
configure(c, os.environ["XNATHUB_SITE"])
c.JupyterHub.spawner_class = type("MeasuredSpawner", (Launch, NoopSpawner), {})
