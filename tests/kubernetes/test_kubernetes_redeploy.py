"""What is open while the hub's pod is deployed anew or killed: the chart's proxy is a pod of its own, and cuts nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests

from tests.docker.watching import KERNELS, LONGEST_WAIT, REDEPLOYS, Again, Kernel
from tests.kubernetes.test_kubernetes_killed import kill_hub
from tests.kubernetes.testbed import Release, wait_for

HUB_POD = ("--selector", "app.kubernetes.io/component=hub")
PROXY_POD = ("--selector", "app.kubernetes.io/component=proxy")
CALLS_THE_HUB = f"""
import os, pathlib, time, urllib.request
folder = pathlib.Path(os.environ["JUPYTERHUB_ROOT_DIR"])
request = urllib.request.Request(
    os.environ["JUPYTERHUB_API_URL"] + "/user", headers={{"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]}}
)
while not (folder / "ends").exists():
    began = time.monotonic()
    try:
        urllib.request.urlopen(request, timeout=60).read()
    except OSError as error:
        if getattr(error, "code", 0) != 503 or time.monotonic() - began < {LONGEST_WAIT - 1}:
            print(repr(error))
    (folder / "calls").touch()
    print(end=".", flush=True)
    time.sleep(0.1)
print("ended")
"""
"""What a server does: it calls the hub until it is told to end, and says which calls failed without a long wait."""


def uids(release: Release, *selector: str) -> list[str]:
    return [pod["metadata"]["uid"] for pod in release.namespace.get("pods", *selector)["items"]]


def test_edits_and_a_killed_hub_cut_nothing(own_release: Release):
    release = own_release
    release.start("demo")
    session = release.sign_in("demo")
    server = f"{release.url}/user/demo"
    token = release.plugin.token("demo", "test", 3600)
    xnats = release.secrets("xnathub-secrets")["hub_api_token"].decode()
    mine, xnats_own = ({"Authorization": f"token {each}"} for each in (token, xnats))
    hub_api = f"{release.url}/hub/api/users/demo"
    folder = release.workspace("demo")
    proxy, pod = uids(release, *PROXY_POD), release.pod_of("demo")["metadata"]["uid"]
    kernels = [Kernel(server, token) for _ in range(KERNELS)]
    with ThreadPoolExecutor(1) as pool:
        servers_own = pool.submit(release.execute, "demo", CALLS_THE_HUB)
        wait_for((folder / "calls").exists, 60)
        of_the_server = Again(lambda: requests.get(f"{server}/api/status", headers=mine, timeout=60))
        of_the_hub = Again(lambda: requests.get(hub_api, headers=xnats_own, timeout=60))
        try:
            for number in range(REDEPLOYS):
                before = uids(release, *HUB_POD)
                release.values["site"]["servers"]["start_timeout"] = 151 + number
                release.upgrade()
                assert not set(before) & set(uids(release, *HUB_POD))
                for kernel in kernels:
                    kernel.counts_on()
            kill_hub(release)
            wait_for(release.healthy, 180)
            for kernel in kernels:
                kernel.counts_on()
        finally:
            failed = of_the_server.end(), of_the_hub.end_of_calls_to_the_hub()
            (folder / "ends").touch()
            said = servers_own.result()
    assert failed == ([], [])
    assert said.lstrip(".") == "ended\n"
    assert uids(release, *PROXY_POD) == proxy
    assert release.pod_of("demo")["metadata"]["uid"] == pod
    # The sign-in holds, at the hub and at the server.
    assert session.get(f"{release.url}/hub/home", timeout=60).url.endswith("/hub/home")
    assert session.get(f"{server}/api/contents", timeout=60).status_code == 200
    release.stop("demo")
