"""The chart's own hub, from sign-in to a kernel in a pod, on a real cluster."""

from __future__ import annotations

import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import docker
import pytest

from tests.failing_images import build_failing, silent, told_of_all
from tests.full_folders import opens_all_the_same
from tests.kubernetes.cookies import assert_no_foreign_cookie_arrives
from tests.kubernetes.testbed import BUSYBOX, GID, TARPIT, UID, Cluster, Release, new_release, wait_for
from tests.plugin_pages import EVENT, TELLS, Place, request, walk
from tests.support import (
    EATS_MEMORY,
    ITS_LIMITS,
    LOOKS_AROUND,
    LOOKS_AT_ITS_LIMITS,
    MAKES_THAT_CALL,
    what_it_sees,
)
from xnathub_conf.standin import faults

HUB_POD = ("--selector", "app.kubernetes.io/component=hub")


def test_a_user_signs_in_and_works_in_a_pod(release: Release):
    session = release.sign_in("demo")
    other = release.workspace("alice")
    (other / "secret.txt").write_text("alice's")
    release.start("demo", servername=EVENT)

    opened = session.get(f"{release.url}/user/demo/{EVENT}/lab", timeout=60)
    assert (opened.status_code, "JupyterLab" in opened.text) == (200, True)

    assert release.execute("demo", LOOKS_AROUND, EVENT).splitlines() == what_it_sees("demo", UID, GID)
    made = (release.workspace("demo") / "result.txt").stat()
    assert (made.st_uid, made.st_gid) == (UID, GID)
    release.stop("demo", EVENT)


def test_no_server_s_process_gets_xnat_s_session(release: Release):
    assert_no_foreign_cookie_arrives(release)


def test_images_are_on_the_nodes_before_anyone_asks(release: Release):
    """The DaemonSet's pod is ready when each image has been there for one of its containers."""
    wait_for(
        lambda: release.namespace.get("daemonset", "images-ahead")["status"].get("numberReady") == 1, 180
    )
    # The hub looks once a minute, and says so in its log and its metrics.
    hub = ("logs", "deployment/hub")
    wait_for(lambda: "on 1 of 1 nodes ahead of time" in release.namespace.kubectl(*hub), 90)
    metrics = release.sign_in("demo").get(f"{release.url}/hub/metrics", timeout=20).text
    assert 'xnathub_images_ahead{state="there"} 1.0' in metrics
    assert 'xnathub_images_ahead{state="missing"} 0.0' in metrics


def test_users_whose_names_look_alike_get_pods_and_folders_of_their_own(release: Release):
    users = {"alice": "P1", "Alice": "P2", "a.b@c.org": "P1"}
    for user in users:
        (release.workspace(user) / "whose.txt").write_text(user)
    for user, project in users.items():
        release.start(user, project)
    release.start("alice", "P2", servername="second-one")
    pods = {user: release.pod_of(user) for user in users}
    pods["second"] = release.pod_of("alice", "second-one")
    names = {pod["metadata"]["name"] for pod in pods.values()}
    assert len(names) == len(pods)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in names)
    assert json.loads(release.execute("Alice", LOOKS_AT_ITS_LIMITS)) == ITS_LIMITS
    assert release.execute("Alice", MAKES_THAT_CALL) == "EPERM\n"
    (container,) = pods["Alice"]["spec"]["containers"]
    assert container["securityContext"]["seLinuxOptions"] == {"level": "s0:c1,c2"}
    for user in users:
        code = f"import os; print(open('/workspace/{user}/whose.txt').read(), os.listdir('/workspace'))"
        assert release.execute(user, code) == f"{user} ['{user}']\n"
    labels, notes = pods["a.b@c.org"]["metadata"]["labels"], pods["a.b@c.org"]["metadata"]["annotations"]
    assert labels["org.xnat.jupyter.project"] == "P1"
    assert (notes["org.xnat.jupyter.user"], notes["org.xnat.jupyter.type"]) == (
        "a.b@c.org",
        "xnat:projectData",
    )
    release.stop("alice", "second-one")
    for user in users:
        release.stop(user)
    assert not release.servers()


MAKES_UP_AN_ADDRESS = """
import re, signal, time, urllib.parse, urllib.request
class Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None
def claim(name):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(), Stays)
    opener.addheaders = [(each, "203.0.113.7") for each in ("X-Forwarded-For", "X-Real-IP")] + [("Sec-Fetch-Mode", "navigate")]
    page = "http://proxy-public/jupyterhub/hub/login"
    xsrf = re.search(r'name="_xsrf"\\s+value="([^"]*)"', opener.open(page, timeout=20).read().decode())[1]
    form = urllib.parse.urlencode({"username": name, "password": "guessed", "_xsrf": xsrf}).encode()
    try:
        return opener.open(page, form, timeout=30).status
    except urllib.error.HTTPError as error:
        return error.code
"""
BEFORE_ITS_SERVER_IS_UP = """
signal.signal(signal.SIGTERM, lambda *_: claim("ending"))
start = time.monotonic()
for number in range(8):
    claim(f"starting-{number}-after-{time.monotonic() - start:.1f}")
    time.sleep(0.5)
time.sleep(600)
"""


def addresses_on_record(release: Release, name: str) -> dict[str, str]:
    """From where wrong passwords came for names that begin so, by the audit log."""
    logged = re.findall(r"\{.*\}", release.namespace.kubectl("logs", "deployment/hub", "--tail=-1"))
    lines = [json.loads(line) for line in logged if f'"{name}' in line]
    return {line["user"]: line["address"] for line in lines}


def test_a_user_s_pod_makes_up_no_address(release: Release):
    release.start("demo")
    address = release.pod_of("demo")["status"]["podIP"]
    assert release.execute("demo", f"{MAKES_UP_AN_ADDRESS}\nprint(claim('nobody'))") in {
        "401\n",
        "403\n",
        "429\n",
    }
    assert addresses_on_record(release, "nobody") == {"nobody": address}
    release.stop("demo")


def test_a_pod_that_starts_or_ends_makes_up_no_address(release: Release):
    """Its command is its user's: it runs before a server is up, and after the server is stopped."""
    release.workspace("demo")
    code = shlex.quote(MAKES_UP_AN_ADDRESS + BEFORE_ITS_SERVER_IS_UP)
    environment = release.environment(command=f"python3 -c {code}")
    options = release.state.launch("demo", "P1", EVENT, environment=environment)
    release.plugin.ensure_user("demo")
    release.plugin.start("demo", request(options))
    wait_for(lambda: len(addresses_on_record(release, "starting-")) == 8, 90)
    address = release.pod_of("demo", EVENT)["status"]["podIP"]
    assert set(addresses_on_record(release, "starting-").values()) == {address}
    release.stop("demo", EVENT)
    wait_for(lambda: addresses_on_record(release, "ending"), 30)
    assert addresses_on_record(release, "ending") == {"ending": address}


def test_text_from_xnat_is_never_expanded(release: Release):
    odd = {"BRACES": "{username} {0}", "DOLLARS": "$(HOME) $$(HOME) $HOME", "TEXT": "größe \"'\n"}
    release.start("demo", env=odd)
    code = "import os, json; print(json.dumps({k: os.environ[k] for k in ('BRACES', 'DOLLARS', 'TEXT')}))"
    assert json.loads(release.execute("demo", code)) == odd
    release.stop("demo")


def test_a_dashboard_starts_through_its_command(release: Release):
    command = "jhsingle-native-proxy --destport=0 --authtype=oauth -- python3 -m http.server {port}"
    release.start("demo", command=command)
    page = release.sign_in("demo").get(f"{release.url}/user/demo/", timeout=30)
    assert (page.status_code, "Directory listing" in page.text) == (200, True), page.text
    release.stop("demo")


def test_resources_and_placement_reach_the_pod(release: Release):
    release.start(
        "demo",
        cpu_limit=0.5,
        mem_limit="512M",
        mem_reservation="100M",
        constraints=(
            "node.hostname==node",
            "node.labels.type!=gpu",
            "node.role==worker",
            "kubernetes.io/hostname==node",
            "gpu!=true",
        ),
    )
    pod = release.pod_of("demo")
    container = pod["spec"]["containers"][0]
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in container["env"]
    assert container["resources"] == {
        "limits": {"cpu": "500m", "memory": str(512 * 1024**2)},
        "requests": {"cpu": "50m", "memory": str(100 * 1024**2)},
    }
    assert pod["status"]["qosClass"] == "Burstable"
    release.stop("demo")


def test_a_start_has_nothing_left_of_the_one_before(release: Release):
    release.start("alice", "P1", cpu_limit=0.5, env={"OLD": "1"}, command="start jupyterhub-singleuser")
    release.stop("alice")
    release.start("alice", "P2")
    container = release.pod_of("alice")["spec"]["containers"][0]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == [
        "/workspace/alice",
        "/data/projects/P2/experiments",
        "/etc/xnathub/ca.pem",
        "/opt/site-software",
        "/dev/shm",
    ]
    assert "args" not in container
    assert "cpu" not in container["resources"]["limits"]
    assert "OLD" not in {variable["name"] for variable in container["env"]}
    release.stop("alice")


def test_a_server_outlives_the_hub_pod(release: Release):
    release.start("demo", servername=EVENT)
    before = release.pod_of("demo", EVENT)["metadata"]["uid"]
    session = release.sign_in("demo")
    assert session.get(f"{release.url}/user/demo/{EVENT}/lab", timeout=60).status_code == 200
    release.namespace.kubectl("scale", "deployment/hub", "--replicas=0")
    release.namespace.kubectl("wait", "--for=delete", "pod", *HUB_POD, "--timeout=180s")
    # Without any hub, the proxy still leads to the server.
    assert "version" in session.get(f"{release.url}/user/demo/{EVENT}/api", timeout=60).json()
    release.namespace.kubectl("scale", "deployment/hub", "--replicas=1")
    release.wait_until_up()
    release.namespace.kubectl("delete", "pod", *HUB_POD)
    release.wait_until_up()
    # The sign-in has started the default server too; the hub looks for it first, as long as http_timeout says.
    wait_for(lambda: (release.plugin.server("demo", EVENT) or {}).get("ready"), 180)
    assert release.pod_of("demo", EVENT)["metadata"]["uid"] == before
    assert release.execute("demo", "print(6 * 7)", EVENT) == "42\n"
    # The cookie's secret outlives the pod too.
    assert session.get(f"{release.url}/hub/home", timeout=30).url.endswith("/hub/home")
    release.stop("demo", EVENT)


def test_progress_tells_what_kubernetes_does(release: Release):
    release.workspace("demo")
    options = release.state.launch("demo", "P1", environment=release.environment())
    plugin = release.plugin
    plugin.ensure_user("demo")
    messages: list[str] = []
    # So that the start is not over before it is looked at.
    release.xnat.faults.set("/xapi/jupyterhub/users", faults.Delay(3), 1)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(plugin.start, "demo", options)
        wait_for(lambda: plugin.server("demo"), 60)
        messages = [event["message"] for event in plugin.progress("demo") if event.get("message")]
        asked.result()
    release.stop("demo")
    assert any("Successfully assigned" in message for message in messages), messages
    assert any("already present on machine" in message for message in messages), messages


# What can't start, and what the user reads of it


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"image": "missing.example.org/lab:1"}, "The image missing.example.org/lab:1 can't be pulled: "),
        ({"cpu_limit": 100, "cpu_reservation": 100}, "No node of the cluster can take the server: 0/1 nodes are available: 1 Insufficient cpu."),
        ({"generic_resources": {"gpu": "1"}}, "No node of the cluster can take the server: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu."),
        ({"constraints": ("node.labels.type==gpu",)}, "No node of the cluster has the labels that the server asks for: type=gpu. Tell your XNAT administrator."),
        ({"constraints": ("nvidia.com/gpu.product==A100",)}, "No node of the cluster has the labels that the server asks for: nvidia.com/gpu.product=A100. Tell your XNAT administrator."),
        ({"constraints": ("engine.labels.a==b",)}, "engine.labels.a==b asks for what no node of Kubernetes has."),
        ({"command": "no-such-program"}, "The server ended as soon as it was started, with exit code 127"),
    ],
    ids=["image", "cpu", "gpu", "placement", "label", "constraint", "command"],
)  # fmt: skip
def test_a_start_that_can_not_work_is_told_in_a_sentence(release: Release, environment, said):
    sentence = release.failure("demo", **environment)
    assert said in sentence
    if environment.get("command") == "no-such-program":
        assert re.search(r"The last lines of the server's log:\s.*no-such-program", sentence, re.DOTALL)
    wait_for(lambda: not release.servers(), 90)


def test_images_that_fail_say_why(release: Release):
    with closing(docker.DockerClient(base_url="unix:///var/run/docker.sock", timeout=300)) as client:
        release.namespace.cluster.import_images(build_failing(client))
    release.workspace("demo")

    def options(user: str, servername: str, **chosen: Any) -> Any:
        return release.state.launch(user, "P1", servername, environment=release.environment(**chosen))

    told = told_of_all(release.plugin, options, "demo")
    log = release.namespace.kubectl("logs", "deployment/hub", "--tail=-1")
    assert silent(told, log) == []
    wait_for(lambda: not release.servers(), 90)


def test_a_start_that_takes_too_long_says_what_it_was_at(cluster: Cluster):
    image = f"{TARPIT.host}/web:1"
    silent = "sh -c 'echo see /lab?token=leaked0123456789; echo got $JUPYTERHUB_API_TOKEN; sleep 600'"
    with (
        new_release(cluster, start_timeout=40, http_timeout=20) as release,
        TARPIT,
        ThreadPoolExecutor(2) as pool,
    ):
        pulls = pool.submit(release.failure, "demo", image=image)
        sleeps = pool.submit(release.failure, "alice", command=silent)
        assert "not up after 40 s. The node node was still pulling the image " + image in pulls.result()
        told = sleeps.result()
        log = release.namespace.kubectl("logs", "deployment/hub")
    assert "not up after 20 s. It runs, but nothing listens at port 8888, " in told
    assert "raise servers.http_timeout in site.yaml." in told
    assert "see /lab?token=***" in told
    assert "got ***" in told
    assert "leaked" not in told + log


def test_a_server_that_ran_out_of_memory_says_so(release: Release):
    (release.workspace("alice") / "eat").unlink(missing_ok=True)
    release.start("alice", command=EATS_MEMORY, mem_limit="200M")
    # To sign in starts a server where none runs.
    session = release.sign_in("alice")
    (release.workspace("alice") / "eat").touch()
    wait_for(
        lambda: not release.servers(),
        300,
        lambda: f"{release.servers()}\n{release.namespace.kubectl('logs', 'deployment/hub', '--tail=30')}",
    )
    told = "It used more memory than it may, 200M, and was ended for that."
    page = f"{release.url}/hub/home"
    wait_for(lambda: told in session.get(page, timeout=60).text, 90)
    log = release.namespace.kubectl("logs", "deployment/hub")
    assert f"alice's server '': {told} " in log
    assert "The last lines of its log: got *** and ***" in log
    assert '"event": "stop", "outcome": "ended-by-itself", "user": "alice"' in log


def options_with(release: Release, mount: dict[str, object]) -> dict[str, object]:
    options = release.state.launch("demo", "P1", environment=release.environment())
    options["task_template"]["container_spec"]["mounts"].append(mount)
    release.state.set_user_options("demo", options)
    return options


def test_a_folder_that_is_not_there_is_told(release: Release):
    # Kubernetes makes a folder that is missing where the volume lets it, so this one stands where it can't.
    source = "/data/xnat/archive/P1/arc001/README.txt/more"
    mount = {"source": source, "target": "/data/projects/P9", "type": "bind", "read_only": True}
    sentence = release.failing_options("demo", options_with(release, mount))
    assert "A folder that XNAT asks for is not in its volume" in sentence


def test_a_claim_that_does_not_exist_is_told(release: Release):
    mount = {"source": "missing-claim", "target": "/data/more", "type": "volume", "read_only": True}
    sentence = release.failing_options("demo", options_with(release, mount))
    assert "The volume claim missing-claim does not exist." in sentence


def test_a_claim_that_is_not_bound_is_told(release: Release):
    release.namespace.claim("unbound-claim", "ReadWriteMany")
    mount = {"source": "unbound-claim", "target": "/data/more", "type": "volume", "read_only": True}
    sentence = release.failing_options("demo", options_with(release, mount))
    assert "A volume claim is not bound to storage yet. It is one of: " in sentence
    assert "unbound-claim" in sentence


def test_a_volume_is_mounted_as_the_claim_of_its_name(release: Release):
    (release.namespace.volume("shared-atlas", "ReadWriteMany") / "atlas.txt").write_text("atlas")
    release.namespace.claim("shared-atlas", "ReadWriteMany")
    mount = {"source": "shared-atlas", "target": "/data/atlas", "type": "volume", "read_only": True}
    options = options_with(release, mount)
    release.workspace("demo")
    release.plugin.start("demo", options)
    release.plugin.wait_ready("demo")
    assert release.execute("demo", "print(open('/data/atlas/atlas.txt').read())") == "atlas\n"
    release.stop("demo")


def test_a_quota_without_room_is_told(release: Release):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"limits.memory": "1Mi"}},
    }
    release.namespace.apply(quota)
    try:
        wait_for(lambda: release.namespace.get("resourcequota", "small").get("status", {}).get("hard"), 90)
        sentence = release.failure("demo")
    finally:
        release.namespace.kubectl("delete", "resourcequota", "small")
    assert (
        f"The quota of the namespace {release.namespace.name} leaves no room for the server: exceeded quota: small"
        in sentence
    )


def test_an_admission_that_is_denied_is_told(release: Release):
    name = release.namespace.name
    selector = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    release.namespace.cluster.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {
                    "namespaceSelector": selector,
                    "resourceRules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["pods"],
                        }
                    ],
                },
                "validations": [{"expression": "false", "message": "no pods on Tuesdays"}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    )

    def denied() -> bool:
        said = release.namespace.kubectl("run", "probe", "--image=x", "--dry-run=server", check=False)
        return "no pods on Tuesdays" in said

    # The API server takes up policies after a moment, new ones and those that are gone.
    try:
        wait_for(denied, 90)
        sentence = release.failure("demo")
    finally:
        for kind in "validatingadmissionpolicybinding", "validatingadmissionpolicy":
            release.namespace.cluster.kubectl("delete", kind, name)
        wait_for(lambda: not denied(), 90)
    assert "The cluster's rules do not allow the server: " in sentence
    assert "no pods on Tuesdays" in sentence


def test_servers_satisfy_the_restricted_pod_security_standard(release: Release):
    release.namespace.cluster.kubectl(
        "label", "namespace", release.namespace.name, "pod-security.kubernetes.io/enforce=restricted"
    )
    try:
        release.start("demo")
        release.stop("demo")
    finally:
        release.namespace.cluster.kubectl(
            "label", "namespace", release.namespace.name, "pod-security.kubernetes.io/enforce-"
        )


def test_more_mounts_than_an_object_can_hold_are_refused_before_they_are_sent(release: Release):
    options = release.state.launch("demo", "P1", environment=release.environment())
    mounts = options["task_template"]["container_spec"]["mounts"]
    mounts += [
        {
            "source": f"/data/xnat/archive/Project_{n}/arc001",
            "target": f"/data/projects/Project_{n}/experiments",
            "type": "bind",
            "read_only": True,
        }
        for n in range(20_000)
    ]
    release.state.set_user_options("demo", options)
    sentence = release.failing_options("demo", options)
    assert "XNAT asks for 20,003 mounts" in sentence, "the authorities that servers trust are one"


def test_a_refused_pod_is_not_written_to_the_log_with_its_tokens(release: Release):
    options = release.state.launch(
        "demo", "P1", environment=release.environment(constraints=("node.labels.type==not valid!",))
    )
    sentence = release.failing_options("demo", options)
    assert "Kubernetes could not create the server: spec.affinity" in sentence
    secret = options["task_template"]["container_spec"]["env"]["XNAT_PASS"]
    assert secret not in release.namespace.kubectl("logs", "deployment/hub")


def test_a_server_opens_on_a_workspace_that_takes_nothing_more(release: Release, tmp_path):
    opens_all_the_same(release, "alice", tmp_path)


def test_what_the_plugin_s_pages_do_for_six_names(release: Release):
    def objects() -> list[tuple[str, str, str]]:
        pods = [each["metadata"] for each in release.servers() if "deletionTimestamp" not in each["metadata"]]
        facts = [(pod["name"], pod["annotations"]) for pod in pods]
        return [(name, of["org.xnat.jupyter.user"], of["org.xnat.jupyter.server"]) for name, of in facts]

    def restart() -> None:
        release.namespace.kubectl("delete", "pod", *HUB_POD)
        release.wait_until_up()

    server = release.environment(image=BUSYBOX, command=TELLS)
    walk(release.plugin, release.state, Place(server, "whose", release.workspace, restart, objects))
