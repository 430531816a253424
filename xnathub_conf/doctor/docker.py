"""Checks of the Docker API, for one engine and for a swarm: the socket, the network, nodes and images."""

import asyncio
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.tls import TLSConfig
from requests import RequestException

from xnathub_conf.doctor.examination import Check, Examination, Finding, failed, ok, skipped, warning
from xnathub_conf.doctor.images import exact_images
from xnathub_conf.doctor.jupyterhubs import which_jupyterhub
from xnathub_conf.doctor.metadata import cloud_metadata
from xnathub_conf.doctor.placement import holds, parsed_constraint
from xnathub_conf.doctor.registries import try_logins
from xnathub_conf.doctor.rights import engine_rights
from xnathub_conf.doctor.swarm_nodes import ALL_SECONDS, look_at_nodes
from xnathub_conf.launch.policy import PolicyRefusal
from xnathub_conf.site.networks import server_networks
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Docker, Swarm
from xnathub_conf.spawners.docker import gpu_requests

_T = TypeVar("_T")
_CALL_SECONDS = 30


class DockerChecks:
    """The checks of the Docker API, and its client for others; `close` lets go of the connection."""

    def __init__(self, examination: Examination, settings: Docker | Swarm):
        self._examination = examination
        self._site = examination.site
        self._settings = settings
        self._swarm = settings if isinstance(settings, Swarm) else None
        self._here: KeyPath = ("orchestrator", settings.key)
        self._info: dict[str, Any] = {}
        self._nodes: list[dict[str, Any]] = []
        self.client: Any = None

    def checks(self) -> list[Check]:
        """List the checks in their order."""
        swarm = [
            Check("docker.swarm", self.swarm, ("docker.api",)),
            Check("docker.nodes", self.nodes, ("docker.swarm",)),
        ]
        each: list[Check] = []
        if self._swarm:
            look = partial(self.each_node, self._swarm)
            each = [Check("docker.each_node", look, ("docker.nodes",), ALL_SECONDS)]
        return [
            Check("docker.socket", self.socket),
            Check("docker.api", self.api),
            *(swarm if self._swarm else [Check("docker.plan", self.plan, ("xnat.plan",))]),
            Check("docker.rights", self.rights, ("docker.swarm" if self._swarm else "docker.api",)),
            Check("docker.network", self.network, ("docker.api",)),
            Check(
                "docker.metadata", lambda: cloud_metadata(self.client, self._settings), ("docker.network",)
            ),
            *(
                [Check("docker.registries", self.registries, ("docker.api",))]
                if self._site.servers.registry_logins
                else []
            ),
            Check("docker.images", self.images, ("docker.api",)),
            *each,
            Check("docker.jupyterhub", self.jupyterhub, ("docker.api",)),
        ]

    async def close(self) -> None:
        """Let go of the connection."""
        if self.client:
            self.client.close()

    @property
    def is_remote(self) -> bool:
        """Whether the engine may be on another machine."""
        return self._socket_path() is None

    async def socket(self) -> Finding:
        """The hub's user or group may use the socket."""
        path = self._socket_path()
        if path is None:
            return skipped(f"{self._settings.docker_host} is no socket.")
        key = (*self._here, "docker_host")
        uid, gid = self._site.hub.uid, self._site.hub.gid
        try:
            seen = path.stat()
        except OSError as error:
            mount = "Mount it into the hub's container" if self._examination.at_hub else "Start Docker"
            return failed(f"{path}: {error.strerror}.", f"{mount}, or correct docker_host.", key)
        if not stat.S_ISSOCK(seen.st_mode):
            return failed(f"{path} is no socket.", "Correct docker_host.", key)
        if self._examination.at_hub and (os.getuid(), os.getgid()) == (uid, gid):
            # More groups than the site names may have been given to the container.
            may = os.access(path, os.R_OK | os.W_OK)
        else:
            wanted = next(
                bits
                for holds, bits in ((seen.st_uid == uid, 0o600), (seen.st_gid == gid, 0o060), (True, 0o006))
                if holds
            )
            may = seen.st_mode & wanted == wanted
        if may:
            return ok(f"The hub, as {uid}:{gid}, may use {path}.")
        return failed(
            f"The hub, as {uid}:{gid}, may not use {path}, which belongs to {seen.st_uid}:{seen.st_gid}.",
            f"Set hub.gid to {seen.st_gid}, render and deploy again.",
            ("hub", "gid"),
        )

    def _socket_path(self) -> Path | None:
        host = self._settings.docker_host
        return Path(host.removeprefix("unix://")) if host.startswith("unix://") else None

    async def api(self) -> Finding:
        """The Docker API answers."""

        def connect() -> dict[str, object]:
            options: dict[str, object] = {"base_url": self._settings.docker_host, "timeout": _CALL_SECONDS}
            if tls := self._settings.tls:
                options["tls"] = TLSConfig(
                    client_cert=(tls.client_cert, tls.client_key), ca_cert=tls.ca_cert, verify=tls.verify
                )
            self.client = docker.DockerClient(version="auto", **options)
            info: dict[str, object] = self.client.info()
            return info

        try:
            self._info = await asyncio.to_thread(connect)
        except (DockerException, RequestException, OSError) as error:
            return failed(
                f"The Docker API at {self._settings.docker_host} does not answer: {_last_words(error)}.",
                "See that Docker runs, that docker_host is right, and that this user may use it.",
                (*self._here, "docker_host"),
            )
        return ok(f"Docker {self._info['ServerVersion']} answers at {self._settings.docker_host}.")

    async def swarm(self) -> Finding:
        """Swarm is on, and this is a manager."""
        swarm = self._info.get("Swarm") or {}
        if swarm.get("LocalNodeState") != "active":
            return failed(
                f"Swarm is {swarm.get('LocalNodeState') or 'off'} on this engine.",
                "Run `docker swarm init` on the manager, or `docker swarm join` here.",
                self._here,
            )
        if not swarm.get("ControlAvailable"):
            return failed(
                "This node is a worker, and only managers start services.",
                "Run the hub on a manager, or promote this node: docker node promote "
                f"{self._info.get('Name') or 'NODE'}.",
                self._here,
            )
        return ok(f"Swarm is on, and this is a manager (nodes: {swarm.get('Nodes')}).")

    async def network(self) -> Finding:
        """The networks that hub and servers share are there, and both can be on them."""
        own = server_networks(self._settings)
        for name in (*self._settings.networks, *own, self._settings.network_name):
            finding = await self._network(name)
            if finding.status != "ok":
                return finding
        others = len(own) + len(self._settings.networks)
        return ok(f"{finding.seen} So are the {others} of servers.") if others else finding

    async def _network(self, name: str) -> Finding:
        is_swarm = self._swarm is not None
        shared = name == self._settings.network_name
        further = name in self._settings.networks
        key = (*self._here, "network_name" if shared else "networks" if further else "server_networks")
        overlay = f"--driver overlay {'--attachable ' * (shared or further)}" if is_swarm else ""
        make = f"docker network create {overlay}{name}"
        found, problem = await self._ask(lambda: self.client.networks.list(names=[name]))
        if problem:
            return problem
        networks = [each.attrs for each in found or () if each.name == name]
        if not networks:
            return failed(
                f"There is no network {name}.",
                f"Make it: {make}. A stack that `xnathub render swarm` made brings it along."
                if is_swarm and not further
                else f"Make it: {make}.",
                key,
            )
        if len(networks) > 1:
            several = f"{len(networks)} networks are named {name}."
            return failed(several, "Remove all but one: docker network rm ID.", key)
        (network,) = networks
        again = f"Remove it when nothing runs on it, and make it again: docker network rm {name} && {make}."
        if is_swarm and network["Scope"] != "swarm":
            return failed(f"The network {name} is {network['Driver']}, of this node alone.", again, key)
        if is_swarm and shared and not network.get("Attachable"):
            return failed(f"The network {name} is not attachable.", again, key)
        return ok(f"The network {name} is there, of the driver {network['Driver']}.")

    async def nodes(self) -> Finding:
        """Some node takes what the site's constraints, and those of the plan, ask for."""
        asked_for = self._swarm.placement_constraints if self._swarm else ()
        own = [parsed_constraint(text) for text in asked_for]
        plan = self._examination.plan
        constraints = [*own, *(plan.constraints if plan else ())]
        found, problem = await self._ask(self.client.nodes.list)
        if problem:
            return problem
        nodes = [each.attrs for each in found or ()]
        ready = [
            node
            for node in nodes
            if node["Status"]["State"] == "ready" and node["Spec"]["Availability"] == "active"
        ]
        if not ready:
            return failed(
                f"None of {len(nodes)} nodes takes work.",
                "See `docker node ls`: docker node update --availability active NODE.",
                self._here,
            )
        fitting = [node for node in ready if all(holds(each, node) for each in constraints)]
        asked = " and ".join(map(str, constraints))
        if not fitting:
            return failed(
                f"No node of {len(ready)} that take work has {asked}.",
                "Give a node its label, docker node update --label-add NAME=VALUE NODE, or correct the constraint.",
                (*self._here, "placement_constraints"),
            )
        self._nodes = [node for node in ready if all(holds(each, node) for each in own)]
        return ok(f"{len(fitting)} of {len(nodes)} nodes take servers" + (f" ({asked})." if asked else "."))

    async def each_node(self, swarm: Swarm) -> Finding:
        """Each node that takes servers has the folders, images, ways to XNAT and the hub, time and room that they need."""
        look = partial(look_at_nodes, self._examination, swarm, self.client, self._nodes)
        found, problem = await self._ask(look)
        return problem or found or skipped("No node was looked at.")

    async def rights(self) -> Finding:
        """The engine can keep servers to what the site says that they may do."""
        nodes: list[Any] = []
        if self._swarm:
            found, problem = await self._ask(self.client.nodes.list)
            if problem:
                return problem
            nodes = [each.attrs for each in found or ()]
        return engine_rights(self._site, self._info, self.client.api.api_version, nodes)

    async def plan(self) -> Finding:
        """A single engine can do what the plan asks for."""
        plan = self._examination.plan
        if plan is None:
            return skipped("There is no plan to look at.")
        try:
            gpu_requests(plan)
        except PolicyRefusal as refusal:
            return failed(
                str(refusal), "Change the hardware in XNAT's Jupyter settings, or use a swarm.", self._here
            )
        return ok("The engine can do what the plan asks for.")

    async def registries(self) -> Finding:
        """Private registries take their logins."""
        return await try_logins(self._examination, self.client.api)

    async def images(self) -> Finding:
        """The images that are named in full are here, or the engine finds them in their registry."""
        names, patterns = exact_images(self._examination)
        key: KeyPath = ("servers", "allowed_images")
        untold = f"Not checked, since they are patterns: {', '.join(patterns)}." if patterns else ""
        if not names:
            return skipped(untold, "Name a user with --user, to try the image of their server.")
        here: list[str] = []
        elsewhere: list[str] = []
        missing: dict[str, str] = {}
        never = getattr(self._settings, "pull_policy", "") == "never"
        for name in names:
            present, problem = await self._ask(partial(self._is_here, name))
            if problem:
                return problem
            if present:
                here.append(name)
            elif never:
                missing[name] = "it is not on the node, and is never pulled"
            else:
                try:
                    await asyncio.to_thread(self.client.api.inspect_distribution, name)
                    elsewhere.append(name)
                except (DockerException, RequestException) as error:
                    missing[name] = f"it is not on the node, and its registry says: {_last_words(error)}"
        told = [f"{len(here)} on this node"] * bool(here) + [f"{len(elsewhere)} can be pulled"] * bool(
            elsewhere
        )
        if missing:
            first = next(iter(missing))
            return failed(
                " ".join(f"{name} can't be pulled: {why}." for name, why in missing.items()),
                f"Correct the name, name the registry's login in servers.registry_logins, or bring it there: docker pull {first}.",
                key,
            )
        return ok(f"Images: {', '.join(told)} ({', '.join(names)}). {untold}".strip())

    async def jupyterhub(self) -> Finding:
        """The images' JupyterHub works with XNAT's pages."""
        return await which_jupyterhub(self._examination, self.client, exact_images(self._examination)[0])

    def _is_here(self, name: str) -> bool:
        try:
            self.client.images.get(name)
        except ImageNotFound:
            return False
        return True

    async def volume(self, name: str) -> Finding:
        """A volume that may be mounted is there."""
        found, problem = await self._ask(lambda: self.client.volumes.list(filters={"name": name}))
        if problem:
            return problem
        if name in [each.name for each in found or ()]:
            return ok(f"The volume {name} is on this node.")
        return warning(
            f"There is no volume {name} on this node; Docker makes an empty one.",
            f"Make it, docker volume create {name}, or correct servers.allowed_mounts.",
            ("servers", "allowed_mounts"),
        )

    async def _ask(self, call: Callable[[], _T]) -> tuple[_T | None, Finding | None]:
        """Return what a call to the engine gives, or the finding that it failed."""
        try:
            return await asyncio.to_thread(call), None
        except (DockerException, RequestException) as error:
            do = "See Docker's log and the rights of this user on its API."
            return None, failed(f"The Docker API does not say: {_last_words(error)}.", do, self._here)


def _last_words(error: Exception) -> str:
    """Return what lies at the bottom of an error of the Docker SDK."""
    if isinstance(error, APIError):
        return str(error.explanation or error).strip().rstrip(".")
    if isinstance(error, NotFound):
        return "not found"
    text = str(error).strip().rstrip(".")
    for reason in ("Permission denied", "No such file or directory", "Connection refused", "timed out"):
        if reason in text:
            return reason
    return text or type(error).__name__
