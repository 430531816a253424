"""An empty configuration, but for the ports and the spawner of the hub that it is measured against."""

import os
from pathlib import Path

import yaml

site = yaml.safe_load(Path(os.environ["XNATHUB_SITE"]).read_text())
c = get_config()  # type: ignore[name-defined]  # noqa: F821 - JupyterHub gives it
c.JupyterHub.bind_url = site["hub"]["bind_url"] + "/jupyterhub/"
c.JupyterHub.hub_bind_url = site["hub"]["hub_bind_url"]
c.ConfigurableHTTPProxy.api_url = site["extra"]["ConfigurableHTTPProxy.api_url"]
c.JupyterHub.spawner_class = "dockerspawner.SwarmSpawner"
