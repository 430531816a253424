"""The CIS Docker Benchmark's part on containers (version 1.6, parts 4.1 and 5), as far as it is about how one is started."""

from __future__ import annotations

import re
from typing import Any

_OF_THE_HOST = ("/boot/", "/dev/", "/etc/", "/lib/", "/proc/", "/sys/", "/usr/")


def not_followed(container: dict[str, Any]) -> set[str]:
    """Return the recommendations that a container does not follow, by what `docker inspect` says of it."""
    host, config = container["HostConfig"], container["Config"]
    ports = [each for several in (host["PortBindings"] or {}).values() for each in several or ()]
    sources = [each["Source"] for each in container["Mounts"] if each["Type"] == "bind"]
    options = host["SecurityOpt"] or []
    health = (config.get("Healthcheck") or {}).get("Test") or ["NONE"]
    followed = {
        "4.1 a user that is not root": config["User"].partition(":")[0] not in {"", "0", "root"},
        "5.3 no more capabilities": not host["CapAdd"],
        "5.4 not privileged": not host["Privileged"],
        "5.5 no folders of the host's own": not any(
            source == "/" or f"{source}/".startswith(_OF_THE_HOST) for source in sources
        ),
        "5.7 no privileged ports": all(int(each["HostPort"] or 65535) >= 1024 for each in ports),
        "5.9 not the host's network": host["NetworkMode"] != "host",
        "5.10 a limit of memory": host["Memory"] > 0,
        "5.11 a share of the processors": bool(host["CpuShares"] or host["NanoCpus"] or host["CpuQuota"]),
        "5.12 a read-only image": host["ReadonlyRootfs"],
        "5.13 ports at one address": all(each["HostIp"] not in {"", "0.0.0.0", "::"} for each in ports),
        "5.14 no restart without end": host["RestartPolicy"]["Name"] in {"", "no"}
        or 0 < host["RestartPolicy"]["MaximumRetryCount"] <= 5,
        "5.15 processes of its own": host["PidMode"] != "host",
        "5.16 shared memory of its own": host["IpcMode"] != "host",
        "5.17 no devices of the host": not host["Devices"],
        "5.19 mounts don't spread": not any(
            each.get("Propagation") == "shared" for each in container["Mounts"]
        ),
        "5.20 a host name of its own": host["UTSMode"] != "host",
        "5.21 Docker's seccomp profile": "seccomp=unconfined" not in options,
        "5.24 Docker's cgroup": not host["CgroupParent"],
        "5.25 no new privileges": any(each.startswith("no-new-privileges") for each in options),
        "5.26 a health check": health[0] != "NONE",
        "5.28 a limit of processes": (host["PidsLimit"] or 0) > 0,
        "5.29 not Docker's default bridge": bool(set(container["NetworkSettings"]["Networks"]) - {"bridge"}),
        "5.30 user IDs as the engine maps them": host["UsernsMode"] != "host",
        "5.31 no socket of Docker": not any(source.endswith("docker.sock") for source in sources),
    }
    return {name for name, good in followed.items() if not good}


def not_followed_by_service(service: dict[str, Any]) -> set[str]:
    """Return the recommendations that a swarm's service does not follow, by what `docker service inspect` says of it.

    A task may follow more, by what its image and the engine say.
    """
    task = service["Spec"]["TaskTemplate"]
    container = task["ContainerSpec"]
    limits = task.get("Resources", {}).get("Limits", {})
    privileges = container.get("Privileges") or {}
    sources = [each.get("Source", "") for each in container.get("Mounts", ()) if each["Type"] == "bind"]
    restart = task.get("RestartPolicy", {})
    ports = service["Spec"].get("EndpointSpec", {}).get("Ports", ())
    followed = {
        "4.1 a user that is not root": container.get("User", "").partition(":")[0] not in {"", "0", "root"},
        "5.3 no more capabilities": not container.get("CapabilityAdd"),
        "5.5 no folders of the host's own": not any(
            source == "/" or f"{source}/".startswith(_OF_THE_HOST) for source in sources
        ),
        "5.7 no privileged ports": all(each.get("PublishedPort", 65535) >= 1024 for each in ports),
        "5.9 not the host's network": all(each["Target"] != "host" for each in task.get("Networks", ())),
        "5.10 a limit of memory": limits.get("MemoryBytes", 0) > 0,
        "5.11 a share of the processors": limits.get("NanoCPUs", 0) > 0,
        "5.12 a read-only image": container.get("ReadOnly", False),
        "5.14 no restart without end": restart.get("Condition") == "none"
        or 0 < restart.get("MaxAttempts", 0) <= 5,
        "5.19 mounts don't spread": not any(
            "shared" in str(each.get("BindOptions", {}).get("Propagation"))
            for each in container.get("Mounts", ())
        ),
        "5.21 Docker's seccomp profile": (privileges.get("Seccomp") or {}).get("Mode") != "unconfined",
        "5.25 no new privileges": privileges.get("NoNewPrivileges", False),
        "5.28 a limit of processes": limits.get("Pids", 0) > 0,
        "5.31 no socket of Docker": not any(source.endswith("docker.sock") for source in sources),
        "7.5 secrets as secrets": not any(
            re.search(r"(TOKEN|PASSWORD|SECRET|KEY)=.", each) for each in container.get("Env", ())
        ),
    }
    return {name for name, good in followed.items() if not good}
