"""The hub as a stack on a real swarm, from sign-in to a kernel in a service."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network

import pytest
import requests

from tests.docker.cis import not_followed, not_followed_by_service
from tests.docker.names import FINDS_NAMES, SERVER_NETWORK, name_server
from tests.docker.processes import WEB_SERVER
from tests.docker.testbed import GID, SICK, SINGLEUSER, UID, Stack, build_sick, command, new_name, wait_for
from tests.failing_images import build_failing, silent, told_of_all
from tests.full_folders import opens_all_the_same
from tests.plugin_pages import EVENT, Place, walk
from tests.secret_search import Search
from tests.support import (
    EATS_MEMORY,
    ENGINE_SECURITY,
    ITS_LIMITS,
    LOOKS_AROUND,
    LOOKS_AT_ITS_LIMITS,
    MAKES_THAT_CALL,
    SITE_SERVERS,
    STARTS_TOO_MANY,
    TOO_MANY,
    site_software,
    what_it_sees,
)
from xnathub_conf.standin import StandIn, demo_state

SECURITY = {**ENGINE_SECURITY, "selinux": {"type": "container_t", "level": "s0:c1,c2"}}
SUBNET = "10.77.16.0/20"


@pytest.fixture(scope="module")
def shared_stack(docker_client, host_address, tmp_path_factory) -> Iterator[Stack]:
    name = new_name()
    orchestrator = {"swarm": {"network_name": f"{name}-net", "prefix": name, "subnet": SUBNET}}
    orchestrator["swarm"] |= {**SERVER_NETWORK, "dns": [host_address], "encrypted": True}
    with StandIn(demo_state(), host=host_address) as xnat, name_server(host_address):
        stack = Stack(docker_client, name, tmp_path_factory.mktemp("swarm"), xnat, orchestrator)
        software = site_software(stack.folder / "software")
        stack.site["servers"] |= {**SITE_SERVERS, "security": SECURITY, "mounts": [software]}
        stack.site["servers"]["ca_file"] = f"{software['source']}/authorities.pem"
        with stack.deployed():
            yield stack


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The stack that all tests share; none leaves a server on it."""
    yield shared_stack
    shared_stack.stop_all()
    assert not shared_stack.servers()


def test_a_user_signs_in_and_works_in_a_service(stack: Stack):
    session = stack.sign_in("demo")
    (stack.workspace("alice") / "secret.txt").write_text("alice's")
    stack.start("demo", servername=EVENT)

    opened = session.get(f"{stack.url}/user/demo/{EVENT}/lab", timeout=60)
    assert (opened.status_code, "JupyterLab" in opened.text) == (200, True)

    assert stack.execute("demo", LOOKS_AROUND, EVENT).splitlines() == what_it_sees("demo", UID, GID)
    made = (stack.workspace("demo") / "result.txt").stat()
    assert (made.st_uid, made.st_gid) == (UID, GID)


def test_users_whose_names_look_alike_get_services_and_folders_of_their_own(stack: Stack):
    users = {"alice": "P1", "Alice": "P2", "a.b@c.org": "P1"}
    for user in users:
        (stack.workspace(user) / "whose.txt").write_text(user)
    for user, project in users.items():
        stack.start(user, project)
    stack.start("alice", "P2", servername="second-one")
    names = {stack.server(user).name for user in users} | {stack.server("alice", "second-one").name}
    assert len(names) == 4
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in names)
    assert json.loads(stack.execute("Alice", LOOKS_AT_ITS_LIMITS)) == ITS_LIMITS
    assert json.loads(stack.execute("Alice", STARTS_TOO_MANY)) == TOO_MANY
    assert stack.execute("Alice", MAKES_THAT_CALL) == "made\n", "what the engine's own profile allows"
    for user in users:
        code = f"import os; print(open('/workspace/{user}/whose.txt').read(), os.listdir('/workspace'))"
        assert stack.execute(user, code) == f"{user} ['{user}']\n"
    opened = stack.sign_in("alice").get(f"{stack.url}/user/Alice/api/contents", timeout=30)
    assert opened.status_code in {403, 404}


def test_the_service_is_what_xnat_and_the_site_ask_for(stack: Stack):
    stack.start(
        "a.b@c.org",
        cpu_limit=0.5,
        cpu_reservation=0.1,
        mem_limit="512M",
        mem_reservation="100M",
        constraints=("node.role==manager", "node.labels.type!=gpu"),
        env={"ODD": "{username} $HOME $$"},
    )
    service = stack.server("a.b@c.org").attrs["Spec"]
    task = service["TaskTemplate"]
    container = task["ContainerSpec"]
    assert task["Resources"] == {
        "Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 512 * 1024**2, "Pids": 200},
        "Reservations": {"NanoCPUs": 100_000_000, "MemoryBytes": 100 * 1024**2},
    }
    assert task["Placement"]["Constraints"] == ["node.role==manager", "node.labels.type!=gpu"]
    assert task["RestartPolicy"]["Condition"] == "none"
    assert service["EndpointSpec"]["Mode"] == "dnsrr"
    assert (container["User"], container["Init"], container["StopGracePeriod"]) == ("0", True, 2_000_000_000)
    assert container["Privileges"]["SELinuxContext"] == {
        **{"Disable": False, "User": "", "Role": ""},
        **{"Type": "container_t", "Level": "s0:c1,c2"},
    }
    assert "Args" not in container
    assert {f"NB_UID={UID}", f"NB_GID={GID}", "NVIDIA_VISIBLE_DEVICES=void"} <= set(container["Env"])
    assert [mount.get("ReadOnly", False) for mount in container["Mounts"]] == [False, True, True, False]
    assert container["Mounts"][3]["TmpfsOptions"]["SizeBytes"] == 128 * 1024**2
    labels = service["Labels"]
    assert labels["org.xnat.jupyter.user"] == "a.b@c.org"
    assert labels["org.xnat.jupyter.project"] == "P1"
    assert labels["org.xnat.jupyter.type"] == "xnat:projectData"
    assert labels["com.docker.stack.namespace"] == stack.name
    assert stack.execute("a.b@c.org", "import os; print(os.environ['ODD'])") == "{username} $HOME $$\n"


NOT_FOLLOWED = {
    "server": {
        "4.1 a user that is not root",
        "5.12 a read-only image",
        "5.25 no new privileges",
        "5.26 a health check",
        "7.5 secrets as secrets",
    },
    "hub": {
        "5.10 a limit of memory",
        "5.11 a share of the processors",
        "5.14 no restart without end",
        "5.25 no new privileges",
        "5.28 a limit of processes",
        "5.31 no socket of Docker",
    },
    "proxy": {
        "5.10 a limit of memory",
        "5.11 a share of the processors",
        "5.13 ports at one address",
        "5.14 no restart without end",
        "5.25 no new privileges",
        "5.28 a limit of processes",
    },
}
"""As docs/threat-model.md says and gives the reasons for."""


def test_services_and_tasks_follow_the_cis_benchmark(stack: Stack):
    stack.start("demo", cpu_limit=0.5)
    services = {
        "server": stack.server("demo"),
        **{name: stack.client.services.get(f"{stack.name}_{name}") for name in ("hub", "proxy")},
    }
    for name, service in services.items():
        assert not_followed_by_service(service.attrs) <= NOT_FOLLOWED[name], name
        (task,) = service.tasks({"desired-state": "running"})
        container = stack.client.containers.get(task["Status"]["ContainerStatus"]["ContainerID"])
        assert not_followed(container.attrs) <= NOT_FOLLOWED[name], name


def test_servers_find_names_and_keep_logs_as_the_site_says(stack: Stack):
    stack.start("demo")
    # Of 1400 bytes the overlay takes 50, and what encrypts it the rest.
    *addresses, largest = stack.execute("demo", FINDS_NAMES).split()
    assert (addresses, 1300 <= int(largest) < 1350) == (["192.0.2.9", "192.0.2.7"], True)
    log = stack.server("demo").attrs["Spec"]["TaskTemplate"]["LogDriver"]
    assert log == {"Name": "local", "Options": {"max-size": "1m"}}
    (network,) = stack.client.networks.list(names=[f"{stack.name}-net"])
    options = network.attrs["Options"]
    assert (options["com.docker.network.driver.mtu"], "encrypted" in options) == ("1400", True)


def test_a_health_check_of_an_image_ends_no_server(stack: Stack):
    build_sick(stack.client)
    stack.start("demo", image=SICK, command=WEB_SERVER.command)
    # The image's own check fails each second, and Swarm ends a task whose check has failed.
    time.sleep(5)
    (task,) = stack.server("demo").tasks()
    assert (task["Status"]["State"], task["DesiredState"]) == ("running", "running")
    container = stack.client.containers.get(task["Status"]["ContainerStatus"]["ContainerID"])
    assert "Health" not in container.attrs["State"]
    assert stack.plugin.server("demo")["ready"]


def test_servers_get_addresses_of_the_site_s_subnet(stack: Stack):
    (network,) = stack.client.networks.list(names=[f"{stack.name}-net"])
    assert [each["Subnet"] for each in network.attrs["IPAM"]["Config"]] == [SUBNET]
    stack.start("demo")
    (address,) = {
        address.split("/")[0]
        for task in stack.server("demo").tasks()
        for attached in task["NetworksAttachments"]
        for address in attached["Addresses"]
    }
    assert ip_address(address) in ip_network(SUBNET)


def test_a_start_has_nothing_left_of_the_one_before(stack: Stack):
    stack.start("alice", "P1", cpu_limit=0.5, env={"OLD": "1"}, command="start jupyterhub-singleuser")
    stack.plugin.stop("alice")
    stack.start("alice", "P2")
    task = stack.server("alice").attrs["Spec"]["TaskTemplate"]
    assert [mount["Target"] for mount in task["ContainerSpec"]["Mounts"]] == [
        "/workspace/alice",
        "/data/projects/P2/experiments",
        "/etc/xnathub/ca.pem",
        "/opt/site-software",
        "/dev/shm",
    ]
    assert "Args" not in task["ContainerSpec"]
    assert "NanoCPUs" not in task["Resources"]["Limits"]
    assert not [each for each in task["ContainerSpec"]["Env"] if each.startswith("OLD=")]


def test_a_dashboard_starts_through_its_command(stack: Stack):
    command = "jhsingle-native-proxy --destport=0 --authtype=oauth -- python3 -m http.server {port}"
    stack.start("demo", command=command)
    page = stack.sign_in("demo").get(f"{stack.url}/user/demo/", timeout=30)
    assert (page.status_code, "Directory listing" in page.text) == (200, True), page.text


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"image": "missing.example.org/lab:1"}, "The image missing.example.org/lab:1 can't be pulled: No such image"),
        ({"constraints": ("node.labels.type==gpu",)}, "No node of the swarm can take the server: scheduling constraints not satisfied on 1 node. It asks for node.labels.type==gpu. Tell your XNAT administrator."),
        ({"cpu_limit": 100, "cpu_reservation": 100}, "No node of the swarm can take the server: insufficient resources on 1 node."),
        ({"generic_resources": {"gpu": "1"}}, "No node of the swarm can take the server: insufficient resources on 1 node."),
        ({"constraints": ("node.labels.type==a;b",)}, "Docker could not start the server: "),
        ({"constraints": ("node.labels.type==",)}, "node.labels.type== has no value, which a Swarm's constraint must have."),
        ({"command": "no-such-program"}, "The server ended as soon as it was started, with exit code 127."),
        ({"command": "true"}, "The server ended as soon as it was started, with exit code 0."),
    ],
    ids=["image", "placement", "cpu", "gpu", "constraint", "no value", "command", "end"],
)  # fmt: skip
def test_a_start_that_can_not_work_is_told_in_a_sentence(stack: Stack, environment, said):
    sentence, seconds = stack.failure("demo", **environment)
    print(f"{seconds:.1f} s: {sentence}")
    assert said in sentence
    if environment.get("command") == "no-such-program":
        assert re.search(r"The last lines of the server's log:\s.*no-such-program", sentence, re.DOTALL)
    assert seconds < 45, "only the end of the start timeout, 50 s, ended it"
    wait_for(lambda: not stack.servers(), 120)


def test_images_that_fail_say_why(stack: Stack):
    build_failing(stack.client)
    told = told_of_all(stack.plugin, stack.options, "demo")
    assert silent(told, stack.logs()) == []
    wait_for(lambda: not stack.servers(), 120)


def test_a_folder_that_is_not_there_is_told(stack: Stack):
    source = "/data/xnat/archive/P1/gone"
    mount = {"source": source, "target": "/data/projects/P9", "type": "bind", "read_only": True}
    sentence, seconds = stack.failure("demo", mount)
    print(f"{seconds:.1f} s: {sentence}")
    assert f"The folder {stack.folder}/archive/P1/gone, which XNAT asks for, is not on the node." in sentence
    assert seconds < 45, "only the end of the start timeout, 50 s, ended it"
    wait_for(lambda: not stack.servers(), 120)


def test_more_mounts_than_a_swarm_takes_are_told(stack: Stack):
    """20,000 start in 12 s, where names are short."""
    many = (
        {
            "source": "/data/xnat/archive/P1",
            "target": f"/data/projects/{n}",
            "type": "bind",
            "read_only": True,
        }
        for n in range(60_000)
    )
    sentence, seconds = stack.failure("demo", *many)
    print(f"{seconds:.1f} s: {sentence}")
    assert "XNAT asks for more mounts than Docker takes: " in sentence
    assert not stack.servers()


def test_progress_tells_each_state_of_the_task(stack: Stack):
    options = stack.options("demo")
    stack.plugin.ensure_user("demo")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(stack.plugin.start, "demo", options)
        wait_for(lambda: stack.plugin.server("demo"), 120)
        messages = [event["message"] for event in stack.plugin.progress("demo") if event.get("message")]
        asked.result()
    print(messages)
    assert any("Asking XNAT what to start" in message for message in messages)
    told = [message.partition(" s: ")[2] for message in messages if " s: Swarm: " in message]
    assert told
    assert told[-1] == "Swarm: running, started"


def test_a_server_that_ends_by_itself_leaves_no_service(stack: Stack):
    stack.start("demo")
    token = stack.plugin.token("demo", "test", 600)
    address = f"{stack.url}/user/demo/api/shutdown"
    assert requests.post(address, headers={"Authorization": f"token {token}"}, timeout=30).ok
    wait_for(lambda: not stack.plugin.server("demo"), 120)
    wait_for(lambda: not stack.servers(), 120)


def test_a_server_that_ran_out_of_memory_says_so(stack: Stack):
    (stack.workspace("alice") / "eat").unlink(missing_ok=True)
    stack.start("alice", command=EATS_MEMORY, mem_limit="200M")
    # To sign in starts a server where none runs.
    session = stack.sign_in("alice")
    (stack.workspace("alice") / "eat").touch()
    wait_for(lambda: not stack.servers(), 90)
    told = "It used more memory than it may, 200M, and was ended for that."
    wait_for(lambda: told in session.get(f"{stack.url}/hub/home", timeout=30).text, 120)
    assert f"alice's server '': {told} " in stack.logs()
    assert "The last lines of its log: got *** and ***" in stack.logs()


def test_services_that_the_hub_does_not_know_are_removed(stack: Stack):
    stack.start("demo")
    known = stack.server("demo")
    labels = {**known.attrs["Spec"]["Labels"], "org.xnat.jupyter.user": "forgotten"}
    others = labels | {"org.xnat.jupyter.xnat": "https://other.example.org"}
    made = [
        stack.client.services.create(SINGLEUSER, ["sleep", "600"], name=f"{stack.name}-{name}", labels=each)
        for name, each in (("forgotten", labels), ("of-another-xnat", others))
    ]
    try:
        wait_for(lambda: made[0].id not in {each.id for each in stack.servers()}, 120, stack.logs)
        assert {each.id for each in stack.servers()} == {known.id, made[1].id}
        assert f"Removing the service {made[0].name}, which runs for 'forgotten'" in stack.logs()
    finally:
        made[1].remove()


def kill_hub(stack: Stack) -> None:
    """Kill the hub's container, and wait until another one answers."""
    killed = stack.hub_container()
    killed.kill("SIGKILL")
    wait_for(
        lambda: killed.id not in [each.id for each in stack.client.containers.list(ignore_removed=True)], 30
    )
    stack.wait_until_up()


def works_again(stack: Stack, user: str) -> None:
    """A new sign-in gets into the running server, which asks the hub for it, and runs a cell."""

    def opened() -> bool:
        page = stack.sign_in(user).get(f"{stack.url}/user/{user}/{EVENT}/lab", timeout=90)
        return page.status_code == 200 and "JupyterLab" in page.text

    began = time.monotonic()
    wait_for(opened, 120)
    print(f"a new sign-in got in after {time.monotonic() - began:.1f} s")
    assert stack.execute(user, "print(6 * 7)", EVENT) == "42\n"


def test_servers_outlive_the_hub_and_a_new_site_file(stack: Stack, run):
    network = f"{stack.name}-net"

    def steady_address() -> str:
        """The address that the name leads to by which servers reach the hub, whichever its proxy's container is."""
        (service,) = stack.client.services.list(filters={"name": f"{stack.name}_proxy"})
        found = run("xnathub-base:test", ["getent", "ahosts", "jupyterhub-proxy"], network=network).output
        virtual = {each["Addr"].split("/")[0] for each in service.attrs["Endpoint"]["VirtualIPs"]}
        (address,) = virtual & set(found.split())
        return address

    address = steady_address()
    stack.start("demo", servername=EVENT)
    session = stack.sign_in("demo")
    server = f"{stack.url}/user/demo/{EVENT}"
    assert session.get(f"{server}/lab", timeout=90).status_code == 200
    files = f"{server}/api/contents"
    assert session.get(files, timeout=30).status_code == 200
    task = stack.server("demo", EVENT).tasks()[0]["ID"]
    kill_hub(stack)
    works_again(stack, "demo")
    assert steady_address() == address
    # A browser that was there before; and the cookie's secret outlives the container too.
    assert session.get(files, timeout=30).status_code == 200
    assert session.get(f"{stack.url}/hub/home", timeout=30).url.endswith("/hub/home")

    before = stack.hub_container().id
    stack.site["servers"]["start_timeout"] = 51
    stack.deploy()
    wait_for(
        lambda: before not in [each.id for each in stack.client.containers.list(ignore_removed=True)], 60
    )
    stack.wait_until_up()
    shown = stack.hub_container().exec_run(["xnathub", "show", "/etc/xnathub/site.yaml"]).output.decode()
    assert "Spawner.start_timeout = 51" in shown
    assert stack.server("demo", EVENT).tasks()[0]["ID"] == task
    works_again(stack, "demo")
    assert steady_address() == address


def test_the_hub_runs_with_nothing_it_does_not_need(stack: Stack):
    hub = stack.hub_container()
    said = hub.exec_run(
        [
            "sh",
            "-c",
            "exec 2>&1; id -u; grep CapEff /proc/1/status; ls -l /srv/jupyterhub /run/secrets; touch /x",
        ]
    )
    print(said.output.decode(), hub.top()["Processes"])
    lines = said.output.decode().splitlines()
    assert lines[:2] == ["4001", "CapEff:\t0000000000000000"]
    assert any(re.match(r"-rw------- .* jupyterhub.sqlite$", line) for line in lines)
    assert any(re.match(r"-r-------- .* 4001 .*_token$", line) for line in lines)
    assert "Read-only file system" in lines[-1]
    wait_for(lambda: hub.reload() or hub.attrs["State"]["Health"]["Status"] == "healthy", 120)


def test_docker_tells_no_secret_of_the_hub(stack: Stack):
    stack.sign_in("demo")
    stack.start("demo")
    hub, container = f"{stack.name}_hub", stack.hub_container()
    told = [
        command("docker", *words)
        for words in (
            ("service", "inspect", hub), ("service", "inspect", "--pretty", hub), ("service", "ps", "--no-trunc", hub), ("inspect", container.id),
            ("service", "inspect", f"{stack.name}_proxy"), ("top", container.id), ("stack", "services", stack.name), ("secret", "inspect", *stack.secrets),
        )
    ]  # fmt: skip
    configs = stack.client.configs.list(filters={"label": f"com.docker.stack.namespace={stack.name}"})
    told += [base64.b64decode(each.attrs["Spec"]["Data"]).decode() for each in configs]
    assert configs
    told += [stack.logs(), (stack.folder / "docker-stack.yml").read_text()]
    password = stack.state.user("demo").password
    alias = json.loads(stack.state.user_options("demo"))["task_template"]["container_spec"]["env"][
        "XNAT_PASS"
    ]
    for text in told:
        Search.current.text("docker inspect, service logs and configs", hub, text)
        for secret in (*stack.secrets.values(), password, alias):
            assert secret not in text


def test_stack_rm_leaves_nothing_but_volumes_and_the_admins_secrets(shared_stack: Stack):
    shared_stack.start("demo")
    shared_stack.remove()
    assert shared_stack.client.volumes.list(filters={"name": f"{shared_stack.name}_data"})
    # What was kept is taken up again.
    shared_stack.deploy()
    shared_stack.wait_until_up()
    assert shared_stack.plugin.server("demo") is None
    assert "demo" in [user["name"] for user in shared_stack.plugin.users()]


def test_a_server_opens_on_a_workspace_that_takes_nothing_more(stack: Stack, tmp_path):
    opens_all_the_same(stack, "alice", tmp_path)


def test_what_the_plugin_s_pages_do_for_six_names(stack: Stack):
    def objects() -> list[tuple[str, str, str]]:
        labels = [(each.name, each.attrs["Spec"]["Labels"]) for each in stack.servers()]
        return [(name, of["org.xnat.jupyter.user"], of["org.xnat.jupyter.server"]) for name, of in labels]

    walk(
        stack.plugin,
        stack.state,
        Place(WEB_SERVER, "whose", stack.workspace, lambda: kill_hub(stack), objects),
    )
