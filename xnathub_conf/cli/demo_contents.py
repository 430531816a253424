"""What the demo's people find: images, a notebook to start with, and two dashboards."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from xnathub_conf.standin import Dashboard, Environment, State, make_sample_archive

_FILES = Path(__file__).with_name("demo_files")
NOTEBOOK = "Start here.ipynb"

MOUNTS = """\
  allowed_mounts:
    - path: {folder}/archive
    - path: {folder}/workspaces/users/{{username}}
      writable: true
"""
PATHS = """\
paths:
  archive:
    - {{from: /data/xnat/archive, to: {folder}/archive}}
  workspaces:
    - {{from: /data/xnat/workspaces, to: {folder}/workspaces}}
"""
"""The parts of the demo's site file that say where below a folder the data are."""


@dataclass(frozen=True)
class Programs:
    """Where servers find what dashboards run: the folder of its program, that of the dashboards, and the image."""

    folder: str
    dashboards: str
    image: str = Environment.image


def fill(folder: Path, state: State, programs: Programs) -> None:
    """Write the archive, everybody's workspace and JupyterLab's settings below a folder, and have the stand-in offer dashboards.

    ImportError where what makes the images is not installed, OSError where the folder can't be written.
    """
    make_sample_archive(folder / "archive")
    labconfig = folder / "jupyter" / "labconfig"
    labconfig.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("page_config.json"), labconfig)
    shutil.copytree(_FILES, folder / "dashboards")
    for user in state.users():
        workspace = folder / "workspaces" / "users" / user.name
        workspace.mkdir(parents=True)
        shutil.copy(_FILES / NOTEBOOK, workspace)
    state.environment = Environment(programs.image)
    state.dashboards = {
        1: _dashboard(
            programs,
            "slice viewer",
            f"panel serve {programs.dashboards}/slices.py --address=127.0.0.1 --port={{port}} --allow-websocket-origin=*",
        ),
        2: _dashboard(
            programs,
            "overview",
            f"voila {programs.dashboards}/overview.ipynb --no-browser --port={{port}} --Voila.ip=127.0.0.1 --Voila.log_level=ERROR "
            "--Voila.server_url=/ --Voila.base_url={base_url}/",
        ),
    }


def _dashboard(programs: Programs, label: str, program: str) -> Dashboard:
    """Return a dashboard whose program listens at a port of the proxy that asks the hub who comes."""
    proxy = f"{programs.folder}jupyter-standaloneproxy --timeout=60"
    return Dashboard(label, Environment(programs.image, f"{proxy} -- {program}"))
