"""An engine of a test's own on this machine, which may end under nobody else; its networks are bridges of this machine."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import docker
from docker.errors import DockerException

from tests.docker.testbed import command, wait_for

# It dies with whoever started it. The first engine has the firewall, and answers for what it does not know of: bridges too.
_START = """
mount -t tmpfs none /run/docker
exec dockerd --data-root {folder}/data --exec-root {folder}/run --pidfile {folder}/pid --host unix://{folder}/docker.sock \
  --bridge none --iptables=false --ip6tables=false --default-address-pool base=10.98.0.0/16,size=24 >>{folder}/log 2>&1
"""


class OwnEngine:
    """`with OwnEngine(folder) as engine`; `client` asks it, and `stop` and `start` make it restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"

    def __enter__(self) -> OwnEngine:
        self.start()
        self.client = docker.DockerClient(base_url=f"unix://{self.socket}")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "TERM",
                "unshare",
                "-m",
                "bash",
                "-c",
                _START.format(folder=self.folder),
            ],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(self._answers, 120, lambda: (self.folder / "log").read_text()[-3000:])

    def _answers(self) -> bool:
        with contextlib.suppress(DockerException):
            docker.DockerClient(base_url=f"unix://{self.socket}").close()
            return True
        return False

    def stop(self) -> None:
        """End it as its machine's shutdown does, with all that runs on it."""
        self.process.terminate()
        self.process.wait(60)

    def load(self, image: str) -> None:
        """Bring an image of this machine's engine here."""
        file = self.folder / "image.tar"
        command("docker", "save", "--output", file, image)
        command("docker", "--host", f"unix://{self.socket}", "load", "--input", file)
        file.unlink()
