"""The two images: what they hold, as whom they run, and that they work together."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from urllib.parse import quote

import pytest
import requests
import websocket
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from tests.secret_search import Search
from tests.support import ROOT

HARDENED = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
USERS = ["1000:1000", "12345:0", "5001:999"]


@pytest.fixture(scope="module")
def files(docker_client) -> Callable[[str], dict[str, tarfile.TarInfo]]:
    """Every file of an image, by path."""

    def files(image: str) -> dict[str, tarfile.TarInfo]:
        container = docker_client.containers.create(image, "true")
        try:
            stream = docker_client.api.export(container.id)
            with tarfile.open(fileobj=Chunks(stream), mode="r|") as tar:
                return {member.name: member for member in tar}
        finally:
            container.remove(force=True)

    return files


class Chunks:
    """A generator of bytes as the file that tarfile reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.rest = b""

    def read(self, size: int) -> bytes:
        parts, length = [self.rest], len(self.rest)
        while length < size:
            chunk = next(self.chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            length += len(chunk)
        data = b"".join(parts)
        self.rest = data[size:]
        return data[:size]


# The hub's image


@pytest.mark.parametrize("user", USERS)
def test_any_user_runs_the_hub_image_and_writes_its_data(run, images, volume, user):
    script = """
        set -e
        id -u; id -g
        jupyterhub --version
        configurable-http-proxy --version
        python3 -c 'import dockerspawner, kubespawner, kubernetes_asyncio, tornado, yaml, xnathub_conf'
        python3 -c 'from importlib.metadata import version as v; print(v("xnathub"), v("dockerspawner"))'
        command -v xnathub
        date > started; cat started
    """
    mounts = {volume: {"bind": "/srv/jupyterhub", "mode": "rw"}}
    for _ in "first", "second":  # the second finds what the first wrote
        result = run(images.hub, ["sh", "-c", dedent(script)], user=user, volumes=mounts, **HARDENED)
        assert result.code == 0, result.output
        assert result.output.split()[:2] == user.split(":")


def test_the_image_s_proxy_keeps_requests_apart(run, images):
    script = """
        set -e
        configurable-http-proxy --port=8000 --default-target=http://127.0.0.1:9 >/tmp/log 2>&1 &
        exec python3 -c '
        import socket, time
        for _ in range(100):
            try:
                s = socket.create_connection(("127.0.0.1", 8000))
                break
            except OSError:
                time.sleep(0.1)
        s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nContent-Length: 1\\r\\n\\r\\nx")
        print(s.makefile().read())'
    """
    result = run(images.hub, ["sh", "-c", dedent(script)], tmpfs={"/tmp": ""}, **HARDENED)
    assert "400 Bad Request" in result.output
    assert "This request was refused: a websocket begins with no body." in result.output


def test_hub_image_is_not_root_by_itself(run, images):
    assert run(images.hub, ["id", "-u"]).output == "1000\n"


def test_hub_answers_its_health_check_and_stops_when_told(docker_client, images, volume):
    command = ["jupyterhub", "--base-url=/jupyterhub"]
    mounts = {volume: {"bind": "/srv/jupyterhub", "mode": "rw"}}
    check = docker_client.images.get(images.hub).attrs["Config"]["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    hub = docker_client.containers.run(
        images.hub, command, user="12345:0", volumes=mounts, tmpfs={"/tmp": ""}, detach=True, **HARDENED
    )
    try:
        assert hub.exec_run(check[1:]).exit_code != 0, "healthy before the hub listens"
        wait_for(lambda: hub.exec_run(check[1:]).exit_code == 0, 120, lambda: hub.logs().decode())
        hub.stop(timeout=20)
        hub.reload()
        assert hub.attrs["State"]["ExitCode"] == 0, hub.logs().decode()
    finally:
        hub.remove(force=True)


@pytest.mark.parametrize("name", ["hub", "singleuser"])
def test_nothing_of_the_build_stays(docker_client, files, images, name):
    base, built = files(images.base), files(getattr(images, name))
    added = built.keys() - base.keys()
    tools = {"gcc", "cc", "g++", "make", "ld", "npm", "npx", "pip", "pip3", "curl", "git"}
    assert not [path for path in added if "/bin/" in path and path.rsplit("/", 1)[1] in tools]
    assert not [
        path for path in added if "/site-packages/pip/" in path or "/.cache" in path or "/.npm/" in path
    ]
    assert not [path for path in added if path.startswith(("build/", "root/", "tmp/"))]
    assert setuid(built) == setuid(base)

    # The builder's base may hold the site's way to the package indexes.
    private = files(images.builder).keys() - base.keys()
    assert not private & added
    image = docker_client.images.get(getattr(images, name)).attrs
    known = {"PATH", "PYTHONUNBUFFERED", "USER", "HOME", "LOGNAME", "SHELL", "XNATHUB_SITE"}
    assert {line.split("=")[0] for line in image["Config"]["Env"]} <= known
    labels = image["Config"]["Labels"]
    assert {"title", "description", "licenses"} <= {key.rsplit(".", 1)[1] for key in labels}


def test_the_hub_s_image_holds_nothing_that_a_hub_does_not_use(files, run, images):
    held = files(images.hub)
    programs = {path.rsplit("/", 1)[1] for path in held if re.search(r"(^|/)s?bin/", path)}
    assert not programs & {
        "gcc",
        "cc",
        "g++",
        "c++",
        "clang",
        "make",
        "ld",
        "as",
        "npm",
        "npx",
        "uv",
        "curl",
        "wget",
        "git",
    }
    assert not [name for name in programs if re.match(r"pip[\d.]*$", name)]
    unused = r"/ensurepip/|python-wheels/|(site|dist)-packages/pip([-/]|$)|/xnathub_conf/(standin|cli/(__pycache__/)?demo)"
    assert not [path for path in held if re.search(unused, path)]
    assert any(path.endswith("/xnathub_conf/cli/run.py") for path in held)
    said = run(images.hub, ["xnathub", "demo"])
    assert (said.code, "pip install 'xnathub[demo]'" in said.output) == (2, True), said.output


@pytest.mark.parametrize("name", ["hub", "singleuser"])
def test_the_list_of_packages_is_what_the_image_holds(files, images, name):
    image = getattr(images, name)
    said = subprocess.run([ROOT / "scripts/sbom", image], check=True, capture_output=True, text=True).stdout
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(said) is None
    listed: dict[str, set[str]] = {}
    for each in json.loads(said)["components"]:
        kind, name = each["purl"].removeprefix("pkg:").rpartition("@")[0].split("/", 1)
        listed.setdefault(kind, set()).add(name)
    held = files(image)
    python = [re.search(r"-packages/([^/]+)-[^-/]+[.]dist-info/METADATA$", path) for path in held]
    assert listed["pypi"] == {canonicalize_name(found[1]) for found in python if found}
    node = [re.search(r"/node_modules/((?:@[^/]+/)?[^/]+)/package[.]json$", path) for path in held]
    assert listed.get("npm", set()) == {quote(found[1], safe="/") for found in node if found}
    assert len(listed["deb"]) == sum(bool(re.search(r"/dpkg/info/[^/]+[.]list$", path)) for path in held)
    assert listed["generic"] == ({"python", "node"} if image == images.hub else {"python"})


def test_every_file_that_the_hub_s_pages_fetch_is_there(run, images):
    script = r"""
        import re, sys
        from pathlib import Path
        import xnathub_conf
        static = Path(sys.prefix, "share/jupyterhub/static")
        pages = [*static.parent.rglob("*.html"), *Path(xnathub_conf.__path__[0]).rglob("*.html")]
        text = "".join(page.read_text() for page in pages).replace("'", '"')
        wanted = set(re.findall(r'static_url[(]"([^"]+[.]\w+)"', text))
        wanted |= {f"{name}.js" for name in re.findall(r'"[.][.]/(components/[^"]+/[^"]+)"', text)}
        styles = [static / name for name in wanted if name.endswith(".css")]
        for style in styles:
            for name in re.findall(r'(?:url[(]|@import) *"?(?!data:)([\w@./-]+)', style.read_text()):
                wanted.add(str((style.parent / name).resolve().relative_to(static)))
                if name.endswith(".css"):
                    styles.append(style.parent / name)
        print(len(wanted), *sorted(name for name in wanted if not (static / name).is_file()))
    """
    count, *missing = run(images.hub, ["python3", "-c", dedent(script)]).output.split()
    assert int(count) > 10
    assert missing == ["components/js-sha256/build/sha256.min.js"]  # which JupyterHub itself does not bring


@pytest.mark.parametrize(("name", "most"), [("hub", 420), ("singleuser", 400)])
def test_images_stay_small(docker_client, images, name, most):
    assert docker_client.images.get(getattr(images, name)).attrs["Size"] < most * 1_000_000


@pytest.mark.parametrize("name", ["hub", "singleuser"])
def test_the_layers_of_an_image_hold_no_secret_of_the_run(images, name, tmp_path):
    image = getattr(images, name)
    Search.current.stream("image layers", ["docker", "save", image], image)
    # Layers can be searched: this stands in a file of both.
    search = Search(tmp_path)
    search.secret("known words", "Distributed under the terms of the Modified BSD License")
    search.stream("image layers", ["docker", "save", image], image)
    assert search.found


def setuid(members: dict[str, tarfile.TarInfo]) -> set[str]:
    return {path for path, member in members.items() if member.isfile() and member.mode & 0o6000}


# The single-user server's image


def test_single_user_image_hands_itself_over_to_nb_uid(run, images, tmp_path):
    tmp_path.chmod(0o700)
    chown(tmp_path, 4242, 2424)
    script = "id -u; id -g; id -G; whoami; grep -E 'NoNewPrivs|CapEff|CapPrm' /proc/self/status; touch ~/x /workspace/made"
    result = run(
        images.singleuser,
        ["sh", "-c", script],
        environment={"NB_UID": "4242", "NB_GID": "2424"},
        volumes={str(tmp_path): {"bind": "/workspace", "mode": "rw"}},
        user="0",
    )
    assert result.code == 0, result.output
    assert result.output.split() == [
        *("4242", "2424", "2424", "jovyan"),
        *("CapPrm:", "0000000000000000", "CapEff:", "0000000000000000", "NoNewPrivs:", "1"),
    ]
    made = (tmp_path / "made").stat()
    assert (made.st_uid, made.st_gid) == (4242, 2424)


def test_single_user_image_refuses_a_nb_uid_that_is_no_number(run, images):
    result = run(images.singleuser, ["id"], environment={"NB_UID": "alice"})
    assert result.code == 64
    assert "NB_UID=alice" in result.output


@pytest.mark.parametrize("user", USERS)
def test_single_user_image_runs_without_root(run, images, tmp_path, user):
    uid, gid = map(int, user.split(":"))
    chown(tmp_path, uid, gid)
    result = run(
        images.singleuser,
        ["sh", "-c", "set -e; touch ~/x /workspace/made; jupyter lab --version; id -u"],
        user=user,
        # NB_UID is for root alone.
        environment={"NB_UID": "4242", "NB_GID": "2424"},
        volumes={str(tmp_path): {"bind": "/workspace", "mode": "rw"}},
        cap_drop=["ALL"],
    )
    assert result.code == 0, result.output
    assert result.output.split()[-1] == str(uid)
    assert (tmp_path / "made").stat().st_uid == uid


def chown(path: Path, uid: int, gid: int) -> None:
    os.chown(path, uid, gid)


# Both together

TOKEN = "a-token-for-this-test-alone"
HUB_CONFIG = """
c = get_config()
c.JupyterHub.base_url = "/jupyterhub"
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = "jupyterhub"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "dockerspawner.SwarmSpawner"
c.SwarmSpawner.image = "{image}"
c.SwarmSpawner.network_name = "{network}"
c.SwarmSpawner.prefix = "{network}"
c.SwarmSpawner.remove = True
c.SwarmSpawner.environment = dict(NB_UID="4242", NB_GID="2424", JUPYTERHUB_ROOT_DIR="/workspace/alice")
c.SwarmSpawner.extra_container_spec = dict(
    user="0", mounts=[dict(source="{workspace}", target="/workspace/alice", type="bind")]
)
# Straight to the task: not every kernel has the IPVS that virtual addresses need.
c.SwarmSpawner.extra_endpoint_spec = dict(mode="dnsrr")
DASHBOARD = {dashboard!r}
def choose(spawner):
    spawner.cmd = DASHBOARD if spawner.user.name == "dash" else None
c.Spawner.pre_spawn_hook = choose
c.Spawner.http_timeout = 60
# The image's own command has the gate, which opens to xnathub alone.
c.ConfigurableHTTPProxy.command = ["node", "/opt/proxy/node_modules/.bin/configurable-http-proxy"]
c.JupyterHub.services = [dict(name="test", api_token="{token}")]
c.JupyterHub.load_roles = [
    dict(name="test", services=["test"], scopes=["admin:servers", "admin:users", "access:servers"])
]
"""
DASHBOARD = [
    "jhsingle-native-proxy",
    "--destport=0",
    "--authtype=oauth",
    "--",
    "python3",
    "-c",
    """
import asyncio, sys
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

class Page(RequestHandler):
    def get(self):
        self.write("a dashboard")

class Echo(WebSocketHandler):
    def on_message(self, message):
        self.write_message(message)

async def main():
    Application([("/echo", Echo), (".*", Page)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()

asyncio.run(main())
""",
    "{port}",
]


class Hub:
    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"token {TOKEN}"

    def call(self, method: str, path: str, **options: object) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=30, **options)

    def healthy(self) -> bool:
        try:
            return self.call("GET", "/hub/health").status_code == 200
        except requests.RequestException:
            return False

    def start(self, user: str) -> None:
        assert self.call("POST", f"/hub/api/users/{user}").status_code == 201
        assert self.call("POST", f"/hub/api/users/{user}/server").status_code in (201, 202)

        def ready() -> bool:
            servers = self.call("GET", f"/hub/api/users/{user}").json()["servers"]
            assert servers, "the server did not start"
            return servers[""]["ready"]

        wait_for(ready, 90)

    def stop(self, user: str) -> None:
        self.call("DELETE", f"/hub/api/users/{user}/server")
        wait_for(lambda: not self.call("GET", f"/hub/api/users/{user}").json()["servers"], 120)


@pytest.fixture
def hub(docker_client, images, overlay, tmp_path, socket_gid) -> Iterator[Hub]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    chown(workspace, 4242, 2424)
    for folder in [tmp_path, tmp_path.parent, tmp_path.parent.parent]:
        folder.chmod(0o755)
    (tmp_path / "config.py").write_text(
        HUB_CONFIG.format(
            image=images.singleuser, network=overlay, workspace=workspace, token=TOKEN, dashboard=DASHBOARD
        )
    )
    container = docker_client.containers.create(
        images.hub,
        ["jupyterhub", "--config", "/etc/xnathub/test_config.py"],
        user=f"12345:{socket_gid}",
        volumes={
            "/var/run/docker.sock": {"bind": "/var/run/docker.sock", "mode": "rw"},
            str(tmp_path / "config.py"): {"bind": "/etc/xnathub/test_config.py", "mode": "ro"},
        },
        ports={"8000/tcp": ("127.0.0.1", None)},
        network=overlay,
        networking_config={overlay: docker_client.api.create_endpoint_config(aliases=["jupyterhub"])},
        cap_drop=["ALL"],
    )
    container.start()
    try:
        wait_for(lambda: container.reload() or container.ports.get("8000/tcp"), 120)
        hub = Hub(f"http://127.0.0.1:{container.ports['8000/tcp'][0]['HostPort']}/jupyterhub")
        wait_for(hub.healthy, 120, lambda: container.logs().decode())
        yield hub
    finally:
        print(container.logs().decode())
        container.remove(force=True)


def test_the_hub_starts_single_user_servers_and_dashboards(hub, docker_client, overlay, tmp_path):
    hub.start("alice")
    lab = hub.call("GET", "/user/alice/lab")
    assert (lab.status_code, "JupyterLab" in lab.text) == (200, True)
    body = {"type": "file", "format": "text", "content": "hello"}
    assert hub.call("PUT", "/user/alice/api/contents/hello.txt", json=body).status_code == 201
    made = (tmp_path / "workspace" / "hello.txt").stat()
    assert (made.st_uid, made.st_gid) == (4242, 2424)

    hub.start("dash")
    page = hub.call("GET", "/user/dash/")
    assert (page.status_code, page.text) == (200, "a dashboard")
    # As a browser asks, which names the page's origin: Panel and Streamlit draw nothing without.
    channel = websocket.create_connection(
        hub.url.replace("http", "ws", 1) + "/user/dash/echo",
        origin=hub.url.removesuffix("/jupyterhub"),
        header=[f"Authorization: token {TOKEN}"],
        timeout=30,
    )
    channel.send("hello")
    assert channel.recv() == "hello"
    channel.close()
    stranger = requests.get(f"{hub.url}/user/dash/", timeout=30, allow_redirects=False)
    assert (stranger.status_code, "oauth2" in stranger.headers.get("Location", "")) == (302, True)

    for user in "alice", "dash":
        hub.stop(user)
    assert not docker_client.services.list(filters={"name": overlay})


def wait_for(condition: Callable[[], object], seconds: float, explain: Callable[[], str] = str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s\n{explain()}"
        time.sleep(0.3)
