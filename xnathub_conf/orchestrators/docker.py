"""Containers on one Docker engine."""

from collections.abc import Iterator

from xnathub_conf.orchestrators import docker_api
from xnathub_conf.site.kinds import FirstSite, Kind, Rendered, Setting
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Docker, Site


def _traits(docker: Docker, _site: Site) -> Iterator[Setting]:
    here: KeyPath = ("orchestrator", "docker")
    yield from docker_api.traits(docker, "DockerSpawner")
    # A container that stayed would come back with the mounts and token of its first start.
    yield Setting("DockerSpawner.remove", True, here)
    yield Setting("DockerSpawner.pull_policy", docker.pull_policy, (*here, "pull_policy"))


KIND = Kind(
    settings=Docker,
    name="one engine",
    server="its container",
    adapter="xnathub_conf.spawners.docker:XnatDockerSpawner",
    spawner="DockerSpawner",
    traits=_traits,
    plan_traits=(*docker_api.PLAN_TRAITS, "mounts", "volumes", "extra_create_kwargs", "extra_host_config"),
    without_effect=docker_api.WITHOUT_EFFECT,
    instead={
        **docker_api.instead("docker"),
        "image_pull_policy": "Use `orchestrator.docker.pull_policy`.",
        "extra_container_spec": "Use `servers.environment`, `servers.mounts`, `servers.security` or `servers.hosts`.",
    },
    hub_host="jupyterhub",
    on_servers_networks=True,
    sockets=docker_api.sockets,
    server_networks=docker_api.SERVER_NETWORKS,
    own_way_out=True,
    rules=(*docker_api.RULES, "xnathub_conf.site.rules.servers:check_pull_policy"),
    files=docker_api.files,
    health_checks=True,
    doctor=docker_api.DOCTOR,
    state=docker_api.STATE,
    # One engine has addresses for 31 networks in all.
    first_site=FirstSite(
        "  docker: {server_networks: 10} # each person's servers are on a network of their own, for 10 people at once",
        asks_docker_gid=True,
    ),
    rendered=Rendered(
        "a compose file for `docker compose up` on one engine",
        "xnathub_conf.cli.deploying:image_arguments",
        "xnathub_conf.cli.deploying:compose_renderer",
    ),
    applied="On one engine: `xnathub render docker site.yaml > compose.yaml`, then `docker compose up --detach`.",
)
