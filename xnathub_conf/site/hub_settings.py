"""What a Site decides of JupyterHub: every trait with its value and the key it comes from.

Pure data: nothing here imports JupyterHub, so that `xnathub validate` and `xnathub show` stay light.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from xnathub_conf.site.chosen import engine_of, settings_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Docker, Kubernetes, Site, Swarm
from xnathub_conf.values.addresses import host_name
from xnathub_conf.values.registry_logins import PULL_SECRET

SPAWNERS = {
    "local": "SimpleLocalProcessSpawner",
    "docker": "DockerSpawner",
    "swarm": "SwarmSpawner",
    "kubernetes": "KubeSpawner",
}
"""The spawner class whose traits each orchestrator's settings are."""

MOST_USERS = 1_000_000
"""More than a hub has: the most users that it gives in one answer to who does not ask for pages."""

PROXY_HOST = "jupyterhub-proxy"
"""The name of a proxy in a container of its own, on the network that it shares with the hub and users' servers."""

CHART_PROXY_HOST = "proxy-public"
"""The Service of the proxy in our chart, and in Zero to JupyterHub's."""

PROXY_FOR_HUB, HUB_FOR_PROXY = "proxy-for-hub", "hub-for-proxy"
"""What such a proxy and its hub call each other on a network that they alone have: no server comes between them."""

PROXY_API_PORT = 8001
"""Where such a proxy takes routes from the hub."""

PROXY_VARIABLE = "XNATHUB_PROXY"
"""The variable by which rendered files tell the hub the name of a proxy that is not its child."""


@dataclass(frozen=True)
class Setting:
    """One trait: `Class.name`, its value (a Secret where it is one), and the key of site.yaml behind it."""

    trait: str
    value: Any
    key: KeyPath


def xnat_public_url(site: Site) -> str:
    """XNAT's address for links on pages, without a slash at its end."""
    return (site.xnat.public_url or site.xnat.url).rstrip("/")


def reverse_proxies(site: Site) -> int:
    """Return how many reverse proxies stand in front of the hub's own."""
    if site.hub.reverse_proxies is not None:
        return site.hub.reverse_proxies
    return int(browsers_use_tls(site) and not site.hub.tls)


def browsers_use_tls(site: Site) -> bool:
    """Return whether browsers reach the hub over https: with a certificate of its own, or by its public address."""
    return site.hub.tls is not None or (site.hub.public_url or "").startswith("https:")


def own_host(site: Site) -> bool:
    """Return whether browsers find the hub under another host name than XNAT, so that neither sees the other's cookies."""
    return bool(site.hub.public_url) and host_name(site.hub.public_url) != host_name(xnat_public_url(site))


def sees_xnat_sessions(site: Site) -> bool:
    """Return whether browsers send the hub their session in XNAT, so that a sign-in can belong to it."""
    return site.sign_in.xnat_session and not own_host(site)


def hub_connect_url(site: Site) -> str:
    """Where single-user servers reach the hub itself."""
    return site.hub.hub_connect_url or usual_hub_url(site)


def usual_hub_url(site: Site) -> str:
    """Return where servers reach the hub itself where the site does not say: by its name on their network."""
    host = {"local": "127.0.0.1", "docker": "jupyterhub", "swarm": "jupyterhub", "kubernetes": "hub"}
    return f"http://{host[site.orchestrator.key]}:{hub_port(site)}"


def hub_bind_url(site: Site) -> str:
    """Where the hub itself listens."""
    default = "http://127.0.0.1:8081" if site.orchestrator.key == "local" else "http://0.0.0.0:8081"
    return site.hub.hub_bind_url or default


def hub_port(site: Site) -> int:
    """Return the port at which the hub itself listens."""
    return urlsplit(hub_bind_url(site)).port or 8081


def public_port(site: Site) -> int:
    """Return the port at which the hub's proxy listens."""
    return urlsplit(site.hub.bind_url).port or 8000


def on_control(site: Site, name: str) -> str:
    """Return how hub and proxy find each other by these names: on Swarm at the container itself.

    Idle connections through a service's virtual address are lost, and some kernels have none.
    """
    return f"tasks.{name}" if isinstance(site.orchestrator, Swarm) else name


def hub_settings(site: Site) -> list[Setting]:
    """List every trait that the site decides, in no particular order."""
    parts = _hub, _pages, _logging, _sign_in, _servers, _orchestrator, _extra
    return [setting for part in parts for setting in part(site)]


BY_CODE = "set by xnathub"
AT_EACH_START = "set at each start, from XNAT's answer and this file"

_ALL_PLANS = ("cmd", "environment")
_CONTAINERS = (*_ALL_PLANS, "image", "cpu_limit", "cpu_guarantee", "mem_limit", "mem_guarantee")
PLAN_TRAITS = {
    "local": (*_ALL_PLANS, "args"),
    "docker": (*_CONTAINERS, "mounts", "volumes", "extra_create_kwargs", "extra_host_config"),
    "swarm": _CONTAINERS,
    "kubernetes": (
        *_CONTAINERS, "volumes", "volume_mounts", "extra_resource_limits", "extra_resource_guarantees", "node_selector",
        "tolerations", "node_affinity_required", "uid", "gid", "fs_gid", "supplemental_gids", "allow_privilege_escalation",
        "pod_security_context", "container_security_context",
    ),
}  # fmt: skip
"""The traits that each orchestrator's adapter sets at each start."""


def settings_by_code(site: Site) -> list[Setting]:
    """List the traits that `configure` and the adapters set, whose values are objects or come with each start."""
    name = site.orchestrator.key
    here: KeyPath = ("orchestrator", name)
    settings = [
        Setting("JupyterHub.authenticator_class", BY_CODE, ("sign_in",)),
        Setting("JupyterHub.spawner_class", BY_CODE, here),
        Setting("JupyterHub.proxy_class", BY_CODE, ("sign_in", "foreign_servers")),
        Setting("JupyterHub.template_paths", BY_CODE, ("pages",)),
        Setting("JupyterHub.tornado_settings", BY_CODE, ("hub", "public_url")),
        *(
            Setting(f"Spawner.{hook}", BY_CODE, ("servers",))
            for hook in ("pre_spawn_hook", "post_stop_hook", "apply_user_options")
        ),
        *(Setting(f"{SPAWNERS[name]}.{trait}", AT_EACH_START, here) for trait in PLAN_TRAITS[name]),
    ]
    if "ConfigurableHTTPProxy.command" not in site.extra:
        settings.append(Setting("ConfigurableHTTPProxy.command", BY_CODE, ("logging", "format")))
    return settings


def _hub(site: Site) -> Iterator[Setting]:
    hub = site.hub
    yield Setting("JupyterHub.bind_url", hub.bind_url.rstrip("/") + hub.base_url, ("hub", "bind_url"))
    if hub.tls:
        yield Setting("JupyterHub.ssl_cert", hub.tls.cert, ("hub", "tls", "cert"))
        yield Setting("JupyterHub.ssl_key", hub.tls.key, ("hub", "tls", "key"))
    yield Setting("JupyterHub.hub_bind_url", hub_bind_url(site), ("hub", "hub_bind_url"))
    yield Setting("JupyterHub.hub_connect_url", hub_connect_url(site), ("hub", "hub_connect_url"))
    if hub.public_url:
        yield Setting("JupyterHub.public_url", hub.public_url.rstrip("/") + "/", ("hub", "public_url"))
    if hub.db_url:
        yield Setting("JupyterHub.db_url", hub.db_url, ("hub", "db_url"))
    yield Setting("JupyterHub.upgrade_db", hub.upgrade_db, ("hub", "upgrade_db"))
    if hub.cookie_secret:
        yield Setting("JupyterHub.cookie_secret", hub.cookie_secret, ("hub", "cookie_secret"))
    yield Setting("JupyterHub.shutdown_on_logout", hub.shutdown_on_logout, ("hub", "shutdown_on_logout"))
    yield Setting("JupyterHub.allow_named_servers", hub.allow_named_servers, ("hub", "allow_named_servers"))
    limit = ("hub", "named_server_limit_per_user")
    yield Setting("JupyterHub.named_server_limit_per_user", hub.named_server_limit_per_user, limit)
    # Servers outlive the hub, but for local ones, which are its own processes.
    local = site.orchestrator.key == "local"
    yield Setting("JupyterHub.cleanup_servers", local, ("orchestrator",))
    if not local:
        # The kept folder may hold the file of an earlier container's proxy, whose number is another process here.
        pid_file = "/tmp/jupyterhub-proxy.pid"  # noqa: S108 - the container's own
        yield Setting("ConfigurableHTTPProxy.pid_file", pid_file, ("orchestrator",))
    # XNAT's plugin asks for all users at once, never for a second page of them.
    yield Setting("JupyterHub.api_page_max_limit", MOST_USERS, ("hub", "api_token"))
    services: list[dict[str, Any]] = [{"name": "xnat", "api_token": hub.api_token, "display": False}]
    roles: list[dict[str, object]] = [{"name": "xnat", "scopes": list(hub.api_scopes), "services": ["xnat"]}]
    if hub.metrics_token:
        services.append({"name": "prometheus", "api_token": hub.metrics_token, "display": False})
        roles.append({"name": "prometheus", "scopes": ["read:metrics"], "services": ["prometheus"]})
    for each in hub.services:
        services.append({"name": each.name, "api_token": each.api_token, "display": False})
        roles.append({"name": each.name, "scopes": list(each.scopes), "services": [each.name]})
    for role in hub.roles:
        roles.append({"name": role.name, "scopes": list(role.scopes), "users": list(role.users)})
    yield Setting("JupyterHub.services", services, ("hub", "api_token"))
    # All of them are random (see rules/secret_values.py), so that hashing them 16,384 times at each call would cost time and gain nothing.
    yield Setting("JupyterHub.trust_user_provided_tokens", True, ("hub", "api_token"))
    yield Setting("JupyterHub.load_roles", roles, ("hub", "api_scopes"))


def page_variables(site: Site) -> dict[str, object]:
    """Return what the hub's pages show of the site."""
    pages = site.pages
    return {
        "xnat_url": xnat_public_url(site),
        "xnat_session": site.sign_in.xnat_session,
        "site_name": pages.name,
        "site_logo": pages.logo is not None,
        "contact": pages.contact,
        "notice": pages.notice,
        "accent": pages.accent,
        "links": [{"text": link.text, "url": link.url} for link in pages.links],
        "servers_stop": site.hub.shutdown_on_logout,
    }


def _pages(site: Site) -> Iterator[Setting]:
    pages = site.pages
    yield Setting("JupyterHub.template_vars", page_variables(site), ("pages",))
    if pages.logo:
        yield Setting("JupyterHub.logo_file", pages.logo, ("pages", "logo"))


def _logging(site: Site) -> Iterator[Setting]:
    logging = site.logging
    # JupyterHub knows WARNING by its short name alone.
    level = "WARN" if logging.level == "WARNING" else logging.level
    yield Setting("Application.log_level", level, ("logging", "level"))
    # Merged into traitlets' own, whose handler is `console`.
    formatter = "json" if logging.format == "json" else "console"
    to_stderr = {"class": "logging.StreamHandler", "formatter": formatter, "stream": "ext://sys.stderr"}
    one_line = ["one_line"]
    handlers: dict[str, object] = {
        "console": {"formatter": formatter, "filters": one_line},
        "audit": {**to_stderr, "filters": one_line},
    }
    if logging.audit_file:
        handlers["audit_file"] = {
            "class": "logging.handlers.WatchedFileHandler",
            "filename": logging.audit_file,
            "encoding": "utf-8",
            "formatter": "json",
        }
    config = {
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": ["levelname", "name", "message"],
                "timestamp": "time",
                "rename_fields": {"levelname": "level", "name": "logger"},
            }
        },
        "filters": {"one_line": {"()": "xnathub_conf.operating.log_text.OneLine"}},
        "handlers": handlers,
        "root": {"level": "WARNING", "handlers": ["console"]},
        "loggers": {
            "xnathub": {"level": logging.level, "handlers": ["console"], "propagate": False},
            "xnathub.audit": {
                "level": "INFO",
                "handlers": [name for name in handlers if name.startswith("audit")],
                "propagate": False,
            },
        },
    }
    yield Setting("Application.logging_config", config, ("logging", "format"))


def _sign_in(site: Site) -> Iterator[Setting]:
    yield Setting("Authenticator.admin_users", set(site.hub.admin_users), ("hub", "admin_users"))
    # XNAT decides who may sign in; the authenticator asks it each time.
    yield Setting("Authenticator.allow_all", True, ("sign_in", "role"))
    age = ("sign_in", "auth_refresh_age")
    yield Setting("Authenticator.auth_refresh_age", site.sign_in.auth_refresh_age, age)
    # For API tokens too, which JupyterHub would let outlive their user's permission.
    yield Setting("Authenticator.auth_refresh_strict", True, age)
    days = site.sign_in.token_days
    yield Setting("JupyterHub.token_expires_in_max_seconds", days * 86400, ("sign_in", "token_days"))


def _servers(site: Site) -> Iterator[Setting]:
    servers = site.servers
    starts = ("servers", "concurrent_starts")
    yield Setting("JupyterHub.concurrent_spawn_limit", servers.concurrent_starts, starts)
    yield Setting("Spawner.start_timeout", servers.start_timeout, ("servers", "start_timeout"))
    yield Setting("Spawner.http_timeout", servers.http_timeout, ("servers", "http_timeout"))
    yield Setting("Spawner.default_url", servers.default_url, ("servers", "default_url"))


def _orchestrator(site: Site) -> Iterator[Setting]:
    name = site.orchestrator.key
    here: KeyPath = ("orchestrator", name)
    spawner = SPAWNERS[name]
    stop: KeyPath = ("servers", "stop_timeout")
    if name == "local":
        # SIGINT, then SIGTERM, then SIGKILL. A Jupyter server whose loop has ended may still wait for a thread that asks
        # a package index for news, and no signal but the last ends that: JupyterHub's own 30 s must not come on top.
        again = site.servers.stop_timeout // 2
        yield Setting(f"{spawner}.interrupt_timeout", site.servers.stop_timeout - again, stop)
        yield Setting(f"{spawner}.term_timeout", again, stop)
    if engine := engine_of(site):
        yield from _docker_api(engine, spawner, here)
        yield Setting(f"{spawner}.network_name", engine.network_name, (*here, "network_name"))
        yield Setting(f"{spawner}.prefix", engine.prefix, (*here, "prefix"))
    if docker := settings_of(site, Docker):
        # A container that stayed would come back with the mounts and token of its first start.
        yield Setting("DockerSpawner.remove", True, here)
        yield Setting("DockerSpawner.pull_policy", docker.pull_policy, (*here, "pull_policy"))
    if kubernetes := settings_of(site, Kubernetes):
        if kubernetes.namespace:
            yield Setting("KubeSpawner.namespace", kubernetes.namespace, (*here, "namespace"))
        yield Setting(
            "KubeSpawner.image_pull_policy", kubernetes.image_pull_policy, (*here, "image_pull_policy")
        )
        secrets = pull_secrets(site)
        yield Setting("KubeSpawner.image_pull_secrets", secrets, (*here, "image_pull_secrets"))
        yield Setting("KubeSpawner.delete_grace_period", site.servers.stop_timeout, stop)


def pull_secrets(site: Site) -> list[str]:
    """Return the names of the Secrets from which Kubernetes' nodes take the logins of registries."""
    kubernetes = settings_of(site, Kubernetes)
    named = list(kubernetes.image_pull_secrets) if kubernetes else []
    return list(dict.fromkeys([*named, PULL_SECRET] if site.servers.registry_logins else named))


def _docker_api(docker: Docker | Swarm, spawner: str, here: KeyPath) -> Iterator[Setting]:
    yield Setting(f"{spawner}.client_kwargs", {"base_url": docker.docker_host}, (*here, "docker_host"))
    if docker.tls:
        tls = {
            "ca_cert": docker.tls.ca_cert,
            "client_cert": (docker.tls.client_cert, docker.tls.client_key),
            "verify": docker.tls.verify,
        }
        yield Setting(f"{spawner}.tls_config", tls, (*here, "tls"))


def _extra(site: Site) -> Iterator[Setting]:
    for trait, value in site.extra.items():
        yield Setting(trait, value, ("extra", trait))
