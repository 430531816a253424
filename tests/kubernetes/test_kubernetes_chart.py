"""What the chart renders, read against the API server's own schemas, and what it refuses."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.testbed import CACHE, CHART, Cluster, site_values
from xnathub_conf.render.kubernetes import render_manifests, render_values
from xnathub_conf.site.load import load

SITE = """\
version: 1
xnat:
  url: https://xnat.example.org
  service_account: {password: {file: /etc/xnathub/secrets/xnat_password}}
hub: {api_token: {file: /etc/xnathub/secrets/hub_api_token}, base_url: /jh/, uid: 1234567}
servers:
  allowed_images: ["xnat/*:1.0"]
  environment: {WORD: "no", NUMBER: "1e3", OCTAL: "0777", LONG: "a\\nb # c", TEMPLATE: "{{ .Values }}"}
orchestrator:
  kubernetes:
    namespace: imaging
    claims: [{path: /data/xnat, claim_name: xnat-data}]
"""


def changed(**changes: Any) -> dict[str, Any]:
    """The tests' values with changes, written with dots: changed(**{"hub.storage": "2Gi"})."""
    values = {**site_values("https://xnat.example.org"), "secrets": {"xnatPassword": "secret"}}
    for path, value in changes.items():
        *above, key = path.split(".")
        place: Any = values
        for part in above:
            place = place.setdefault(part, {})
        place[key] = value
    return values


COMBINATIONS = {
    "small": {},
    "claim": {
        "workspaces.create": True,
        "workspaces.storageClassName": "nfs",
        "hub.storageClassName": "fast",
    },
    "postgresql": {"postgresql.enabled": True, "postgresql.storageClassName": "fast"},
    "ingress": {
        "ingress.enabled": True,
        "ingress.host": "xnat.example.org",
        "ingress.className": "nginx",
        "ingress.tlsSecret": "xnat-tls",
        "ingress.annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "0"},
    },
    "own secret": {"secrets": {"existingSecret": "mine"}, "imagePullSecrets": ["registry"]},
    "no policies": {"networkPolicy.enabled": False, "postgresql.enabled": True},
    "root path": {"site.hub.base_url": "/", "ingress.enabled": True, "ingress.host": "hub.example.org"},
    "own token": {"secrets.hubApiToken": "t" * 40},
    "logins": {"secrets.registryLogins": "docker.io me a word \n\nr.example.org you p\n"},
}


def render(cluster: Cluster, values: dict[str, Any], *arguments: str, chart: Path = CHART) -> list[Any]:
    text = cluster.helm(
        "template",
        "hub",
        str(chart),
        "--namespace",
        "imaging",
        "--values",
        "-",
        *arguments,
        text=json.dumps(values),
    )
    return [one for one in yaml.safe_load_all(text) if one]


def refusal(cluster: Cluster, values: dict[str, Any]) -> str:
    return cluster.helm("template", "hub", str(CHART), "--values", "-", text=json.dumps(values), check=False)


def named(objects: list[Any], kind: str, name: str) -> Any:
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


@pytest.fixture(scope="module")
def schemas(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The API server's schemas as kubeconform wants them: one strict JSON Schema for each kind."""
    folder = tmp_path_factory.mktemp("schemas")
    definitions = json.loads((CACHE / "openapi.json").read_text())["definitions"]
    for definition in definitions.values():
        # Quantities and ports may be numbers or text; the description only says text.
        if (
            definition.get("format") == "int-or-string"
            or "Quantity" in definition.get("description", "")[:60]
        ):
            definition["type"] = ["string", "number"]
        if "properties" in definition:
            definition.setdefault("additionalProperties", False)
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            group = f"{kind['group'].partition('.')[0]}-" if kind["group"] else ""
            schema = {"$ref": f"#/definitions/{name}", "definitions": definitions}
            if kind["kind"] in KINDS:
                path = folder / f"{kind['kind'].lower()}-{group}{kind['version']}.json"
                path.write_text(json.dumps(schema))
    return folder


KINDS = {
    *("ConfigMap", "Deployment", "Ingress", "NetworkPolicy", "PersistentVolumeClaim", "Role", "RoleBinding"),
    *("Secret", "Service", "ServiceAccount", "StatefulSet"),
}


def conform(cluster: Cluster, schemas: Path, objects: list[Any]) -> None:
    location = f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    said = cluster.run(
        *("kubeconform", "-strict", "-summary", "-schema-location", location, "-"),
        text=yaml.safe_dump_all(objects),
    )
    assert f"Valid: {len(objects)}, Invalid: 0, Errors: 0, Skipped: 0" in said


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_what_is_rendered_conforms_to_the_api(cluster, schemas, combination):
    values = changed(**COMBINATIONS[combination])
    objects = render(cluster, values)
    conform(cluster, schemas, objects)
    kinds = [one["kind"] for one in objects]
    assert kinds.count("Deployment") == 2
    assert kinds.count("NetworkPolicy") == (
        0 if combination == "no policies" else 5 if combination == "postgresql" else 4
    )


def test_kubeconform_would_say_what_is_wrong(cluster, schemas):
    objects = render(cluster, changed())
    named(objects, "Deployment", "hub")["spec"]["template"]["spec"]["containers"][0]["imagine"] = "x"
    with pytest.raises(AssertionError, match="imagine"):
        conform(cluster, schemas, objects)


def test_every_pod_of_the_chart_is_restricted(cluster):
    """None runs as root, none gains rights, none but the hub holds a token for the API."""
    objects = render(cluster, changed(**{"postgresql.enabled": True}))
    for one in objects:
        if one["kind"] not in {"Deployment", "StatefulSet"}:
            continue
        pod = one["spec"]["template"]["spec"]
        name = one["metadata"]["name"]
        assert pod.get("automountServiceAccountToken", True) is (name == "hub")
        assert pod["securityContext"]["runAsUser"] > 0
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["runAsNonRoot"] is context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]


def test_network_policies_let_nobody_else_in(cluster):
    objects = render(cluster, changed())
    hub = named(objects, "NetworkPolicy", "hub")["spec"]
    (rule,) = hub["ingress"]
    assert rule["ports"] == [{"port": "hub"}]
    assert len(rule["from"]) == 2
    servers = named(objects, "NetworkPolicy", "servers")["spec"]
    assert [port for rule in servers["ingress"] for port in rule["ports"]] == [{"port": "notebook-port"}]
    reached = [rule for rule in servers["egress"] if "to" not in rule]
    assert [[port["port"] for port in rule["ports"]] for rule in reached] == [[53, 53]]
    beyond = named(objects, "NetworkPolicy", "xnathub-servers")["spec"]["egress"]
    (outside,) = [to["ipBlock"] for rule in beyond for to in rule["to"] if "ipBlock" in to]
    assert "169.254.0.0/16" in outside["except"], "a cloud's metadata"
    # The proxy's API moves users' routes: the hub alone reaches it.
    (_, api) = named(objects, "NetworkPolicy", "proxy")["spec"]["ingress"]
    assert api["ports"] == [{"port": "api"}]
    assert [each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in api["from"]] == [
        "hub"
    ]


@pytest.mark.parametrize("user_subdomains", [False, True])
def test_the_ingress_takes_in_the_hosts_of_users(cluster, schemas, user_subdomains):
    values = {
        **COMBINATIONS["ingress"],
        "ingress.host": "jupyter.example.org",
        "site.hub.user_subdomains": user_subdomains,
    }
    objects = render(cluster, changed(**values))
    conform(cluster, schemas, objects)
    spec = named(objects, "Ingress", "xnathub")["spec"]
    hosts = ["jupyter.example.org", *(["*.jupyter.example.org"] if user_subdomains else [])]
    assert [rule["host"] for rule in spec["rules"]] == hosts
    assert spec["tls"] == [{"hosts": hosts, "secretName": "xnat-tls"}]
    assert len({json.dumps(rule["http"]) for rule in spec["rules"]}) == 1


def test_servers_without_the_internet_reach_what_is_listed(cluster, schemas):
    """What a policy is. That it holds is the affair of a network plugin, which this cluster does not have."""
    none = {
        "site.servers.internet": "none",
        "site.servers.reachable": ["10.2.0.0/16", "fd00::7"],
        "site.xnat.url": "http://10.1.2.3:8080",
    }
    objects = render(cluster, changed(**none))
    conform(cluster, schemas, objects)
    (rule,) = named(objects, "NetworkPolicy", "xnathub-servers")["spec"]["egress"]
    assert rule == {
        "to": [{"ipBlock": {"cidr": cidr}} for cidr in ("10.1.2.3/32", "10.2.0.0/16", "fd00::7/128")]
    }
    *inside, names = named(objects, "NetworkPolicy", "servers")["spec"]["egress"]
    assert [list(to) for rule in inside for to in rule["to"]] == [["podSelector"], ["podSelector"]]
    assert {"ipBlock": {"cidr": "10.0.0.0/8"}} in names["to"]
    with pytest.raises(AssertionError, match=r"needs networkPolicy.enabled"):
        render(cluster, changed(**none, **{"networkPolicy.enabled": False}))
    with pytest.raises(AssertionError, match=r"egressAllowRules to false"):
        render(cluster, changed(**none, **{"jupyterhub.enabled": True}))


def test_claims_follow_from_the_values_where_the_site_names_none(cluster):
    objects = render(cluster, changed(**{"archive.claimName": "mine", "workspaces.path": "/data/work"}))
    site = json.loads(named(objects, "ConfigMap", "xnathub-site")["data"]["site.yaml"])
    assert site["orchestrator"]["kubernetes"]["claims"] == [
        {"path": "/data/xnat/archive", "claim_name": "mine"},
        {"path": "/data/work", "claim_name": "xnat-workspaces"},
    ]


def test_large_numbers_stay_whole(cluster):
    values = changed(**{"site.servers.uid": 4294967294, "site.hub.uid": 1234567})
    objects = render(cluster, values)
    site = named(objects, "ConfigMap", "xnathub-site")["data"]["site.yaml"]
    assert '"uid": 4294967294' in site
    pod = named(objects, "Deployment", "hub")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 1234567


def test_a_changed_site_or_secret_changes_the_hub_s_pod(cluster):
    def annotations(values: dict[str, Any]) -> Any:
        hub = named(render(cluster, values), "Deployment", "hub")
        return hub["spec"]["template"]["metadata"]["annotations"]

    before = annotations(changed())
    assert annotations(changed()) == before
    assert annotations(changed(**{"site.logging": {"level": "DEBUG"}})) != before
    assert annotations(changed(**{"secrets.xnatPassword": "another"})) != before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"site.servers.uid": "tomcat"}, "at '/site/servers/uid': got string, want integer"),
        ({"site.servers.uidd": 1}, "at '/site/servers': additional properties 'uidd' not allowed"),
        ({"site.orchestrator": {"swarm": {}}}, "at '/site/orchestrator': missing property 'kubernetes'"),
        ({"imagePullSecret": "x"}, "additional properties 'imagePullSecret' not allowed"),
        ({"secrets": {}}, "secrets.xnatPassword or secrets.existingSecret is needed."),
        ({"secrets.hubApiToken": "short"}, "secrets.hubApiToken needs at least 32 characters"),
        ({"ingress.enabled": True}, "ingress.host is needed."),
        ({"site.orchestrator.kubernetes.namespace": "other"}, "must be the release's namespace"),
        ({"postgresql.enabled": True, "site.hub.db_url": {"env": "X"}}, "name two databases; keep one."),
        ({"secrets.registryLogins": "r.example.org me"}, "a line that is not REGISTRY USER PASSWORD"),
        (
            {"site.servers.registry_logins": {"env": "X"}},
            "secrets.registryLogins or secrets.existingSecret is",
        ),
        ({"jupyterhub.enabled": True}, "Zero to JupyterHub is not here: run `helm dependency build`"),
    ],
)
def test_what_can_not_work_is_refused_with_a_sentence(cluster, changes, said):
    assert said in refusal(cluster, changed(**changes))


def test_logins_in_lines_are_a_config_json(cluster):
    secret = named(render(cluster, changed(**COMBINATIONS["logins"])), "Secret", "xnathub-registry-logins")
    held = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    assert {host: base64.b64decode(each["auth"]).decode() for host, each in held.items()} == {
        "https://index.docker.io/v1/": "me:a word",
        "r.example.org": "you:p",
    }


def test_what_is_generated_is_in_step(cluster):
    done = subprocess.run(
        [sys.executable, CHART.parent / "scripts" / "generate", "--check"],
        env=cluster.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == ""


def test_rendered_values_carry_the_site_through_helm_unchanged(cluster, schemas, tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    loaded = load(file)
    values = tmp_path / "values.yaml"
    values.write_text(render_values(loaded, SITE))
    small = ["--set", "jupyterhub.enabled=false,secrets.xnatPassword=x"]
    objects = render(cluster, {}, "--values", str(values), *small)
    site = json.loads(named(objects, "ConfigMap", "xnathub-site")["data"]["site.yaml"])
    assert site == loaded.document.data
    assert yaml.safe_load(values.read_text())["jupyterhub"]["hub"]["baseUrl"] == "/jh/"
    changed_site = SITE.replace("xnat/*:1.0", "xnat/*:2.0")
    assert render_values(loaded, SITE) == values.read_text() != render_values(loaded, changed_site)


def test_rendered_manifests_are_the_chart_s(cluster, schemas, tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    loaded = load(file)
    plain = [one for one in yaml.safe_load_all(render_manifests(loaded, SITE)) if one]
    conform(cluster, schemas, plain)
    assert {one["metadata"]["namespace"] for one in plain} == {"imaging"}
    values = yaml.safe_load(render_values(loaded, SITE)) | {"secrets": {"existingSecret": "xnathub-secrets"}}
    values["jupyterhub"]["enabled"] = False
    chart = render(cluster, values)
    assert {(one["kind"], one["metadata"]["name"]) for one in plain} == {
        (one["kind"], one["metadata"]["name"]) for one in chart
    }
    for kind, name in (("Deployment", "hub"), ("Deployment", "proxy"), ("Role", "hub"), ("Service", "hub")):
        ours, theirs = named(plain, kind, name), named(chart, kind, name)
        for each in (ours, theirs):
            each.get("spec", {}).get("template", {}).get("metadata", {}).pop("annotations", None)
        assert {**ours, "metadata": None} == {**theirs, "metadata": None}
    site = named(plain, "ConfigMap", "xnathub-site")["data"]["site.yaml"]
    assert json.loads(site) == loaded.document.data
    first, second = (
        named(list(yaml.safe_load_all(render_manifests(loaded, SITE))), "Secret", "xnathub-internal")["data"]
        for _ in range(2)
    )
    assert first != second


def test_manifests_need_a_namespace(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(SITE.replace("    namespace: imaging\n", ""))
    with pytest.raises(ValueError, match=r"orchestrator\.kubernetes\.namespace"):
        render_manifests(load(file), file.read_text())


def test_a_swarm_site_is_not_rendered(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(SITE.partition("  kubernetes:")[0] + "  swarm: {}\n")
    with pytest.raises(ValueError, match="not kubernetes"):
        render_values(load(file), file.read_text())
