"""The hub of a site file, with the spawner that starts nothing."""

import os

from bench.noop_spawner import NoopSpawner
from xnathub_conf.hub.configure import configure
from xnathub_conf.spawners.launch import Launch

configure(c, os.environ["XNATHUB_SITE"])  # noqa: F821 - JupyterHub gives c
c.JupyterHub.spawner_class = type("MeasuredSpawner", (Launch, NoopSpawner), {})  # noqa: F821
