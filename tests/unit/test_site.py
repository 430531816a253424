"""From a file to a Site: valid sites, and everything that is wrong with the others, where it stands."""

import contextlib
import dataclasses
import json
import pickle
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.helpers import EXAMPLE, MINIMAL, dump, loaded, problems_of, put, site_text, where
from xnathub_conf.cli.reports import REPORTS, Checked
from xnathub_conf.cli.show import _rows
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.load import load, load_site
from xnathub_conf.site.problems import Problem, SiteError, dotted
from xnathub_conf.site.schema import entries, node_at, resolve, site_schema
from xnathub_conf.site.types import Docker, Swarm
from xnathub_conf.site.yaml_source import parse_yaml
from xnathub_conf.values.secret import Secret

MISTAKES = Path(__file__).with_name("eight_mistakes.yaml")


# ---- valid sites


def test_a_minimal_site_is_short_and_valid():
    assert len(MINIMAL.splitlines()) < 25
    assert problems_of(MINIMAL, strict=True) == []


@pytest.mark.parametrize("orchestrator", [{"local": {"directory": "/srv/x"}}, {"docker": {}}, {"swarm": {}}])
def test_each_orchestrator_has_a_minimal_site(orchestrator):
    assert problems_of(site_text(orchestrator=orchestrator), strict=True) == []


def test_defaults_are_filled_in():
    site = loaded(MINIMAL).site
    assert site.hub.base_url == "/jupyterhub/"
    assert site.xnat.calls.max_body == 32 * 1024**2
    assert site.servers.allowed_mounts[1].path == "/data/xnat/workspaces/users/{username}"
    assert site.servers.allowed_mounts[1].writable is True
    assert settings_of(site, Swarm).network_name == "xnat_jupyterhub"
    assert not isinstance(site.orchestrator, Docker)
    assert site.xnat.service_account.password == Secret("file", "/run/secrets/xnat_password")


def test_a_site_is_immutable_to_its_depth():
    site = loaded(EXAMPLE.read_bytes()).site
    seen = set()

    def walk(value):
        seen.add(type(value).__name__)
        assert not isinstance(value, list | dict | set | bytearray)
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                with pytest.raises(dataclasses.FrozenInstanceError):
                    setattr(value, field.name, None)
                walk(getattr(value, field.name))
        elif isinstance(value, Mapping):
            with pytest.raises(TypeError):
                value["new"] = 1
            for item in value.values():
                walk(item)
        elif isinstance(value, tuple):
            for item in value:
                walk(item)

    walk(site)
    assert {"Site", "Swarm", "PathRule", "mappingproxy", "tuple", "Secret"} <= seen
    nested = loaded(
        site_text(extra={"JupyterHub.load_groups": {"a": {"properties": {"b": [1, {"c": []}]}}}})
    ).site
    walk(nested)


# ---- site.example.yaml


def test_the_example_is_valid_and_strict():
    assert load(EXAMPLE, strict=True).warnings == ()


def schema_keys(node, path=()):
    """Every key path that the schema names; lists of objects count through their items."""
    node = resolve(node)
    if node.get("x-type") == "secret":
        return
    for key, child in node.get("properties", {}).items():
        yield (*path, key)
        yield from schema_keys(child, (*path, key))
    if "items" in node:
        yield from schema_keys(node["items"], path)


def data_keys(data, path=()):
    if isinstance(data, list):
        for item in data:
            yield from data_keys(item, path)
    elif isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key)
            yield from data_keys(value, (*path, key))


def commented_sections(text):
    """The example with each commented orchestrator in the place of swarm."""
    head, orchestrators = text.split("\norchestrator:\n")
    orchestrators, tail = re.split(r"\n(?=# -+ the way out)", orchestrators)
    for section in orchestrators.split("\n\n"):
        lines = [line.removeprefix("  # ") for line in section.splitlines()]
        first = next(
            (i for i, line in enumerate(lines) if re.match(r"(docker|kubernetes|local):$", line)), None
        )
        if first is not None:
            body = "\n".join("  " + line for line in lines[first:])
            yield f"{head}\norchestrator:\n{body}\n\n{tail}"


def with_tls(text):
    """The example with its other comment that is a setting, which the shipped stack does without."""
    return re.sub(r"^  # (tls: .*)$", r"  \1", text, flags=re.MULTILINE)


def test_every_key_of_the_schema_stands_in_the_example():
    text = with_tls(EXAMPLE.read_text())
    sections = list(commented_sections(text))
    assert len(sections) == 3
    found = {key for each in (text, *sections) for key in data_keys(yaml.safe_load(each))}
    # Not every orchestrator of the example takes a profile of AppArmor, or a label.
    left = {key[:3] for key in set(schema_keys(site_schema())) - found}
    assert left == {("servers", "security", "apparmor"), ("servers", "security", "selinux")}


def test_what_stands_as_a_comment_in_the_example_is_valid_too():
    names = set()
    for text in (with_tls(EXAMPLE.read_text()), *commented_sections(EXAMPLE.read_text())):
        (name,) = yaml.safe_load(text)["orchestrator"]
        # What is of no use there, a demo's servers do without.
        unused = sorted(("unused-here", key) for key in kinds()[name].unused)
        assert sorted((each.rule, each.path[1]) for each in problems_of(text)) == unused
        names.add(name)
    assert names == {"swarm", "docker", "kubernetes", "local"}


def test_no_other_comment_in_the_example_looks_like_a_setting():
    keys = {key[-1] for key in schema_keys(site_schema())}
    text = with_tls(EXAMPLE.read_text())
    outside = text.replace(text.split("\norchestrator:\n")[1], "")
    for line in outside.splitlines():
        match = re.match(r"\s*#\s*([a-z_]+):(\s|$)", line)
        assert not match or match[1] not in keys, line


CALLED_DEFAULTS = [
    "xnat.verify_tls", "xnat.start_timeout", "xnat.stop_timeout", "xnat.calls.connect_timeout", "xnat.calls.read_timeout", "xnat.calls.deadline",
    "xnat.calls.retries", "xnat.calls.concurrency", "xnat.calls.max_body", "hub.base_url", "hub.bind_url", "hub.api_scopes", "hub.uid", "hub.gid",
    "hub.shutdown_on_logout", "hub.allow_named_servers", "hub.named_server_limit_per_user", "sign_in.role", "sign_in.everyone",
    "sign_in.xnat_session", "servers.uid", "servers.gid", "servers.allowed_mount_targets", "servers.start_timeout", "servers.http_timeout",
    "servers.stop_timeout", "servers.default_url", "logging.level", "orchestrator.swarm.network_name",
]  # fmt: skip
"""What the comments above a setting call the default."""


def test_what_the_example_calls_a_default_is_one():
    called = set()
    for text in (EXAMPLE.read_text(), *commented_sections(EXAMPLE.read_text())):
        document, lines = loaded(text).document, text.splitlines()
        for path, (line, _) in document.keys.items():
            if dotted(path) in CALLED_DEFAULTS or re.search(r"the default( |$|\))", lines[line - 1]):
                value = document.data
                for part in path:
                    value = value[part]
                assert value == node_at(path)["default"], dotted(path)
                called.add(dotted(path))
    assert called > {
        *CALLED_DEFAULTS,
        "orchestrator.docker.prefix",
        "orchestrator.kubernetes.schedule_timeout",
    }


# ---- several mistakes in one run


def test_eight_mistakes_are_eight_problems_each_in_its_place():
    text = MISTAKES.read_text()
    with pytest.raises(SiteError) as raised:
        load_site(MISTAKES)
    problems = raised.value.problems
    at = [(p.line, p.column, dotted(p.path), p.rule) for p in problems]
    assert at == [
        (*where(text, "2\nxnat"), "version", "const"),
        (*where(text, "xnat.example"), "xnat.url", "pattern"),
        (*where(text, "service_account"), "xnat.service_account.password", "required"),
        (*where(text, "no\n"), "hub.shutdown_on_logout", "ambiguous"),
        (*where(text, "[]"), "servers.allowed_images", "minItems"),
        (*where(text, "start_timout"), "servers.start_timout", "unknown-key"),
        (*where(text, "0\norch"), "servers.cpu_limit", "exclusiveMinimum"),
        (*where(text, "network_name: xnat"), "orchestrator.swarm.network_name", "duplicate-key"),
    ]
    assert len(problems) == 8
    for problem in problems:
        assert problem.file == str(MISTAKES)
        assert problem.message
        assert str(problem).startswith(f"{MISTAKES}:{problem.line}:{problem.column}: error: ")
        assert str(problem) in str(raised.value)


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ("cpu_guarantee: 8\n  cpu_limit: 4\n  mem_guarantee: 8G\n  mem_limit: 4G\n  start_timeout: 500\n  stop_timeout: 500",
         [("guarantee-above-limit", 10), ("guarantee-above-limit", 12), ("start-outlasts-xnat", 14), ("stop-outlasts-xnat", 15)]),
        ("allowed_mount_targets: [/etc, /data, /usr/x]\n  allowed_mounts: [{path: /a, writable: true}, {path: /b/../c}]\n  environment: {NB_UID: x}",
         [("reserved-target", 10), ("reserved-target", 10), ("shared-writable", 11), ("path", 11), ("reserved-variable", 12)]),
    ],
)  # fmt: skip
def test_several_contradictions_in_one_run(change, problems):
    found = problems_of(MINIMAL.replace("servers:\n", f"servers:\n  {change}\n"))
    assert [(p.rule, p.line) for p in found] == problems
    assert found == sorted(found, key=lambda p: (p.line, p.column))


@pytest.mark.parametrize(
    ("typo", "parent", "suggestion"),
    [
        ("start_timout", "servers", "`start_timeout`"), ("allowed_image", "servers", "`allowed_images`"), ("mem_limits", "servers", "`mem_limit`"),
        ("urll", "xnat", "`url`"), ("Url", "xnat", "`url`"), ("sevrers", "", "`servers`"), ("base_url", "servers", "`hub.base_url`"),
        ("start_timeout", "hub", "`xnat.start_timeout`"), ("network_name", "servers", "`orchestrator.docker.network_name`"),
        ("concurency", "hub", "`xnat.calls.concurrency`"), ("zzz", "xnat/calls", "Known here: connect_timeout"),
        ("flie", "hub/cookie_secret", "`file`"), ("dockre", "orchestrator", "`docker`"), ("pull_policy", "orchestrator/swarm", "`orchestrator.docker.pull_policy`"),
    ],
)  # fmt: skip
def test_a_typo_is_told_the_nearest_name(typo, parent, suggestion):
    data = put(yaml.safe_load(MINIMAL), f"{parent}/{typo}".strip("/"), 1)
    text = dump(data)
    problem = next(p for p in problems_of(text) if p.rule == "unknown-key")
    assert suggestion in problem.fix
    assert problem.line == where(text, f"{typo}:")[0] or text.count(f"{typo}:") > 1


def test_problems_are_in_the_files_order():
    text = "orchestrator: {}\nservers: {x: 1}\nhub: 5\nxnat: []\nversion: no\n"
    found = problems_of(text)
    assert len(found) == 6
    assert [p.line for p in found] == [1, 2, 2, 3, 4, 5]


# ---- rules across keys: each with what breaks it, and a neighbour that does not

LOCAL = {"orchestrator": {"local": {"directory": "/srv/x"}}}
K8S = {"claims": [{"path": "/data/xnat", "claim_name": "xnat"}]}
CLUSTER = {"orchestrator": {"kubernetes": {"claims": [{"path": "/data/xnat", "claim_name": "xnat"}]}}}
TCP = {"docker_host": "tcp://host:2376"}
TLS = {"tls": {"ca_cert": "/a", "client_cert": "/b", "client_key": "/c"}}
SERVICE = {"name": "board", "api_token": {"env": "BOARD_TOKEN"}, "scopes": ["list:users"]}
ROLE = {"name": "desk", "scopes": ["read:servers"], "users": ["carol"]}
ARCHIVE, WORKSPACES = (
    {"from": "/data/xnat/archive", "to": "/mnt/a"},
    {"from": "/data/xnat/workspaces", "to": "/mnt/w"},
)
MOUNTS = [{"path": "/mnt/a"}, {"path": "/mnt/w/users/{username}", "writable": True}]
TRANSLATED = {"servers__allowed_mounts": MOUNTS}


def rules(*archive, workspaces=()):
    return {"paths": {"archive": list(archive), "workspaces": list(workspaces)}}


def mounts(*paths, **more):
    return {"servers__allowed_mounts": [{"path": path, **more} for path in paths]}


def security(**keys):
    return {"servers__security": keys}


APART = {"orchestrator": {"swarm": {"server_networks": 2}}}
IN_PODS = {"orchestrator": {"kubernetes": K8S}, **mounts("/data/xnat")}


def own_mount(*entries, **changes):
    entry = {"source": "/opt/x", "target": "/opt/x"}
    return {"servers__mounts": [{**entry, **each} for each in entries] or [{**entry, **changes}]}


DROPPED = ["MKNOD", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_CHROOT"]
HIDDEN = {"hub__metrics_token": {"file": "/srv/xnathub/secrets/token"}}
BREAKS = [
    # changes, rule, path, and the neighbour that is well
    ({"xnat__url": "https://xnat.example.org:99999"}, "address", "xnat.url", {"xnat__url": "https://xnat.example.org:9999"}),
    ({"xnat__url": "https://[::1"}, "address", "xnat.url", {"xnat__url": "https://[fd00::1]"}),
    ({"xnat__public_url": "https://:80"}, "address", "xnat.public_url", {"xnat__public_url": "https://x:80"}),
    ({"hub__bind_url": "http://0.0.0.0:0"}, "address", "hub.bind_url", {"hub__bind_url": "http://0.0.0.0:1"}),
    ({"hub__bind_url": "http://0.0.0.0:99999"}, "address", "hub.bind_url", {"hub__bind_url": "http://:8000"}),
    ({"hub__hub_bind_url": "http://0.0.0.0:99999"}, "address", "hub.hub_bind_url", {"hub__hub_bind_url": "http://0.0.0.0:65535"}),
    ({"hub__hub_bind_url": "http://[::1:8081"}, "address", "hub.hub_bind_url", {"hub__hub_bind_url": "http://[::1]:8081"}),
    ({"hub__hub_connect_url": "http://hub:70000"}, "address", "hub.hub_connect_url", {"hub__hub_connect_url": "http://hub:7000"}),
    ({"hub__bind_url": "http://0.0.0.0:8081"}, "address", "hub.bind_url", {"hub__bind_url": "http://0.0.0.0:8082"}),
    ({"hub__public_url": "https://xnat.example.org/hub/"}, "address", "hub.public_url", {"hub__public_url": "https://xnat.example.org/jupyterhub"}),
    ({"hub__public_url": "https://xnat.example.org/"}, "address", "hub.public_url", {"hub__public_url": "https://xnat.example.org/", "hub__base_url": "/"}),
    ({"xnat__ca_file": "/a", "xnat__verify_tls": False}, "unused-ca-file", "xnat.ca_file", {"xnat__ca_file": "/a"}),
    # path translation
    (rules(ARCHIVE, ARCHIVE) | TRANSLATED, "path-rule", "paths.archive[1].from", rules(ARCHIVE, {**ARCHIVE, "from": "/x"}) | TRANSLATED),
    (rules(ARCHIVE, workspaces=[{**ARCHIVE, "to": "/mnt/w"}]) | TRANSLATED, "path-rule", "paths.workspaces[0].from", rules(ARCHIVE, workspaces=[WORKSPACES]) | TRANSLATED),
    (rules(ARCHIVE, workspaces=[{**WORKSPACES, "to": "/mnt/a/w"}]) | mounts("/mnt/a"), "path-rule", "paths.workspaces[0].to",
     rules(ARCHIVE, workspaces=[{**WORKSPACES, "to": "/mnt/aw"}]) | mounts("/mnt/a", "/mnt/aw")),
    (rules({**ARCHIVE, "to": "/mnt"}, workspaces=[WORKSPACES]) | mounts("/mnt"), "path-rule", "paths.workspaces[0].to",
     rules(ARCHIVE, workspaces=[WORKSPACES]) | mounts("/mnt")),
    (rules({**ARCHIVE, "to": "/other"}) | mounts("/mnt/a"), "path-rule", "paths.archive[0].to", rules(ARCHIVE) | mounts("/mnt/a")),
    (rules({**ARCHIVE, "from": "/data/../x"}) | mounts("/mnt/a"), "path", "paths.archive[0].from", rules({**ARCHIVE, "from": "/data/..x"}) | mounts("/mnt/a")),
    (rules({**ARCHIVE, "to": "/mnt/./a"}) | mounts("/mnt/a"), "path", "paths.archive[0].to", rules(ARCHIVE) | mounts("/mnt/a")),
    (rules(ARCHIVE) | mounts("/mnt/a", "/data/xnat/archive/P1"), "never-matches", "servers.allowed_mounts[1].path", rules(ARCHIVE) | mounts("/mnt/a", "/data/xnat/x")),
    (rules(ARCHIVE, {"from": "/data", "to": "/mnt/d"}) | mounts("/mnt/a", "/mnt/d", "/data/x"), "never-matches", "servers.allowed_mounts[2].path",
     rules(ARCHIVE, {"from": "/data", "to": "/mnt/d"}, {"from": "/data/x", "to": "/data/x"}) | mounts("/mnt/a", "/mnt/d", "/data/x")),
    # mounts
    ({"pages": {"accent": "#ffcc00"}}, "contrast", "pages.accent", {"pages": {"accent": "#4b3c00"}}),
    (own_mount({"source": "/ws/{username}", "target": "/a", "writable": True}, {"source": "/ws/{username}/x/y", "target": "/b"}), "link",
     "servers.mounts[1].source", own_mount({"source": "/ws/{username}", "target": "/a", "writable": True}, {"source": "/wsx/{username}/x", "target": "/b"})),
    ({**own_mount(source="/ws/{username}/x"), "servers__allowed_mounts": [{"path": "/ws/{username}", "writable": True}]}, "link", "servers.mounts[0].source",
     {**own_mount(source="/ws/{username}/x"), "servers__allowed_mounts": [{"path": "/ws/{username}"}]}),
    ({"servers__allowed_mounts": [{"path": "/ws/{username}", "writable": True}, {"path": "/ws/{username}/x"}]}, "link", "servers.allowed_mounts[1].path",
     {"servers__allowed_mounts": [{"path": "/ws/{username}", "writable": True}, {"path": "/archive"}]}),
    ({"servers__images_ahead": ["xnat/lab"]}, "image-ahead", "servers.images_ahead[0]", {"servers__images_ahead": ["xnat/lab:1"]}),
    ({"servers__images_ahead": ["xnat/lab:1", "other/lab:1"]}, "image-ahead", "servers.images_ahead[1]", {"servers__images_ahead": ["xnat/lab:1"]}),
    ({"servers__images_ahead": ["xnat/*:1"]}, "image-ahead", "servers.images_ahead[0]", {"servers__images_ahead": ["xnat/lab:1"]}),
    ({"hub__services": [{**SERVICE, "scopes": ["list:user"]}]}, "scope", "hub.services[0].scopes[0]", {"hub__services": [SERVICE]}),
    ({"hub__services": [{**SERVICE, "name": "xnat"}]}, "role-name", "hub.services[0].name", {"hub__services": [SERVICE]}),
    ({"hub__services": [SERVICE], "hub__roles": [{**ROLE, "name": "board"}]}, "role-name", "hub.roles[0].name", {"hub__services": [SERVICE], "hub__roles": [ROLE]}),
    ({"hub__roles": [{**ROLE, "users": ["a/b"]}]}, "username", "hub.roles[0].users[0]", {"hub__roles": [ROLE]}),
    (mounts("/data/{user}"), "never-matches", "servers.allowed_mounts[0].path", mounts("/data/{username}")),
    (mounts("/data/{username"), "never-matches", "servers.allowed_mounts[0].path", mounts("/data/username")),
    (mounts("/data/x{username}"), "username", "servers.allowed_mounts[0].path", mounts("x{username}")),
    (mounts("/data/.."), "path", "servers.allowed_mounts[0].path", mounts("/data/...")),
    (mounts("/data/./x"), "path", "servers.allowed_mounts[0].path", mounts("/data/.x")),
    (mounts("/data", writable=True), "shared-writable", "servers.allowed_mounts[0].path", mounts("/data/{username}", writable=True)),
    (mounts("vol", writable=True), "shared-writable", "servers.allowed_mounts[0].path", mounts("vol-{username}", writable=True)),
    ({**LOCAL, **mounts("/data", "common")}, "path", "servers.allowed_mounts[1].path", {**LOCAL, **mounts("/data", "/common")}),
    ({"orchestrator": {"kubernetes": K8S}} | mounts("My_Volume"), "claim", "servers.allowed_mounts[0].path", {"orchestrator": {"kubernetes": K8S}} | mounts("my-volume")),
    (mounts("/data", "/data"), "duplicate", "servers.allowed_mounts[1].path", mounts("/data", "/data/x")),
    ({"servers__allowed_mount_targets": ["/data", "/etc"]}, "reserved-target", "servers.allowed_mount_targets[1]", {"servers__allowed_mount_targets": ["/data", "/etcetera"]}),
    ({"servers__allowed_mount_targets": ["/var/run"]}, "reserved-target", "servers.allowed_mount_targets[0]", {"servers__allowed_mount_targets": ["/home"]}),
    ({"servers__allowed_mount_targets": ["/data/../etc"]}, "path", "servers.allowed_mount_targets[0]", {"servers__allowed_mount_targets": ["/data/etc"]}),
    ({"servers__environment": {"NB_UID": "x"}}, "reserved-variable", "servers.environment.NB_UID", {"servers__environment": {"NB_UMASK": "x"}}),
    ({"servers__environment": {"JUPYTERHUB_API_TOKEN": "x"}}, "reserved-variable", "servers.environment.JUPYTERHUB_API_TOKEN", {"servers__environment": {"HUB": "x"}}),
    # the site's own mounts
    (own_mount(source="/opt/x", writable=True), "shared-writable", "servers.mounts[0].source", own_mount(source="/opt/{username}", writable=True)),
    (own_mount(source="/opt/x{username}"), "username", "servers.mounts[0].source", own_mount(source="/opt/{username}")),
    (own_mount(source="/opt/{user}"), "username", "servers.mounts[0].source", own_mount(source="atlas-{username}")),
    (own_mount(projects=["{username}"]), "never-matches", "servers.mounts[0].projects[0]", own_mount(projects=["P-1"])),
    (own_mount(source="/opt/../x"), "path", "servers.mounts[0].source", own_mount(source="/opt/x")),
    *((own_mount(target=bad), "reserved-target", "servers.mounts[0].target", own_mount(target=good))
      for bad, good in (("/opt", "/opt/x"), ("/usr", "/usr/local/x"), ("/dev/shm", "/data/shm"), ("/proc/x", "/process"))),
    (own_mount({}, {"images": ["xnat/*"]}), "duplicate", "servers.mounts[1].target", own_mount({"images": ["xnat/a"]}, {"images": ["xnat/b*"]})),
    *((own_mount(one, other), "duplicate", "servers.mounts[1].target", own_mount(one, good)) for one, other, good in (
        ({"images": ["xnat/a"]}, {"images": ["xnat/*"]}, {"images": ["xnat/b"]}),
        ({"images": ["xnat/a*"]}, {"images": ["xnat/*b"]}, {"images": ["xnat/b*"]}),
        ({"images": ["xnat/a:1.*"]}, {"images": ["xnat/a"]}, {"images": ["xnat/a:2"]}),
        ({"images": ["xnat/a"]}, {"projects": ["P1"]}, {"images": ["xnat/b"], "projects": ["P1"]}),
        ({"projects": ["P1", "P2"]}, {"projects": ["P2"]}, {"projects": ["P3"]}),
    )),
    (own_mount(images=[]), "no-effect", "servers.mounts[0].images", own_mount()),
    (own_mount(projects=[]), "no-effect", "servers.mounts[0].projects", own_mount(projects=["P1"])),
    (own_mount(projects=["P1", "*"]), "pattern", "servers.mounts[0].projects[1]", own_mount(projects=["P1", "A B.C-1_x"])),
    *((own_mount(target=bad), "reserved-target", "servers.mounts[0].target", own_mount(target=good)) for bad, good in (
        ("/home", "/home/jovyan/.site"), ("/home/jovyan", "/home/jovyan/site"), ("/tmp", "/tmp/site"), ("/usr/bin", "/usr/bin/site"),
        ("/usr/local/bin", "/usr/local/bin/x"), ("/opt/conda", "/opt/condas"), ("/etc/passwd", "/etc/passwd.d"), ("/etc/hosts", "/etc/hosts.d"),
        ("/data", "/data/atlas"), ("/workspace", "/workspaces"), ("/data/projects", "/data/project"), ("/data/projects/P1", "/data/projects-of-old"),
        ("/var/run/secrets/kubernetes.io/serviceaccount", "/var/run/secrets/x"),
    )),
    (own_mount(target="/home/jovyan"), "reserved-target", "servers.mounts[0].target", own_mount(source="/homes/{username}", target="/home/jovyan", writable=True)),
    *(({**own_mount(target=each), "servers__ca_file": "/opt/ca.pem"}, "reserved-target", "servers.mounts[0].target", own_mount(target=each)) for each in ("/etc/xnathub", "/etc/xnathub/ca.pem")),
    (own_mount(target="/opt/{username}"), "username", "servers.mounts[0].target", own_mount(target="/opt/username")),
    ({"servers__ca_file": "/opt/{username}/ca.pem"}, "username", "servers.ca_file", {"servers__ca_file": "/opt/ca.pem"}),
    ({"servers__allowed_mount_targets": ["/data", "/home/{username}"]}, "username", "servers.allowed_mount_targets[1]", {"servers__allowed_mount_targets": ["/data", "/home/x"]}),
    ({"orchestrator": {"kubernetes": {"claims": [*K8S["claims"], {"path": "/ws/{username}", "claim_name": "ws"}]}}} | mounts("/data/xnat"), "username",
     "orchestrator.kubernetes.claims[1].path", {"orchestrator": {"kubernetes": {"claims": [*K8S["claims"], {"path": "/ws", "claim_name": "ws"}]}}} | mounts("/data/xnat")),
    (rules({**ARCHIVE, "from": "/data/{username}"}) | mounts("/mnt/a"), "username", "paths.archive[0].from", rules(ARCHIVE) | mounts("/mnt/a")),
    # what mounts would give away
    *((made(bad), "node-itself", f"servers.{place}", made(good)) for made, place in (
        (lambda path: own_mount(source=path), "mounts[0].source"), (mounts, "allowed_mounts[0].path"), (lambda path: {"servers__ca_file": path}, "ca_file"),
      ) for bad, good in (
        ("/etc", "/etc/fsl"), ("/root", "/rooted"), ("/root/x", "/mnt/root"), ("/proc", "/process"), ("/sys/fs/cgroup", "/system"), ("/dev", "/devel"),
        ("/var/run/docker.sock", "/var/run/munge"), ("/run", "/run/munge"), ("/mnt/engine/docker.sock", "/mnt/engine/docker.socks"), ("/var", "/var/lib/sss"),
        ("/var/lib/docker/volumes/x", "/var/lib/docker/volumes/x/_data/archive"), ("/var/lib/docker", "/var/lib/dockers"), ("/var/lib/kubelet", "/var/lib/kubelets"), ("/run/user/1000", "/run/users"),
    )),
    *((made(f"/{bad}{{username}}"), "node-itself", f"servers.{place}", made(f"/{good}{{username}}")) for made, place in (
        (lambda path: own_mount(source=path, writable=True), "mounts[0].source"), (lambda path: mounts(path, writable=True), "allowed_mounts[0].path"),
      ) for bad, good in (("", "x/"), ("etc/", "home/"), ("var/lib/", "var/users/"))),
    ({"orchestrator": {"docker": {"docker_host": "unix:///srv/engine/api"}}} | own_mount(source="/srv/engine"), "node-itself", "servers.mounts[0].source",
     {"orchestrator": {"docker": {"docker_host": "unix:///srv/engine/api"}}} | own_mount(source="/srv/engines")),
    *((made(bad), "hub-secret", f"servers.{place}", made("/srv/xnathub/software")) for made, place in (
        (lambda path: own_mount(source=path) | HIDDEN, "mounts[0].source"), (lambda path: mounts(path) | HIDDEN, "allowed_mounts[0].path"),
      ) for bad in ("/srv/xnathub", "/srv/xnathub/secrets", "/srv/xnathub/secrets/token")),
    (mounts("/var/lib/docker/volumes/xnathub_data/_data"), "hub-secret", "servers.allowed_mounts[0].path", mounts("/var/lib/docker/volumes/xnat_data/_data")),
    (own_mount(source="xnathub_data"), "hub-secret", "servers.mounts[0].source", own_mount(source="xnathub_atlas")),
    (own_mount(source="hub-db-dir") | {"orchestrator": {"kubernetes": K8S}} | mounts("/data/xnat"), "hub-secret", "servers.mounts[0].source",
     own_mount(source="atlas") | {"orchestrator": {"kubernetes": K8S}} | mounts("/data/xnat")),
    ({"orchestrator": {"kubernetes": {"claims": [*K8S["claims"], {"path": "/hub", "claim_name": "hub-db-dir"}]}}} | mounts("/data/xnat"), "hub-secret",
     "orchestrator.kubernetes.claims[1].claim_name", {"orchestrator": {"kubernetes": {"claims": [*K8S["claims"], {"path": "/hub", "claim_name": "hub"}]}}} | mounts("/data/xnat")),
    (own_mount(images=["xnat/A*"]), "never-matches", "servers.mounts[0].images[0]", own_mount(images=["xnat/a*"])),
    (own_mount(source="/opt/x") | {"orchestrator": {"kubernetes": K8S}} | mounts("/data/xnat"), "claim", "servers.mounts[0].source",
     own_mount(source="/data/xnat/soft") | {"orchestrator": {"kubernetes": K8S}} | mounts("/data/xnat")),
    ({"servers__ca_file": "/etc/ca.pem"} | IN_PODS, "claim", "servers.ca_file", {"servers__ca_file": "/data/xnat/ca.pem"} | IN_PODS),
    ({"servers__ca_file": "/etc/../ca.pem"}, "path", "servers.ca_file", {"servers__ca_file": "/etc/ca.pem"}),
    (own_mount(source="Atlas") | {"orchestrator": {"kubernetes": K8S}} | mounts("/data/xnat"), "claim", "servers.mounts[0].source",
     own_mount(source="atlas") | {"orchestrator": {"kubernetes": K8S}} | mounts("/data/xnat")),
    # images
    ({"servers__allowed_images": ["a", "xnat/A*"]}, "never-matches", "servers.allowed_images[1]", {"servers__allowed_images": ["a", "xnat/*"]}),
    ({"servers__allowed_images": ["a:b:c"]}, "never-matches", "servers.allowed_images[0]", {"servers__allowed_images": ["a:b"]}),
    # resources
    ({"servers__cpu_guarantee": 2, "servers__cpu_limit": 1.5}, "guarantee-above-limit", "servers.cpu_guarantee", {"servers__cpu_guarantee": 2, "servers__cpu_limit": 2}),
    ({"servers__cpu_guarantee": 2, "servers__caps": {"cpu": 1}}, "guarantee-above-limit", "servers.cpu_guarantee", {"servers__cpu_guarantee": 2, "servers__caps": {"mem": "1G"}}),
    ({"servers__mem_guarantee": "2G", "servers__mem_limit": "2047M"}, "guarantee-above-limit", "servers.mem_guarantee", {"servers__mem_guarantee": "2G", "servers__mem_limit": "2048M"}),
    ({"servers__shm_size": "2G", "servers__caps": {"mem": "1G"}}, "shm-above-limit", "servers.shm_size", {"servers__shm_size": "2G", "servers__mem_limit": "2G"}),
    ({"servers__mem_limit": "2G", "servers__caps": {"mem": "1G"}}, "limit-above-cap", "servers.mem_limit", {"servers__mem_limit": "1G", "servers__caps": {"mem": "1G"}}),
    # rights
    *((security(**bad) | more, "rights", f"servers.security.{place}", security(**good) | more) for bad, place, good, more in (
        ({"drop_capabilities": [*DROPPED, "SETUID"]}, "drop_capabilities[5]", {"drop_capabilities": [*DROPPED, "KILL"]}, {}),
        ({"drop_capabilities": ["ALL"]}, "drop_capabilities[0]", {"drop_capabilities": ["ALL"], "start_as_root": False}, {}),
        ({"read_only_root": True}, "read_only_root", {"read_only_root": True, "start_as_root": False}, {}),
        ({"pids_limit": 99}, "pids_limit", {"pids_limit": 8192}, IN_PODS),
        ({"seccomp": "/a.json"}, "seccomp", {"seccomp": "a/b.json", "apparmor": "x", "selinux": {"level": "s0"}}, IN_PODS),
        ({"seccomp": "a/../../b.json"}, "seccomp", {"seccomp": "b.json"}, IN_PODS),
        ({"seccomp": "a.json"}, "seccomp", {"seccomp": "/a.json", "apparmor": "x", "selinux": {"level": "s0"}}, {"orchestrator": {"docker": {}}}),
        ({"seccomp": "a.json"}, "seccomp", {"seccomp": "/a.json", "selinux": {"level": "s0"}}, {}),
        ({"apparmor": "x"}, "apparmor", {"seccomp": "default"}, {}),
        *(({"ulimits": {name: bad}}, f"ulimits.{name}", {"ulimits": {name: good}}, {}) for name, bad, good in (
            ("nofile", 1, 256), ("nofile", -1, 1048576), ("nofile", 10**12, 1073741816), ("nproc", 1, 64), ("fsize", 0, -1), ("fsize", 0, 1024**2),
            ("stack", 1024, 1024**2), ("data", 1, 1024**3), ("cpu", 1, -1), ("nice", 41, 40), ("rtprio", -1, 0), ("memlock", 2**63, 0),
        )),
        ({"ulimits": {"rss": 5}}, "ulimits.rss", {"ulimits": {"core": -1}}, {}),
        ({"ulimits": {"locks": 5}}, "ulimits.locks", {"ulimits": {"memlock": -1}}, {}),
        ({"user_namespaces": "own"}, "user_namespaces", {"user_namespaces": "default"}, {}),
        ({"user_namespaces": "own"}, "user_namespaces", {}, {"orchestrator": {"local": {"directory": "/x"}}}),
        ({"ulimits": {"core": 9}}, "ulimits", {"ulimits": {"core": 0}}, IN_PODS),
        ({"start_as_root": False}, "start_as_root", {"read_only_root": True}, IN_PODS),
        ({"pids_limit": 99}, "pids_limit", {"pids_limit": 8192}, {"orchestrator": {"local": {"directory": "/x"}}}),
    )),
    # the internet
    *((bad | {"servers__internet": "none"}, "internet", place, good | {"servers__internet": "none"}) for bad, place, good in (
        ({"orchestrator": {"swarm": {}}}, "servers.internet", {"orchestrator": {"swarm": {"server_networks": 2}}}),
        ({"orchestrator": {"docker": {}}}, "servers.internet", {"orchestrator": {"docker": {"server_networks": 2}}}),
        (APART | {"servers__http_proxy": "http://proxy:3128"}, "servers.http_proxy", APART),
        (APART | {"servers__reachable": ["pypi.org", "a/"]}, "servers.reachable[1]", APART | {"servers__reachable": [".pypi.org", "10.0.0.0/8", "x:22"]}),
        (IN_PODS, "servers.internet", IN_PODS | {"servers__reachable": ["10.1.2.3"]}),
        (IN_PODS, "servers.internet", IN_PODS | {"xnat__url": "https://10.1.2.3"}),
        (APART | {"servers__reachable": ["pypi.org:443", "pypi.org:99999"]}, "servers.reachable[1]", APART | {"servers__reachable": ["pypi.org:443", "10.0.0.5:65535"]}),
        *((APART | {"servers__reachable": ["pypi.org", bad]}, "servers.reachable[1]", APART | {"servers__reachable": ["pypi.org", good]}) for bad, good in (
            ("169.254.169.254", "169.254.20.10"), ("169.254.0.0/16", "169.253.0.0/16"), ("169.254.169.254:80", "169.254.20.10:53"), ("fd00:ec2::/32", "fd00:ec3::/32"),
            ("metadata.google.internal", "metadata.hospital.internal"), (".google.internal", ".hospital.internal"),
        )),
        *((APART | {"servers__reachable": bad}, "servers.reachable", APART | {"servers__reachable": ["10.0.0.0/8"]}) for bad in (["0.0.0.0/0"], ["::/0"])),
        (IN_PODS | {"servers__reachable": ["10.1.2.3", "10.1.2.3:443"]}, "servers.reachable[1]", IN_PODS | {"servers__reachable": ["10.1.2.3"]}),
        (IN_PODS | {"servers__reachable": ["10.1.2.3", "pypi.org"]}, "servers.reachable[1]", IN_PODS | {"servers__reachable": ["10.1.2.3", "10.2.0.0/16"]}),
    )),
    ({"servers__reachable": ["pypi.org"]}, "internet", "servers.reachable", {"servers__reachable": []}),
    ({"servers__internet": "none", "orchestrator": {"local": {"directory": "/x"}}}, "internet", "servers.internet", {"servers__internet": "all"}),
    # names, addresses and logs
    *(({"servers__hosts": {bad: at}}, rule, f"servers.hosts.{bad}", {"servers__hosts": {"pacs": "10.0.0.5"}}) for bad, at, rule in (
        ("pacs", "1.2.3", "address"), ("pacs", "127.0.0.1", "server-network"), ("jupyterhub", "10.0.0.5", "server-network"), ("localhost", "10.0.0.5", "server-network"),
    )),
    *(({"orchestrator": {"swarm": bad}}, rule, f"orchestrator.swarm.{place}", {"orchestrator": {"swarm": good}}) for bad, rule, place, good in (
        ({"dns": ["10.0.0.53", "::1"]}, "server-network", "dns[1]", {"dns": ["10.0.0.53", "fd00::53"]}),
        ({"dns": ["10.0.0.256"]}, "address", "dns[0]", {"dns": ["10.0.0.255"]}),
        ({"log_options": {"max-size": "1m"}}, "server-network", "log_options", {"log_driver": "gelf", "log_options": {"gelf-address": "udp://x:1"}}),
        ({"log_driver": "local", "log_options": {"maxsize": "1m"}}, "server-network", "log_options.maxsize", {"log_driver": "local", "log_options": {"max-size": "1m"}}),
        ({"log_driver": "none", "log_options": {"max-size": "1m"}}, "server-network", 'log_options["max-size"]', {"log_driver": "none"}),
    )),
    *(({"orchestrator": {kind: bad}} | more, "networks", f"orchestrator.{kind}.networks{place}", {"orchestrator": {kind: good}} | more)
      for kind in ("docker", "swarm") for bad, place, good, more in (
        ({"networks": ["licences", "bridge"]}, "[1]", {"networks": ["licences", "bridge-2"]}, {}),
        ({"networks": ["xnat_jupyterhub"]}, "[0]", {"networks": ["xnat_jupyterhubs"]}, {}),
        ({"networks": ["xnathub_control"]}, "[0]", {"networks": ["xnathub_controls"]}, {}),
        ({"networks": ["xnat_jupyterhub-2"], "server_networks": 2}, "[0]", {"networks": ["xnat_jupyterhub-2"]}, {}),
        ({"networks": ["licences"], "server_networks": 2}, "", {"server_networks": 2}, {"servers__internet": "none"}),
    )),
    *(({"servers__image_health_checks": True} | where, "no-effect", "servers.image_health_checks", {"servers__image_health_checks": False} | where)
      for where in (IN_PODS, {"orchestrator": {"local": {"directory": "/x"}}})),
    ({"servers__no_proxy": ["a.example.org"]}, "no-effect", "servers.no_proxy", {"servers__no_proxy": ["a.example.org"], "servers__http_proxy": "http://proxy:3128"}),
    ({"servers__no_proxy": ["a.example.org"], "servers__internet": "none", "servers__reachable": ["10.0.0.0/8"]} | IN_PODS, "no-effect", "servers.no_proxy",
     {"servers__no_proxy": ["a.example.org"], "servers__internet": "none"} | APART),
    ({"hub__named_server_limit_per_user": 3, "hub__allow_named_servers": False}, "no-effect", "hub.named_server_limit_per_user", {"hub__named_server_limit_per_user": 3}),
    ({"servers__environment": {"GRANT_SUDO": "yes"}}, "rights", "servers.environment.GRANT_SUDO", {"servers__environment": {"GRANT_SUDO": "no"}}),
    # timeouts
    ({"servers__start_timeout": 181}, "start-outlasts-xnat", "servers.start_timeout", {"servers__start_timeout": 181, "xnat__start_timeout": 241}),
    ({"servers__stop_timeout": 61}, "stop-outlasts-xnat", "servers.stop_timeout", {"servers__stop_timeout": 60}),
    ({"xnat__calls": {"read_timeout": 46}}, "attempt-outlasts-call", "xnat.calls.read_timeout", {"xnat__calls": {"read_timeout": 45}}),
    ({"xnat__calls": {"deadline": 4, "read_timeout": 4}}, "attempt-outlasts-call", "xnat.calls.deadline", {"xnat__calls": {"deadline": 5, "read_timeout": 5}}),
    # names
    ({"hub__admin_users": ["a", "b/c"]}, "username", "hub.admin_users[1]", {"hub__admin_users": ["a", "b@c.org"]}),
    ({"hub__admin_users": [" a"]}, "username", "hub.admin_users[0]", {"hub__admin_users": ["a b"]}),
    ({"hub__admin_users": ["guest"]}, "username", "hub.admin_users[0]", {"hub__admin_users": ["guests"]}),
    ({"hub__admin_users": ["a\\b"]}, "username", "hub.admin_users[0]", {"hub__admin_users": ["a" * 255]}),
    ({"extra": {"Authenticator.blocked_users": ["a", ""]}}, "username", 'extra["Authenticator.blocked_users"][1]', {"extra": {"Authenticator.blocked_users": ["a", "b"]}}),
    ({"hub__api_token": {"env": "HUB_TOKEN"}, "extra": {"SwarmSpawner.env_keep": ["LANG", "HUB_TOKEN"]}}, "secret", 'extra["SwarmSpawner.env_keep"][1]',
     {"hub__api_token": {"env": "HUB_TOKEN"}, "extra": {"SwarmSpawner.env_keep": ["LANG"]}}),
    ({"extra": {"SwarmSpawner.env_keep": ["JUPYTERHUB_CRYPT_KEY"]}}, "secret", 'extra["SwarmSpawner.env_keep"][0]', {"extra": {"SwarmSpawner.env_keep": ["LANG"]}}),
    ({"extra": {"JupyterHub.load_groups": {"a": []}, "Authenticator.manage_groups": True}}, "extra-pair", 'extra["JupyterHub.load_groups"]',
     {"extra": {"JupyterHub.load_groups": {"a": []}, "Authenticator.manage_groups": False}}),
    ({"hub__db_url": "sqlite://", "extra": {"JupyterHub.db_kwargs": {"pool_size": 1}}}, "extra-pair", 'extra["JupyterHub.db_kwargs"].pool_size',
     {"hub__db_url": "sqlite:////srv/hub.sqlite", "extra": {"JupyterHub.db_kwargs": {"pool_size": 1}}}),
    ({"extra": {"ConfigurableHTTPProxy.extra_routes": {"/a/": "http://b"}, "JupyterHub.subdomain_host": "https://c"}}, "extra-pair",
     'extra["ConfigurableHTTPProxy.extra_routes"]', {"extra": {"ConfigurableHTTPProxy.extra_routes": {"/a/": "http://b"}}}),
    *(({"sign_in__xnat_session": False, "hub__user_subdomains": True, "hub__public_url": bad}, "user-subdomains", "hub.user_subdomains", {"sign_in__xnat_session": False, "hub__user_subdomains": True, "hub__public_url": good})
      for bad, good in (
          ("https://xnat.example.org/jupyterhub/", "https://jupyter.example.org/jupyterhub/"), ("http://jupyter.example.org/jupyterhub/", "https://jupyter.example.org:8443/jupyterhub/"),
          ("https://192.0.2.7/jupyterhub/", "https://jupyter.xnat.example.org/jupyterhub/"), (f"https://{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 40}.org/jupyterhub/", f"https://{'a' * 60}.org/jupyterhub/"),
      )),
    ({"sign_in__xnat_session": False, "hub__user_subdomains": True, "hub__public_url": "https://example.org/jupyterhub/"}, "user-subdomains",
     "hub.user_subdomains", {"sign_in__xnat_session": False, "hub__user_subdomains": True, "hub__public_url": "https://jupyter.example.org/jupyterhub/"}),
    ({"sign_in__xnat_session": False, "hub__user_subdomains": True}, "user-subdomains", "hub.user_subdomains", {"hub__user_subdomains": False}),
    ({"sign_in__xnat_session": False, "hub__user_subdomains": True, "hub__public_url": "https://jupyter.example.org/jupyterhub/", "extra": {"JupyterHub.subdomain_host": "https://c"}}, "user-subdomains",
     'extra["JupyterHub.subdomain_host"]', {"sign_in__xnat_session": False, "hub__user_subdomains": True, "hub__public_url": "https://jupyter.example.org/jupyterhub/"}),
    ({"hub__api_scopes": ["read:hub", "admin:server"]}, "scope", "hub.api_scopes[1]", {"hub__api_scopes": ["read:hub", "admin:servers"]}),
    ({"hub__api_scopes": ["read:hub", "read:users!own"]}, "scope", "hub.api_scopes[1]", {"hub__api_scopes": ["read:hub", "read:users!user"]}),
    ({"hub__api_scopes": ["admin:servers!user=a", "zzzz!user=a"]}, "scope", "hub.api_scopes[1]", {"hub__api_scopes": ["admin:servers!user=a"]}),
    # orchestrators
    *(({"orchestrator": {"swarm": {"subnet": bad}}}, "address", "orchestrator.swarm.subnet", {"orchestrator": {"swarm": {"subnet": good}}})
      for bad, good in (("10.20.0.1/20", "10.20.0.0/20"), ("10.20.0.0/30", "10.20.0.0/28"), ("10.20.0.0/40", "10.16.0.0/12"), ("300.1.0.0/16", "10.1.0.0/16"))),
    ({"orchestrator": {"swarm": TLS}}, "tls-on-socket", "orchestrator.swarm.tls", {"orchestrator": {"swarm": TLS | TCP}}),
    ({"orchestrator": {"docker": TLS}}, "tls-on-socket", "orchestrator.docker.tls", {"orchestrator": {"docker": TLS | TCP}}),
    ({"orchestrator": {"kubernetes": {"claims": K8S["claims"] * 2}}}, "claim", "orchestrator.kubernetes.claims[1].path",
     {"orchestrator": {"kubernetes": {"claims": [*K8S["claims"], {"path": "/data/xnat/x", "claim_name": "x"}]}}}),
    ({"orchestrator": {"kubernetes": {"claims": [{"path": "/data/../x", "claim_name": "x"}, *K8S["claims"]]}}}, "path", "orchestrator.kubernetes.claims[0].path",
     {"orchestrator": {"kubernetes": {"claims": [{"path": "/data/x", "claim_name": "x"}, *K8S["claims"]]}}}),
    ({"orchestrator": {"kubernetes": K8S}} | mounts("/data/xnat/a", "/data/xnats"), "claim", "servers.allowed_mounts[1].path",
     {"orchestrator": {"kubernetes": K8S}} | mounts("/data/xnat/a", "/data/xnat")),
    ({"orchestrator": {"kubernetes": {**K8S, "tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}}}, "toleration",
     "orchestrator.kubernetes.tolerations[0].value", {"orchestrator": {"kubernetes": {**K8S, "tolerations": [{"key": "a", "operator": "Exists"}]}}}),
    ({"orchestrator": {"kubernetes": {**K8S, "tolerations": [{"value": "b"}]}}}, "toleration", "orchestrator.kubernetes.tolerations[0]",
     {"orchestrator": {"kubernetes": {**K8S, "tolerations": [{"key": "a", "value": "b"}]}}}),
    # secrets that stand in the file
    ({"hub__api_token": "short"}, "secret", "hub.api_token", None),
    ({"hub__api_token": "\u00e9" * 40}, "secret", "hub.api_token", None),
    ({"hub__api_token": "0123456" * 6}, "secret", "hub.api_token", None),
    ({"hub__cookie_secret": "g" * 64}, "secret", "hub.cookie_secret", None),
    ({"hub__cookie_secret": "0" * 63}, "secret", "hub.cookie_secret", None),
    ({"hub__db_url": "hub.sqlite"}, "secret", "hub.db_url", {"hub__db_url": "sqlite:///hub.sqlite"}),
    ({"hub__db_url": "sqlite:hub.sqlite"}, "secret", "hub.db_url", {"hub__db_url": "sqlite://"}),
    ({"hub__db_url": "sqlite://srv/hub.sqlite"}, "secret", "hub.db_url", None),
    ({"hub__db_url": "oracle://u:p@h/d"}, "secret", "hub.db_url", None),
    ({"hub__db_url": "postgresql://u:p@h:port/d"}, "secret", "hub.db_url", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "rule", "path", "neighbour"),
    BREAKS,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_rule_across_keys(changes, rule, path, neighbour):
    text = site_text(**changes)
    with pytest.raises(SiteError) as raised:
        loaded(text)
    errors = [p for p in raised.value.problems if p.severity == "error"]
    assert [(p.rule, dotted(p.path)) for p in errors] == [(rule, path)]
    # The line is that of the value; of a default, that of the key above it.
    document = parse_yaml(text.encode(), "site.yaml")
    assert (errors[0].line, errors[0].column) in {
        document.value_mark(errors[0].path),
        document.key_mark(errors[0].path),
    }
    if neighbour is not None:
        loaded(site_text(**neighbour), strict=True)


IN_PODS = {"orchestrator": {"kubernetes": {"claims": [{"path": "/data/xnat", "claim_name": "xnat"}]}}}
HTTPS = "https://xnat.example.org/jupyterhub/"
WARNINGS = [
    ({"xnat__url": "http://xnat.example.org"}, "unencrypted", "xnat.url", {"xnat__url": "http://127.0.0.1:8080", **LOCAL}),
    ({"xnat__url": "http://10.0.0.1"}, "unencrypted", "xnat.url", {"xnat__url": "http://localhost", **LOCAL}),
    ({"xnat__verify_tls": False}, "unverified", "xnat.verify_tls", {"xnat__verify_tls": True}),
    *(({"hub__trusted_proxies": ["10.0.3.1", everybody]}, "trusts-everybody", "hub.trusted_proxies[1]", {"hub__trusted_proxies": ["10.0.3.1", "10.0.0.0/8"]}) for everybody in ("0.0.0.0/0", "::/0")),
    ({**IN_PODS, "hub__public_url": HTTPS}, "unnamed-proxies", "hub.trusted_proxies", {**IN_PODS, "hub__public_url": HTTPS, "hub__trusted_proxies": ["10.244.0.5"]}),
    ({**IN_PODS, "hub__reverse_proxies": 1}, "unnamed-proxies", "hub.trusted_proxies", IN_PODS),
    *((security(**bad) | more, "less-protected", f"servers.security.{place}", security(**good) | more) for bad, place, good, more in (
        ({"no_new_privileges": False}, "no_new_privileges", {"no_new_privileges": True}, {}),
        ({"no_new_privileges": False}, "no_new_privileges", {}, {"servers__environment": {"NB_UMASK": "002"}}),
        ({"seccomp": "unconfined"}, "seccomp", {"seccomp": "default"}, {}), ({"seccomp": "unconfined"}, "seccomp", {"seccomp": "b.json"}, IN_PODS),
        ({"apparmor": "unconfined"}, "apparmor", {}, {}), ({"apparmor": "unconfined"}, "apparmor", {"apparmor": "jupyter"}, IN_PODS),
        ({"drop_capabilities": []}, "drop_capabilities", {"drop_capabilities": [*DROPPED, "KILL"]}, {}),
        ({"drop_capabilities": ["MKNOD", "KILL"]}, "drop_capabilities", {"drop_capabilities": DROPPED}, {}),
        ({"drop_capabilities": ["NET_RAW"]}, "drop_capabilities", {"drop_capabilities": ["ALL"], "start_as_root": False}, {}),
        ({"pids_limit": 4194304}, "pids_limit", {"pids_limit": 65536}, {}),
        ({"user_namespaces": "host"}, "user_namespaces", {"user_namespaces": "own"}, {"orchestrator": {"docker": {}}}),
        ({"selinux": {"type": "spc_t"}}, "selinux.type", {"selinux": {"type": "container_t"}}, {}),
    )),
    (security(no_new_privileges=False) | {"servers__environment": {"GRANT_SUDO": "yes"}}, "less-protected", "servers.security.no_new_privileges", {}),
    (security(start_as_root=False, drop_capabilities=["KILL"]), "unused-right", "servers.security.drop_capabilities", security(start_as_root=False)),
    (security(drop_capabilities=["KILL"]) | IN_PODS, "unused-right", "servers.security.drop_capabilities", IN_PODS),
    *(({"servers__internet": "none", "servers__reachable": [bad]} | APART, "wide-reach", "servers.reachable[0]", {"servers__internet": "none", "servers__reachable": [good]} | APART)
      for bad, good in (("0.0.0.0/1", "8.0.0.0/8"), (".org", ".python.org"), (".ac.uk", ".ucl.ac.uk"), ("2000::/3", "2001:db8::/32"), (".com", ".local"))),
    ({"servers__shm_size": "1K"}, "tiny-memory", "servers.shm_size", {"servers__shm_size": "1M"}),
    ({"servers__shm_size": "9999T"}, "huge-memory", "servers.shm_size", {"servers__shm_size": "1T"}),
    ({"servers__mem_limit": "9999T"}, "huge-memory", "servers.mem_limit", {"servers__mem_limit": "64T"}),
    *((own_mount(source=folder), "everybodys-data", "servers.mounts[0].source", own_mount(source=folder, projects=["P1"]))
      for folder in ("/data", "/data/xnat", "/data/xnat/archive", "/data/xnat/workspaces", "/data/xnat/workspaces/users")),
    (own_mount(source="/opt/$A"), "literal-path", "servers.mounts[0].source", own_mount(source="/opt/A$")),
    (own_mount(source="/opt/*"), "literal-path", "servers.mounts[0].source", own_mount(source="/opt/+")),
    (own_mount({}, {"target": "/opt/x/y"}), "nested-mount", "servers.mounts[1].target", own_mount({}, {"target": "/opt/xy"})),
    (own_mount({}, {"target": "/opt/x/y"}), "nested-mount", "servers.mounts[1].target",
     own_mount({"source": "/opt/{username}", "writable": True}, {"target": "/opt/x/y"})),
    (own_mount({"images": ["xnat/a"]}, {"target": "/opt/x/y", "images": ["xnat/*"]}), "nested-mount", "servers.mounts[1].target",
     own_mount({"images": ["xnat/a"]}, {"target": "/opt/x/y", "images": ["xnat/b"]})),
    (own_mount(images=["xnat/a", "other/a"]), "unused-mount", "servers.mounts[0].images[1]", own_mount(images=["xnat/a", "xnat/b"])),
    (own_mount(source="/home"), "node-folder", "servers.mounts[0].source", own_mount(source="/home/software")),
    (mounts("/tmp"), "node-folder", "servers.allowed_mounts[0].path", mounts("/tmp/data")),
    ({"servers__http_timeout": 61}, "http-outlasts-xnat", "servers.http_timeout", {"servers__http_timeout": 60}),
    ({"orchestrator": {"swarm": {}}, "hub__gid": 1000}, "socket-group", "hub.gid", {"orchestrator": {"swarm": {}}, "hub__gid": 999}),
    ({"orchestrator": {"docker": {}}, "hub__gid": 1000}, "socket-group", "hub.gid", {"orchestrator": {"docker": TCP | TLS}, "hub__gid": 1000}),
    ({"servers__environment": {"NVIDIA_VISIBLE_DEVICES": "all"}}, "gpus-for-all", "servers.environment.NVIDIA_VISIBLE_DEVICES", {"servers__environment": {"NVIDIA_VISIBLE_DEVICES": "void"}}),
    ({"servers__environment": {"AMD_VISIBLE_DEVICES": "0"}}, "gpus-for-all", "servers.environment.AMD_VISIBLE_DEVICES", {"servers__environment": {"NVIDIA_DRIVER_CAPABILITIES": "all"}}),
    ({"sign_in__xnat_session": False, "hub__public_url": "https://xnat.example.org/jupyterhub/"}, "form-only", "sign_in.xnat_session",
     {"sign_in__xnat_session": False, "hub__public_url": "https://jupyter.example.org/jupyterhub/"}),
    *(({"orchestrator": {kind: {"networks": ["licences"], "server_networks": 2}}}, "meeting-network", f"orchestrator.{kind}.networks", {"orchestrator": {kind: {"networks": ["licences"]}}})
      for kind in ("docker", "swarm")),
    ({"orchestrator": {"docker": {"server_networks": 29}}}, "address-pools", "orchestrator.docker.server_networks", {"orchestrator": {"docker": {"server_networks": 28}}}),
    ({"orchestrator": {"docker": {"server_networks": 200}}}, "address-pools", "orchestrator.docker.server_networks", {"orchestrator": {"swarm": {"server_networks": 200}}}),
    ({"orchestrator": {"swarm": TCP}}, "unencrypted-engine", "orchestrator.swarm.docker_host", {"orchestrator": {"swarm": TCP | TLS}}),
    ({"hub__api_token": "0123456789abcdef" * 4}, "literal-secret", "hub.api_token", {"hub__api_token": {"env": "TOKEN"}}),
    ({"xnat__service_account": {"password": "hunter2"}}, "literal-secret", "xnat.service_account.password", {}),
    ({"hub__db_url": "postgresql://u:p@h/db"}, "literal-secret", "hub.db_url", {"hub__db_url": "sqlite:////data/x.sqlite"}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "rule", "path", "neighbour"), WARNINGS)
def test_warnings_let_a_site_pass_unless_strict(changes, rule, path, neighbour):
    text = site_text(**changes)
    (warning,) = loaded(text).warnings
    assert (warning.rule, dotted(warning.path), warning.severity) == (rule, path, "warning")
    with pytest.raises(SiteError) as raised:
        loaded(text, strict=True)
    assert list(raised.value.problems) == [warning]
    loaded(site_text(**neighbour), strict=True)


# ---- extra


@pytest.mark.parametrize(
    ("trait", "orchestrator", "message"),
    [
        ("JupyterHub.active_server_limi", "swarm", "Did you mean `JupyterHub.active_server_limit`?"),
        ("JupyterHubb.active_server_limit", "swarm", "Did you mean `JupyterHub.active_server_limit`?"),
        ("JupyterHub.zzzz", "swarm", "has no trait zzzz"), ("KubeSpawner.namespace", "swarm", "has no part in this hub"),
        ("DockerSpawner.extra_host_config", "swarm", "Use `servers.mounts`, `servers.shm_size`"),
        ("SwarmSpawner.network_name", "swarm", "Use `orchestrator.swarm.network_name`"),
        ("SwarmSpawner.mem_limit", "swarm", "decided elsewhere"), ("SwarmSpawner.start_timeout", "swarm", "Use `servers.start_timeout`"),
        ("SwarmSpawner.environment", "swarm", "decided elsewhere"), ("SwarmSpawner.pre_spawn_hook", "swarm", "decided elsewhere"),
        ("JupyterHub.authenticator_class", "swarm", "decided elsewhere"), ("JupyterHub.spawner_class", "swarm", "decided elsewhere"),
        ("JupyterHub.db_url", "swarm", "Use `hub.db_url`"), ("JupyterHub.cookie_secret", "swarm", "Use `hub.cookie_secret`"), ("JupyterHub.public_url", "swarm", "Use `hub.public_url`"),
        ("JupyterHub.bind_url", "swarm", "Use `hub.bind_url`"),
        ("JupyterHub.log_level", "swarm", "Use `logging.level`"), ("JupyterHub.services", "swarm", "Use `hub.services`"),
        ("JupyterHub.load_roles", "swarm", "decided elsewhere"), ("Authenticator.admin_users", "swarm", "Use `hub.admin_users`"),
        ("Authenticator.allow_all", "swarm", "decided elsewhere"), ("KubeSpawner.namespace", "kubernetes", "Use `orchestrator.kubernetes.namespace`"),
        ("SimpleLocalProcessSpawner.cmd", "local", "decided elsewhere"), ("SwarmSpawner.prefix", "docker", "has no part in this hub"),
    ],
)  # fmt: skip
def test_extra_that_can_not_be(trait, orchestrator, message):
    settings = {
        "swarm": {},
        "docker": {},
        "kubernetes": {**K8S, "namespace": "x"},
        "local": {"directory": "/srv/x"},
    }
    text = site_text(
        orchestrator={orchestrator: settings[orchestrator]},
        extra={"JupyterHub.active_server_limit": 5, trait: 1},
    )
    found = [p for p in problems_of(text) if p.severity == "error"]
    assert [(p.rule, p.path) for p in found] == [("extra", ("extra", trait))]
    assert re.search(message, f"{found[0].message} {found[0].fix}")
    assert found[0].line == where(text, f"{trait}:")[0]


@pytest.mark.parametrize(
    "trait",
    [
        "JupyterHub",
        "JupyterHub.",
        ".x",
        "JupyterHub.A",
        "a.b.c",
        "JupyterHub.active_server_limit\n",
        "Jupyter Hub.x",
    ],
)
def test_extra_names_have_a_form(trait):
    assert [p.rule for p in problems_of(site_text(extra={trait: 1}))] == ["name"]


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("JupyterHub.active_server_limit", 5),
        ("JupyterHub.load_groups", {"x": {"properties": {"X": [1, None]}}}),
        ("ConfigurableHTTPProxy.api_url", "http://127.0.0.1:8001"),
        ("Authenticator.blocked_users", ["mallory"]),
        ("SwarmSpawner.debug", True),
        ("SwarmSpawner.poll_interval", 30),
    ],
)
def test_extra_that_can_be(trait, value):
    assert problems_of(site_text(extra={trait: value}), strict=True) == []


def test_a_name_that_can_not_be_seen_is_shown_in_quotes():
    (problem,) = problems_of(site_text(extra={"": 1}))
    assert problem.message.startswith('"" can\'t be a name here')
    (problem,) = problems_of(site_text(servers__allowed_images=[" "]))
    assert problem.message.startswith('" ": no image can match it')


# ---- what only the host can tell


def test_secrets_and_certificates_of_the_host(tmp_path):
    def file(name, content):
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    good = {
        "hub__api_token": {"file": file("token", b"0123456789abcdef" * 4 + b"\n")},
        "xnat__service_account": {"password": {"env": "PASSWORD"}},
        "xnat__ca_file": file("ca", b"-----BEGIN CERTIFICATE-----"),
    }
    environment = {"PASSWORD": "hunter2", "OTHER": "hunter2", "EMPTY": ""}
    assert problems_of(site_text(**good), environment=environment) == []
    tls = {name: file(name, b"x") for name in ("ca_cert", "client_cert", "client_key")}
    remote = {"orchestrator": {"docker": {**TCP, "tls": tls}}}
    assert problems_of(site_text(**good, **remote), environment=environment) == []
    cases = [
        ({"hub__api_token": {"file": str(tmp_path / "none")}}, "hub.api_token", "can't be read: No such file"),
        ({"hub__api_token": {"file": str(tmp_path)}}, "hub.api_token", "can't be read: Is a directory"),
        ({"hub__api_token": {"file": file("empty", b" \n\n")}}, "hub.api_token", "is empty"),
        ({"hub__api_token": {"file": file("short", b"s3cr3t-short")}}, "hub.api_token", "It has 12 characters"),
        ({"hub__api_token": {"file": file("weak", b"0123456" * 6)}}, "hub.api_token", "of 7 different characters"),
        ({"hub__api_token": {"file": file("latin", b"\xe9" * 64)}}, "hub.api_token", "not UTF-8"),
        ({"hub__api_token": {"file": file("lines", b"0123456789abcdef\n" * 4)}}, "hub.api_token", "printable"),
        ({"xnat__service_account": {"password": {"env": "MISSING"}}}, "xnat.service_account.password", "MISSING is not set"),
        ({"xnat__service_account": {"password": {"env": "EMPTY"}}}, "xnat.service_account.password", "EMPTY is not set"),
        ({"hub__cookie_secret": {"env": "OTHER"}}, "hub.cookie_secret", "64 hexadecimal digits"),
        ({"hub__db_url": {"env": "OTHER"}}, "hub.db_url", "database address"),
        ({"extra": {"Authenticator.enable_auth_state": True}}, 'extra["Authenticator.enable_auth_state"]', "JUPYTERHUB_CRYPT_KEY"),
        ({"extra": {"ConfigurableHTTPProxy.should_start": False}}, 'extra["ConfigurableHTTPProxy.should_start"]', "CONFIGPROXY_AUTH_TOKEN"),
        ({"extra": {"KubeSpawner.k8s_api_ssl_ca_cert": str(tmp_path / "none")}, **CLUSTER}, 'extra["KubeSpawner.k8s_api_ssl_ca_cert"]', "can't be read"),
        ({"hub__tls": {"cert": str(tmp_path / "none"), "key": file("key", b"x")}}, "hub.tls.cert", "can't be read"),
        ({"xnat__ca_file": str(tmp_path / "none")}, "xnat.ca_file", "can't be read"),
        ({"xnat__ca_file": file("void", b"")}, "xnat.ca_file", "is empty"),
        ({"orchestrator": {"docker": {**TCP, "tls": {**tls, "client_key": str(tmp_path / "none")}}}}, "orchestrator.docker.tls.client_key", "can't be read"),
    ]  # fmt: skip
    for changes, path, message in cases:
        text = site_text(**{**good, **changes})
        (problem,) = problems_of(text, environment=environment)
        assert (dotted(problem.path), problem.severity) == (path, "error")
        assert message in problem.message
        assert path.rpartition(".")[2].rstrip('"]') in "".join(
            text.splitlines()[problem.line - 2 : problem.line]
        )
        for secret in ("hunter2", "s3cr3t", "0123456789abcdef"):
            assert secret not in str(problem)
        loaded(text)  # without the host's environment, nothing of it is asked
    everything = {
        key: value
        for changes, _, _ in cases[:1] + cases[6:7] + cases[10:11]
        for key, value in changes.items()
    }
    assert len(problems_of(site_text(**everything), environment={})) == 3


# ---- secrets

SECRET = "s3cr3t-0123456789abcdef-0123456789"  # long enough for a token
SECRET_PLACES = ["hub__api_token", "xnat__service_account__password", "hub__cookie_secret", "hub__db_url"]


def everything_said(text):
    """All that any part of the program says of a file: objects, errors, reports, and `show`."""
    said = []
    for options in ({}, {"strict": True}, {"environment": {}}):
        try:
            result = loaded(text, **options)
        except SiteError as error:
            problems = tuple(error.problems)
            said += [str(error), repr(error), repr(error.args), *map(repr, problems)]
            checked = Checked("f", False, problems)
        else:
            said += [
                repr(result),
                str(result),
                repr(result.site),
                repr(result.document),
                str(result.site.hub),
            ]
            said += [json.dumps(_rows(result)), repr(list(entries(result.site)))]
            checked = Checked("f", True, result.warnings)
        said += [report([checked]) for report in REPORTS.values()]
    return "\n".join(said)


@pytest.mark.parametrize("place", SECRET_PLACES)
@pytest.mark.parametrize(
    "value",
    [SECRET, {SECRET: 1}, [SECRET], {"file": "/x", SECRET: 2}, {"value": SECRET}, {"env": {"x": SECRET}}],
)
def test_a_literal_secret_is_said_nowhere(place, value):
    said = everything_said(site_text(**{place: value}))
    assert len(said) > 100
    assert SECRET not in said
    assert "s3cr3t" not in said


def test_no_error_of_another_place_says_a_secret():
    assert "s3cr3t" not in everything_said(site_text(**dict.fromkeys(SECRET_PLACES, SECRET), hub__uid="x"))
    assert "s3cr3t" not in everything_said(
        site_text(**dict.fromkeys(SECRET_PLACES, SECRET), extra={"A.b_c": SECRET})
    )


def test_raw_settings_that_hold_secrets_are_not_shown():
    raw = {"ConfigurableHTTPProxy.auth_token": SECRET, "JupyterHub.service_tokens": {SECRET: "xnat"}}
    result = loaded(
        site_text(
            extra={**raw, "JupyterHub.active_server_limit": 5}, servers__environment={"MY_TOKEN": SECRET}
        )
    )
    shown = json.dumps(_rows(result))
    assert "s3cr3t" not in shown
    assert '"JupyterHub.active_server_limit": 5' in shown


def test_credentials_in_an_address_are_not_repeated():
    for url in ("https://admin:s3cr3t@xnat.example.org", "https://s3cr3t@x", "postgresql://u:s3cr3t@h/d"):
        for place in ("xnat__url", "hub__public_url", "hub__hub_connect_url"):
            (problem,) = problems_of(site_text(**{place: url}))
            assert "s3cr3t" not in str(problem)


def test_a_secret_shows_where_it_comes_from_and_never_what_it_is(tmp_path):
    file = tmp_path / "x"
    file.write_text("s3cr3t\n \n")
    assert Secret("file", str(file)).read({}) == "s3cr3t"
    file.write_text("\ufeffs3cr3t\r\n")
    assert Secret("file", str(file)).read({}) == "s3cr3t"
    assert Secret("env", "A").read({"A": "s3cr3t "}) == "s3cr3t "
    for secret in (Secret("literal", "s3cr3t"), Secret("file", str(file)), Secret("env", "A")):
        assert "s3cr3t" not in f"{secret} {secret!r} {[secret]}"
    assert str(Secret("env", "NAME")) == "{env: NAME}"
    assert str(Secret("file", "/a/b")) == "{file: /a/b}"


# ---- forms of values


@pytest.mark.parametrize(
    ("place", "good", "bad"),
    [
        ("xnat__url", ["https://a", "https://a:8080/", "https://[fd00::1]:8443"],
         ["", "a", "ftp://a", "https://", "https://a?b", "https://a#b", "https://a b", "https://a\n", "HTTPS://a", " https://a", 5, None, ["https://a"]]),
        ("xnat__ca_file", ["/a", "/a/b c"], ["a", "./a", "/", "/a/", "//a", "/a//b", "/a\n", "/a\tb", "", 5]),
        ("hub__base_url", ["/", "/a/", "/a/b-c/"], ["a", "/a", "a/", "//", "/a b/", "/a/\n", ""]),
        ("hub__uid", [1, 65534, 2.0], [0, -1, 4294967295, "1000", 1.5, True, None, 1e300]),
        ("hub__gid", [0, 999], [-1, "docker"]),
        ("hub__cookie_secret", [{"file": "/a"}, {"env": "A_1"}],
         [{"file": "a"}, {"env": "1A"}, {"env": "A\n"}, {"env": "A B"}, {}, {"file": "/a", "env": "A"}, [], 5, "", None, True]),
        ("hub__api_scopes", [["read:hub"]], [[], ["READ"], ["read hub"], ["read:hub", "read:hub"], "read:hub", [5], ["read:hub\n"]]),
        ("hub__allow_named_servers", [True, False], ["true", 1, 0, None]),
        ("hub__named_server_limit_per_user", [0, 5], [-1, 1.5, "5"]),
        ("sign_in__everyone", ["always", "never", "preference"], ["Always", "", True, None]),
        ("sign_in__role", ["x"], ["", 5, None]),
        ("servers__mem_limit", ["1G", "1.5G", "512M", "100000000", 10**9, "1T", 2e9],
         ["1g", "1GB", "1Gi", "G", "", "-1G", "1 G", "1G\n", 0, -1, "0", "0G", "0.1", 1.5, True, 10**19, "9" * 16 + "G", "9" * 5000, 1e300, None, "\u0663G"]),
        ("servers__cpu_limit", [0.1, 1, 4096, 1e-3], [0, -1, 4097, "1", True, None]),
        ("servers__start_timeout", [1, 120], [0, 86401, 1.5, "120"]),
        ("servers__default_url", ["/lab", "/"], ["lab", ""]),
        ("servers__allowed_images", [["a"]], [[], [""], "a", [5], {}]),
        ("servers__environment", [{"A_1": "x"}, {}], [{"1A": "x"}, {"A-B": "x"}, {"A\n": "x"}, {"A": 1}, {"A": None}, ["A=1"], {"": "x"}]),
        ("servers__caps__generic_resources", [{"gpu": 0}, {"nvidia.com/gpu": 2}], [{"gpu": -1}, {"gpu": "1"}, {"gpu": 1.5}]),
        ("xnat__calls__retries", [0, 10], [-1, 11, "1", 0.5]),
        ("xnat__calls__connect_timeout", [0.1, 5], [0, 0.05, "5"]),
        ("logging__level", ["DEBUG"], ["debug", "TRACE", 10]),
        ("version", [1], [0, 2, "1", True, None, 1.5]),
        ("orchestrator", [{"docker": {}}, {"local": {"directory": "/d"}}],
         [{}, {"docker": {}, "swarm": {}}, {"docker": None}, {"podman": {}}, [], "docker", None, {"local": {}}]),
        ("orchestrator__swarm__prefix", ["a", "jupyter-2"], ["A", "", "a" * 17, "1a", "a_b", "a\n"]),
        ("orchestrator__swarm__subnet", ["10.20.0.0/20"], ["10.20.0.0", "fd00::/64", "10.20.0.0/20\n", "10.20/16", 10]),
        ("orchestrator__swarm__docker_host", ["unix:///run/docker.sock"], ["/run/docker.sock", "tcp://h", "http://h:1", "ssh://h"]),
        ("orchestrator__swarm__placement_constraints", [["node.role==worker", "node.labels.a != b"]], [["node.role"], ["node.role="], ["==b"], [""], ["a==b\nc"], "a==b"]),
    ],
)  # fmt: skip
def test_forms(place, good, bad):
    for value in good:
        assert problems_of(site_text(**{place: value}), strict=True) == [], value
    for value in bad:
        found = problems_of(site_text(**{place: value}))
        assert found, value
        assert any(place.split("__")[0] == p.path[0] for p in found)
        for problem in found:
            assert problem.severity == "error"
            assert problem.message


@pytest.mark.parametrize(
    "content", [b"5", b"text", b"[]", b"[1, 2]", b"null", b"true", b"~", b"{}", b"- version: 1", b"'x'"]
)
def test_a_file_that_is_no_map_of_keys(content):
    found = problems_of(content)
    assert found
    assert all(p.line >= 1 and p.column >= 1 for p in found)


# ---- files


def test_a_file_that_can_not_be_read(tmp_path):
    for path in (tmp_path / "none", tmp_path, tmp_path / "none" / "x", tmp_path / ("x" * 300)):
        with pytest.raises(SiteError) as raised:
            load_site(path)
        (problem,) = raised.value.problems
        assert (problem.file, problem.rule) == (str(path), "unreadable")


def test_a_large_file_is_not_read_to_its_end():
    with pytest.raises(SiteError) as raised:
        load_site("/dev/zero")
    assert raised.value.problems[0].rule == "too-large"


def test_errors_can_be_pickled_and_problems_compared():
    with pytest.raises(SiteError) as raised:
        loaded("version: 2")
    assert pickle.loads(pickle.dumps(raised.value.problems)) == raised.value.problems
    assert Problem("f", 1, 1, (), "r", "m") == Problem("f", 1, 1, (), "r", "m")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a", "b_c"), "a.b_c"),
        (("a", 0, "b"), "a[0].b"),
        (("a", "B.C"), 'a["B.C"]'),
        (("a", 'x"y\\'), 'a["x\\"y\\\\"]'),
        (("a", ""), 'a[""]'),
    ],
)
def test_dotted(path, text):
    assert dotted(path) == text


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL + "".join(f"k{i}: 1\n" for i in range(4000)),
        MINIMAL.replace("hub:\n", f"hub:\n  admin_users: [{', '.join(f'{i}, a{i}' for i in range(9000))}]\n"),
        MINIMAL.replace("[xnat/*]", f"[{', '.join(f'a{i}/B' for i in range(15_000))}]"),
        MINIMAL
        + "extra:\n"
        + "".join(
            f"  JupyterHub.x{'y' * (i % 90)}{chr(97 + i % 26)}_{chr(97 + i // 26 % 26)}: 1\n"
            for i in range(2000)
        ),
    ],
    ids=["unknown keys", "mixed types", "patterns", "extra"],
)
def test_thousands_of_mistakes_take_no_long_time(text):
    start = time.process_time()
    assert len(problems_of(text)) > 500
    assert time.process_time() - start < 10


# ---- any parsed site

ODD = [
    None,
    True,
    -1,
    1.5,
    1e300,
    "x",
    "/a\n",
    "9" * 20 + "G",
    "http://[:99999",
    [[None]],
    ["a", "a"],
    {"a": {}},
]


def places(data, path=()):
    yield path
    for key, value in (
        data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    ):
        yield from places(value, (*path, key))


_FULL = yaml.safe_load(EXAMPLE.read_text())
_ALL = [
    "/".join(map(str, path)) for path in places(_FULL) if path and not any("/" in str(part) for part in path)
]


@pytest.mark.parametrize("place", _ALL)
def test_any_odd_value_anywhere_is_a_site_or_a_site_error(place):
    for value in ODD:
        try:
            result = loaded(dump(put(_FULL, place, value)))
        except SiteError as error:
            found = error.problems
        else:
            found = result.warnings
            _rows(result)
        assert all(p.line >= 1 and p.message for p in found)


@given(st.lists(st.tuples(st.sampled_from(_ALL), st.sampled_from(ODD)), min_size=2, max_size=5))
def test_several_odd_values_at_once(changes):
    data = _FULL
    for place, value in changes:
        try:
            data = put(data, place, value)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            continue
    with contextlib.suppress(SiteError):
        loaded(dump(data))


@pytest.mark.parametrize(
    ("xnat", "hub", "said"),
    [
        ({"url": "https://xnat.example.org"}, {"public_url": "https://jupyter.example.org/jupyterhub/"}, "to xnat.example.org alone, and the hub is at jupyter"),
        ({"url": "http://xnat-web:8080", "public_url": "https://xnat.example.org"}, {"public_url": "https://jupyter.example.org/jupyterhub/"}, "alone"),
        ({"url": "https://example.org/xnat"}, {}, "below /xnat/ alone, and the hub is at /jupyterhub/"),
        ({"url": "https://example.org/xnat"}, {"public_url": "https://example.org/jupyterhub/"}, "below /xnat/ alone"),
        ({"url": "https://example.org/xnat"}, {"base_url": "/xnat/jupyterhub/"}, None),
        ({"url": "https://xnat.example.org"}, {"public_url": "https://xnat.example.org/jupyterhub/"}, None),
        ({"url": "https://xnat.example.org"}, {"public_url": "http://xnat.example.org/jupyterhub/"}, "over https alone, and the hub is at http"),
        ({"url": "http://xnat.example.org"}, {"public_url": "https://xnat.example.org/jupyterhub/"}, None),
        ({"url": "https://xnat-web:8080"}, {"public_url": "https://xnat.example.org/jupyterhub/"}, None),
        ({"url": "https://10.0.0.5"}, {"public_url": "https://xnat.example.org/jupyterhub/"}, None),
        # A dot at the end says that the name is whole, and no more.
        ({"url": "https://xnat.example.org./"}, {"public_url": "https://xnat.example.org/jupyterhub/"}, None),
        ({"url": "https://xnat.example.org"}, {"public_url": "https://xnat.example.org./jupyterhub/"}, None),
        ({"url": "http://web:8080", "public_url": "https://XNAT.example.org."}, {"public_url": "https://xnat.example.org:443/jupyterhub/"}, None),
        ({"url": "https://xnat.internal."}, {"public_url": "https://xnat.example.org/jupyterhub/"}, None),
        ({"url": "https://xnat.example.org."}, {"public_url": "https://jupyter.example.org./jupyterhub/"}, "to xnat.example.org alone, and the hub is at jupyter.example.org."),
    ],
)  # fmt: skip
def test_a_session_that_browsers_do_not_send_is_warned_of(tmp_path, xnat, hub, said):
    file = tmp_path / "site.yaml"
    site = yaml.safe_load(MINIMAL)
    site["xnat"] = {**site["xnat"], **xnat}
    site["hub"] = {**site["hub"], **hub}
    file.write_text(yaml.safe_dump(site))
    found = [warning.message for warning in load(file).warnings if warning.rule == "session-cookie"]
    assert [said in message for message in found] == ([True] if said else [])
    file.write_text(yaml.safe_dump({**site, "sign_in": {"xnat_session": False}}))
    assert not [warning for warning in load(file).warnings if warning.rule == "session-cookie"]


@pytest.mark.parametrize("below", ["", "/users"])
def test_the_advice_for_translated_paths_makes_a_site_of_which_workspaces_are_writable(below):
    archive = {"from": "/data/xnat/archive", "to": "/mnt/archive"}
    workspaces = {"from": f"/data/xnat/workspaces{below}", "to": f"/mnt/work{below}"}
    site = rules(archive, workspaces=[workspaces])
    advice = [each.fix for each in problems_of(site_text(**site)) if each.rule == "path-rule"]
    added = [yaml.safe_load(each.split("`")[1])[0] for each in advice]
    assert added == [
        {"path": "/mnt/archive"},
        {"path": "/mnt/work/users/{username}", "writable": True},
    ]
    assert not problems_of(site_text(**site, servers__allowed_mounts=added))
