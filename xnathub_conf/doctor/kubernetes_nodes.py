"""Whether each node of a cluster has what servers need: a pod looks around on each, as their user and with their claims."""

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp
from kubernetes_asyncio import client
from kubernetes_asyncio.client.exceptions import ApiException

from xnathub_conf.doctor.examination import Examination, Finding, failed, ok, skipped
from xnathub_conf.doctor.images import exact_images
from xnathub_conf.doctor.jupyterhubs import LABEL
from xnathub_conf.doctor.kubernetes_reading import api_reason, has_labels, pod_to_try, takes_work
from xnathub_conf.doctor.nodes_seen import faults, others_than, program, said_by
from xnathub_conf.launch.plan import LaunchPlan, Mount
from xnathub_conf.site.hub_settings import hub_connect_url
from xnathub_conf.site.types import Kubernetes
from xnathub_conf.spawners.kubernetes_failures import pod_problem
from xnathub_conf.spawners.kubernetes_pod import claim_volumes, literal, node_expressions
from xnathub_conf.spawners.rights import HOME_GROUP
from xnathub_conf.values.paths import nearest

ALL_SECONDS = 180
_SECONDS, _CALL_SECONDS = 60, 10
_LOOK_AGAIN_SECONDS = 0.5
_AT_ONCE = 8
_TOLD_IMAGES = 50
"""A node tells of no more images than that."""

_KEY = ("orchestrator", "kubernetes", "node_selector")
_FAULTS = (ApiException, aiohttp.ClientError, OSError, TimeoutError)


def nodes_for_servers(
    nodes: Sequence[Any], settings: Kubernetes, plan: LaunchPlan | None
) -> tuple[list[Any], Finding]:
    """Return the nodes with the labels that the site, and the plan, ask for, and no taint that is not tolerated."""
    selector = settings.node_selector
    expressions = node_expressions(plan.constraints) if plan else []
    labelled = [node for node in nodes if has_labels(node.metadata.labels or {}, selector, expressions)]
    asked = " and ".join(
        [*(f"{k}={v}" for k, v in selector.items()), *map(str, plan.constraints if plan else ())]
    )
    if not labelled:
        return [], failed(
            f"No node of {len(nodes)} has {asked}.",
            "Label a node, kubectl label node NODE NAME=VALUE, or correct the selector.",
            _KEY,
        )
    fitting = [node for node in labelled if takes_work(node, settings.tolerations)]
    if not fitting:
        taints = sorted(
            {f"{t.key}={t.value or ''}:{t.effect}" for node in labelled for t in node.spec.taints or ()}
        )
        return [], failed(
            f"None of the {len(labelled)} nodes takes servers; taints: {', '.join(taints) or 'none'}.",
            "Add them to tolerations, or see `kubectl get nodes`.",
            ("orchestrator", "kubernetes", "tolerations"),
        )
    return fitting, ok(
        f"{len(fitting)} of {len(nodes)} nodes take servers" + (f" ({asked})." if asked else ".")
    )


class Where(NamedTuple):
    """What looks around: an API client, a namespace, and the hub's Deployment, whose image is taken."""

    api: Any
    namespace: str
    hub: Any


async def look_at_nodes(
    examination: Examination, settings: Kubernetes, where: Where, nodes: Sequence[Any]
) -> Finding:
    """Return the finding for nodes, each looked at by a pod that is deleted at the end."""
    turns, end = asyncio.Semaphore(_AT_ONCE), time.monotonic() + ALL_SECONDS - 10

    async def look(node: Any) -> tuple[list[str], Mapping[str, Any]]:
        async with turns:
            pod = _pod(examination, settings, node.metadata.name, where.hub.spec.template.spec)
            return await _seen(where, pod, end, settings.schedule_timeout)

    found = dict(
        zip([node.metadata.name for node in nodes], await asyncio.gather(*map(look, nodes)), strict=True)
    )
    wrong = {name: [*said, *faults(seen)] for name, (said, seen) in found.items()}
    for name, more in others_than({name: seen for name, (_, seen) in found.items()}):
        wrong[name].append(more)
    for node in nodes:
        wrong[node.metadata.name] += _lacking_images(examination, settings, node)
    faulty = {name: said for name, said in wrong.items() if said}
    well = ", ".join(_described(node, settings) for node in nodes if node.metadata.name not in faulty)
    if not faulty:
        return ok(f"A pod on each node finds claims, XNAT, hub, clock and room as they should be: {well}.")
    told = " ".join(f"{name}: {'; '.join(said)}." for name, said in faulty.items())
    return failed(
        f"{told} All is well on: {well or 'none'}.",
        "Mend these nodes, or keep servers from them: kubectl cordon NODE, or a label for node_selector.",
        _KEY,
    )


def no_hub(namespace: str) -> Finding:
    """Return the finding that there is no hub whose image could look around."""
    return skipped(
        f"There is no Deployment hub in {namespace}, whose image would look around on each node.",
        "Try this again when the hub is deployed.",
    )


def _pod(examination: Examination, settings: Kubernetes, node: str, hub: Any) -> dict[str, Any]:
    site = examination.site
    body = pod_to_try(site.servers, None, root=False)
    (container,) = body["spec"]["containers"]
    places = {claim.path: f"/claims/{number}" for number, claim in enumerate(settings.claims)}
    writable, written = {}, set()
    for mount in site.servers.allowed_mounts:
        folder, per_user, _ = mount.path.partition("/{username}")
        if mount.writable and per_user and (claim := nearest(folder, places)):
            writable[folder] = places[claim] + folder.removeprefix(claim)
            written.add(claim)
    mounts = [Mount("bind", path, place, path not in written) for path, place in places.items()]
    volumes = claim_volumes(mounts, settings.claims)
    asked = {
        "folders": places,
        "writable": writable,
        "xnat": site.xnat.url,
        "hub": f"{hub_connect_url(site)}{site.hub.base_url}hub/health",
    }
    container |= {
        "image": hub.containers[0].image,
        "imagePullPolicy": hub.containers[0].image_pull_policy,
        "command": ["python3", "-c", literal(program())],
        "env": [{"name": "ASKED", "value": literal(json.dumps(asked))}],
        "volumeMounts": volumes.mounts,
    }
    container["resources"]["requests"] = {"cpu": "10m", "memory": "32Mi"}
    # By these labels network policies know servers.
    labels = {"component": "singleuser-server", "hub.jupyter.org/network-access-hub": "true"}
    body["metadata"]["labels"] = {LABEL: "node", **labels}
    on_node = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    body["spec"] |= {
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [on_node]}
            }
        },
        "restartPolicy": "Never",
        "activeDeadlineSeconds": _SECONDS,
        "terminationGracePeriodSeconds": 0,
        "enableServiceLinks": False,
        "securityContext": {
            "fsGroup": site.servers.gid,
            "fsGroupChangePolicy": "OnRootMismatch",
            "supplementalGroups": [HOME_GROUP],
        },
        "tolerations": [
            {key: value for key, value in vars(each).items() if value is not None}
            for each in settings.tolerations
        ],
        "imagePullSecrets": [{"name": each.name} for each in hub.image_pull_secrets or ()],
        "volumes": volumes.volumes,
    }
    return body


async def _seen(
    where: Where, body: Mapping[str, Any], end: float, patience: float
) -> tuple[list[str], Mapping[str, Any]]:
    """Return what keeps a pod from looking around, and what it saw. What may go away by itself has so many seconds for it."""
    if (now := time.monotonic()) >= end:
        return ["not checked, since the time was over"], {}
    end = min(end, now + _SECONDS)
    core, namespace = client.CoreV1Api(where.api), where.namespace
    try:
        made = await core.create_namespaced_pod(namespace, body, _request_timeout=_CALL_SECONDS)
    except _FAULTS as error:
        return [f"the pod that looks around is refused: {api_reason(error)}"], {}
    name = made.metadata.name
    try:
        if why := await _why_not_ended(where, made, end, patience):
            return [why], {}
        said = await core.read_namespaced_pod_log(name, namespace, _request_timeout=_CALL_SECONDS)
        return [], said_by(said)
    except (*_FAULTS, ValueError, IndexError) as error:
        return [f"the pod that looks around did not say what it sees: {api_reason(error)}"], {}
    finally:
        # Where the API server is away, the pod has ended by its deadline.
        with contextlib.suppress(*_FAULTS):
            await core.delete_namespaced_pod(
                name, namespace, grace_period_seconds=0, _request_timeout=_CALL_SECONDS
            )


async def _why_not_ended(where: Where, made: Any, end: float, patience: float) -> str:
    """Return why a pod did not end well, "" where it did."""
    core, namespace = client.CoreV1Api(where.api), where.namespace
    of_it = f"involvedObject.uid={made.metadata.uid}"
    why, since = "the pod that looks around did not end in time", None
    while time.monotonic() < end:
        found = await core.read_namespaced_pod(made.metadata.name, namespace, _request_timeout=_CALL_SECONDS)
        ended = [each.state.terminated for each in found.status.container_statuses or () if each.state]
        # The pod itself is said to have succeeded a moment later.
        if any(each and each.exit_code == 0 for each in ended):
            return ""
        events = await core.list_namespaced_event(
            namespace, field_selector=of_it, _request_timeout=_CALL_SECONDS
        )
        problem = pod_problem(*map(where.api.sanitize_for_serialization, (found, events.items)))
        since = (since or time.monotonic()) if problem else None
        if problem and since:
            why = problem.failure.sentence.rstrip(".")
            if problem.lasting or time.monotonic() - since >= patience:
                break
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return why


def _lacking_images(examination: Examination, settings: Kubernetes, node: Any) -> list[str]:
    images = node.status.images or ()
    if settings.image_pull_policy != "Never" or len(images) >= _TOLD_IMAGES:
        return []
    there = {name for image in images for name in image.names or ()}
    return [
        f"it has no image {name}, and image_pull_policy is Never"
        for name in exact_images(examination)[0]
        if not {name, f"docker.io/{name}", f"docker.io/library/{name}"} & there
    ]


def _described(node: Any, settings: Kubernetes) -> str:
    """Return a node's name, with the resources that the site names and it has."""
    has = node.status.allocatable or {}
    names = dict.fromkeys(settings.generic_resources.values())
    kinds = [f"{has[name]} {name}" for name in names if has.get(name, "0") != "0"]
    return f"{node.metadata.name} ({', '.join(kinds)})" if kinds else str(node.metadata.name)
