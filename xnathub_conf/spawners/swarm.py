"""Services of a Docker Swarm."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from docker.errors import APIError, NotFound
from docker.types import (
    ContainerSpec,
    EndpointSpec,
    Placement,
    Resources,
    RestartPolicy,
    TaskTemplate,
)
from dockerspawner import SwarmSpawner

from xnathub_conf.launch.ending import Ending, exited, gone, lost_node
from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.launch.policy import PolicyRefusal
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.types import Swarm
from xnathub_conf.spawners.containers import (
    LABELS,
    NETWORK,
    PlannedObject,
    health_check,
    object_labels,
)
from xnathub_conf.spawners.engine_failures import engine_failure
from xnathub_conf.spawners.images_ahead import Brought
from xnathub_conf.spawners.rights import (
    check_service_rights,
    dropped,
    groups_of,
    service_privileges,
    ulimits,
    user_of,
)
from xnathub_conf.spawners.running import Found
from xnathub_conf.spawners.server_network import service_log, service_names
from xnathub_conf.spawners.slow_starts import PULL_ADVICE, Phase
from xnathub_conf.spawners.swarm_images import bring_to_nodes
from xnathub_conf.spawners.swarm_terms import STATES, is_lost, nano, stack_label, tmpfs
from xnathub_conf.spawners.wait_for_port import LOOK_AGAIN_SECONDS
from xnathub_conf.values.reserved_names import SCRATCH, SHARED_MEMORY

_FIRST_LOOKS_SECONDS = 0.1
"""How often a start looks at its task in its first seconds: one that has no image to pull passes its states quickly."""

_PLACEMENT_SECONDS = 5
"""How long a task may find no node: a server that was just stopped gives back what it had in a moment."""


class XnatSwarmSpawner(PlannedObject, SwarmSpawner):
    """Starts a plan as a service with one task, which is never started a second time."""

    mounts: Any = ()
    """The plan's. SwarmSpawner would make its own of `volumes`."""

    _plan: LaunchPlan
    _events: tuple[dict[str, object], ...] = ()

    def prepare(self, plan: LaunchPlan) -> list[dict[str, object]]:
        """Return the mounts as Docker's API takes them. Raises PolicyRefusal for a constraint without a value."""
        for constraint in plan.constraints:
            if not constraint.value:
                raise PolicyRefusal(
                    "constraints", "", f"{constraint} has no value, which a Swarm's constraint must have."
                )
        mounts: list[dict[str, object]] = [
            {"Target": target, "Source": source, "Type": kind, "ReadOnly": read_only}
            for kind, source, target, read_only in plan.mounts
        ]
        if plan.shm_size:
            # A service has no setting for it.
            mounts.append(tmpfs(SHARED_MEMORY, plan.shm_size))
        if self.site.servers.security.read_only_root:
            mounts += [tmpfs(each) for each in SCRATCH if each not in {mount.target for mount in plan.mounts}]
        return mounts

    def apply_plan(self, plan: LaunchPlan, prepared: list[dict[str, Any]] | None = None) -> None:
        """Set what DockerSpawner knows of; the service takes the rest from the plan itself."""
        super().apply_plan(plan, prepared)
        self._plan = plan
        self._events = ()

    async def create_object(self) -> object:
        """Create the service."""
        plan, swarm = self._plan, settings_of(self.site, Swarm)
        servers = self.site.servers
        security = servers.security
        check_service_rights(security, self.client.api_version, self.log)
        labels = {**object_labels(plan, self.site), NETWORK: self._network}
        container = ContainerSpec(
            image=plan.image,
            args=await self.get_command(),
            env=self.get_env(),
            user=user_of(servers),
            groups=groups_of(servers),
            cap_drop=dropped(security, root=security.start_as_root),
            privileges=service_privileges(security),
            read_only=security.read_only_root,
            labels=labels,
            mounts=self.mounts,
            init=True,
            stop_grace_period=nano(servers.stop_timeout),
            healthcheck=health_check(servers),
            **service_names(servers, swarm),
        )
        # Docker's SDK has no names for these two.
        container["Ulimits"] = ulimits(security)
        resources = Resources(
            cpu_limit=nano(plan.cpu_limit),
            mem_limit=plan.mem_limit,
            cpu_reservation=nano(plan.cpu_guarantee),
            mem_reservation=plan.mem_guarantee,
            generic_resources=dict(plan.generic_resources) or None,
        )
        resources.setdefault("Limits", {})["Pids"] = security.pids_limit
        task = TaskTemplate(
            container,
            resources=resources,
            # A notebook that was stopped must not come back by itself.
            restart_policy=RestartPolicy(condition="none"),
            placement=Placement(constraints=[*swarm.placement_constraints, *map(str, plan.constraints)]),
            networks=[self._network, *swarm.networks],
            log_driver=service_log(swarm),
        )
        return await self.docker(
            "create_service",
            task,
            name=self.object_name,
            labels=labels | stack_label(),
            # The name leads straight to the one task; a virtual address between would gain nothing.
            endpoint_spec=EndpointSpec(mode="dnsrr"),
        )

    async def start_object(self) -> None:
        """Return when the service's task runs, however long that takes. Raises LaunchFailed where it does not get there."""
        homeless_since = None
        began = time.monotonic()
        # Docker tells no events of tasks; one has to look.
        while True:
            now = time.monotonic()
            task = await self.get_task()
            # There is none yet, or the service was removed meanwhile.
            status = task["Status"] if task else {"State": "removed" if self._events else "new"}
            if task:
                self._note(status)
            if task and is_lost(task):
                raise self._lost()
            if status["State"] == "running":
                return
            if status["State"] == "pending" and status.get("Err"):
                homeless_since = homeless_since or time.monotonic()
                if time.monotonic() - homeless_since >= _PLACEMENT_SECONDS:
                    placement = task["Spec"].get("Placement") or {}
                    raise engine_failure(status["Err"], self.image, placement.get("Constraints") or ())
            else:
                homeless_since = None
                await self._check(status)
            await asyncio.sleep(_FIRST_LOOKS_SECONDS if now < began + 5 else LOOK_AGAIN_SECONDS)

    async def get_ip_and_port(self) -> tuple[str, int]:
        """Return the task's own address: the service's name may lead to the task of an earlier start for a while."""
        task = await self.get_task()
        attached = (task or {}).get("NetworksAttachments") or ()
        network = self._network_of({each["Network"]["Spec"]["Name"]: each for each in attached})
        if network is None:
            raise engine_failure(f"network {self._network} not found", self.image)
        return network["Addresses"][0].split("/")[0], self.port

    async def progress(self) -> AsyncIterator[dict[str, object]]:
        """Return each state of the task as Swarm reports it, until it runs or has ended."""
        said = 0
        while True:
            events = self._events
            for event in events[said:]:
                yield event
            said = len(events)
            if events and events[-1]["state"] not in STATES[:-1]:
                return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _ending(self) -> Ending | None:
        task = await self.get_task()
        if task is None:
            return gone("service")
        status = task["Status"]
        if is_lost(task):
            self.log.warning("%s: its node is gone, or gives up what runs on it.", self.object_name)
            return lost_node()
        if status["State"] in STATES:
            return None
        if status["State"] in {"shutdown", "orphaned", "remove"}:
            return lost_node(status.get("Err") or status.get("Message") or "")
        contained = status.get("ContainerStatus") or {}
        code = contained.get("ExitCode")
        error = status.get("Err") or ""
        return exited(
            code,
            out_of_memory=await self._out_of_memory(contained.get("ContainerID")),
            mem_limit=(task["Spec"].get("Resources") or {}).get("Limits", {}).get("MemoryBytes"),
            said="" if "non-zero exit" in error else error,
        )

    async def _out_of_memory(self, container: str | None) -> bool:
        """Return whether the kernel ended something in a container of the hub's own engine; a task does not tell."""
        try:
            found = await self.docker("inspect_container", container) if container else None
        except APIError:
            return False
        return bool(found and found["State"]["OOMKilled"])

    async def get_task(self) -> Any:
        """Return the service's newest task, or None."""
        try:
            tasks = await self.docker("tasks", filters={"service": self.object_name})
        except NotFound:
            return None
        return max(tasks, key=lambda task: task["CreatedAt"], default=None)

    async def _end(self, now: bool) -> None:
        """Remove the service, and wait until its task has ended: its name leads to it until then."""
        task = await self.get_task()
        await super()._end(now)
        end = time.monotonic() + self.site.servers.stop_timeout + 5
        while task and not is_lost(task) and time.monotonic() < end:
            left = await self.docker("tasks", filters={"id": task["ID"]})
            if not any(each["Status"]["State"] in STATES for each in left):
                return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def remove_object(self) -> None:
        """Remove the service, if it is there."""
        try:
            await super().remove_object()
        except NotFound:
            self.log.debug("The service %s was gone.", self.object_name)

    async def find_all(self) -> list[Found]:
        """Return every service of this hub's servers."""
        services = await self.docker("services", filters={"label": f"{LABELS}.user"})
        return [
            found
            for each in services
            for found in self._ours(each["ID"], each["Spec"]["Name"], each["Spec"]["Labels"])
        ]

    async def all_labels(self) -> list[Mapping[str, str]]:
        """Return the labels of every server's service."""
        found = await self.docker("services", filters={"label": f"{LABELS}.user"})
        return [each["Spec"]["Labels"] for each in found]

    async def remove_found(self, found: Found) -> None:
        """Remove a service, whose task ends with it."""
        try:
            await self.docker("remove_service", found.id)
        except NotFound:
            self.log.debug("%s was gone.", found.name)

    async def bring_image(self, image: str) -> Brought:
        """Have every node that may run servers get an image."""
        swarm = settings_of(self.site, Swarm)
        return await bring_to_nodes(self, swarm, image, stack_label())

    async def check_running(self) -> None:
        """Raise LaunchFailed where the task has ended, or its node is gone."""
        task = await self.get_task()
        if task and is_lost(task):
            raise self._lost()
        await self._check(task["Status"] if task else {"State": "removed"})

    async def phase(self) -> Phase:
        """Return what a start is at, from its task's state."""
        task = await self.get_task()
        if task is None:
            return Phase("slow-node", "The swarm had made no task for it yet.")
        state, error = task["Status"]["State"], task["Status"].get("Err") or ""
        said = f" ({error})" if error else ""
        if state in {"new", "pending"}:
            return Phase("slow-node", f"The swarm had found no node for it yet{said}.")
        node = await self._node_name(task)
        if state in {"assigned", "accepted", "ready"}:
            return Phase("slow-node", f"The node {node} had not begun with it{said}.")
        if state == "preparing":
            return Phase(
                "slow-image", f"The node {node} was still pulling the image {self.image}{said}.", PULL_ADVICE
            )
        if state == "starting":
            return Phase(
                "slow-mount",
                f"The node {node} was still mounting its volumes and starting its container{said}.",
            )
        return self._silent()

    async def _node_name(self, task: dict[str, object]) -> str:
        try:
            return str((await self.docker("inspect_node", task["NodeID"]))["Description"]["Hostname"])
        except (APIError, KeyError):
            return str(task.get("NodeID") or "")

    async def _container(self) -> str:
        status = ((await self.get_task()) or {}).get("Status") or {}
        return str((status.get("ContainerStatus") or {}).get("ContainerID") or "")

    def _lost(self) -> LaunchFailed:
        return LaunchFailed(
            "node",
            "The node that the server was started on is gone, or gives up what runs on it.",
            "Start it again.",
            status=503,
        )

    async def _check(self, status: dict[str, Any]) -> None:
        """Raise LaunchFailed where a task has ended."""
        state = status["State"]
        if state in STATES:
            return
        container = status.get("ContainerStatus") or {}
        error = status.get("Err") or ""
        if state == "complete" or (state == "failed" and "non-zero exit" in error):
            killed = await self._out_of_memory(container.get("ContainerID"))
            raise await self._ended(container.get("ExitCode"), out_of_memory=killed)
        raise engine_failure(error or f"its task is {state}", self.image)

    def _note(self, status: dict[str, object]) -> None:
        state, message = status["State"], status.get("Err") or status.get("Message") or ""
        text = f"Swarm: {state}" + (f", {message}" if message and message != state else "")
        if not self._events or self._events[-1]["message"] != text:
            place = STATES.index(state) + 1 if state in STATES else len(STATES)
            self._events += ({"progress": 10 * place, "message": text, "state": state},)
