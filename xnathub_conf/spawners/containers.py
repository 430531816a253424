"""What containers on one engine and services of a swarm share."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import Any

from docker.auth import AuthConfig
from docker.errors import DockerException, NotFound
from docker.types import Healthcheck
from dockerspawner import DockerSpawner
from requests import RequestException

from xnathub_conf.launch.ending import Ending
from xnathub_conf.launch.failure import ADMIN, LaunchFailed, ended_at_once
from xnathub_conf.launch.plan import LaunchPlan
from xnathub_conf.launch.server_log import MOST_BYTES, MOST_LINES
from xnathub_conf.launch.why_ended import why_ended
from xnathub_conf.site.chosen import engine_of
from xnathub_conf.site.hub_settings import xnat_public_url
from xnathub_conf.site.networks import server_networks
from xnathub_conf.site.types import Docker, Servers, Site, Swarm
from xnathub_conf.spawners.engine_failures import engine_error
from xnathub_conf.spawners.networks import Networks
from xnathub_conf.spawners.object_names import object_name
from xnathub_conf.spawners.running import Found
from xnathub_conf.spawners.slow_starts import Phase
from xnathub_conf.spawners.wait_for_port import listening
from xnathub_conf.values.gpus import no_gpus
from xnathub_conf.values.registry_logins import auth_configs, parse_registry_logins
from xnathub_conf.values.secret import Secret

LABELS = "org.xnat.jupyter"
"""What the names of all labels start with."""

NETWORK = f"{LABELS}.network"
"""The label that says which of the servers' own networks one is on."""

_ENGINE_CALLS = ThreadPoolExecutor(8, thread_name_prefix="docker")
_MAKING_CLIENT = Lock()


@cache
def _networks(names: tuple[str, ...]) -> Networks:
    return Networks(names)


@cache
def _auth_configs(logins: Secret) -> AuthConfig:
    return AuthConfig({"auths": auth_configs(parse_registry_logins(logins.read(os.environ)))})


def health_check(servers: Servers) -> Healthcheck | None:
    """Return the check that stands in place of an image's own, which does nothing; None for the image's own."""
    return None if servers.image_health_checks else Healthcheck(test=["NONE"])


def container_environment(plan: LaunchPlan, servers: Servers) -> dict[str, str]:
    """Return a container's environment: the plan's, no GPUs but those granted, and the IDs that images of docker-stacks drop to from root."""
    return {
        **no_gpus(plan.generic_resources),
        **plan.environment,
        "NB_UID": str(servers.uid),
        "NB_GID": str(servers.gid),
    }


def object_labels(plan: LaunchPlan, site: Site) -> dict[str, str]:
    """Return the labels that say whose and what a container, service or pod is, and of which XNAT."""
    facts: Mapping[str, object] = {
        "xnat": xnat_public_url(site),
        "user": plan.username,
        "server": plan.server_name,
        "project": plan.item.get("projectId"),
        "item": plan.item.get("itemId"),
        "type": plan.item.get("xsiType"),
        "event": plan.item.get("eventTrackingId"),
    }
    return {f"{LABELS}.{name}": str(value) for name, value in facts.items() if value is not None}


class PlannedObject(DockerSpawner):
    """What one container and one service share: names, text from XNAT that is never taken for a template, and starting."""

    site: Site
    server_log: Callable[[], Awaitable[tuple[str, ...]]]
    note_ending: Callable[[Ending], Awaitable[int | str]]
    """Of the launch that is mixed in, both."""
    _given_up = False
    _network = ""
    """The one that the server is started on."""

    def _settings(self) -> Docker | Swarm:
        return engine_of(self.site)

    def _object_name_default(self) -> str:
        return object_name(self._settings().prefix, self.user.name, self.name)

    def _render_templates(self, obj: object, ns: object = None) -> object:  # noqa: ARG002 - dockerspawner's signature
        return obj

    def _get_default_format_volume_name(self) -> object:
        return lambda template, spawner: template  # noqa: ARG005 - dockerspawner's signature

    @property
    def executor(self) -> ThreadPoolExecutor:
        """The threads for calls to the engine: several, so that one slow call, such as a pull, holds up nobody else."""
        return _ENGINE_CALLS

    @property
    def client(self) -> Any:
        """The one client of all servers.

        DockerSpawner makes it at the first call, for a single thread. Two at once would each make one, and replacing a
        class's attribute that way crashes CPython 3.11: the old client is freed while another thread still finds it.
        """
        with _MAKING_CLIENT:
            client = super().client
            if secret := self.site.servers.registry_logins:
                # With a service or a pull, Docker's SDK sends the login of its image's registry.
                client._auth_configs = _auth_configs(secret)
            return client

    async def _networks_in_use(self) -> list[tuple[str, str]]:
        """Return network and user of each server, of other hubs on this engine too."""
        try:
            found = await self.all_labels()
        except (DockerException, RequestException) as error:
            raise engine_error(error, self.image) from None
        return [(each.get(NETWORK, ""), each.get(f"{LABELS}.user", "")) for each in found]

    async def all_labels(self) -> list[Mapping[str, str]]:
        """Return the labels of every server on this engine."""
        raise NotImplementedError

    def _network_of(self, networks: Mapping[str, Any]) -> Any:
        """Return what the engine says of that network, of those by name, that hub and server share; None for none."""
        settings = self._settings()
        ours = {settings.network_name, *server_networks(settings)}
        return next((each for name, each in networks.items() if name in ours), None)

    def _ours(self, identity: str, name: str, labels: Mapping[str, str] | None) -> list[Found]:
        """Return what the engine lists, if it is a server of this hub: by its labels and its name's prefix."""
        labels, name = labels or {}, name.lstrip("/")
        user = labels.get(f"{LABELS}.user")
        if (
            user is None
            or labels.get(f"{LABELS}.xnat") != xnat_public_url(self.site)
            or not name.startswith(f"{self._settings().prefix}-")
        ):
            return []
        return [Found(user, labels.get(f"{LABELS}.server", ""), identity, f"the {self.object_type} {name}")]

    def prepare(self, plan: LaunchPlan) -> list[dict[str, object]]:
        """Return the plan's mounts as the engine's API takes them, which takes time where there are thousands."""
        raise NotImplementedError

    def apply_plan(self, plan: LaunchPlan, prepared: list[dict[str, object]] | None = None) -> None:
        """Set image, command, environment, mounts, and limits and reservations of cores and bytes."""
        self.image = plan.image
        self.cmd = list(plan.command) if plan.command else None
        self.environment = container_environment(plan, self.site.servers)
        self.mounts = self.prepare(plan) if prepared is None else prepared
        self.cpu_limit = plan.cpu_limit
        self.cpu_guarantee = plan.cpu_guarantee
        self.mem_limit = plan.mem_limit
        self.mem_guarantee = plan.mem_guarantee

    async def get_command(self) -> list[str] | None:
        """Return the command, or None for the image's own, which the engine knows itself."""
        return [*self.cmd, *self.get_args()] if self.cmd else None

    async def start(self) -> object:
        """Start the server. Raises LaunchFailed with a sentence as soon as it can't come up, and leaves nothing then."""
        self._given_up = False
        settings = self._settings()
        if not settings.server_networks:
            return await self._start_on(settings.network_name)
        async with _networks(tuple(server_networks(settings))).chosen(
            self.user.name, self._networks_in_use
        ) as network:
            return await self._start_on(network)

    async def _start_on(self, network: str) -> Any:
        self._network = network
        try:
            address = await super().start()
            await listening(address, self.check_running)
        except (DockerException, RequestException) as error:
            await self._give_up()
            raise engine_error(error, self.image) from None
        except BaseException:
            await self._give_up()
            raise
        return address

    async def _give_up(self) -> None:
        self._given_up = True
        await self._remove()

    async def stop(self, now: bool = False) -> None:
        """Stop and remove the server. What goes wrong is logged: JupyterHub forgets the server either way."""
        try:
            if not self.object_id:
                await self.get_object()
            if self.object_id:
                await self._end(now)
        except (DockerException, RequestException) as error:
            self.log.error(
                "The %s %s could not be stopped and may run on, until it is removed as one that the hub does not know "
                "(site.yaml: servers.sweep_interval): %s",
                self.object_type,
                self.object_name,
                error,
            )

    async def _end(self, now: bool) -> None:
        await super().stop(now)

    async def get_url(self) -> object:
        """Return the server's address: the engine's, where the hub was killed before a start told it to the database."""
        if not self.server.ip:
            try:
                ip, port = await self.get_ip_and_port()
            except (DockerException, RequestException, LaunchFailed) as error:
                self.log.warning("The address of %s is not known: %s", self.object_name, error)
            else:
                if ip:
                    return f"http://{ip}:{port}{self.server.base_url}"
        return await super().get_url()

    async def get_object(self) -> Any:
        """Return what the engine says of the server, None where it has none. Raises where the engine can't say.

        DockerSpawner takes an engine that fails for a server that is gone.
        """
        try:
            found = await self.docker(f"inspect_{self.object_type}", self.object_name)
        except NotFound:
            self.object_id = ""
            return None
        self.object_id = found[self.object_id_key]
        return found

    async def poll(self) -> object:
        """Return None while the server lives, and where the engine can't be asked; else how it ended, and remove it."""
        if self._given_up:
            return 1
        try:
            ended = await self._ending()
        except (DockerException, RequestException) as error:
            # JupyterHub would take the server for one that has ended, at its own start even for good.
            self.log.warning("It is not known whether %s still runs: %s", self.object_name, error)
            return None
        if ended is None:
            return None
        status = await self.note_ending(ended)
        # The start itself tells why one ends that has not answered yet, from what there is of it.
        if not self._start_pending:
            await self._remove()
        return status

    async def _ending(self) -> Ending | None:
        """Return None while the server lives, else how it ended."""
        raise NotImplementedError

    async def check_running(self) -> None:
        """Raise LaunchFailed where the server has ended."""
        raise NotImplementedError

    async def phase(self) -> Phase:
        """Return what a start is at, as the engine says."""
        raise NotImplementedError

    def _silent(self) -> Phase:
        return Phase("slow-jupyter", f"Its container runs, but nothing listens at port {self.port} yet.")

    async def _container(self) -> str:
        """Return the ID of the server's container, "" where none is known."""
        raise NotImplementedError

    async def read_log(self) -> bytes:
        """Return the end of the container's log, if it is one of the hub's own engine."""
        container = await self._container()
        return await asyncio.wrap_future(self.executor.submit(self._log_of, container)) if container else b""

    async def read_environment(self) -> Mapping[str, str]:
        """Return the container's variables."""
        container = await self.docker("inspect_container", await self._container())
        return dict(each.partition("=")[::2] for each in container["Config"]["Env"] or ())

    def _log_of(self, container: str) -> bytes:
        said = b""
        # One line may be as long as a server likes.
        frames = self.client.logs(container, tail=MOST_LINES * 2, stream=True, follow=False)
        for frame in frames:
            said += frame
            if len(said) >= MOST_BYTES:
                frames.close()
                break
        return said[-MOST_BYTES:]

    async def _remove(self) -> None:
        """Remove what was made, if anything was; where the engine does not, say so in the log."""
        if self.object_id:
            try:
                await self.remove_object()
            except (DockerException, RequestException) as error:
                self.log.warning("The %s %s is not removed: %s", self.object_type, self.object_name, error)

    async def _ended(self, code: object, *, out_of_memory: bool = False) -> LaunchFailed:
        lines = await self.server_log()
        why = why_ended(code, lines, out_of_memory=out_of_memory, mem_limit=self.mem_limit)
        return ended_at_once(code, f"{ADMIN} Does {self.image} hold a Jupyter server?", why).with_log(lines)
