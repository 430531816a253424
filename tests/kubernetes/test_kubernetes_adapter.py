"""The kubernetes adapter by itself, without a cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.client.exceptions import ApiException
from traitlets.config import Config

from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.launch.plan import Constraint, LaunchPlan, Mount
from xnathub_conf.launch.policy import PolicyRefusal
from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError
from xnathub_conf.site.types import Claim, Site
from xnathub_conf.spawners import spawner_class
from xnathub_conf.spawners.kubernetes_failures import pod_problem, refusal_of
from xnathub_conf.spawners.kubernetes_pod import (
    MOST_BYTES,
    claim_volumes,
    extended_resources,
    node_expressions,
    with_expressions,
)

SITE = """\
version: 1
xnat: {url: "https://xnat.example.org", service_account: {password: {env: X}}}
hub: {api_token: {env: TOKEN}}
servers: {uid: 5001, gid: 6001, allowed_images: ["xnat/*"]}
orchestrator:
  kubernetes:
    claims: [{path: /data/xnat, claim_name: xnat}, {path: /data/xnat/archive, claim_name: archive}]
    node_selector: {zone: a}
    tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}]
"""
PLAN = LaunchPlan(
    username="alice",
    server_name="",
    item=MappingProxyType({"projectId": "P {1}", "itemId": "X"}),
    image="xnat/lab:1",
    command=None,
    environment=MappingProxyType({"A": "{username}"}),
    mounts=(
        Mount("bind", "/data/xnat/workspaces/users/alice", "/workspace/alice", False),
        Mount("bind", "/data/xnat/archive/P1/{arc}", "/data/{P1}", True),
        Mount("bind", "/data/xnat/archive", "/data/all", True),
    ),
    cpu_limit=2.0,
    cpu_guarantee=None,
    mem_limit=1024,
    mem_guarantee=512,
    generic_resources=MappingProxyType({"gpu": 1}),
    constraints=(Constraint("node.role", "!=", "manager"),),
    shm_size=512,
)
CLAIMS = (Claim("/data/xnat", "xnat"), Claim("/data/xnat/archive", "archive"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "site.yaml").write_text(SITE)
    return load(tmp_path / "site.yaml").site


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Return the pods that a spawner would send for plans, one after the other."""
    kubeconfig = {
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    # The client library reads its path once, when it is imported.
    monkeypatch.setattr(
        "kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig")
    )

    def manifests(site: Site, *plans: LaunchPlan, config: dict[str, Any] | None = None) -> list[Any]:
        async def pods() -> list[Any]:
            spawner = spawner_class(site)(_mock=True, config=Config({"KubeSpawner": config or {}}))
            spawner.user.name, spawner.hub.api_token = "alice", ""
            monkeypatch.setattr(
                type(spawner).__mro__[2], "get_env", lambda self: dict(self._expand_env(self.environment))
            )
            made = []
            for plan in plans:
                spawner.apply_plan(plan)
                pod = await spawner.get_pod_manifest()
                made.append(ApiClient().sanitize_for_serialization(pod))
            return made

        return asyncio.run(pods())

    return manifests


def test_a_plan_becomes_a_pod(site, manifests):
    (pod,) = manifests(site, PLAN)
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert spec["restartPolicy"] == "Never"
    assert spec["volumes"] == [
        {"name": "claim-0", "persistentVolumeClaim": {"claimName": "xnat"}},
        {"name": "claim-1", "persistentVolumeClaim": {"claimName": "archive", "readOnly": True}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "512"}},
    ]
    assert container["volumeMounts"] == [
        {"name": "claim-0", "mountPath": "/workspace/alice", "subPath": "workspaces/users/alice"},
        {"name": "claim-1", "mountPath": "/data/{P1}", "subPath": "P1/{arc}", "readOnly": True},
        {"name": "claim-1", "mountPath": "/data/all", "readOnly": True},
        {"name": "shm", "mountPath": "/dev/shm"},
    ]
    assert container["env"] == [{"name": "A", "value": "{username}"}]
    assert container["resources"] == {
        "limits": {"cpu": 2.0, "memory": 1024, "nvidia.com/gpu": "1"},
        "requests": {"memory": 512, "cpu": "0", "nvidia.com/gpu": "1"},
    }
    assert container["securityContext"] == {
        "runAsUser": 5001,
        "runAsGroup": 6001,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["securityContext"] == {
        "fsGroup": 6001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "supplementalGroups": [100],
    }
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert spec["nodeSelector"] == {"zone": "a"}
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [
                    {"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"}
                ]
            }
        ]
    }
    assert pod["metadata"]["annotations"]["org.xnat.jupyter.project"] == "P {1}"
    assert pod["metadata"]["labels"]["org.xnat.jupyter.project"].startswith("p-1-")


def test_each_plan_stands_for_itself(site, manifests):
    second = replace(
        PLAN,
        image="xnat/lab:2",
        mounts=PLAN.mounts[:1],
        environment=MappingProxyType({}),
        command=("serve", "$(HOME)", "{port}"),
        cpu_limit=None,
        mem_limit=None,
        mem_guarantee=None,
        generic_resources=MappingProxyType({}),
        constraints=(),
    )
    alone = manifests(site, second)[0]
    assert manifests(site, PLAN, second)[1] == alone
    container = alone["spec"]["containers"][0]
    assert container["args"] == ["serve", "$$(HOME)", "{port}"]
    assert container["resources"] == {"limits": {}, "requests": {}}
    assert "affinity" not in alone["spec"]


def test_what_is_configured_stays(site, manifests):
    term = {"matchExpressions": [{"key": "purpose", "operator": "In", "values": ["user"]}]}
    config = {
        "volumes": {"a": {"name": "a", "emptyDir": {}}},
        "volume_mounts": [{"name": "a", "mountPath": "/scratch/{username}"}],
        "node_selector": {"disk": "ssd"},
        "tolerations": [{"key": "b", "operator": "Exists"}],
        "node_affinity_required": [term],
        "extra_labels": {"extra": "yes"},
    }
    for pod in manifests(site, PLAN, PLAN, config=config):
        spec = pod["spec"]
        assert [volume["name"] for volume in spec["volumes"]] == ["a", "claim-0", "claim-1", "shm"]
        assert spec["containers"][0]["volumeMounts"][0]["mountPath"] == "/scratch/alice"
        assert spec["nodeSelector"] == {"disk": "ssd", "zone": "a"}
        assert len(spec["tolerations"]) == 2
        terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        (both,) = terms["nodeSelectorTerms"]
        assert [each["operator"] for each in both["matchExpressions"]] == ["In", "DoesNotExist"]
        assert pod["metadata"]["labels"]["extra"] == "yes"


TERM = {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "zone"}
REACHES_THE_POD = {
    "automount_service_account_token": True, "common_labels": {"a": "b"}, "component_label": "x", "extra_annotations": {"a": "b"},
    "extra_container_config": {"tty": True}, "extra_containers": [{"name": "a", "image": "b"}], "extra_labels": {"a": "b"},
    "extra_pod_config": {"hostname": "a"}, "init_containers": [{"name": "a", "image": "b"}],
    "lifecycle_hooks": {"preStop": {"exec": {"command": ["a"]}}},
    "node_affinity_preferred": [{"weight": 1, "preference": {"matchExpressions": []}}],
    "pod_affinity_preferred": [{"weight": 1, "podAffinityTerm": TERM}], "pod_affinity_required": [TERM],
    "pod_anti_affinity_preferred": [{"weight": 1, "podAffinityTerm": TERM}], "pod_anti_affinity_required": [TERM],
    "port": 9999, "priority_class_name": "a", "scheduler_name": "a", "service_account": "a", "working_dir": "/a",
}  # fmt: skip


@pytest.mark.parametrize("trait", REACHES_THE_POD)
def test_what_extra_may_set_of_a_pod_reaches_it(site, manifests, trait):
    (plain,), (pod,) = (
        manifests(site, PLAN),
        manifests(site, PLAN, config={trait: REACHES_THE_POD[trait]}),
    )
    assert pod != plain


def test_what_is_added_to_pods_takes_nothing_away(site, manifests):
    config = {
        "extra_pod_config": {
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "security_context": {"supplementalGroups": [7], "sysctls": []},
            "tolerations": [{"key": "b", "operator": "Exists"}],
            "nodeSelector": {"disk": "ssd"},
            "priorityClassName": "of-{username}",
        },
        "extra_container_config": {
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            "securityContext": {"readOnlyRootFilesystem": True},
            "env": [{"name": "LICENCE", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}],
            "ports": [{"containerPort": 9}],
            "tty": True,
        },
        "extra_containers": [{"name": "beside", "image": "x"}],
    }
    (plain,) = manifests(site, PLAN)
    for pod in manifests(site, PLAN, PLAN, config=config):
        spec, before = pod["spec"], plain["spec"]
        container, beside = spec["containers"]
        (of_before,) = before["containers"]
        assert spec["volumes"] == [*before["volumes"], {"name": "scratch", "emptyDir": {}}]
        mounts = [*of_before["volumeMounts"], {"name": "scratch", "mountPath": "/scratch"}]
        assert container["volumeMounts"] == mounts
        assert container["securityContext"] == {
            **of_before["securityContext"],
            "readOnlyRootFilesystem": True,
        }
        assert spec["securityContext"] == {
            **before["securityContext"],
            "supplementalGroups": [100, 7],
            "sysctls": [],
        }
        assert [each["name"] for each in container["env"]] == ["A", "LICENCE"]
        assert [port["containerPort"] for port in container["ports"]] == [8888, 9]
        assert spec["nodeSelector"] == {"zone": "a", "disk": "ssd"}
        assert len(spec["tolerations"]) == 2
        assert (spec["priorityClassName"], container["tty"], beside["name"]) == ("of-alice", True, "beside")
        assert {key: container[key] for key in ("image", "resources", "name")} == {
            key: of_before[key] for key in ("image", "resources", "name")
        }


DECIDED = [
    ("pod", {"securityContext": {"runAsUser": 0}}, "securityContext.runAsUser"),
    ("pod", {"security_context": {"fsGroup": 0}}, "security_context.fsGroup"),
    ("pod", {"containers": []}, "containers"),
    ("pod", {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}},
     "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"),
    ("pod", {"volumes": [{"name": "x"}, {"name": "claim-0", "emptyDir": {}}]}, "volumes.1.name"),
    ("pod", {"restart_policy": "OnFailure"}, "restart_policy"),
    ("pod", {"ephemeralContainers": []}, "ephemeralContainers"),
    ("container", {"volumeMounts": [{"name": "x"}, {"name": "claim-1", "mountPath": "/all"}]}, "volumeMounts.1.name"),
    ("container", {"volume_devices": [{"name": "claim-0", "devicePath": "/dev/x"}]}, "volume_devices.0.name"),
    ("container", {"image": "evil/image"}, "image"),
    ("container", {"command": ["sh"]}, "command"),
    ("container", {"resources": {}}, "resources"),
    ("container", {"securityContext": {"privileged": True}}, "securityContext.privileged"),
    ("container", {"securityContext": {"runAsNonRoot": False}}, "securityContext.runAsNonRoot"),
    ("container", {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}, "securityContext.capabilities"),
    ("container", {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "securityContext.seccompProfile"),
    ("container", {"env": [{"name": "JUPYTERHUB_API_TOKEN", "value": "x"}]}, "env.0.name"),
]  # fmt: skip


@pytest.mark.parametrize("case", DECIDED)
def test_what_the_plan_or_the_security_of_servers_decides_is_refused(tmp_path, site, manifests, case):
    part, config, place = case
    trait = f"extra_{part}_config"
    (tmp_path / "site.yaml").write_text(f"{SITE}extra:\n  KubeSpawner.{trait}: {json.dumps(config)}\n")
    with pytest.raises(SiteError) as raised:
        load(tmp_path / "site.yaml")
    (problem,) = raised.value.problems
    assert (problem.rule, problem.line) == ("extra", SITE.count("\n") + 2)
    assert problem.message == f"{place} is decided elsewhere."
    # Zero to JupyterHub's values never pass by site.yaml.
    with pytest.raises(LaunchFailed, match="decided elsewhere"):
        manifests(site, PLAN, config={trait: config})


def test_an_image_that_needs_root_gets_it_where_the_site_says_so(tmp_path, manifests):
    (tmp_path / "site.yaml").write_text(SITE + "    start_as_root: true\n")
    (pod,) = manifests(load(tmp_path / "site.yaml").site, PLAN)
    container = pod["spec"]["containers"][0]
    assert container["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["MKNOD", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_CHROOT"]},
    }
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert (environment["NB_UID"], environment["NB_GID"]) == ("5001", "6001")


def test_the_profiles_of_servers_reach_the_pod(tmp_path, manifests):
    rights = "security: {seccomp: a/b.json, apparmor: jupyter, selinux: {type: x_t}}, hosts: {b: 10.0.0.5, c: 10.0.0.5}, "
    (tmp_path / "site.yaml").write_text(SITE.replace("servers: {", "servers: {" + rights))
    (pod,) = manifests(load(tmp_path / "site.yaml").site, PLAN)
    context = pod["spec"]["containers"][0]["securityContext"]
    assert context["seccompProfile"] == {"type": "Localhost", "localhostProfile": "a/b.json"}
    assert context["appArmorProfile"] == {"type": "Localhost", "localhostProfile": "jupyter"}
    assert context["seLinuxOptions"] == {"type": "x_t"}
    assert pod["spec"]["hostAliases"] == [{"ip": "10.0.0.5", "hostnames": ["b", "c"]}]


def test_the_rights_of_servers_reach_the_pod(tmp_path, manifests):
    rights = "security: {read_only_root: true, no_new_privileges: false, drop_capabilities: [], user_namespaces: own}, "
    (tmp_path / "site.yaml").write_text(SITE.replace("servers: {", "servers: {" + rights))
    (pod,) = manifests(load(tmp_path / "site.yaml").site, PLAN)
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    # Whoever does not start as root has nothing, whatever the list says.
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert pod["spec"]["hostUsers"] is False
    assert pod["spec"]["volumes"][-2:] == [
        {"name": "scratch-tmp", "emptyDir": {}},
        {"name": "scratch-home-jovyan", "emptyDir": {}},
    ]
    assert [mount["mountPath"] for mount in container["volumeMounts"][-2:]] == ["/tmp", "/home/jovyan"]


def test_a_start_that_waits_longer_than_it_may_take_is_a_contradiction(tmp_path):
    (tmp_path / "site.yaml").write_text(SITE + "    schedule_timeout: 500\n")
    with pytest.raises(SiteError, match=r"schedule_timeout: The start ends before"):
        load(tmp_path / "site.yaml")


# Mounts


def test_the_claim_with_the_longest_path_holds_a_mount():
    made = claim_volumes([Mount("bind", "/data/xnat/archive2/P", "/a", True)], CLAIMS)
    assert made.mounts == [{"name": "claim-0", "mountPath": "/a", "subPath": "archive2/P", "readOnly": True}]
    assert made.volumes[0]["persistentVolumeClaim"]["claimName"] == "xnat"


def test_a_claim_is_read_only_as_a_whole_where_nothing_writes_to_it():
    both = [Mount("bind", "/data/xnat/a", "/a", True), Mount("bind", "/data/xnat/b", "/b", False)]
    made = claim_volumes(both, CLAIMS)
    assert made.volumes == [{"name": "claim-0", "persistentVolumeClaim": {"claimName": "xnat"}}]
    assert [mount.get("readOnly", False) for mount in made.mounts] == [True, False]


def test_a_volume_is_a_claim():
    made = claim_volumes([Mount("volume", "atlas", "/atlas", True)], CLAIMS)
    assert made.volumes == [
        {"name": "claim-0", "persistentVolumeClaim": {"claimName": "atlas", "readOnly": True}}
    ]
    assert made.mounts == [{"name": "claim-0", "mountPath": "/atlas", "readOnly": True}]


@pytest.mark.parametrize(
    ("mount", "key", "said"),
    [
        (
            Mount("bind", "/srv/x", "/x", True),
            "orchestrator.kubernetes.claims",
            "No volume claim holds /srv/x.",
        ),
        (Mount("bind", "/data/xna", "/x", True), "orchestrator.kubernetes.claims", "No volume claim holds"),
        (Mount("volume", "My_Volume", "/x", True), "", "My_Volume can't be a volume claim's name."),
    ],
)
def test_a_mount_under_no_claim_is_refused(mount, key, said):
    with pytest.raises(PolicyRefusal, match=said) as refusal:
        claim_volumes([mount], CLAIMS)
    assert refusal.value.key == key


def test_a_plan_that_is_too_large_is_refused_with_its_count(site, manifests):
    mounts = tuple(
        Mount("bind", f"/data/xnat/archive/{n:0200}", f"/data/{n:0200}", True)
        for n in range(MOST_BYTES // 400)
    )
    with pytest.raises(PolicyRefusal, match="XNAT asks for 2,500 mounts") as refusal:
        manifests(site, replace(PLAN, mounts=mounts))
    assert refusal.value.rule == "too-large"
    assert manifests(site, replace(PLAN, mounts=mounts[:2000]))


# Resources and placement


def test_generic_resources_are_named_by_the_table():
    table = {"gpu": "nvidia.com/gpu"}
    assert extended_resources({"gpu": 2, "amd.com/gpu": 1}, table) == {
        "nvidia.com/gpu": "2",
        "amd.com/gpu": "1",
    }
    with pytest.raises(PolicyRefusal) as refusal:
        extended_resources({"fpga": 1}, table)
    with pytest.raises(PolicyRefusal, match="called GPU-8a2b; Kubernetes"):
        extended_resources({"gpu": "GPU-8a2b"}, table)
    assert refusal.value.key == "orchestrator.kubernetes.generic_resources.fpga"


@pytest.mark.parametrize(
    ("constraint", "expression"),
    [
        (("node.labels.type", "==", "gpu"), {"key": "type", "operator": "In", "values": ["gpu"]}),
        (("node.labels.example.org/x", "!=", "1"), {"key": "example.org/x", "operator": "NotIn", "values": ["1"]}),
        (("node.hostname", "==", "n1"), {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}),
        (("gpu", "==", "true"), {"key": "gpu", "operator": "In", "values": ["true"]}),
        (("kubernetes.io/hostname", "==", "n1"), {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}),
        (("node.kubernetes.io/instance-type", "!=", "x"), {"key": "node.kubernetes.io/instance-type", "operator": "NotIn", "values": ["x"]}),
        (("nvidia.com/gpu.product", "==", "A100"), {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["A100"]}),
        (("node-role.kubernetes.io/gpu", "==", ""), {"key": "node-role.kubernetes.io/gpu", "operator": "In", "values": [""]}),
        (("node.role", "==", "manager"), {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}),
        (("node.role", "==", "worker"), {"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"}),
        (("node.role", "!=", "worker"), {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}),
    ],
)  # fmt: skip
def test_a_constraint_becomes_an_expression(constraint, expression):
    assert node_expressions([Constraint(*constraint)]) == [expression]


@pytest.mark.parametrize("key", ["engine.labels.a", "node.id", "node.role", "node.platform.os"])
def test_a_constraint_on_something_else_is_refused(key):
    with pytest.raises(PolicyRefusal, match="asks for what no node of Kubernetes has"):
        node_expressions([Constraint(key, "==", "x")])


@pytest.mark.parametrize(
    ("resources", "hidden"),
    [
        ({}, True),
        ({"fpga": 1}, True),
        ({"gpu": 1}, False),
        ({"nvidia.com/mig-1g.5gb": 1}, False),
        ({"big": 1}, False),
    ],
)
def test_a_server_without_gpus_gets_none_that_its_image_asks_for(tmp_path, manifests, resources, hidden):
    table = "    generic_resources: {gpu: nvidia.com/gpu, fpga: example.org/fpga, big: nvidia.com/gpu}\n"
    (tmp_path / "site.yaml").write_text(SITE + table)
    plan = replace(PLAN, generic_resources=MappingProxyType(resources))
    (pod,) = manifests(load(tmp_path / "site.yaml").site, plan)
    environment = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert environment.get("NVIDIA_VISIBLE_DEVICES") == ("void" if hidden else None)


def test_expressions_hold_in_every_alternative():
    expression = {"key": "a", "operator": "Exists"}
    terms = [{"matchFields": []}, {"matchExpressions": [{"key": "b"}]}]
    assert with_expressions(terms, [expression]) == [
        {"matchFields": [], "matchExpressions": [expression]},
        {"matchExpressions": [{"key": "b"}, expression]},
    ]
    assert with_expressions([], [expression]) == [{"matchExpressions": [expression]}]
    assert with_expressions(terms, []) == terms


# What goes wrong


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {
        "spec": {},
        "status": {"phase": "Pending", "containerStatuses": [{"image": "i:1", "state": state}]},
    }


def unscheduled(message: str, **spec: Any) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    volumes = [
        {"name": "c", "persistentVolumeClaim": {"claimName": "archive"}},
        {"name": "e", "emptyDir": {}},
    ]
    return {"spec": {"volumes": volumes, **spec}, "status": {"phase": "Pending", "conditions": [condition]}}


def asking(*expressions: dict[str, Any]) -> dict[str, Any]:
    terms = [{"matchExpressions": [each]} for each in expressions]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"affinity": {"nodeAffinity": required}}


UNLIKE = "node(s) didn't match Pod's node affinity/selector"
GPU_LABEL = {"key": "gpu", "operator": "In", "values": ["true"]}
ENDED = {"terminated": {"exitCode": 3, "message": "no such module"}}


@pytest.mark.parametrize(
    ("pod", "reason", "lasting", "said"),
    [
        (unscheduled("0/1 nodes are available: 1 Insufficient cpu. preemption: none."), "unschedulable", False, "take the server: 0/1 nodes are available: 1 Insufficient cpu. Ask"),
        (unscheduled(f"0/2 nodes are available: 2 {UNLIKE}. preemption: 0/2 nodes are available", **asking(GPU_LABEL)), "unschedulable", False,
         "No node of the cluster has the labels that the server asks for: gpu=true. Tell your XNAT administrator."),
        (unscheduled(f"0/2 nodes are available: 2 {UNLIKE}.", nodeSelector={"pool": "a"}, **asking({**GPU_LABEL, "operator": "NotIn", "values": ["a", "b"]}, {"key": "ssd", "operator": "Exists"})), "unschedulable", False,
         "asks for: pool=a, gpu!=a|b or pool=a, ssd. Tell"),
        (unscheduled(f"0/2 nodes are available: 2 {UNLIKE}.", nodeSelector={"pool": "a"}), "unschedulable", False, "asks for: pool=a. Tell"),
        (unscheduled(f"0/2 nodes are available: 1 Insufficient memory, 1 {UNLIKE}.", **asking(GPU_LABEL)), "unschedulable", False, "affinity/selector. Ask for less"),
        (unscheduled(f"0/2 nodes are available: 1 node(s) had untolerated taint {{a: b}}, 1 {UNLIKE}.", **asking(GPU_LABEL)), "unschedulable", False, "affinity/selector. Tell your XNAT administrator."),
        (unscheduled('persistentvolumeclaim "x" not found'), "claim", True, "The volume claim x does not exist."),
        (unscheduled('persistentvolumeclaim "x" is being deleted'), "claim", True, "The volume claim x is being deleted."),
        (unscheduled("pod has unbound immediate PersistentVolumeClaims"), "claim", False, "It is one of: archive."),
        (waiting("ErrImagePull", "no such host"), "image", True, "The image i:1 can't be pulled: no such host."),
        (waiting("ImagePullBackOff", "Back-off"), "image", True, "can't be pulled: Back-off."),
        (waiting("InvalidImageName", "x"), "image", True, "can't be pulled"),
        (waiting("ErrImageNeverPull"), "image", True, "is not on the node, and is never pulled."),
        (waiting("CreateContainerConfigError", "failed to prepare subPath for volumeMount"), "mount", True, "is not in its volume"),
        (waiting("CreateContainerError", "bad"), "container", True, "can't make the server's container: bad."),
        ({"spec": {}, "status": {"phase": "Failed", "reason": "OutOfcpu"}}, "node", True, "would not run the server: OutOfcpu."),
        ({"spec": {}, "status": {"phase": "Running", "containerStatuses": [{"image": "i:1", "state": ENDED}]}}, "ended", True, "with exit code 3: no such module."),
        ({"spec": {}, "status": {"phase": "Failed", "containerStatuses": [{"image": "i:1", "state": ENDED}]}}, "ended", True, "with exit code 3: no such module."),
        ({"spec": {}, "status": {"containerStatuses": [{"image": "i", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ENDED}]}}, "ended", True, "with exit code 3"),
    ],
)  # fmt: skip
def test_a_pod_that_does_not_start_is_told_in_a_sentence(pod, reason, lasting, said):
    problem = pod_problem(pod, [])
    assert problem
    assert (problem.failure.reason, problem.lasting) == (reason, lasting)
    assert said in problem.failure.jupyterhub_message


@pytest.mark.parametrize(
    "pod",
    [waiting("ContainerCreating"), waiting("PodInitializing"), {"spec": {}, "status": {"phase": "Pending"}}],
)
def test_a_pod_that_is_on_its_way_is_no_problem(pod):
    assert pod_problem(pod, [{"reason": "Pulling", "message": "Pulling image"}]) is None


def test_a_volume_that_can_not_be_mounted_is_told_from_the_events():
    problem = pod_problem(
        waiting("ContainerCreating"), [{"reason": "FailedMount", "message": "mount.nfs: timed out"}]
    )
    assert problem
    assert not problem.lasting
    assert "can't mount a volume: mount.nfs: timed out." in problem.failure.jupyterhub_message


def test_a_pull_that_went_without_its_secrets_is_tried_again():
    """A node reads a pod's Secrets anew, and may not have this one yet when it pulls for the first time."""
    said = (
        "Unable to retrieve some image pull secrets (one, two); attempting to pull the image may not succeed."
    )
    unread = {"reason": "FailedToRetrieveImagePullSecret", "message": said, "count": 3}
    failed = {"reason": "Failed", "message": 'Failed to pull image "i:1": 401 Unauthorized', "count": 1}
    other = {"reason": "Failed", "message": "Error: ErrImagePull", "count": 4}
    for reason in ("ErrImagePull", "ImagePullBackOff"):
        first = pod_problem(waiting(reason, "401"), [unread, failed, other])
        assert first
        assert (first.tried_again, first.lasting) == (True, False)
        second = pod_problem(waiting(reason, "401"), [unread, failed | {"count": 2}, other])
        assert second
        assert (second.tried_again, second.lasting) == (False, True)
        assert "could not read its pull secrets: one, two. site.yaml:" in second.failure.jupyterhub_message
    name = pod_problem(waiting("InvalidImageName", "x"), [unread])
    assert name
    assert name.lasting


def test_a_mount_that_succeeded_in_the_end_is_no_problem():
    events = [
        {"reason": "FailedMount", "message": "mount.nfs: timed out"},
        {"reason": "Pulling", "message": ""},
    ]
    assert pod_problem(waiting("ContainerCreating"), events) is None
    assert pod_problem(waiting("ContainerCreating"), events[::-1])


@pytest.mark.parametrize(
    ("status", "message", "reason", "said"),
    [
        (403, 'pods "j" is forbidden: exceeded quota: q, requested: pods=1', "quota", "namespace ns leaves no room for the server: exceeded quota: q, requested: pods=1."),
        (403, 'pods "j" is forbidden: violates PodSecurity "restricted:latest": x', "admission", 'do not allow the server: violates PodSecurity "restricted:latest": x.'),
        (400, 'admission webhook "a" denied the request: no', "admission", "denied the request: no."),
        (403, 'pods is forbidden: User "hub" cannot create resource "pods"', "rights", "The hub may not create pods in the namespace ns"),
        (404, 'namespaces "ns" not found', "namespace", "The namespace ns can't be used"),
        (413, "Request entity too large: limit is 3145728", "too-large", "too large for Kubernetes"),
        (422, 'Pod "j" is invalid: spec.x: bad', "kubernetes", "could not create the server: spec.x: bad."),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_a_sentence(status, message, reason, said):
    error = ApiException(status=status, reason="Bad")
    error.body = json.dumps({"message": message})
    failure = refusal_of(error, "ns")
    assert failure.reason == reason
    assert said in failure.jupyterhub_message


def test_a_refusal_without_a_body_is_told_too():
    assert (
        "503 Unavailable"
        in refusal_of(ApiException(status=503, reason="Unavailable"), "ns").jupyterhub_message
    )
