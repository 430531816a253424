"""The hub as a container on one engine, from sign-in to a kernel in a container beside it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import yaml
from docker.types import Mount

from tests.docker.cis import not_followed
from tests.docker.conftest import SOCKET
from tests.docker.firewall import METADATA, firewall, metadata_service
from tests.docker.names import FINDS_NAMES, SERVER_NETWORK, name_server
from tests.docker.processes import WEB_SERVER
from tests.docker.testbed import GID, SICK, SINGLEUSER, UID, Site, build_sick, command, new_name, wait_for
from tests.docker.watching import Kernel, read_by_a_browser
from tests.failing_images import build_failing, silent, told_of_all
from tests.full_folders import opens_all_the_same
from tests.plugin_pages import EVENT, Place, walk
from tests.support import (
    ENGINE_SECURITY,
    ITS_LIMITS,
    LOOKS_AROUND,
    LOOKS_AT_ITS_LIMITS,
    MAKES_THAT_CALL,
    SECCOMP,
    SITE_SERVERS,
    STARTS_TOO_MANY,
    TOO_MANY,
    XNATHUB,
    run_code,
    site_software,
    what_it_sees,
)
from xnathub_conf.site.load import load
from xnathub_conf.spawners import spawner_class
from xnathub_conf.standin import Environment, HubLink, StandIn, demo_state

SMALL_SITE = """\
version: 1
xnat: {url: https://xnat.example.org, service_account: {password: {env: X}}}
hub: {api_token: {env: X}}
servers: {allowed_images: [xnat/*]}
orchestrator: {docker: {}}
"""


SECURITY = {
    **ENGINE_SECURITY,
    "seccomp": "/etc/xnathub/seccomp.json",
    "apparmor": "xnathub-test",
    "selinux": {"type": "container_t", "level": "s0:c1,c2"},
}
"""This engine's kernel has neither AppArmor nor SELinux: what the engine is asked for is all that shows."""


class Engine(Site):
    """A hub that `docker-compose up` started from what `xnathub render docker` writes."""

    def create(self) -> None:
        self.write_site()
        secrets = self.folder / "secrets"
        secrets.mkdir()
        for name, value in {**self.secrets, "seccomp.json": SECCOMP}.items():
            (secrets / name).write_text(value)
            os.chown(secrets / name, 4001, -1)
            (secrets / name).chmod(0o400)
        self.site_file.chmod(0o644)
        # Tests find the containers by these names.
        names = {"hub": self.name, "proxy": f"{self.name}_proxy"}
        named = {"services": {service: {"container_name": name} for service, name in names.items()}}
        (self.folder / "named.yaml").write_text(yaml.safe_dump(named))
        self.deploy()

    def deploy(self) -> None:
        file = self.folder / "compose.yaml"
        file.write_text(
            command(str(XNATHUB), "render", "docker", "--image", "xnathub:test", str(self.site_file))
        )
        self.compose("up", "--detach")
        self.wait_until_up()

    def compose(self, *words: str, stdin: Any = subprocess.DEVNULL) -> str:
        files = (f"--file={self.folder / name}" for name in ("compose.yaml", "named.yaml"))
        return command("docker-compose", "--project-name", self.name, *files, *words, stdin=stdin)

    def remove(self) -> None:
        for container in self.servers():
            container.remove(force=True)
        self.compose("down", "--volumes")

    def servers(self) -> list[Any]:
        """Return the containers of users' servers, those that have ended too."""
        return self.client.containers.list(all=True, filters={"name": f"{self.name}-"}, ignore_removed=True)

    def logs(self) -> str:
        return "".join(command("docker", "logs", name) for name in (self.name, f"{self.name}_proxy"))


def test_threads_that_call_at_once_share_one_client(docker_client, tmp_path):
    """As at a hub's start, which looks after all servers at once. Two clients made at once crashed the hub."""
    (tmp_path / "site.yaml").write_text(SMALL_SITE)
    made = []
    for _ in range(20):
        cls = spawner_class(load(tmp_path / "site.yaml").site)
        nobody = SimpleNamespace(name="nobody", id=0, url="/", settings={})
        spawner = cls(user=nobody, hub=None, client_kwargs={"base_url": SOCKET})
        together = Barrier(8)

        def client(spawner=spawner, together=together) -> object:
            together.wait(20)
            return spawner.client

        with ThreadPoolExecutor(8) as pool:
            clients = {future.result() for future in [pool.submit(client) for _ in range(8)]}
        assert len(clients) == 1
        made += clients
        assert spawner.client.ping()
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def shared_hub(docker_client, host_address, tmp_path_factory) -> Iterator[Engine]:
    name = new_name()
    docker = {"network_name": f"{name}-net", "prefix": name, "pull_policy": "never", "server_networks": 8}
    docker |= {**SERVER_NETWORK, "dns": [host_address]}
    with StandIn(demo_state(), host=host_address) as xnat, name_server(host_address):
        hub = Engine(docker_client, name, tmp_path_factory.mktemp("docker"), xnat, {"docker": docker})
        try:
            software = site_software(hub.folder / "software")
            hub.site["servers"] |= {**SITE_SERVERS, "security": SECURITY, "mounts": [software]}
            hub.site["servers"]["ca_file"] = f"{software['source']}/authorities.pem"
            hub.create()
            yield hub
            print(hub.logs())
        finally:
            hub.remove()


@pytest.fixture
def hub(shared_hub: Engine) -> Iterator[Engine]:
    """The hub that all tests share; none leaves a server on it."""
    yield shared_hub
    shared_hub.stop_all()
    assert not shared_hub.servers()


def test_a_user_works_in_a_container_beside_others(hub: Engine):
    (hub.workspace("alice") / "secret.txt").write_text("alice's")
    hub.start("Alice", "P2")
    hub.start("alice", cpu_limit=0.5, mem_limit="512M", mem_reservation="100M")
    hub.start("alice", "P2", servername="second")
    assert len({container.name for container in hub.servers()}) == 3
    assert json.loads(hub.execute("Alice", LOOKS_AT_ITS_LIMITS)) == ITS_LIMITS
    assert json.loads(hub.execute("Alice", STARTS_TOO_MANY)) == TOO_MANY
    assert hub.execute("Alice", MAKES_THAT_CALL) == "EPERM\n"
    assert hub.execute("alice", LOOKS_AROUND).splitlines() == what_it_sees("alice", UID, GID)
    made = (hub.workspace("alice") / "result.txt").stat()
    assert (made.st_uid, made.st_gid) == (UID, GID)
    (container,) = (
        each
        for each in hub.servers()
        if (each.labels["org.xnat.jupyter.user"], each.labels["org.xnat.jupyter.server"]) == ("alice", "")
    )
    host = container.attrs["HostConfig"]
    assert (host["CpuQuota"], host["Memory"], host["MemoryReservation"]) == (50_000, 512 << 20, 100 << 20)
    assert {"apparmor=xnathub-test", "label=type:container_t", "label=level:s0:c1,c2"} <= set(
        host["SecurityOpt"]
    )
    assert container.labels["org.xnat.jupyter.project"] == "P1"
    # As docs/threat-model.md says and gives the reasons for.
    assert not_followed(container.attrs) <= {
        "4.1 a user that is not root",
        "5.12 a read-only image",
        "5.26 a health check",
    }
    assert not_followed(hub.client.containers.get(hub.name).attrs) <= {
        "5.10 a limit of memory",
        "5.11 a share of the processors",
        "5.14 no restart without end",
        "5.31 no socket of Docker",
    }
    assert not_followed(hub.client.containers.get(f"{hub.name}_proxy").attrs) <= {
        "5.10 a limit of memory",
        "5.11 a share of the processors",
        "5.13 ports at one address",
        "5.14 no restart without end",
    }


def test_servers_reach_the_hub_s_api_and_nobody_else_s(hub: Engine, host_address: str):
    for user, server in (("alice", ""), ("alice", "second"), ("demo", "")):
        hub.start(user, servername=server)
    addresses = {
        tuple(each.labels[f"org.xnat.jupyter.{fact}"] for fact in ("user", "server")): network["IPAddress"]
        for each in hub.servers()
        if (networks := each.attrs["NetworkSettings"]["Networks"])
        for network in networks.values()
    }
    their_own, another_s = addresses["alice", "second"], addresses["demo", ""]
    assert their_own.rpartition(".")[0] != another_s.rpartition(".")[0]
    assert hub.reached("alice", f"{their_own}:8888", "jupyterhub:8081") == [404, 200]
    assert hub.reached("alice", f"{another_s}:8888") == [0]
    # The port of browsers, at each address that the proxy has on any network.
    at_hub, at_proxy = (
        hub.client.containers.get(name).attrs["NetworkSettings"]["Networks"]
        for name in (hub.name, f"{hub.name}_proxy")
    )
    found = hub.reached("alice", *(f"{each['IPAddress']}:{hub.port}" for each in at_proxy.values()))
    assert sorted(set(found)) == [0, 403]
    assert hub.reached("alice", f"{at_hub[f'{hub.name}-net']['IPAddress']}:8081") == [0]
    node, metadata = f"{host_address}:{hub.port}", f"{METADATA}:80"
    with metadata_service():
        assert hub.reached("alice", node, metadata) == [200, 200], "what the node's firewall is for"
        with firewall(hub.port):
            assert hub.reached("alice", node, metadata, "jupyterhub:8081") == [0, 0, 200]
            assert hub.plugin.users()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"image": "missing.example.org/lab:1"}, "The image missing.example.org/lab:1 can't be pulled: "),
        ({"constraints": ("node.role==manager",)}, "a single Docker engine has no choice."),
        ({"generic_resources": {"gpu": "1"}}, "Docker could not start the server: "),
        ({"command": "no-such-program"}, "The server ended as soon as it was started, with exit code 127."),
    ],
    ids=["image", "constraint", "gpu", "command"],
)
def test_a_start_that_can_not_work_is_told_in_a_sentence(hub: Engine, environment, said):
    sentence, seconds = hub.failure("demo", **environment)
    print(f"{seconds:.1f} s: {sentence}")
    assert said in sentence
    if environment.get("command") == "no-such-program":
        assert re.search(r"The last lines of the server's log:\s.*no-such-program", sentence, re.DOTALL)
    assert seconds < 45, "only the end of the start timeout, 50 s, ended it"
    wait_for(lambda: not hub.servers(), 120)


def test_images_that_fail_say_why(hub: Engine):
    build_failing(hub.client)
    told = told_of_all(hub.plugin, hub.options, "demo")
    assert silent(told, hub.logs()) == []
    wait_for(lambda: not hub.servers(), 120)


def test_a_folder_that_is_not_there_is_told(hub: Engine):
    source = "/data/xnat/archive/P1/gone"
    mount = {"source": source, "target": "/data/projects/P9", "type": "bind", "read_only": True}
    sentence, _ = hub.failure("demo", mount)
    assert f"The folder {hub.folder}/archive/P1/gone, which XNAT asks for, is not on the node." in sentence
    assert not hub.servers()


def test_a_link_in_a_workspace_leads_no_mount_out_of_it(hub: Engine, run):
    """A person puts a link into their own folder, and an XNAT in other hands mounts what it leads to."""
    outside = hub.folder / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("the node's")
    hub.start("demo")
    hub.execute("demo", f"import os; os.symlink({str(outside)!r}, '/workspace/demo/x'); print('made')")
    hub.plugin.stop("demo", "")
    wait_for(lambda: not hub.servers(), 120)
    mine = hub.folder / "workspaces" / "users" / "demo"
    followed = Mount("/mnt", f"{mine}/x", type="bind")
    found = run("xnathub-busybox:test", ["cat", "/mnt/secret.txt"], mounts=[followed])
    assert found.output == "the node's", "the engine follows it, which is what the rule is for"
    xnats = "/data/xnat/workspaces/users/demo"
    for source in (f"{mine}/x", f"{mine}/x/secret.txt", f"{xnats}/x", f"{xnats}/./x/"):
        for read_only in (False, True):
            mount = {"source": source, "target": "/mnt", "type": "bind", "read_only": read_only}
            sentence, _ = hub.failure("demo", mount)
            assert "where a link may lead anywhere on the node" in sentence
            assert not hub.servers()


def test_servers_find_names_and_keep_logs_as_the_site_says(hub: Engine):
    hub.start("demo")
    assert hub.execute("demo", FINDS_NAMES) == "192.0.2.9 192.0.2.7 1400\n"
    (server,) = hub.servers()
    assert server.attrs["HostConfig"]["LogConfig"] == {"Type": "local", "Config": {"max-size": "1m"}}
    (name,) = server.attrs["NetworkSettings"]["Networks"]
    assert hub.client.networks.get(name).attrs["Options"]["com.docker.network.driver.mtu"] == "1400"


def test_a_health_check_of_an_image_is_not_done(hub: Engine):
    build_sick(hub.client)
    hub.start("demo", image=SICK, command=WEB_SERVER.command)
    (container,) = hub.servers()
    assert container.attrs["Config"]["Healthcheck"]["Test"] == ["NONE"]
    assert "Health" not in container.attrs["State"]


def test_a_container_that_was_left_over_gives_way(hub: Engine):
    hub.start("demo")
    (container,) = hub.servers()
    name = container.name
    hub.plugin.stop("demo")
    hub.client.containers.create("xnathub-busybox:test", "true", name=name)
    hub.start("demo", "P1")
    assert hub.execute("demo", "print(6 * 7)") == "42\n"


def test_servers_outlive_the_hub(hub: Engine):
    hub.start("demo", servername=EVENT)
    (server,) = hub.servers()
    command("docker", "kill", hub.name)
    command("docker", "start", hub.name)
    hub.wait_until_up()
    assert hub.execute("demo", "print(6 * 7)", EVENT) == "42\n"
    assert [each.id for each in hub.servers()] == [server.id]


def test_what_a_lost_volume_held_is_found_again(hub: Engine):
    hub.start("demo")
    (server,) = hub.servers()
    token = hub.plugin.token("demo", "kept", 600)
    browser = hub.sign_in("demo")
    site = "/etc/xnathub/site.yaml"
    archive = hub.folder / "hub.tar.gz"
    with archive.open("wb") as out:
        words = ["docker", "exec", hub.name, "xnathub", "backup", site, "--output", "-"]
        subprocess.run(words, stdout=out, check=True, timeout=120)
    hub.compose("rm", "--stop", "--force", "hub")
    command("docker", "volume", "rm", f"{hub.name}_data")
    with archive.open("rb") as stream:
        hub.compose("run", "--rm", "-T", "hub", "xnathub", "restore", site, "--input", "-", stdin=stream)
    hub.compose("up", "--detach")
    hub.wait_until_up()
    assert [each.id for each in hub.servers()] == [server.id]
    assert hub.plugin.user("demo")["servers"][""]["ready"]
    assert run_code(f"{hub.url}/user/demo", token, "print(6 * 7)") == "42\n"
    page = browser.get(f"{hub.url}/hub/home", allow_redirects=False, timeout=30)
    assert page.status_code == 200, "the browser is still signed in"


def test_doctor_starts_a_server_and_looks_around_in_it(hub: Engine):
    hub.workspace("demo")
    hub.state.environment = Environment(image=SINGLEUSER)
    hub.xnat.hub = HubLink(f"{hub.url}/hub/api", hub.url, hub.token)
    password = "XNATHUB_TEST_PASSWORD"
    inside = ["docker", "exec", "--env", password, hub.name, "xnathub", "doctor", "/etc/xnathub/site.yaml"]
    done = subprocess.run(
        [*inside, "--json", "--user", "demo", "--start", "P1", "--load", "2"],
        # Docker takes its value from here: a command line is for everybody to see.
        env={**os.environ, password: hub.state.user("demo").password},
        capture_output=True,
        text=True,
        timeout=400,
    )
    told = {each["check"]: each for each in json.loads(done.stdout)["results"]}
    started = {name: each for name, each in told.items() if name.startswith("start.")}
    assert len(started) == 10
    assert {each["status"] for each in started.values()} == {"ok"}, json.dumps(started, indent=1)
    assert f"runs as {UID}:{GID}" in told["start.user"]["seen"]
    assert "one written in 1." in told["start.mounts"]["seen"]
    assert not hub.servers()


def test_a_new_site_file_cuts_no_websocket(hub: Engine):
    hub.start("demo")
    kernel = Kernel(f"{hub.url}/user/demo", hub.plugin.token("demo", "test", 600))
    before = [hub.client.containers.get(name).id for name in (hub.name, f"{hub.name}_proxy")]
    hub.site["servers"]["start_timeout"] += 1
    hub.write_site()
    hub.deploy()
    after = [hub.client.containers.get(name).id for name in (hub.name, f"{hub.name}_proxy")]
    assert (after[0] != before[0], after[1]) == (True, before[1])
    kernel.counts_on()


def test_a_proxy_that_is_killed_is_back_at_once_for_who_is_at_work(hub: Engine):
    hub.start("demo")
    server = f"{hub.url}/user/demo"
    browser = hub.sign_in("demo")
    assert browser.get(f"{server}/lab", timeout=60).ok
    kernel = Kernel(server, hub.plugin.token("demo", "test", 600))
    wait_for(lambda: kernel.count() > 3, 60)
    counted = kernel.count()
    # Not by Docker, which would take it for the admin's wish.
    os.kill(hub.client.containers.get(f"{hub.name}_proxy").attrs["State"]["Pid"], signal.SIGKILL)
    began = time.monotonic()
    wait_for(lambda: kernel.error, 30)

    def answers() -> bool:
        try:
            # Without a way round by the sign-in page: the pass that the browser has is still good.
            return browser.get(f"{server}/api/kernels", timeout=20, allow_redirects=False).ok
        except requests.RequestException:
            return False

    wait_for(answers, 60, hub.logs)
    took = time.monotonic() - began
    print(f"the browser was back after {took:.1f} s")
    assert took < 30
    assert read_by_a_browser(browser, server) > counted, "it has counted on"
    assert 'user: "demo"' in browser.get(f"{hub.url}/hub/home", timeout=30).text
    hub.start("alice")
    assert hub.execute("alice", "print(6 * 7)") == "42\n"


def test_a_hub_that_may_not_use_the_socket_says_so(hub: Engine):
    socket = Path("/var/run/docker.sock")
    mode = socket.stat().st_mode
    socket.chmod(0o600)
    try:
        # Its old connections stay good.
        command("docker", "restart", hub.name)
        hub.wait_until_up()
        sentence, _ = hub.failure("demo")
    finally:
        socket.chmod(mode)
    assert sentence.endswith(
        "The Docker API can't be reached. Try again later. Tell your XNAT administrator."
    )
    assert "Permission denied" in hub.logs()
    hub.start("demo")
    assert hub.execute("demo", "print(6 * 7)") == "42\n"


def test_a_server_opens_on_a_workspace_that_takes_nothing_more(hub: Engine, tmp_path):
    opens_all_the_same(hub, "alice", tmp_path)


def test_what_the_plugin_s_pages_do_for_six_names(hub: Engine):
    def objects() -> list[tuple[str, str, str]]:
        labels = [(each.name, each.labels) for each in hub.servers()]
        return [(name, of["org.xnat.jupyter.user"], of["org.xnat.jupyter.server"]) for name, of in labels]

    def restart() -> None:
        command("docker", "restart", hub.name)
        hub.wait_until_up()

    walk(hub.plugin, hub.state, Place(WEB_SERVER, "whose", hub.workspace, restart, objects))
