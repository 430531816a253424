"""Completion, by the Tab key in real shells."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from tests.support import XNATHUB

STARTS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "--no-rcs", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
# Then, in place of the command, something that says what it was called with.
LOADS = {
    "bash": 'eval "$(xnathub completion bash)"; xnathub() { echo "<$*>"; }',
    "zsh": 'autoload -U compinit; compinit -u -D; eval "$(xnathub completion zsh)"; xnathub() { echo "<$*>"; }',
    "fish": 'xnathub completion fish | source; function xnathub; echo "<$argv>"; end',
}


class Terminal:
    """A shell on a terminal of its own, where keys are typed and the screen is read."""

    def __init__(self, shell, folder):
        self.controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environment = {
            "PATH": f"{XNATHUB.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *STARTS[shell]],
            cwd=folder,
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        self.screen = ""

    def type(self, keys):
        os.write(self.controller, keys.encode())

    def wait_for(self, text):
        """Read on until the screen since the last call shows `text`."""
        end = time.monotonic() + 60
        while text not in self.screen:
            assert time.monotonic() < end, f"no {text!r} on the screen: {self.screen!r}"
            if select.select([self.controller], [], [], 1)[0]:
                piece = os.read(self.controller, 65536).decode("utf-8", "replace")
                if "\x1b[c" in piece or "\x1b[0c" in piece:  # fish asks what the terminal is
                    self.type("\x1b[?62;c")
                self.screen += re.sub(
                    r"\x1b(\[[0-9;?>=]*[A-Za-z~]|\][^\x07\x1b]*(\x07|\x1b\\)|[=>()][0B]?)", "", piece
                )
        self.screen = ""

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.controller)


@pytest.fixture
def terminal(shell, tmp_path):
    (tmp_path / "berlin-site.yaml").touch()
    terminal = Terminal(shell, tmp_path)
    terminal.type(f"{LOADS[shell]}; echo load''ed\n")
    terminal.wait_for("loaded")
    yield terminal
    terminal.close()


def test_the_tab_key_completes_commands_options_values_and_files(terminal):
    for typed, called in (
        ("val", "<validate>"),
        ("validate --str", "<validate --strict>"),
        ("validate --format sar", "<validate --format sarif>"),
        ("render kub", "<render kubernetes>"),
        ("show berl", "<show berlin-site.yaml>"),
    ):
        terminal.type(f"xnathub {typed}\t")
        terminal.wait_for(f"xnathub {typed}")
        terminal.type("\n")
        terminal.wait_for(called)
