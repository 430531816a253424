"""`xnathub demo`: a stand-in XNAT, a hub, its proxy and real Jupyter servers on this machine, and nothing left after."""

import contextlib
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Protocol

import requests

from xnathub_conf.cli.demo_contents import fill
from xnathub_conf.cli.demo_docker import OnDocker
from xnathub_conf.cli.demo_kubernetes import OnKubernetes
from xnathub_conf.cli.demo_local import Local, NotReady, free_port
from xnathub_conf.standin import HubLink, StandIn, demo_state

_START_SECONDS = 60


class _Running(Protocol):
    """What ends when the hub does."""

    def poll(self) -> int | None: ...
    def wait(self) -> int: ...


def demo(
    xnat_port: int | None,
    hub_port: int | None,
    address: str | None = None,
    *,
    docker: bool = False,
    kubernetes: str | None = None,
) -> int:
    """Run the demo at an address of this machine until Ctrl-C, a hang-up or SIGTERM; a port of None may be any.

    An address of None is one that nobody reaches from another machine. `kubernetes` names a context of kubectl's, "" the
    current one. Returns 0 after that, and 2 where something
    that the demo needs is taken, is not installed or does not start.
    """
    # Ctrl-C too: a shell that starts a program in the background has it ignored.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _interrupt)
    # But nohup's word counts: the demo goes on when its terminal is closed.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)
    with tempfile.TemporaryDirectory(prefix="xnathub-demo-", ignore_cleanup_errors=True) as folder:
        try:
            place: Local | OnDocker | OnKubernetes
            if kubernetes is not None:
                place = OnKubernetes(Path(folder), address, kubernetes)
            else:
                place = OnDocker(Path(folder), address) if docker else Local(Path(folder), address)
            xnat_port = _port(place.address, xnat_port, 8080, "--xnat-port")
            if xnat_port == hub_port:
                raise NotReady(f"Both can't listen on port {xnat_port}. Give another --hub-port.")
            hub_port = _port(place.address, hub_port, 8000, "--hub-port")
            return _demo(place, xnat_port, hub_port)
        except NotReady as error:
            print(error, file=sys.stderr)
            return 2
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


def _port(address: str, wanted: int | None, default: int, flag: str) -> int:
    """Return the port that is wanted, or the default or any free one; one that was asked for is never replaced."""
    if wanted is not None:
        if _is_free(address, wanted):
            return wanted
        raise NotReady(
            f"Port {wanted} of {address} is taken by another program. Stop that, or give another {flag}."
        )
    if _is_free(address, default):
        return default
    port = free_port(0, address)
    print(f"Port {default} is taken by another program, so {port} is used. {flag} chooses one.")
    return port


def _is_free(address: str, port: int) -> bool:
    try:
        return free_port(port, address) == port
    except OverflowError:
        raise NotReady(f"{port} is no port: ports are 1 to 65535.") from None
    except OSError as error:
        raise NotReady(
            f"{address} is no address of this machine ({error.strerror or error}). `hostname -I` lists those it has."
        ) from None


def _demo(place: Local | OnDocker | OnKubernetes, xnat_port: int, hub_port: int) -> int:
    state = demo_state()
    token = secrets.token_hex(32)
    folder, address = place.folder, place.address
    hub_url, xnat_url = f"http://{address}:{hub_port}", f"http://{address}:{xnat_port}"
    fill(folder, state, place.programs)
    (folder / "secrets").mkdir()
    for name, value in {"hub_api_token": token, "xnat_password": state.user("jupyterhub").password}.items():
        (folder / "secrets" / name).touch(0o600)
        (folder / "secrets" / name).write_text(value)
    with StandIn(state, host=address, port=xnat_port) as xnat:
        xnat.hub = HubLink(f"{hub_url}/jupyterhub/hub/api", f"{hub_url}/jupyterhub", token)
        site = folder / "site.yaml"
        site.write_text(place.site(xnat_url, hub_url, hub_port))
        log = folder / "hub.log"
        with place.hub(site, log, hub_port) as hub:
            if not _answers(f"{hub_url}/jupyterhub/hub/health", hub):
                print(log.read_text(), file=sys.stderr)
                print("The hub did not start; its log stands above.", file=sys.stderr)
                return 2
            password = state.user("demo").password
            print(
                f"\n  The stand-in XNAT:  {xnat_url}\n"
                f"  The hub:            {hub_url}/jupyterhub/\n\n"
                f"  Open {xnat_url}, sign in as  demo  with the password  {password}  and press Start Jupyter.\n\n"
                f"  site.yaml:          {site}\n"
                f"  The hub's log:      {log}\n\n"
                f"  {place.what_data_are}\n"
                f"{place.from_elsewhere(xnat_port, hub_port)}\n"
                "  Ctrl-C ends everything and leaves nothing behind.\n",
                flush=True,
            )
            hub.wait()
            print(log.read_text()[-4000:], file=sys.stderr)
            print("The hub has ended by itself; the end of its log stands above.", file=sys.stderr)
            return 2


def _answers(url: str, hub: _Running) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and hub.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=5).status_code == 200:
                return True
        time.sleep(0.2)
    return False
