"""Files that stand at the top of the source tree and, in an installed package, in the package itself."""

from importlib import resources
from pathlib import Path


def shipped(name: str) -> Path:
    """Return the path of `schema/...` or `jupyterhub_config.py`, installed or in a checkout (an editable install)."""
    package = Path(str(resources.files("xnathub_conf")))
    installed = package / name
    return installed if installed.exists() else package.parent / name
