"""Rules of `extra`: which of JupyterHub's traits it may set."""

import difflib
from collections.abc import Mapping
from dataclasses import replace

from xnathub_conf.site.check import check_trait
from xnathub_conf.site.hub_settings import hub_settings, settings_by_code
from xnathub_conf.site.kinds import kind_of, kinds
from xnathub_conf.site.problems import KeyPath, dotted
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.rules.sign_in import check_scopes
from xnathub_conf.site.schema import jupyterhub_names, node_at
from xnathub_conf.site.types import HubTls, Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.secret import Secret


def check_extra(document: Document, site: Site) -> None:
    """`extra` sets traits that exist, in values that they take, and none that is decided elsewhere."""
    traits = jupyterhub_names()["traits"]
    orchestrator = kind_of(site)
    spawner = orchestrator.spawner
    others = {kind.spawner for kind in kinds().values()} - {spawner}
    usable = [name for name in traits if name not in others]
    ours = {
        setting.trait: setting.key
        for setting in hub_settings(_with_every_key(site))
        if setting.key[0] != "extra"
    }
    # Whoever sets the proxy's command does without what ours brings.
    by_code = {setting.trait for setting in settings_by_code(site)} - {"ConfigurableHTTPProxy.command"}
    by_code |= {trait.replace("Spawner.", f"{spawner}.") for trait in by_code if trait.startswith("Spawner.")}
    for trait in site.extra:
        path: KeyPath = ("extra", trait)
        mark = document.key_mark(path)
        class_name, name = trait.split(".")
        if class_name not in usable:
            near = difflib.get_close_matches(class_name, usable, 1)
            fix = f"Did you mean `{near[0]}.{name}`?" if near else f"Known here: {', '.join(usable)}."
            document.report(mark, path, "extra", f"{class_name} has no part in this hub.", fix)
        elif name not in traits[class_name]:
            near = difflib.get_close_matches(name, traits[class_name], 1)
            fix = (
                f"Did you mean `{class_name}.{near[0]}`?"
                if near
                else "Look for its name in the class's documentation."
            )
            document.report(mark, path, "extra", f"{class_name} has no trait {name}.", fix)
        else:
            # A trait of a base class is the same trait on its subclass.
            parents = {"Spawner", "Application"} if class_name in {spawner, "JupyterHub"} else set()
            key = next((ours[f"{c}.{name}"] for c in (class_name, *parents) if f"{c}.{name}" in ours), None)
            kind = "Spawner" if class_name == spawner else class_name
            without: Mapping[str, str] = _NO_EFFECT.get(class_name, {})
            if kind == "Spawner":
                without = {**_WITHOUT_EFFECT, **orchestrator.without_effect}
            if name in without:
                found = f"{trait} has no effect here."
                document.report(mark, path, "extra", found, without[name] or "Delete it.")
            elif key or f"{class_name}.{name}" in by_code or name in _NOT_TO_SET.get(kind, ()):
                fix = f"Use `{dotted(key)}`." if key and node_at(key) else _INSTEAD.get(name, "Delete it.")
                document.report(mark, path, "extra", f"{trait} is decided elsewhere.", fix)
            elif trait == "JupyterHub.internal_ssl" and site.extra[trait]:
                found = "JupyterHub's certificates for its own traffic don't reach servers here, and its addresses are http."
                document.report(mark, path, "extra", found, _INSTEAD_OF_INTERNAL_SSL)
            else:
                check_trait(document, path, traits[class_name][name], document.data["extra"][trait])
    if not any(problem.rule in {"type", "required"} for problem in document.problems):
        _extra_scopes(document, site)


_NOT_TOGETHER = (
    ("JupyterHub.load_groups", "Authenticator.manage_groups"),
    ("ConfigurableHTTPProxy.extra_routes", "JupyterHub.subdomain_host"),
)
"""Traits of which JupyterHub takes one alone; routes with a subdomain would have a form of their own."""

_IN_MEMORY = {"sqlite://", "sqlite:///", "sqlite:///:memory:"}
_OF_A_POOL = {"max_overflow", "pool_size", "pool_timeout", "pool_use_lifo"}


def check_extra_pairs(document: Document, site: Site) -> None:
    """`extra` sets no two traits that JupyterHub refuses together."""
    for one, other in _NOT_TOGETHER:
        if site.extra.get(one) and site.extra.get(other):
            message = f"{one} and {other} can't both be set."
            report(document, ("extra", one), "extra-pair", message, "Delete one of them.")
    db_url = site.hub.db_url
    if db_url is None or db_url.kind != "literal" or db_url.where not in _IN_MEMORY:
        return
    for name in site.extra.get("JupyterHub.db_kwargs") or ():
        if name in _OF_A_POOL:
            found = f"A database in memory has no pool of connections, which {name} is for."
            path = ("extra", "JupyterHub.db_kwargs", name)
            report(document, path, "extra-pair", found, "Delete it, or name a file in hub.db_url.")


def _extra_scopes(document: Document, site: Site) -> None:
    custom = site.extra.get("JupyterHub.custom_scopes", {})
    known = [*jupyterhub_names()["scopes"], *custom]
    trait = "JupyterHub.extra_user_scopes"
    check_scopes(document, ("extra", trait), site.extra.get(trait, ()), known)
    for name, scope in custom.items():
        path: KeyPath = ("extra", "JupyterHub.custom_scopes", name, "subscopes")
        check_scopes(document, path, scope.get("subscopes", ()), list(custom))


def _with_every_key(site: Site) -> Site:
    """Fill in what may be left out, so that `hub_settings` names every trait that has a key of its own.

    An address that is wrong, and reported already, goes: it could not be read.
    """
    secret, orchestrator = Secret("env", "NAME"), site.orchestrator
    orchestrator = replace(orchestrator, **kind_of(site).unset)
    hub = replace(site.hub, hub_bind_url=None, public_url="https://x/", db_url=secret, cookie_secret=secret)
    hub = replace(hub, tls=HubTls(cert="/x", key="/x"))
    pages = replace(site.pages, logo="/x")
    return replace(site, hub=hub, pages=pages, orchestrator=orchestrator)


_COMMAND = "Write it into the command in XNAT's Jupyter environment."
_INSTEAD_OF_INTERNAL_SSL = (
    "Delete it. Where traffic between nodes has to be encrypted, let their network do it: "
    "WireGuard, say, or Kubernetes' network plugin."
)
_OF_INTERNAL_SSL = "It is for JupyterHub.internal_ssl, which can't be on here: delete it."
_WITHOUT_EFFECT = {
    "args": _COMMAND,
    "ssl_alt_names": _OF_INTERNAL_SSL,
    "ssl_alt_names_include_local": _OF_INTERNAL_SSL,
    "group_overrides": "Users are in no group that decides it; use the keys under `servers`.",
}
"""Traits of every spawner that would do nothing, and what to do instead ("" where there is nothing)."""

_WHO_SIGNS_IN = "XNAT says who may sign in: use `sign_in.role`, and give that role in XNAT, or name whom not in `Authenticator.blocked_users`."
_NO_EFFECT: Mapping[str, dict[str, str]] = {
    "JupyterHub": {
        **dict.fromkeys(
            (
                "external_ssl_authorities",
                "internal_certs_location",
                "recreate_internal_certs",
                "trusted_alt_names",
            ),
            _OF_INTERNAL_SSL,
        ),
        "answer_yes": "",
        "hub_socket_mode": "The hub listens at a port, not at a socket: delete it.",
        "service_check_interval": "The hub's services have no address to look at: delete it.",
        "trusted_downstream_ips": "Use `hub.trusted_proxies`.",
    },
    "Authenticator": {
        **dict.fromkeys(("allowed_users", "allow_existing_users", "any_allow_config"), _WHO_SIGNS_IN),
        "username_map": "People have the names that they have in XNAT: delete it.",
        "request_otp": "XNAT is asked with a name and a password alone: delete it.",
        "otp_prompt": "XNAT is asked with a name and a password alone: delete it.",
    },
}
"""Traits of one class of which the same is true."""

_OF_XNAT = "XNAT asks for memory, cores and GPUs, by a computing environment and its hardware; `servers.caps` is the most for one server. Delete it."
_INSTEAD = dict.fromkeys(
    ("extra_resources_spec", "extra_resource_limits", "extra_resource_guarantees"), _OF_XNAT
)
_INSTEAD["username_pattern"] = "Use `sign_in.role`, and give that role in XNAT."
"""What to do instead of traits that no single key stands for."""

_NOT_TO_SET: Mapping[str, tuple[str, ...]] = {
    "JupyterHub": (
        "load_roles", "base_url", "ip", "port", "hub_ip", "hub_port",
        "hub_connect_ip", "hub_connect_port", "config_file", "generate_config", "generate_certs", "show_config",
        "show_config_json", "api_tokens",
        # The hub would wait for a route that its proxy never has.
        "hub_routespec",
        # All users and servers would be forgotten at each start.
        "reset_db",
        # Such cookies go to all of the host, XNAT too, and the gate takes none of that name from servers.
        "cookie_host_prefix_enabled",
    ),
    # The page that asks for the password would be gone, and with it the way in.
    "Authenticator": (
        "auto_login",
        # XNAT's names would be no users of the hub's, while XNAT's pages still start their servers.
        "username_pattern",
    ),
    "Spawner": (
        "image", "allowed_images", "profile_list", "cmd", "environment", "mounts", "volumes",
        "volume_mounts", "read_only_volumes", "escape", "cpu_limit", "cpu_guarantee", "mem_limit", "mem_guarantee", "name_template", "pod_name_template",
        "format_volume_name", "options_form", "options_from_form", "extra_resource_limits", "extra_resource_guarantees",
        "node_selector", "tolerations", "node_affinity_required", "extra_container_spec", "extra_placement_spec",
        "extra_resources_spec", "extra_task_spec", "extra_create_kwargs", "extra_host_config", "uid", "gid", "fs_gid",
        "supplemental_gids", "allow_privilege_escalation", "pod_security_context", "container_security_context",
    ),
}  # fmt: skip
"""Traits that would end JupyterHub, go round site.yaml, or have no effect, besides those that are set."""
