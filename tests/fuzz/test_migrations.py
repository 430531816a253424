"""Every leaf of every old file is in the report of `migrate` exactly once, at its place: made-up stacks, values and env files."""

import contextlib
import io
import json
import os
import re
import subprocess
import tempfile
import unittest.mock
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.bounds import fuzz
from xnathub_conf.cli.migrate import Options, migrate
from xnathub_conf.migration.report import Report
from xnathub_conf.site.problems import dotted, holds_secret
from xnathub_conf.site.schema import jupyterhub_names

TOKEN = "t0ken-9xbz2-" * 4
COUNTS: Counter[str] = Counter()
"""How many files there were, and leaves that were carried, not carried, and no concern, over all cases of a run."""

FILES = int(os.environ.get("XNATHUB_MIGRATION_FILES", "0"))
"""How many files to make up in all, instead of the short run's; the counts are printed then (pytest -s)."""


def cases(short: int, share: float) -> Any:
    """Return the settings of a test: its cases in a short run, or those that make its share of FILES."""
    return fuzz(round(FILES * share) if FILES else short)


@pytest.fixture(scope="module", autouse=True)
def _counted():
    yield
    if FILES:
        print("\n" + ", ".join(f"{count:,} {name}" for name, count in COUNTS.items()))


class _Texts(yaml.SafeLoader):
    """Reads scalars as text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's


_Texts.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<\Z"), ["<"])


def leaves_of(text: str) -> Counter[tuple[str | int, ...]]:
    """Read a YAML file's leaves by another way than the program's: each path, with aliases and merge keys followed."""
    found: Counter[tuple[str | int, ...]] = Counter()

    def walk(data: Any, path: tuple[str | int, ...]) -> None:
        below = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
        if not data or not isinstance(data, dict | list):
            # What is a key without a value, below one that names a secret, may be the secret itself.
            hidden = data == "null" and path and isinstance(path[-1], str) and holds_secret(path[:-1])
            found[(*path[:-1], "(not shown)") if hidden else path] += 1
        for key, value in below:
            walk(value, (*path, key))

    walk(yaml.load(text, _Texts), ())
    return found


def lines_of(text: str) -> dict[tuple[str | int, ...], int]:
    """Read where each leaf stands, for a file without aliases."""
    found = {}

    def walk(node: Any, path: tuple[str | int, ...], line: int) -> None:
        if isinstance(node, yaml.MappingNode) and node.value:
            for key, value in node.value:
                walk(value, (*path, key.value), key.start_mark.line + 1)
        elif isinstance(node, yaml.SequenceNode) and node.value:
            for index, value in enumerate(node.value):
                walk(value, (*path, index), value.start_mark.line + 1)
        else:
            hidden = (
                node.tag.endswith(":null") and path and isinstance(path[-1], str) and holds_secret(path[:-1])
            )
            found[(*path[:-1], "(not shown)") if hidden else path] = line

    walk(yaml.compose(text, yaml.SafeLoader), (), 1)
    return found


def report_of(folder: Path, files: list[str], env_files: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Migrate, and give the report as data."""
    out, err = io.StringIO(), io.StringIO()
    options = Options(
        files=[str(folder / name) for name in files], env_files=[str(folder / name) for name in env_files], service=None,
        output=str(folder / "site.yaml"), secrets_dir=str(folder / "s"), secrets_path=None, public_url="https://x.org", images=["xnat/*"],
        force=True, format="json", dry_run=False, **more,
    )  # fmt: skip
    texts: list[str] = []

    def also_as_text(report: Report) -> dict[str, Any]:
        texts.extend(["\n".join(report.text()), "\n".join(report.markdown())])
        return data(report)

    data = Report.data
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        unittest.mock.patch.object(Report, "data", also_as_text),
    ):
        code = migrate(options, {})
    assert code == 0, err.getvalue()
    report: dict[str, Any] = json.loads(out.getvalue())
    for text in texts:
        judge_text(report, text.replace("\\", ""))
    judge_carried(report, yaml.safe_load((folder / "site.yaml").read_text()))
    return report


def judge_text(report: dict[str, Any], text: str) -> None:
    """Judge that each value's place is in the text, by itself or in a range of lines."""
    for file in {each["file"] for each in report["settings"] if each["file"]}:
        found = re.findall(rf"{re.escape(file)}:(\d+(?:-\d+)?(?:, \d+(?:-\d+)?)*)", text)
        ranges = [part.partition("-") for each in found for part in each.split(", ")]
        lines = {line for first, _, last in ranges for line in range(int(first), int(last or first) + 1)}
        assert {each["line"] for each in report["settings"] if each["file"] == file} <= lines, (file, text)


def judge_carried(report: dict[str, Any], site: Any) -> None:
    """Judge that what is said to be carried stands in the site."""
    there: dict[str, Any] = {}

    def walk(data: Any, path: tuple[str | int, ...]) -> None:
        there[dotted(path)] = data
        below = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
        for key, value in below:
            walk(value, (*path, key))

    walk(site, ())
    for each in report["settings"]:
        for key, value in each["keys"].items():
            assert key in there, each
            # Images that several settings name are one list.
            part = isinstance(value, list) and key == "servers.allowed_images"
            assert "(not shown)" in json.dumps(value) or (
                set(value) <= set(there[key]) if part else value == there[key]
            ), (each, there[key])


def judge(folder: Path, files: list[str], report: dict[str, Any], *, places: bool) -> None:
    """Judge the property for the files of one migration."""
    said: dict[str, Counter[tuple[str | int, ...]]] = {}
    lines: dict[str, dict[tuple[str | int, ...], int]] = {}
    for each in report["settings"]:
        # A piece of Python among the values is one leaf, and each of its statements is listed besides.
        if each["file"] and not (each["path"] and isinstance(each["path"][0], int)):
            said.setdefault(each["file"], Counter())[tuple(each["path"])] += 1
            lines.setdefault(each["file"], {})[tuple(each["path"])] = each["line"]
            assert each["outcome"] in {"carried", "not carried", "no concern"}
            assert each["keys"] or each["note"], each
            assert each["outcome"] != "carried" or each["keys"], each
            COUNTS[each["outcome"]] += 1
    COUNTS["files"] += len(
        {each["file"] for each in report["settings"] if each["file"]} | {str(folder / name) for name in files}
    )
    for name in files:
        text = (folder / name).read_text()
        got = said.get(str(folder / name), Counter())
        assert got == leaves_of(text), (got - leaves_of(text), leaves_of(text) - got, text)
        if places:
            assert lines.get(str(folder / name), {}) == lines_of(text)


# ---- made-up data

WORDS = st.sampled_from(
    ["", "a", "true", "no", "0777", "1:30", "1.10", "8000", "xnat/x:1", "${X:-y}", "$$", "/data", "./x.py", "jupyterhub", "node.role == manager",
     "127.0.0.1:9000:8000", "8000:8000", "9000-9010:8000-8010", "/var/run/docker.sock:/var/run/docker.sock", "ä\n b", "#", "x: y", "-1", "0", "*", "4G"]
) | st.text("ab:/.-0 ", max_size=6)  # fmt: skip
KEYS = st.sampled_from(
    [
        "a",
        "name",
        "source",
        "target",
        "value",
        "content",
        "driver",
        "x-a",
        "limits",
        "A.B",
        "0",
        "file",
        "key",
        "uid",
    ]
)
JUNK = st.recursive(
    st.none() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def some(**parts: Any) -> Any:
    """Return a map with any of these keys."""
    return st.fixed_dictionaries(
        {}, optional={name.replace("__", "."): value for name, value in parts.items()}
    )


PORT = st.sampled_from(["8000:8000", "127.0.0.1:8000:8000", "127.0.0.1:9000:8000", "9000:8000", "8000", "8081:8081", "53:53/udp", "[::1]:1:8000"]) | some(
    target=st.sampled_from(["8000", "8081", "53"]), published=st.sampled_from(["8000", "9000"]), host_ip=st.just("127.0.0.1"), mode=WORDS,
    protocol=st.sampled_from(["tcp", "udp"]),
)  # fmt: skip
VOLUME = st.sampled_from(
    [
        "/var/run/docker.sock:/var/run/docker.sock:rw",
        "/other.sock:/run/docker.sock",
        "./x:/x",
        "data:/srv",
        "/x",
    ]
) | some(
    type=st.just("bind"),
    source=WORDS,
    target=st.sampled_from(["/x", "/var/run/docker.sock"]),
    read_only=st.just("true"),
    bind=JUNK,
)
OTHER_KEYS = """
    annotations attach blkio_config cap_add cap_drop cgroup cgroup_parent container_name cpu_count cpu_percent cpu_period cpu_quota
    cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec develop device_cgroup_rules devices dns_opt dns_search
    domainname external_links gpus group_add init ipc isolation label_file links mac_address mem_limit mem_reservation mem_swappiness
    memswap_limit models network_mode oom_kill_disable oom_score_adj pid pids_limit platform post_start pre_stop privileged provider
    pull_policy pull_refresh_after read_only runtime scale security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt
    tmpfs tty ulimits use_api_socket userns_mode uts volumes_from working_dir
""".split()  # noqa: SIM905
"""The other keys that the compose specification's schema has for a service."""
HUB_KEYS = """
    activeServerLimit allowNamedServers annotations args authenticatePrometheus baseUrl command concurrentSpawnLimit config
    consecutiveFailureLimit containerSecurityContext cookieSecret db deploymentStrategy existingSecret extraConfig extraContainers
    extraFiles extraPodSpec extraVolumeMounts extraVolumes fsGid image initContainers labels lifecycle livenessProbe loadRoles
    namedServerLimitPerUser networkPolicy nodeSelector pdb podSecurityContext readinessProbe redirectToServer resources
    revisionHistoryLimit service serviceAccount shutdownOnLogout templatePaths templateVars tolerations
""".split()  # noqa: SIM905
"""Those of the schema of Zero to JupyterHub's values for the hub."""
ONE_KEYS = """
    allowPrivilegeEscalation cloudMetadata cmd cpu defaultUrl events extraAnnotations extraContainers extraEnv extraFiles extraLabels
    extraNodeAffinity extraPodAffinity extraPodAntiAffinity extraPodConfig extraResource extraTolerations fsGid image initContainers
    lifecycleHooks memory networkPolicy networkTools nodeSelector podNameTemplate profileList serviceAccountName startTimeout storage
    uid
""".split()  # noqa: SIM905
"""The same for servers."""
TOP_KEYS = """
    cull custom debug enabled fullnameOverride global httpRoute imagePullSecret imagePullSecrets ingress nameOverride prePuller proxy
    rbac scheduling
""".split()  # noqa: SIM905
"""The same beside them."""


def others(keys: list[str]) -> Any:
    """Return a map with two of these keys at most."""
    return st.dictionaries(st.sampled_from(keys), JUNK, max_size=2)


SERVICE = {
    "ports": st.lists(PORT, max_size=3), "volumes": st.lists(VOLUME, max_size=3), "networks": st.lists(st.sampled_from(["jh", "proxy"]), max_size=2, unique=True)
    | st.dictionaries(st.sampled_from(["jh", "proxy"]), st.none() | some(aliases=st.lists(WORDS, max_size=2)), max_size=2),
    "command": JUNK, "entrypoint": JUNK, "deploy": some(replicas=WORDS, labels=JUNK, resources=JUNK, placement=some(constraints=st.lists(WORDS, max_size=2))),
    "labels": JUNK, "logging": JUNK, "user": st.sampled_from(["0", "1000:999", "me"]), "extra_hosts": JUNK, "dns": JUNK, "secrets": st.lists(WORDS, max_size=2),
    "configs": st.lists(st.just("c") | some(source=st.just("c"), target=WORDS), max_size=2), "profiles": st.lists(WORDS, max_size=2), "hostname": WORDS, "build": JUNK,
    "healthcheck": JUNK, "depends_on": JUNK, "sysctls": JUNK, "restart": WORDS, "expose": JUNK, "image": st.sampled_from(["xnat/jupyterhub:1.3", "my/jupyterhub"]),
}  # fmt: skip
BROKEN = st.sampled_from(["soon", "-1", "", "0", "99999999999999999999", "54", "1e3", " 5 "])
VARIABLES = st.dictionaries(
    st.sampled_from(["JH_UID", "JH_GID", "NB_UID", "NB_GID", "JH_START_TIMEOUT", "JH_HTTP_TIMEOUT", "JH_XNAT_START_TIMEOUT", "JH_XNAT_STOP_TIMEOUT"]),
    BROKEN, max_size=5,
) | st.dictionaries(
    st.sampled_from(["JH_NETWORK", "DOCKER_HOST", "JH_TLS_VERIFY", "JH_TLS_CA_CERT", "DOCKER_CERT_PATH", "HTTPS_PROXY", "JH_OTHER", "JUPYTER_ENABLE_LAB",
                     "JH_XNAT_PT_ARCHIVE_PREFIX", "JH_XNAT_PT_ARCHIVE_SERVER_PREFIX", "JH_XNAT_PT_WORKSPACE_DOCKER_PREFIX", "JH_XNAT_INACTIVITY_TIMEOUT"]),
    st.sampled_from(["", "jh", "/data/xnat/archive", "../x", "tcp://h:2376", "${TOKEN}", "/", ".", "//a/../b", "/data/xnat/archive/w"]), max_size=5,
)  # fmt: skip
REQUIRED = {
    "JH_XNAT_URL": "https://xnat.example.org",
    "JH_XNAT_SERVICE_TOKEN": TOKEN,
    "JH_XNAT_PASSWORD": "pa-word",
}


@st.composite
def stacks(draw: Any) -> dict[str, Any]:
    """Make up a stack whose hub is plain, with anything else in it."""
    environment: Any = {**draw(VARIABLES), **REQUIRED}
    if draw(st.booleans()):
        environment = [f"{name}={value}" for name, value in environment.items()]
    hub = {**draw(others(OTHER_KEYS)), **draw(some(**SERVICE)), "environment": environment}
    stack: dict[str, Any] = {"services": {"jupyterhub": hub}}
    if draw(st.booleans()):
        stack["x-common"] = draw(st.dictionaries(KEYS, JUNK, max_size=3))
        stack["services"]["xnat-web"] = {
            **draw(some(**SERVICE)),
            "image": "xnat/web",
            "environment": draw(VARIABLES),
        }
        hub["x-also"] = stack["x-common"]
    stack |= draw(some(
        version=WORDS, name=WORDS, networks=st.fixed_dictionaries({}, optional={
            "jh": st.none() | some(name=WORDS, driver=WORDS, attachable=WORDS, driver_opts=JUNK, ipam=some(driver=WORDS, config=st.lists(
                some(subnet=st.sampled_from(["10.7.0.0/24", "x"]), gateway=WORDS), max_size=2))),
            "proxy": JUNK,
        }), volumes=st.dictionaries(st.just("data"), JUNK), secrets=st.dictionaries(st.just("a"), JUNK),
        configs=st.dictionaries(st.just("c"), some(file=WORDS, content=st.sampled_from(["x", "c.JupyterHub.port = 1"]), external=WORDS)),
    ))  # fmt: skip
    return stack


VALUES = some(
    baseUrl=st.sampled_from(["/jupyterhub", "/", "hub"]), config=st.dictionaries(
        st.sampled_from(["JupyterHub", "Authenticator", "KubeSpawner", "LDAPAuthenticator"]),
        st.dictionaries(st.sampled_from(["authenticator_class", "admin_access", "admin_users", "allow_named_servers", "start_timeout", "cpu_limit", "services"]), JUNK),
        max_size=2),
    extraConfig=JUNK, extraFiles=JUNK, image=JUNK, db=some(type=st.sampled_from(["postgres", "sqlite-pvc"]), url=WORDS), loadRoles=JUNK,
    allowNamedServers=WORDS, concurrentSpawnLimit=WORDS, activeServerLimit=WORDS, networkPolicy=JUNK, extraVolumes=JUNK, shutdownOnLogout=WORDS,
)  # fmt: skip
ONE = some(
    cmd=JUNK, uid=WORDS, fsGid=WORDS, nodeSelector=st.dictionaries(KEYS, WORDS, max_size=2), extraTolerations=st.lists(JUNK, max_size=2),
    image=some(name=WORDS, tag=WORDS, pullPolicy=WORDS, pullSecrets=st.lists(WORDS, max_size=2)), cpu=some(limit=WORDS, guarantee=WORDS),
    memory=some(limit=WORDS, guarantee=WORDS), defaultUrl=WORDS, extraEnv=st.dictionaries(st.sampled_from(["TZ", "JUPYTER_ENABLE_LAB", "A"]), JUNK),
    storage=some(type=WORDS, static=some(pvcName=st.sampled_from(["w", ""]), subPath=WORDS), capacity=WORDS, extraVolumes=JUNK, extraVolumeMounts=JUNK),
    profileList=JUNK, startTimeout=WORDS,
)  # fmt: skip


@st.composite
def values(draw: Any) -> dict[str, Any]:
    """Make up values of the reference's chart."""
    plain = {**draw(VARIABLES), **REQUIRED}
    form = draw(st.sampled_from(["plain", "named", "list"]))
    extra: Any = (
        plain if form == "plain" else {name: {"name": name, "value": value} for name, value in plain.items()}
    )
    extra = [*extra.values()] if form == "list" else extra
    services = draw(
        st.dictionaries(
            st.sampled_from(["xnat", "other"]), some(apiToken=WORDS, admin=WORDS, url=WORDS), max_size=2
        )
    )
    hub = {**draw(others(HUB_KEYS)), **draw(VALUES), "extraEnv": extra, "services": services}
    top = draw(
        some(
            postgresql=some(enabled=st.sampled_from(["true", "false"]), size=WORDS),
            postgresqlExternalHost=WORDS,
            x=JUNK,
        )
    )
    inner = {"hub": hub, "singleuser": {**draw(others(ONE_KEYS)), **draw(ONE)}, **draw(others(TOP_KEYS))}
    return {"jupyterhub": inner, **top}


def dumped(data: Any, flow: bool) -> str:
    """Write as YAML; what is shared becomes an anchor and its aliases."""
    return yaml.safe_dump(
        data, default_flow_style=None if flow else False, sort_keys=False, allow_unicode=True
    )


@cases(40, 0.2)
@given(
    stacks(),
    st.booleans(),
    st.lists(
        st.sampled_from(["X=1", "TOKEN=a", "JH_XNAT_STOP_TIMEOUT=5", "# c", "A='b'", "X=2"]), max_size=4
    ),
)
def test_every_leaf_of_a_stack_is_in_the_report_once(stack, flow, env):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stack.yml").write_text(dumped(stack, flow))
        (folder / "my.env").write_text("\n".join(env))
        report = report_of(folder, ["stack.yml"], ("my.env",))
        judge(folder, ["stack.yml"], report, places="*id" not in dumped(stack, flow))
        lines = Counter(each["line"] for each in report["settings"] if each["file"] == str(folder / "my.env"))
        assert lines == Counter(number for number, line in enumerate(env, 1) if "=" in line)


@cases(40, 0.2)
@given(values(), st.booleans())
def test_every_leaf_of_values_is_in_the_report_once(data, flow):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "values.yaml").write_text(dumped(data, flow))
        judge(
            folder,
            ["values.yaml"],
            report_of(folder, ["values.yaml"]),
            places="*id" not in dumped(data, flow),
        )


PYTHON = st.sampled_from(
    ["1", "-1", "True", "None", "'x'", "''", "'4G'", "'/lab'", "'/jupyter'", "'sqlite:///x'", "'postgresql://u:p@h/d'", "[1]", "['a', 'b']", "{'a': 'b'}", "{}",
     "other", "f'{other}/x'", "1 + 1", "2 ** 40", "os.environ['A']", "os.environ.get('A')", "os.environ.get('B', 'b').split()", "int(os.getenv('A', '5'))", "call()",
     "[{'name': 'xnat', 'api_token': 'x' }]", "[{'name': 'xnat', 'api_token': os.environ['A']}, {'name': 'cull'}]", "{'name': 'v', 'persistentVolumeClaim': {'claimName': 'c'}}",
     "{'/a': '/b', '/c': {'bind': '/d', 'mode': 'ro'}}", "[{'kubespawner_override': {'image': 'a:1'}}, 3]", "{os.environ['A']: 1}", "float('inf')", "b'x'", "..."]
)  # fmt: skip
TRAITS = st.sampled_from(
    [f"{name}.{trait}" for name, traits in jupyterhub_names()["traits"].items() for trait in traits]
    + ["Spawner.start_timeout", "DockerSpawner.volumes", "KubeSpawner.volume_mounts", "KubeSpawner.profile_list", "LDAPAuthenticator.x", "Nobody.x"]
)  # fmt: skip


@st.composite
def configs(draw: Any) -> str:
    """Make up a jupyterhub_config.py, with one statement on each line."""
    spawner = draw(st.sampled_from(["dockerspawner.SwarmSpawner", "docker", "kubespawner.KubeSpawner"]))
    lines = ["import os", "cfg = c", f"c.JupyterHub.spawner_class = '{spawner}'", f"other = {draw(PYTHON)}"]
    for trait, value in draw(st.lists(st.tuples(TRAITS, PYTHON), max_size=6)):
        form = draw(
            st.sampled_from(
                [
                    f"c.{trait} = {value}",
                    f"c.{trait}.update({value})",
                    f"c.{trait} += {value}",
                    f"c.{trait}['k'] = {value}",
                    f"cfg.{trait} = {value}",
                    "c['{}']['{}'] = {}".format(*trait.split("."), value),
                    f"other = {value}",
                    f"print({value})",
                ]
            )
        )
        if draw(st.booleans()):
            lines += [f"if {draw(PYTHON)}:", f"    {form}"]
        else:
            lines.append(form)
    return "\n".join(lines) + "\n"


@cases(40, 0.15)
@given(configs(), st.none() | st.dictionaries(st.sampled_from(["A", "B"]), st.sampled_from(["", "7", "/x"])))
def test_every_statement_of_a_config_is_in_the_report_once(text, environment):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "jupyterhub_config.py").write_text(text)
        files = ["jupyterhub_config.py"]
        if environment is not None:
            hub = {
                "image": "jupyterhub/jupyterhub",
                "environment": environment,
                "volumes": ["./jupyterhub_config.py:/x.py"],
            }
            (folder / "compose.yml").write_text(dumped({"services": {"hub": hub}}, flow=False))
            files = ["compose.yml"]
        report = report_of(folder, files, xnat_url="https://x.org")
        judge(folder, [each for each in files if each.endswith(".yml")], report, places=True)
        said = Counter(
            each["line"]
            for each in report["settings"]
            if each["file"] == str(folder / "jupyterhub_config.py")
        )
        lines = text.splitlines()
        settings = {
            number for number, line in enumerate(lines, 1) if line.lstrip().startswith(("c.", "c[", "cfg."))
        }
        # A condition over a setting is that setting's own; any other block is one statement.
        wanted = {
            number for number, line in enumerate(lines, 1) if not line.startswith(("    ", "if "))
        } | settings
        wanted |= {
            number
            for number, line in enumerate(lines, 1)
            if line.startswith("if ") and number + 1 not in settings
        }
        assert said == Counter(wanted), text


@cases(25, 0.1)
@given(values(), values(), some(hub=VALUES, singleuser=ONE, proxy=JUNK))
def test_every_leaf_of_merged_values_is_in_the_report_once(first, second, third):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {"a.yaml": first, "b.yaml": second, "c.yaml": {"jupyterhub": third}}
        for file, data in files.items():
            (folder / file).write_text(dumped(data, flow=False))
        judge(folder, [*files], report_of(folder, [*files]), places=False)


REPOSITORIES = os.environ.get("XNATHUB_REFERENCE_REPOSITORIES", "").split()
"""Git directories of the reference's repositories, whose every version is read then; the short run has no network."""


def versions() -> dict[tuple[str, str], str]:
    """Return each version of each stack, compose, values and configuration file of those repositories, by its kind and its object's name."""
    found: dict[tuple[str, str], str] = {}
    kinds = {
        "docker-stack.yml": "stack.yml",
        "docker-compose.yml": "stack.yml",
        "values.yaml": "values.yaml",
        "jupyterhub_config.py": "config.py",
    }
    for repository in REPOSITORIES:
        git = ["git", "-C", repository]
        listed = subprocess.run(
            [*git, "rev-list", "--all", "--objects", "--missing=allow-any"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for line in listed.splitlines():
            name, _, path = line.partition(" ")
            if kind := kinds.get(path.rpartition("/")[2]):
                found[kind, name] = subprocess.run(
                    [*git, "cat-file", "blob", name], capture_output=True, text=True, check=True
                ).stdout
    return found


if REPOSITORIES:

    def test_every_leaf_of_every_version_of_the_reference_s_files_is_in_the_report_once():
        """XNATHUB_REFERENCE_REPOSITORIES="A.git B.git" pytest -s tests/fuzz/test_migrations.py -k version"""
        COUNTS.clear()
        for (kind, _), text in versions().items():
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                (folder / kind).write_text(text)
                (folder / ".env").write_text("".join(f"{key}={value}\n" for key, value in REQUIRED.items()))
                if kind == "stack.yml" and not re.search(r"JH_|xnat/jupyterhub", text):
                    COUNTS["without the reference's hub"] += 1
                    continue
                more = {"xnat_url": "https://x.org"} if kind == "config.py" else {}
                report = report_of(folder, [kind], **more)
                judge(folder, [] if kind == "config.py" else [kind], report, places="&" not in text)
                COUNTS[kind] += 1
        print("\n" + ", ".join(f"{count:,} {name}" for name, count in sorted(COUNTS.items())))
        COUNTS.clear()
