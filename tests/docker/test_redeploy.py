"""What is open while the hub is deployed anew or killed: its proxy is a service of its own, and cuts nothing."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.docker.testbed import Stack, new_name, wait_for
from tests.docker.watching import KERNELS, REDEPLOYS, Again, Kernel
from tests.support import XNATHUB
from xnathub_conf.standin import StandIn, demo_state

WRITES = """
import hashlib, os
data = os.urandom(32 * 2**20)
open(os.environ["JUPYTERHUB_ROOT_DIR"] + "/big", "wb").write(data)
print(hashlib.sha256(data).hexdigest())
"""


@pytest.fixture(scope="module")
def stack(docker_client, host_address, tmp_path_factory) -> Iterator[Stack]:
    name = new_name()
    orchestrator = {"swarm": {"network_name": f"{name}-net", "prefix": name}}
    with StandIn(demo_state(), host=host_address) as xnat:
        stack = Stack(docker_client, name, tmp_path_factory.mktemp("redeploy"), xnat, orchestrator)
        with stack.deployed():
            yield stack


def containers(stack: Stack, service: str) -> list[str]:
    label = {"label": f"com.docker.swarm.service.name={stack.name}_{service}"}
    return [each.id for each in stack.client.containers.list(filters=label, ignore_removed=True)]


def another_hub(stack: Stack, before: list[str]) -> None:
    """Wait until another container than before is the hub's, and healthy, and Swarm has nothing to take back any more."""
    wait_for(lambda: (found := containers(stack, "hub")) and found != before, 90, stack.logs)
    stack.wait_until_up()

    def settled() -> bool:
        service = stack.client.services.get(f"{stack.name}_hub")
        return service.attrs.get("UpdateStatus", {}).get("State", "completed") == "completed"

    wait_for(settled, 120, stack.logs)


def test_a_new_site_file_and_a_killed_hub_cut_nothing(stack: Stack):
    stack.start("demo")
    made = stack.execute("demo", WRITES).strip()
    session = stack.sign_in("demo")
    server = f"{stack.url}/user/demo"
    token = stack.plugin.token("demo", "test", 1200)
    mine, xnats = ({"Authorization": f"token {each}"} for each in (token, stack.token))
    (proxy,) = containers(stack, "proxy")
    kernels = [Kernel(server, token) for _ in range(KERNELS)]
    download = requests.get(f"{server}/files/big", headers=mine, timeout=120, stream=True)
    assert download.status_code == 200, download.text
    pieces = download.iter_content(2**16)
    got = hashlib.sha256(next(pieces))
    of_the_server = Again(lambda: requests.get(f"{server}/api/status", headers=mine, timeout=60))
    of_the_hub = Again(lambda: requests.get(f"{stack.url}/hub/api/users/demo", headers=xnats, timeout=60))
    try:
        for number in range(REDEPLOYS):
            before = containers(stack, "hub")
            stack.site["servers"]["start_timeout"] = 51 + number
            stack.deploy()
            another_hub(stack, before)
            shown = stack.hub_container().exec_run(["xnathub", "show", "/etc/xnathub/site.yaml"]).output
            assert f"Spawner.start_timeout = {51 + number}" in shown.decode()
            for kernel in kernels:
                kernel.counts_on()
        before = containers(stack, "hub")
        stack.hub_container().kill("SIGKILL")
        another_hub(stack, before)
        for kernel in kernels:
            kernel.counts_on()
    finally:
        failed = of_the_server.end(), of_the_hub.end_of_calls_to_the_hub()
    assert failed == ([], [])
    for piece in pieces:
        got.update(piece)
    assert got.hexdigest() == made
    assert containers(stack, "proxy") == [proxy]
    # The sign-in holds, at the hub and at the server.
    assert session.get(f"{stack.url}/hub/home", timeout=60).url.endswith("/hub/home")
    assert session.get(f"{server}/api/contents", timeout=60).status_code == 200


def apply(stack: Stack, image: str = "xnathub:test") -> tuple[int, str]:
    """Run `xnathub apply`, and give its exit code and what it says."""
    stack.write_site()
    words = (
        "--stack",
        stack.name,
        "--image",
        image,
        "--proxy-image",
        "xnathub:test",
        "--resolve-image",
        "never",
    )
    done = subprocess.run(
        [XNATHUB, "apply", "site.yaml", *words, "--secrets", "."],
        cwd=stack.folder, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    print(done.stdout, done.stderr)
    return done.returncode, done.stdout + done.stderr


def test_apply_brings_an_edit_and_takes_a_broken_one_back(stack: Stack):
    if not stack.plugin.server("demo"):
        stack.start("demo")
    kernel = Kernel(f"{stack.url}/user/demo", stack.plugin.token("demo", "test", 1200))
    before = stack.site["servers"]["start_timeout"]
    stack.site["servers"]["start_timeout"] = 55
    code, said = apply(stack)
    assert code == 0, said
    assert f"servers.start_timeout: {before} -> 55" in said
    assert "The hub is up after" in said
    code, said = apply(stack)
    assert (code, "Nothing changes." in said, "The hub runs on as it was." in said) == (0, True, True), said

    good = stack.site["xnat"]["service_account"]["password"]
    secret = f"{stack.name}_blank"
    (stack.folder / secret).write_text(" ")
    stack.site["xnat"]["service_account"]["password"] = {"file": f"/run/secrets/{secret}"}
    try:
        code, said = apply(stack)
    finally:
        stack.site["xnat"]["service_account"]["password"] = good
    assert code == 1, said
    for part in (
        f"Made the secret {secret}.",
        "The hub before it runs again.",
        f"The file /run/secrets/{secret} is empty.",
    ):
        assert part in said
    stack.wait_until_up()
    shown = stack.hub_container().exec_run(["xnathub", "show", "/etc/xnathub/site.yaml"]).output.decode()
    assert "Spawner.start_timeout = 55" in shown
    assert secret not in shown
    kernel.counts_on()
    for each in stack.client.secrets.list(filters={"name": secret}):
        each.remove()


def test_apply_changes_nothing_where_it_can_not_work(stack: Stack):
    running = containers(stack, "hub")
    good = stack.site["hub"]["api_token"]
    stack.site["hub"]["api_token"] = {"file": "/run/secrets/none"}
    code, said = apply(stack)
    stack.site["hub"]["api_token"] = good
    assert (code, "The site names secrets that there are not: none." in said) == (1, True), said
    assert "The hub's image" not in said
    stack.site["servers"]["no_such_key"] = 1
    code, said = apply(stack)
    del stack.site["servers"]["no_such_key"]
    assert (code, "no_such_key" in said) == (1, True), said
    assert containers(stack, "hub") == running


def test_a_proxy_that_is_killed_is_told_all_it_must_know(stack: Stack):
    if not stack.plugin.server("demo"):
        stack.start("demo")
    token = {"Authorization": f"token {stack.plugin.token('demo', 'test', 600)}"}
    (killed,) = containers(stack, "proxy")
    stack.client.containers.get(killed).kill("SIGKILL")

    def answers() -> bool:
        try:
            return requests.get(f"{stack.url}/user/demo/api/status", headers=token, timeout=20).ok
        except requests.RequestException:
            return False

    wait_for(lambda: containers(stack, "proxy") not in ([], [killed]), 120)
    # JupyterHub alone would look after five minutes.
    wait_for(answers, 120, stack.logs)
    assert "The proxy has started anew" in stack.logs()


def test_apply_tells_of_another_image_and_of_one_that_is_not_there(stack: Stack):
    code, said = apply(stack, "xnathub:nowhere")
    assert code == 1, said
    for part in (
        "The hub's image: xnathub:test -> xnathub:nowhere.",
        "No such image: xnathub:nowhere",
        "The hub before it runs again.",
    ):
        assert part in said
    stack.wait_until_up()
