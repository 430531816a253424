"""What of a plan goes into a pod: its volumes, resources, placement and rights."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kubespawner.utils import update_k8s_model

from xnathub_conf.launch.failure import ADMIN, LaunchFailed
from xnathub_conf.launch.plan import Constraint, LaunchPlan, Mount
from xnathub_conf.launch.policy import PolicyRefusal
from xnathub_conf.site.types import Claim
from xnathub_conf.values.paths import nearest
from xnathub_conf.values.pod_config import Part, decided, with_changes
from xnathub_conf.values.reserved_names import SHARED_MEMORY

MOST_BYTES = 1_000_000
"""The most that mounts and variables may take as JSON. Kubernetes keeps no object beyond about 1.5 MB, and adds to it."""

CLAIMS_KEY = "orchestrator.kubernetes.claims"
_ROLE_LABEL = "node-role.kubernetes.io/control-plane"


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
    placed: list[dict[str, object]] = []
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


def with_memory(ours: ClaimVolumes, shm_size: int | None) -> ClaimVolumes:
    """Add memory of so many bytes as /dev/shm; none is added where that is None."""
    if shm_size is None:
        return ours
    memory = {"medium": "Memory", "sizeLimit": str(shm_size)}
    return ClaimVolumes(
        [*ours.volumes, {"name": "shm", "emptyDir": memory}],
        [*ours.mounts, {"name": "shm", "mountPath": SHARED_MEMORY}],
    )


def with_scratch(ours: ClaimVolumes, folders: Sequence[str]) -> ClaimVolumes:
    """Add an empty folder of the node's at each path where nothing is mounted yet."""
    taken = {mount["mountPath"] for mount in ours.mounts}
    names = {path: f"scratch{path.replace('/', '-')}" for path in folders if path not in taken}
    return ClaimVolumes(
        [*ours.volumes, *({"name": name, "emptyDir": {}} for name in names.values())],
        [*ours.mounts, *({"name": name, "mountPath": path} for path, name in names.items())],
    )


def _place(mount: Mount, by_path: Mapping[str, str]) -> tuple[str, str]:
    if mount.kind == "volume":
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", mount.source):
            raise PolicyRefusal("mount-source", "", f"{mount.source} can't be a volume claim's name.")
        return mount.source, ""
    if prefix := nearest(mount.source, by_path):
        return by_path[prefix], mount.source[len(prefix) + 1 :]
    raise PolicyRefusal("claim", CLAIMS_KEY, f"No volume claim holds {mount.source}.")


def extended_resources(resources: Mapping[str, int | str], table: Mapping[str, str]) -> dict[str, str]:
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
        if isinstance(amount, str):
            raise PolicyRefusal(
                "resources",
                "",
                f"XNAT asks for the {name} called {amount}; Kubernetes gives so many of a kind, and takes a number alone.",
            )
        named[key] = str(amount)
    return named


def node_expressions(constraints: Sequence[Constraint]) -> list[dict[str, object]]:
    """Turn placement constraints into a node selector term's matchExpressions.

    Raises PolicyRefusal for an attribute that nodes of Kubernetes don't have.
    """
    expressions: list[dict[str, object]] = []
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
        elif "/" in constraint.key or not constraint.key.startswith(("node.", "engine.")):
            # Written for Kubernetes, where a constraint is a node's label as it is.
            label = constraint.key
        else:
            raise PolicyRefusal("constraints", "", f"{constraint} asks for what no node of Kubernetes has.")
        operator = "In" if equal else "NotIn"
        expressions.append({"key": label, "operator": operator, "values": [constraint.value]})
    return expressions


def with_expressions(
    terms: Sequence[Mapping[str, Any]], expressions: Sequence[Mapping[str, object]]
) -> list[dict[str, object]]:
    """Add expressions to each of the node selector terms that are alternatives; to an empty one where there is none."""
    if not expressions:
        return [dict(term) for term in terms]
    return [
        {**term, "matchExpressions": [*term.get("matchExpressions", ()), *expressions]}
        for term in terms or [{}]
    ]


def check_size(
    plan: LaunchPlan, mounts: Sequence[Mapping[str, object]], environment: Mapping[str, str]
) -> None:
    """Raise PolicyRefusal for a plan whose pod would be too large for Kubernetes."""
    size = len(json.dumps([mounts, environment], separators=(",", ":"), ensure_ascii=False).encode())
    if size > MOST_BYTES:
        raise PolicyRefusal(
            "too-large",
            "",
            f"XNAT asks for {len(plan.mounts):,} mounts, whose description is {size:,} bytes long; Kubernetes "
            f"takes about {MOST_BYTES:,}. Start on fewer projects.",
        )


def check_extra(of_pod: Mapping[str, object], of_container: Mapping[str, object], *, root: bool) -> None:
    """Raise LaunchFailed where the configuration sets what the plan or the security of servers decides.

    `validate` says so of site.yaml; other configuration, such as Zero to JupyterHub's values, it does not see.
    """
    parts: dict[Part, Mapping[str, object]] = {"pod": of_pod, "container": of_container}
    for part, config in parts.items():
        for place, _ in decided(part, config, root=root):
            name = f"KubeSpawner.extra_{part}_config: {'.'.join(map(str, place))}"
            raise LaunchFailed("configuration", f"{name} is decided elsewhere.", ADMIN, status=500)


def merge_extra(client: Any, target: object, changes: Mapping[str, object]) -> None:
    """Merge what the configuration adds into a pod's spec or a container, as the API's client has them."""
    update_k8s_model(target, with_changes(client.sanitize_for_serialization(target), changes))


def no_template(value: object) -> Any:
    """Double the braces of all text, which KubeSpawner expands as templates."""
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, list):
        return [no_template(item) for item in value]
    if isinstance(value, dict):
        return {key: no_template(item) for key, item in value.items()}
    return value


def literal(text: str) -> str:
    """Double the dollar signs, since Kubernetes expands `$(NAME)` in variables and arguments."""
    return text.replace("$", "$$")
