"""The check of the images that nodes get before anyone asks for them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kubernetes_asyncio import client

from xnathub_conf.doctor.examination import Finding, ok, warning
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.spawners.kubernetes_images import ITS_PODS, NAMESPACE_FILE, NO_PODS, alive, lacking

_KEY: KeyPath = ("servers", "images_ahead")
_CALL_SECONDS = 20


async def images_ahead(
    api: Any,
    namespace: str,
    images: Sequence[str],
    call: Callable[[Callable[[], Awaitable[object]]], Awaitable[Any]],
) -> Finding:
    """Return the finding of which nodes have which of the images. `call` calls the API server."""
    if NAMESPACE_FILE.exists():
        # Servers may be in another namespace than the hub, and the DaemonSet is the hub's.
        namespace = NAMESPACE_FILE.read_text("utf-8").strip()
    core = client.CoreV1Api(api)
    found = await call(
        lambda: core.list_namespaced_pod(namespace, label_selector=ITS_PODS, _request_timeout=_CALL_SECONDS)
    )
    pods = alive(api, found)
    if not pods:
        again = "Upgrade the release, or apply anew what `xnathub render kubernetes` writes."
        return warning(f"In {namespace} {NO_PODS}.", again, _KEY)
    without = {image: nodes for image in images if (nodes := lacking(pods, image))}
    ready = len(pods) - len({node for nodes in without.values() for node in nodes})
    told = f"Of {len(pods)} nodes {ready} have all of {len(images)} images ahead of time"
    if not without:
        return ok(f"{told}: {', '.join(images)}.")
    missing = " ".join(
        f"{image} is not on {node}: {why}." for image, nodes in without.items() for node, why in nodes.items()
    )
    return warning(
        f"{told}. {missing}",
        f"Wait where it is being pulled; else see kubectl --namespace {namespace} describe pod -l app.kubernetes.io/component=images-ahead.",
        _KEY,
    )
