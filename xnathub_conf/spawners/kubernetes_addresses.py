"""The addresses of users' pods, as the watch tells of them: a pod that starts or ends runs its user's code too."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from kubespawner.spawner import PodReflector
from traitlets import default, validate

_ENDED = {"Succeeded", "Failed"}


class Pods(dict[str, Any]):
    """Pods by name, as KubeSpawner keeps them, and how many of them have an address."""

    def __init__(self, pods: Mapping[str, Any]):
        super().__init__()
        self.addresses: Counter[str] = Counter()
        for key, pod in pods.items():
            self[key] = pod

    def __setitem__(self, key: str, pod: Any) -> None:
        self.addresses.subtract(_addresses(self.get(key)))
        super().__setitem__(key, pod)
        self.addresses.update(_addresses(pod))

    def pop(self, key: str, default: Any = None) -> Any:
        """Take a pod out and return it, or `default` where there is none."""
        pod = super().pop(key, None)
        self.addresses.subtract(_addresses(pod))
        return default if pod is None else pod


class WatchedPods(PodReflector):
    """KubeSpawner's watch, which also knows of any address at once whether it is a user's pod's."""

    @default("resources")
    def _none_yet(self) -> Pods:
        return Pods({})

    @validate("resources")
    def _with_addresses(self, proposal: Any) -> Pods:
        return Pods(proposal.value)


def _addresses(pod: Any) -> list[str]:
    """Return a pod's addresses; another pod may have those of one that has ended."""
    status = pod["status"] if pod else {}
    return [] if status.get("phase") in _ENDED else [each["ip"] for each in status.get("podIPs") or ()]
