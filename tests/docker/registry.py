"""A real registry with a password on this host, which an engine reaches at 127.0.0.1 without TLS."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import docker
import requests

from tests.docker.testbed import command, wait_for
from tests.support import free_port

USER, PASSWORD = "puller", "pull-Me 4 tests"
_HTPASSWD = "puller:$2b$04$Xw1vasKFcOkq9wp1Cv5aJ.IHFJGFaslbj.Ig9WW1NVJ1eaY1Wz/Ue"

_CONFIG = """
version: 0.1
storage: {filesystem: {rootdirectory: FOLDER/data}}
http: {addr: "127.0.0.1:PORT"}
auth: {htpasswd: {realm: tests, path: FOLDER/htpasswd}}
"""


class Registry:
    """`with Registry(folder) as registry`: Debian's docker-registry, installed where it is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.login = {"username": USER, "password": PASSWORD}

    def __enter__(self) -> Registry:
        if not shutil.which("docker-registry"):
            command("apt-get", "update", "-qq")
            command("apt-get", "install", "-y", "-qq", "--no-install-recommends", "docker-registry")
        (self.folder / "htpasswd").write_text(_HTPASSWD + "\n")
        config = self.folder / "config.yml"
        config.write_text(_CONFIG.replace("FOLDER", str(self.folder)).replace("PORT", str(self.port)))
        with (self.folder / "log").open("w") as log:
            environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
            words = ["docker-registry", "serve", str(config)]
            self.process = subprocess.Popen(words, stdout=log, stderr=log, env=environment)

        def answers() -> bool:
            with contextlib.suppress(requests.RequestException):
                return requests.get(f"http://{self.host}/v2/", timeout=5).status_code == 401
            return False

        wait_for(answers, 120, (self.folder / "log").read_text)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)

    def push(self, client: docker.DockerClient, image: str, name: str) -> str:
        """Put an image of the engine into the registry, and forget it there; give its name with the registry's."""
        full = f"{self.host}/{name}"
        client.images.get(image).tag(full)
        for line in client.api.push(full, auth_config=self.login, stream=True, decode=True):
            assert "error" not in line, line
        client.images.remove(full)
        return full
