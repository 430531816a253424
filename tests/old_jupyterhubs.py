"""JupyterHubs of other ages, as the package index has them: one small environment each, made once."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xnathub-jupyterhubs"

_PACKAGES = ("jupyterlab==4.4.10", "ipykernel==6.31.0", "psycopg[binary]==3.2.13", "sqlalchemy==2.0.44")


def programs(version: str) -> Path:
    """Return the folder of programs of an environment with that JupyterHub, JupyterLab and a kernel; make it where it is missing."""
    wanted = (f"jupyterhub=={version}", *_PACKAGES)
    folder = _FOLDER / version
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "made-of"
        if not (made.exists() and made.read_text() == "\n".join(wanted)):
            uv = Path(sys.executable).with_name("uv")
            for command in (
                [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder],
                [uv, "pip", "install", "--quiet", "--python", folder, *wanted],
            ):
                subprocess.run(command, check=True, timeout=600)
            made.write_text("\n".join(wanted))
    return folder / "bin"
