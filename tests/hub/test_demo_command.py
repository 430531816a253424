"""The demo's process: it leaves nothing behind when its terminal goes away, and takes no port but those it was told."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest
import requests

from tests.support import XNATHUB, free_port, wait_until


def run(folder: Path, *arguments: str) -> subprocess.Popen:
    output = (folder / "output").open("w")
    temporary = folder / "tmp"
    temporary.mkdir()
    return subprocess.Popen(
        [XNATHUB, "demo", *arguments],
        stdout=output,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary)},
        start_new_session=True,
    )


@pytest.fixture
def taken():
    with socket.create_server(("localhost", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("flag", ["--xnat-port", "--hub-port"])
def test_a_port_that_was_asked_for_is_never_replaced(tmp_path, taken, flag):
    demo = run(tmp_path, flag, str(taken))
    assert demo.wait(60) == 2
    said = (tmp_path / "output").read_text()
    assert f"Port {taken} of localhost is taken" in said
    assert flag in said


@pytest.mark.parametrize(
    ("ports", "said"),
    [((99999, 18000), "99999 is no port"), ((18080, 18080), "Both can't listen on port 18080")],
)
def test_ports_that_can_t_be_are_said(tmp_path, ports, said):
    demo = run(tmp_path, "--xnat-port", str(ports[0]), "--hub-port", str(ports[1]))
    assert demo.wait(60) == 2
    assert said in (tmp_path / "output").read_text()


def test_an_address_of_another_machine_is_refused(tmp_path):
    demo = run(tmp_path, "--address", "192.0.2.1")
    assert demo.wait(60) == 2
    assert "192.0.2.1 is no address of this machine" in (tmp_path / "output").read_text()


def test_a_closed_terminal_ends_all_of_it(tmp_path):
    """It runs at an address for others too, of which it warns."""
    xnat, hub = free_port(), free_port()
    demo = run(tmp_path, "--address", "127.0.0.1", "--xnat-port", str(xnat), "--hub-port", str(hub))
    said = (tmp_path / "output").read_text
    try:
        wait_until(lambda: "Ctrl-C ends" in said() or demo.poll() is not None, 120, "the demo's start")
        assert demo.poll() is None, said()
        assert "WARNING: whoever reaches 127.0.0.1 can try the password" in said()
        assert f"Open http://127.0.0.1:{xnat}" in said()
        assert requests.get(f"http://127.0.0.1:{hub}/jupyterhub/hub/health", timeout=10).ok
        family = psutil.Process(demo.pid).children(recursive=True)
        assert any("jupyterhub" in " ".join(process.cmdline()) for process in family)
        # A shell that is closed sends it, and so does the terminal.
        for _ in range(2):
            demo.send_signal(signal.SIGHUP)
        assert demo.wait(60) == 0
    finally:
        demo.kill()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive, [process.cmdline() for process in alive]
    assert not list((tmp_path / "tmp").glob("xnathub-demo-*"))
