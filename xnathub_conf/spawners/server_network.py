"""How servers find names, and where what they say is kept, in the terms of each engine."""

from collections import defaultdict
from typing import Any

from docker.types import DNSConfig, DriverConfig, LogConfig

from xnathub_conf.site.types import Docker, Servers, Swarm


def container_network(servers: Servers, docker: Docker) -> dict[str, object]:
    """Return a container's part of it, as in the HostConfig of Docker's SDK."""
    found: dict[str, Any] = {
        "dns": list(docker.dns),
        "dns_search": list(servers.dns_search),
        "extra_hosts": dict(servers.hosts),
    }
    if docker.log_driver:
        found["log_config"] = LogConfig(type=docker.log_driver, config=dict(docker.log_options))
    return {name: value for name, value in found.items() if value}


def service_names(servers: Servers, swarm: Swarm) -> dict[str, Any]:
    """Return how a service finds names, as arguments of Docker's ContainerSpec."""
    found: dict[str, Any] = {"hosts": dict(servers.hosts)} if servers.hosts else {}
    if swarm.dns or servers.dns_search:
        found["dns_config"] = DNSConfig(nameservers=list(swarm.dns), search=list(servers.dns_search))
    return found


def service_log(swarm: Swarm) -> DriverConfig | None:
    """Return where what a service says is kept; None for the engine's own setting."""
    return DriverConfig(swarm.log_driver, dict(swarm.log_options)) if swarm.log_driver else None


def pod_network(servers: Servers) -> dict[str, object]:
    """Return how a pod finds names, as in its spec."""
    found: dict[str, Any] = {}
    if servers.dns_search:
        found["dnsConfig"] = {"searches": list(servers.dns_search)}
    if servers.hosts:
        names: defaultdict[str, list[str]] = defaultdict(list)
        for name, address in servers.hosts.items():
            names[address].append(name)
        found["hostAliases"] = [{"ip": ip, "hostnames": hostnames} for ip, hostnames in names.items()]
    return found
