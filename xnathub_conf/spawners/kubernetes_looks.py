"""What a pod is at: its state, its events, the end of its log, and whether its node is gone."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientError
from kubernetes_asyncio.client import V1DeleteOptions
from kubernetes_asyncio.client.exceptions import ApiException
from kubespawner import KubeSpawner

from xnathub_conf.launch.ending import Ending, lost_node
from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.launch.server_log import MOST_BYTES, MOST_LINES
from xnathub_conf.spawners.images_ahead import Brought
from xnathub_conf.spawners.kubernetes_failures import PodProblem, pod_ending, pod_phase, pod_problem
from xnathub_conf.spawners.kubernetes_images import ITS_PODS, NAMESPACE_FILE, alive, brought
from xnathub_conf.spawners.slow_starts import Phase

_LOST_SECONDS = 30
"""How long after its time a pod that is being deleted may still be there before its node counts as gone."""

_LOOK_AGAIN_SECONDS = 1
_LOOK_AHEAD_SECONDS = 60


class Looks(KubeSpawner):
    """A spawner that looks at the pod of its start."""

    ahead_again_seconds = _LOOK_AHEAD_SECONDS
    """How often the hub looks which nodes have the images of `servers.images_ahead`."""

    server_log: Callable[[], Awaitable[tuple[str, ...]]]
    note_ending: Callable[[Ending], Awaitable[int | str]]
    """Of the launch that is mixed in, both."""
    _old_pod: str | None = None

    def _new_pod(self) -> Any:
        """Return the pod of this start as the watch knows it, None where there is none yet or no longer."""
        pod = self.pod_reflector.pods.get(f"{self.namespace}/{self.pod_name}")
        if not pod or pod["metadata"]["uid"] == self._old_pod or "deletionTimestamp" in pod["metadata"]:
            return None
        return pod

    def _events_of(self, pod: Mapping[str, Any]) -> list[Any]:
        # A pod of an earlier start had the same name.
        uid = pod["metadata"]["uid"]
        return [event for event in self.events if event["involvedObject"].get("uid") == uid]

    async def phase(self) -> Phase:
        """Return what a start is at, from its pod and the pod's events."""
        pod = self._new_pod()
        return pod_phase(pod, self._events_of(pod) if pod else (), self.port)

    async def bring_image(self, image: str) -> Brought:
        """Return on which nodes an image is ahead of time; the chart's DaemonSet brings it there."""
        its = NAMESPACE_FILE.read_text("utf-8").strip() if NAMESPACE_FILE.exists() else self.namespace
        found = await self.api.list_namespaced_pod(its, label_selector=ITS_PODS)
        return brought(alive(self.api.api_client, found), image)

    async def read_log(self) -> bytes:
        """Return the end of the log of the pod's server, or of the one that ended before it."""
        pod = self._new_pod()
        states = pod["status"].get("containerStatuses") if pod else None
        if not states:
            return b""
        log: str = await self.api.read_namespaced_pod_log(
            self.pod_name,
            self.namespace,
            container="notebook",
            previous="waiting" in states[0]["state"],
            tail_lines=MOST_LINES * 2,
            limit_bytes=MOST_BYTES,
        )
        return log.encode()

    async def read_environment(self) -> Mapping[str, str]:
        """Return the variables of the pod's server."""
        pod = self._new_pod()
        containers = pod["spec"]["containers"] if pod else ()
        return {
            each["name"]: each.get("value") or ""
            for container in containers
            if container["name"] == "notebook"
            for each in container.get("env") or ()
        }

    async def poll(self) -> object:
        """Return None while the pod runs, else how it ended; a pod that has ended is deleted."""
        await self._start_watching_pods()
        ending = pod_ending(self.pod_reflector.pods.get(f"{self.namespace}/{self.pod_name}"))
        if ending is None and self._is_lost():
            status = await self.note_ending(lost_node())
            await self._remove_lost()
            return status
        if ending is None:
            return await super().poll()
        status = await self.note_ending(ending)
        await super().poll()
        return status

    async def check_running(self) -> None:
        """Raise LaunchFailed where the pod has ended for good."""
        pod = self._new_pod()
        problem = pod_problem(pod, self._events_of(pod)) if pod else None
        if problem and problem.lasting:
            raise await self._told(pod, problem)

    async def _told(self, pod: Mapping[str, Any], problem: PodProblem) -> LaunchFailed:
        """Return a lasting problem's failure with the end of the server's log, which may tell more of why."""
        lines = await self.server_log()
        problem = pod_problem(pod, self._events_of(pod), lines) or problem
        return problem.failure.with_log(lines)

    def _is_lost(self) -> bool:
        """Return whether the pod was to be gone a while ago, and no node says that it is: Kubernetes waits for that without end."""
        watched = self.pod_reflector
        pod = watched.pods.get(f"{self.namespace}/{self.pod_name}") if watched else None
        ends = pod["metadata"].get("deletionTimestamp") if pod else None
        if not ends:
            return False
        return (datetime.now(UTC) - datetime.fromisoformat(ends)).total_seconds() > _LOST_SECONDS

    async def _remove_lost(self) -> None:
        """Remove the pod without asking its node, which is gone."""
        self.log.warning(
            "The node of the pod %s/%s does not end it, and is taken for gone. The pod is removed without it.",
            self.namespace,
            self.pod_name,
        )
        at_once = V1DeleteOptions(grace_period_seconds=0)
        await self._make_delete_pod_request(self.pod_name, at_once, 0, self.k8s_api_request_timeout)

    async def remove_once_lost(self) -> None:
        """Wait until the pod counts as lost, and remove it; what goes wrong shows in its being there still."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            with contextlib.suppress(ClientError, OSError, ApiException):
                if self._is_lost():
                    await self._remove_lost()
                    return
