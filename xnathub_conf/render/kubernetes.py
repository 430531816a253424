"""A site as values for the Helm chart, and as plain manifests for those without Helm."""

import contextlib
import hashlib
import json
import secrets
from base64 import b64encode
from copy import deepcopy
from importlib import resources
from typing import Any

import yaml

from xnathub_conf.render.yaml_text import yaml_text, yaml_texts
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.load import LoadedSite
from xnathub_conf.site.types import Kubernetes, Servers, Site
from xnathub_conf.values.addresses import host_name
from xnathub_conf.values.images import ImageError, parse_image
from xnathub_conf.values.reachable import Reachable

PLACEHOLDER_BASE_URL = "/base.url.of.xnathub/"
PLACEHOLDER_UID = 1999999991
PLACEHOLDER_GID = 1999999992
PLACEHOLDER_NAMESPACE = "namespace-of-xnathub"
"""What stands in manifests.yaml where a site decides; scripts/generate renders the chart with these."""

_NAME_SERVERS = [
    {"namespaceSelector": {}},
    *(
        {"ipBlock": {"cidr": each}}
        for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.20.10/32")
    ),
]
"""Where the name servers of clusters are: in pods, at private addresses, and on each node, as NodeLocal DNSCache has it."""


def render_values(loaded: LoadedSite, content: str, *, image: str | None = None) -> str:
    """Return the Helm values of a site, for `helm upgrade --install --values`.

    With `image`, hub and proxy run from that one, in place of the chart's. `content` is the site file's text. A change of it changes the hub's pod, so that an upgrade starts the hub anew.
    Raises ValueError where the site is not one for Kubernetes.
    """
    site = _kubernetes_site(loaded)
    hub: dict[str, Any] = {
        "baseUrl": loaded.site.hub.base_url,
        "annotations": {"xnathub/site": _digest(content)},
    }
    values: dict[str, Any] = {"site": site, "jupyterhub": {"hub": hub}}
    if _reached(loaded.site) is not None:
        # Policies add up, and Zero to JupyterHub's own lets servers reach everything.
        closed = {"nonPrivateIPs": False, "privateIPs": False}
        values["jupyterhub"]["singleuser"] = {"networkPolicy": {"egressAllowRules": closed}}
    if image:
        # The proxy of Zero to JupyterHub has no gate; the one in the hub's image does.
        both = _name_and_tag(image)
        hub["image"] = both
        values["jupyterhub"]["proxy"] = {"chp": {"image": dict(both)}}
        values["image"] = {"repository": both["name"], "tag": both["tag"]}
    return (
        f"# Made by `xnathub render kubernetes` from {loaded.document.file}. The chart's own values.yaml has the rest.\n"
        + yaml_text(values)
    )


def render_manifests(loaded: LoadedSite, content: str, *, image: str | None = None) -> str:
    """Return a site's hub, proxy, rights and network policies as plain manifests, for `kubectl apply`.

    They hold a new proxy token and cookie secret, and want a Secret `xnathub-secrets` with what the site file names
    below /etc/xnathub/secrets. Raises ValueError where the site is not one for Kubernetes, or names no namespace.
    """
    site = _kubernetes_site(loaded)
    hub, kubernetes = loaded.site.hub, settings_of(loaded.site, Kubernetes)
    if not kubernetes.namespace:
        raise ValueError("Plain manifests need orchestrator.kubernetes.namespace.")
    template = (resources.files("xnathub_conf.render") / "manifests.yaml").read_text("utf-8")
    objects = [
        one
        for one in yaml.safe_load_all(template)
        if one["kind"] != "DaemonSet" or loaded.site.servers.images_ahead
    ]
    reached = _reached(loaded.site)
    for one in objects:
        kind, name = one["kind"], one["metadata"]["name"]
        if kind == "Secret":
            one["data"] = {key: b64encode(secrets.token_hex(32).encode()).decode() for key in one["data"]}
        elif kind == "ConfigMap":
            one["data"]["site.yaml"] = json.dumps(site, indent=2, ensure_ascii=False) + "\n"
        elif (kind, name) == ("Deployment", "hub"):
            one["spec"]["template"]["metadata"]["annotations"] = {"xnathub/site": _digest(content)}
        elif (kind, name) == ("NetworkPolicy", "xnathub-servers") and reached is not None:
            one["spec"]["egress"] = [{"to": reached}]
        elif (kind, name) == ("NetworkPolicy", "servers") and reached is not None:
            one["spec"]["egress"][-1]["to"] = _NAME_SERVERS
        elif kind == "DaemonSet":
            _fill_images(one["spec"]["template"]["spec"], loaded.site.servers, kubernetes)
        if kind == "Deployment" and image and name in {"hub", "proxy"}:
            for container in one["spec"]["template"]["spec"]["containers"]:
                container["image"] = image
    text = yaml_texts(objects)
    for placeholder, value in (
        (PLACEHOLDER_BASE_URL, hub.base_url),
        (PLACEHOLDER_BASE_URL.rstrip("/"), hub.base_url.rstrip("/")),
        (str(PLACEHOLDER_UID), str(hub.uid)),
        (str(PLACEHOLDER_GID), str(hub.gid)),
        (PLACEHOLDER_NAMESPACE, kubernetes.namespace),
    ):
        text = text.replace(placeholder, value)
    return (
        f"# Made by `xnathub render kubernetes --manifests` from {loaded.document.file}.\n"
        "# They want a Secret xnathub-secrets beside them, with the keys that the site file names.\n" + text
    )


def _reached(site: Site) -> list[dict[str, Any]] | None:
    """Return what servers without the internet may reach, as a network policy says it; None where they reach everything."""
    if site.servers.internet == "all":
        return None
    networks = list(Reachable(site.servers.reachable).networks)
    with contextlib.suppress(ValueError):
        networks = [*Reachable([host_name(site.xnat.url)]).networks, *networks]
    return [{"ipBlock": {"cidr": str(network)}} for network in networks]


def _fill_images(pod: dict[str, Any], servers: Servers, kubernetes: Kubernetes) -> None:
    """Have a pod of the chart's DaemonSet bring a site's images to where the site's servers run."""
    (image,) = pod["initContainers"]
    image["imagePullPolicy"] = kubernetes.image_pull_policy
    pod["initContainers"] = [
        {**deepcopy(image), "name": f"image-{index}", "image": name}
        for index, name in enumerate(servers.images_ahead)
    ]
    pod["containers"][0]["image"] = servers.images_ahead[0]
    pod["securityContext"] = {"runAsUser": servers.uid, "runAsGroup": servers.uid}
    for name, value in (
        ("nodeSelector", dict(kubernetes.node_selector)),
        (
            "tolerations",
            [
                {key: value for key, value in vars(each).items() if value is not None}
                for each in kubernetes.tolerations
            ],
        ),
        ("imagePullSecrets", [{"name": each} for each in kubernetes.image_pull_secrets]),
    ):
        if value:
            pod[name] = value


def _name_and_tag(image: str) -> dict[str, str]:
    """Return an image as Zero to JupyterHub's chart wants it. Raises ValueError for one with a digest, which it can't take."""
    try:
        parsed = parse_image(image)
    except ImageError as error:
        raise ValueError(f"{image} is no image: {error}.") from None
    if parsed.digest:
        raise ValueError(f"{image}: the chart takes an image by its tag, not by a digest.")
    return {"name": image.removesuffix(f":{parsed.tag}"), "tag": str(parsed.tag)}


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _kubernetes_site(loaded: LoadedSite) -> dict[str, Any]:
    settings_of(loaded.site, Kubernetes)
    site: dict[str, Any] = loaded.document.data
    return site
