"""The cluster that the demo's pods run on: whether it is one of this machine's, and how images get into it."""

import contextlib
import ipaddress
import json
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

from xnathub_conf.cli.demo_docker import have_image
from xnathub_conf.cli.demo_local import NotReady, free_port

_ANSWER_SECONDS = 60
_LOAD_SECONDS = 900
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"

Node = dict[str, Any]


@dataclass(frozen=True)
class Loader:
    """How an image of this machine's Docker gets to a kind of nodes: by a program that takes it from Docker, or from a pipe."""

    program: list[str]
    piped: bool = False

    def line(self, image: str) -> str:
        """Return what somebody would type."""
        save = f"docker save {image} | " if self.piped else ""
        return save + shlex.join([*self.program, *([] if self.piped else [image])])


def loader(node: Node) -> Loader | None:
    """Return how an image gets to a node, by the marks that kinds of clusters leave on it; None where it has Docker's own."""
    name, labels = node["metadata"]["name"], node["metadata"].get("labels", {})
    provider = node["spec"].get("providerID", "")
    if provider.startswith("kind://"):
        return Loader(["kind", "load", "docker-image", "--name", provider.split("/")[-2]])
    if profile := labels.get("minikube.k8s.io/name"):
        return Loader(["minikube", "--profile", profile, "image", "load"])
    if name.startswith("k3d-"):
        return Loader(["k3d", "image", "import", "--cluster", name.removeprefix("k3d-").rsplit("-", 2)[0]])
    if name == "docker-desktop":
        return None
    if provider.startswith("k3s://"):
        return Loader(["k3s", "ctr", "images", "import", "-"], piped=True)
    if labels.get("microk8s.io/cluster") == "true":
        return Loader(["microk8s", "ctr", "image", "import", "-"], piped=True)
    return Loader(["ctr", "--namespace", "k8s.io", "images", "import", "-"], piped=True)


def is_here(node: Node) -> bool:
    """Return whether a node is this machine, or one that kind, minikube, k3d or Docker Desktop runs on somebody's own."""
    how = loader(node)
    # The others' own programs bring images to nodes that may be anywhere.
    return how is None or not how.piped or any(_is_mine(each) for each in _addresses(node))


class Cluster:
    """The cluster of one of kubectl's contexts. Raises NotReady where it is not one for a demo, or gives no answer."""

    def __init__(self, context: str | None) -> None:
        if not shutil.which("kubectl"):
            raise NotReady("The demo with --kubernetes needs kubectl, and there is no program `kubectl`.")
        self._base = ["kubectl"]
        try:
            self.context = context or self.ask("config", "current-context").strip()
            self._base = ["kubectl", "--context", self.context]
            view = json.loads(self.ask("config", "view", "--minify", "--output", "json"))
        except NotReady:
            raise NotReady(
                f"kubectl has no {f'context {context}' if context else 'current context'}: "
                "`kubectl config get-contexts` lists those that --kubernetes CONTEXT can name."
            ) from None
        self.server: str = view["clusters"][0]["cluster"]["server"]
        self.nodes: list[Node] = self.get("nodes")
        if not self.nodes:
            raise NotReady(f"The cluster of the context {self.context} has no nodes.")
        away = [each["metadata"]["name"] for each in self.nodes if not is_here(each)]
        if away and not context:
            raise NotReady(
                f"The cluster of the context {self.context}, {self.server}, is not this machine's, for all that its node {away[0]} shows. "
                f"Nothing was done there. If it is one to try things on, name it: --kubernetes {self.context}."
            )
        if not any(
            each["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true"
            for each in self.get("storageclasses")
        ):
            raise NotReady(
                f"The cluster of the context {self.context} has no default storage class, which gives the demo's data their volumes: "
                "`kubectl get storageclass` lists what it has."
            )

    def ask(self, *arguments: str, text: str | None = None, seconds: float = _ANSWER_SECONDS) -> str:
        """Return what `kubectl` prints. Raises NotReady, with what it says is wrong."""
        # A session of its own: what Ctrl-C comes upon is finished, for it can only be removed when it is there.
        process = subprocess.Popen(
            [*self._base, *arguments],
            stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            said, wrong = process.communicate(text, seconds)
        except subprocess.TimeoutExpired:
            raise NotReady(f"Kubernetes gave no answer in {seconds:.0f} seconds.") from None
        except KeyboardInterrupt:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=seconds)
            raise
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            raise NotReady(f"Kubernetes can't be used here: {_last_line(wrong)}")
        return said

    def get(self, *arguments: str) -> list[dict[str, Any]]:
        """Return objects of a kind."""
        found: list[dict[str, Any]] = json.loads(self.ask("get", *arguments, "--output", "json"))["items"]
        return found

    def start(
        self, *arguments: str, output: IO[bytes] | int, stdin: int = subprocess.DEVNULL
    ) -> "subprocess.Popen[bytes]":
        """Start a `kubectl` that goes on."""
        return subprocess.Popen(
            [*self._base, *arguments],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def address(self) -> str:
        """Return the address of this machine's that its pods reach and, but for them and it, nobody. Raises NotReady where none is seen."""
        # A bridge of pods has the first address of their network; else it is the one from which this machine reaches the node.
        bridges = [
            str(next(ipaddress.ip_network(each["spec"]["podCIDR"]).hosts()))
            for each in self.nodes
            if "." in each["spec"].get("podCIDR", "")
        ]
        towards = [_source(each) for node in self.nodes for each in _addresses(node)]
        # Documentation's own network: nothing is sent there.
        everybodys = _source("192.0.2.1")
        for each in [*bridges, *towards]:
            if each and each != everybodys and _is_mine(each):
                return each
        raise NotReady(
            "No address of this machine is seen that pods reach and other machines don't: give --address, with one of those that `hostname -I` lists."
        )

    def bring(self, image: str, dockerfile: str, *arguments: str) -> None:
        """Give the nodes an image that they lack, which this machine's Docker has or builds. Raises NotReady where that fails."""
        if not shutil.which("docker"):
            raise NotReady(
                f"The cluster's nodes lack the image {image}, and there is no Docker here that could build it: build it elsewhere with "
                f"`{shlex.join(['docker', 'build', '--file', dockerfile, '--tag', image, *arguments, '.'])}`, and bring it to the nodes."
            )
        have_image(image, dockerfile, *arguments)
        for how in _once(loader(each) for each in self.nodes):
            print(f"Bringing the image {image} to the cluster's nodes: {how.line(image)}", flush=True)
            _load(how, image)

    def why(self, pod: dict[str, Any]) -> str:
        """Return why a pod does not run, as far as the cluster says so."""
        for condition in pod["status"].get("conditions", ()):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return str(condition.get("message", ""))
        for each in _containers(pod):
            for state in ("waiting", "terminated"):
                if found := each["state"].get(state):
                    return f"{found.get('reason', '')} {found.get('message', '')}".strip()
        return f"it is {pod['status'].get('phase', 'unknown')}"

    def wait_for_pods(self, namespace: str, seconds: float, count: int) -> set[str]:
        """Wait until that many pods of a namespace are ready, and return the images that nodes lack. Raises NotReady."""
        deadline = time.monotonic() + seconds
        while True:
            pods = self.get("pods", "--namespace", namespace)
            lacking = {
                each["image"]
                for pod in pods
                for each in _containers(pod)
                if each["state"].get("waiting", {}).get("reason") == "ErrImageNeverPull"
            }
            unready = [pod for pod in pods if not _is_ready(pod)]
            if lacking or (len(pods) == count and not unready):
                return {image.removeprefix("docker.io/library/") for image in lacking}
            if time.monotonic() > deadline:
                name = unready[0]["metadata"]["name"] if unready else "any pod"
                why = self.why(unready[0]) if unready else "none came"
                raise NotReady(f"Kubernetes did not start {name} in {seconds:.0f} seconds: {why}")
            time.sleep(0.5)


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
    return found


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(
        each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ())
    )


def _load(how: Loader, image: str) -> None:
    program = how.program if how.piped else [*how.program, image]
    try:
        if not how.piped:
            done = subprocess.run(
                program,
                check=False,
                capture_output=True,
                text=True,
                timeout=_LOAD_SECONDS,
                start_new_session=True,
            )
        else:
            with subprocess.Popen(
                ["docker", "save", image], stdout=subprocess.PIPE, start_new_session=True
            ) as saved:
                try:
                    done = subprocess.run(
                        program,
                        check=False,
                        stdin=saved.stdout,
                        capture_output=True,
                        text=True,
                        timeout=_LOAD_SECONDS,
                        start_new_session=True,
                    )
                finally:
                    saved.kill()
    except FileNotFoundError:
        wrong = f"there is no program `{program[0]}`"
    except subprocess.TimeoutExpired:
        wrong = f"it did not end in {_LOAD_SECONDS} seconds"
    else:
        if not done.returncode:
            return
        wrong = _last_line(done.stderr)
    raise NotReady(
        f"The cluster's nodes lack the image {image}, and it can't be brought there ({wrong}). By hand: {how.line(image)}"
    )


def _once(loaders: Iterable[Loader | None]) -> list[Loader]:
    found: list[Loader] = []
    for each in loaders:
        if each and each not in found:
            found.append(each)
    return found


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it gave no reason."])[-1]


def _addresses(node: Node) -> list[str]:
    return [
        each["address"]
        for each in node.get("status", {}).get("addresses", ())
        if each["type"] == "InternalIP" and "." in each["address"]
    ]


def _is_mine(address: str) -> bool:
    if ipaddress.ip_address(address).is_loopback:
        return False
    with contextlib.suppress(OSError):
        return free_port(0, address) > 0
    return False


def _source(address: str) -> str:
    """Return the address of this machine's from which it reaches another; "" where there is no way."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Sends nothing: the kernel says which way it would go.
        probe.connect((address, 9))
        return str(probe.getsockname()[0])
    return ""
