"""`xnathub demo`: a stand-in XNAT, a hub, its proxy and real Jupyter servers on this machine, and nothing left after."""

import contextlib
import errno
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from urllib.parse import quote

import requests

from xnathub_conf.cli.demo_contents import NOTEBOOK, fill
from xnathub_conf.cli.run import hub_command, hub_environment
from xnathub_conf.standin import HubLink, StandIn, demo_state

_START_SECONDS = 60
_STOP_SECONDS = 30

_SITE = """\
# The demo's site file: everything runs on this machine, as your own user.
version: 1

xnat:
  url: {xnat_url}
  service_account:
    password: {{file: {folder}/xnat_password}}

hub:
  public_url: {hub_url}/jupyterhub/
  bind_url: {hub_url}
  hub_bind_url: http://127.0.0.1:{api_port}
  api_token: {{file: {folder}/hub_api_token}}

servers:
  allowed_images: [xnat/*]
  default_url: /lab/tree/workspace/{{username}}/{notebook}
  allowed_mounts:
    - path: {folder}/archive
    - path: {folder}/workspaces/users/{{username}}
      writable: true
  environment:
    # Where JupyterLab is told not to ask for news of the project.
    JUPYTER_CONFIG_PATH: {folder}/jupyter

paths:
  archive:
    - {{from: /data/xnat/archive, to: {folder}/archive}}
  workspaces:
    - {{from: /data/xnat/workspaces, to: {folder}/workspaces}}

orchestrator:
  local: {{directory: {folder}/servers}}

extra:
  ConfigurableHTTPProxy.api_url: http://127.0.0.1:{proxy_port}
"""


def demo(xnat_port: int | None, hub_port: int | None, address: str = "localhost") -> int:
    """Run the demo at an address of this machine until Ctrl-C, a hang-up or SIGTERM; a port of None may be any.

    Returns 0 after that, and 2 where something that the demo needs is taken, is not installed or does not start.
    """
    # Ctrl-C too: a shell that starts a program in the background has it ignored.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _interrupt)
    # But nohup's word counts: the demo goes on when its terminal is closed.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)
    programs = hub_environment(Path())["PATH"]
    missing = [
        name
        for name in ("configurable-http-proxy", "jupyterhub-singleuser")
        if not shutil.which(name, path=programs)
    ]
    if missing:
        print(f"The demo needs {' and '.join(missing)}: run scripts/setup.", file=sys.stderr)
        return 2
    try:
        xnat_port = _port(address, xnat_port, 8080, "--xnat-port")
        if xnat_port == hub_port:
            raise _Taken(f"Both can't listen on port {xnat_port}. Give another --hub-port.")
        hub_port = _port(address, hub_port, 8000, "--hub-port")
    except _Taken as taken:
        print(taken, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="xnathub-demo-", ignore_cleanup_errors=True) as folder:
        try:
            return _demo(Path(folder), address, xnat_port, hub_port)
        except KeyboardInterrupt:
            # A terminal that was closed shows nothing any more.
            with contextlib.suppress(OSError):
                print("\nThe demo has ended; nothing of it is left.", flush=True)
            return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # A closed terminal sends its signal twice: by its shell, and by itself. The second must not cut the cleaning up short.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


class _Taken(Exception):
    """A port, or an address, can't be had; the text says what to do."""


def _port(address: str, wanted: int | None, default: int, flag: str) -> int:
    """Return the port that is wanted, or the default or any free one; one that was asked for is never replaced."""
    if wanted is not None:
        if _is_free(address, wanted):
            return wanted
        raise _Taken(
            f"Port {wanted} of {address} is taken by another program. Stop that, or give another {flag}."
        )
    if _is_free(address, default):
        return default
    port = _free_port(0, address)
    print(f"Port {default} is taken by another program, so {port} is used. {flag} chooses one.")
    return port


def _is_free(address: str, port: int) -> bool:
    try:
        return _free_port(port, address) == port
    except OverflowError:
        raise _Taken(f"{port} is no port: ports are 1 to 65535.") from None
    except OSError as error:
        raise _Taken(
            f"{address} is no address of this machine ({error.strerror or error}). `hostname -I` lists those it has."
        ) from None


def _demo(folder: Path, address: str, xnat_port: int, hub_port: int) -> int:
    state = demo_state()
    token = secrets.token_hex(32)
    hub_url = f"http://{address}:{hub_port}"
    fill(folder, state)
    for name, value in {"hub_api_token": token, "xnat_password": state.user("jupyterhub").password}.items():
        (folder / name).touch(0o600)
        (folder / name).write_text(value)
    with StandIn(state, host=address, port=xnat_port) as xnat:
        xnat_url = f"http://{address}:{xnat_port}"
        xnat.hub = HubLink(f"{hub_url}/jupyterhub/hub/api", f"{hub_url}/jupyterhub", token)
        site = folder / "site.yaml"
        ports = {"api_port": _free_port(8081), "proxy_port": _free_port(8001)}
        site.write_text(
            _SITE.format(folder=folder, xnat_url=xnat_url, hub_url=hub_url, notebook=quote(NOTEBOOK), **ports)
        )
        with _hub(site, folder / "hub.log") as hub:
            if not _answers(f"{hub_url}/jupyterhub/hub/health", hub):
                print((folder / "hub.log").read_text(), file=sys.stderr)
                print("The hub did not start; its log stands above.", file=sys.stderr)
                return 2
            password = state.user("demo").password
            print(
                f"\n  The stand-in XNAT:  {xnat_url}\n"
                f"  The hub:            {hub_url}/jupyterhub/\n\n"
                f"  Open {xnat_url}, sign in as  demo  with the password  {password}  and press Start Jupyter.\n\n"
                f"  site.yaml:          {site}\n"
                f"  The hub's log:      {folder / 'hub.log'}\n\n"
                "  Servers are processes of your own user here, so their data are links, not read-only mounts.\n"
                f"{_from_elsewhere(address, xnat_port, hub_port)}\n"
                "  Ctrl-C ends everything and leaves nothing behind.\n",
                flush=True,
            )
            hub.wait()
            print((folder / "hub.log").read_text()[-4000:], file=sys.stderr)
            print("The hub has ended by itself; the end of its log stands above.", file=sys.stderr)
            return 2


@contextlib.contextmanager
def _hub(site: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
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
                hub.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                hub.kill()
                hub.wait()


def _answers(url: str, hub: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and hub.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=5).status_code == 200:
                return True
        time.sleep(0.2)
    return False


def _from_elsewhere(address: str, xnat_port: int, hub_port: int) -> str:
    """Return how another machine's browser opens the demo, or what it means that it can."""
    if address == "localhost":
        tunnel = f"ssh -L {xnat_port}:localhost:{xnat_port} -L {hub_port}:localhost:{hub_port} {socket.gethostname()}"
        return f"  From another machine:  {tunnel}\n  and open the same address there.\n"
    return (
        f"  WARNING: whoever reaches {address} can try the password, which goes over the network unencrypted,\n"
        "  and who is signed in runs programs as your own user here.\n"
    )


def _free_port(wish: int, address: str = "localhost") -> int:
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
