"""What a Site decides of JupyterHub: every trait with its value and the key it comes from.

Pure data: nothing here imports JupyterHub, so that `xnathub validate` and `xnathub show` stay light.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from xnathub_conf.site.kinds import Setting, kind_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Site
from xnathub_conf.values.addresses import host_name

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
    return f"http://{kind_of(site).hub_host}:{hub_port(site)}"


def hub_bind_url(site: Site) -> str:
    """Where the hub itself listens."""
    return site.hub.hub_bind_url or f"http://{kind_of(site).bind_host}:8081"


def hub_port(site: Site) -> int:
    """Return the port at which the hub itself listens."""
    return urlsplit(hub_bind_url(site)).port or 8081


def public_port(site: Site) -> int:
    """Return the port at which the hub's proxy listens."""
    return urlsplit(site.hub.bind_url).port or 8000


def on_control(site: Site, name: str) -> str:
    """Return how hub and proxy find each other by these names: at the container itself."""
    return kind_of(site).container.format(name)


def hub_settings(site: Site) -> list[Setting]:
    """List every trait that the site decides, in no particular order."""
    parts = _hub, _pages, _logging, _sign_in, _servers, _extra
    of_spawner = kind_of(site).traits(site.orchestrator, site)
    return [*(setting for part in parts for setting in part(site)), *of_spawner]


BY_CODE = "set by xnathub"
AT_EACH_START = "set at each start, from XNAT's answer and this file"


def settings_by_code(site: Site) -> list[Setting]:
    """List the traits that `configure` and the adapters set, whose values are objects or come with each start."""
    kind = kind_of(site)
    here: KeyPath = ("orchestrator", kind.key)
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
        *(Setting(f"{kind.spawner}.{trait}", AT_EACH_START, here) for trait in kind.plan_traits),
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
    # Servers outlive the hub, but for those that are its own processes.
    own_processes = kind_of(site).own_processes
    yield Setting("JupyterHub.cleanup_servers", own_processes, ("orchestrator",))
    if not own_processes:
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


def _extra(site: Site) -> Iterator[Setting]:
    for trait, value in site.extra.items():
        yield Setting(trait, value, ("extra", trait))
