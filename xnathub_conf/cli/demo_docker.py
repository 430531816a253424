"""The demo's hub, its proxy and its servers as containers of this machine's Docker engine."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import IO
from urllib.parse import quote

import yaml

from xnathub_conf import __version__
from xnathub_conf.cli.demo_contents import MOUNTS, NOTEBOOK, PATHS, Programs
from xnathub_conf.cli.demo_local import WARNING, NotReady
from xnathub_conf.render.compose import render_compose
from xnathub_conf.render.hub_container import IMAGE
from xnathub_conf.shipped import shipped
from xnathub_conf.site.load import load

SERVERS_IMAGE = f"xnathub-demo:{__version__}"
_ANSWER_SECONDS = 60
_DASHBOARDS = "/opt/dashboards"

_SITE = """\
# The demo's site file: the hub and people's servers are containers of this machine.
version: 1

xnat:
  url: {xnat_url}
  service_account:
    password: {{file: /run/secrets/xnat_password}}

hub:
  public_url: {hub_url}/jupyterhub/
  bind_url: http://0.0.0.0:{hub_port}
  api_token: {{file: /run/secrets/hub_api_token}}
  uid: {uid}
  gid: {socket_gid}

servers:
  uid: {uid}
  gid: {gid}
  allowed_images: ["{image}"]
  default_url: /lab/tree/{notebook}
{mounts}  mounts:
    - {{source: {folder}/dashboards, target: {dashboards}}}
  stop_timeout: 2

{paths}
orchestrator:
  docker:
    network_name: {project}
    prefix: {prefix}
    docker_host: {socket}
    pull_policy: never
"""


class OnDocker:
    """Where the demo's hub and servers run: in containers. Raises NotReady where Docker can't be had."""

    what_data_are = "Servers are containers, and the project's files in them, below /data, are read-only."

    def __init__(self, folder: Path, address: str | None) -> None:
        self.folder = folder
        self._compose_command = _compose_command()
        bridge = json.loads(_ask("network", "inspect", "--format", "{{json .IPAM.Config}}", "bridge"))
        security = _ask("info", "--format", "{{.SecurityOptions}}")
        if "name=rootless" in security or "name=userns" in security:
            raise NotReady(
                "This Docker gives containers other users than the host's: use the demo without --docker."
            )
        self._socket = _ask("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip()
        if not self._socket.startswith("unix://"):
            raise NotReady(f"The demo needs Docker on this machine, not {self._socket}.")
        self._bridge = next((each for each in map(_own_address, bridge or ()) if "." in each), "")
        self.address = address or self._bridge
        if not self.address or self.address == "localhost" or self.address.startswith("127."):
            raise NotReady("Containers must reach --address: give one of those that `hostname -I` lists.")
        self.programs = Programs("", _DASHBOARDS, SERVERS_IMAGE)
        # Docker's socket is root's or its group's; a container of root's would be root on this machine.
        self._uid, self._gid = (os.getuid(), os.getgid()) if os.getuid() else (1000, 1000)
        name = secrets.token_hex(4)
        self._project, self._prefix = f"xnathub-demo-{name}", f"demo-{name}"

    def site(self, xnat_url: str, hub_url: str, hub_port: int) -> str:
        """Return the site file's text."""
        return _SITE.format(
            folder=self.folder,
            mounts=MOUNTS.format(folder=self.folder),
            paths=PATHS.format(folder=self.folder),
            xnat_url=xnat_url,
            hub_url=hub_url,
            hub_port=hub_port,
            notebook=quote(NOTEBOOK),
            image=SERVERS_IMAGE,
            dashboards=_DASHBOARDS,
            uid=self._uid,
            gid=self._gid,
            socket=self._socket,
            socket_gid=Path(self._socket.removeprefix("unix://")).stat().st_gid,
            project=self._project,
            prefix=self._prefix,
        )

    @contextlib.contextmanager
    def hub(self, site: Path, log: Path, hub_port: int) -> Iterator[subprocess.Popen[bytes]]:
        """Run the containers of a site file within the block, and write what they say to a file.

        Yields the process that follows it, which ends with them. Raises NotReady where they don't start.
        """
        have_image(IMAGE, "Dockerfile")
        have_image(SERVERS_IMAGE, "Dockerfile.singleuser", "--build-arg", "LOCK=demo")
        self._write_compose_file(site, hub_port)
        self._give_away()
        with log.open("ab") as output:
            try:
                up = self._start("up", "--detach", output=output)
                try:
                    up.wait()
                finally:
                    # What it has begun to make can only be removed when it is there.
                    up.wait()
                if up.returncode:
                    raise NotReady(
                        f"{log.read_text()}\nDocker did not start the hub; what it says stands above."
                    )
                follow = self._start("logs", "--follow", "--no-color", output=output)
                try:
                    yield follow
                finally:
                    follow.kill()
                    follow.wait()
            finally:
                self._remove(output)

    def from_elsewhere(self, _xnat_port: int, _hub_port: int) -> str:
        """Return how another machine's browser opens the demo, or what it means that it can."""
        if self.address != self._bridge:
            return WARNING.format(address=self.address, how="in containers here")
        return (
            f"  Only this machine and its containers reach {self.address}, Docker's own network. For a browser elsewhere:\n"
            "  --address, with one of the addresses that `hostname -I` lists. Everybody who reaches it can try the password.\n"
        )

    def _write_compose_file(self, site: Path, hub_port: int) -> None:
        compose = yaml.safe_load(render_compose(load(str(site)), site.read_text(), folder=self.folder))
        # At this address alone, and not at every address of the machine as a site's.
        compose["services"]["proxy"]["ports"] = [f"{self.address}:{hub_port}:{hub_port}"]
        (self.folder / "compose.yaml").write_text(yaml.safe_dump(compose))

    def _give_away(self) -> None:
        if self._uid == os.getuid():
            return
        for name in ("archive", "workspaces", "dashboards", "secrets", "site.yaml"):
            for path in [self.folder / name, *(self.folder / name).rglob("*")]:
                os.chown(path, self._uid, self._gid)

    def _start(self, *arguments: str, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        # A session of its own, so that Ctrl-C leaves it to end.
        return subprocess.Popen(
            [*self._compose_command, "--project-name", self._project, "--file", "compose.yaml", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _remove(self, output: IO[bytes]) -> None:
        # First the hub, which could start another server.
        self._start("stop", "--timeout", "5", "hub", output=output).wait()
        servers = ("ps", "--all", "--quiet", "--filter", f"name=^/{self._prefix}-")
        for _ in range(3):
            if found := _ask(*servers).split():
                _ask("rm", "--force", "--volumes", *found)
            if not self._start("down", "--volumes", "--timeout", "5", output=output).wait():
                return
        raise NotReady(
            f"Docker keeps something of the demo: remove what is named {self._project} or {self._prefix}."
        )


def _own_address(config: dict[str, str]) -> str:
    """Return the machine's address on a network of Docker's: that of a bridge which it found there it does not tell."""
    first = next(ip_network(config["Subnet"]).hosts()) if "Subnet" in config else ""
    return config.get("Gateway") or str(first)


def _compose_command() -> list[str]:
    if not shutil.which("docker"):
        raise NotReady("The demo with --docker needs Docker, and there is no program `docker`.")
    with contextlib.suppress(NotReady):
        _ask("compose", "version")
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise NotReady(
        "The demo with --docker needs `docker compose`, which Docker's package docker-compose-plugin brings."
    )


def _ask(*arguments: str) -> str:
    """Return what `docker` prints. Raises NotReady, with what it says is wrong."""
    try:
        done = subprocess.run(
            ["docker", *arguments], check=False, capture_output=True, text=True, timeout=_ANSWER_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise NotReady(f"Docker gave no answer in {_ANSWER_SECONDS} seconds.") from None
    if done.returncode:
        raise NotReady(f"Docker can't be used here: {done.stderr.strip()}")
    return done.stdout


def have_image(image: str, dockerfile: str, *arguments: str) -> None:
    """Build an image that the engine has not got, from this clone. Raises NotReady where that fails."""
    with contextlib.suppress(NotReady):
        _ask("image", "inspect", image)
        return
    clone = shipped("jupyterhub_config.py").parent
    if not (clone / dockerfile).is_file():
        raise NotReady(
            f"There is no image {image}, and only a `git clone` can build it: run scripts/demo --docker in one."
        )
    print(f"Building the image {image}, which takes some minutes the first time.", flush=True)
    command = ["docker", "build", "--file", dockerfile, "--tag", image, *arguments, "."]
    if subprocess.run(command, check=False, cwd=clone, stdin=subprocess.DEVNULL).returncode:
        raise NotReady(f"The image {image} can't be built; what Docker says stands above.")
