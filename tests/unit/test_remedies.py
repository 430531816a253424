"""Planted mistakes: each message names a remedy, and the file is valid, without a warning, once that is applied."""

import re

import pytest
import yaml

from tests.unit.helpers import MINIMAL, problems_of, where
from xnathub_conf.site.check import check_schema
from xnathub_conf.site.old_names import OLD_NAMES, WITHOUT_KEY, what_to_do
from xnathub_conf.site.remedies import example_of, flow
from xnathub_conf.site.schema import node_at, resolve, site_schema
from xnathub_conf.site.yaml_source import Document

SWARM = "orchestrator:\n  swarm: {}\n"
PASSWORD, TOKEN = "{file: /run/secrets/xnat_password}", "{file: /run/secrets/hub_api_token}"
NBSP = "\u00a0"


def servers(text):
    return MINIMAL.replace("servers:\n", f"servers:\n  {text}\n")


def hub(text):
    return MINIMAL.replace("hub:\n", f"hub:\n  {text}\n")


def swarm(text):
    return MINIMAL.replace(SWARM, f"orchestrator:\n  swarm:\n    {text}\n")


def kubernetes(text):
    claims = "claims: [{path: /data/xnat, claim_name: xnat}]"
    return MINIMAL.replace(SWARM, f"orchestrator:\n  kubernetes:\n    {claims}\n    {text}\n").replace(
        "  gid: 999\n", ""
    )


def images(text):
    return MINIMAL.replace("[xnat/*]", text)


def password(text):
    return MINIMAL.replace(PASSWORD, text)


def url(text):
    return MINIMAL.replace("https://xnat.example.org", text)


def top(text):
    return f"{MINIMAL}{text}\n"


PLANTED = [
    # how a piece of the file is made, the mistake, what mends it, and what of that the message names
    # -- secrets whose braces, or whose space, were forgotten
    (password, "/run/secrets/xnat_password", PASSWORD, "{file: /path/of/the/secret}"),
    (password, "${JH_XNAT_PASSWORD}", "{env: JH_XNAT_PASSWORD}", "{env: NAME}"),
    (password, "$JH_XNAT_PASSWORD", "{env: JH_XNAT_PASSWORD}", "{env: NAME}"),
    (password, "JH_XNAT_PASSWORD", "{env: JH_XNAT_PASSWORD}", "{env: NAME}"),
    (password, "file:/run/secrets/xnat_password", PASSWORD, "{file: /path/of/the/secret}"),
    (password, "env:XNAT_PASSWORD", "{env: XNAT_PASSWORD}", "{env: NAME}"),
    (password, "~/secrets/xnat_password", PASSWORD, "{file: /path/of/the/secret}"),
    (password, "{file:/run/secrets/xnat_password}", PASSWORD, "file: /run/secrets/xnat_password"),
    (password, "{env:XNAT_PASSWORD}", "{env: XNAT_PASSWORD}", "env: XNAT_PASSWORD"),
    (password, "{file: secrets/xnat_password}", "{file: /run/secrets/hub_password}", "file: /run/secrets/"),
    (password, "{env: $PASSWORD}", "{env: HUB_API_TOKEN}", "env: HUB_API_TOKEN"),
    (password, "{flie: /run/secrets/x}", "{file: /run/secrets/x}", "file"),
    (password, "", PASSWORD, f"password: {PASSWORD}"),
    (password, "12345678", PASSWORD, f"password: {PASSWORD}"),
    (lambda text: MINIMAL.replace(TOKEN, text), f"{PASSWORD} # again", TOKEN, "a place of its own"),
    # -- addresses
    (url, "http://localhost:8080", "https://xnat-web:8080", "xnat-web:8080"),
    (url, "https://127.0.0.1", "https://xnat-web:8080", "xnat-web:8080"),
    (url, "https://xnat.example.org/app/template/Index.vm", "https://xnat.example.org", "https://xnat.example.org"),
    (url, "https://xnat.example.org/xapi", "https://xnat.example.org", "https://xnat.example.org"),
    (url, "xnat.example.org", "https://xnat.example.org", "url: https://xnat.example.org"),
    (url, "HTTPS://xnat.example.org", "https://xnat.example.org", "url: https://xnat.example.org"),
    (url, "https://xnat.example.org?a=b", "https://xnat.example.org", "url: https://xnat.example.org"),
    (url, "https://me:pw@xnat.example.org", "https://xnat.example.org", "url: https://xnat.example.org"),
    (url, "[https://xnat.example.org]", "https://xnat.example.org", "url: https://xnat.example.org"),
    (url, "", "https://xnat.example.org", "url: https://xnat.example.org"),
    (hub, "base_url: jupyterhub", "base_url: /jupyterhub/", "base_url: /jupyterhub/"),
    (hub, "base_url: /hub", "base_url: /hub/", "base_url: /hub/"),
    (hub, "bind_url: 0.0.0.0:9000", "bind_url: http://0.0.0.0:9000", "bind_url: http://0.0.0.0:9000"),
    (hub, "bind_url: 9000", "bind_url: http://0.0.0.0:9000", "bind_url: http://0.0.0.0:9000"),
    (hub, "public_url: https://xnat.example.org/hub/", "public_url: https://xnat.example.org/jupyterhub/",
     "https://xnat.example.org/jupyterhub/"),
    (hub, "hub_connect_url: http://localhost:8081", "", "Delete it"),
    (swarm, "docker_host: /var/run/docker.sock", "docker_host: unix:///var/run/docker.sock", "docker_host: unix:///var/run/docker.sock"),
    # -- amounts and units
    (servers, "cpu_limit: 500m", "cpu_limit: 0.5", "cpu_limit: 0.5"),
    (servers, 'cpu_limit: "2"', "cpu_limit: 2", "cpu_limit: 2"),
    (servers, "cpu_limit: 2 cores", "cpu_limit: 2", "cpu_limit: 2"),
    (servers, "cpu_limit: 0", "cpu_limit: 1", "more than 0, such as 1"),
    (servers, "start_timeout: 2m", "start_timeout: 120", "start_timeout: 120"),
    (servers, "start_timeout: 90s", "start_timeout: 90", "start_timeout: 90"),
    (servers, "start_timeout: 1m30s", "start_timeout: 90", "start_timeout: 90"),
    (servers, 'start_timeout: "54"', "start_timeout: 54", "start_timeout: 54"),
    (servers, "start_timeout: 120000", "start_timeout: 120", "start_timeout: 120"),
    (servers, "start_timeout: 1.5", "start_timeout: 2", "start_timeout: 2"),
    (servers, "start_timeout:", "start_timeout: 120", "start_timeout: 120"),
    (servers, "mem_limit: 8", "mem_limit: 8G", "8G"),
    (servers, "caps: {mem: 512}", "caps: {mem: 512G}", "512G"),
    (servers, "mem_limit: 8GB", "mem_limit: 8G", "mem_limit: 8G"),
    (servers, "mem_limit: 8Gi", "mem_limit: 8G", "mem_limit: 8G"),
    (servers, "mem_limit: 8 g", "mem_limit: 8G", "mem_limit: 8G"),
    (servers, "mem_limit: 512m", "mem_limit: 512M", "mem_limit: 512M"),
    (servers, "caps: {gpu: 1}", "caps: {generic_resources: {gpu: 1}}", "generic_resources: {gpu: 1}"),
    (servers, "caps: {nvidia.com/gpu: 2}", "caps: {generic_resources: {nvidia.com/gpu: 2}}", "generic_resources: {nvidia.com/gpu: 2}"),
    (servers, "caps: {memory: 8G}", "caps: {mem: 8G}", "mem"),
    (servers, "caps: {cpus: 8}", "caps: {cpu: 8}", "cpu"),
    (servers, "mem_limit: 64G\n  caps: {mem: 34359738368}", "mem_limit: 32G\n  caps: {mem: 34359738368}", "32G"),
    (servers, "uid: 0", "uid: 1", "1 or more"),
    # -- text, numbers and truth
    (servers, "environment: {OMP_NUM_THREADS: 4}", 'environment: {OMP_NUM_THREADS: "4"}', 'OMP_NUM_THREADS: "4"'),
    (servers, "environment: {DEBUG: true}", 'environment: {DEBUG: "true"}', 'DEBUG: "true"'),
    (servers, "environment: [TZ=Europe/Berlin]", "environment: {TZ: Europe/Berlin}", "environment: {TZ: Europe/Berlin}"),
    (servers, "environment: {MY-NAME: x}", "environment: {MY_NAME: x}", "MY_NAME"),
    (servers, "environment: {DB_PASSWORD: hunter2}", "", "Delete it"),
    (servers, "environment: {JH_XNAT_URL: https://x}", "", "xnat.url"),
    (servers, "environment: {NB_UID: '54'}", "uid: 54", "servers.uid"),
    (hub, 'shutdown_on_logout: "true"', "shutdown_on_logout: true", "shutdown_on_logout: true"),
    (hub, "shutdown_on_logout: yes", "shutdown_on_logout: true", "true"),
    (top, "logging: {level: debug}", "logging: {level: DEBUG}", "level: DEBUG"),
    (top, "sign_in: {everyone: allways}", "sign_in: {everyone: always}", "everyone: always"),
    # -- lists and maps
    (images, "xnat/datascience-notebook", "[xnat/datascience-notebook]", "allowed_images: [xnat/datascience-notebook]"),
    (images, "a/x, b/y", "[a/x, b/y]", "allowed_images: [a/x, b/y]"),
    (images, "[]", "[xnat/datascience-notebook:1.3.*]", "xnat/datascience-notebook:1.3.*"),
    (images, '["*"]', "[xnat/*]", "xnat/*"),
    (images, '["*/*"]', "[xnat/*]", "xnat/*"),
    (images, "[xnat/Notebook]", "[xnat/datascience-notebook]", "xnat/datascience-notebook"),
    (servers, "allowed_mounts: [/data]", "allowed_mounts: [{path: /data}]", "{path: /data}"),
    (servers, "allowed_mounts: /data", "allowed_mounts: [{path: /data}]", "allowed_mounts: [{path: /data}]"),
    (servers, "allowed_mounts: [{path: /data/}]", "allowed_mounts: [{path: /data}]", "path: /data"),
    (servers, "allowed_mounts: [{path: /data}, {path: /data}]", "allowed_mounts: [{path: /data}]", "Delete one of them"),
    (servers, "allowed_mounts: [{source: /data}]", "allowed_mounts: [{path: /data}]", "path"),
    (hub, "admin_users: admin", "admin_users: [admin]", "admin_users: [admin]"),
    (hub, "admin_users: [a, a]", "admin_users: [a]", "Delete one of them"),
    (swarm, "placement_constraints: [node.role=worker]", "placement_constraints: [node.role==worker]", "node.role==worker"),
    (swarm, "subnet: 10.20.0.0", "subnet: 10.20.0.0/20", "subnet: 10.20.0.0/20"),
    (kubernetes, "namespace: My_Hub", "namespace: my-hub", "namespace: my-hub"),
    (kubernetes, "generic_resources: {gpu: gpu}", "generic_resources: {gpu: nvidia.com/gpu}", "nvidia.com/gpu"),
    # -- sections left empty, or named only
    (lambda text: MINIMAL.replace(SWARM, text), "orchestrator:\n  swarm:\n", SWARM, "swarm: {}"),
    (lambda text: MINIMAL.replace(SWARM, text), "orchestrator: swarm\n", "orchestrator: {swarm: {}}\n", "orchestrator: {swarm: {}}"),
    (lambda text: MINIMAL.replace(SWARM, text), "orchestrator: docker\n", "orchestrator: {docker: {}}\n", "orchestrator: {docker: {}}"),
    (lambda text: MINIMAL.replace(SWARM, text), "orchestrator:\n", "orchestrator: {swarm: {}}\n", "orchestrator: {swarm: {}}"),
    (lambda text: MINIMAL.replace(SWARM, text), "", "orchestrator: {swarm: {}}\n", "orchestrator: {swarm: {}}"),
    (lambda text: MINIMAL.replace(SWARM, text), "orchestrator: {swarm: {}, docker: {}}\n", "orchestrator: {swarm: {}}\n", "Delete docker or swarm"),
    (lambda text: MINIMAL.replace("version: 1\n", text), "", "version: 1\n", "version: 1"),
    (lambda text: MINIMAL.replace("version: 1\n", text), 'version: "1"\n', "version: 1\n", "version: 1"),
    # -- names of before, and of elsewhere
    (hub, "JH_UID: 54", "uid: 54", "hub.uid"),
    (top, "c.JupyterHub.shutdown_on_logout: true", "", "hub.shutdown_on_logout"),
    (servers, "SwarmSpawner.start_timeout: 60", "start_timeout: 60", "servers.start_timeout"),
    (top, "extra: {active_server_limit: 5}", "extra: {JupyterHub.active_server_limit: 5}", "JupyterHub.active_server_limit"),
    (top, "JupyterHub.active_server_limit: 5", "extra: {JupyterHub.active_server_limit: 5}", "`extra:`"),
    (hub, "start-timeout: 60", "", "xnat.start_timeout"),
    (servers, "startTimeout: 60", "start_timeout: 60", "start_timeout"),
    # -- limits that contradict each other
    (servers, "start_timeout: 150", "start_timeout: 120", "make 180 or less"),
    (lambda text: MINIMAL.replace("xnat:\n", f"xnat:\n  {text}\n"), "start_timeout: 100", "start_timeout: 300", "raise both"),
    (lambda text: MINIMAL.replace("xnat:\n", f"xnat:\n  {text}\n"), "calls: {deadline: 20}", "calls: {deadline: 20, read_timeout: 20}", "read_timeout: 20"),
    # -- the text itself
    (lambda text: MINIMAL.replace("  url:", text), f"{NBSP}{NBSP}url:", "  url:", "plain space"),
    (lambda text: MINIMAL.replace("  url: ", text), f"  url:{NBSP}", "  url: ", "plain space"),
    (url, f"https://xnat.example.org{NBSP}", "https://xnat.example.org", "plain space"),
    (url, "\u201chttps://xnat.example.org\u201d", '"https://xnat.example.org"', '"'),
    (lambda text: MINIMAL.replace("  url: ", text), "  url:", "  url: ", "Put one there"),
    (lambda text: MINIMAL.replace("url: ", text), "\turl: ", "url: ", "Indent with spaces"),
    (lambda text: MINIMAL.replace("gid: 999", text), "gid 999", "gid: 999", "a colon and a space"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "mistake", "mended", "named"), PLANTED, ids=[f"{each[1]}"[:40] or "left out" for each in PLANTED]
)
def test_the_remedy_that_a_message_names_mends_the_file(made, mistake, mended, named):
    text = made(mistake)
    assert text != made(mended)
    found = problems_of(text)
    assert all(each.message and each.fix for each in found)
    problem = next(each for each in found if named in each.fix)
    # The line is the mistake's: that of the key or value, or of the section which lacks it.
    first, lines = where(text, mistake)[0] if mistake else 1, mistake.count("\n")
    assert not mistake or first <= problem.line <= first + lines
    assert problems_of(made(mended), strict=True) == []


def test_there_are_enough():
    assert len(PLANTED) >= 60


@pytest.mark.parametrize(
    ("planted", "line"),
    [
        # A value of the file contradicts a default: the line is the value's, not that of the section.
        (servers("start_timeout: 150"), "start_timeout: 150"),
        (servers("caps: {cpu: 1}\n  cpu_guarantee: 2"), "cpu_guarantee"),
        (MINIMAL.replace("xnat:\n", "xnat:\n  start_timeout: 100\n"), "start_timeout: 100"),
        (MINIMAL.replace("xnat:\n", "xnat:\n  stop_timeout: 5\n"), "stop_timeout: 5"),
        (MINIMAL.replace("xnat:\n", "xnat:\n  calls: {deadline: 20}\n"), "deadline: 20"),
        (top("sign_in: {max_age: 10}"), "max_age: 10"),
        (hub("hub_bind_url: http://0.0.0.0:8000"), "hub_bind_url"),
        (kubernetes("schedule_timeout: 130"), "schedule_timeout"),
        (kubernetes("").replace("servers:\n", "servers:\n  start_timeout: 10\n"), "start_timeout: 10"),
    ],
)
def test_a_contradiction_is_reported_where_it_can_be_mended(planted, line):
    found = problems_of(planted)
    assert {problem.line for problem in found} == {where(planted, line)[0]}


def test_amounts_are_said_in_the_units_of_the_file():
    (found,) = problems_of(servers("mem_limit: 64G\n  caps: {mem: 34359738368}"))
    assert "32G" in found.message
    assert "34" not in found.message


def test_no_message_repeats_a_secret():
    secret = "Hunter-2-Hunter"
    for planted in (
        "file:{}",
        "env:{}",
        "{{{}}}",
        "{{file:{}}}",
        "{{env: [{}]}}",
        "${{{}}}",
        "[{}]",
        "~/x/{}",
        "{{file: {}}}",
        "{{value: {}}}",
    ):
        for made in (
            password,
            lambda text: MINIMAL.replace(TOKEN, text),
            lambda text: hub(f"db_url: {text}"),
        ):
            for problem in problems_of(made(planted.format(secret))):
                assert secret not in str(problem)


@pytest.mark.parametrize("name", [*OLD_NAMES, *WITHOUT_KEY, "JH_NEW_ONE", "jh_uid"])
@pytest.mark.parametrize(
    "made", [top, hub, servers, swarm, lambda text: servers(f"caps: {{{text.rstrip()}}}")]
)
def test_an_old_name_is_told_its_new_one_at_any_level(made, name):
    (problem,) = problems_of(made(f"{name}: x"))
    assert problem.rule == "unknown-key"
    assert problem.fix == what_to_do(name)


def test_old_names_are_told_in_environment_and_extra():
    (problem,) = problems_of(servers("environment: {JH_START_TIMEOUT: '60'}"))
    assert (problem.severity, problem.fix) == ("warning", "In site.yaml this is `servers.start_timeout`.")
    (problem,) = problems_of(top("extra: {JH_UID: 5}"))
    assert problem.fix == "In site.yaml this is `hub.uid`."


@pytest.mark.parametrize("key", OLD_NAMES.values())
def test_an_old_name_leads_to_a_key(key):
    assert node_at(tuple(key.split("."))) is not None


def objects(node, path=()):
    node = resolve(node)
    yield path, node
    for key, child in node.get("properties", {}).items():
        yield from objects(child, (*path, key))
    if "items" in node:
        yield from objects(node["items"], (*path, 0))


@pytest.mark.parametrize(
    ("path", "node"),
    objects(site_schema()),
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_the_example_for_a_key_is_valid_there(path, node):
    """What a message shows as an example is read from YAML as it was meant, and fits."""
    example = example_of(node)
    if example is None:
        assert node["type"] in {"string", "number", "integer", "boolean", "array", "object"}
        return
    assert yaml.safe_load(flow(example)) == example
    document = Document("f")
    data = example
    for part in reversed(path):
        data = [data] if isinstance(part, int) else {part: data}
    document.data = data
    check_schema(document)
    assert [p for p in document.problems if p.path[: len(path)] == path and p.rule != "required"] == []


def test_text_on_one_line_is_read_as_the_same_text():
    for value in (
        "yes",
        "no",
        "8",
        "8G",
        "1.5",
        "a: b",
        "a:b",
        "{x}",
        "*",
        "xnat/*",
        "- a",
        "",
        "null",
        "/data",
        "é",
        'a"b',
        "a#b",
        "#a",
        "a, b",
        "x:",
    ):
        for data in (value, [value], {"k": value}, {value: "v"}):
            assert yaml.safe_load(flow(data)) == data


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a:\n  b: 'x\n  c: 1\n", 2, "opens here"),
        ("a: b: c\n", 1, "begun already"),
        ("a: [1, 2\nb: 1\n", 1, "not closed"),
        ("a: 1\n  b: 2\n", 2, ""),
        ("a:\n  b\n  c: 1\n", 3, "the colon that the line above lacks"),
        ("a: @x\n", 1, "can't begin a value"),
        (f"a:\n{NBSP} b: 1\n", 2, "no-break space (U+00A0)"),
        (f"a: 1\nb:{NBSP}2\nc: 1\n", 2, "no-break space (U+00A0)"),
        ("a: \u201cx\u201d\n", 1, "The quote \u201c"),
        ("a:\n  \u2013 b\n", 2, "The dash \u2013"),
    ],
)
def test_slips_of_the_keyboard_are_named_in_their_line(text, line, said):
    found = [problem for problem in problems_of(text) if problem.rule in {"syntax", "typography"}]
    assert found
    assert all(not re.search("mapping values|block mapping|simple key|token", str(each)) for each in found)
    assert found[0].line == line
    assert said in str(found[0])


@pytest.mark.parametrize(
    ("keys", "message", "fix"),
    [
        ("mounts: [{source: /a, target: /opt/x, type: bind}]", "There is no such key.", "Delete it: what begins with a slash"),
        ("allowed_mounts: [{path: /a, read_only: true}]", "There is no such key.", "Delete it: a mount is read-only unless"),
        ('shm_size: "-1"', "bytes", "Write, for example, `shm_size: 2G`."),
        ("mem_limit: -8GB", "bytes", "Write, for example, `mem_limit: 8G`."),
    ],
)  # fmt: skip
def test_what_to_write_instead_is_what_can_have_been_meant(keys, message, fix):
    (problem,) = problems_of(servers(keys))
    assert message in problem.message
    assert problem.fix.startswith(fix)


@pytest.mark.parametrize("scheme", ["javascript:alert(1)", "data:text/html,x", "file:/etc/passwd"])
def test_another_scheme_than_the_web_s_is_no_host(scheme):
    (problem,) = problems_of(MINIMAL + f'pages: {{links: [{{text: a, url: "{scheme}"}}]}}\n')
    assert problem.fix == "Write, for example, `url: https://wiki.example.org/jupyter`."


def test_a_text_that_is_too_long_is_told_how_long_it_may_be():
    (problem,) = problems_of(MINIMAL + f"pages: {{notice: {'x' * 100_000}}}\n")
    assert problem.message.endswith("expected text of at most 500 characters.")
    assert len(str(problem)) < 400
