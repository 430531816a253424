"""Containers on one Docker engine."""

from collections.abc import Mapping
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import DeviceRequest
from dockerspawner import DockerSpawner

from xnathub_conf.adapters.names import object_name
from xnathub_conf.launch_error import LaunchFailed
from xnathub_conf.plan import LaunchPlan
from xnathub_conf.policy import PolicyRefusal
from xnathub_conf.site_types import Docker, Servers, Site, Swarm


def container_environment(plan: LaunchPlan, servers: Servers) -> dict[str, str]:
    """Give a container's environment: the plan's, and the IDs that images of docker-stacks drop to from root."""
    return {**plan.environment, "NB_UID": str(servers.uid), "NB_GID": str(servers.gid)}


def object_labels(plan: LaunchPlan) -> dict[str, str]:
    """Give the labels that say whose and what a container or service is."""
    facts: Mapping[str, Any] = {
        "user": plan.username,
        "server": plan.server_name,
        "project": plan.item.get("projectId"),
        "item": plan.item.get("itemId"),
        "type": plan.item.get("xsiType"),
        "event": plan.item.get("eventTrackingId"),
    }
    return {f"org.xnat.jupyter.{name}": str(value) for name, value in facts.items() if value is not None}


class PlannedObject:
    """What DockerSpawner and SwarmSpawner share: names, and text from XNAT that is never taken for a template."""

    site: Site
    user: Any
    name: str

    def _settings(self) -> Docker | Swarm:
        settings = self.site.orchestrator.docker or self.site.orchestrator.swarm
        assert settings is not None
        return settings

    def _object_name_default(self) -> str:
        return object_name(self._settings().prefix, self.user.name, self.name)

    def _render_templates(self, obj: Any, ns: Any = None) -> Any:  # noqa: ARG002 - dockerspawner's signature
        return obj

    def _get_default_format_volume_name(self) -> Any:
        return lambda template, spawner: template  # noqa: ARG005 - dockerspawner's signature


class XnatDockerSpawner(PlannedObject, DockerSpawner):
    """Starts a plan as a container."""

    def apply_plan(self, plan: LaunchPlan) -> None:
        """Set image, command, environment, mounts and resources. Raises PolicyRefusal for placement constraints."""
        if plan.constraints:
            raise PolicyRefusal(
                "constraints",
                "",
                f"{plan.constraints[0]} asks for a node, and a single Docker engine has no choice.",
            )
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
        host: dict[str, Any] = {"init": True}
        if plan.mem_guarantee:
            host["mem_reservation"] = plan.mem_guarantee
        if gpus := _gpus(plan.generic_resources):
            host["device_requests"] = gpus
        self.extra_host_config = host
        # Images of docker-stacks start as root, take NB_UID and NB_GID, and drop to them.
        self.extra_create_kwargs = {
            "user": "0",
            "labels": object_labels(plan),
            "stop_timeout": self.site.servers.stop_timeout,
        }

    async def get_command(self) -> Any:
        """Give the command, or None for the image's own, which the engine knows itself."""
        return [*self.cmd, *self.get_args()] if self.cmd else None

    async def start(self) -> Any:
        """Start the container. Raises LaunchFailed with a sentence where the engine refuses."""
        try:
            return await super().start()
        except ImageNotFound as error:
            raise LaunchFailed(
                "image",
                f"The image {self.image} can't be had: {error.explanation}.",
                "Is its name right, and may the node pull it?",
            ) from None
        except NotFound as error:
            raise LaunchFailed("engine", f"Docker can't find something: {error.explanation}.") from None
        except APIError as error:
            raise LaunchFailed("engine", f"Docker refused to start it: {error.explanation}.") from None


def _gpus(resources: Mapping[str, int]) -> list[Any]:
    unknown = [name for name in resources if name not in {"gpu", "nvidia.com/gpu"}]
    if unknown:
        raise PolicyRefusal("resources", "", f"A single Docker engine has no generic resource {unknown[0]}.")
    return [DeviceRequest(count=count, capabilities=[["gpu"]]) for count in resources.values()]
