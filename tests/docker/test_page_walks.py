"""From a host with Docker to a notebook, by the commands that a page shows, typed on a terminal as they stand there."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.demo import no_images_but_own
from tests.docker.testbed import GID, SINGLEUSER, UID, Site, wait_for
from tests.docs.pages import ROOT
from tests.plugin_pages import new_event, opened
from xnathub_conf.standin import HubLink, HubPlugin, StandIn, demo_state

MOST_COMMANDS = 12

HERE = {
    # What the checkout has installed is used; images come from no registry here, and base images have other names.
    r"^docker build ": "docker build --network host --build-arg BASE=xnathub-base:test --build-arg BUILDER_BASE=xnathub-builder:test ",
    r"^docker stack deploy --with-registry-auth ": "docker stack deploy --resolve-image never ",
    # Debian's client has no plugin for it.
    r"^docker compose exec": "docker-compose exec",
    r"^docker compose": "docker-compose",
    # Whoever reads along ends that with Ctrl-C.
    r" logs --follow ": " logs ",
    r"\bsudo ": "",
}
"""What a command of a page is here, where the host is another."""


def commands(page: str) -> list[str]:
    """Return the commands of a page's way from nothing to a notebook, without comments."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    way = text[text.index("## From nothing to a notebook") : text.index("## Changes")]
    lines = "".join(re.findall(r"^ *```sh\n(.*?)^ *```$", way, re.MULTILINE | re.DOTALL)).splitlines()
    return [re.sub(r"\s+#.*", "", line).strip() for line in lines]


class Person(Site):
    """Somebody at a terminal in a checkout, beside XNAT."""

    token_file: str
    ready: Callable[[Person], object]

    @property
    def checkout(self) -> Path:
        """The folder of the clone, by whose name docker-compose calls its containers."""
        return self.folder / self.name

    @property
    def site_file(self) -> Path:
        return self.checkout / "site.yaml"

    @property
    def address(self) -> str:
        """Where browsers find the hub: beside XNAT, as if a web server stood before both."""
        return f"{self.xnat.url.rpartition(':')[0]}:{self.port}/jupyterhub"

    def clone(self) -> None:
        """Have the files of the project, and what it has installed."""
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for name in filter(None, tracked.decode().split("\0")):
            target = self.checkout / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        for name in (".venv", "node_modules"):
            (self.checkout / name).symlink_to(ROOT / name)

    def type(self, line: str, answers: list[str]) -> str:
        """Type a command, and what it asks for; return what the terminal shows when it has ended well."""
        for pattern, here in HERE.items():
            line = re.sub(pattern, here, line)
        controller, terminal = pty.openpty()
        os.write(controller, "".join(answers).encode())
        environment = {
            **os.environ, "PATH": f"{self.checkout}/.venv/bin:{os.environ['PATH']}", "DOCKER_BUILDKIT": "0",
        }  # fmt: skip
        process = subprocess.Popen(
            ["bash", "-c", line], cwd=self.checkout, env=environment, stdin=terminal, stdout=terminal,
            stderr=terminal,
        )  # fmt: skip
        os.close(terminal)
        screen = b""
        # A terminal that nobody has any more is an error.
        with contextlib.suppress(OSError):
            while piece := os.read(controller, 4096):
                screen += piece
        os.close(controller)
        shown = screen.decode()
        assert process.wait(60) == 0, f"{line}\n{shown}"
        return shown

    def walk(self, page: str, **orchestrator: object) -> None:
        """Type a page's commands one after the other, then press the button and use the notebook."""
        lines = commands(page)
        assert 5 < len(lines) <= MOST_COMMANDS, lines
        gid = Path("/var/run/docker.sock").stat().st_gid
        answers = {
            "xnathub init": [self.xnat.url, self.address, SINGLEUSER, str(UID), str(GID), str(gid)],
            "xnat_password": [self.state.user("jupyterhub").password, "\x04"],
        }
        began = time.monotonic()
        for line in lines:
            if "xnathub doctor" in line:
                wait_for(lambda: self.ready(self), 180)
                self.enter_into_xnat()
            typed = next((found for start, found in answers.items() if start in line), [])
            shown = self.type(line, [f"{each}\n" if each.isprintable() else each for each in typed])
            if "xnathub init" in line:
                self.edit(orchestrator)
        assert re.search(r"\d+ ok", shown), shown
        event = new_event()
        try:
            self.start("demo", servername=event)
            assert opened(self.plugin, self.state, "demo", event).status_code == 200
            assert self.execute("demo", "print(6 * 7)", event) == "42\n"
        finally:
            self.stop_all()
        print(f"{page}: {len(lines)} commands, {time.monotonic() - began:.0f} s")

    def edit(self, orchestrator: dict[str, object]) -> None:
        """Change in site.yaml what is not as on a host of XNAT's own: its folders, a port, the kernel."""
        site = yaml.safe_load(self.site_file.read_text())
        site["hub"]["bind_url"] = f"http://0.0.0.0:{self.port}"
        site["servers"]["allowed_mounts"] = self.site["servers"]["allowed_mounts"]
        site["paths"] = self.site["paths"]
        next(iter(site["orchestrator"].values())).update(orchestrator)
        self.site_file.write_text(yaml.safe_dump(site))

    def enter_into_xnat(self) -> None:
        """Do in XNAT's settings what the pages say."""
        token = (self.checkout / self.token_file).read_text().strip()
        self.plugin = HubPlugin(HubLink(f"{self.url}/hub/api", self.address, token), start_timeout=90)
        self.state.preferences = {
            "jupyterHubHostUrl": self.address.removesuffix("/jupyterhub"),
            "jupyterHubApiUrl": f"{self.url}/hub/api",
            "jupyterHubToken": token,
        }


def tidy(*lines: str) -> None:
    """Remove what a walk made, and what there is of one that was killed."""
    for line in lines:
        subprocess.run(["bash", "-c", line], capture_output=True, timeout=120)


@pytest.fixture
def person(docker_client, host_address, unique, tmp_path) -> Iterator[Person]:
    with no_images_but_own(), StandIn(demo_state(), host=host_address) as xnat:
        person = Person(docker_client, unique, tmp_path, xnat, {})
        person.workspace("demo")
        person.clone()
        yield person


def test_one_engine(person: Person):
    person.token_file = "secrets/hub_api_token"
    person.ready = lambda person: healthy(person, f"{person.name}_hub_1")
    try:
        person.walk("docker.md")
    finally:
        tidy(f"cd {person.checkout} && docker-compose down --volumes")


def test_a_swarm(person: Person):
    left = (
        "docker stack rm xnathub",
        "sleep 5",
        "docker secret rm hub_api_token xnat_password",
        "docker volume rm xnathub_data",
    )
    tidy(*left)
    person.token_file = "hub_api_token"
    person.ready = lambda person: healthy(person, "xnathub_hub")
    try:
        # The kernel here has no virtual addresses.
        person.walk("swarm.md", endpoint_mode="dnsrr")
    finally:
        tidy(*left)


def healthy(person: Person, name: str) -> bool:
    found = person.client.containers.list(filters={"name": name, "health": "healthy"}, ignore_removed=True)
    return len(found) == 1
