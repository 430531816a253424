"""A site on the real engine: a stand-in XNAT on the host, folders for its data, and a hub to start servers with."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import docker
import requests
import yaml

from tests.plugin_pages import request
from tests.secret_search import Search
from tests.support import XNATHUB, free_port, run_code, signed_in
from xnathub_conf.standin import Environment, HubError, HubLink, HubPlugin, StandIn, make_sample_archive

UID, GID = 5001, 6001
"""What Tomcat would be: the owner of archive and workspaces. The hub itself runs as another."""

SINGLEUSER = "xnathub-singleuser:test"

SICK = "xnathub-sick:test"
"""Its health check always fails, as one that asks at an address without the hub's path does."""

REACHES = """
import http.client, json, socket

def reaches(address):
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=3)
    try:
        connection.request("GET", "/jupyterhub/hub/health", headers={"X-Forwarded-For": "192.0.2.1"})
        answer = connection.getresponse()
        # Servers, hub and proxy all send this; whatever answers on the network around may not.
        return answer.status if answer.getheader("Content-Security-Policy") else 0
    except OSError:
        return 0

print(json.dumps({each: reaches(each) for each in %r}))
"""
"""What a user's shell does to find out what answers: the status by address and port, 0 where nobody does."""

STACK = "com.docker.stack.namespace"
TEST = "org.xnat.xnathub.test"
"""The label of a stack's secrets, with its name: some of theirs are the same in each run."""


class Site:
    """What the hubs of both kinds share; `orchestrator` is the site file's section."""

    def __init__(
        self,
        client: docker.DockerClient,
        name: str,
        folder: Path,
        xnat: StandIn,
        orchestrator: dict[str, Any],
    ) -> None:
        self.client, self.name, self.folder, self.xnat = client, name, folder, xnat
        self.state = xnat.state
        self.token = secrets.token_hex(32)
        if Search.current:
            Search.current.secret("service token", self.token)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/jupyterhub"
        self.plugin = HubPlugin(HubLink(f"{self.url}/hub/api", self.url, self.token), start_timeout=90)
        make_sample_archive(folder / "archive")
        for path in [folder / "archive", *(folder / "archive").rglob("*")]:
            os.chown(path, UID, GID)
        gid = Path("/var/run/docker.sock").stat().st_gid
        self.site: dict[str, Any] = {
            "version": 1,
            "xnat": {
                "url": xnat.url,
                "service_account": {"password": {"file": f"/run/secrets/{name}_password"}},
            },
            "hub": {
                "api_token": {"file": f"/run/secrets/{name}_token"},
                "bind_url": f"http://0.0.0.0:{self.port}",
                "uid": 4001,
                "gid": gid,
            },
            "servers": {
                "uid": UID,
                "gid": GID,
                "allowed_images": ["xnathub-*:test", "missing.example.org/*"],
                "allowed_mounts": [
                    {"path": f"{folder}/archive"},
                    {"path": f"{folder}/workspaces/users/{{username}}", "writable": True},
                ],
                "mem_limit": "1G",
                "caps": {"generic_resources": {"gpu": 1}},
                "start_timeout": 50,
                "http_timeout": 40,
                "stop_timeout": 2,
                "sweep_interval": 3,
            },
            "paths": {
                "archive": [{"from": "/data/xnat/archive", "to": f"{folder}/archive"}],
                "workspaces": [{"from": "/data/xnat/workspaces", "to": f"{folder}/workspaces"}],
            },
            "orchestrator": orchestrator,
        }

    @property
    def site_file(self) -> Path:
        return self.folder / "site.yaml"

    def write_site(self) -> None:
        self.site_file.write_text(yaml.safe_dump(self.site))

    @property
    def secrets(self) -> dict[str, str]:
        return {
            f"{self.name}_token": self.token,
            f"{self.name}_password": self.state.user("jupyterhub").password,
        }

    def wait_until_up(self) -> None:
        def up() -> bool:
            with contextlib.suppress(requests.RequestException):
                return requests.get(f"{self.url}/hub/health", timeout=5).status_code == 200
            return False

        wait_for(up, 180, self.logs)

    def logs(self) -> str:
        """Return what the hub said."""
        raise NotImplementedError

    def workspace(self, user: str) -> Path:
        """Make a user's folder, as XNAT does."""
        folder = self.folder / "workspaces" / "users" / user
        folder.mkdir(parents=True, exist_ok=True)
        # What a test has mounted there may be read-only.
        if folder.is_mount():
            return folder
        os.chown(folder, UID, GID)
        folder.chmod(0o700)
        return folder

    def options(self, user: str, project: str = "P1", servername: str = "", **environment: Any) -> Any:
        """Store what XNAT would answer for a server, and give it."""
        self.workspace(user)
        chosen = Environment(**{"image": SINGLEUSER, **environment})
        return self.state.launch(user, project, servername, environment=chosen)

    def start(self, user: str, project: str = "P1", servername: str = "", **environment: Any) -> Any:
        """Start a server as XNAT does, and give the hub's model of it."""
        options = self.options(user, project, servername, **environment)
        self.plugin.ensure_user(user)
        self.plugin.start(user, request(options))
        return self.plugin.wait_ready(user, servername)

    def failure(self, user: str, *mounts: dict[str, Any], **environment: Any) -> tuple[str, float]:
        """Start a server that can't start; give what the user reads, and the seconds until then."""
        options = self.options(user, **environment)
        if mounts:
            options["task_template"]["container_spec"]["mounts"] += mounts
            self.state.set_user_options(user, options)
        self.plugin.ensure_user(user)
        began = time.monotonic()
        try:
            self.plugin.start(user, options)
        except HubError as error:
            return str(error), time.monotonic() - began
        while time.monotonic() < began + 60:
            for event in self.plugin.progress(user):
                if event.get("failed"):
                    return str(event["message"]), time.monotonic() - began
                assert not event.get("ready"), "the server started"
        raise AssertionError("nothing was said within a minute")

    def stop_all(self) -> None:
        for user in self.plugin.users():
            for servername in user["servers"] or ():
                self.plugin.stop(user["name"], servername)

    def sign_in(self, user: str) -> requests.Session:
        """Sign in on the hub's page, as a browser."""
        return signed_in(self.url, user, self.state.user(user).password)

    def reached(self, user: str, *addresses: str) -> list[int]:
        """Return the status that each address and port answers a user's server with, 0 where nothing does."""
        found = json.loads(self.execute(user, REACHES % (addresses,)))
        return [found[each] for each in addresses]

    def execute(self, user: str, code: str, servername: str = "") -> str:
        """Run code in a new kernel of a user's server, and give what it prints."""
        server = f"{self.url}/user/{user}" + (f"/{servername}" if servername else "")
        return run_code(server, self.plugin.token(user, "test", 600), code)


class Stack(Site):
    """A hub deployed with `docker stack deploy` from what `xnathub render swarm` writes."""

    render_options: tuple[str, ...] = ()

    def deploy(self) -> None:
        self.write_site()
        options = ("--image", "xnathub:test", *self.render_options)
        stack = command(XNATHUB, "render", "swarm", self.site_file, *options)
        file = self.folder / "docker-stack.yml"
        file.write_text(stack)
        command(
            "docker", "stack", "deploy", "--resolve-image", "never", "--compose-file", file, self.name
        )  # fmt: skip

    def create(self) -> None:
        for name, value in self.secrets.items():
            self.client.secrets.create(name=name, data=value.encode(), labels={TEST: self.name})
        self.deploy()
        self.wait_until_up()

    def wait_until_up(self) -> None:
        super().wait_until_up()
        # Swarm gives the hub its name on the network, by which servers ask it, when it is healthy.
        wait_for(lambda: self.hub_container().attrs["State"]["Health"]["Status"] == "healthy", 180)

    @contextlib.contextmanager
    def deployed(self) -> Iterator[Self]:
        """Deploy it, and leave nothing of it; where all went well its log is printed for what comes after."""
        try:
            self.create()
            yield self
            print(self.logs())
        finally:
            self.remove()
            self.clean()

    def remove(self) -> None:
        command("docker", "stack", "rm", self.name)
        wait_for(lambda: not self.left(), 180, lambda: str(self.left()))

    def clean(self) -> None:
        """Remove what `docker stack rm` leaves, which is the admin's: secrets and volumes."""
        for secret in self.client.secrets.list(filters={"label": f"{TEST}={self.name}"}):
            secret.remove()
        for volume in self.client.volumes.list(filters={"name": self.name}):
            volume.remove(force=True)

    def left(self) -> list[str]:
        """Name everything of the stack that there is, but for secrets and volumes."""
        label = {"label": f"{STACK}={self.name}"}
        return [
            *(service.name for service in self.client.services.list(filters=label)),
            *(
                container.name
                for container in self.client.containers.list(all=True, filters=label, ignore_removed=True)
            ),
            *(network.name for network in self.client.networks.list(filters=label)),
            *(config.name for config in self.client.configs.list(filters=label)),
            *(service.name for service in self.servers()),
        ]

    def servers(self) -> list[Any]:
        """Return the services of users' servers."""
        return [each for each in self.client.services.list() if each.name.startswith(f"{self.name}-")]

    def server(self, user: str, servername: str = "") -> Any:
        wanted = (user, servername)
        found = [
            each
            for each in self.servers()
            if (labels := each.attrs["Spec"]["Labels"])
            and (labels["org.xnat.jupyter.user"], labels["org.xnat.jupyter.server"]) == wanted
        ]
        assert len(found) == 1, found
        return found[0]

    def hub_container(self) -> Any:
        label = {"label": f"com.docker.swarm.service.name={self.name}_hub"}
        (container,) = self.client.containers.list(filters=label, ignore_removed=True)
        return container

    def logs(self) -> str:
        # Not `docker service logs`, which at times never ends.
        said = []
        for service in (f"{self.name}_proxy", f"{self.name}_hub"):
            label = {"label": f"com.docker.swarm.service.name={service}"}
            containers = self.client.containers.list(all=True, filters=label, ignore_removed=True)
            said += [command("docker", "service", "ps", "--no-trunc", service)]
            said += [command("docker", "logs", container.id) for container in reversed(containers)]
        return "".join(said)


def build_sick(client: docker.DockerClient) -> None:
    """Make the image SICK."""
    lines = ("FROM xnathub-busybox:test", "HEALTHCHECK --interval=1s --retries=1 CMD false")
    client.images.build(fileobj=io.BytesIO("\n".join(lines).encode()), tag=SICK, rm=True)


_NUMBERS = itertools.count()


def new_name() -> str:
    """Return a name that no other test has, as short as a site's `prefix`; it tells which process made what has it."""
    return f"xhtest-{os.getpid():06x}{next(_NUMBERS):03x}"


def _left_behind(found: Any) -> bool:
    labels = found.attrs.get("Spec", {}).get("Labels", {})
    made_by = re.match(r"xhtest-([0-9a-f]{6})", labels.get(TEST) or labels.get(STACK) or found.name)
    return not (made_by and Path("/proc", str(int(made_by[1], 16))).exists())


def remove_what_a_killed_run_left(client: docker.DockerClient) -> None:
    """Its hubs would go on, and hold names and addresses that this run needs. What a process that lives has made stays."""

    named = {"name": "xhtest-"}

    def all_removed() -> bool:
        configs = client.configs.list(filters={"label": STACK})
        unforced = [
            *client.secrets.list(filters={"label": TEST}),
            *(each for each in configs if each.attrs["Spec"]["Labels"][STACK].startswith("xhtest-")),
            *client.services.list(filters=named),
            *client.networks.list(filters=named),
        ]
        forced = [
            *client.containers.list(all=True, filters=named, ignore_removed=True),
            *client.volumes.list(filters=named),
        ]
        unforced, forced = ([each for each in some if _left_behind(each)] for some in (unforced, forced))
        # What something that is just ending still uses goes in a later round.
        for each in unforced:
            with contextlib.suppress(docker.errors.APIError):
                each.remove()
        for each in forced:
            with contextlib.suppress(docker.errors.APIError):
                each.remove(force=True)
        return not (unforced or forced)

    wait_for(all_removed, 120)


def command(*words: str | Path, stdin: Any = subprocess.DEVNULL) -> str:
    done = subprocess.run(
        [str(word) for word in words], stdin=stdin, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{words} gave {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout + (done.stderr if "logs" in words else "")


def wait_for(condition: Callable[[], Any], seconds: float, explain: Callable[[], str] = str) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s\n{explain()}"
        time.sleep(0.3)
    return found
