"""From the reference deployment's files to a site that decides the same."""

import ast
import json
import os
import re
import stat
import string
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.helpers import ROOT
from xnathub_conf.cli import main
from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.compose import interpolate, parse_env
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.hub_settings import hub_settings
from xnathub_conf.site.load import load
from xnathub_conf.site.old_names import OLD_NAMES
from xnathub_conf.site.schema import node_at
from xnathub_conf.site.types import Docker, Kubernetes, Swarm

TOKEN = "t0ken-9xbz2-" * 4
OF_REFERENCE = {"JUPYTERHUB_SINGLEUSER_EXTENSION": "0"}
"""What the reference's hub gives every server, for its images with JupyterHub 4.0."""
STACK = """\
version: '3.8'
networks:
  jupyterhub-network: {name: &networkname jupyterhub-network, driver: overlay, attachable: true}
services:
  jupyterhub:
    image: xnat/jupyterhub:1.3.3
    hostname: jupyterhub
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:rw"]
    ports: ["8000:8000"]
    networks: [jupyterhub-network]
    environment:
      JH_NETWORK: *networkname
      JH_UID:
      JH_GID: "${JH_GID:-992}"
      NB_UID: 54
      NB_GID: 0055
      JH_START_TIMEOUT: 170
      JH_XNAT_URL: ${XNAT_URL:?}
      JH_XNAT_SERVICE_TOKEN:
      JH_XNAT_USERNAME: jupyterhub
      JH_XNAT_PASSWORD:
"""
ENV = f"""\
# secrets of this site
JH_UID=54
XNAT_URL=https://xnat.example.org   # through the web server
export JH_XNAT_SERVICE_TOKEN='{TOKEN}'
JH_XNAT_PASSWORD="pa$$word"
"""
PLUGIN = """\
JH_XNAT_JUPYTERHUB_HOST_URL=https://xnat.example.org
JH_XNAT_JUPYTERHUB_API_URL=http://172.17.0.1/jupyterhub/hub/api
JH_XNAT_START_TIMEOUT=300
JH_XNAT_STOP_TIMEOUT=30
JH_XNAT_PT_ARCHIVE_PREFIX=/data/xnat/archive
JH_XNAT_PT_ARCHIVE_DOCKER_PREFIX=/old/archive
JH_XNAT_PT_ARCHIVE_SERVER_PREFIX=/mnt/archive
JH_XNAT_PT_WORKSPACE_PREFIX=/data/xnat/workspaces
JH_XNAT_PT_WORKSPACE_DOCKER_PREFIX=./xnat-data/workspaces
JH_XNAT_INACTIVITY_TIMEOUT=60
"""
VALUES = """\
jupyterhub:
  hub:
    baseUrl: /jupyterhub
    config:
      JupyterHub: {admin_access: true, authenticator_class: xnat_authenticator.XnatAuthenticator, tornado_settings: {}}
      Authenticator: {admin_users: [admin]}
    extraEnv:
      JH_XNAT_URL: {name: JH_XNAT_URL, value: "http://xnat-web"}
      JH_XNAT_UID: {name: JH_XNAT_UID, value: "54"}
      JH_XNAT_GID: {name: JH_XNAT_GID, value: "55"}
      JH_XNAT_PASSWORD:
        name: JH_XNAT_PASSWORD
        valueFrom: {secretKeyRef: {name: xnat-hub, key: password}}
      JH_XNAT_ARCHIVE_PVC: {name: JH_XNAT_ARCHIVE_PVC, value: xnat-archive}
      JH_XNAT_PT_ARCHIVE_PREFIX: /data/xnat/archive
      JH_XNAT_PT_ARCHIVE_SERVER_PREFIX: "."
      POSTGRES_PASSWORD: {name: POSTGRES_PASSWORD, value: "p@ss/word"}
    extraConfig:
      mine: c.JupyterHub.active_server_limit = 3
    concurrentSpawnLimit: 32
    db: {type: postgres}
    services: {xnat: {admin: true, api_token: TOKEN}}
  singleuser:
    nodeSelector: {example.org/jupyter: "true"}
    extraTolerations: [{key: gpu, operator: Exists, effect: NoSchedule}]
    cpu: {limit: 4, guarantee: 0.5}
    memory: {limit: 8G}
    extraEnv: {TZ: Europe/Berlin, SECRET: {valueFrom: {secretKeyRef: {name: x, key: y}}}}
    storage: {static: {pvcName: xnat-workspaces}}
    uid: 0
  proxy: {secretToken: s3cr3t}
postgresql: {enabled: false}
postgresqlExternalHost: db.example.org
""".replace("TOKEN}", TOKEN + "}")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("JH_", "NB_", "XNAT_", "DOCKER_")):
            monkeypatch.delenv(name)
    (tmp_path / "docker-stack.yml").write_text(STACK)
    (tmp_path / ".env").write_text(ENV)
    (tmp_path / "plugin.env").write_text(PLUGIN)
    (tmp_path / "values.yaml").write_text(VALUES)
    return tmp_path


def migrated(*arguments, code=0):
    assert main(["migrate", *arguments]) == code
    return load("site.yaml").site if code == 0 else None


def traits(site):
    return {setting.trait: setting.value for setting in hub_settings(site)}


# ---- what a compose file and an env file say


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A-${A}", "a-a"), ("$$A", "$A"), ("${A:-x}", "a"), ("${NONE:-x}", "x"), ("${EMPTY:-x}", "x"), ("${EMPTY-x}", ""),
        ("${NONE-x}", "x"), ("${NONE}", ""), ("${NONE:-${A}${NONE:-y}}z", "ayz"), ("${A:+x}", "x"), ("${EMPTY:+x}", ""), ("${EMPTY+x}", "x"),
        ("${NONE:-}", ""), ("${A:?no}", "a"), ("${EMPTY?no}", ""), ("${NONE:-a-b:c}", "a-b:c"), ("${NONE:-$$}", "$"), ("$A_B", ""),
    ],
)  # fmt: skip
def test_interpolation(text, value):
    assert interpolate(text, {"A": "a", "EMPTY": ""}, "f") == value


@pytest.mark.parametrize("text", ["${A", "${}", "$", "a $ b", "${NONE:?}", "${EMPTY:?x}", "${1}", "${A!b}"])
def test_interpolation_that_can_t_be(text):
    with pytest.raises(MigrationError, match=r"^f: "):
        interpolate(text, {"A": "a", "EMPTY": ""}, "f")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=x", "x"), ("A= x ", "x"), ("export A=x", "x"), ("A=x # y", "x"), ("A=x#y", "x#y"), ("A='x # $B' # c", "x # $B"), ('A="x\\n$B"', "x\nb"),
        ('A="a\\"b\\$c"', 'a"b$c'), ("A=$B", "b"), ("A=", ""), ("A", "from outside"), ("A=a=b", "a=b"), ("A='two\nlines'", "two\nlines"),
        ("A=${B}${C:-c}", "bc"), ("B=2\nA=$B", "2"),
    ],
)  # fmt: skip
def test_env_files(line, value):
    found = parse_env(f"# first\n\n{line}\nZ=last\n", "e.env", {"A": "from outside", "B": "b"})
    assert found["A"].value == value
    assert found["Z"].value == "last"
    assert found["Z"].origin == f"e.env:{4 + line.count(chr(10))}"


def test_an_env_file_s_bad_line_is_named_and_not_shown():
    with pytest.raises(MigrationError, match=r"^e\.env:2 ") as raised:
        parse_env("A=1\ns3cr3t s3cr3t\n", "e.env", {})
    assert "s3cr3t" not in str(raised.value)


# ---- the same settings


def reference_settings(env):
    """What the reference's hub image (1.3.3) sets in JupyterHub for an environment, read off its jupyterhub_config.py."""
    tls = {}
    if "JH_TLS_CLIENT_CERT" in env:
        tls["client_cert"] = (env["JH_TLS_CLIENT_CERT"], env["JH_TLS_CLIENT_KEY"])
        tls["ca_cert"] = env["JH_TLS_CA_CERT"]
        tls["verify"] = bool(env["JH_TLS_VERIFY"])
    return {
        "JupyterHub.bind_url": (8000, "/jupyterhub"),
        "JupyterHub.hub_bind_url": 8081,
        "JupyterHub.hub_connect_url": ("jupyterhub", 8081),
        "JupyterHub.allow_named_servers": True,
        "JupyterHub.shutdown_on_logout": True,
        "token": env["JH_XNAT_SERVICE_TOKEN"],
        # Of the reference's admin:servers, XNAT's plugin needs this much.
        "scopes": {"servers", "admin:users", "read:hub", "tokens"},
        "Spawner.start_timeout": int(env["JH_START_TIMEOUT"]),
        "Spawner.http_timeout": int(env["JH_HTTP_TIMEOUT"]),
        "SwarmSpawner.network_name": env["JH_NETWORK"],
        "SwarmSpawner.tls_config": tls,
        "NB_UID, NB_GID": (int(env["NB_UID"]), int(env["NB_GID"])),
        "run as": (int(env["JH_UID"]), int(env["JH_GID"])),
        "XNAT": (env["JH_XNAT_URL"], env["JH_XNAT_USERNAME"], env["JH_XNAT_PASSWORD"]),
    }


def as_reference_names(site, environment):
    """The same facts of a site."""
    ours = traits(site)
    bind, connect = (urlsplit(ours[f"JupyterHub.{name}"]) for name in ("bind_url", "hub_connect_url"))
    account = site.xnat.service_account
    same = ("JupyterHub.allow_named_servers", "JupyterHub.shutdown_on_logout", "Spawner.start_timeout", "Spawner.http_timeout",
            "SwarmSpawner.network_name")  # fmt: skip
    return {
        **{name: ours[name] for name in same},
        "JupyterHub.bind_url": (bind.port, bind.path.rstrip("/")),
        "JupyterHub.hub_bind_url": urlsplit(ours["JupyterHub.hub_bind_url"]).port,
        "JupyterHub.hub_connect_url": (connect.hostname, connect.port),
        "token": ours["JupyterHub.services"][0]["api_token"].read(environment),
        "scopes": set(ours["JupyterHub.load_roles"][0]["scopes"]),
        "SwarmSpawner.tls_config": ours.get("SwarmSpawner.tls_config", {}),
        "NB_UID, NB_GID": (site.servers.uid, site.servers.gid),
        "run as": (site.hub.uid, site.hub.gid),
        "XNAT": (site.xnat.url, account.username, account.password.read(environment)),
    }


ids = st.integers(1, 4_000_000_000).map(str)
names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20).filter(
    lambda name: name[0].isalnum()
)
# Whatever a shell, YAML or an env file could take for something else.
texts = st.text(string.printable[:95] + "äß€", min_size=32, max_size=60).map(lambda text: f"{text}.")
environments = st.fixed_dictionaries(
    {
        "JH_NETWORK": names, "JH_UID": ids, "JH_GID": ids, "NB_UID": ids, "NB_GID": ids,
        "JH_START_TIMEOUT": st.integers(1, 180).map(str), "JH_HTTP_TIMEOUT": st.integers(1, 900).map(str),
        "JH_XNAT_URL": st.just("https://xnat.example.org"), "JH_XNAT_USERNAME": texts, "JH_XNAT_PASSWORD": texts,
        # One of few characters could be guessed, and is replaced.
        "JH_XNAT_SERVICE_TOKEN": st.text(string.ascii_letters + string.punctuation, min_size=16, max_size=48).map(lambda text: text + string.hexdigits[:16]),
    },
)  # fmt: skip
tls = st.none() | st.fixed_dictionaries({
    "JH_TLS_CLIENT_CERT": st.just("/run/cert.pem"), "JH_TLS_CLIENT_KEY": st.just("/run/key.pem"), "JH_TLS_CA_CERT": st.just("/run/ca.pem"),
    "JH_TLS_VERIFY": st.sampled_from(["true", "1", "false"]), "DOCKER_HOST": st.just("tcp://manager:2376"),
})  # fmt: skip


@pytest.mark.parametrize("form", ["map", "list", "env_file", "env alone"])
@settings(max_examples=40)
@given(environment=environments, tls=tls)
def test_the_new_hub_has_the_old_one_s_settings(tmp_path_factory, form, environment, tls):
    environment |= tls or {}
    folder = tmp_path_factory.mktemp("old")
    doubled = {name: value.replace("$", "$$") for name, value in environment.items()}
    lines = [f"{name}='{value}'" for name, value in environment.items()]
    if form in {"env_file", "env alone"} and any(
        character in value for value in environment.values() for character in "'\\"
    ):
        escaped = {
            name: value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
            for name, value in environment.items()
        }
        lines = [f'{name}="{value}"' for name, value in escaped.items()]
    (folder / "old.env").write_text("\n".join(lines))
    service = {
        "map": {"environment": doubled},
        "list": {"environment": [f"{name}={value}" for name, value in doubled.items()]},
    }.get(form, {"env_file": ["old.env"]})
    (folder / "old.yml").write_text(
        yaml.safe_dump({"services": {"jupyterhub": {"image": "xnat/jupyterhub", **service}}})
    )
    source = folder / ("old.env" if form == "env alone" else "old.yml")
    to = [f"--output={folder}/site.yaml", f"--secrets-dir={folder}/s", f"--secrets-path={folder}/s"]
    assert main(["migrate", str(source), *to]) == 0
    site = load(folder / "site.yaml").site
    assert as_reference_names(site, {}) == reference_settings(environment)


# ---- a stack file, an env file, and XNAT's own variables


def test_a_stack_file_with_its_env_files(folder, capsys):
    site = migrated(
        "docker-stack.yml", "--env-file=.env", "--env-file=plugin.env", "--secrets-path=/run/secrets"
    )
    out = capsys.readouterr().out
    assert site.xnat.url == "https://xnat.example.org"
    assert site.hub.public_url == "https://xnat.example.org/jupyterhub/"
    assert (site.hub.uid, site.hub.gid, site.servers.uid, site.servers.gid) == (54, 992, 54, 55)
    assert (site.xnat.start_timeout, site.xnat.stop_timeout, site.servers.start_timeout) == (300, 30, 170)
    assert site.servers.http_timeout == 75
    (archive,), (workspaces,) = site.paths.archive, site.paths.workspaces
    assert (archive.from_, archive.to) == ("/data/xnat/archive", "/mnt/archive")
    assert (workspaces.from_, workspaces.to) == ("/data/xnat/workspaces", f"{folder}/xnat-data/workspaces")
    assert [(mount.path, mount.writable) for mount in site.servers.allowed_mounts] == [
        ("/mnt/archive", False),
        (f"{folder}/xnat-data/workspaces/users/{{username}}", True),
    ]
    assert (folder / "secrets/hub_api_token").read_text() == TOKEN + "\n"
    assert (folder / "secrets/xnat_password").read_text() == "pa$word\n"
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700
    for file in (folder / "secrets").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for line in (
        "  docker-stack.yml:13, .env:2: JH_UID -> hub.uid: 54",
        '  docker-stack.yml:18, .env:3: JH_XNAT_URL -> xnat.url: "https://xnat.example.org"',
        "  plugin.env:3: JH_XNAT_START_TIMEOUT -> xnat.start_timeout: 300",
        "  the image's default: JH_HTTP_TIMEOUT -> servers.http_timeout: 75",
        "  plugin.env:10: JH_XNAT_INACTIVITY_TIMEOUT: XNAT's own: its plugin goes on stopping idle servers.",
    ):
        assert line in out.splitlines()
    assert TOKEN not in out
    assert "pa$word" not in out
    assert "docker secret create xnat_password secrets/xnat_password" in out


def test_one_env_file_for_xnat_and_hub(folder, capsys):
    """As in the reference's compose file, where both services read .env."""
    (folder / ".env").write_text(
        ENV.replace("XNAT_URL=", "JH_XNAT_URL=") + PLUGIN + "XNAT_DATASOURCE_PASSWORD=s3cr3t\nJH_GID=0\n"
    )
    service = {"env_file": ["./.env"]}
    hub = {
        **service,
        "image": "xnat/jupyterhub:1.3.2",
        "environment": {"JH_NETWORK": "xnat-network", "HTTPS_PROXY": "http://p:3128"},
    }
    (folder / "docker-compose.yml").write_text(
        yaml.safe_dump({"services": {"xnat-web": service, "jupyterhub": hub}})
    )
    site = migrated("docker-compose.yml")
    out = capsys.readouterr().out
    assert settings_of(site, Swarm).network_name == "xnat-network"
    assert site.paths.archive[0].to == "/mnt/archive"
    assert site.hub.gid == 0
    assert "XNAT_DATASOURCE_PASSWORD: It is for other programs that read this file." in out
    assert "s3cr3t" not in out
    assert "HTTPS_PROXY: The hub asks XNAT directly" in out


def test_the_shell_wins_over_the_env_file(folder, monkeypatch):
    monkeypatch.setenv("JH_UID", "77")
    assert migrated("docker-stack.yml").hub.uid == 77


def test_a_second_compose_file_wins(folder):
    (folder / "override.yml").write_text(
        "services: {jupyterhub: {environment: [NB_UID=99], ports: ['8001:8000']}}\n"
    )
    site = migrated("docker-stack.yml", "override.yml")
    assert site.servers.uid == 99
    assert site.hub.bind_url == "http://0.0.0.0:8001"


def test_what_can_t_be_carried_over_is_said(folder, capsys):
    (folder / ".env").write_text(ENV.replace(TOKEN, "secret-token") + "JUPYTERHUB_CRYPT_KEY=abc\n")
    stack = STACK.replace("JH_UID:", "JH_UID: 0").replace(
        "      NB_GID: 0055\n", "      JUPYTERHUB_CRYPT_KEY:\n      JH_TLS_CA_CERT: /ca.pem\n"
    )
    stack = stack.replace(
        "volumes: [", "volumes: [./jupyterhub_config.py:/srv/jupyterhub/jupyterhub_config.py, ./x:/x, "
    )
    (folder / "docker-stack.yml").write_text(stack.replace("JH_START_TIMEOUT: 170", "JH_START_TIMEOUT: 600"))
    site = migrated("docker-stack.yml")
    out = capsys.readouterr().out
    token = (folder / "secrets/hub_api_token").read_text().strip()
    assert len(token) == 64
    assert token not in out
    assert (site.hub.uid, site.servers.uid, site.servers.gid, site.servers.start_timeout) == (
        1000,
        1000,
        100,
        180,
    )
    for sentence in (
        "JH_UID: The hub never runs as root.",
        "a new one: the old one is too short to be safe",
        "Put what is in the file hub_api_token into XNAT's Jupyter settings",
        "JUPYTERHUB_CRYPT_KEY: Nothing is encrypted with it here",
        "JH_TLS_CA_CERT: Docker's socket has no TLS.",
        "volume ./jupyterhub_config.py: It is code.",
        "volume ./x:/x: The new stack keeps",
        "servers.start_timeout: 180 (600 before: XNAT gives up after 180 s)",
        "add what else yours names",
    ):
        assert sentence in out


def test_flags(folder):
    site = migrated(
        "docker-stack.yml",
        "--image=a/b:1",
        "--image=c/*",
        "--public-url=https://x.org",
        "--secrets-path=/etc/s/",
    )
    assert site.servers.allowed_images == ("a/b:1", "c/*")
    assert (site.xnat.public_url, site.hub.public_url) == ("https://x.org", "https://x.org/jupyterhub/")
    assert site.hub.api_token.where == "/etc/s/hub_api_token"


# ---- the chart's values


def test_helm_values(folder, capsys):
    site = migrated("values.yaml", "--public-url=https://xnat.example.org")
    out = capsys.readouterr().out
    kubernetes, ours = settings_of(site, Kubernetes), traits(site)
    assert [(claim.path, claim.claim_name) for claim in kubernetes.claims] == [
        ("/data/xnat/archive", "xnat-archive"),
        ("/data/xnat/workspaces", "xnat-workspaces"),
    ]
    assert (site.servers.uid, site.servers.gid) == (54, 55)
    assert (site.servers.start_timeout, site.servers.http_timeout) == (180, 75)
    assert (site.servers.cpu_limit, site.servers.cpu_guarantee, site.servers.mem_limit) == (
        4,
        0.5,
        8 * 1024**3,
    )
    assert site.servers.environment == {"TZ": "Europe/Berlin", **OF_REFERENCE}
    assert kubernetes.node_selector == {"example.org/jupyter": "true"}
    assert kubernetes.tolerations[0].key == "gpu"
    assert ours["JupyterHub.concurrent_spawn_limit"] == 32
    assert ours["KubeSpawner.consecutive_failure_limit"] == 5
    assert ours["JupyterHub.shutdown_on_logout"] is True
    assert site.hub.admin_users == ("admin",)
    assert not site.paths.archive
    assert (folder / "secrets/hub_api_token").read_text() == TOKEN + "\n"
    url = "postgresql+psycopg://jupyterhub:p%40ss%2Fword@db.example.org:5432/jupyterhub\n"
    assert (folder / "secrets/hub_db_url").read_text() == url
    assert not (folder / "secrets/xnat_password").exists()
    for sentence in (
        "kubectl --namespace NAMESPACE get secret xnat-hub --output jsonpath={.data.password} | base64 -d",
        'c.JupyterHub.active_server_limit -> extra["JupyterHub.active_server_limit"]: 3',
        "jupyterhub.hub.config.JupyterHub.tornado_settings: ",
        "jupyterhub.singleuser.extraEnv.SECRET (2 values): Servers get no secrets",
        "jupyterhub.proxy.secretToken: The new chart makes a secret of its own.",
        "JH_XNAT_PT_ARCHIVE_SERVER_PREFIX",
    ):
        assert sentence in out, sentence
    assert "s3cr3t" not in out
    assert "p@ss" not in out


def test_helm_values_in_layers_and_a_claim_with_folders(folder, capsys):
    (folder / "more.yaml").write_text(
        "jupyterhub: {hub: {baseUrl: /hub/, extraEnv: {JH_XNAT_PT_ARCHIVE_SERVER_PREFIX: ./deep/archive}, db: {type: sqlite-pvc}}}\n"
    )
    site = migrated("values.yaml", "more.yaml")
    assert site.hub.base_url == "/hub/"
    assert site.hub.db_url is None
    assert (site.paths.archive[0].from_, site.paths.archive[0].to) == (
        "/data/xnat/archive",
        "/xnat-archive/deep/archive",
    )
    assert settings_of(site, Kubernetes).claims[0].path == "/xnat-archive"
    assert site.servers.allowed_mounts[0].path == "/xnat-archive/deep/archive"


# ---- nothing is lost


@pytest.mark.parametrize(
    ("files", "arguments", "code", "said"),
    [
        ({".env": "A=1\n"}, [], 1, "XNAT_URL is wanted"),
        ({".env": "XNAT_URL=https://x\n"}, [], 1, "JH_XNAT_SERVICE_TOKEN, JH_XNAT_PASSWORD: no value"),
        ({".env": ENV.replace("https://", "s3cr3t://")}, [], 1, "begins with https://"),
        ({"docker-stack.yml": "a: [\n"}, [], 1, "docker-stack.yml:2 is not YAML"),
        ({"docker-stack.yml": "a: 1\n"}, [], 1, "is no compose file"),
        ({"docker-stack.yml": STACK + "  other: {image: my/jupyterhub}\n"}, [], 1, "--service: jupyterhub, other"),
        ({"docker-stack.yml": "services: {a: {}, b: {}}\n"}, [], 1, "Name it with --service: a, b"),
        ({}, ["--service=none"], 1, "There is no service none"),
        ({}, ["values.yaml"], 1, "One deployment at a time"),
        ({}, ["none.yml"], 1, "none.yml can't be read"),
        ({"docker-stack.yml": STACK.replace("JH_UID:", "JH_UID: $")}, [], 1, "a single $"),
        ({".env": ENV + "???\n"}, [], 1, ".env:6 is no NAME=value"),
        ({"site.yaml": "mine\n"}, [], 2, "site.yaml exists. Name other places, or add --force"),
        ({"secrets/xnat_password": "mine\n"}, [], 2, "secrets/xnat_password exists"),
        ({"x": ""}, ["--secrets-dir=x"], 2, "can't be written"),
        ({}, ["--output=none/site.yaml"], 2, "can't be written"),
    ],
)  # fmt: skip
def test_bad_input_changes_nothing(folder, capsys, files, arguments, code, said):  # noqa: PLR0917
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    def contents():
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = contents()
    assert main(["migrate", "docker-stack.yml", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert TOKEN not in err
    assert "pa$word" not in err
    assert contents() == before


def test_force_replaces(folder):
    migrated("docker-stack.yml")
    (folder / "site.yaml").write_text("mine\n")
    (folder / "secrets/xnat_password").chmod(0o644)
    migrated("docker-stack.yml", "--force")
    assert stat.S_IMODE((folder / "secrets/xnat_password").stat().st_mode) == 0o600
    assert (
        json.dumps(sorted(path.name for path in Path("secrets").iterdir()))
        == '["hub_api_token", "xnat_password"]'
    )


# ---- what used to be lost without a word


def report(capsys, *arguments):
    assert main(["migrate", *arguments, "--json", "--dry-run"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("part", "path", "outcome"),
    [
        ("ports: ['127.0.0.1:8000:8000']", ".ports[0]", "not carried"), ("ports: ['127.0.0.1:9000:8000']", ".ports[0]", "not carried"),
        ("ports: ['8000:8000', '9443:9443']", ".ports[1]", "not carried"), ("extra_hosts: ['a:1.2.3.4']", ".extra_hosts[0]", "not carried"),
        ("dns: 9.9.9.9", ".dns", "not carried"), ("labels: [traefik.enable=true]", ".labels[0]", "not carried"),
        ("deploy: {placement: {constraints: [node.labels.hub == 1]}}", ".deploy.placement.constraints[0]", "not carried"),
        ("deploy: {resources: {limits: {memory: 2G}}}", ".deploy.resources.limits.memory", "not carried"),
        ("command: jupyterhub --debug", ".command", "not carried"), ("user: '1000:999'", ".user", "carried"),
        ("logging: {driver: syslog}", ".logging.driver", "not carried"), ("networks: [jupyterhub-network, proxy]", ".networks[1]", "not carried"),
        ("image: my/own-jupyterhub", ".image", "not carried"),
        ("configs: [{source: c, target: /srv/jupyterhub/jupyterhub_config.py}]", ".configs[0].source", "not carried"),
    ],
)  # fmt: skip
def test_each_part_of_the_hub_s_service_is_in_the_report(folder, capsys, part, path, outcome):
    key = part.partition(":")[0]
    stack = "\n".join(line for line in STACK.split("\n") if not line.startswith(f"    {key}:"))
    if key == "user":
        stack = stack.replace("      JH_UID:\n", "")
    (folder / "docker-stack.yml").write_text(stack.rstrip() + f"\n    {part}\n")
    line = (folder / "docker-stack.yml").read_text().count("\n")
    (entry,) = [each for each in report(capsys, "docker-stack.yml")["settings"] if each["name"].endswith(path) or (
        each["path"] and path.startswith(".ports") and each["path"][-2:] == ["ports", int(path[-2])])]  # fmt: skip
    assert entry["outcome"] == outcome, entry
    assert entry["line"] == line
    assert entry["note"] or entry["keys"]


def test_a_network_s_subnet_is_carried_and_its_encryption_is_said(folder, capsys):
    network = "driver: overlay, ipam: {config: [{subnet: 10.9.0.0/24}]}, driver_opts: {encrypted: 'true'}"
    (folder / "docker-stack.yml").write_text(STACK.replace("driver: overlay", network))
    said = {each["name"].partition('"].')[2]: each for each in report(capsys, "docker-stack.yml")["settings"]}
    assert said["ipam.config[0].subnet"]["keys"] == {"orchestrator.swarm.subnet": "10.9.0.0/24"}
    assert said["driver_opts.encrypted"]["outcome"] == "not carried"


def test_a_value_that_no_site_can_hold_ends_nothing(folder, capsys):
    (folder / "docker-stack.yml").write_text(STACK.replace("JH_START_TIMEOUT: 170", "JH_START_TIMEOUT: soon"))
    site = migrated("docker-stack.yml")
    assert "JH_START_TIMEOUT: It is no whole number." in capsys.readouterr().out
    assert site.servers.uid == 54
    (folder / "values.yaml").write_text(
        VALUES.replace("TZ: Europe/Berlin", "JUPYTERHUB_USER: x, TZ: Europe/Berlin")
    )
    site = migrated("values.yaml", "--force")
    assert site.servers.environment == {"TZ": "Europe/Berlin", **OF_REFERENCE}
    assert "jupyterhub.singleuser.extraEnv.JUPYTERHUB_USER: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("part", "path", "outcome"),
    [
        ("hub: {config: {JupyterHub: {authenticator_class: ldapauthenticator.LDAPAuthenticator}}}", "hub.config.JupyterHub.authenticator_class", "not carried"),
        ("hub: {baseUrl: [x]}", "hub.baseUrl[0]", "not carried"),
        ("hub: {config: {JupyterHub: {admin_access: true}}}", "hub.config.JupyterHub.admin_access", "no concern"),
        ("singleuser: {cmd: [x]}", "singleuser.cmd[0]", "not carried"), ("hub: {services: {other: {admin: true}}}", "hub.services.other.admin", "not carried"),
        ("singleuser: {fsGid: 0}", "singleuser.fsGid", "not carried"), ("singleuser: {image: {pullSecrets: [a]}}", "singleuser.image.pullSecrets[0]", "carried"),
        ("singleuser: {storage: {extraVolumes: [{name: x}]}}", "singleuser.storage.extraVolumes[0].name", "not carried"),
        ("singleuser: {image: {name: a/b}}", "singleuser.image.name", "not carried"),
    ],
)  # fmt: skip
def test_each_value_of_an_override_is_in_the_report_at_its_own_place(folder, capsys, part, path, outcome):
    (folder / "more.yaml").write_text(f"# mine\njupyterhub:\n  {part}\n")
    said = [
        each
        for each in report(capsys, "values.yaml", "more.yaml")["settings"]
        if each["origin"] == "more.yaml:3"
    ]
    assert [(each["name"].removeprefix("jupyterhub."), each["outcome"]) for each in said] == [(path, outcome)]


def told(settings, name):
    """Return the one entry whose name ends so."""
    (entry,) = [each for each in settings if each["name"].endswith(name)]
    return entry


FORMS = """\
x-hub: &hub
  logging: {driver: syslog}
  x-note: mine
include: [more.yml, {path: [none.yml]}]
services:
  base:
    labels: {traefik.enable: "true"}
    environment: {HTTPS_PROXY: "http://proxy", JH_HTTP_TIMEOUT: 44}
  jupyterhub:
    <<: *hub
    extends: {service: base}
    profiles: [jupyter]
    image: xnat/jupyterhub:1.3.3
    user: "54:992"
    gpus: all
    env_file: [{path: hub.env}, {path: no.env, required: false}]
    environment: {JH_UID: 54, JH_GID: 992, NB_UID: 54, NB_GID: 54}
    secrets: [short, {source: long, target: /x, mode: 0400}]
    configs: [{source: ours, target: /srv/jupyterhub/jupyterhub_config.py}]
secrets: {short: {external: true}, long: {file: ./long.txt}}
configs:
  ours:
    content: |
      c.JupyterHub.active_server_limit = 3
      c.JupyterHub.admin_users = {"boss"}
"""


def test_each_form_of_a_compose_file_is_read(folder, capsys):
    (folder / "docker-stack.yml").write_text(FORMS)
    (folder / "hub.env").write_text(ENV.replace("XNAT_URL=", "JH_XNAT_URL="))
    (folder / "extra").mkdir()
    (folder / "more.yml").write_text(
        "services:\n  jupyterhub: {extends: {file: extra/base.yml, service: hub}}\n  side: {image: x}\n"
    )
    (folder / "extra/base.yml").write_text("services: {hub: {dns: 9.9.9.9}, other: {image: y}}\n")
    assert main(["migrate", "docker-stack.yml", "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    site = load("site.yaml").site
    # The form, the entry's name, what became of it, and a word of why.
    for form, name, outcome, why in (
        ("extends", "labels[\"traefik.enable\"]", "not carried", "Traefik"),
        ("extends", "HTTPS_PROXY", "not carried", "servers.http_proxy"),
        ("extends", "services.jupyterhub.extends.file", "no concern", "in this list by itself"),
        ("extends of another file", "services.hub.dns", "not carried", "No key"),
        ("include", "include[0]", "no concern", "in this list by itself"),
        ("include of a file that is not there", "include[1].path[0]", "not carried", "There is no file none.yml"),
        ("profiles", "profiles[0]", "not carried", "no profile"),
        ("user", ".user", "no concern", "JH_UID"),
        ("gpus", ".gpus", "not carried", "servers.caps.generic_resources"),
        ("env_file", "JH_XNAT_URL", "carried", ""),
        ("env_file that is not there", "env_file[1].path", "no concern", "There is no file no.env"),
        ("secrets, short", "services.jupyterhub.secrets[0]", "not carried", "beside the rendered one"),
        ("secrets, long", "services.jupyterhub.secrets[1].target", "not carried", "beside the rendered one"),
        ("secrets, defined", "secrets.long.file", "not carried", "beside the rendered one"),
        ("configs with content", "configs.ours.content", "not carried", "Its lines are in this list"),
        ("configs with content", "c.JupyterHub.active_server_limit", "carried", ""),
        ("anchors and merge keys", "services.jupyterhub.logging.driver", "not carried", "No key"),
        ("anchors and merge keys", "[\"x-hub\"].logging.driver", "no concern", "counts where it is referred to"),
        ("x- fields", "services.jupyterhub[\"x-note\"]", "no concern", "A fragment"),
    ):  # fmt: skip
        entry = told(settings, name)
        assert entry["outcome"] == outcome, (form, entry)
        assert why in entry["note"], (form, entry)
    assert site.servers.http_timeout == 44
    assert site.hub.admin_users == ("boss",)
    assert site.extra == {"JupyterHub.active_server_limit": 3}


def test_a_later_file_replaces_what_an_earlier_one_says(folder, capsys):
    base = (
        STACK.replace("      JH_UID:\n", "")
        + '    user: "1:2"\n    command: [a, b]\n    logging: {driver: syslog, options: {tag: x}}\n    dns: [9.9.9.9]\n'
    )
    (folder / "docker-stack.yml").write_text(base)
    over = (
        'user: "54:992"', "command: c", "ports: !override ['9000:8000']", "logging: {driver: journald}", "dns: !reset null", "image: me/hub",
    )  # fmt: skip
    (folder / "over.yml").write_text("services:\n  jupyterhub:\n" + "".join(f"    {line}\n" for line in over))
    settings = report(capsys, "docker-stack.yml", "over.yml")["settings"]

    def of(file, *path):
        return next(each for each in settings if each["file"] == file and each["path"][2:] == list(path))

    assert of("over.yml", "user")["keys"] == {"hub.uid": 54, "hub.gid": 992}
    assert of("over.yml", "ports", 0)["keys"] == {"hub.bind_url": "http://0.0.0.0:9000"}
    for path in (
        ["user"],
        ["command", 0],
        ["command", 1],
        ["ports", 0],
        ["logging", "driver"],
        ["dns", 0],
        ["image"],
    ):
        entry = of("docker-stack.yml", *path)
        assert (entry["outcome"], entry["note"][:8]) == ("no concern", "over.yml"), entry
    assert of("docker-stack.yml", "logging", "options", "tag")["outcome"] == "not carried"


ZERO = f"""\
hub:
  config:
    JupyterHub: {{authenticator_class: ldap, cookie_secret: {TOKEN}, services: []}}
    LDAPAuthenticator: {{server_address: ldap.example.org}}
    KubeSpawner: {{environment: {{A: b}}, storage_pvc_ensure: false, image: my/image, extra_labels: {{x: y}}, uid: 1000}}
  extraEnv: {{JH_XNAT_PASSWORD: pa-word, JH_XNAT_SERVICE_TOKEN: {TOKEN}}}
  image: {{name: me/hub, tag: "1"}}
imagePullSecrets: [{{name: first}}]
imagePullSecret: {{create: true, registry: registry.example.org, username: me, password: letmein}}
singleuser:
  extraEnv: {{TZ: UTC, LONG: {{name: LONG, value: "1"}}}}
  extraAnnotations: {{n: "1"}}
  initContainers: [{{name: x, image: y, command: [z]}}]
  serviceAccountName: pods
  image: {{pullSecrets: [second]}}
  extraResource: {{limits: {{nvidia.com/gpu: 1}}}}
  networkTools: {{image: {{name: x}}}}
cull: {{timeout: 3600}}
debug: {{enabled: true}}
"""


def test_a_hub_built_on_zero_to_jupyterhub(folder, capsys):
    (folder / "zero.yaml").write_text(ZERO)
    assert main(["migrate", "zero.yaml", "--json", "--xnat-url=https://x.org"]) == 0
    out = capsys.readouterr().out
    assert TOKEN not in out
    assert "letmein" not in out
    site = load("site.yaml").site
    assert site.servers.environment == {"A": "b", "TZ": "UTC", "LONG": "1", **OF_REFERENCE}
    assert site.servers.uid == 1000
    assert site.logging.level == "DEBUG"
    assert set(settings_of(site, Kubernetes).image_pull_secrets) == {"first", "second"}
    assert (
        site.extra
        == {
            "KubeSpawner.extra_annotations": {"n": "1"},
            "KubeSpawner.extra_labels": {"x": "y"},
            "KubeSpawner.init_containers": [{"name": "x", "image": "y", "command": ["z"]}],
            "KubeSpawner.service_account": "pods",
            "KubeSpawner.storage_pvc_ensure": False,
            "JupyterHub.active_server_limit": 64,
        }
        or "JupyterHub.active_server_limit" not in site.extra
    )
    assert (folder / "secrets/registry_logins").read_text() == "registry.example.org me letmein\n"
    settings = json.loads(out)["settings"]
    for name, outcome, why in (
        ("authenticator_class", "not carried", "People sign in with XNAT here"),
        ("server_address", "not carried", "another way to sign in"),
        ("cookie_secret", "not carried", "64 hexadecimal digits"),
        ("hub.image.name", "not carried", "xnathub's own image"),
        ('extraResource.limits["nvidia.com/gpu"]', "not carried", "servers.caps.generic_resources"),
        ("networkTools.image.name", "no concern", "init container"),
        ("cull.timeout", "not carried", "inactivity timeout"),
    ):
        assert told(settings, name)["outcome"] == outcome, name
        assert why in told(settings, name)["note"], told(settings, name)


def test_what_is_said_names_only_keys_that_a_site_has():
    """A hint such as `servers.caps` leads nowhere if the key has another name by now."""
    named = set()
    for file in (ROOT / "xnathub_conf/migration").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and " " in str(node.value):
                named |= set(
                    re.findall(
                        r"(?<![\w.])(?:hub|servers|xnat|sign_in|orchestrator|paths|pages|logging)(?:\.[a-z_]+)+",
                        node.value,
                    )
                )
    assert {key for key in named if node_at(tuple(key.split("."))) is None} == {"hub.config"}  # Helm's
    assert "servers.caps.generic_resources" in named


COMPOSE = """\
services:
  xnat-web:
    image: xnat/web
    depends_on:
      - xnat-db
      - jupyterhub
  # the hub
  jupyterhub:
    image: xnat/jupyterhub
    env_file: .env
  xnat-db:
    image: postgres
  xnat-nginx:
    image: nginx
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf"]
"""


def test_a_file_that_holds_xnat_too_loses_its_hub_alone(folder, capsys):
    (folder / ".env").write_text(ENV.replace("XNAT_URL=", "JH_XNAT_URL="))
    (folder / "docker-compose.yml").write_text(COMPOSE)
    (folder / "nginx.conf").write_text("location / {\n  proxy_pass http://jupyterhub:8000;\n}\n")
    migrated("docker-compose.yml", "--without-hub=rest.yml")
    out = capsys.readouterr().out
    assert (
        "Take the service jupyterhub out of the old stack and leave the rest: lines 8 to 10 of docker-compose.yml"
        in out
    )
    assert "Do not remove the stack: xnat-web, xnat-db, xnat-nginx are in it." in out
    assert "Remove the old stack" not in out
    assert "nginx.conf:2 leads to the old hub" in out
    rest = yaml.safe_load((folder / "rest.yml").read_text())
    assert list(rest["services"]) == ["xnat-web", "xnat-db", "xnat-nginx"]
    assert rest["services"]["xnat-web"]["depends_on"] == ["xnat-db"]
    subprocess.run(["patch", "-p0", "--input=rest.yml.patch"], check=True, capture_output=True)
    assert (folder / "docker-compose.yml").read_text() == (folder / "rest.yml").read_text()


def test_a_network_that_others_need_stays_with_them(folder, capsys):
    (folder / ".env").write_text(
        ENV.replace("XNAT_URL=https://xnat.example.org", "JH_XNAT_URL=http://xnat-web:8080")
    )
    shared = COMPOSE.replace(
        "    image: xnat/web\n", "    image: xnat/web\n    networks: [shared]\n"
    ).replace(
        "    image: xnat/jupyterhub\n",
        "    image: xnat/jupyterhub\n    networks: [shared]\n    environment: {JH_NETWORK: xnat}\n",
    )
    shared = shared.replace('volumes: ["./nginx.conf:/etc/nginx/nginx.conf"]', "build: ./nginx")
    (folder / "nginx").mkdir()
    (folder / "nginx/site.conf").write_text("location / {\n  proxy_pass http://jupyterhub:8000;\n}\n")
    (folder / "docker-compose.yml").write_text(
        f"{shared}networks: {{shared: {{name: xnat, ipam: {{config: [{{subnet: 10.9.0.0/24}}]}}}}}}\n"
    )
    data = report(capsys, "docker-compose.yml")
    entry = told(data["settings"], "JH_NETWORK")
    assert entry["outcome"] == "not carried"
    assert "The network stays with xnat-web" in entry["note"]
    assert told(data["settings"], "subnet")["outcome"] == "no concern"
    steps = "\n".join(data["to_do"])
    assert "xnat.url calls XNAT by the name of its service, xnat-web" in steps
    assert "nginx/site.conf:2 leads to the old hub" in steps


@pytest.mark.parametrize(
    "folders",
    [
        {"ARCHIVE_SERVER": "/mnt//a/", "WORKSPACE_SERVER": "/data/xnat/archive"},
        {"WORKSPACE_SERVER": "/data/xnat/archive"},
        {"ARCHIVE": "/", "WORKSPACE": "/data/xnat/archive"},
        {"ARCHIVE_SERVER": "/", "WORKSPACE_SERVER": "/same"},
        {"ARCHIVE_SERVER": "/same", "WORKSPACE_SERVER": "/same/"},
    ],
)
def test_folders_that_contradict_each_other_end_nothing(folder, capsys, folders):
    variables = {f"JH_XNAT_PT_{name}_PREFIX": path for name, path in folders.items()}
    (folder / ".env").write_text(ENV + "".join(f"{name}={value}\n" for name, value in variables.items()))
    (folder / "more.yaml").write_text(yaml.safe_dump({"jupyterhub": {"hub": {"extraEnv": variables}}}))
    for files in (["docker-stack.yml"], ["values.yaml", "more.yaml"]):
        settings = report(capsys, *files)["settings"]
        assert set(variables) <= {each["name"] for each in settings}


EDITED = """\
import os
raise SystemExit("never run")
c.JupyterHub.spawner_class = 'dockerspawner.DockerSpawner'
c.JupyterHub.allow_named_servers = False
c.DockerSpawner.network_name = "mine"
c.Spawner.http_timeout = int(os.environ['JH_HTTP_TIMEOUT'])
c.Spawner.mem_limit = '4G'
c.JupyterHub.authenticator_class = 'ldapauthenticator.LDAPAuthenticator'
if os.environ.get("X"):
    c.JupyterHub.active_server_limit = 3
def mine(): pass
c.Spawner.environment = {"JUPYTERHUB_USER": "x", "TZ": "UTC"}
"""


@pytest.mark.parametrize(
    "config", [None, "", "c.SwarmSpawner.environment.update({'JUPYTERHUB_SINGLEUSER_EXTENSION': '0'})"]
)
def test_the_reference_s_images_go_on_working(folder, capsys, config):
    """Its hub gives servers a variable without which those with JupyterHub 4.0 run no kernel."""
    files = ["docker-stack.yml"]
    if config is not None:
        (folder / "jupyterhub_config.py").write_text(f"{config}\n")
        files.append("jupyterhub_config.py")
    assert migrated(*files).servers.environment == OF_REFERENCE
    assert "If no image of yours has JupyterHub 4.0, delete servers.environment" in capsys.readouterr().out


def test_variables_of_one_spawner_are_those_of_servers(folder):
    (folder / "jupyterhub_config.py").write_text("c.SwarmSpawner.environment = {'TZ': 'UTC'}\n")
    site = migrated("docker-stack.yml", "jupyterhub_config.py")
    assert site.servers.environment == {"TZ": "UTC", **OF_REFERENCE}


def test_a_jupyterhub_config_is_read_and_never_run(folder, capsys):
    (folder / "jupyterhub_config.py").write_text(EDITED)
    site = migrated("jupyterhub_config.py", "--xnat-url=https://x.org")
    out = capsys.readouterr().out
    assert settings_of(site, Docker).network_name == "mine"
    assert not site.hub.allow_named_servers
    assert site.servers.mem_limit == 4 * 1024**3
    assert site.servers.environment == {"TZ": "UTC"}
    for sentence in (
        "jupyterhub_config.py:8: c.JupyterHub.authenticator_class: People sign in with XNAT here",
        "jupyterhub_config.py:10: c.JupyterHub.active_server_limit: It holds only under a condition.",
        "    jupyterhub_config.py:11: mine\n",
        "JUPYTERHUB_USER",
    ):
        assert sentence in out, sentence


def test_markdown_holds_no_secret_and_a_dry_run_writes_nothing(folder, capsys):
    before = sorted(folder.rglob("*"))
    assert main(["migrate", "docker-stack.yml", "--dry-run", "--format=markdown"]) == 0
    out = capsys.readouterr().out
    assert "| docker-stack.yml:13, .env:2 | JH\\_UID | hub.uid: 54 |" in out
    assert TOKEN not in out
    assert "pa$word" not in out
    assert sorted(folder.rglob("*")) == before


def test_what_old_names_are_told_to_be_is_where_migrate_puts_them(folder, capsys):
    more = {"JH_HTTP_TIMEOUT": "40", "DOCKER_HOST": "tcp://h:2376", "JH_TLS_VERIFY": "true"}
    more |= {f"JH_TLS_{name}": f"/{name}" for name in ("CA_CERT", "CLIENT_CERT", "CLIENT_KEY")}
    lines = "".join(f"      {name}: '{value}'\n" for name, value in more.items())
    (folder / "docker-stack.yml").write_text(STACK + lines)
    seen = set()
    for files in (["docker-stack.yml", "plugin.env", "--env-file=.env"], ["values.yaml"]):
        for entry in report(capsys, *files)["settings"]:
            name = entry["name"].rpartition(".")[2]
            if name in OLD_NAMES and entry["keys"]:
                assert any(key.startswith(OLD_NAMES[name]) for key in entry["keys"]), entry
                seen.add(name)
    told_by_hand = {"JH_SPAWNER", "DOCKER_TLS_VERIFY", "JH_XNAT_WORKSPACE_PATH"}
    # Of SERVER_PREFIX and DOCKER_PREFIX, which say the same, one is carried over.
    one_of_two = {name for name in OLD_NAMES if name.endswith(("SERVER_PREFIX", "DOCKER_PREFIX"))}
    assert seen - one_of_two == set(OLD_NAMES) - told_by_hand - one_of_two
