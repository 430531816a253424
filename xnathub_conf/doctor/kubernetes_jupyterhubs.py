"""Which JupyterHub images hold, asked on a cluster: in a pod for each image, on nodes that have it."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
from kubernetes_asyncio import client
from kubernetes_asyncio.client.exceptions import ApiException

from xnathub_conf.doctor.examination import Examination, Finding
from xnathub_conf.doctor.jupyterhubs import ASK, LABEL, finding, version_in
from xnathub_conf.doctor.kubernetes_reading import pod_to_try
from xnathub_conf.orchestrators.kubernetes import pull_secrets
from xnathub_conf.site.types import Kubernetes

_SECONDS, _SECONDS_FOR_ALL = 30, 60
_CALL_SECONDS = 10
_LOOK_AGAIN_SECONDS = 0.5
_AT_ONCE = 4
_BY_HAND = "kubectl run ask --rm --attach --restart=Never --image IMAGE --command -- jupyterhub --version"


async def which_jupyterhub_in_pods(
    examination: Examination, settings: Kubernetes, api: object, namespace: str, names: Sequence[str]
) -> Finding:
    """Return the finding for the images of these names; those that no node has can't be told, since none is pulled.

    Each is asked in a pod of its own with a server's rights and less of the node, which is deleted at the end.
    """
    core, turns = client.CoreV1Api(api), asyncio.Semaphore(_AT_ONCE)
    end = time.monotonic() + _SECONDS_FOR_ALL

    async def ask(name: str) -> str:
        async with turns:
            return await _version(core, namespace, _pod(examination, settings, name), end)

    versions = await asyncio.gather(*map(ask, names))
    told = {name: version for name, version in zip(names, versions, strict=True) if version}
    return finding(examination, names, told, _BY_HAND)


def _pod(examination: Examination, settings: Kubernetes, image: str) -> dict[str, object]:
    body = pod_to_try(examination.site.servers, examination.plan, root=False)
    (container,) = body["spec"]["containers"]
    container |= {"image": image, "command": ASK, "imagePullPolicy": "Never"}
    # As much as it may have, and kept free no more than it takes to start Python.
    container["resources"]["requests"] = {"cpu": "10m", "memory": "32Mi"}
    body["metadata"]["labels"] = {LABEL: "version"}
    body["spec"] |= {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": _SECONDS,
        "terminationGracePeriodSeconds": 0,
        "enableServiceLinks": False,
        "nodeSelector": dict(settings.node_selector),
        "tolerations": [
            {key: value for key, value in vars(each).items() if value is not None}
            for each in settings.tolerations
        ],
        "imagePullSecrets": [{"name": name} for name in pull_secrets(settings, examination.site)],
    }
    return body


async def _version(core: Any, namespace: str, body: dict[str, object], end: float) -> str:
    """Return what an image answers in a pod, "" where it does not, or not by that time."""
    if (now := time.monotonic()) >= end:
        return ""
    end = min(end, now + _SECONDS)
    try:
        made = await core.create_namespaced_pod(namespace, body, _request_timeout=_CALL_SECONDS)
    except (ApiException, aiohttp.ClientError, OSError, TimeoutError):
        return ""
    name = made.metadata.name
    try:
        if not await _ends_well(core, namespace, name, end):
            return ""
        said = await core.read_namespaced_pod_log(
            name, namespace, tail_lines=5, _request_timeout=_CALL_SECONDS
        )
        return version_in(said)
    except (ApiException, aiohttp.ClientError, OSError, TimeoutError):
        return ""
    finally:
        # Where the API server is away, the pod has ended by its deadline.
        with contextlib.suppress(ApiException, aiohttp.ClientError, OSError, TimeoutError):
            await core.delete_namespaced_pod(
                name, namespace, grace_period_seconds=0, _request_timeout=_CALL_SECONDS
            )


async def _ends_well(core: Any, namespace: str, name: str, end: float) -> bool:
    # The hub's account may list pods, and read none by its name.
    one = f"metadata.name={name}"
    while time.monotonic() < end:
        found = await core.list_namespaced_pod(namespace, field_selector=one, _request_timeout=_CALL_SECONDS)
        if not found.items:
            return False
        status = found.items[0].status
        if status.phase in {"Succeeded", "Failed"}:
            return bool(status.phase == "Succeeded")
        waits = [each.state.waiting for each in status.container_statuses or () if each.state]
        if any(each and each.reason not in {None, "ContainerCreating"} for each in waits):
            return False
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return False
