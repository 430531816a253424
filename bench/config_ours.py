"""The hub of a site file, with the spawner that starts nothing."""

import os

from bench.noop_spawner import NoopSpawner
from xnathub_conf.adapters.launch import Launch
from xnathub_conf.configure import configure

configure(c, os.environ["XNATHUB_SITE"])  # noqa: F821 - JupyterHub gives c
c.JupyterHub.spawner_class = type("MeasuredSpawner", (Launch, NoopSpawner), {})  # noqa: F821
