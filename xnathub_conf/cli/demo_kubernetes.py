"""The demo's hub, its proxy and its servers as pods of a cluster on this machine."""

import contextlib
import io
import secrets
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import yaml

from xnathub_conf.cli.demo_cluster import Cluster
from xnathub_conf.cli.demo_contents import MOUNTS, NOTEBOOK, Programs
from xnathub_conf.cli.demo_docker import SERVERS_IMAGE
from xnathub_conf.cli.demo_local import WARNING, NotReady
from xnathub_conf.render.hub_container import IMAGE
from xnathub_conf.render.kubernetes import render_manifests
from xnathub_conf.site.load import load

_DASHBOARDS = "/opt/dashboards"
_DATA = "/data/xnat"
_START_SECONDS = 240
_END_SECONDS = 120
_USER = 1000
_PODS = 2
"""The hub and its proxy."""

_SITE = """\
# The demo's site file: the hub and people's servers are pods of a cluster on this machine.
version: 1

xnat:
  url: {xnat_url}
  service_account:
    password: {{file: /etc/xnathub/secrets/xnat_password}}

hub:
  public_url: {hub_url}/jupyterhub/
  api_token: {{file: /etc/xnathub/secrets/hub_api_token}}
  uid: {user}
  gid: {user}

servers:
  uid: {user}
  gid: {user}
  allowed_images: ["{image}"]
  default_url: /lab/tree/{notebook}
{mounts}  mounts:
    - {{source: {data}/archive/dashboards, target: {dashboards}}}
  stop_timeout: 2
  # XNAT is at a private address, which network policies have to name.
  internet: none

orchestrator:
  kubernetes:
    namespace: {namespace}
    image_pull_policy: Never
    claims:
      - {{path: {data}/archive, claim_name: xnat-archive}}
      - {{path: {data}/workspaces, claim_name: xnat-workspaces}}
"""

_REACHES = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)"


class OnKubernetes:
    """Where the demo's hub and servers run: in pods. Raises NotReady where no cluster for it can be had."""

    what_data_are = "Servers are pods, and the project's files in them, below /data, are read-only."

    def __init__(self, folder: Path, address: str | None, context: str | None) -> None:
        self.folder = folder
        self._cluster = Cluster(context)
        self._own = None if address else self._cluster.address()
        self.address = address or self._own or ""
        if self.address == "localhost" or self.address.startswith("127."):
            raise NotReady("Pods must reach --address: give one of those that `hostname -I` lists.")
        self.programs = Programs("", _DASHBOARDS, SERVERS_IMAGE)
        self._namespace = f"xnathub-demo-{secrets.token_hex(4)}"

    def site(self, xnat_url: str, hub_url: str, _hub_port: int) -> str:
        """Return the site file's text."""
        return _SITE.format(
            data=_DATA,
            mounts=MOUNTS.format(folder=_DATA),
            xnat_url=xnat_url,
            hub_url=hub_url,
            notebook=quote(NOTEBOOK),
            image=SERVERS_IMAGE,
            dashboards=_DASHBOARDS,
            user=_USER,
            namespace=self._namespace,
        )

    @contextlib.contextmanager
    def hub(self, site: Path, log: Path, hub_port: int) -> Iterator["_Followed"]:
        """Run the pods of a site file within the block, and write what the hub says to a file.

        Yields what follows them, which ends with them. Raises NotReady where they don't start.
        """
        cluster, namespace = self._cluster, self._namespace
        print(
            f"The cluster of the context {cluster.context}, {cluster.server}, gets the namespace {namespace}.",
            flush=True,
        )
        loaded = load(str(site))
        try:
            cluster.ask("create", "namespace", namespace)
        except NotReady:
            # Unless the cluster answers too late, there is none.
            with contextlib.suppress(NotReady):
                self._remove()
            raise
        except KeyboardInterrupt:
            self._remove()
            raise
        try:
            self._apply(*(_claim(name) for name in ("xnat-archive", "xnat-workspaces")))
            self._fill()
            self._look_for_xnat(loaded.site.xnat.url)
            self._in_namespace("delete", "pod", "fill", "--now")
            self._apply(self._secret(), *yaml.safe_load_all(render_manifests(loaded, site.read_text())))
            cluster.wait_for_pods(namespace, _START_SECONDS, _PODS)
            with log.open("ab") as output:
                follow = _Followed(cluster, namespace, socket.gethostbyname(self.address), hub_port, output)
                try:
                    yield follow
                finally:
                    follow.end()
        finally:
            self._remove()

    def from_elsewhere(self, _xnat_port: int, _hub_port: int) -> str:
        """Return how another machine's browser opens the demo, or what it means that it can."""
        if self.address != self._own:
            return WARNING.format(address=self.address, how="in pods here")
        return (
            f"  Only this machine and its pods reach {self.address}. For a browser elsewhere: --address, with one of the\n"
            "  addresses that `hostname -I` lists. Everybody who reaches it can try the password.\n"
        )

    def _in_namespace(self, *arguments: str, text: str | None = None, seconds: float = 60) -> str:
        return self._cluster.ask("--namespace", self._namespace, *arguments, text=text, seconds=seconds)

    def _apply(self, *objects: Any) -> None:
        self._in_namespace("apply", "--filename", "-", text=yaml.safe_dump_all(objects))

    def _fill(self) -> None:
        """Run a pod that has the data's volumes and every image, and put the data there."""
        brought: set[str] = set()
        images = {
            IMAGE: ("Dockerfile",),
            SERVERS_IMAGE: ("Dockerfile.singleuser", "--build-arg", "LOCK=demo"),
        }
        while True:
            self._apply(_filling_pod())
            lacking = self._cluster.wait_for_pods(self._namespace, _START_SECONDS, 1)
            if not lacking:
                break
            if again := lacking & brought:
                raise NotReady(
                    f"The node that a pod came to lacks the image {min(again)} still, though it was brought to the cluster."
                )
            # The node would look for it again a good while later.
            self._in_namespace("delete", "pod", "fill", "--now")
            for image in lacking:
                self._cluster.bring(image, *images[image])
            brought |= lacking
        self._send(self._packed())

    def _packed(self) -> bytes:
        """Return the data as a tar file, the dashboards' programs beside the projects."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as file:
            for name, target in (
                ("archive", "archive"),
                ("dashboards", "archive/dashboards"),
                ("workspaces", "workspaces"),
            ):
                for path in sorted((self.folder / name).iterdir()):
                    file.add(path, f"{target}/{path.name}")
        return packed.getvalue()

    def _send(self, packed: bytes) -> None:
        done = self._cluster.start(
            "--namespace", self._namespace, "exec", "--stdin", "fill", "--container", "servers", "--",
            "tar", "--extract", "--no-same-owner", "--directory", "/fill", stdin=subprocess.PIPE, output=subprocess.PIPE,
        )  # fmt: skip
        try:
            said, _ = done.communicate(packed, 120)
        except subprocess.TimeoutExpired:
            raise NotReady("Kubernetes did not take the demo's data in 120 seconds.") from None
        finally:
            done.kill()
            done.wait()
        if done.returncode:
            raise NotReady(
                f"The demo's data can't be put into the cluster's volumes: {said.decode().strip()}"
            )

    def _look_for_xnat(self, url: str) -> None:
        _, _, where = url.partition("//")
        host, _, port = where.rpartition(":")
        try:
            self._in_namespace(
                "exec", "fill", "--container", "servers", "--", "python3", "-c", _REACHES, host, port
            )
        except NotReady as error:
            raise NotReady(
                f"Pods don't reach this machine's {host}, where XNAT is: let the cluster's network in at its firewall, or give another --address. {error}"
            ) from None

    def _secret(self) -> dict[str, Any]:
        values = {each.name: each.read_text() for each in (self.folder / "secrets").iterdir()}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "xnathub-secrets"},
            "stringData": values,
        }

    def _remove(self) -> None:
        """Remove the namespace, and with it all that is in it. Raises NotReady where the cluster does not do so."""
        namespace = self._namespace
        try:
            self._cluster.ask("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
            # Without the half a minute that a pod may take to end.
            self._in_namespace("delete", "pods", "--all", "--grace-period=2", "--wait=false")
            limit = f"--timeout={_END_SECONDS}s"
            self._cluster.ask(
                "wait", "--for=delete", f"namespace/{namespace}", limit, seconds=_END_SECONDS + 10
            )
        except NotReady as error:
            raise NotReady(
                f"The cluster of the context {self._cluster.context} keeps something of the demo: "
                f"kubectl --context {self._cluster.context} delete namespace {namespace}. {error}"
            ) from None


class _Followed:
    """The way of browsers to the hub, and its log: two `kubectl` that are started again when they end before the hub does."""

    def __init__(self, cluster: Cluster, namespace: str, address: str, port: int, output: IO[bytes]) -> None:
        self._cluster, self._namespace, self._output = cluster, namespace, output
        self._commands = (
            ("port-forward", "--address", address, "service/proxy-public", f"{port}:80"),
            ("logs", "--follow", "deployment/hub"),
        )
        self._running = [self._start(each) for each in self._commands]

    def poll(self) -> int | None:
        """Start again what has ended. Returns 1 where the hub is gone, else None."""
        for index, command in enumerate(self._commands):
            if self._running[index].poll() is None:
                continue
            try:
                self._cluster.ask("--namespace", self._namespace, "get", "deployment/hub")
            except NotReady as error:
                self._output.write(f"{error}\n".encode())
                self._output.flush()
                return 1
            self._running[index] = self._start(command)
        return None

    def wait(self) -> int:
        """Return once the hub is gone."""
        while (gone := self.poll()) is None:
            time.sleep(1)
        return gone

    def end(self) -> None:
        """End both."""
        for each in self._running:
            each.kill()
            each.wait()

    def _start(self, command: tuple[str, ...]) -> "subprocess.Popen[bytes]":
        return self._cluster.start("--namespace", self._namespace, *command, output=self._output)


def _claim(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def _filling_pod() -> dict[str, Any]:
    """Return a pod that mounts the data's volumes, and needs the hub's image and the servers'."""
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    volumes = ("archive", "workspaces")
    containers = [
        {
            "name": name,
            "image": image,
            "imagePullPolicy": "Never",
            "command": ["sleep", "3600"],
            "securityContext": safe,
            "volumeMounts": [{"name": each, "mountPath": f"/fill/{each}"} for each in volumes],
        }
        for name, image in (("servers", SERVERS_IMAGE), ("hub", IMAGE))
    ]
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER, "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": containers,
        "volumes": [{"name": each, "persistentVolumeClaim": {"claimName": f"xnat-{each}"}} for each in volumes],
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fill"}, "spec": spec}
