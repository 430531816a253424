"""Checks of a Kubernetes cluster: rights, claims, quotas, nodes and pull secrets.

The hub's own account may do what it needs and read nothing else. What it may not read is skipped in its pod; an admin's
kubeconfig tells the rest.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import aiohttp
from kubernetes_asyncio import client, config
from kubernetes_asyncio.client.exceptions import ApiException

from xnathub_conf.doctor.examination import Check, Examination, Finding, failed, ok, skipped, warning
from xnathub_conf.doctor.images import exact_images
from xnathub_conf.doctor.kubernetes_ahead import images_ahead
from xnathub_conf.doctor.kubernetes_calls import Told, no_answer, told
from xnathub_conf.doctor.kubernetes_jupyterhubs import which_jupyterhub_in_pods
from xnathub_conf.doctor.kubernetes_nodes import ALL_SECONDS, Where, look_at_nodes, no_hub, nodes_for_servers
from xnathub_conf.doctor.kubernetes_reading import REFUSALS, api_reason, hub_rights, pod_to_try, too_small
from xnathub_conf.launch.policy import PolicyRefusal
from xnathub_conf.orchestrators.kubernetes import pull_secrets
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Kubernetes
from xnathub_conf.spawners.kubernetes_failures import refusal_of
from xnathub_conf.spawners.kubernetes_images import NAMESPACE_FILE
from xnathub_conf.spawners.kubernetes_pod import claim_volumes, extended_resources, node_expressions

_CALL_SECONDS = 20
_HERE: KeyPath = ("orchestrator", "kubernetes")


def cluster_checks(examination: Examination, stack: AsyncExitStack) -> list[Check]:
    """List the checks of the cluster; what they open is closed with the stack."""
    kubernetes = KubernetesChecks(examination, settings_of(examination.site, Kubernetes))
    stack.push_async_callback(kubernetes.close)
    return kubernetes.checks()


class KubernetesChecks:
    """The checks of the cluster; `close` lets go of the connection."""

    def __init__(self, examination: Examination, settings: Kubernetes):
        self._examination = examination
        self._site = examination.site
        self._settings = settings
        self._api: Any = None
        self._nodes: list[Any] = []
        self._in_pod = NAMESPACE_FILE.exists()
        self._namespace = settings.namespace or (
            NAMESPACE_FILE.read_text("utf-8").strip() if self._in_pod else "default"
        )

    def checks(self) -> list[Check]:
        """List the checks in their order."""
        api = ("kubernetes.api",)
        return [
            Check("kubernetes.api", self.api),
            Check("kubernetes.rights", told(self.rights), api),
            *(
                Check(f"kubernetes.claim.{name}", told(self._claim(name)), api)
                for name in dict.fromkeys(claim.claim_name for claim in self._settings.claims)
            ),
            Check("kubernetes.pod", self.pod, api),
            Check("kubernetes.quotas", told(self.quotas), api),
            Check("kubernetes.nodes", told(self.nodes), api),
            Check("kubernetes.each_node", told(self.each_node), ("kubernetes.nodes",), ALL_SECONDS),
            *(
                Check(f"kubernetes.pull_secret.{name}", told(self._pull_secret(name)), api)
                for name in pull_secrets(self._settings, self._site)
            ),
            Check("kubernetes.images", told(self.images), api),
            *(
                Check("kubernetes.images_ahead", told(self.images_ahead), api)
                for _ in self._site.servers.images_ahead[:1]
            ),
            Check("kubernetes.jupyterhub", self.jupyterhub, api),
            Check("kubernetes.plan", self.plan, ("xnat.plan",)),
        ]

    async def close(self) -> None:
        """Let go of the connection."""
        if self._api:
            await self._api.close()

    async def api(self) -> Finding:
        """The API server answers."""
        found = client.Configuration()
        found.retries = 0
        try:
            if self._in_pod:
                config.load_incluster_config(client_configuration=found)
            else:
                await config.load_kube_config(client_configuration=found)
        except (config.ConfigException, OSError) as error:
            return failed(
                f"Nothing says how to reach the cluster: {error}.",
                "Run this in the hub's pod, or where kubectl works.",
                _HERE,
            )
        self._api = client.ApiClient(found)
        try:
            version = await client.VersionApi(self._api).get_code(_request_timeout=_CALL_SECONDS)
        except (ApiException, aiohttp.ClientError, OSError, TimeoutError) as error:
            return failed(
                f"The API server {found.host} does not answer: {api_reason(error)}.",
                "See that it runs, and that a network policy lets the hub's pod reach it.",
                _HERE,
            )
        who = "the hub's account" if self._in_pod else "the user of this kubeconfig"
        return ok(f"Kubernetes {version.git_version} answers, in the namespace {self._namespace}, to {who}.")

    async def rights(self) -> Finding:
        """The hub may do all that it needs in the namespace of servers."""
        lacking: list[str] = []
        reviews = client.AuthorizationV1Api(self._api)
        for group, resource, verb in hub_rights():
            attributes = client.V1ResourceAttributes(
                namespace=self._namespace, group=group, resource=resource, verb=verb
            )
            review = client.V1SelfSubjectAccessReview(
                spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
            )
            ask = partial(reviews.create_self_subject_access_review, review, _request_timeout=_CALL_SECONDS)
            answer = await self._call(ask)
            if not answer.status.allowed:
                lacking.append(f"{verb} {resource}")
        if not self._in_pod:
            said = (
                f"This kubeconfig's user lacks {', '.join(lacking)}"
                if lacking
                else "This kubeconfig's user has all"
            )
            return skipped(
                f"{said} of the hub's rights; the hub's own account is another.",
                "Run it in the hub's pod: kubectl exec deploy/hub -- xnathub doctor /etc/xnathub/site.yaml.",
            )
        if lacking:
            return failed(
                f"The hub's account may not {', '.join(lacking)} in {self._namespace}.",
                f"Install the chart anew, or bind its Role hub in {self._namespace} to the account.",
                (*_HERE, "namespace"),
            )
        return ok(f"The hub's account has its rights in {self._namespace}.")

    def _claim(self, name: str) -> Callable[[], Awaitable[Finding]]:
        async def check() -> Finding:
            index = next(i for i, claim in enumerate(self._settings.claims) if claim.claim_name == name)
            key = (*_HERE, "claims", index, "claim_name")
            core = client.CoreV1Api(self._api)
            claim = await self._call(
                lambda: core.read_namespaced_persistent_volume_claim(
                    name, self._namespace, _request_timeout=_CALL_SECONDS
                ),
                missing=failed(
                    f"There is no volume claim {name} in {self._namespace}.",
                    "Make it, or correct its name.",
                    key,
                ),
                what="volume claims",
            )
            phase = claim.status.phase
            if phase != "Bound":
                return failed(
                    f"The volume claim {name} is {phase}, not bound to storage.",
                    f"See why: kubectl --namespace {self._namespace} describe pvc {name}.",
                    key,
                )
            modes = claim.status.access_modes or []
            if "ReadWriteMany" not in modes and "ReadOnlyMany" not in modes:
                return warning(
                    f"The volume claim {name} is bound, but as {', '.join(modes)}: for one node alone.",
                    "Servers on other nodes can't mount it; use storage that takes ReadWriteMany.",
                    key,
                )
            return ok(f"The volume claim {name} is bound, as {', '.join(modes)}.")

        return check

    async def pod(self) -> Finding:
        """The cluster would take a server's pod: its quotas and rules are asked, and nothing is made."""
        body = pod_to_try(self._site.servers, self._examination.plan, root=self._settings.start_as_root)
        try:
            await client.CoreV1Api(self._api).create_namespaced_pod(
                self._namespace, body, dry_run="All", _request_timeout=_CALL_SECONDS
            )
        except ApiException as error:
            said = refusal_of(error, self._namespace)
            # The rest is what a user reads, who can't mend it.
            seen = said.jupyterhub_message.partition(" Tell your XNAT administrator.")[0]
            return failed(seen, REFUSALS.get(said.reason, REFUSALS["admission"]), _HERE)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return no_answer(error)
        return ok(f"{self._namespace} would take a server's pod.")

    async def quotas(self) -> Finding:
        """The namespace's quotas leave room for one more server as large as the site's defaults."""
        core = client.CoreV1Api(self._api)
        quotas = await self._call(
            lambda: core.list_namespaced_resource_quota(self._namespace, _request_timeout=_CALL_SECONDS),
            what="quotas",
        )
        of = self._examination.plan or self._site.servers
        short = too_small(quotas.items, of)
        if short:
            return failed(
                f"The quotas of {self._namespace} take no further server: {'; '.join(short)}.",
                "Raise the quota, stop servers, or change the defaults: servers.cpu_limit, mem_limit and guarantees.",
                ("servers", "mem_limit"),
            )
        names = ", ".join(quota.metadata.name for quota in quotas.items)
        return ok(
            f"The quotas ({names}) leave room for a server." if names else f"{self._namespace} has no quota."
        )

    async def nodes(self) -> Finding:
        """Some node has the labels that the site, and the plan, ask for, and no taint that is not tolerated."""
        core = client.CoreV1Api(self._api)
        nodes = (await self._call(lambda: core.list_node(_request_timeout=_CALL_SECONDS), what="nodes")).items
        self._nodes, finding = nodes_for_servers(nodes, self._settings, self._examination.plan)
        return finding

    async def each_node(self) -> Finding:
        """Each node that takes servers has the claims, the ways to XNAT and the hub, the time and the room that they need."""
        apps = client.AppsV1Api(self._api)
        hub = await self._call(
            lambda: apps.read_namespaced_deployment("hub", self._namespace, _request_timeout=_CALL_SECONDS),
            missing=no_hub(self._namespace),
            what="Deployments",
        )
        where = Where(self._api, self._namespace, hub)
        return await look_at_nodes(self._examination, self._settings, where, self._nodes)

    def _pull_secret(self, name: str) -> Callable[[], Awaitable[Finding]]:
        async def check() -> Finding:
            key = (*_HERE, "image_pull_secrets")
            core = client.CoreV1Api(self._api)
            secret = await self._call(
                lambda: core.read_namespaced_secret(name, self._namespace, _request_timeout=_CALL_SECONDS),
                missing=failed(
                    f"There is no Secret {name} in {self._namespace}.",
                    f"Make it: kubectl --namespace {self._namespace} create secret docker-registry {name} ...",
                    key,
                ),
                what="Secrets",
            )
            if secret.type not in {"kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"}:
                return failed(
                    f"The Secret {name} is of the type {secret.type}, not for pulling images.",
                    f"Make it anew: kubectl --namespace {self._namespace} create secret docker-registry {name} ...",
                    key,
                )
            return ok(f"The Secret {name} is there, for pulling images.")

        return check

    async def images(self) -> Finding:
        """Images that are named in full are on some node; only nodes can tell what they can pull."""
        names, patterns = exact_images(self._examination)
        untold = f"Not checked, since they are patterns: {', '.join(patterns)}." if patterns else ""
        if not names:
            return skipped(untold, "Name a user with --user, to try the image of their server.")
        core = client.CoreV1Api(self._api)
        nodes = await self._call(lambda: core.list_node(_request_timeout=_CALL_SECONDS), what="nodes")
        there = {
            name for node in nodes.items for image in node.status.images or () for name in image.names or ()
        }
        missing = [
            name for name in names if not {name, f"docker.io/{name}", f"docker.io/library/{name}"} & there
        ]
        if not missing:
            return ok(f"On a node: {', '.join(names)}. {untold}".strip())
        if self._settings.image_pull_policy == "Never":
            return failed(
                f"On no node: {', '.join(missing)}; and image_pull_policy is Never.",
                "Bring the images to the nodes, or let them pull: image_pull_policy: IfNotPresent.",
                (*_HERE, "image_pull_policy"),
            )
        return skipped(
            f"On no node yet: {', '.join(missing)}; whether a node can pull it, the first start tells."
        )

    async def images_ahead(self) -> Finding:
        """Nodes have the images that they get before anyone asks for them."""
        return await images_ahead(self._api, self._namespace, self._site.servers.images_ahead, self._call)

    async def jupyterhub(self) -> Finding:
        """The images' JupyterHub works with XNAT's pages."""
        names = exact_images(self._examination)[0]
        shared = self._examination, self._settings
        return await which_jupyterhub_in_pods(*shared, self._api, self._namespace, names)

    async def plan(self) -> Finding:
        """The plan's mounts, resources and constraints have their counterparts on the cluster."""
        plan = self._examination.plan
        if plan is None:
            return skipped("There is no plan to look at.")
        try:
            volumes = claim_volumes(plan.mounts, self._settings.claims)
            extended_resources(plan.generic_resources, self._settings.generic_resources)
            node_expressions(plan.constraints)
        except PolicyRefusal as refusal:
            key: KeyPath = tuple(refusal.key.split(".")) if refusal.key else ()
            change = f"Change {refusal.key}" if key else "Change the hardware or constraints"
            return failed(str(refusal), f"{change}, or what XNAT's Jupyter settings ask for.", key)
        claims = ", ".join(each["persistentVolumeClaim"]["claimName"] for each in volumes.volumes)
        return ok(f"The plan's {len(volumes.mounts)} mounts lie in {claims}.")

    async def _call(
        self, call: Callable[[], Awaitable[object]], *, missing: Finding | None = None, what: str = "that"
    ) -> Any:
        """Return what the API server answers. Raises Told."""
        try:
            return await call()
        except ApiException as error:
            if error.status == 404 and missing:
                raise Told(missing) from None
            if error.status == 403:
                do = "Run this where kubectl works, with an admin's kubeconfig."
                why = (
                    f"The hub's account may not read {what}, and need not."
                    if self._in_pod
                    else f"May not read {what}."
                )
                raise Told(skipped(why, do)) from None
            raise Told(no_answer(error)) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Told(no_answer(error)) from None
