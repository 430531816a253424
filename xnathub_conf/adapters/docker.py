"""Containers on one Docker engine."""

from typing import Any

from docker.errors import DockerException
from docker.types import DeviceRequest
from dockerspawner import DockerSpawner
from requests import RequestException

from xnathub_conf.adapters.containers import (
    PlannedObject,
    container_environment,
    engine_error,
    object_labels,
)
from xnathub_conf.plan import LaunchPlan
from xnathub_conf.policy import PolicyRefusal


class XnatDockerSpawner(PlannedObject, DockerSpawner):
    """Starts a plan as a container."""

    def apply_plan(self, plan: LaunchPlan) -> None:
        """Set image, command, environment, mounts and resources. Raises PolicyRefusal as `gpu_requests` does."""
        gpus = gpu_requests(plan)
        self.image = plan.image
        self.cmd = list(plan.command) if plan.command else None
        self.environment = container_environment(plan, self.site.servers)
        self.volumes: dict[str, Any] = {}
        self.mounts = [
            {"type": mount.kind, "source": mount.source, "target": mount.target, "read_only": mount.read_only}
            for mount in plan.mounts
        ]
        self.cpu_limit = plan.cpu_limit
        self.cpu_guarantee = plan.cpu_guarantee
        self.mem_limit = plan.mem_limit
        self.mem_guarantee = plan.mem_guarantee
        # Docker would remove a container as it ends, and its exit code with it.
        host: dict[str, Any] = {"init": True, "auto_remove": False}
        if plan.mem_guarantee:
            host["mem_reservation"] = plan.mem_guarantee
        if gpus:
            host["device_requests"] = gpus
        self.extra_host_config = host
        # Images of docker-stacks start as root, take NB_UID and NB_GID, and drop to them.
        self.extra_create_kwargs = {
            "user": "0",
            "labels": object_labels(plan),
            "stop_timeout": self.site.servers.stop_timeout,
        }

    async def start(self) -> Any:
        """Start the container. Raises LaunchFailed with a sentence as soon as it can't come up, and leaves none then."""
        try:
            address = await super().start()
            await self._listening(address, self._look)
        except (DockerException, RequestException) as error:
            await self._remove()
            raise engine_error(error, self.image) from None
        except BaseException:
            await self._remove()
            raise
        return address

    async def poll(self) -> Any:
        """Give None while the container runs, else how it ended; one that has ended is removed."""
        ended = await super().poll()
        if ended:
            await self._remove()
        return ended

    async def _look(self) -> None:
        container = await self.get_object()
        if not (container and container["State"]["Running"]):
            raise self._ended(container["State"]["ExitCode"] if container else "unknown")

    async def _remove(self) -> None:
        if self.object_id:
            try:
                await self.docker("remove_container", self.object_id, v=True, force=True)
            except (DockerException, RequestException) as error:
                self.log.warning("The container %s is not removed: %s", self.object_name, error)


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
    return [DeviceRequest(count=count, capabilities=[["gpu"]]) for count in resources.values()]
