"""What the chart's DaemonSet has brought to the nodes ahead of time, by its pods: the hub may list pods, and nothing else of it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xnathub_conf.spawners.images_ahead import Brought

ITS_PODS = "app.kubernetes.io/name=xnathub,app.kubernetes.io/component=images-ahead"
"""The labels of its pods, of which each node that takes servers has one."""

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""In a pod: the namespace that it is in, which is the chart's."""

NO_PODS = (
    "the DaemonSet images-ahead has no pods: the release is older than the site, or no node takes servers"
)


def alive(api_client: Any, pods: Any) -> list[Mapping[str, Any]]:
    """Return the pods of a list, as the API writes them, but for those that are on their way out."""
    found = [api_client.sanitize_for_serialization(pod) for pod in pods.items]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def lacking(pods: Iterable[Mapping[str, Any]], image: str) -> dict[str, str]:
    """Return the nodes that an image is not on yet, each with the reason."""
    return {_node(pod): why for pod in pods if (why := _why_not(pod, image))}


def brought(pods: list[Mapping[str, Any]], image: str) -> Brought:
    """Return on how many nodes an image is."""
    if not pods:
        return Brought(0, 1, NO_PODS)
    without = lacking(pods, image)
    return Brought(
        len(pods) - len(without), len(pods), "; ".join(f"{node}: {why}" for node, why in without.items())
    )


def _node(pod: Mapping[str, Any]) -> str:
    return pod["spec"].get("nodeName") or f"a node for {pod['metadata']['name']}"


def _why_not(pod: Mapping[str, Any], image: str) -> str:
    """Return why an image is not on a pod's node, "" where it is."""
    names = [each["name"] for each in pod["spec"].get("initContainers") or () if each["image"] == image]
    if not names:
        return "its pod is of an older site"
    status = pod.get("status") or {}
    found = [each for each in status.get("initContainerStatuses") or () if each["name"] == names[0]]
    # A container that was made has its image, whatever became of it.
    if found and found[0].get("imageID"):
        return ""
    waiting = found[0].get("state", {}).get("waiting", {}) if found else {}
    reason = waiting.get("reason") or "PodInitializing"
    said = waiting.get("message", "")
    if reason != "PodInitializing":
        return f"{reason}, {said}" if said else str(reason)
    conditions = [
        each.get("message", "") for each in status.get("conditions") or () if each.get("status") == "False"
    ]
    return (
        "it is being pulled, or waits for the ones before it"
        if pod["spec"].get("nodeName")
        else conditions[0]
        if conditions
        else "no node yet"
    )
