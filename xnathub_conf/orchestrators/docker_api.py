"""What one Docker engine and a swarm have in common: both are reached by Docker's API."""

from collections.abc import Iterator

from xnathub_conf.site.kinds import Setting
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Docker, Swarm

PLAN_TRAITS = ("cmd", "environment", "image", "cpu_limit", "cpu_guarantee", "mem_limit", "mem_guarantee")
"""The traits that the adapter of containers sets at each start."""

RULES = (
    "xnathub_conf.site.rules.docker_api:check_docker",
    "xnathub_conf.site.rules.networks:check_networks",
    "xnathub_conf.site.rules.server_network:check_names_and_log",
    "xnathub_conf.site.rules.internet:check_own_networks",
)

DOCTOR = "xnathub_conf.doctor.files:engine_checks"
STATE = "xnathub_conf.operating.support:engine_state"
SERVER_NETWORKS = "xnathub_conf.spawners.networks:subnets"

OF_INTERNAL_SSL = "It is for JupyterHub.internal_ssl, which can't be on here: delete it."
WITHOUT_EFFECT = {"certs_volume_name": OF_INTERNAL_SSL, "move_certs_image": OF_INTERNAL_SSL}


def instead(section: str) -> dict[str, str]:
    """Return what to do instead of traits of spawners, by keys of this section."""
    here = f"orchestrator.{section}"
    return {
        "client_kwargs": f"Use `{here}.docker_host` and `{here}.tls`.",
        "name_template": f"The hub names servers so that it finds them again; `{here}.prefix` is what all names begin with.",
        "extra_create_kwargs": "Use `servers.environment`, `servers.uid` and `servers.gid`, or what of it else stands under `servers`.",
        "extra_host_config": f"Use `servers.mounts`, `servers.shm_size`, `servers.security`, `servers.hosts`, `{here}.dns` or `{here}.log_driver`.",
        "namespace": f"Use `{here}.prefix`: that keeps two hubs on one engine apart.",
        "delete_grace_period": "Use `servers.stop_timeout`.",
        "image_pull_secrets": "Use `servers.registry_logins`.",
        "init_containers": "Use `servers.mounts`, with what such a container would have put there.",
    }


def traits(engine: Docker | Swarm, spawner: str) -> Iterator[Setting]:
    """List what the site decides of the spawner of either."""
    here: KeyPath = ("orchestrator", engine.key)
    yield Setting(f"{spawner}.client_kwargs", {"base_url": engine.docker_host}, (*here, "docker_host"))
    if engine.tls:
        tls = {
            "ca_cert": engine.tls.ca_cert,
            "client_cert": (engine.tls.client_cert, engine.tls.client_key),
            "verify": engine.tls.verify,
        }
        yield Setting(f"{spawner}.tls_config", tls, (*here, "tls"))
    yield Setting(f"{spawner}.network_name", engine.network_name, (*here, "network_name"))
    yield Setting(f"{spawner}.prefix", engine.prefix, (*here, "prefix"))


def sockets(engine: Docker | Swarm) -> Iterator[str]:
    """List the engine's own socket, where it is reached by one."""
    kind, _, where = engine.docker_host.partition("://")
    if kind == "unix":
        yield where


def files(engine: Docker | Swarm) -> Iterator[tuple[KeyPath, str]]:
    """List the files that the API's TLS needs."""
    if engine.tls:
        for name in ("ca_cert", "client_cert", "client_key"):
            yield ("orchestrator", engine.key, "tls", name), getattr(engine.tls, name)
