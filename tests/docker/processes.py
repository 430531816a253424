"""A hub as a process on this host with servers on the real engine: quick to kill, and to start again."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import docker
import psutil
import requests

from tests.plugin_pages import TELLS, request
from tests.support import PROGRAM, RunningHub, free_port, merged, wait_until
from xnathub_conf.standin import Environment, StandIn

WEB_SERVER = Environment(image="xnathub-busybox:test", command=TELLS)
"""A server that is up in no time and takes no memory; its page `who` holds its container's ID."""

PROXY_PID_FILE = Path("/tmp/jupyterhub-proxy.pid")


class DockerHub(RunningHub):
    """`xnathub run` with the orchestrator `docker`, on a bridge network of its own."""

    def __init__(
        self, client: docker.DockerClient, name: str, folder: Path, xnat: StandIn, changes: dict | None = None
    ):
        self.client, self.name = client, name
        self.network = client.networks.create(name, driver="bridge")
        self.network.reload()
        gateway = self.network.attrs["IPAM"]["Config"][0]["Gateway"]
        docker_changes = {
            "hub": {"hub_bind_url": f"http://{gateway}:{free_port()}"},
            "servers": {
                "allowed_images": ["xnathub-*:test"],
                "start_timeout": 30,
                "http_timeout": 20,
                "stop_timeout": 2,
                "sweep_interval": 1,
            },
            "orchestrator": {
                "local": None,
                "docker": {"network_name": name, "prefix": name, "pull_policy": "never"},
            },
        }
        docker_changes["hub"]["hub_connect_url"] = docker_changes["hub"]["hub_bind_url"]
        super().__init__(folder, xnat, merged(docker_changes, changes or {}))

    def kill(self) -> None:
        """Kill the hub as the end of its container does: its proxy dies with it."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children)
        PROXY_PID_FILE.unlink(missing_ok=True)

    def remove(self) -> None:
        with contextlib.suppress(AssertionError):
            self.stop()
        for container in self.containers():
            container.remove(force=True)
        self.network.remove()

    def containers(self, user: str | None = None) -> list[Any]:
        """Return the containers of all servers, or of a user's, those that have ended too."""
        label = "org.xnat.jupyter.user" + ("" if user is None else f"={user}")
        found = self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return [each for each in found if each.name.startswith(f"{self.name}-")]

    def workspace(self, user: str) -> None:
        """Make a user's folder, as XNAT does."""
        (self.folder / "workspaces" / "users" / user).mkdir(parents=True, exist_ok=True)

    def options(
        self, user: str, environment: Environment = WEB_SERVER, servername: str = ""
    ) -> dict[str, Any]:
        self.workspace(user)
        return self.xnat.state.launch(user, "P1", servername, environment)

    def launch(self, user: str, servername: str = "") -> str:
        """Start a server to the end, and give its container's ID."""
        self.plugin.ensure_user(user)
        self.plugin.start(user, request(self.options(user, servername=servername)))
        self.plugin.wait_ready(user, servername)
        return self.reached(user, servername)

    def reached(self, user: str, servername: str = "") -> str:
        """Return the ID of the one container that a user's page comes from, through the proxy."""
        path = f"{user}/{servername}" if servername else user
        page = requests.get(f"{self.url}/user/{path}/who", headers=PROGRAM, timeout=20)
        (container,) = self.containers(user)
        assert container.status == "running"
        assert container.id.startswith(page.text.strip()), (page.status_code, page.text)
        return container.id

    def settle(self, user: str, servername: str = "") -> bool:
        """Wait until a user's server either runs or is gone, and nothing is left of another; say whether it runs."""

        def settled() -> bool:
            server = self.plugin.server(user, servername)
            if server and server["pending"]:
                return False
            return len(self.containers(user)) == (1 if server else 0)

        wait_until(settled, 60, f"an end of what {user}'s server was at")
        if self.plugin.server(user, servername) is None:
            return False
        self.reached(user, servername)
        return True
