"""A swarm of several real engines on this machine, each in a network namespace of its own, so that a node can be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import docker
from docker.errors import DockerException

from tests.docker.testbed import command, wait_for

BRIDGE, HOST = "xhtest-nodes", "10.99.0.254"

# Nobody answers to names there: a registry that is not found is told at once, and not after a minute of waiting.
_START = """
mount -t tmpfs none /run/docker
echo nameserver 127.0.0.1 >{folder}/resolv.conf
mount --bind {folder}/resolv.conf "$(readlink -f /etc/resolv.conf)"
exec dockerd --data-root {folder}/data --exec-root {folder}/run --pidfile {folder}/pid --host unix://{folder}/docker.sock \
  --bridge none >>{folder}/log 2>&1 </dev/null
"""


class Node:
    """One engine, with a client for it."""

    def __init__(self, folder: Path, name: str, number: int) -> None:
        self.folder, self.name, self.address = folder, name, f"10.99.0.{number}"
        folder.mkdir(parents=True)
        inside, outside = f"xht{number}i", f"xht{number}o"
        command("ip", "netns", "add", name)
        command("ip", "link", "add", outside, "type", "veth", "peer", "name", inside)
        command("ip", "link", "set", outside, "master", BRIDGE, "up")
        command("ip", "link", "set", inside, "netns", name)
        for words in (
            ("addr", "add", f"{self.address}/24", "dev", inside),
            ("link", "set", inside, "up"),
            ("link", "set", "lo", "up"),
            ("route", "add", "default", "via", HOST),
        ):
            command("ip", "-n", name, *words)
        # Not by `ip netns exec`, which hides the cgroups.
        inner = ("unshare", "-m", "bash", "-c", _START.format(folder=folder))
        self.process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{name}", *inner], start_new_session=True
        )

        def client() -> docker.DockerClient | None:
            with contextlib.suppress(DockerException):
                return docker.DockerClient(base_url=f"unix://{folder}/docker.sock")
            return None

        self.client = wait_for(client, 120, lambda: (folder / "log").read_text()[-3000:])

    def load(self, image: str) -> None:
        """Bring an image of this machine's engine here."""
        file = self.folder / "image.tar"
        command("docker", "save", "--output", file, image)
        command("docker", "--host", f"unix://{self.folder}/docker.sock", "load", "--input", file)
        file.unlink()

    def containers(self) -> list[str]:
        return [each.name for each in self.client.containers.list(ignore_removed=True)]

    def kill(self) -> None:
        """Kill the engine and all that runs on it, as a machine that loses its power."""
        _kill(self.name)
        self.process.wait(20)


def _kill(namespace: str) -> None:
    for pid in _processes_in(namespace):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _processes_in(namespace: str) -> list[int]:
    """Return the engine's processes: those in its network namespace, and those below them."""
    wanted = Path(f"/run/netns/{namespace}").stat().st_ino
    parents: dict[int, int] = {}
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if (entry / "ns/net").stat().st_ino == wanted:
                    found.add(int(entry.name))
    more = True
    while more:
        below = {pid for pid, parent in parents.items() if parent in found} - found
        found |= below
        more = bool(below)
    return sorted(found)


class Nodes:
    """A manager and workers: `with Nodes(folder, 2) as nodes`."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self.count = workers
        self.all: list[Node] = []

    @property
    def manager(self) -> Node:
        return self.all[0]

    @property
    def workers(self) -> list[Node]:
        return self.all[1:]

    def __enter__(self) -> Nodes:
        self.clean()
        command("ip", "link", "add", BRIDGE, "type", "bridge")
        command("ip", "addr", "add", f"{HOST}/24", "dev", BRIDGE)
        command("ip", "link", "set", BRIDGE, "up")
        # An engine of this machine may have closed the way between networks.
        command("iptables", "--insert", "FORWARD", "--in-interface", BRIDGE, "--jump", "ACCEPT")
        try:
            for number in range(1, self.count + 2):
                name = f"xhtest-node{number}"
                self.all.append(Node(self.folder / name, name, number))
            self.manager.client.swarm.init(advertise_addr=self.manager.address)
            token = self.manager.client.swarm.attrs["JoinTokens"]["Worker"]
            for worker in self.workers:
                worker.client.swarm.join(
                    remote_addrs=[f"{self.manager.address}:2377"],
                    join_token=token,
                    advertise_addr=worker.address,
                )
            self.label()
        except BaseException:
            self.__exit__()
            raise
        return self

    def label(self) -> None:
        """Label each node with its number, as `number`."""

        def addresses() -> dict[str, object]:
            nodes = self.manager.client.nodes.list()
            return {each.attrs["Status"]["Addr"]: each for each in nodes}

        wait_for(lambda: len(addresses()) == len(self.all), 120)
        found = addresses()
        for number, node in enumerate(self.all):
            swarm_node = found[node.address]
            spec = swarm_node.attrs["Spec"]  # type: ignore[attr-defined]
            swarm_node.update({**spec, "Labels": {"number": str(number)}})  # type: ignore[attr-defined]

    def __exit__(self, *_: object) -> None:
        for node in self.all:
            node.client.close()
        self.clean()

    def clean(self) -> None:
        """Remove every node of these tests, those of a killed run too."""
        for namespace in Path("/run/netns").glob("xhtest-node*"):
            _kill(namespace.name)
            command("ip", "netns", "delete", namespace.name)
        for words in (
            ("iptables", "--delete", "FORWARD", "--in-interface", BRIDGE, "--jump", "ACCEPT"),
            ("ip", "link", "delete", BRIDGE),
        ):
            subprocess.run(words, check=False, capture_output=True)
        for mount in reversed(Path("/proc/mounts").read_text().splitlines()):
            if (place := mount.split()[1]).startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
