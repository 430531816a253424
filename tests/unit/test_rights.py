"""`servers.security` in the terms of each engine, and what an old one does with it."""

import base64
import json
import logging

import pytest

from tests.unit.helpers import loaded, site_text
from xnathub_conf.doctor.rights import engine_rights
from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.spawners.rights import (
    check_service_rights,
    container_security,
    docker_rights,
    pod_users,
    service_privileges,
)

NEW, OLD = "1.44", "1.43"


def site(kind="swarm", **security):
    orchestrator = {"claims": [{"path": "/data", "claim_name": "data"}]} if kind == "kubernetes" else {}
    text = site_text(
        servers__security=security,
        orchestrator={kind: orchestrator},
        servers__allowed_mounts=[{"path": "/data"}],
    )
    return loaded(text).site


def test_a_service_s_profiles_as_docker_25_takes_them(tmp_path):
    profile = {"defaultAction": "SCMP_ACT_ALLOW"}
    file = tmp_path / "seccomp.json"
    file.write_text(json.dumps(profile))
    privileges = service_privileges(site(seccomp=str(file), apparmor="unconfined").servers.security)
    seccomp = privileges.pop("Seccomp")
    assert (seccomp["Mode"], json.loads(base64.b64decode(seccomp["Profile"]))) == ("custom", profile)
    assert privileges == {"NoNewPrivileges": True, "AppArmor": {"Mode": "disabled"}}
    unconfined = service_privileges(site(seccomp="unconfined", no_new_privileges=False).servers.security)
    assert unconfined == {"NoNewPrivileges": False, "Seccomp": {"Mode": "unconfined"}}
    assert service_privileges(site().servers.security) == {"NoNewPrivileges": True}


@pytest.mark.parametrize("security", [{"seccomp": "unconfined"}, {"apparmor": "unconfined"}])
def test_no_server_starts_on_an_engine_that_would_drop_its_profile(security):
    log = logging.getLogger("test")
    with pytest.raises(LaunchFailed, match=f"servers.security.{next(iter(security))} for a swarm's services"):
        check_service_rights(site(**security).servers.security, OLD, log)
    check_service_rights(site(**security).servers.security, NEW, log)


def test_a_mount_has_the_place_of_the_empty_folder_in_memory():
    servers = site("docker", read_only_root=True, start_as_root=False).servers
    assert set(docker_rights(servers)["tmpfs"]) == {"/tmp", "/home/jovyan"}
    assert set(docker_rights(servers, {"/home/jovyan", "/opt/x"})["tmpfs"]) == {"/tmp"}


def test_a_swarm_that_can_not_keep_servers_from_privileges_says_so_once(caplog):
    security = site().servers.security
    for _ in range(2):
        check_service_rights(security, "1.30", logging.getLogger("test"))
    (said,) = caplog.messages
    assert "from Docker 25 on" in said


def node(name, version):
    return {"Description": {"Hostname": name, "Engine": {"EngineVersion": version}}}


@pytest.mark.parametrize(
    ("security", "version", "nodes", "status", "said"),
    [
        ({}, NEW, [node("a", "27.1.0")], "ok", ""),
        ({}, OLD, [node("a", "20.10.24+dfsg1")], "warning", "no_new_privileges: a (20.10.24+dfsg1)"),
        ({"no_new_privileges": False}, OLD, [node("a", "20.10.24")], "ok", ""),
        ({"seccomp": "unconfined"}, NEW, [node("a", "28.0.1"), node("b", "24.0.7")], "failed", "seccomp: b (24.0.7)"),
        ({"apparmor": "unconfined"}, OLD, [node("a", "")], "failed", "apparmor: the API 1.43"),
    ],
)  # fmt: skip
def test_doctor_names_the_nodes_that_are_too_old(security, version, nodes, status, said):
    found = engine_rights(site(**security), {}, version, nodes)
    assert (found.status, said in found.seen) == (status, True), found


def test_users_of_their_own_want_an_engine_that_has_them():
    own = site("docker", user_namespaces="own")
    remapped = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=userns"]}
    assert engine_rights(own, {"SecurityOptions": ["name=seccomp"]}, NEW, []).status == "failed"
    assert engine_rights(own, remapped, NEW, []).status == "ok"
    assert engine_rights(site("docker"), {}, NEW, []).status == "ok"


def test_whose_users_servers_have():
    assert docker_rights(site("docker", user_namespaces="host").servers)["userns_mode"] == "host"
    for value in ("own", "default"):
        assert "userns_mode" not in docker_rights(site("docker", user_namespaces=value).servers)
    pods = {
        value: pod_users(site("kubernetes", user_namespaces=value).servers.security)
        for value in ("own", "host", "default")
    }
    assert pods == {"own": {"hostUsers": False}, "host": {"hostUsers": True}, "default": {}}


def test_a_pod_without_apparmor():
    security = site("kubernetes", apparmor="unconfined").servers.security
    assert container_security(security, root=False)["appArmorProfile"] == {"type": "Unconfined"}
