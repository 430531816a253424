"""Containers on one Docker engine."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from docker.errors import APIError, NotFound
from docker.types import DeviceRequest

from xnathub_conf.launch.ending import Ending, exited, gone
from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.launch.policy import PolicyRefusal
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.types import Docker
from xnathub_conf.spawners.containers import (
    LABELS,
    NETWORK,
    PlannedObject,
    health_check,
    object_labels,
)
from xnathub_conf.spawners.engine_failures import engine_failure, pull_failure
from xnathub_conf.spawners.images_ahead import Brought
from xnathub_conf.spawners.pulls import Pull
from xnathub_conf.spawners.rights import docker_rights, in_user_namespaces, user_of
from xnathub_conf.spawners.running import Found
from xnathub_conf.spawners.server_network import container_network
from xnathub_conf.spawners.slow_starts import PULL_ADVICE, Phase
from xnathub_conf.spawners.wait_for_port import LOOK_AGAIN_SECONDS


class XnatDockerSpawner(PlannedObject):
    """Starts a plan as a container."""

    _pull: Pull | None = None
    """The one that goes on."""

    def prepare(self, plan: LaunchPlan) -> list[dict[str, object]]:
        """Return the mounts as DockerSpawner takes them."""
        return [
            {"type": mount.kind, "source": mount.source, "target": mount.target, "read_only": mount.read_only}
            for mount in plan.mounts
        ]

    def apply_plan(self, plan: LaunchPlan, prepared: list[dict[str, object]] | None = None) -> None:
        """Set everything of the container. Raises PolicyRefusal as `gpu_requests` does."""
        gpus = gpu_requests(plan)
        super().apply_plan(plan, prepared)
        self.volumes: dict[str, object] = {}
        docker = settings_of(self.site, Docker)
        # Docker would remove a container as it ends, and its exit code with it.
        host: dict[str, object] = {
            "init": True,
            "auto_remove": False,
            **docker_rights(self.site.servers, {mount.target for mount in plan.mounts}),
            **container_network(self.site.servers, docker),
        }
        if plan.mem_guarantee:
            host["mem_reservation"] = plan.mem_guarantee
        if plan.shm_size:
            host["shm_size"] = plan.shm_size
        if gpus:
            host["device_requests"] = gpus
        self.extra_host_config = host
        self.extra_create_kwargs = {
            "user": user_of(self.site.servers),
            "labels": object_labels(plan, self.site),
            "stop_timeout": self.site.servers.stop_timeout,
            "healthcheck": health_check(self.site.servers),
        }

    async def create_object(self) -> Any:
        """Create the container."""
        more: dict[str, Any] = self.extra_create_kwargs
        self.extra_create_kwargs = {**more, "labels": {**more["labels"], NETWORK: self._network}}
        self.extra_host_config = {**self.extra_host_config, "network_mode": self._network}
        docker = settings_of(self.site, Docker)
        await self._check_users()
        made = await super().create_object()
        # Where one is not there, the container goes again.
        self.object_id = made[self.object_id_key]
        for network in docker.networks:
            await self.docker("connect_container_to_network", self.object_id, network)
        return made

    async def _check_users(self) -> None:
        """Raise LaunchFailed where servers are to have users of their own, and the engine's are the node's."""
        if self.site.servers.security.user_namespaces != "own":
            return
        if not in_user_namespaces(await self.docker("info")):
            raise LaunchFailed(
                "rights",
                "The Docker engine has no user namespaces.",
                "Tell your XNAT administrator. site.yaml: servers.security.user_namespaces: own wants userns-remap in the engine's daemon.json.",
                status=502,
            )

    def get_network_ip(self, network_settings: Any) -> str:
        """Return the container's address on the network that it shares with the hub. Raises LaunchFailed where there is none."""
        network = self._network_of(network_settings["Networks"])
        if network is None:
            raise engine_failure(f"network {self._network} not found", self.image)
        return str(network["IPAddress"])

    async def all_labels(self) -> list[Mapping[str, str]]:
        """Return the labels of every server's container, of those that have ended too."""
        found = await self.docker("containers", all=True, filters={"label": f"{LABELS}.user"})
        return [each["Labels"] for each in found]

    async def _ending(self) -> Ending | None:
        container = await self.get_object()
        if container is None:
            return gone("container")
        state = container["State"]
        if state["Running"]:
            return None
        limit = container["HostConfig"].get("Memory")
        return exited(
            state["ExitCode"], out_of_memory=state["OOMKilled"], mem_limit=limit, said=state["Error"]
        )

    async def remove_object(self) -> None:
        """Remove the container, even one that runs, with its unnamed volumes."""
        try:
            await self.docker("remove_container", self.object_id, v=True, force=True)
        except APIError as error:
            # It is gone, or on its way.
            if error.status_code not in {404, 409}:
                raise

    async def bring_image(self, image: str) -> Brought:
        """Pull an image that the engine has not got, or by the site's `pull_policy` always."""
        await self.pull_image(image)
        return Brought(1, 1)

    async def docker(self, method: str, *args: Any, **more: Any) -> Any:
        """Call the engine in a thread, as DockerSpawner does; a pull is followed as it goes on."""
        if method != "pull":
            return await super().docker(method, *args, **more)
        self._pull = pull = Pull()
        try:
            messages = await super().docker(method, *args, **more, stream=True, decode=True)
            await asyncio.wrap_future(self.executor.submit(pull.follow, messages))
        finally:
            self._pull = None

    async def pull_image(self, image: str) -> None:
        """Pull an image as the site's `pull_policy` says. Raises LaunchFailed with what the engine or the registry says."""
        try:
            await super().pull_image(image)
        except APIError as error:
            raise pull_failure(str(error.explanation or error), image) from None

    async def progress(self) -> AsyncIterator[dict[str, object]]:
        """Return what the engine does until the container is made; of a pull, how far it is."""
        said = ""
        while True:
            text = "Docker makes the container"
            if self._pull:
                text = f"Docker pulls the image{self._pull.progress}"
            if text != said:
                yield {"progress": 30 if self._pull else 40, "message": text}
            if self.object_id:
                return
            said = text
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def find_all(self) -> list[Found]:
        """Return every container of this hub's servers, those that have ended too."""
        containers = await self.docker("containers", all=True, filters={"label": f"{LABELS}.user"})
        # Tasks of a swarm are containers too, with their service's labels.
        return [
            found
            for each in containers
            if "com.docker.swarm.service.id" not in each["Labels"]
            for found in self._ours(each["Id"], each["Names"][0], each["Labels"])
        ]

    async def remove_found(self, found: Found) -> None:
        """Stop and remove a container."""
        try:
            await self.docker("stop", found.id)
            await self.docker("remove_container", found.id, v=True, force=True)
        except NotFound:
            self.log.debug("%s was gone.", found.name)

    async def phase(self) -> Phase:
        """Return what a start is at, from what there is of its container."""
        if self._pull:
            return Phase(
                "slow-image",
                f"Docker was still pulling the image {self.image}{self._pull.progress}.",
                PULL_ADVICE,
            )
        container = await self.get_object()
        if container is None:
            return Phase("slow-container", "Docker was still making its container.")
        if not container["State"]["Running"]:
            return Phase("slow-mount", "Docker was still mounting its volumes and starting its container.")
        return self._silent()

    async def check_running(self) -> None:
        """Raise LaunchFailed where the container has ended."""
        container = await self.get_object()
        if container is None:
            raise await self._ended("unknown")
        state = container["State"]
        if not state["Running"]:
            raise await self._ended(state["ExitCode"], out_of_memory=state["OOMKilled"])

    async def _container(self) -> str:
        return str(self.object_id)


def gpu_requests(plan: LaunchPlan) -> list[Any]:
    """Turn a plan's generic resources into Docker's device requests.

    Raises PolicyRefusal for any but GPUs, and for placement constraints, which a single engine can't fulfil.
    """
    if plan.constraints:
        raise PolicyRefusal(
            "constraints",
            "",
            f"{plan.constraints[0]} asks for a node, and a single Docker engine has no choice.",
        )
    resources = plan.generic_resources
    unknown = [name for name in resources if name not in {"gpu", "nvidia.com/gpu"}]
    if unknown:
        raise PolicyRefusal("resources", "", f"A single Docker engine has no generic resource {unknown[0]}.")
    return [
        DeviceRequest(
            **({"device_ids": [amount]} if isinstance(amount, str) else {"count": amount}),
            capabilities=[["gpu"]],
        )
        for amount in resources.values()
    ]
