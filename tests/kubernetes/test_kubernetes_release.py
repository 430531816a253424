"""What helm does with a release: upgrade, uninstall, and the rights that the hub is given."""

from __future__ import annotations

import json

import pytest

from tests.kubernetes.testbed import CHART, GID, SINGLEUSER, UID, Release, wait_for
from tests.support import LOOKS_AROUND, what_it_sees


def hub_log(release: Release) -> str:
    return release.namespace.kubectl("logs", "deployment/hub")


def test_an_upgrade_takes_effect_and_an_uninstall_keeps_the_claims(own_release: Release):
    release = own_release
    release.start("demo")
    token = release.namespace.get("secret", "xnathub-secrets")["data"]["hub_api_token"]
    before = release.pod_of("demo")["metadata"]["uid"]

    release.values["site"]["servers"] |= {"allowed_images": ["another:1"], "images_ahead": []}
    release.upgrade()
    sentence = release.failure("alice")
    assert f"The image {SINGLEUSER} is not allowed." in sentence
    # What runs goes on, and secrets that the chart made stay what they are.
    assert release.pod_of("demo")["metadata"]["uid"] == before
    assert release.execute("demo", "print(1)") == "1\n"
    assert release.namespace.get("secret", "xnathub-secrets")["data"]["hub_api_token"] == token

    release.stop("demo")
    release.namespace.cluster.helm("uninstall", "hub", "--namespace", release.namespace.name, "--wait")
    kept = {claim["metadata"]["name"] for claim in release.namespace.get("pvc")["items"]}
    assert kept == {"hub-db-dir", "xnat-archive", "xnat-workspaces"}
    assert not release.namespace.get("deployments,services,roles,networkpolicies,secrets")["items"]

    release.upgrade()
    assert {user["name"] for user in release.plugin.users()} >= {"demo", "alice"}

    folder = release.start_on_old_database("4.0.2")
    assert "user0" in {user["name"] for user in release.plugin.users()}
    assert len(list(folder.glob("jupyterhub.sqlite.backup-*"))) == 1


def test_a_bad_site_is_refused_with_the_path_of_its_key(release: Release, tmp_path):
    values = json.loads(json.dumps(release.values))
    values["site"]["servers"]["uid"] = "tomcat"
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(values))
    helm = release.namespace.cluster.helm
    for command in (["lint"], ["install", "bad", "--namespace", release.namespace.name]):
        said = helm(*command, str(CHART), "--values", str(file), check=False)
        assert "at '/site/servers/uid': got string, want integer" in said


def test_the_hub_may_do_nothing_else(release: Release):
    who = f"system:serviceaccount:{release.namespace.name}:hub"
    for namespace in (release.namespace.name, "default"):
        lines = release.namespace.cluster.kubectl(
            "auth", "can-i", "--list", "--no-headers", "--as", who, "--namespace", namespace
        ).splitlines()
        # Everybody may ask what they may do, and read the API's description.
        granted = [line for line in lines if "selfsubject" not in line and not line.startswith(" ")]
        expected = {("events", "[list watch]"), ("pods", "[list watch create delete]"), ("pods/log", "[get]")}
        found = {(line.split()[0], line[line.rindex("[") :]) for line in granted}
        assert found == (expected if namespace == release.namespace.name else set()), lines


@pytest.fixture(scope="module")
def complete_role(shared_release: Release):
    """The chart's role as it is, which has not failed the hub in anything so far."""
    role = shared_release.namespace.get("role", "hub")
    shared_release.start("demo")
    shared_release.stop("demo")
    assert "cannot" not in hub_log(shared_release)
    yield role
    restart(shared_release)


@pytest.mark.parametrize(
    ("resource", "verb"),
    [
        *(("pods", verb) for verb in ("list", "watch", "create", "delete")),
        *(("events", verb) for verb in ("list", "watch")),
    ],
)
def test_each_right_is_needed(release: Release, complete_role, resource, verb):
    """Without it, the hub is refused something that starting and stopping a server asks for."""
    lacking = json.loads(json.dumps(complete_role["rules"]))
    for rule in lacking:
        if rule["resources"] == [resource]:
            rule["verbs"].remove(verb)
    refused = f'cannot {verb} resource "{resource}"'
    try:
        set_rights(release, lacking)
        restart(release)
        options = release.state.launch("demo", "P1", environment=release.environment())
        plugin = release.plugin
        if (resource, verb) == ("pods", "create"):
            sentence = release.failing_options("demo", options)
            assert 'cannot create resource "pods"' in sentence
            return
        try:
            plugin.start("demo", options)
            plugin.stop("demo")
        except Exception as error:  # noqa: BLE001 - whatever way the hub fails, its log says why
            print(error)
        # The API's answers stand quoted in the log.
        wait_for(lambda: refused in hub_log(release).replace("\\", ""), 30, lambda: hub_log(release))
    finally:
        set_rights(release, complete_role["rules"])
        release.namespace.kubectl("delete", "pods", "--selector", "component=singleuser-server", "--now")


def set_rights(release: Release, rules: object) -> None:
    release.namespace.kubectl("patch", "role", "hub", "--type=merge", "--patch", json.dumps({"rules": rules}))


def restart(release: Release) -> None:
    release.namespace.kubectl("rollout", "restart", "deployment/hub")
    release.wait_until_up()


def test_what_the_site_adds_to_pods_takes_away_neither_claims_nor_protection(own_release: Release):
    release = own_release
    release.values["site"]["extra"] = {
        "KubeSpawner.extra_pod_config": {
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "securityContext": {"supplementalGroups": [7]},
        },
        "KubeSpawner.extra_container_config": {
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            "securityContext": {"procMount": "Default"},
        },
    }
    release.upgrade()
    release.start("demo")
    assert release.execute("demo", LOOKS_AROUND).splitlines() == what_it_sees("demo", UID, GID)
    code = "import os; open('/scratch/x', 'w').close(); print(sorted(os.getgroups()))"
    assert release.execute("demo", code) == f"{sorted({7, 100, GID})}\n"
    release.stop("demo")
