"""`xnathub apply`: a site file and its edits brought to a Swarm, and taken back where the hub does not come up."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnathub_conf.cli.diff import changes_text
from xnathub_conf.cli.reports import write_out
from xnathub_conf.render.hub_container import SITE, secrets_of
from xnathub_conf.render.swarm import render_stack
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import SiteError

_LOOK_SECONDS = 0.5
_COMMAND_SECONDS = 120
_LOG_LINES = 8


@dataclass(frozen=True)
class Apply:
    """What to deploy, and how: the arguments of the command."""

    file: str
    stack: str
    image: str
    proxy_image: str | None
    postgres_image: str | None
    secrets: Path
    resolve_image: str
    seconds: int


class NotApplied(Exception):
    """Nothing was deployed, or what was is taken back: why and what to do, and what Swarm and the hub's log say."""


def apply(wanted: Apply) -> int:
    """Check a site file, say what an edit changes, deploy it, and wait until its hub is up.

    Gives 0 where it is, 1 where the file is not valid, or not for a Swarm, or the hub before it runs again, and 2 where Docker refuses.
    """
    try:
        loaded = load(wanted.file)
        if elsewhere := kind_of(loaded.site).applied:
            print(f"`xnathub apply` deploys to a Swarm. {elsewhere}", file=sys.stderr)
            return 1
        text = Path(wanted.file).read_text("utf-8")
        stack = render_stack(
            loaded,
            text,
            image=wanted.image,
            proxy_image=wanted.proxy_image,
            postgres_image=wanted.postgres_image,
        )
    except (SiteError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    for warning in loaded.warnings:
        print(warning, file=sys.stderr)
    if any(warning.rule == "literal-secret" for warning in loaded.warnings):
        # The file goes into a config, which more people may read than secrets.
        return 1
    swarm = _Swarm(wanted)
    try:
        _say_what_changes(swarm, loaded)
        swarm.say_image()
        swarm.make_secrets(secrets_of(loaded))
        before = swarm.hub()
        began = time.monotonic()
        swarm.deploy(stack)
        return _watched(swarm, before, began)
    except NotApplied as error:
        print("", *error.args, sep="\n", file=sys.stderr)
        return 1
    except (OSError, subprocess.SubprocessError) as error:
        print(_of_docker(error), file=sys.stderr)
        return 2


def _say_what_changes(swarm: "_Swarm", loaded: LoadedSite) -> None:
    deployed = swarm.site_file()
    if deployed is None:
        write_out(f"{loaded.document.file} is valid. The stack {swarm.wanted.stack} is new.\n")
        return
    write_out(f"{loaded.document.file} is valid. Against what is deployed:\n\n")
    try:
        before = load("the deployed file", content=deployed)
    except SiteError:
        # Of another version of xnathub, whose keys were others.
        write_out("What is deployed can't be read by this version of xnathub.\n")
        return
    write_out(changes_text(before, loaded))


def _watched(swarm: "_Swarm", before: dict[str, Any] | None, began: float) -> int:
    """Wait for the end of a deployment, and say in a sentence how it ended; give the exit code."""
    now = swarm.hub()
    if before and now and now["Spec"] == before["Spec"]:
        write_out("\nThe hub runs on as it was.\n")
        return 0
    state = _until(lambda: swarm.state(before), began + swarm.wanted.seconds)
    seconds = round(time.monotonic() - began)
    if state == "up":
        write_out(f"\nThe hub is up after {seconds} s.\n")
        return 0
    why = swarm.why()
    if state is None and before is not None:
        swarm.docker("service", "rollback", "--detach", swarm.name("hub"))
        state = _until(lambda: swarm.state(now), time.monotonic() + swarm.wanted.seconds)
    if before is None:
        raise NotApplied(
            f"The hub is not up after {seconds} s, and there is none before it to go back to.", why
        )
    again = (
        "The hub before it runs again."
        if state == "rolled back"
        else f"Taking it back has not ended either: docker service ps --no-trunc {swarm.name('hub')}"
    )
    raise NotApplied(f"The new hub did not come up within {seconds} s. {again}", why)


def _until(look: Callable[[], str | None], end: float) -> str | None:
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(_LOOK_SECONDS)
    return None


class _Swarm:
    """Docker's client on a manager of the Swarm."""

    def __init__(self, wanted: Apply):
        self.wanted = wanted

    def name(self, service: str) -> str:
        """Return the name of one of the stack's services."""
        return f"{self.wanted.stack}_{service}"

    def docker(self, *words: str, given: str | None = None) -> str:
        """Run Docker's client and return what it prints. Raises CalledProcessError where it refuses."""
        done = subprocess.run(
            ["docker", *words],
            input=given,
            capture_output=True,
            text=True,
            check=True,
            timeout=_COMMAND_SECONDS,
        )
        return done.stdout

    def hub(self) -> dict[str, Any] | None:
        """Return the hub's service as Docker describes it, None where there is none."""
        try:
            described = self.docker("service", "inspect", self.name("hub"))
        except subprocess.CalledProcessError as error:
            if "no such service" in error.stderr.lower():
                return None
            raise
        found: dict[str, Any] = json.loads(described)[0]
        return found

    def site_file(self) -> bytes | None:
        """Return the site file that the hub has, None where there is no hub."""
        hub = self.hub()
        if hub is None:
            return None
        for config in hub["Spec"]["TaskTemplate"]["ContainerSpec"].get("Configs", ()):
            if (config.get("File") or {}).get("Name") == SITE:
                described = json.loads(self.docker("config", "inspect", config["ConfigID"]))
                return base64.b64decode(described[0]["Spec"]["Data"])
        raise NotApplied(
            f"The service {self.name('hub')} is no hub of `xnathub render swarm`. Name another stack with --stack."
        )

    def say_image(self) -> None:
        """Say from which image to which the hub goes, where that is another."""
        if (hub := self.hub()) is None:
            return
        deployed = str(hub["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]).partition("@")[0]
        if deployed != self.wanted.image.partition("@")[0]:
            write_out(
                f"\nThe hub's image: {deployed} -> {self.wanted.image}. --image names another, --proxy-image the proxy's.\n"
            )

    def make_secrets(self, names: dict[str, str]) -> None:
        """Create the secrets that are not there from the files of their names. Raises NotApplied where one has no file."""
        there = set(self.docker("secret", "ls", "--format", "{{.Name}}").split())
        missing = [name for name in names if name not in there]
        without = [name for name in missing if not (self.wanted.secrets / name).is_file()]
        if without:
            files = ", ".join(str(self.wanted.secrets / name) for name in without)
            raise NotApplied(
                f"The site names secrets that there are not: {', '.join(without)}. Put each into a file ({files}), or make "
                f"it with `docker secret create`."
            )
        for name in missing:
            self.docker("secret", "create", name, str(self.wanted.secrets / name))
            write_out(f"Made the secret {name}.\n")

    def deploy(self, stack: str) -> None:
        """Deploy a stack to the Swarm."""
        how = ["--with-registry-auth", "--resolve-image", self.wanted.resolve_image]
        self.docker("stack", "deploy", *how, "--compose-file", "-", self.wanted.stack, given=stack)

    def state(self, before: dict[str, Any] | None) -> str | None:
        """Return how the update after `before` has ended, `up` or `rolled back`; None while it goes on.

        Swarm takes back by itself what fails, and calls an update complete when the new container has stayed healthy
        for some seconds.
        """
        hub = self.hub() or {}
        update = hub.get("UpdateStatus") or {}
        if not update:
            return "up" if self._runs() else None
        if before and update.get("StartedAt") == (before.get("UpdateStatus") or {}).get("StartedAt"):
            return None
        ended = {"completed": "up", "rollback_completed": "rolled back"}.get(update["State"])
        return ended if ended and self._runs() else None

    def _runs(self) -> bool:
        words = ("--filter", "desired-state=running", "--format", "{{.CurrentState}}")
        return any(
            line.startswith("Running")
            for line in self.docker("service", "ps", *words, self.name("hub")).splitlines()
        )

    def why(self) -> str:
        """Return what Swarm and the log of the hub that failed last say, where its container is on this node."""
        rows = self.docker("service", "ps", "--no-trunc", "--format", "{{json .}}", self.name("hub"))
        tasks = [task for task in map(json.loads, rows.splitlines()) if task["Error"]]
        # The hub before it, taken back, may fail too for a while: that is not why.
        for task in sorted(tasks, key=lambda task: not task["Image"].startswith(self.wanted.image)):
            label = f"label=com.docker.swarm.task.id={task['ID']}"
            container = self.docker("ps", "--all", "--quiet", "--filter", label).strip()
            if not container:
                return f"{task['Node']}: {task['Error']}"
            # Not `docker service logs`, which at times never ends.
            done = subprocess.run(
                ["docker", "logs", "--tail", str(_LOG_LINES), container],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=_COMMAND_SECONDS,
            )  # fmt: skip
            return f"{task['Error']}. The last lines of its log:\n{done.stdout}".rstrip()
        return f"docker service ps --no-trunc {self.name('hub')} says more."


def _of_docker(error: Exception) -> str:
    """Return in a sentence why Docker's client did not do it."""
    if isinstance(error, FileNotFoundError):
        return "There is no `docker` here. Run this on a manager of the Swarm, with Docker's client."
    if isinstance(error, subprocess.CalledProcessError):
        return f"Docker: {error.stderr.strip()}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"Docker does not answer within {_COMMAND_SECONDS} s."
    return f"Docker's client can't be run: {error}."
