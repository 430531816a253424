"""The demo's hub as a process of this machine, which starts servers as processes."""

import contextlib
import errno
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from xnathub_conf.cli.demo_contents import MOUNTS, NOTEBOOK, PATHS, Programs
from xnathub_conf.cli.run import hub_command, hub_environment

STOP_SECONDS = 30
"""How long a hub may take to end."""

_SITE = """\
# The demo's site file: everything runs on this machine, as your own user.
version: 1

xnat:
  url: {xnat_url}
  service_account:
    password: {{file: {folder}/secrets/xnat_password}}

hub:
  public_url: {hub_url}/jupyterhub/
  bind_url: {hub_url}
  hub_bind_url: http://127.0.0.1:{api_port}
  api_token: {{file: {folder}/secrets/hub_api_token}}

servers:
  allowed_images: [xnat/*]
  default_url: /lab/tree/workspace/{{username}}/{notebook}
{mounts}  environment:
    # Where JupyterLab is told not to ask for news of the project.
    JUPYTER_CONFIG_PATH: {folder}/jupyter

{paths}
orchestrator:
  local: {{directory: {folder}/servers}}

extra:
  ConfigurableHTTPProxy.api_url: http://127.0.0.1:{proxy_port}
"""

WARNING = """\
  WARNING: whoever reaches {address} can try the password, which goes over the network unencrypted,
  and who is signed in runs programs {how}.
"""


class NotReady(Exception):
    """Something that the demo needs can't be had, such as a port; the text says what to do."""


class Local:
    """Where the demo's hub and servers run: here, as processes. Raises NotReady where a program is missing."""

    what_data_are = (
        "Servers are processes of your own user here, so their data are links, not read-only mounts."
    )

    def __init__(self, folder: Path, address: str | None) -> None:
        self.folder, self.address = folder, address or "localhost"
        self.programs = Programs(f"{Path(sys.executable).parent}/", f"{folder}/dashboards")
        path = hub_environment(Path())["PATH"]
        wanted = ("configurable-http-proxy", "jupyterhub-singleuser")
        if missing := [name for name in wanted if not shutil.which(name, path=path)]:
            raise NotReady(f"The demo needs {' and '.join(missing)}: run scripts/setup.")

    def site(self, xnat_url: str, hub_url: str, _hub_port: int) -> str:
        """Return the site file's text. Raises OSError where no port is free."""
        return _SITE.format(
            folder=self.folder,
            mounts=MOUNTS.format(folder=self.folder),
            paths=PATHS.format(folder=self.folder),
            xnat_url=xnat_url,
            hub_url=hub_url,
            notebook=quote(NOTEBOOK),
            api_port=free_port(8081),
            proxy_port=free_port(8001),
        )

    @contextlib.contextmanager
    def hub(self, site: Path, log: Path, _hub_port: int) -> Iterator[subprocess.Popen[bytes]]:
        """Run the hub of a site file within the block, and write what it says to a file."""
        with log.open("wb") as output:
            # A session of its own: Ctrl-C must not reach the hub, its proxy and its servers in any order.
            hub = subprocess.Popen(
                hub_command(),
                cwd=site.parent,
                env=hub_environment(site),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield hub
            finally:
                hub.terminate()
                try:
                    hub.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    hub.kill()
                    hub.wait()

    def from_elsewhere(self, xnat_port: int, hub_port: int) -> str:
        """Return how another machine's browser opens the demo, or what it means that it can."""
        if self.address != "localhost":
            return WARNING.format(address=self.address, how="as your own user here")
        tunnel = f"ssh -L {xnat_port}:localhost:{xnat_port} -L {hub_port}:localhost:{hub_port} {socket.gethostname()}"
        return f"  From another machine:  {tunnel}\n  and open the same address there.\n"


def free_port(wish: int, address: str = "localhost") -> int:
    """Return the wish where it is free, else any free port. Raises OSError where the address is none of this machine's."""
    for port in (wish, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                    raise
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no port is free on {address}")
