"""Which nodes of a swarm fit a constraint."""

from collections.abc import Iterable, Mapping
from typing import Any

from xnathub_conf.launch.plan import Constraint


def parsed_constraint(text: str) -> Constraint:
    """Return what a constraint of site.yaml asks for."""
    key, operator, value = text.partition("!=") if "!=" in text else text.partition("==")
    return Constraint(key.strip(), "!=" if operator == "!=" else "==", value.strip())


def holds(constraint: Constraint, node: Mapping[str, Any]) -> bool:
    """Return whether a node fits a constraint, by the rules of https://docs.docker.com/reference/cli/docker/service/create/."""
    spec, description = node["Spec"], node["Description"]
    key = constraint.key
    values: Iterable[str]
    if key.startswith("node.labels."):
        values = [(spec.get("Labels") or {}).get(key.removeprefix("node.labels."), "")]
    elif key.startswith("engine.labels."):
        labels = (description.get("Engine") or {}).get("Labels") or {}
        values = [labels.get(key.removeprefix("engine.labels."), "")]
    else:
        platform = description.get("Platform") or {}
        facts = {
            "node.id": node["ID"],
            "node.hostname": description.get("Hostname", ""),
            "node.role": spec["Role"],
            "node.platform.os": platform.get("OS", ""),
            "node.platform.arch": platform.get("Architecture", ""),
        }
        if key not in facts:
            return False
        values = [facts[key]]
    # Swarm compares without regard to case.
    same = constraint.value.lower() in [value.lower() for value in values]
    return same if constraint.operator == "==" else not same
