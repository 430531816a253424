"""The cluster, a namespace of a test's own, and the chart installed in it with a stand-in XNAT beside."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from tests.hub.test_older_databases import make_database
from tests.plugin_pages import request
from tests.secret_search import Search
from tests.support import SITE_SERVERS, run_code, signed_in, site_software
from tests.tarpit import Tarpit
from xnathub_conf.standin import (
    Environment,
    HubError,
    HubLink,
    HubPlugin,
    StandIn,
    State,
    demo_state,
    make_sample_archive,
)

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHART = ROOT / "xnat-jupyterhub-chart"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xnathub-kubernetes"
VOLUMES = Path("/var/lib/xnathub-kubernetes/volumes")
RUN, LOGS = Path("/run/xnathub-kubernetes"), Path("/var/log/xnathub-kubernetes")
NODE = "10.89.0.1"
"""The node's address, where pods reach what listens on this host."""

HUB, SINGLEUSER, BUSYBOX = "xnathub:test", "xnathub-singleuser:test", "xnathub-pause:test"
TARPIT = Tarpit()
"""The registry that never answers, which tests enter where they want it."""

UID, GID = 5001, 6001
"""What Tomcat would be: the owner of archive and workspaces. The hub itself runs as another."""


class Cluster:
    """The cluster, through the clients that people use."""

    def __init__(self) -> None:
        path = f"{CACHE / 'bin'}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "KUBECONFIG": str(CACHE / "kubeconfig")}

    def run(self, *command: str, text: str | None = None, check: bool = True) -> str:
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=self.environment)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} gave {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    @contextmanager
    def without_api_server(self) -> Iterator[None]:
        """The API server is away within the block; all else runs on."""
        file = RUN / "kube-apiserver.pid"
        server = psutil.Process(int(file.read_text()))
        command = server.cmdline()
        server.kill()
        server.wait()
        try:
            yield
        finally:
            with (LOGS / "kube-apiserver.log").open("ab") as log:
                started = subprocess.Popen(
                    command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
                )
            file.write_text(f"{started.pid}\n")
            wait_for(lambda: self.run("kubectl", "get", "--raw", "/readyz", check=False) == "ok", 90)
            self._wait_for_the_node()

    @contextmanager
    def without_node(self) -> Iterator[None]:
        """The node says nothing of itself within the block, as one that is gone; what runs on it runs on."""
        kubelet = psutil.Process(int((RUN / "kubelet.pid").read_text()))
        kubelet.suspend()
        try:
            yield
        finally:
            kubelet.resume()
            self._wait_for_the_node()

    @contextmanager
    def without_room(self) -> Iterator[None]:
        """The node takes no new pods within the block, as one that is drained.

        The scheduler may not know of it at once: where the API server was away, it looks at the node again up to a minute later.
        """
        self.kubectl("cordon", "node")
        try:
            wait_for(self._places_nothing, 180)
            yield
        finally:
            self.kubectl("uncordon", "node")

    def _places_nothing(self) -> bool:
        """Return whether the scheduler finds no node for a pod that asks for nothing."""
        name = f"probe-{uuid.uuid4().hex[:10]}"
        container = {"name": "probe", "image": BUSYBOX, "imagePullPolicy": "Never"}
        spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        try:
            self.kubectl("wait", "--for=condition=PodScheduled=false", f"pod/{name}", "--timeout=5s")
        except AssertionError:
            return False
        finally:
            self.kubectl("delete", "pod", name, "--now")
        return True

    def _wait_for_the_node(self) -> None:
        """Wait until the node, which was out of sight, has been seen again, and has stayed so for 15 seconds.

        At first the cluster takes it for what it was. Then it may miss it for a while: its pods get no traffic, and it no pod.
        """
        away_at = time.monotonic()

        def settled() -> bool:
            nonlocal away_at
            node = self.get("node", "node")
            (ready,) = [each for each in node["status"]["conditions"] if each["type"] == "Ready"]
            if ready["status"] != "True" or node["spec"].get("taints"):
                away_at = time.monotonic()
            return time.monotonic() - away_at >= 15

        wait_for(settled, 180)

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.run("kubectl", *arguments, **options)

    def helm(self, *arguments: str, **options: Any) -> str:
        return self.run("helm", *arguments, **options)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def apply(self, *objects: Any, namespace: str | None = None) -> None:
        where = ["--namespace", namespace] if namespace else []
        self.kubectl("apply", *where, "--filename", "-", text=yaml.safe_dump_all(objects))

    def import_images(self, names: list[str]) -> None:
        """Give the node images of this host's Docker engine."""
        words = ["ctr", "-a", str(RUN / "containerd.sock"), "-n", "k8s.io", "images", "import", "-"]
        with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as saved:
            subprocess.run(words, stdin=saved.stdout, stdout=subprocess.DEVNULL, check=True, timeout=300)
        assert saved.returncode == 0


@contextmanager
def new_namespace(cluster: Cluster) -> Iterator[Namespace]:
    """A namespace of its own with XNAT's two claims and room for the hub's."""
    namespace = Namespace(cluster, f"xhtest-{uuid.uuid4().hex[:10]}")
    try:
        cluster.kubectl("create", "namespace", namespace.name)
        cluster.kubectl(
            "wait", "--for=create", "serviceaccount/default", "--timeout=90s", "--namespace", namespace.name
        )
        namespace.folder.mkdir(parents=True)
        for name, mode in {"xnat-archive": "ReadWriteMany", "xnat-workspaces": "ReadWriteMany"}.items():
            namespace.volume(name, mode)
            namespace.claim(name, mode)
        namespace.volume("hub-db-dir", "ReadWriteOnce").chmod(0o777)
        yield namespace
    finally:
        namespace.kubectl("delete", "pods", "--all", "--grace-period=1", "--wait=false")
        cluster.kubectl("delete", "namespace", namespace.name, "--timeout=90s")
        for name in namespace.volumes:
            cluster.kubectl("delete", "persistentvolume", name)
        shutil.rmtree(namespace.folder)


@dataclass
class Namespace:
    cluster: Cluster
    name: str
    volumes: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where this host keeps what the namespace's volumes hold."""
        return VOLUMES / self.name

    def volume(self, claim: str, mode: str) -> Path:
        """Make a folder and the volume for a claim that may come."""
        path = self.folder / claim
        path.mkdir()
        name = f"{self.name}-{claim}"
        spec = {
            "capacity": {"storage": "1Gi"},
            "accessModes": [mode],
            "hostPath": {"path": str(path)},
            "claimRef": {"namespace": self.name, "name": claim},
        }
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
        )
        self.volumes.append(name)
        return path

    def claim(self, name: str, mode: str) -> None:
        spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}
        metadata = {"name": name, "namespace": self.name}
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
        )

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.cluster.kubectl("--namespace", self.name, *arguments, **options)

    def get(self, *arguments: str) -> Any:
        return self.cluster.get("--namespace", self.name, *arguments)

    def apply(self, *objects: Any) -> None:
        self.cluster.apply(*objects, namespace=self.name)


def site_values(xnat_url: str) -> dict[str, Any]:
    """A site of the tests as the chart's values."""
    return {
        "site": {
            "version": 1,
            "xnat": {
                "url": xnat_url,
                "service_account": {"password": {"file": "/etc/xnathub/secrets/xnat_password"}},
            },
            "hub": {
                "api_token": {"file": "/etc/xnathub/secrets/hub_api_token"},
                # As behind an ingress that is not named.
                **{"reverse_proxies": 1, "uid": 4001, "gid": 4002},
                "roles": [{"name": "operator", "scopes": ["read:metrics"], "users": ["demo"]}],
            },
            "servers": {
                "uid": UID,
                "gid": GID,
                "allowed_images": ["xnathub-*:test", "missing.example.org/*", f"{TARPIT.host}/*"],
                "allowed_mounts": [
                    {"path": "/data/xnat/archive"},
                    {"path": "/data/xnat/workspaces/users/{username}", "writable": True},
                    *({"path": claim} for claim in ("missing-claim", "unbound-claim", "shared-atlas")),
                ],
                "cpu_guarantee": 0.05,
                "mem_guarantee": "64M",
                "mem_limit": "1G",
                "caps": {"generic_resources": {"gpu": 1}},
                # Long, for a machine that has much else to do.
                "start_timeout": 120,
                "http_timeout": 60,
                "stop_timeout": 2,
                "sweep_interval": 3,
            },
            "orchestrator": {"kubernetes": {"image_pull_policy": "IfNotPresent", "schedule_timeout": 6}},
        },
        "image": {"repository": "xnathub", "tag": "test", "pullPolicy": "Never"},
        "jupyterhub": {"enabled": False},
    }


@dataclass
class Release:
    """The chart, installed in a namespace of its own, with an XNAT that it talks to."""

    namespace: Namespace
    values: dict[str, Any]
    state: State
    xnat: StandIn
    chart: Path = CHART

    def upgrade(self) -> None:
        file = self.namespace.folder / "values.yaml"
        file.write_text(json.dumps(self.values))
        self.namespace.cluster.helm(
            *("upgrade", "--install", "hub", str(self.chart), "--namespace", self.namespace.name),
            *("--values", str(file), "--wait", "--timeout", "300s"),
        )
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Wait until the hub answers through the proxy."""
        self.namespace.kubectl("rollout", "status", "deployment/hub", "--timeout=180s")
        wait_for(self.healthy, 180)

    def healthy(self) -> bool:
        """Return whether the hub answers through the proxy, which may hold a request for 20 s while there is no hub."""
        try:
            return requests.get(f"{self.url}/hub/health", timeout=30).status_code == 200
        except requests.RequestException:
            return False

    @property
    def url(self) -> str:
        """The hub's address, through the chart's own proxy."""
        address = self.namespace.get("service", "proxy-public")["spec"]["clusterIP"]
        return f"http://{address}/jupyterhub"

    @property
    def plugin(self) -> HubPlugin:
        """XNAT's plugin, linked to this hub."""
        token = self.secrets("xnathub-secrets")["hub_api_token"].decode()
        return HubPlugin(HubLink(f"{self.url}/hub/api", self.url, token), start_timeout=180)

    def secrets(self, name: str) -> dict[str, bytes]:
        """Return what a Secret of the release holds."""
        data = self.namespace.get("secret", name)["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    def look_for_secrets(self, search: Search) -> None:
        """Have the release's secrets looked for in what Kubernetes tells and logs of it.

        Not in users' pods, whose environment holds what XNAT and the hub give their users.
        """
        # The small hub's own; Zero to JupyterHub's is named for its Deployment, and repeats its values as a whole.
        own = "hub" if self.values["jupyterhub"].get("enabled", True) else "xnathub-internal"
        for name in ("xnathub-secrets", own):
            for key, value in self.secrets(name).items():
                if key != "values.yaml":
                    search.secret(f"Kubernetes Secret's {key}", value)
        kinds = "all,configmaps,ingresses,networkpolicies,roles,rolebindings,serviceaccounts,pvc"
        objects = ("get", kinds, "--selector", "component!=singleuser-server", "--output", "yaml")
        logs = [("logs", f"deployment/{name}", "--all-containers", "--tail=-1") for name in ("hub", "proxy")]
        for words in (objects, ("get", "events", "--output", "yaml"), *logs):
            said = self.namespace.kubectl(*words)
            assert said
            search.text("kubectl", f"kubectl {' '.join(words[:2])}", said)

    @staticmethod
    def environment(**options: Any) -> Environment:
        """Return what an XNAT admin sets for servers, with the tests' image."""
        return Environment(**{"image": SINGLEUSER, **options})

    def start(
        self, user: str, project: str = "P1", servername: str = "", **environment: Any
    ) -> dict[str, Any]:
        """Start a server as XNAT does, and give the hub's model of it."""
        self.workspace(user)
        options = self.state.launch(user, project, servername, environment=self.environment(**environment))
        plugin = self.plugin
        plugin.ensure_user(user)
        plugin.start(user, request(options))
        return plugin.wait_ready(user, servername)

    def failure(self, user: str, **environment: Any) -> str:
        """Start a server that can't start, and return what the user reads."""
        self.workspace(user)
        options = self.state.launch(user, "P1", environment=self.environment(**environment))
        return self.failing_options(user, options)

    def failing_options(self, user: str, options: dict[str, Any], plugin: HubPlugin | None = None) -> str:
        """Start a server that can't start, whose options XNAT has stored, and return what the user reads."""
        plugin = plugin or self.plugin
        plugin.ensure_user(user)
        end = time.monotonic() + 180
        try:
            plugin.start(user, request(options))
        except HubError as error:
            return str(error)
        while time.monotonic() < end:
            for event in plugin.progress(user, options["servername"]):
                if event.get("failed"):
                    return str(event["message"])
                assert not event.get("ready"), "the server started"
        raise AssertionError("nothing was said within 180 s")

    def stop(self, user: str, servername: str = "") -> None:
        self.plugin.stop(user, servername)

    def stop_all(self) -> None:
        plugin = self.plugin
        for user in plugin.users():
            for servername in user["servers"] or ():
                plugin.stop(user["name"], servername)
        wait_for(lambda: not self.servers(), 90)

    def start_on_old_database(self, version: str) -> Path:
        """Start the hub on a database that another JupyterHub has made, with a user `user0`; return its folder."""
        pod = ("--selector", "app.kubernetes.io/component=hub")
        self.namespace.kubectl("scale", "deployment/hub", "--replicas=0")
        self.namespace.kubectl("wait", "--for=delete", "pod", *pod, "--timeout=180s")
        folder = self.namespace.folder / "hub-db-dir"
        (file,) = folder.rglob("jupyterhub.sqlite")
        owner = file.stat()
        for each in file.parent.glob("jupyterhub.sqlite*"):
            each.unlink()
        make_database(version, f"sqlite:///{file}")
        os.chown(file, owner.st_uid, owner.st_gid)
        self.namespace.kubectl("scale", "deployment/hub", "--replicas=1")
        self.wait_until_up()
        return file.parent

    def servers(self) -> list[dict[str, Any]]:
        """Return the pods of users' servers."""
        pods: list[dict[str, Any]] = self.namespace.get("pods", "--selector", "component=singleuser-server")[
            "items"
        ]
        return pods

    def workspace(self, user: str) -> Path:
        """Make a user's folder, as XNAT does."""
        folder = self.namespace.folder / "xnat-workspaces" / "users" / user
        folder.mkdir(parents=True, exist_ok=True)
        # What a test has mounted there may be read-only.
        if folder.is_mount():
            return folder
        os.chown(folder, UID, GID)
        folder.chmod(0o700)
        return folder

    def pod_of(self, user: str, servername: str = "") -> dict[str, Any]:
        pods = self.servers()
        wanted = (user, servername or None)
        found = [
            pod
            for pod in pods
            if (
                pod["metadata"]["annotations"]["hub.jupyter.org/username"],
                pod["metadata"]["annotations"].get("hub.jupyter.org/servername"),
            )
            == wanted
        ]
        assert len(found) == 1, pods
        return found[0]

    def sign_in(self, user: str) -> requests.Session:
        """Sign in on the hub's page, as a browser."""
        return signed_in(self.url, user, self.state.user(user).password)

    def execute(self, user: str, code: str, servername: str = "") -> str:
        """Run code in a new kernel of a user's server, and give what it prints."""
        server = f"{self.url}/user/{user}" + (f"/{servername}" if servername else "")
        return run_code(server, self.plugin.token(user, "test", 600), code)


@contextmanager
def new_release(
    cluster: Cluster, chart: Path = CHART, jupyterhub: dict[str, Any] | None = None, **servers: Any
) -> Iterator[Release]:
    """A chart, installed with helm, and a stand-in XNAT beside the cluster; the chart's small hub unless told otherwise.

    `servers` are keys of the site for users' servers.
    """
    with new_namespace(cluster) as namespace, StandIn(demo_state(), host=NODE) as xnat:
        archive = namespace.folder / "xnat-archive"
        make_sample_archive(archive)
        for path in [archive, *archive.rglob("*")]:
            os.chown(path, UID, GID)
        values = site_values(xnat.url)
        software = {**site_software(archive / "software"), "source": "/data/xnat/archive/software"}
        values["site"]["servers"] |= {**SITE_SERVERS, "mounts": [software], "images_ahead": [SINGLEUSER]}
        values["site"]["servers"]["ca_file"] = f"{software['source']}/authorities.pem"
        values["site"]["servers"] |= servers
        values["secrets"] = {"xnatPassword": xnat.state.user("jupyterhub").password}
        values["jupyterhub"] = jupyterhub or values["jupyterhub"]
        release = Release(namespace, values, xnat.state, xnat, chart)
        try:
            release.upgrade()
            yield release
            if Search.current:
                release.look_for_secrets(Search.current)
        finally:
            print(namespace.kubectl("get", "pods,events", check=False))
            print(namespace.kubectl("logs", "deployment/hub", "--tail=200", check=False))


def wait_for(condition: Callable[[], object], seconds: float, explain: Callable[[], str] = str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s\n{explain()}"
        time.sleep(0.3)
