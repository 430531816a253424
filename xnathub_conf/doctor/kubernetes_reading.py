"""What checks of a cluster read from its API: nodes that fit, amounts, errors in a line, and what the hub's Role grants."""

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from importlib import resources
from typing import Any

import yaml
from kubernetes_asyncio.client.exceptions import ApiException

from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.site.types import Servers, Toleration
from xnathub_conf.spawners.rights import container_security

_SUFFIXES = {
    "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip

REFUSALS = {
    "quota": "Raise the quota, stop servers, or lower servers.cpu_limit, mem_limit and the guarantees.",
    "rights": "Bind the chart's Role hub in the namespace to the hub's account.",
    "namespace": "Make the namespace, or correct orchestrator.kubernetes.namespace.",
    "admission": "Change the rule of the namespace, or what site.yaml sets: start_as_root, limits and guarantees.",
}
"""What to do where a pod is refused, by the reason that the adapter would give a user."""


def hub_rights() -> Iterator[tuple[str, str, str]]:
    """List what the Role of the hub grants, as API group, resource and verb: what its spawner needs."""
    manifests = (resources.files("xnathub_conf.render") / "manifests.yaml").read_text("utf-8")
    for one in yaml.safe_load_all(manifests):
        if one["kind"] == "Role" and one["metadata"]["name"] == "hub":
            for rule in one["rules"]:
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        yield from ((group, resource, verb) for verb in rule["verbs"])


def api_reason(error: Exception) -> str:
    """Return in one line what went wrong: what the API server says where it says anything."""
    if isinstance(error, ApiException):
        try:
            return str(json.loads(error.body or "")["message"]).rstrip(".")
        except (TypeError, ValueError, LookupError):
            return f"{error.status} {error.reason}"
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def has_labels(
    labels: Mapping[str, str], selector: Mapping[str, str], expressions: list[dict[str, Any]]
) -> bool:
    """Return whether a node's labels fit a selector and the expressions of `node_expressions`."""
    return all(labels.get(key) == value for key, value in selector.items()) and all(
        _fits(labels, each["key"], each["operator"], each.get("values", ())) for each in expressions
    )


def _fits(labels: Mapping[str, str], key: str, operator: str, values: Collection[str]) -> bool:
    if operator in {"Exists", "DoesNotExist"}:
        return (key in labels) == (operator == "Exists")
    return (labels.get(key) in values) == (operator == "In")


def takes_work(node: Any, tolerations: tuple[Toleration, ...]) -> bool:
    """Return whether a node is ready, and takes pods with these tolerations."""
    ready = any(each.type == "Ready" and each.status == "True" for each in node.status.conditions or ())
    if node.spec.unschedulable or not ready:
        return False
    return all(
        taint.effect == "PreferNoSchedule" or any(_tolerates(each, taint) for each in tolerations)
        for taint in node.spec.taints or ()
    )


def _tolerates(toleration: Toleration, taint: Any) -> bool:
    """Return whether a toleration fits a taint, as in a pod's spec."""
    return (
        toleration.effect in {None, taint.effect}
        and toleration.key in {None, taint.key}
        and (toleration.operator == "Exists" or (toleration.value or "") == (taint.value or ""))
    )


def amount(text: str) -> Decimal:
    """Read an amount of Kubernetes, such as 500m or 2Gi."""
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if text.endswith(suffix):
            return Decimal(text.removesuffix(suffix)) * _SUFFIXES[suffix]
    return Decimal(text)


def pod_to_try(servers: Servers, plan: LaunchPlan | None, *, root: bool) -> dict[str, Any]:
    """Return the body of a pod like a server's, as large as the plan or the site's defaults."""
    of = plan or servers
    limits = {"cpu": of.cpu_limit, "memory": of.mem_limit}
    requests = {"cpu": of.cpu_guarantee or 0, "memory": of.mem_guarantee or 0}
    uid, gid = (0, 0) if root else (servers.uid, servers.gid)
    container = {
        "name": "notebook",
        "image": plan.image if plan else "xnathub-doctor",
        "resources": {
            "limits": {name: str(value) for name, value in limits.items() if value},
            "requests": {
                name: str(requests[name]) for name, value in limits.items() if value or requests[name]
            },
        },
        "securityContext": {
            "runAsUser": uid,
            "runAsGroup": gid,
            "allowPrivilegeEscalation": root and not servers.security.no_new_privileges,
            **container_security(servers.security, root=root),
        },
    }
    return {
        "metadata": {"generateName": "xnathub-doctor-"},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }


def too_small(quotas: Iterable[Any], of: LaunchPlan | Servers) -> list[str]:
    """Return, in words, each quota that leaves too little for one server more: the plan's, or one of the site's defaults."""
    needs: dict[str, Decimal] = {"pods": Decimal(1)}
    for name, value in {
        "limits.cpu": of.cpu_limit,
        "limits.memory": of.mem_limit,
        "requests.cpu": of.cpu_guarantee,
        "requests.memory": of.mem_guarantee,
    }.items():
        if value:
            needs[name] = Decimal(str(value))
    short: list[str] = []
    for quota in quotas:
        used = quota.status.used or {}
        for name, hard in (quota.status.hard or {}).items():
            each = {"cpu": "requests.cpu", "memory": "requests.memory", "count/pods": "pods"}.get(name, name)
            if each.startswith(("limits.", "requests.")) and each not in needs and each.count(".") == 1:
                if each in {"limits.cpu", "limits.memory"}:
                    short.append(
                        f"{quota.metadata.name} wants {each} of every pod, and the site has no default"
                    )
            elif each in needs and amount(used.get(name, "0")) + needs[each] > amount(hard):
                short.append(
                    f"{quota.metadata.name} leaves too little {each}: {used.get(name, 0)} of {hard} are used"
                )
    return short
