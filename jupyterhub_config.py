"""JupyterHub's configuration: all of it is made from the site file that XNATHUB_SITE names."""

import os

from xnathub_conf.hub.configure import configure

configure(get_config(), os.environ.get("XNATHUB_SITE", "site.yaml"))  # type: ignore[name-defined]  # noqa: F821 - JupyterHub gives it
