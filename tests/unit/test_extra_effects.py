"""Every setting of a spawner that `extra` may set has its effect; all others are refused, or warned of where they take rights."""

import pytest

from tests.unit.helpers import problems_of, site_text
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.problems import dotted
from xnathub_conf.site.schema import jupyterhub_names

SECTIONS = {
    "swarm": {},
    "docker": {},
    "kubernetes": {"claims": [{"path": "/data/xnat", "claim_name": "xnat"}], "namespace": "x"},
    "local": {"directory": "/x"},
}

OF_JUPYTERHUB = {
    "auth_state_hook", "consecutive_failure_limit", "debug", "disable_user_config", "env_keep", "hub_connect_url", "ip", "notebook_dir",
    "oauth_client_allowed_scopes", "oauth_roles", "poll_interval", "poll_jitter", "progress_ready_hook", "server_token_scopes",
}  # fmt: skip
"""What JupyterHub itself does with every spawner: variables of the server, its tokens, and how often it is looked at."""

OF_THE_SPAWNER = {
    # The user's environment and shell.
    "local": {"kill_timeout", "popen_kwargs", "port", "shell_cmd"},
    # How a container is reached, and what DockerSpawner does before and after its start.
    "docker": {
        "host_ip", "links", "port", "post_start_cmd", "tls_config", "use_internal_hostname", "use_internal_ip",
    },
    "swarm": {"port", "pull_policy", "tls_config"},
    "kubernetes": {
        # tests/kubernetes/test_kubernetes_adapter.py looks at what these come to in a pod.
        "automount_service_account_token", "common_labels", "component_label", "extra_annotations", "extra_container_config", "extra_containers",
        "extra_labels", "extra_pod_config", "init_containers", "lifecycle_hooks", "node_affinity_preferred", "pod_affinity_preferred",
        "pod_affinity_required", "pod_anti_affinity_preferred", "pod_anti_affinity_required", "port", "priority_class_name", "scheduler_name",
        "service_account", "working_dir",
        # How KubeSpawner calls the API, what it tells meanwhile, and what else it makes and removes beside the pod.
        "after_pod_created_hook", "delete_pvc", "delete_stopped_pods", "dns_name_template", "enable_user_namespaces", "events_enabled", "get_pod_url",
        "handle_legacy_names", "k8s_api_host", "k8s_api_request_retry_timeout", "k8s_api_request_timeout", "k8s_api_ssl_ca_cert", "k8s_api_verify_ssl",
        "modify_pod_hook", "pod_connect_ip", "pvc_name_template", "remember_pvc_name", "services_enabled",
        "slow_spawn_message", "slow_spawn_message_frequency", "slow_spawn_message_threshold", "slug_scheme", "storage_access_modes",
        "storage_capacity", "storage_class", "storage_extra_annotations", "storage_extra_labels", "storage_pvc_ensure", "storage_selector",
        "user_namespace_annotations", "user_namespace_labels", "user_namespace_template",
    },
}  # fmt: skip


OF_THE_REST = {
    # tests/hub looks at what many of these do; those of numbers and formats are JupyterHub's own affair.
    "JupyterHub": {
        "active_server_limit", "active_user_window", "activity_resolution", "allow_existing_invalid_named_servers", "api_page_default_limit",
        "authenticate_prometheus", "cleanup_proxy", "cookie_max_age_days", "cookie_secret_file", "custom_scopes", "data_files_path", "db_kwargs",
        "debug_db", "default_server_name", "default_url", "extra_handlers", "extra_log_file", "extra_log_handlers", "extra_user_scopes", "forwarded_host_header",
        "implicit_spawn_seconds", "init_spawners_timeout", "jinja_environment_options", "last_activity_interval", "load_groups",
        "log_datefmt", "log_format", "oauth_require_pkce", "oauth_token_expires_in", "pid_file", "redirect_to_server", "service_tokens",
        "subdomain_hook", "subdomain_host", "use_legacy_stopped_server_status_code", "user_redirect_hook",
    },
    # `render` refuses those that only a hub needs which starts its proxy itself.
    "ConfigurableHTTPProxy": {
        "api_url", "auth_token", "check_running_interval", "command", "command_umask", "concurrency", "debug", "extra_routes", "log_level",
        "should_start",
    },
    "Authenticator": {
        "auto_login_oauth2_authorize", "blocked_users", "delete_invalid_users", "enable_auth_state", "manage_groups", "manage_roles", "post_auth_hook",
        "reconcile_auth_state_hook", "refresh_pre_spawn", "refresh_pre_stop", "reset_managed_roles_on_startup",
    },
}  # fmt: skip
"""The traits of the hub, its proxy and its sign-in that `extra` may set, on every orchestrator."""


def said(orchestrator, extra, **more):
    return problems_of(
        site_text(
            orchestrator={orchestrator: SECTIONS[orchestrator] | more},
            servers__allowed_mounts=[{"path": "/data/xnat"}],
            extra=extra,
        )
    )


def accepted(orchestrator, cls, *refusals):
    """Return the names of a class that are not refused in one of these words."""
    return {
        name
        for name in jupyterhub_names()["traits"][cls]
        if not any(
            text in each.message for text in refusals for each in said(orchestrator, {f"{cls}.{name}": 1})
        )
    }


@pytest.mark.parametrize("orchestrator", SECTIONS)
def test_every_setting_has_an_effect_or_is_refused(orchestrator):
    cls = kinds()[orchestrator].spawner
    refusals = "decided elsewhere", "has no effect", "A privileged server"
    assert accepted(orchestrator, cls, *refusals) == OF_JUPYTERHUB | OF_THE_SPAWNER[orchestrator]


@pytest.mark.parametrize("orchestrator", SECTIONS)
@pytest.mark.parametrize("cls", OF_THE_REST)
def test_every_other_setting_has_an_effect_or_is_refused(orchestrator, cls):
    refusals = "decided elsewhere", "has no effect", "don't reach servers"
    # Where the hub starts no process beside it, it says where that file is.
    of_local = {"pid_file"} if (orchestrator, cls) == ("local", "ConfigurableHTTPProxy") else set()
    assert accepted(orchestrator, cls, *refusals) == OF_THE_REST[cls] | of_local
    assert set(jupyterhub_names()["traits"]) == {*OF_THE_REST, *{kind.spawner for kind in kinds().values()}}


@pytest.mark.parametrize(
    ("orchestrator", "trait", "instead"),
    [
        ("swarm", "Authenticator.allowed_users", "`sign_in.role`"),
        ("docker", "Authenticator.username_map", "the names that they have in XNAT"),
        ("kubernetes", "JupyterHub.trusted_downstream_ips", "`hub.trusted_proxies`"),
        ("swarm", "SwarmSpawner.extra_endpoint_spec", "delete it"),
        ("swarm", "SwarmSpawner.volume_driver", "`servers.mounts`"),
        ("docker", "DockerSpawner.args", "XNAT's Jupyter environment"),
        ("local", "SimpleLocalProcessSpawner.home_dir_template", "`orchestrator.local.directory`"),
        ("kubernetes", "KubeSpawner.profile_form_template", "XNAT's pages"),
        ("kubernetes", "KubeSpawner.secret_mount_path", "JupyterHub.internal_ssl"),
        ("swarm", "JupyterHub.trusted_alt_names", "JupyterHub.internal_ssl"),
        ("docker", "DockerSpawner.ssl_alt_names", "JupyterHub.internal_ssl"),
    ],
)
def test_a_setting_without_an_effect_is_refused_with_what_to_do_instead(orchestrator, trait, instead):
    (problem,) = (each for each in said(orchestrator, {trait: {}}) if each.severity == "error")
    assert problem.message == f"{trait} has no effect here."
    assert instead in problem.fix


RESTRICTED = {
    "allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


def container(**rights):
    return {"name": "a", "image": "b", "securityContext": rights}


@pytest.mark.parametrize(
    ("trait", "value", "places"),
    [
        ("extra_pod_config", {"hostPID": True}, ["hostPID"]),
        ("extra_pod_config", {"host_network": True, "hostIPC": False}, ["host_network"]),
        ("extra_pod_config", {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/"}}]}, ["volumes[1].hostPath"]),
        ("extra_pod_config", {"initContainers": [container(**RESTRICTED | {"runAsUser": 0})]}, ["initContainers[0].securityContext.runAsUser"]),
        ("extra_pod_config", {"initContainers": [{"name": "a", "image": "b"}]}, ["initContainers[0]"]),
        ("extra_pod_config", {"initContainers": [container(**RESTRICTED)]}, []),
        ("extra_pod_config", {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}, ["securityContext.sysctls[0]"]),
        ("extra_pod_config", {"securityContext": {"seLinuxOptions": {"user": "root", "level": "s0"}}}, ["securityContext.seLinuxOptions.user"]),
        ("extra_pod_config", {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, ["securityContext.seccompProfile.type"]),
        ("extra_pod_config", {"shareProcessNamespace": True, "hostname": "a"}, []),
        ("extra_container_config", {"ports": [{"containerPort": 1, "hostPort": 2}]}, ["ports[0].hostPort"]),
        ("extra_container_config", {"securityContext": {"procMount": "Unmasked"}}, ["securityContext.procMount"]),
        ("init_containers", {"a": container(**RESTRICTED | {"privileged": True})}, ["a.securityContext.privileged"]),
        ("extra_containers", [container(**RESTRICTED | {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}})], ["[0].securityContext.capabilities.add"]),
    ],
)  # fmt: skip
def test_what_takes_pods_below_restricted_is_warned_of(trait, value, places):
    found = said("kubernetes", {f"KubeSpawner.{trait}": value})
    here = f'extra["KubeSpawner.{trait}"]'
    assert [(each.rule, each.severity) for each in found] == [("pod-level", "warning")] * len(places)
    assert [dotted(each.path) for each in found] == [
        f"{here}{place}" if place.startswith("[") else f"{here}.{place}" for place in places
    ]


@pytest.mark.parametrize(
    ("extra", "refused"),
    [
        ({"KubeSpawner.service_account": "hub"}, True),
        ({"KubeSpawner.extra_pod_config": {"serviceAccountName": "hub", "hostname": "a"}}, True),
        ({"KubeSpawner.extra_pod_config": {"service_account_name": "hub"}}, True),
        ({"KubeSpawner.service_account": "dask"}, False),
        ({"KubeSpawner.extra_pod_config": {"serviceAccountName": "dask"}}, False),
    ],
)
def test_the_hub_s_own_account_is_for_no_server(extra, refused):
    found = said("kubernetes", extra)
    assert [(each.rule, each.severity) for each in found] == ([("extra", "error")] if refused else [])


def test_a_privileged_server_is_refused_where_it_could_not_start_and_warned_of_where_it_could():
    privileged = {"KubeSpawner.privileged": True}
    (refused,) = said("kubernetes", privileged)
    assert (refused.rule, refused.severity) == ("extra", "error")
    assert "no_new_privileges: false" in refused.fix
    text = site_text(
        orchestrator={"kubernetes": SECTIONS["kubernetes"] | {"start_as_root": True}},
        servers__allowed_mounts=[{"path": "/data/xnat"}],
        servers__security={"no_new_privileges": False},
        extra=privileged,
    )
    assert [(each.rule, each.severity) for each in problems_of(text)] == [
        ("less-protected", "warning"),
        ("pod-level", "warning"),
    ]


@pytest.mark.parametrize("orchestrator", SECTIONS)
def test_certificates_between_hub_and_servers_are_refused_with_what_encrypts_instead(orchestrator):
    (problem,) = said(orchestrator, {"JupyterHub.internal_ssl": True})
    assert (problem.rule, problem.severity) == ("extra", "error")
    assert "don't reach servers" in problem.message
    assert "WireGuard" in problem.fix
    assert not said(orchestrator, {"JupyterHub.internal_ssl": False})


CONFIG = {"name": "a", "emptyDir": {"sizeLimit": 5}}


@pytest.mark.parametrize(
    ("trait", "value", "place", "told"),
    [
        ("extra_pod_config", {"volumes": {"a": CONFIG}}, ".volumes", "Found keys below it; expected a list."),
        ("extra_pod_config", {"SecurityContext": {}}, ".SecurityContext", "There is no such key."),
        ("extra_pod_config", {"securityContext": "a"}, ".securityContext", 'Found "a"; expected keys below it.'),
        ("extra_pod_config", {"volumes": [{"name": "a", "persistent_volume_claim": {"claimName": "a"}}]}, ".volumes[0].persistent_volume_claim", "There is no such key."),
        ("extra_pod_config", {"affinity": {"pod_anti_affinity": {}}}, ".affinity.pod_anti_affinity", "There is no such key."),
        ("extra_pod_config", {"nodeSelector": {"a": True}}, ".nodeSelector.a", "Found true; expected text."),
        ("extra_pod_config", {"nodeSelector": ["a"]}, ".nodeSelector", "Found a list of 1; expected keys below it."),
        ("extra_pod_config", {"hostname": 1}, ".hostname", "Found 1; expected text."),
        ("extra_container_config", {"env": {"A": "b"}}, ".env", "Found keys below it; expected a list."),
        ("extra_container_config", {"env": [{"name": "A", "value": 5}]}, ".env[0].value", "Found 5; expected text."),
        ("extra_container_config", {"volume_mounts": [{"name": "a", "mount_path": "/a"}]}, ".volume_mounts[0].mount_path", "There is no such key."),
        ("extra_container_config", {"ports": [{"containerPort": "80"}]}, ".ports[0].containerPort", 'Found "80"; expected a whole number.'),
        ("extra_containers", {"b": container(**RESTRICTED) | {"cmd": ["a"]}}, ".b.cmd", "There is no such key."),
        ("init_containers", [container(**RESTRICTED) | {"command": "a"}], "[0].command", 'Found "a"; expected a list.'),
        ("lifecycle_hooks", {"preStop": {"execute": {}}}, ".preStop.execute", "There is no such key."),
        ("pod_affinity_required", [{"topology": "a"}], "[0].topology", "There is no such key."),
    ],
)  # fmt: skip
def test_what_is_no_part_of_a_pod_is_told_where_it_stands(trait, value, place, told):
    (problem,) = said("kubernetes", {f"KubeSpawner.{trait}": value})
    assert (dotted(problem.path), problem.message) == (f'extra["KubeSpawner.{trait}"]{place}', told)
    assert problem.severity == "error"


def test_what_pods_are_made_of_is_taken():
    extra = {
        "extra_pod_config": {
            "volumes": [CONFIG, {"name": "c", "persistentVolumeClaim": {"claimName": "c"}}],
            "security_context": {"supplementalGroups": [7], "fsGroupChangePolicy": None},
            "nodeSelector": {"disk": "ssd"},
            "dns_config": {"options": [{"name": "ndots", "value": "1"}]},
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
            ],
            "resources": {"limits": {"cpu": 2, "memory": "1Gi"}},
        },
        "extra_container_config": {
            "volume_mounts": [{"name": "a", "mountPath": "/a"}],
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}}],
            "livenessProbe": {"httpGet": {"path": "/", "port": "web"}},
        },
        "init_containers": {"a": container(**RESTRICTED) | {"volume_mounts": []}},
        "lifecycle_hooks": {"pre_stop": {"exec": {"command": ["a"]}}},
    }
    assert said("kubernetes", {f"KubeSpawner.{name}": value for name, value in extra.items()}) == []
    assert said("local", {}) == []


@pytest.mark.parametrize("orchestrator", SECTIONS)
@pytest.mark.parametrize(
    ("trait", "bad", "good"),
    [
        ("JupyterHub.active_server_limit", -5, 0), ("JupyterHub.cookie_max_age_days", -1, 0.5), ("JupyterHub.oauth_token_expires_in", 99999999999, 3600),
        ("JupyterHub.init_spawners_timeout", -2, -1), ("JupyterHub.last_activity_interval", 0, 1), ("ConfigurableHTTPProxy.check_running_interval", 0, 5),
        ("JupyterHub.api_page_default_limit", 0, 50), ("SPAWNER.consecutive_failure_limit", -1, 0), ("SPAWNER.poll_interval", -30, 0), ("SPAWNER.port", 70000, 8888),
        ("Authenticator.post_auth_hook", "x", None), ("Authenticator.reconcile_auth_state_hook", "x", None), ("SPAWNER.progress_ready_hook", "x", None),
    ],
)  # fmt: skip
def test_values_with_which_nobody_could_work_are_refused(orchestrator, trait, bad, good):
    trait = trait.replace("SPAWNER", kinds()[orchestrator].spawner)
    (problem,) = said(orchestrator, {trait: bad})
    assert (problem.path, problem.severity) == (("extra", trait), "error")
    assert problem.message.startswith(
        f"Found {bad if isinstance(bad, int) else repr(bad).replace(chr(39), chr(34))}; expected "
    )
    assert not said(orchestrator, {trait: good})


@pytest.mark.parametrize(
    ("extra", "rule"),
    [
        ({"KubeSpawner.extra_labels": {"component": "hub", "app": "x"}}, "extra"),
        ({"KubeSpawner.extra_labels": {"app.kubernetes.io/component": "proxy"}}, "extra"),
        ({"KubeSpawner.extra_labels": {"hub.jupyter.org/network-access-proxy-api": "true"}}, "extra"),
        ({"KubeSpawner.common_labels": {"component": "hub"}}, "extra"),
        ({"KubeSpawner.component_label": "hub"}, "extra"),
        ({"KubeSpawner.component_label": "x"}, "less-protected"),
        ({"KubeSpawner.component_label": "singleuser-server"}, None),
        ({"KubeSpawner.extra_labels": {"component.of": "hub", "team": "hub"}}, None),
    ],
)
def test_no_label_makes_a_server_something_else_to_network_policies(extra, rule):
    assert [each.rule for each in said("kubernetes", extra)] == [rule] * (rule is not None)


def test_no_container_has_the_name_of_the_server_s_own():
    taken = {"KubeSpawner.extra_containers": [container(**RESTRICTED) | {"name": "notebook"}]}
    (problem,) = said("kubernetes", taken)
    assert dotted(problem.path) == 'extra["KubeSpawner.extra_containers"][0].name'
    assert not said("kubernetes", {"KubeSpawner.extra_containers": [container(**RESTRICTED)]})


@pytest.mark.parametrize(
    ("orchestrator", "extra", "place"),
    [
        ("swarm", {"ConfigurableHTTPProxy.auth_token": "0123456789abcdef" * 2}, ""),
        ("docker", {"JupyterHub.service_tokens": {"0123456789abcdef" * 2: "x"}}, ""),
        (
            "kubernetes",
            {"KubeSpawner.extra_container_config": {"env": [{"name": "A", "value": "b"}], "tty": True}},
            None,
        ),
        (
            "local",
            {"SimpleLocalProcessSpawner.popen_kwargs": {"env": {"API_KEY": "x", "B": "c"}}},
            ".env.API_KEY",
        ),
    ],
)
def test_a_secret_in_extra_is_warned_of(orchestrator, extra, place):
    found = [each for each in said(orchestrator, extra) if each.rule == "literal-secret"]
    (trait,) = extra
    assert [(dotted(each.path), each.severity) for each in found] == [
        (f'extra["{trait}"]{place}', "warning")
    ] * (place is not None)


@pytest.mark.parametrize(
    ("trait", "value", "key"),
    [
        ("subdomain_host", "https://x.example.org", "hub.user_subdomains"),
        ("authenticate_prometheus", False, "hub.metrics_token"),
    ],
)
def test_what_a_key_of_the_site_does_is_left_to_it(trait, value, key):
    (problem,) = said("swarm", {f"JupyterHub.{trait}": value})
    assert (problem.rule, problem.fix) == ("use-key", f"Use `{key}`.")


@pytest.mark.parametrize(
    ("trait", "value", "key"),
    [
        ("Authenticator.username_pattern", "^x$", "sign_in.role"),
        ("JupyterHub.hub_routespec", "/x", "never has: delete it"),
    ],
)
def test_what_would_keep_everybody_out_is_refused(trait, value, key):
    (problem,) = said("swarm", {trait: value})
    assert (problem.rule, problem.severity) == ("extra", "error")
    assert key in problem.fix


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("admin:users", "admin:users!user"), ("access:servers", "access:services"), ("servers", "servers!user=demo"), ("shutdown", "read:hub"),
        ("delete:servers", "list:services"), ("users:activity", "users:activity!user"),
    ],
)  # fmt: skip
def test_what_everybody_may_do_to_everybody_is_warned_of(bad, good):
    (problem,) = said("swarm", {"JupyterHub.extra_user_scopes": ["read:hub", bad]})
    assert (problem.rule, problem.path[-1], problem.severity) == ("less-protected", 1, "warning")
    assert not said("swarm", {"JupyterHub.extra_user_scopes": ["read:hub", good]})


@pytest.mark.parametrize("value", [{"a": {"b": []}}, [{}], [], {}, 5, False])
def test_a_hook_of_any_form_is_no_code(value):
    (problem,) = said("swarm", {"Authenticator.post_auth_hook": value})
    assert (problem.rule, problem.severity) == ("extra", "error")


@pytest.mark.parametrize("trait", ["extra_labels", "common_labels", "component_label", "extra_containers"])
@pytest.mark.parametrize(
    "value", [{"component": {"a": "b"}}, {"component": [{}]}, [{"a": {}}], [[]], {"name": {}}]
)
def test_values_of_no_sensible_form_are_told_of(trait, value):
    assert said("kubernetes", {f"KubeSpawner.{trait}": value})
