"""Whether each node of a swarm has what servers need: a job of the hub's image looks around on each, as the servers' user."""

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from docker.errors import DockerException
from docker.types import ContainerSpec, DriverConfig, Mount, ServiceMode, TaskTemplate
from requests import RequestException

from xnathub_conf.doctor.beside import LABEL, Untold, own_id
from xnathub_conf.doctor.examination import Examination, Finding, failed, ok, skipped
from xnathub_conf.doctor.images import exact_images
from xnathub_conf.doctor.nodes_seen import faults, others_than, program, said_by
from xnathub_conf.site.hub_settings import PROXY_VARIABLE, hub_connect_url, public_port
from xnathub_conf.site.networks import server_networks
from xnathub_conf.site.types import Swarm
from xnathub_conf.spawners.swarm_images import WAITING, needing, task_of_a_job, why_ended
from xnathub_conf.values.paths import fixed_part

ALL_SECONDS = 180
_LOOK_SECONDS, _PULL_SECONDS, _LOG_SECONDS = 60, 20, 10
_LOOK_AGAIN_SECONDS = 1
_MOST_IMAGES = 5
_DECIDED = frozenset({"complete", "failed", "rejected"})
_MISSING = re.compile(r"bind source path does not exist: (.+)")


def look_at_nodes(
    examination: Examination, swarm: Swarm, client: Any, nodes: Sequence[Mapping[str, Any]]
) -> Finding:
    """Return the finding for nodes that take servers, each looked at by a task of a job that is removed at the end.

    Blocks for ALL_SECONDS at most. Raises DockerException or RequestException where the engine can't be asked.
    """
    try:
        image = client.containers.get(own_id()).attrs["Config"]["Image"]
    except (Untold, DockerException, OSError):
        return skipped(
            "The hub's own image looks around on each node, and this is not its container.",
            "Try it there: docker exec HUB xnathub doctor.",
        )
    names = _names(nodes)
    wrong: dict[str, list[str]] = {each: [] for each in names}
    tasks = _run(client, _looking(examination, swarm, image), swarm.prefix, names, _LOOK_SECONDS)
    seen: dict[str, Mapping[str, Any]] = {}
    for node in names:
        why, seen[node] = _said(tasks.get(node))
        wrong[node] += [why] if why else faults(seen[node])
    for node, more in others_than(seen):
        wrong[node].append(more)
    wanted = exact_images(examination)[0]
    undecided: list[str] = []
    for one in wanted[:_MOST_IMAGES]:
        found = _run(client, task_of_a_job(swarm, needing(one)), swarm.prefix, names, _PULL_SECONDS)
        states = {node: _state(found.get(node)) for node in names}
        for node, state in states.items():
            if state == "rejected":
                wrong[node].append(f"it can't get the image {one}: {_problem(found[node])}")
        if set(states.values()) - _DECIDED:
            undecided.append(one)
    more = ""
    if undecided:
        more = f" Not clear within {_PULL_SECONDS} s whether each node can get: {', '.join(undecided)}."
    if len(wanted) > _MOST_IMAGES:
        more += f" Not tried: {', '.join(wanted[_MOST_IMAGES:])}."
    faulty = {node: said for node, said in wrong.items() if said}
    well = ", ".join(sorted(name for node, name in names.items() if node not in faulty))
    if not faulty:
        return ok(
            f"A task on each node finds folders, images, XNAT, hub, clock and room as they should be: {well}.{more}"
        )
    told = " ".join(f"{names[node]}: {'; '.join(said)}." for node, said in faulty.items())
    return failed(
        f"{told} All is well on: {well or 'none'}.{more}",
        "Mend these nodes, or keep servers from them: docker node update --availability drain NODE, or a label for "
        "placement_constraints.",
        ("orchestrator", "swarm", "placement_constraints"),
    )


def _names(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what the nodes are called, by their IDs: with the address where two have one name."""
    hosts = [node["Description"]["Hostname"] for node in nodes]
    return {
        node["ID"]: host if hosts.count(host) == 1 else f"{host} ({node['Status'].get('Addr')})"
        for node, host in zip(nodes, hosts, strict=True)
    }


def _looking(examination: Examination, swarm: Swarm, image: str) -> TaskTemplate:
    site = examination.site
    places: dict[str, str] = {}
    writable: dict[str, str] = {}
    allowed = [(each.path, each.writable) for each in site.servers.allowed_mounts]
    for path, may_write in allowed + [(each.source, each.writable) for each in site.servers.mounts]:
        folder = fixed_part(path)
        if folder.startswith("/"):
            place = places.setdefault(folder, f"/look/{len(places)}")
            if may_write and path == f"{folder}/{{username}}":
                writable[folder] = place
    through = examination.environment.get(PROXY_VARIABLE)
    hub = f"http://{through}:{public_port(site)}" if through else hub_connect_url(site)
    health = f"{hub}{site.hub.base_url}hub/health"
    asked = {
        "folders": places,
        "writable": writable,
        # Servers without the internet reach XNAT by the rendered file's own proxy.
        "xnat": health if site.servers.internet == "none" else site.xnat.url,
        "hub": health,
    }
    mounts = [
        Mount(place, folder, "bind", read_only=folder not in writable) for folder, place in places.items()
    ]
    container = ContainerSpec(
        image,
        # A variable of a service would be a template of Docker's.
        ["env", f"ASKED={json.dumps(asked)}", "python3", "-c", program()],
        user=f"{site.servers.uid}:{site.servers.gid}",
        mounts=mounts,
        cap_drop=["ALL"],
        read_only=True,
    )
    network = (server_networks(swarm) or [swarm.network_name])[0]
    # The engine's own way to log may keep what a task says from who asks for it.
    return task_of_a_job(swarm, container, networks=[network], log_driver=DriverConfig("json-file"))


def _run(
    client: Any, template: TaskTemplate, prefix: str, nodes: Mapping[str, str], seconds: float
) -> dict[str, Any]:
    """Run a job on every node that takes servers, and return each node's task as it was at its end, or after the time."""
    name, end = f"{prefix}-doctor-{secrets.token_hex(4)}", time.monotonic() + seconds
    client.api.create_service(template, name=name, labels={LABEL: "1"}, mode=ServiceMode("global-job"))
    try:
        while True:
            tasks = {each.get("NodeID"): each for each in client.api.tasks(filters={"service": name})}
            states = {node: _state(tasks.get(node)) for node in nodes}
            if time.monotonic() > end or not any(state in WAITING for state in states.values()):
                # Logs are gone with the service.
                for node in nodes:
                    if states[node] == "complete":
                        tasks[node]["Log"] = _log(client, tasks[node]["ID"])
                return tasks
            time.sleep(_LOOK_AGAIN_SECONDS)
    finally:
        client.api.remove_service(name)


def _log(client: Any, task: str) -> str:
    """Return what a task wrote, "" where its node does not say so in time."""
    api = client.api
    address = f"{api.base_url}/v{api.api_version}/tasks/{task}/logs"
    try:
        content = api.get(address, params={"stdout": 1, "stderr": 0}, timeout=_LOG_SECONDS).content
    except RequestException:
        return ""
    text, at = b"", 0
    # Frames: one byte of which stream, three of nothing, four of how long, see the Docker API's ContainerAttach.
    while at + 8 <= len(content):
        length = int.from_bytes(content[at + 4 : at + 8])
        text += content[at + 8 : at + 8 + length]
        at += 8 + length
    return text.decode("utf-8", "replace")


def _said(task: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
    """Return why a node could not be looked at, and what was seen there."""
    if task is None:
        return "no task was started on it", {}
    if missing := _MISSING.search(_problem(task)):
        return f"there is no folder {missing[1]}", {}
    if (state := _state(task)) != "complete":
        return f"the task that looks around is {state}: {_problem(task)}", {}
    try:
        return "", said_by(task["Log"])
    except (ValueError, IndexError):
        return "it does not tell what the task that looks around has said", {}


def _state(task: Mapping[str, Any] | None) -> str:
    return str(task["Status"]["State"]) if task else "new"


def _problem(task: Mapping[str, Any]) -> str:
    return why_ended(task).strip().rstrip(".")
