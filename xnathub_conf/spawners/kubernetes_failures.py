"""Why a pod does not start, as a user reads it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kubernetes_asyncio.client.exceptions import ApiException

from xnathub_conf.launch.ending import Ending, exited, gone, lost_node
from xnathub_conf.launch.failure import ADMIN, LESS, LaunchFailed, ended_at_once
from xnathub_conf.launch.why_ended import why_ended
from xnathub_conf.spawners.kubernetes_pod import CLAIMS_KEY
from xnathub_conf.spawners.slow_starts import PULL_ADVICE, Phase

_NOT_PULLED = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}  # fmt: skip


class PodProblem(NamedTuple):
    """What keeps a pod from starting. One that is not lasting may still go away by itself."""

    failure: LaunchFailed
    lasting: bool
    tried_again: bool = False
    """The node does it once more soon, and what comes of that is to be waited for."""


def pod_problem(
    pod: Mapping[str, Any], events: Sequence[Mapping[str, Any]], log: Sequence[str] = ()
) -> PodProblem | None:
    """Return what keeps a pod from starting, from its status and its events as the API gives them; None for nothing.

    `log` are the last lines of its server's log, where they are known.
    """
    status = pod["status"]
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _unscheduled(condition.get("message") or "", pod)
    if status.get("phase") == "Failed" and (message := status.get("message") or status.get("reason")):
        return PodProblem(
            _failed("node", f"The node would not run the server: {_sentence(message)}"), lasting=True
        )
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        if problem := _container_problem(container, events, pod, log):
            return problem
    for event in reversed(events):
        # Its volumes are mounted by then, whatever happened before.
        if event.get("reason") in {"Pulling", "Pulled"}:
            break
        if event.get("reason") in {"FailedMount", "FailedAttachVolume"}:
            return PodProblem(
                _failed("mount", f"The node can't mount a volume: {_sentence(event['message'])}"),
                lasting=False,
            )
    return None


def pod_phase(pod: Mapping[str, Any] | None, events: Sequence[Mapping[str, Any]], port: int) -> Phase:
    """Return what the start of a pod is at, from its status and its events as the API gives them."""
    if pod is None:
        return Phase(
            "slow-pod",
            "Kubernetes had not made its pod yet, or an earlier one of the same name had not ended.",
        )
    if problem := pod_problem(pod, events):
        text = problem.failure.sentence
        return Phase(problem.failure.reason, text)
    status = pod["status"]
    placed = any(
        c["type"] == "PodScheduled" and c["status"] == "True" for c in status.get("conditions") or ()
    )
    if not placed:
        return Phase("slow-node", "Kubernetes had chosen no node for it yet.")
    node = pod["spec"].get("nodeName") or ""
    told = [e for e in events if e.get("reason") in {"Pulling", "Pulled"}]
    if told and told[-1]["reason"] == "Pulling":
        image = re.search(r'image "([^"]+)"', told[-1].get("message") or "")
        name = image[1] if image else pod["spec"]["containers"][0].get("image")
        return Phase("slow-image", f"The node {node} was still pulling the image {name}.", PULL_ADVICE)
    for container in status.get("initContainerStatuses") or ():
        if "running" in container["state"]:
            return Phase("slow-init", f"Its init container {container['name']} had not ended.")
    if any("running" in container["state"] for container in status.get("containerStatuses") or ()):
        return Phase("slow-jupyter", f"Its pod runs, but nothing listens at port {port} yet.")
    return Phase("slow-mount", f"The node {node} was still preparing its volumes and its network.")


def pod_ending(pod: Mapping[str, Any] | None) -> Ending | None:
    """Return how the pod of a server that ran has ended, from its status as the API gives it; None while it lives."""
    if pod is None:
        return gone("pod")
    status = pod["status"]
    for container in status.get("containerStatuses") or ():
        if container["name"] == "notebook" and (ended := container["state"].get("terminated")):
            return exited(
                ended["exitCode"],
                out_of_memory=ended.get("reason") == "OOMKilled",
                mem_limit=_memory_limit(pod),
                said=ended.get("message") or "",
            )
    if status.get("phase") == "Failed":
        return lost_node(status.get("message") or status.get("reason") or "")
    return None


def _memory_limit(pod: Mapping[str, Any]) -> int | None:
    """Return the bytes that the pod's server may use, None for no limit."""
    containers: Sequence[Any] = pod["spec"].get("containers") or ({},)
    limits = (containers[0].get("resources") or {}).get("limits") or {}
    limit = str(limits.get("memory") or "")
    return int(limit) if limit.isdecimal() else None


def _unscheduled(message: str, pod: Mapping[str, Any]) -> PodProblem:
    if missing := re.search(r'persistentvolumeclaim "([^"]+)" (not found|is being deleted)', message):
        what = "does not exist" if missing[2] == "not found" else "is being deleted"
        return PodProblem(
            _failed("claim", f"The volume claim {missing[1]} {what}.", f"site.yaml: {CLAIMS_KEY}."),
            lasting=True,
        )
    if "unbound" in message and "PersistentVolumeClaim" in message:
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes") or ()
            if "persistentVolumeClaim" in volume
        ]
        return PodProblem(
            _failed(
                "claim", f"A volume claim is not bound to storage yet. It is one of: {', '.join(claims)}."
            ),
            lasting=False,
        )
    # What follows is of what the scheduler could do about it, which is nothing.
    shortened = re.split(r"[,.]? *(?:no new claims to deallocate|preemption:)", message)[0]
    sentence = f"No node of the cluster can take the server: {_sentence(shortened)}"
    advice = LESS if _FULL.search(shortened) else ADMIN
    nodes, unlabelled = re.match(r"0/(\d+) ", shortened), _UNLABELLED.search(shortened)
    if nodes and unlabelled and nodes[1] == unlabelled[1] and (labels := _labels(pod["spec"])):
        sentence = f"No node of the cluster has the labels that the server asks for: {labels}."
    return PodProblem(
        LaunchFailed("unschedulable", sentence, advice, status=503),
        lasting=False,
    )


_FULL = re.compile("Insufficient|Too many pods|free ports|max volume count")
"""What the scheduler says of nodes that others fill."""

_UNLABELLED = re.compile(r"(\d+) node\(s\) didn't match Pod's node affinity/selector")
_WRITTEN = {"In": "{}={}", "NotIn": "{}!={}", "Exists": "{}", "DoesNotExist": "!{}", "Gt": "{}>{}", "Lt": "{}<{}"}  # fmt: skip


def _labels(spec: Mapping[str, Any]) -> str:
    """Return which labels a pod asks of its node, as kubectl writes them; "" for none."""
    always = [f"{key}={value}" for key, value in (spec.get("nodeSelector") or {}).items()]
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms: Sequence[Mapping[str, Any]] = required.get("nodeSelectorTerms") or ({},)
    ways = [", ".join([*always, *map(_expression, term.get("matchExpressions") or ())]) for term in terms]
    return " or ".join(filter(None, ways))


def _expression(asked: Mapping[str, Any]) -> str:
    return _WRITTEN[asked["operator"]].format(asked["key"], "|".join(asked.get("values") or ()))


def _container_problem(
    container: Mapping[str, Any],
    events: Sequence[Mapping[str, object]],
    pod: Mapping[str, Any],
    log: Sequence[str],
) -> PodProblem | None:
    state = container["state"]
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason") or "", _sentence(waiting.get("message") or "")
    image = container.get("image")
    if reason == "ErrImageNeverPull":
        failure = _failed(
            "image",
            f"The image {image} is not on the node, and is never pulled.",
            "site.yaml: orchestrator.kubernetes.image_pull_policy.",
        )
    elif reason in _NOT_PULLED:
        unread = _unread_pull_secrets(events)
        failure = _failed(
            "image",
            f"The image {image} can't be pulled: {message}",
            "Is its name right, and may the node pull it? "
            + (f"The node could not read its pull secrets: {unread}. " if unread else "")
            + "site.yaml: orchestrator.kubernetes.image_pull_secrets, or servers.registry_logins.",
        )
        # A node that has only just been told of a Secret pulls without it at first.
        if unread and reason in {"ErrImagePull", "ImagePullBackOff"} and _failed_pulls(image, events) < 2:
            return PodProblem(failure, lasting=False, tried_again=True)
    elif "subPath" in message:
        failure = _failed(
            "mount", f"A folder that XNAT asks for is not in its volume, or can't be mounted: {message}"
        )
    elif "no command specified" in message:
        failure = _failed(
            "command",
            f"The image {image} does not say what to start.",
            "XNAT's Jupyter environment: command.",
        )
    elif reason in {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}:
        failure = _failed("container", f"The node can't make the server's container: {message}")
    elif ended := state.get("terminated") or (container.get("lastState") or {}).get("terminated"):
        advice = f"Tell your XNAT administrator. Does {image} hold a Jupyter server?"
        code, said = ended["exitCode"], ended.get("message") or ""
        killed = ended.get("reason") == "OOMKilled"
        why = why_ended(code, [*log, said], out_of_memory=killed, mem_limit=_memory_limit(pod))
        failure = ended_at_once(code, advice, why, said)
    else:
        return None
    return PodProblem(failure, lasting=True)


def _unread_pull_secrets(events: Sequence[Mapping[str, Any]]) -> str:
    """Return the names of Secrets that the node could not read for a pull, "" where it could, or needed none."""
    for event in events:
        if event.get("reason") == "FailedToRetrieveImagePullSecret":
            names = re.search(r"\(([^()]+)\)", event.get("message") or "")
            return names[1] if names else "it does not say which"
    return ""


def _failed_pulls(image: str | None, events: Sequence[Mapping[str, Any]]) -> int:
    begins = f'Failed to pull image "{image}"'
    return sum(event.get("count") or 1 for event in events if (event.get("message") or "").startswith(begins))


def refusal_of(error: ApiException, namespace: str) -> LaunchFailed:
    """Return why Kubernetes refused to create a pod."""
    try:
        message = str(json.loads(error.body or "")["message"])
    except (TypeError, ValueError, LookupError):
        message = f"{error.status} {error.reason}"
    message = re.sub(r'^pods?( "[^"]*")? is (forbidden|invalid): ', "", message, flags=re.IGNORECASE)
    said = _sentence(message)
    if "exceeded quota" in message:
        return LaunchFailed(
            "quota",
            f"The quota of the namespace {namespace} leaves no room for the server: {said}",
            LESS,
            status=503,
        )
    if message.startswith("User ") or error.status == 401:
        return _failed("rights", f"The hub may not create pods in the namespace {namespace}: {said}")
    if error.status == 404:
        return _failed("namespace", f"The namespace {namespace} can't be used: {said}")
    if error.status == 403 or "denied" in message:
        return _failed("admission", f"The cluster's rules do not allow the server: {said}")
    if error.status == 413 or "too large" in message:
        return _failed("too-large", f"The server's description is too large for Kubernetes: {said}")
    return _failed("kubernetes", f"Kubernetes could not create the server: {said}")


def api_error_text(error: Exception) -> str:
    """Return what went wrong in a line: an answer of Kubernetes holds headers too."""
    if isinstance(error, ApiException):
        return f"{error.status} {error.reason}"
    return str(error) or type(error).__name__


def _failed(reason: str, message: str, advice: str = "") -> LaunchFailed:
    return LaunchFailed(reason, message, f"{ADMIN} {advice}".strip(), status=502)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith(".") else f"{text}."
