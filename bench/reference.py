"""The reference deployment's own jupyterhub_config.py beside xnathub: one stand-in XNAT, one engine, the same answers for both.

    python -m bench.reference FOLDER

FOLDER is `dockerfiles/jupyterhub` in a checkout of https://github.com/NrgXnat/xnat-jupyterhub-image; nothing in it is changed. It runs
with the packages of its own Dockerfile, JupyterHub 4.0.2 and dockerspawner 13.0.0. Needs root, like the tests of Docker. The table that is
printed names what a user, XNAT or the engine sees of either; 1 is the end where something differs that is not listed as meant.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker
import requests
from docker.errors import DockerException
from requests import RequestException
from websocket import WebSocketException

from bench.reference_hubs import NOTEBOOK, OTHER, Hub, build_both, ours, reference
from tests.docker.conftest import SOCKET
from tests.docker.testbed import GID, UID, wait_for
from tests.hub.test_jupyterhub_ages import Browser
from tests.support import LOOKS_AROUND, ROOT, run_code
from xnathub_conf.standin import Environment, HubError, StandIn, demo_state

SERVER = "20260728T120000123Z"
USER = "demo"

_SHOWN = ("XNAT", "XDG", "MY_", "JUPYTERHUB_ROOT", "JUPYTERHUB_SINGLEUSER", "NB_")
_FAULTS = (
    AssertionError,
    AttributeError,
    LookupError,
    DockerException,
    HubError,
    RequestException,
    WebSocketException,
)

MEANT = {
    "command": "the image's own is left to the image",
    "limits and reservations": "and so many processes: servers.security.pids_limit",
    "the same server again, with other limits": "as above",
    "stop of the default server": "XNAT asks to remove what it stops, which JupyterHub 4.0.2 refuses for this one",
    "image outside allowed_images": "the user reads which rule it was",
    "user of the hub's process": "it never runs as root",
}
"""What differs on purpose."""


class Comparison:
    """Does the same with either hub, and keeps what was seen."""

    def __init__(self, xnat: StandIn, hubs: Mapping[str, Hub], folder: Path) -> None:
        self.xnat, self.hubs, self.folder = xnat, hubs, folder
        self.rows: list[tuple[str, list[str]]] = []

    def row(self, what: str, see: Callable[[Hub], Any]) -> None:
        """Keep what each hub shows of one thing; what fails is shown as the error it was."""
        seen = []
        for hub in self.hubs.values():
            try:
                seen.append(str(see(hub)))
            except _FAULTS as error:
                seen.append(f"fails: {str(error)[:120]}")
        self.rows.append((what, seen))
        print(f"{what} ...", file=sys.stderr, flush=True)

    def start(self, hub: Hub, servername: str, **environment: Any) -> dict[str, Any]:
        options = self.xnat.state.launch(USER, "P1", servername, environment=Environment(**environment))
        hub.plugin.check(USER, servername)
        hub.plugin.start(USER, options)
        return hub.plugin.wait_ready(USER, servername)

    def run(self) -> None:
        """Go through a day of a user's and of XNAT's."""
        self._start()
        self._use()
        self._start_and_stop()
        self._sign_in()
        self._refusals()

    def _start(self) -> None:
        environment = {
            "image": NOTEBOOK, "cpu_limit": 2.0, "cpu_reservation": 0.1, "mem_limit": "1G", "mem_reservation": "64M",
            "constraints": ("node.role==manager",), "env": {"MY_STUDY": "a b$c"},
        }  # fmt: skip
        path = "start of a server named as XNAT's pages do: its path"
        self.row(path, lambda hub: self.start(hub, SERVER, **environment)["url"])
        self.row(
            "what XNAT reads of it",
            lambda hub: listed(f"{k}={v}" for k, v in self.model(hub)["user_options"].items() if v),
        )
        self.row("image", lambda hub: container(hub)["Image"])
        self.row("command", lambda hub: listed(container(hub).get("Args") or ()))
        self.row(
            "mounts",
            lambda hub: listed(
                f"{m['Source'].removeprefix(str(self.folder))} at {m['Target']}{' read-only' * m.get('ReadOnly', False)}"
                for m in container(hub)["Mounts"]
                if m["Type"] == "bind"
            ),
        )
        self.row("limits and reservations", resources)
        self.row(
            "constraints", lambda hub: listed((task(hub).get("Placement") or {}).get("Constraints") or ())
        )
        self.row(
            "variables of XNAT and the image",
            lambda hub: listed(v.partition("=")[0] for v in container(hub)["Env"] if v.startswith(_SHOWN)),
        )
        self.row(
            "a variable's value", lambda hub: listed(v for v in container(hub)["Env"] if v.startswith("MY_"))
        )

    def _use(self) -> None:
        self.row("page, contents, kernel, by the address with a token", lambda hub: self.opens(hub, SERVER))
        self.row("what a cell sees", lambda hub: "; ".join(self.cell(hub, SERVER, LOOKS_AROUND)[:5]))

    def _start_and_stop(self) -> None:
        self.row(
            "start of the default server: its path", lambda hub: self.start(hub, "", image=NOTEBOOK)["url"]
        )
        self.row(
            "servers of the user",
            lambda hub: listed(name or "default" for name in hub.plugin.user(USER)["servers"]),
        )
        self.row("stop of the named server", lambda hub: self.stop(hub, SERVER))

        def again(hub: Hub) -> str:
            self.start(hub, SERVER, image=NOTEBOOK, mem_limit="2G")
            return resources(hub)

        self.row("the same server again, with other limits", again)
        self.row("its stop", lambda hub: self.stop(hub, SERVER))
        self.row("stop of the default server", lambda hub: self.stop(hub, ""))
        words = "jhsingle-native-proxy --destport=0 --authtype=oauth -- python3 -m http.server {port}"
        self.row("a dashboard by its command", lambda hub: self.dashboard(hub, words))
        self.row("stop of the dashboard", lambda hub: self.stop(hub, "dash"))

    def _sign_in(self) -> None:
        right, other = self.xnat.state.user(USER).password, self.xnat.state.user("nobody").password
        self.row("sign-in with XNAT's password", lambda hub: self.signs_in(hub, USER, right))
        self.row("sign-in with a wrong one", lambda hub: self.signs_in(hub, USER, "wrong"))
        self.row("sign-in of a user without the role", lambda hub: self.signs_in(hub, "nobody", other))

    def _refusals(self) -> None:
        self.row("start of what XNAT holds nothing for", self.starts_nothing)
        self.row("image outside allowed_images", lambda hub: self.start(hub, "other", image=OTHER)["url"])
        self.row(
            "user of the hub's process",
            lambda hub: hub.container().exec_run(["id", "-u"]).output.decode().strip(),
        )

    def model(self, hub: Hub) -> dict[str, Any]:
        """Return what the hub says of the named server."""
        found = hub.plugin.server(USER, SERVER)
        assert found
        return found

    def opens(self, hub: Hub, servername: str) -> str:
        """Open a server as XNAT's page does, in a browser that has XNAT's session."""
        browser = Browser(hub.url)
        browser.cookies.set("JSESSIONID", self.xnat.state.open_session(USER).id, path="/")
        address = hub.plugin.open_url(USER, servername)
        browser.open(address)
        browser.works_in(address.partition("?")[0])
        return "all work"

    def cell(self, hub: Hub, servername: str, code: str) -> list[str]:
        server = f"{hub.url}/user/{USER}" + (f"/{servername}" if servername else "")
        return run_code(server, hub.plugin.token(USER, "bench", 600), code).splitlines()

    def stop(self, hub: Hub, servername: str) -> str:
        hub.plugin.stop(USER, servername)
        wait_for(lambda: hub.service(USER, servername) is None, 60)
        return "gone, and its service with it"

    def dashboard(self, hub: Hub, words: str) -> str:
        self.start(hub, "dash", image="xnathub-singleuser:test", command=words)
        browser = Browser(hub.url)
        assert browser.sign_in(USER, self.xnat.state.user(USER).password).status_code == 302
        page = browser.get(f"{hub.url}/user/{USER}/dash/", timeout=60)
        return "works" if "Directory listing" in page.text else f"{page.status_code}"

    def signs_in(self, hub: Hub, user: str, password: str) -> str:
        browser = Browser(hub.url)
        browser.sign_in(user, password)
        return "is in" if browser.is_signed_in_as(user) else "is not in"

    def starts_nothing(self, hub: Hub) -> str:
        body = {"userId": 1, "servername": "none"}
        token = {"Authorization": f"token {hub.token}"}
        made = requests.post(
            f"{hub.url}/hub/api/users/{USER}/servers/none", json=body, headers=token, timeout=60
        )
        wait_for(lambda: not (hub.plugin.server(USER, "none") or {}).get("pending"), 60)
        return "runs" if hub.plugin.server(USER, "none") else "refused" if made.status_code >= 400 else "ends"


def listed(words: Iterable[str]) -> str:
    """Return words in the order of the alphabet."""
    return ", ".join(sorted(words)) or "none"


def task(hub: Hub) -> dict[str, Any]:
    """Return the template of the named server's tasks, as the engine has it."""
    found: dict[str, Any] = hub.service(USER, SERVER).attrs["Spec"]["TaskTemplate"]
    return found


def container(hub: Hub) -> dict[str, Any]:
    """Return what the named server's containers are made from."""
    spec: dict[str, Any] = task(hub)["ContainerSpec"]
    return spec


def resources(hub: Hub) -> str:
    """Return the limits and reservations of the named server."""
    found = task(hub)["Resources"]
    return listed(
        f"{kind} {key}={value}" for kind, pairs in found.items() for key, value in (pairs or {}).items()
    )


def main() -> int:
    """Run both, print the table; give 1 where they differ in what is not meant to."""
    folder = Path(sys.argv[1]) if len(sys.argv) == 2 else None
    if not folder or not (folder / "jupyterhub_config.py").exists():
        print(__doc__, file=sys.stderr)
        return 2
    os.environ["DOCKER_HOST"] = SOCKET
    subprocess.run([ROOT / "tests" / "docker" / "engine"], check=True)
    client = docker.DockerClient(base_url=SOCKET)
    build_both(client, folder)
    gateway = client.networks.get("docker_gwbridge").attrs["IPAM"]["Config"][0]["Gateway"]
    state = demo_state()
    with TemporaryDirectory() as data, StandIn(state, host=gateway) as xnat:
        Path(data).chmod(0o755)
        state.archive_root, state.workspace_root = f"{data}/archive", f"{data}/workspaces"
        name = f"xhtest-{uuid.uuid4().hex[:8]}"
        with (
            ours(client, name, Path(data), xnat, gateway) as new,
            reference(client, f"xhtest-{uuid.uuid4().hex[:8]}", xnat, gateway) as old,
        ):
            workspace = Path(data) / "workspaces" / "users" / USER
            workspace.mkdir(parents=True, exist_ok=True)
            os.chown(workspace, UID, GID)
            found = Comparison(xnat, {"reference": old, "xnathub": new}, Path(data))
            found.run()
    return report(found.rows)


def report(rows: list[tuple[str, list[str]]]) -> int:
    """Print the table; give 1 where a row differs that is not meant to."""
    print("| | the reference | xnathub | |\n|---|---|---|---|")
    wrong = False
    for what, (old, new) in rows:
        said = "the same" if old == new else MEANT.get(what, "DIFFERS")
        wrong |= said == "DIFFERS"
        print(f"| {what} | {old} | {'' if old == new else new} | {said} |")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
