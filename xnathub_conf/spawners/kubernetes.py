"""Pods of a Kubernetes cluster."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientError
from kubernetes_asyncio.client import V1DeleteOptions, V1Preconditions
from kubernetes_asyncio.client.exceptions import ApiException
from kubespawner.slugs import is_valid_label, safe_slug

from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.hub_settings import xnat_public_url
from xnathub_conf.site.types import Kubernetes, Site
from xnathub_conf.spawners.containers import LABELS, object_labels
from xnathub_conf.spawners.kubernetes_addresses import WatchedPods
from xnathub_conf.spawners.kubernetes_failures import api_error_text, pod_problem, refusal_of
from xnathub_conf.spawners.kubernetes_looks import Looks
from xnathub_conf.spawners.kubernetes_pod import (
    ClaimVolumes,
    Prepared,
    check_extra,
    check_size,
    claim_volumes,
    extended_resources,
    literal,
    merge_extra,
    no_template,
    node_expressions,
    with_expressions,
    with_memory,
    with_scratch,
)
from xnathub_conf.spawners.object_names import object_name
from xnathub_conf.spawners.rights import HOME_GROUP, container_security, pod_users
from xnathub_conf.spawners.running import Found
from xnathub_conf.spawners.server_network import pod_network
from xnathub_conf.spawners.wait_for_port import KNOCK_AGAIN_SECONDS, listening
from xnathub_conf.values.gpus import no_gpus
from xnathub_conf.values.reserved_names import SCRATCH

_LABELLED = ("project", "user")
_LOOK_AGAIN_SECONDS = 0.5


class XnatKubernetesSpawner(Looks):
    """Starts a plan as a pod, as the user and group of site.yaml and with no way to root."""

    site: Site
    _facts: Mapping[str, str] = {}
    _configured: tuple[Any, ...] | None = None
    _extra: tuple[dict[str, object], dict[str, object]] = {}, {}
    _unreachable: Exception | None = None
    volumes: object
    volume_mounts: object
    extra_pod_config: Any
    extra_container_config: Any
    node_selector: object
    tolerations: object
    node_affinity_required: object

    @property
    def _settings(self) -> Kubernetes:
        return settings_of(self.site, Kubernetes)

    def _pod_name_template_default(self) -> str:
        return object_name("jupyter", self.user.name, self.name)

    def _delete_pvc_default(self) -> bool:
        """Return False: the hub makes no claims for servers, and has no right to remove any."""
        return False

    def prepare(self, plan: LaunchPlan) -> Prepared:
        """Return environment, volumes and mounts as KubeSpawner takes them.

        Raises PolicyRefusal for a mount under no claim, a resource that has no name here, and a plan that makes an object
        too large for Kubernetes.
        """
        settings, servers = self._settings, self.site.servers
        ours = with_memory(claim_volumes(plan.mounts, settings.claims), plan.shm_size)
        if servers.security.read_only_root:
            ours = with_scratch(ours, SCRATCH)
        granted = extended_resources(plan.generic_resources, settings.generic_resources)
        environment = {**no_gpus(granted), **plan.environment}
        if settings.start_as_root:
            environment |= {"NB_UID": str(servers.uid), "NB_GID": str(servers.gid)}
        check_size(plan, ours.mounts, environment)
        return Prepared(
            no_template(environment), ClaimVolumes(no_template(ours.volumes), no_template(ours.mounts))
        )

    def apply_plan(self, plan: LaunchPlan, prepared: Prepared | None = None) -> None:
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
            # KubeSpawner would put these in the place of what it has built.
            self._extra = self.extra_pod_config, self.extra_container_config
            self.extra_pod_config, self.extra_container_config = {}, {}
        check_extra(*self._extra, root=settings.start_as_root)
        volumes, volume_mounts, node_selector, tolerations, affinity = self._configured
        environment, ours = prepared or self.prepare(plan)
        extended = extended_resources(plan.generic_resources, settings.generic_resources)

        self._facts = object_labels(plan, self.site)
        self.image = plan.image
        self.cmd = [literal(word) for word in plan.command] if plan.command else None
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
        self.supplemental_gids = [HOME_GROUP]
        self.allow_privilege_escalation = root and not servers.security.no_new_privileges
        self.container_security_context = container_security(servers.security, root=root)

    def get_env(self) -> dict[str, object]:
        """Return the server's environment, with values that Kubernetes takes as they are."""
        return {k: literal(v) if isinstance(v, str) else v for k, v in super().get_env().items()}

    async def get_pod_manifest(self) -> object:
        """Return the pod, without variables for each Service of the namespace, and with what the configuration adds."""
        pod = await super().get_pod_manifest()
        pod.spec.enable_service_links = False
        # KubeSpawner's OnFailure starts a server that has ended anew in place: nobody would be told why, nor that kernels are gone.
        pod.spec.restart_policy = "Never"
        of_pod, of_container = self._extra
        users = pod_users(self.site.servers.security)
        merge_extra(self.api.api_client, pod.spec, {**pod_network(self.site.servers), **users})
        merge_extra(self.api.api_client, pod.spec, self._expand_all(of_pod))
        # The server's own comes first; those of `extra_containers` follow.
        merge_extra(self.api.api_client, pod.spec.containers[0], of_container)
        return pod

    def _build_pod_labels(self, extra_labels: object) -> dict[str, str]:
        ours = {
            key: safe_slug(value, is_valid=is_valid_label)
            for key, value in self._facts.items()
            if key.rpartition(".")[2] in _LABELLED
        }
        return {**super()._build_pod_labels(extra_labels), **ours}

    def _build_common_annotations(self, extra_annotations: object) -> dict[str, str]:
        return {**super()._build_common_annotations(extra_annotations), **self._facts}

    def start(self) -> object:
        """Start the pod. Raises LaunchFailed with a sentence as soon as it is clear that it can't come up."""
        self._start_future = asyncio.ensure_future(self._start_or_say_why())
        return self._start_future

    async def stop(self, now: bool = False) -> None:
        """Stop the pod. What goes wrong is logged: JupyterHub drops it without a word, and the server from its list."""
        lost = asyncio.ensure_future(self.remove_once_lost())
        try:
            await super().stop(now)
        except (ClientError, OSError, ApiException) as error:
            self.log.error(
                "The pod %s/%s could not be stopped and may run on, until it is removed as one that the hub does not "
                "know (site.yaml: servers.sweep_interval): %s",
                self.namespace,
                self.pod_name,
                api_error_text(error),
            )
        finally:
            lost.cancel()

    async def poll(self) -> object:
        """Return None while the pod runs, and where Kubernetes can't be asked; else the exit code."""
        try:
            return await super().poll()
        except (ClientError, OSError, ApiException) as error:
            # JupyterHub would take the server for one that has ended, at its own start even for good.
            self.log.warning(
                "It is not known whether the pod %s/%s still runs: %s",
                self.namespace,
                self.pod_name,
                api_error_text(error),
            )
            return None

    async def get_url(self) -> object:
        """Return the server's address: the pod's, once it has one, where the hub was killed before a start told it to the database."""
        end = time.monotonic() + self.start_timeout
        # A look at a pod that runs tells the database its address.
        while await self.poll() is None and not self.server.ip and time.monotonic() < end:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return await super().get_url()

    async def _start_reflector(
        self, kind: str, reflector_class: Any, replace: bool = False, **named: object
    ) -> object:
        """Start to watch, anew where the watch has ended: KubeSpawner keeps one that gave up and what it last saw."""
        old = self.reflectors.get(self._get_reflector_key(kind))
        if old and old.first_load_future.done():
            ended = old.watch_task is None or old.watch_task.done()
            replace = replace or bool(old.first_load_future.exception()) or ended
        watch = WatchedPods if kind == "pods" else reflector_class
        return await super()._start_reflector(kind, watch, replace, **named)

    @classmethod
    def has_address(cls, address: str) -> bool:
        """Return whether a user's pod has an address, one that starts or ends too."""
        watched = [each for (kind, *_), each in cls.reflectors.items() if kind == "pods"]
        return any(each.pods.addresses[address] > 0 for each in watched)

    async def find_all(self) -> list[Found]:
        """Return every pod of this hub's servers, but for those that are on their way out."""
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

    async def _start_or_say_why(self) -> object:
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
                detail=api_error_text(self._unreachable or error),
                status=503,
            ) from None

    async def _start_watched(self) -> object:
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

    async def _watch(self) -> None:
        """Look at the pod until something keeps it from starting; raise that."""
        since: dict[str, float] = {}
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            pod = self._new_pod()
            if pod is None or self.is_pod_running(pod):
                continue
            problem = pod_problem(pod, self._events_of(pod))
            if problem is None or problem.tried_again:
                since.clear()
            elif problem.lasting:
                raise await self._told(pod, problem)
            else:
                reason = problem.failure.reason
                since.setdefault(reason, time.monotonic())
                if time.monotonic() - since[reason] >= self._settings.schedule_timeout:
                    raise problem.failure

    async def _make_create_pod_request(self, pod: object, request_timeout: float) -> bool:
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
