"""Services on a Docker Swarm; the hub runs on a manager."""

from collections.abc import Iterator

from xnathub_conf.orchestrators import docker_api
from xnathub_conf.site.kinds import FirstSite, Kind, Rendered, Rights, Setting
from xnathub_conf.site.types import Site, Swarm

_SAME_NETWORK = "Servers are reached on the network that they share with the hub: delete it."
_NODES = "Use `orchestrator.swarm.placement_constraints`, besides what XNAT asks for."
_VOLUME = "Make the volume beforehand, and name it in `servers.mounts`."


def _traits(swarm: Swarm, _site: Site) -> Iterator[Setting]:
    yield from docker_api.traits(swarm, "SwarmSpawner")


KIND = Kind(
    settings=Swarm,
    name="a swarm",
    server="its service",
    adapter="xnathub_conf.spawners.swarm:XnatSwarmSpawner",
    spawner="SwarmSpawner",
    traits=_traits,
    plan_traits=docker_api.PLAN_TRAITS,
    without_effect={
        **docker_api.WITHOUT_EFFECT,
        "extra_endpoint_spec": "Servers are reached at their own address, which no endpoint mode changes: delete it.",
        "links": "Use `orchestrator.swarm.networks`, where others are found by their names.",
        "host_ip": _SAME_NETWORK,
        "use_internal_ip": _SAME_NETWORK,
        "use_internal_hostname": _SAME_NETWORK,
        "volume_driver": _VOLUME,
        "volume_driver_options": _VOLUME,
        "post_start_cmd": "Write it into the command in XNAT's Jupyter environment.",
    },
    instead={
        **docker_api.instead("swarm"),
        **dict.fromkeys(
            ("extra_placement_spec", "node_selector", "tolerations", "node_affinity_required"), _NODES
        ),
        "extra_container_spec": "Use `servers.environment`, `servers.mounts`, `servers.security`, `servers.hosts` or `orchestrator.swarm.dns`.",
        "extra_task_spec": "Use `orchestrator.swarm.placement_constraints`, `orchestrator.swarm.networks` or `orchestrator.swarm.log_driver`.",
    },
    hub_host="jupyterhub",
    # Idle connections through a service's virtual address are lost, and some kernels have none.
    container="tasks.{}",
    on_servers_networks=True,
    sockets=docker_api.sockets,
    server_networks=docker_api.SERVER_NETWORKS,
    own_way_out=True,
    rules=docker_api.RULES,
    files=docker_api.files,
    rights=Rights(
        "The hub can't say it of a swarm's services.",
        without={
            "apparmor": "Delete it: servers have the engines' own profile. Only `unconfined` is another.",
            "user_namespaces": "Delete it: `userns-remap` in daemon.json of the nodes holds for all that they run.",
        },
        partly=frozenset(["apparmor"]),
    ),
    health_checks=True,
    doctor=docker_api.DOCTOR,
    state=docker_api.STATE,
    first_site=FirstSite(
        "  swarm: {server_networks: 20} # each person's servers are on a network of their own, for 20 people at once",
        asks_docker_gid=True,
    ),
    rendered=Rendered(
        "a stack file for `docker stack deploy`",
        "xnathub_conf.cli.deploying:stack_arguments",
        "xnathub_conf.cli.deploying:stack_renderer",
    ),
)
