"""Pods of a Kubernetes cluster."""

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aiohttp import ClientError
from kubernetes_asyncio.client import V1DeleteOptions, V1Preconditions
from kubernetes_asyncio.client.exceptions import ApiException
from kubespawner import KubeSpawner
from kubespawner.slugs import is_valid_label, safe_slug

from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.launch.plan import Constraint, LaunchPlan, Mount
from xnathub_conf.launch.policy import PolicyRefusal
from xnathub_conf.site.hub_settings import xnat_public_url
from xnathub_conf.site.types import Claim, Kubernetes, Site
from xnathub_conf.spawners.containers import LABELS, object_labels
from xnathub_conf.spawners.object_names import object_name
from xnathub_conf.spawners.running import Found
from xnathub_conf.spawners.wait_for_port import KNOCK_AGAIN_SECONDS, listening
from xnathub_conf.values.paths import nearest

MOST_BYTES = 1_000_000
"""The most that mounts and variables may take as JSON. Kubernetes keeps no object beyond about 1.5 MB, and adds to it."""

_LABELLED = ("project", "user")
_CLAIMS_KEY = "orchestrator.kubernetes.claims"
_LOOK_AGAIN_SECONDS = 0.5
_ROLE_LABEL = "node-role.kubernetes.io/control-plane"


class XnatKubernetesSpawner(KubeSpawner):
    """Starts a plan as a pod, as the user and group of site.yaml and with no way to root."""

    site: Site
    _facts: Mapping[str, str] = {}
    _configured: tuple[Any, ...] | None = None
    _old_pod: str | None = None
    _unreachable: Exception | None = None
    volumes: Any
    volume_mounts: Any
    node_selector: Any
    tolerations: Any
    node_affinity_required: Any

    @property
    def _settings(self) -> Kubernetes:
        settings = self.site.orchestrator.kubernetes
        assert settings is not None
        return settings

    def _pod_name_template_default(self) -> str:
        return object_name("jupyter", self.user.name, self.name)

    def prepare(self, plan: LaunchPlan) -> "Prepared":
        """Give environment, volumes and mounts as KubeSpawner takes them.

        Raises PolicyRefusal for a mount under no claim, and a plan that makes an object too large for Kubernetes.
        """
        settings, servers = self._settings, self.site.servers
        ours = claim_volumes(plan.mounts, settings.claims)
        environment = dict(plan.environment)
        if settings.start_as_root:
            environment |= {"NB_UID": str(servers.uid), "NB_GID": str(servers.gid)}
        _check_size(plan, ours.mounts, environment)
        return Prepared(
            _no_template(environment), ClaimVolumes(_no_template(ours.volumes), _no_template(ours.mounts))
        )

    def apply_plan(self, plan: LaunchPlan, prepared: "Prepared | None" = None) -> None:
        """Set image, command, environment, volumes, resources, placement and security context.

        What the configuration sets of volumes, node selector, tolerations and affinity stays, below the plan's. Raises
        PolicyRefusal for a mount under no claim, a resource or node attribute that has no name here, and a plan
        that makes an object too large for Kubernetes.
        """
        settings = self._settings
        if self._configured is None:
            self._configured = (
                self._sorted_dict_values(self.volumes),
                self._sorted_dict_values(self.volume_mounts),
                self.node_selector,
                self._sorted_dict_values(self.tolerations),
                self._sorted_dict_values(self.node_affinity_required),
            )
        volumes, volume_mounts, node_selector, tolerations, affinity = self._configured
        environment, ours = prepared or self.prepare(plan)
        extended = extended_resources(plan.generic_resources, settings.generic_resources)

        self._facts = object_labels(plan, self.site)
        self.image = plan.image
        self.cmd = [_literal(word) for word in plan.command] if plan.command else None
        self.environment = environment
        self.volumes = [*volumes, *ours.volumes]
        self.volume_mounts = [*volume_mounts, *ours.mounts]
        self.cpu_limit, self.cpu_guarantee = plan.cpu_limit, plan.cpu_guarantee
        self.mem_limit, self.mem_guarantee = plan.mem_limit, plan.mem_guarantee
        self.extra_resource_limits = extended
        # Kubernetes would reserve all of a limit where nothing is said to be reserved.
        self.extra_resource_guarantees = {
            **extended,
            **({"cpu": "0"} if plan.cpu_limit and not plan.cpu_guarantee else {}),
            **({"memory": "0"} if plan.mem_limit and not plan.mem_guarantee else {}),
        }
        self.node_selector = {**node_selector, **settings.node_selector}
        self.tolerations = [
            *tolerations,
            *({k: v for k, v in vars(each).items() if v is not None} for each in settings.tolerations),
        ]
        self.node_affinity_required = with_expressions(affinity, node_expressions(plan.constraints))
        self._set_security(root=settings.start_as_root)

    def _set_security(self, *, root: bool) -> None:
        servers = self.site.servers
        self.fs_gid = servers.gid
        # Without it each start would walk through all workspaces to hand them to the group.
        self.pod_security_context = {"fsGroupChangePolicy": "OnRootMismatch"}
        self.uid, self.gid = (0, 0) if root else (servers.uid, servers.gid)
        # The group of the home folder in images of docker-stacks, which lets any user write there.
        self.supplemental_gids = [100]
        self.allow_privilege_escalation = root
        self.container_security_context = container_security(root=root)

    def get_env(self) -> dict[str, Any]:
        """Give the server's environment, with values that Kubernetes takes as they are."""
        return {k: _literal(v) if isinstance(v, str) else v for k, v in super().get_env().items()}

    async def get_pod_manifest(self) -> Any:
        """Give the pod, without variables for each Service of the namespace."""
        pod = await super().get_pod_manifest()
        pod.spec.enable_service_links = False
        return pod

    def _build_pod_labels(self, extra_labels: Any) -> dict[str, str]:
        ours = {
            key: safe_slug(value, is_valid=is_valid_label)
            for key, value in self._facts.items()
            if key.rpartition(".")[2] in _LABELLED
        }
        return {**super()._build_pod_labels(extra_labels), **ours}

    def _build_common_annotations(self, extra_annotations: Any) -> dict[str, str]:
        return {**super()._build_common_annotations(extra_annotations), **self._facts}

    def start(self) -> Any:
        """Start the pod. Raises LaunchFailed with a sentence as soon as it is clear that it can't come up."""
        self._start_future = asyncio.ensure_future(self._start_or_say_why())
        return self._start_future

    async def stop(self, now: bool = False) -> None:
        """Stop the pod. What goes wrong is logged: JupyterHub drops it without a word, and the server from its list."""
        try:
            await super().stop(now)
        except (ClientError, OSError, ApiException) as error:
            self.log.error(
                "The pod %s/%s could not be stopped and may run on, until it is removed as one that the hub does not "
                "know (site.yaml: servers.sweep_interval): %s",
                self.namespace,
                self.pod_name,
                _reason(error),
            )

    async def poll(self) -> Any:
        """Give None while the pod runs, and where Kubernetes can't be asked; else the exit code."""
        try:
            return await super().poll()
        except (ClientError, OSError, ApiException) as error:
            # JupyterHub would take the server for one that has ended, at its own start even for good.
            self.log.warning(
                "It is not known whether the pod %s/%s still runs: %s",
                self.namespace,
                self.pod_name,
                _reason(error),
            )
            return None

    async def _start_reflector(
        self, kind: str, reflector_class: Any, replace: bool = False, **named: Any
    ) -> Any:
        """Start to watch, anew where the watch has ended: KubeSpawner keeps one that gave up and what it last saw."""
        old = self.reflectors.get(self._get_reflector_key(kind))
        if old and old.first_load_future.done():
            ended = old.watch_task is None or old.watch_task.done()
            replace = replace or bool(old.first_load_future.exception()) or ended
        return await super()._start_reflector(kind, reflector_class, replace, **named)

    async def find_all(self) -> list[Found]:
        """Give every pod of this hub's servers, but for those that are on their way out."""
        selector = f"component={self.component_label}"
        pods = await self.api.list_namespaced_pod(self.namespace, label_selector=selector)
        found = []
        for pod in pods.items:
            facts = pod.metadata.annotations or {}
            user = facts.get(f"{LABELS}.user")
            ours = facts.get(f"{LABELS}.xnat") == xnat_public_url(self.site)
            if user is not None and ours and pod.metadata.deletion_timestamp is None:
                server = facts.get(f"{LABELS}.server", "")
                name = f"the pod {self.namespace}/{pod.metadata.name}"
                found.append(Found(user, server, pod.metadata.uid, name))
        return found

    async def remove_found(self, found: Found) -> None:
        """Delete a pod, and no other that has its name by now."""
        options = V1DeleteOptions(
            grace_period_seconds=self.delete_grace_period, preconditions=V1Preconditions(uid=found.id)
        )
        try:
            await self.api.delete_namespaced_pod(found.name.rpartition("/")[2], self.namespace, body=options)
        except ApiException as error:
            if error.status not in {404, 409}:
                raise

    async def _start_or_say_why(self) -> Any:
        self._unreachable = None
        try:
            return await self._start_watched()
        except (ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not self._unreachable:
                raise
            raise LaunchFailed(
                "kubernetes-api",
                "The Kubernetes API can't be reached.",
                "Try again later. Tell your XNAT administrator.",
                detail=_reason(self._unreachable or error),
                status=503,
            ) from None

    async def _start_watched(self) -> Any:
        await self._start_watching_pods()
        old = self.pod_reflector.pods.get(f"{self.namespace}/{self.pod_name}")
        self._old_pod = old and old["metadata"]["uid"]
        start = asyncio.ensure_future(self._start_and_answer())
        watch = asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait({start, watch}, return_when=asyncio.FIRST_COMPLETED)
            return start.result() if start.done() else watch.result()
        finally:
            for task in (start, watch):
                task.cancel()

    async def _start_and_answer(self) -> str:
        """Start the pod, and give its address once something listens there."""
        url: str = await self._start()
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        # `_watch` looks at the pod meanwhile.
        await listening((parts.hostname, parts.port))
        return url

    def _new_pod(self) -> Any:
        """Give the pod of this start as the watch knows it, None where there is none yet or no longer."""
        pod = self.pod_reflector.pods.get(f"{self.namespace}/{self.pod_name}")
        if not pod or pod["metadata"]["uid"] == self._old_pod or "deletionTimestamp" in pod["metadata"]:
            return None
        return pod

    async def _watch(self) -> None:
        """Look at the pod until something keeps it from starting; raise that."""
        since: dict[str, float] = {}
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            pod = self._new_pod()
            if pod is None or self.is_pod_running(pod):
                continue
            # A pod of an earlier start had the same name.
            uid = pod["metadata"]["uid"]
            problem = pod_problem(pod, [e for e in self.events if e["involvedObject"].get("uid") == uid])
            if problem is None:
                since.clear()
            elif problem.lasting:
                raise problem.failure
            else:
                reason = problem.failure.reason
                since.setdefault(reason, time.monotonic())
                if time.monotonic() - since[reason] >= self._settings.schedule_timeout:
                    raise problem.failure

    async def _make_create_pod_request(self, pod: Any, request_timeout: float) -> bool:
        """Create the pod, as KubeSpawner does, which would write a refused one with its tokens to the log.

        Then wait until it runs: KubeSpawner would look for that by itself, but takes up to 5 seconds to notice.
        """
        try:
            await asyncio.wait_for(self.api.create_namespaced_pod(self.namespace, pod), request_timeout)
        except (ClientError, OSError) as error:
            self._unreachable = error
            return False
        except ApiException as error:
            if error.status != 409:
                raise refusal_of(error, self.namespace) from None
            await self.stop(True)
            return False
        self._unreachable = None
        end = time.monotonic() + self.start_timeout
        while time.monotonic() < end and not self.is_pod_running(self._new_pod()):
            await asyncio.sleep(KNOCK_AGAIN_SECONDS)
        return True


def container_security(*, root: bool) -> dict[str, Any]:
    """Give what a server's container may do, as in a container's securityContext: nothing, unless it starts as root."""
    if root:
        return {}
    return {
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


class ClaimVolumes(NamedTuple):
    """A pod's volumes and its container's mounts, as in a pod's spec."""

    volumes: list[dict[str, Any]]
    mounts: list[dict[str, Any]]


class Prepared(NamedTuple):
    """What takes time to make of a plan, with no template left in it."""

    environment: dict[str, str]
    volumes: ClaimVolumes


def claim_volumes(mounts: Sequence[Mount], claims: Sequence[Claim]) -> ClaimVolumes:
    """Turn a plan's mounts into subPaths of claims: the claim with the longest path that holds the source.

    Raises PolicyRefusal for a source that no claim holds, and for a volume whose name no claim can have.
    """
    by_path = {claim.path: claim.claim_name for claim in claims}
    names: dict[str, str] = {}
    writable: set[str] = set()
    placed: list[dict[str, Any]] = []
    for mount in mounts:
        claim, path = _place(mount, by_path)
        volume = names.setdefault(claim, f"claim-{len(names)}")
        if not mount.read_only:
            writable.add(claim)
        placed.append(
            {
                "name": volume,
                "mountPath": mount.target,
                **({"subPath": path} if path else {}),
                **({"readOnly": True} if mount.read_only else {}),
            }
        )
    volumes = [
        {
            "name": volume,
            "persistentVolumeClaim": {
                "claimName": claim,
                # The node itself keeps a claim read-only that nothing may write to.
                **({} if claim in writable else {"readOnly": True}),
            },
        }
        for claim, volume in names.items()
    ]
    return ClaimVolumes(volumes, placed)


def _place(mount: Mount, by_path: Mapping[str, str]) -> tuple[str, str]:
    if mount.kind == "volume":
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", mount.source):
            raise PolicyRefusal("mount-source", "", f"{mount.source} can't be a volume claim's name.")
        return mount.source, ""
    if prefix := nearest(mount.source, by_path):
        return by_path[prefix], mount.source[len(prefix) + 1 :]
    raise PolicyRefusal("claim", _CLAIMS_KEY, f"No volume claim holds {mount.source}.")


def extended_resources(resources: Mapping[str, int], table: Mapping[str, str]) -> dict[str, str]:
    """Name a plan's generic resources as the cluster does. Raises PolicyRefusal for one without a name there."""
    named: dict[str, str] = {}
    for name, amount in resources.items():
        key = name if "/" in name else table.get(name)
        if key is None:
            raise PolicyRefusal(
                "resources",
                f"orchestrator.kubernetes.generic_resources.{name}",
                f"Nothing says what the generic resource {name} is called on the cluster.",
            )
        named[key] = str(amount)
    return named


def node_expressions(constraints: Sequence[Constraint]) -> list[dict[str, Any]]:
    """Turn placement constraints into a node selector term's matchExpressions.

    Raises PolicyRefusal for an attribute that nodes of Kubernetes don't have.
    """
    expressions: list[dict[str, Any]] = []
    for constraint in constraints:
        equal = constraint.operator == "=="
        if constraint.key == "node.role" and constraint.value in {"manager", "worker"}:
            manager = (constraint.value == "manager") == equal
            expressions.append({"key": _ROLE_LABEL, "operator": "Exists" if manager else "DoesNotExist"})
            continue
        if constraint.key == "node.hostname":
            label = "kubernetes.io/hostname"
        elif constraint.key.startswith("node.labels."):
            label = constraint.key.removeprefix("node.labels.")
        else:
            raise PolicyRefusal("constraints", "", f"{constraint} asks for what no node of Kubernetes has.")
        operator = "In" if equal else "NotIn"
        expressions.append({"key": label, "operator": operator, "values": [constraint.value]})
    return expressions


def with_expressions(
    terms: Sequence[Mapping[str, Any]], expressions: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Add expressions to each of the node selector terms that are alternatives; to an empty one where there is none."""
    if not expressions:
        return [dict(term) for term in terms]
    return [
        {**term, "matchExpressions": [*term.get("matchExpressions", ()), *expressions]}
        for term in terms or [{}]
    ]


def _check_size(
    plan: LaunchPlan, mounts: Sequence[Mapping[str, Any]], environment: Mapping[str, str]
) -> None:
    size = len(json.dumps([mounts, environment], separators=(",", ":"), ensure_ascii=False).encode())
    if size > MOST_BYTES:
        raise PolicyRefusal(
            "too-large",
            "",
            f"XNAT asks for {len(plan.mounts):,} mounts, whose description is {size:,} bytes long; Kubernetes "
            f"takes about {MOST_BYTES:,}. Start on fewer projects.",
        )


def _no_template(value: Any) -> Any:
    """Double the braces of all text, which KubeSpawner expands as templates."""
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, list):
        return [_no_template(item) for item in value]
    if isinstance(value, dict):
        return {key: _no_template(item) for key, item in value.items()}
    return value


def _literal(text: str) -> str:
    """Double the dollar signs, since Kubernetes expands `$(NAME)` in variables and arguments."""
    return text.replace("$", "$$")


class PodProblem(NamedTuple):
    """What keeps a pod from starting. One that is not lasting may still go away by itself."""

    failure: LaunchFailed
    lasting: bool


def pod_problem(pod: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> PodProblem | None:
    """Say what keeps a pod from starting, from its status and its events as the API gives them; None for nothing."""
    status = pod["status"]
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _unscheduled(condition.get("message") or "", pod)
    if status.get("phase") == "Failed":
        message = status.get("message") or status.get("reason") or "it gives no reason"
        return PodProblem(
            _failed("node", f"The node would not run the server: {_sentence(message)}"), lasting=True
        )
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        if problem := _container_problem(container):
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


def _unscheduled(message: str, pod: Mapping[str, Any]) -> PodProblem:
    if missing := re.search(r'persistentvolumeclaim "([^"]+)" (not found|is being deleted)', message):
        what = "does not exist" if missing[2] == "not found" else "is being deleted"
        return PodProblem(
            _failed("claim", f"The volume claim {missing[1]} {what}.", f"site.yaml: {_CLAIMS_KEY}."),
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
    return PodProblem(
        LaunchFailed(
            "unschedulable",
            f"No node of the cluster can take the server: {_sentence(shortened)}",
            "Ask for less in XNAT, or try again when others have stopped theirs.",
            status=503,
        ),
        lasting=False,
    )


def _container_problem(container: Mapping[str, Any]) -> PodProblem | None:
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
    elif reason in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ImageInspectError"}:
        failure = _failed(
            "image",
            f"The image {image} can't be pulled: {message}",
            "Is its name right, and may the node pull it?",
        )
    elif "subPath" in message:
        failure = _failed(
            "mount", f"A folder that XNAT asks for is not in its volume, or can't be mounted: {message}"
        )
    elif reason in {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}:
        failure = _failed("container", f"The node can't make the server's container: {message}")
    elif ended := state.get("terminated") or (container.get("lastState") or {}).get("terminated"):
        detail = f": {_sentence(ended['message'])}" if ended.get("message") else "."
        failure = _failed(
            "ended",
            f"The server ended as soon as it was started, with exit code {ended['exitCode']}{detail}",
            f"Does {image} hold a Jupyter server?",
        )
    else:
        return None
    return PodProblem(failure, lasting=True)


def refusal_of(error: ApiException, namespace: str) -> LaunchFailed:
    """Say why Kubernetes refused to create a pod."""
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
            "Ask for less in XNAT, or try again when others have stopped theirs.",
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


def _reason(error: Exception) -> str:
    """Say what went wrong in a line: an answer of Kubernetes holds headers too."""
    if isinstance(error, ApiException):
        return f"{error.status} {error.reason}"
    return str(error) or type(error).__name__


def _failed(reason: str, message: str, advice: str = "") -> LaunchFailed:
    return LaunchFailed(reason, message, f"Tell your XNAT administrator. {advice}".strip(), status=502)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith(".") else f"{text}."
