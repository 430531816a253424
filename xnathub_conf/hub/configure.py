"""From a site file to a configured JupyterHub: what jupyterhub_config.py calls."""

import gc
import os
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from xnathub_conf.hub.pre_spawn import LivePolicy, keep_flat_options, pre_spawn_hook
from xnathub_conf.hub.proxy import XnatProxy, separate_proxy
from xnathub_conf.hub.reload import LiveSite
from xnathub_conf.launch.failure import say_once
from xnathub_conf.operating.database_costs import spare_the_loop
from xnathub_conf.operating.database_errors import survive_database_errors
from xnathub_conf.operating.database_upgrade import upgrade_at_start
from xnathub_conf.operating.hub_data import with_driver
from xnathub_conf.operating.metrics import watch_disk
from xnathub_conf.operating.restore import take_what_waits
from xnathub_conf.signing_in.authenticator import XnatAuthenticator
from xnathub_conf.site.hub_settings import browsers_use_tls, hub_settings
from xnathub_conf.site.load import load_site
from xnathub_conf.site.problems import Problem, SiteError
from xnathub_conf.site.rules.secret_values import ANOTHER_ONE, check_token
from xnathub_conf.site.types import Site
from xnathub_conf.spawners import spawner_class
from xnathub_conf.spawners.launch import Launch
from xnathub_conf.spawners.slow_starts import explain_http_timeouts
from xnathub_conf.values.secret import Secret, SecretError
from xnathub_conf.web.browsers import watch_browsers
from xnathub_conf.web.handlers import StaticFilesHandler
from xnathub_conf.web.incoming import bound_requests
from xnathub_conf.web.server_names import take_xnat_server_names
from xnathub_conf.xnat.client import XnatClient

_KEPT = ("services", "load_roles")


def configure(c: Any, path: str | Path) -> None:
    """Fill JupyterHub's configuration `c` from the site file at `path`.

    The secrets are read here, once, and never again; of the file, what LiveSite takes is. Services and roles that stand in `c` already, which
    Zero to JupyterHub was told to add, stay. Raises SiteError with every problem of the site or of those services.
    """
    site = load_site(path, os.environ)
    if file := take_what_waits(site):
        watch_disk(file)
    say_once()
    survive_database_errors()
    spare_the_loop()
    take_xnat_server_names()
    explain_http_timeouts()
    watch_browsers()
    upgrade_at_start()
    earlier = {name: list(c.JupyterHub[name]) for name in _KEPT if isinstance(c.JupyterHub.get(name), list)}
    _check_services(str(path), earlier.get("services", []))
    for setting in hub_settings(site):
        class_name, name = setting.trait.split(".")
        value = _revealed(setting.value)
        c[class_name][name] = with_driver(value) if setting.trait == "JupyterHub.db_url" else value
    for name, values in earlier.items():
        c.JupyterHub[name] = values + c.JupyterHub[name]
    xnat = XnatClient(site.xnat, site.xnat.service_account.password.read(os.environ))
    spawner, policy = spawner_class(site), LivePolicy(site)
    bound_requests(site, spawner)
    live = LiveSite(Path(path), site, [policy.take, spawner.take])
    c.JupyterHub.authenticator_class = XnatAuthenticator.for_site(site, xnat, live.start)
    c.JupyterHub.spawner_class = spawner
    c.JupyterHub.template_paths = [str(resources.files("xnathub_conf.web") / "templates")]
    c.Spawner.pre_spawn_hook = pre_spawn_hook(policy, xnat)
    c.Spawner.post_stop_hook = Launch.stopped
    c.Spawner.apply_user_options = keep_flat_options
    cookies = {"samesite": "Lax", **({"secure": True} if browsers_use_tls(site) else {})}
    c.JupyterHub.tornado_settings.update(
        {
            "cookie_options": cookies,
            # No script reads it: the hub's pages carry their own copy.
            "xsrf_cookie_kwargs": {**cookies, "httponly": True},
            "headers": {
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "same-origin",
                "Cache-Control": "no-store",
            },
            "static_handler_class": StaticFilesHandler,
        }
    )
    c.JupyterHub.proxy_class = XnatProxy.for_site(site)
    for trait, value in separate_proxy(site, os.environ).items():
        class_name, name = trait.split(".")
        c[class_name][name] = value
    if "ConfigurableHTTPProxy.command" not in site.extra and (command := _proxy_command(site)):
        c.ConfigurableHTTPProxy.command = command
    # All that was imported stays for good; searching it for garbage now and then holds up the hub for 0.2 s.
    gc.freeze()


def _proxy_command(site: Site) -> list[str] | None:
    """Return what starts the proxy with what belongs into it, or None where there is no proxy to start."""
    proxy = shutil.which("configurable-http-proxy")
    if proxy is None:
        return None
    modules = resources.files("xnathub_conf")
    json_lines = (
        ["--require", str(modules / "hub" / "json_lines.cjs")] if site.logging.format == "json" else []
    )
    gate = str(modules / "proxy" / "gate.mjs")
    return ["node", *json_lines, "--import", gate, str(Path(proxy).resolve())]


def _check_services(file: str, services: list[dict[str, Any]]) -> None:
    """Raise SiteError for added services whose tokens could be guessed: the hub hashes all tokens once."""
    problems = []
    for each in services:
        try:
            if token := each.get("api_token"):
                check_token(token)
        except SecretError as error:
            message = f"The token of the service {each.get('name')} is weak. {error}"
            problems.append(Problem(file, 1, 1, (), "secret", message, ANOTHER_ONE))
    if problems:
        raise SiteError(problems)


def _revealed(value: object) -> Any:
    """Put the values of secrets in their places; traits want plain lists and dicts, which they copy."""
    if isinstance(value, Secret):
        return value.read(os.environ)
    if isinstance(value, list | tuple):
        return [_revealed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _revealed(item) for key, item in value.items()}
    return value
