"""What to write in place of a trait that `extra` may not set: the key for it, or why there is none."""

from collections.abc import Mapping

_COMMAND = "Write it into the command in XNAT's Jupyter environment."
_OF_XNAT = "XNAT asks for memory, cores and GPUs, by a computing environment and its hardware; `servers.caps` is the most for one server. Delete it."
_OF_INTERNAL_SSL = "It is for JupyterHub.internal_ssl, which can't be on here: delete it."
_OF_COMMAND_LINE = "It is for JupyterHub's own command line: delete it."
_PAGES_ASK = "XNAT's pages ask what to start: delete it."
_WHO_SIGNS_IN = "XNAT says who may sign in: use `sign_in.role`, and give that role in XNAT, or name whom not in `Authenticator.blocked_users`."
_MOUNTS = "Use `servers.mounts`: for every server, or for those of an image or a project."
_RAW_PARTS = "Use the keys for what it would set, such as `servers.security`, `servers.mounts`, `servers.shm_size` and `servers.hosts`."
_NAMES = "Names are made so that no two people's servers share one: delete it."
_PASSWORD_ALONE = "XNAT is asked with a name and a password alone: delete it."  # noqa: S105 - a sentence

NO_EFFECT: Mapping[str, Mapping[str, str]] = {
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
        "answer_yes": _OF_COMMAND_LINE,
        "hub_socket_mode": "The hub listens at a port, not at a socket: delete it.",
        "service_check_interval": "The hub's services have no address to look at: delete it.",
        "trusted_downstream_ips": "Use `hub.trusted_proxies`.",
    },
    "Authenticator": {
        **dict.fromkeys(("allowed_users", "allow_existing_users", "any_allow_config"), _WHO_SIGNS_IN),
        "username_map": "People have the names that they have in XNAT: delete it.",
        "request_otp": _PASSWORD_ALONE,
        "otp_prompt": _PASSWORD_ALONE,
    },
    "Spawner": {
        "args": _COMMAND,
        "ssl_alt_names": _OF_INTERNAL_SSL,
        "ssl_alt_names_include_local": _OF_INTERNAL_SSL,
        "group_overrides": "Users are in no group that decides it; use the keys under `servers`.",
    },
}
"""Traits that would do nothing, by class; `Spawner` stands for each orchestrator's."""

NOT_TO_SET: Mapping[str, Mapping[str, str]] = {
    "JupyterHub": {
        "load_roles": "Use `hub.roles`, and `hub.services` with their scopes.",
        "services": "Use `hub.services`.",
        "api_tokens": "Use `hub.services`.",
        "base_url": "Use `hub.base_url`.",
        "ip": "Use `hub.bind_url`.",
        "port": "Use `hub.bind_url`.",
        "hub_ip": "Use `hub.hub_bind_url`.",
        "hub_port": "Use `hub.hub_bind_url`.",
        "hub_connect_ip": "Use `hub.hub_connect_url`.",
        "hub_connect_port": "Use `hub.hub_connect_url`.",
        "config_file": _OF_COMMAND_LINE,
        "generate_config": _OF_COMMAND_LINE,
        "show_config": "`xnathub show` shows every setting: delete it.",
        "show_config_json": "`xnathub show` shows every setting: delete it.",
        "generate_certs": _OF_INTERNAL_SSL,
        "hub_routespec": "The hub would wait for a route that its proxy never has: delete it.",
        "reset_db": "All users and servers would be forgotten at each start: delete it.",
        # Such cookies go to all of the host, XNAT too, and the gate takes none of that name from servers.
        "cookie_host_prefix_enabled": "With TLS the cookies that count have such names already: delete it.",
        "authenticator_class": "XNAT says who signs in: delete it. `sign_in` has the keys for it.",
        "spawner_class": "Use `orchestrator`.",
        "proxy_class": "No other proxy keeps users' servers from other people's browsers: delete it.",
        **dict.fromkeys(("template_paths", "template_vars"), "Use `pages`."),
        "log_level": "Use `logging.level`.",
        "logging_config": "Use `logging.format`.",
        "ssl_cert": "Use `hub.tls.cert`.",
        "ssl_key": "Use `hub.tls.key`.",
        "tornado_settings": "The hub's own headers and time limits are set there, by `hub.public_url`: delete it.",
        "cleanup_servers": "Servers go on without the hub wherever they can: delete it.",
        "api_page_max_limit": "XNAT's plugin asks for all users at once: delete it.",
        "trust_user_provided_tokens": "All tokens of this file are looked at, that they are random: delete it.",
    },
    "ConfigurableHTTPProxy": {
        "pid_file": "A file that is kept may hold the number of an earlier container's proxy: delete it."
    },
    "Authenticator": {
        "admin_users": "Use `hub.admin_users`.",
        "allow_all": "XNAT says who may sign in: use `sign_in.role`.",
        "auth_refresh_strict": "Tokens never outlive the permission here: delete it. How often XNAT is asked is `sign_in.auth_refresh_age`.",
        "auto_login": "The page that asks for the password would be gone: delete it. Who is signed in to XNAT is let in without it, by `sign_in.xnat_session`.",
        # XNAT's names would be no users of the hub's, while XNAT's pages still start their servers.
        "username_pattern": "Use `sign_in.role`, and give that role in XNAT.",
    },
    "Spawner": {
        "image": "XNAT says which, by its Jupyter environment; `servers.allowed_images` says which may be. Delete it.",
        "allowed_images": "Use `servers.allowed_images`.",
        **dict.fromkeys(
            ("profile_list", "options_form", "options_from_form", "apply_user_options"), _PAGES_ASK
        ),
        "pre_spawn_hook": "XNAT is asked there before each start: delete it.",
        "post_stop_hook": "What a stop leaves is looked at there: delete it.",
        "cmd": _COMMAND,
        "environment": "Use `servers.environment`.",
        **dict.fromkeys(("mounts", "volumes", "volume_mounts", "read_only_volumes"), _MOUNTS),
        **dict.fromkeys(("escape", "name_template", "pod_name_template", "format_volume_name"), _NAMES),
        "cpu_limit": "Use `servers.cpu_limit`.",
        "cpu_guarantee": "Use `servers.cpu_guarantee`.",
        "mem_limit": "Use `servers.mem_limit`.",
        "mem_guarantee": "Use `servers.mem_guarantee`.",
        **dict.fromkeys(
            ("extra_resources_spec", "extra_resource_limits", "extra_resource_guarantees"), _OF_XNAT
        ),
        "node_selector": "Use `orchestrator.kubernetes.node_selector`.",
        "tolerations": "Use `orchestrator.kubernetes.tolerations`.",
        "node_affinity_required": "Use `orchestrator.kubernetes.node_selector`, or `KubeSpawner.node_affinity_preferred`.",
        "extra_placement_spec": "Use `orchestrator.swarm.placement_constraints`.",
        **dict.fromkeys(
            ("extra_container_spec", "extra_task_spec", "extra_create_kwargs", "extra_host_config"),
            _RAW_PARTS,
        ),
        "remove": "A container that stayed would come back with the mounts and the token of its first start: delete it.",
        "uid": "Use `servers.uid`.",
        **dict.fromkeys(("gid", "fs_gid", "supplemental_gids"), "Use `servers.gid`."),
        "allow_privilege_escalation": "Use `servers.security.no_new_privileges`.",
        **dict.fromkeys(("pod_security_context", "container_security_context"), "Use `servers.security`."),
    },
}
"""Traits that would end JupyterHub, go round site.yaml or be overwritten, by class, besides those that a key sets by its own name."""
