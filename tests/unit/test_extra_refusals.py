"""A refusal under `extra` leads on: to a key that this orchestrator has, to a trait that is taken, or to why there is neither."""

import re

import pytest

from tests.unit.test_extra_effects import SECTIONS, said
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.old_names import what_to_do
from xnathub_conf.site.schema import jupyterhub_names, node_at

TRAITS = jupyterhub_names()["traits"]
SPAWNERS = {kind.spawner for kind in kinds().values()}

KEYS = {
    "JupyterHub": {
        "allow_named_servers": "hub.allow_named_servers", "api_tokens": "hub.services", "authenticator_class": "sign_in", "base_url": "hub.base_url",
        "bind_url": "hub.bind_url", "concurrent_spawn_limit": "servers.concurrent_starts", "cookie_secret": "hub.cookie_secret", "db_url": "hub.db_url",
        "hub_bind_url": "hub.hub_bind_url", "hub_connect_ip": "hub.hub_connect_url",
        "hub_connect_port": "hub.hub_connect_url", "hub_connect_url": "hub.hub_connect_url", "hub_ip": "hub.hub_bind_url",
        "hub_port": "hub.hub_bind_url", "ip": "hub.bind_url", "load_roles": "hub.roles", "log_level": "logging.level", "logging_config": "logging.format",
        "logo_file": "pages.logo", "named_server_limit_per_user": "hub.named_server_limit_per_user", "port": "hub.bind_url", "public_url": "hub.public_url",
        "services": "hub.services", "shutdown_on_logout": "hub.shutdown_on_logout", "spawner_class": "orchestrator", "ssl_cert": "hub.tls.cert",
        "ssl_key": "hub.tls.key", "template_paths": "pages", "template_vars": "pages", "token_expires_in_max_seconds": "sign_in.token_days",
        "tornado_settings": "hub.public_url", "trusted_downstream_ips": "hub.trusted_proxies", "upgrade_db": "hub.upgrade_db",
    },
    "Authenticator": {
        "admin_users": "hub.admin_users", "allow_all": "sign_in.role", "allow_existing_users": "sign_in.role", "allowed_users": "sign_in.role",
        "any_allow_config": "sign_in.role", "auth_refresh_age": "sign_in.auth_refresh_age", "auth_refresh_strict": "sign_in.auth_refresh_age", "auto_login": "sign_in.xnat_session",
        "username_pattern": "sign_in.role",
    },
    "ConfigurableHTTPProxy": {},
    "Spawner": {
        "allow_privilege_escalation": "servers.security.no_new_privileges", "allowed_images": "servers.allowed_images",
        "container_security_context": "servers.security", "default_url": "servers.default_url", "environment": "servers.environment",
        "extra_task_spec": "servers.security", "extra_resource_guarantees": "servers.caps", "extra_resource_limits": "servers.caps", "extra_resources_spec": "servers.caps",
        "fs_gid": "servers.gid", "gid": "servers.gid", "group_overrides": "servers",
        "http_timeout": "servers.http_timeout", "image": "servers.allowed_images", "mounts": "servers.mounts",
        "pod_security_context": "servers.security", "read_only_volumes": "servers.mounts", "start_timeout": "servers.start_timeout",
        "supplemental_gids": "servers.gid", "uid": "servers.uid", "volume_mounts": "servers.mounts", "volumes": "servers.mounts",
    },
}  # fmt: skip
"""The key that stands for a trait, on every orchestrator."""

ENGINE = {
    "client_kwargs": "docker_host", "extra_create_kwargs": "servers.uid", "extra_host_config": "servers.shm_size", "name_template": "prefix",
    "network_name": "network_name", "prefix": "prefix", "delete_grace_period": "servers.stop_timeout", "image_pull_secrets": "servers.registry_logins",
    "init_containers": "servers.mounts", "namespace": "prefix",
}  # fmt: skip
AMOUNTS = {f"{what}_{kind}": f"servers.{what}_{kind}" for what in ("cpu", "mem") for kind in ("limit", "guarantee")}  # fmt: skip
OF_ONE = {
    "docker": AMOUNTS | ENGINE | {"pull_policy": "pull_policy", "image_pull_policy": "pull_policy", "extra_container_spec": "servers.mounts"},
    "swarm": AMOUNTS | ENGINE | {
        "extra_container_spec": "dns", "extra_placement_spec": "placement_constraints", "extra_task_spec": "placement_constraints", "links": "networks",
        "node_affinity_required": "placement_constraints", "node_selector": "placement_constraints", "tolerations": "placement_constraints",
        "volume_driver": "servers.mounts", "volume_driver_options": "servers.mounts",
    },
    "kubernetes": AMOUNTS | {
        "delete_grace_period": "servers.stop_timeout", "extra_container_spec": "servers.security", "extra_create_kwargs": "servers.environment",
        "extra_host_config": "servers.shm_size", "extra_placement_spec": "node_selector", "image_pull_policy": "image_pull_policy",
        "image_pull_secrets": "image_pull_secrets", "namespace": "namespace", "node_affinity_required": "node_selector",
        "node_selector": "node_selector", "pull_policy": "image_pull_policy", "tolerations": "tolerations",
        "mounts": "claims", "volumes": "claims", "volume_mounts": "claims", "read_only_volumes": "claims",
    },
    "local": {
        **dict.fromkeys(("allow_privilege_escalation", "allowed_images", "container_security_context", "extra_task_spec", "fs_gid", "gid", "image")),
        **dict.fromkeys(("pod_security_context", "supplemental_gids", "uid")),
        "delete_grace_period": "servers.stop_timeout", "home_dir_template": "directory",
        "interrupt_timeout": "servers.stop_timeout", "term_timeout": "servers.stop_timeout", "working_dir": "directory",
    },
}  # fmt: skip
"""The key for a spawner's trait on one of them, below its own section where it has no dot; None for what has no key there."""

ONE_VALUE = {"internal_ssl", "privileged"}
"""Traits of which one value is refused, with what that needs."""

EVERY_TRAIT = [(cls, name) for cls, names in TRAITS.items() for name in names]


def key_for(orchestrator, cls, name):
    """Return the key that is to stand in a refusal, or None."""
    if cls not in SPAWNERS:
        return KEYS[cls].get(name)
    key = OF_ONE[orchestrator].get(name, KEYS["Spawner"].get(name))
    return f"orchestrator.{orchestrator}.{key}" if key and "." not in key and key != "servers" else key


def value_for(orchestrator, cls, name):
    """Return a value that the trait takes, as far as one of these fits."""
    for value in ({}, [], 1, "x", True, None):
        if not any("expected" in each.message for each in said(orchestrator, {f"{cls}.{name}": value})):
            return value
    return {}


def refusals(orchestrator, cls, name):
    return [
        each
        for each in said(orchestrator, {f"{cls}.{name}": value_for(orchestrator, cls, name)})
        if each.severity == "error" and each.rule == "extra" and "expected" not in each.message
    ]


def check_fix(orchestrator, fix):
    """Hold that all a remedy names is there, and that it is more than to delete something."""
    named = re.findall(r"`([A-Za-z_.]+)`", fix)
    for each in named:
        cls, _, name = each.partition(".")
        if cls in TRAITS:
            assert not refusals(orchestrator, cls, name), fix
        else:
            path = tuple(each.split("."))
            assert node_at(path), fix
            assert path[0] != "orchestrator" or path[1:2] in {(), (orchestrator,)}, fix
    assert named or len(fix) > len("Delete it.") + 10, fix
    return named


@pytest.mark.parametrize("orchestrator", SECTIONS)
@pytest.mark.parametrize("cls", TRAITS)
def test_every_refusal_names_the_key_to_use_or_says_why_there_is_none(orchestrator, cls):
    told = 0
    for name in TRAITS[cls]:
        key = key_for(orchestrator, cls, name)
        for each in refusals(orchestrator, cls, name):
            told += 1
            named = check_fix(orchestrator, each.fix)
            taken = f"{kinds()[orchestrator].spawner}.{name}"
            assert key is None or key in named or taken in named, f"{cls}.{name}: {each.fix}"
            # Whatever else has a key has it in the table above.
            assert key or not {one for one in named if one.split(".")[0] not in TRAITS}, f"{cls}.{name}: {each.fix}"  # fmt: skip
    assert told or (orchestrator, cls) == ("local", "ConfigurableHTTPProxy")


@pytest.mark.parametrize("orchestrator", SECTIONS)
def test_no_suggestion_for_a_slip_of_a_name_is_refused_in_turn(orchestrator):
    for cls, name in (each for each in EVERY_TRAIT if each[1] not in ONE_VALUE):
        for slip in (f"{cls}.{name}s", f"{cls}x.{name}", f"Spawner.{name}", f"LocalAuthenticator.{name}"):
            if slip.partition(".")[2] in TRAITS.get(slip.partition(".")[0], ()):
                continue
            for each in said(orchestrator, {slip: {}}):
                if each.rule == "extra" and "`" in each.fix:
                    check_fix(orchestrator, each.fix)


@pytest.mark.parametrize("orchestrator", SECTIONS)
def test_a_trait_elsewhere_in_the_file_is_led_where_it_may_stand(orchestrator):
    for cls, name in EVERY_TRAIT:
        fix = what_to_do(f"c.{cls}.{name}")
        if name not in ONE_VALUE and (moved := re.fullmatch(r"Move it to `extra:`, as `(.*)`\.", fix)):
            kind = next((kind for kind in kinds().values() if kind.spawner == cls), kinds()[orchestrator])
            assert not refusals(kind.key, *moved[1].split(".")), fix
        else:
            assert fix.startswith(("Write it into the command", "Names are made")) or re.search(
                "`|elete it", fix
            )


@pytest.mark.parametrize(
    ("orchestrator", "trait", "fix"),
    [
        ("swarm", "KubeSpawner.storage_class", "SwarmSpawner starts servers here, and has no storage_class: delete it."),
        ("docker", "KubeSpawner.poll_interval", "Did you mean `DockerSpawner.poll_interval`?"),
        ("docker", "KubeSpawner.volumes", "Use `servers.mounts`: "),
        ("swarm", "Spawner.cpu_limit", "Use `servers.cpu_limit`."),
        ("swarm", "Spawner.no_such", "SwarmSpawner starts servers here, and has no no_such: delete it."),
        ("swarm", "GitHubOAuthenticator.client_id", "XNAT says who signs in: "),
        ("swarm", "LocalAuthenticator.admin_users", "Use `hub.admin_users`."),
        ("swarm", "JupyterHub.service", "Did you mean services? Use `hub.services`."),
        ("swarm", "NoSuch.thing", "Known here: JupyterHub,"),
    ],
)  # fmt: skip
def test_a_class_that_this_hub_has_not_leads_on_all_the_same(orchestrator, trait, fix):
    (problem,) = said(orchestrator, {trait: 1})
    assert problem.fix.startswith(fix)


@pytest.mark.parametrize(
    ("orchestrator", "trait", "fix"),
    [
        ("swarm", "JupyterHub.services", "Use `hub.services`."),
        ("kubernetes", "JupyterHub.load_roles", "Use `hub.roles`, and `hub.services` with their scopes."),
        ("kubernetes", "KubeSpawner.node_selector", "Use `orchestrator.kubernetes.node_selector`."),
        ("docker", "DockerSpawner.volumes", "Use `servers.mounts`: for every server, or for those of an image or a project."),
        ("docker", "KubeSpawner.environment", "Use `servers.environment`."),
        ("docker", "KubeSpawner.start_timeout", "Use `servers.start_timeout`."),
        ("docker", "KubeSpawner.poll_interval", "Did you mean `DockerSpawner.poll_interval`?"),
        ("docker", "KubeSpawner.node_selector", "DockerSpawner starts servers here, and has no node_selector: delete it."),
        ("swarm", "Spawner.cpu_limit", "Use `servers.cpu_limit`."),
        ("swarm", "JupyterHub.bindurl", "Did you mean bind_url? Use `hub.bind_url`."),
        ("swarm", "JupyterHub.qqq", "Look for its name in the class's documentation."),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_write_instead(orchestrator, trait, fix):
    assert fix in [each.fix for each in said(orchestrator, {trait: 1})]
