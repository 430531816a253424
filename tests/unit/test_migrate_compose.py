"""What compose files say of each other, and how Docker reads them: the last word of each value is carried, all others are told why not."""

import json

import pytest

from tests.unit.test_migrate import TOKEN, folder
from xnathub_conf.cli import main
from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.compose import parse_env, read_raw
from xnathub_conf.site.load import load

__all__ = ["folder"]

BASE = f"""\
services:
  jupyterhub:
    image: xnat/jupyterhub:1
    environment:
      JH_XNAT_URL: https://xnat.example.org
      JH_XNAT_SERVICE_TOKEN: {TOKEN}
      JH_XNAT_PASSWORD: pa-word
      JH_UID: "1000"
      JH_GID: "999"
      JH_START_TIMEOUT: "100"
    ports: ["9000:8000"]
    env_file: [one.env]
"""


def move(folder, capsys, files, *arguments):
    """Write files, migrate those that are no env files, and give the site and what is said of each."""
    (folder / ".env").unlink(missing_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    if not arguments:
        arguments = tuple(name for name in files if name.endswith(".yml"))
    assert main(["migrate", *arguments, "--public-url=https://xnat.example.org", "--json", "--force"]) == 0
    data = json.loads(capsys.readouterr().out)
    return load("site.yaml").site, [each for each in data["settings"] if each["file"]]


def told(settings, file, path):
    (entry,) = [each for each in settings if each["file"] == file and each["path"][-len(path) :] == path]
    return entry


MORE = "services:\n  jupyterhub:\n"
REQUIRED = f"      JH_XNAT_URL: https://xnat.example.org\n      JH_XNAT_SERVICE_TOKEN: {TOKEN}\n      JH_XNAT_PASSWORD: other\n"


@pytest.mark.parametrize(
    ("more", "start", "http", "port"),
    [
        ("    environment: {JH_START_TIMEOUT: 50}\n", 50, 33, 9000), (f"    environment: !override\n{REQUIRED}", 180, 33, 9000), ("    environment: {JH_START_TIMEOUT: !reset null}\n", 180, 33, 9000),
        ("    env_file: !reset []\n", 100, 75, 9000), ("    env_file: !override [two.env]\n", 100, 75, 9000), ("    env_file: [two.env]\n", 100, 33, 9000),
        ('    ports: !override ["8000:8000"]\n', 100, 33, 8000),
    ],
)  # fmt: skip
def test_a_later_file_takes_away_and_replaces(folder, capsys, more, start, http, port):  # noqa: PLR0917
    """What an env file says counts less than `environment`, of whatever file."""
    files = {
        "a.yml": BASE,
        "b.yml": MORE + more,
        "one.env": "JH_HTTP_TIMEOUT=33\n",
        "two.env": "JH_START_TIMEOUT=20\n",
    }
    site, settings = move(folder, capsys, files)
    assert (site.servers.start_timeout, site.servers.http_timeout) == (start, http)
    assert site.hub.bind_url == f"http://0.0.0.0:{port}"
    if "JH_START" in more:
        before = told(settings, "a.yml", ["environment", "JH_START_TIMEOUT"])
        assert (before["outcome"], before["note"]) == ("no concern", "b.yml:3 sets it again.")
    assert not any("has no value" in each["note"] for each in settings)


def test_a_service_of_which_a_later_file_says_nothing(folder, capsys):
    site, settings = move(folder, capsys, {"a.yml": BASE, "b.yml": "services:\n  jupyterhub:\n"})
    assert site.servers.start_timeout == 100
    assert told(settings, "b.yml", ["jupyterhub"])["note"] == "It says nothing."


def test_a_service_that_is_taken_away_or_replaced(folder, capsys):
    hub = "services:\n  jupyterhub: !override\n    image: xnat/jupyterhub:2\n    environment:\n" + REQUIRED
    site, settings = move(folder, capsys, {"a.yml": BASE, "b.yml": hub})
    assert (site.hub.bind_url, site.servers.start_timeout) == ("http://0.0.0.0:8000", 180)
    assert (folder / "secrets/xnat_password").read_text() == "other\n"
    assert told(settings, "a.yml", ["ports", 0])["note"] == "b.yml:2 sets it again."
    (folder / "c.yml").write_text("services:\n  jupyterhub: !reset null\n")
    assert main(["migrate", "a.yml", "c.yml", "--dry-run"]) == 1
    assert "have no services" in capsys.readouterr().err


HUB = f"""\
services:
  jupyterhub:
    image: xnat/jupyterhub:1
    environment:
      JH_XNAT_URL: https://xnat.example.org
      JH_XNAT_SERVICE_TOKEN: {TOKEN}
      JH_XNAT_PASSWORD: ${{PW:-fallback}}
      JH_START_TIMEOUT: ${{ST:-60}}
      JH_GID: $GID
"""


@pytest.mark.parametrize(
    ("entry", "outside", "password", "start"),
    [
        ("sub/hub.yml", "", "own", 60), ("{path: sub/hub.yml, env_file: sub/inc.env}", "", "included", 150), ("{path: sub/hub.yml, env_file: [sub/inc.env]}", "PW=outside\n", "outside", 150),
        ("{path: [sub/hub.yml], env_file: gone.env}", "", "fallback", 60), ("{path: sub/hub.yml, project_directory: .}", "", "fallback", 60),
    ],
)  # fmt: skip
def test_an_included_file_has_variables_of_its_own(folder, capsys, entry, outside, password, start):  # noqa: PLR0917
    files = {
        "a.yml": f"include: [{entry}]\nservices: {{}}\n", "sub/hub.yml": HUB, "sub/.env": "PW=own\n", "sub/inc.env": "PW=included\nST=150\nUNUSED=1\n", "outer.env": outside,
    }  # fmt: skip
    site, settings = move(folder, capsys, files, "a.yml", "--env-file=outer.env")
    assert (folder / "secrets/xnat_password").read_text() == f"{password}\n"
    assert site.servers.start_timeout == start
    if "inc.env" in entry:
        assert told(settings, "sub/inc.env", ["UNUSED"])["outcome"] == "no concern"
        assert told(settings, "sub/inc.env", ["ST"])["keys"] == {"servers.start_timeout": 150}
    if "gone.env" in entry:
        assert any("There is no file gone.env" in each["note"] for each in settings)


def test_a_raw_env_file(folder, capsys):
    stack = "services:\n  jupyterhub:\n    image: xnat/jupyterhub:1\n    env_file:\n      - path: raw.env\n        format: raw\n"
    raw = f"# c\nJH_XNAT_URL=https://xnat.example.org\nJH_XNAT_SERVICE_TOKEN={TOKEN}\nJH_XNAT_PASSWORD='pa$$word' # x\nJH_UID=1000\nJH_GID=999\n"
    move(folder, capsys, {"a.yml": stack, "raw.env": raw}, "a.yml")
    assert (folder / "secrets/xnat_password").read_text() == "'pa$$word' # x\n"
    with pytest.raises(MigrationError, match="f:2 is no NAME=value"):
        read_raw("A\nB C=1", "f", {})
    assert [found and found.value for _, found in read_raw("A\nB\n  C= x", "f", {"A": "1"})] == [
        "1",
        None,
        " x",
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r'"a\pb"', r"a\pb"), (r'"a\nb"', "a\nb"), (r'"\0101"', "A"), (r'"\x41"', r"\x41"), (r'"\\n"', r"\n"), (r'"\$A"', "$A"), (r'"\""', '"'), (r"'\n'", r"\n"), (r"'\''", "'"), (r"a\nb", r"a\nb"),
        (r'"\a\v"', "\a\v"), (r'"\c"', r"\c"),
    ],
)  # fmt: skip
def test_escapes_in_an_env_file(written, value):
    assert parse_env(f"X={written}\n", "f", {})["X"].value == value


@pytest.mark.parametrize(
    ("ports", "port", "left"),
    [
        ('["9000:8000", "9001:8000"]', 9000, 1), ('["9000:8000", "8000:8000"]', 9000, 1), ('["8000:8000", "9000:8000"]', 8000, 1), ('["127.0.0.1:9000:8000", "10.0.0.1:9000:8000"]', 9000, 2),
        ('["9000:8000", "9000:8000"]', 9000, 0), ('["9000:8000", {target: 8000, published: "9001"}]', 9000, 1), ('["8000"]', 8000, 0),
    ],
)  # fmt: skip
def test_several_published_ports(folder, capsys, ports, port, left):
    site, settings = move(
        folder,
        capsys,
        {"a.yml": BASE.replace('["9000:8000"]', ports).replace("    env_file: [one.env]\n", "")},
    )
    assert site.hub.bind_url == f"http://0.0.0.0:{port}"
    said = [each for each in settings if "ports" in each["path"]]
    assert len([each for each in said if each["outcome"] == "not carried"]) == left
    assert all(each["keys"] or each["note"] for each in said)


def test_numbers_with_a_zero_before_them(folder, capsys):
    """Docker read them as octal numbers or not, by its version; Helm always does."""
    _, settings = move(folder, capsys, {"a.yml": BASE.replace('JH_UID: "1000"', "JH_UID: 01750")})
    assert "is 1000 to some versions of Docker" in told(settings, "a.yml", ["JH_UID"])["note"]
    assert "octal" not in told(settings, "a.yml", ["JH_GID"])["note"]
    values = f"""\
jupyterhub:
  hub:
    concurrentSpawnLimit: 0100
    allowNamedServers: yes
    namedServerLimitPerUser: 1_0
    config: {{JupyterHub: {{active_server_limit: 0x20}}}}
    extraEnv: {{JH_XNAT_URL: https://x.example.org, JH_XNAT_SERVICE_TOKEN: {TOKEN}, JH_XNAT_PASSWORD: "0755"}}
  singleuser: {{startTimeout: 0170, extraEnv: {{OCT: 0755, YES: yes, Y: y, TAG: 1.10, ONE: 1.0, NEGATIVE: -010, TEXT: "0755", NINE: 0900}}}}
"""
    site, _ = move(folder, capsys, {"values.yaml": values}, "values.yaml")
    assert (
        site.servers.concurrent_starts,
        site.hub.named_server_limit_per_user,
        site.servers.start_timeout,
    ) == (64, 10, 120)
    assert site.hub.allow_named_servers
    assert site.extra["JupyterHub.active_server_limit"] == 32
    shown = {
        name: site.servers.environment[name]
        for name in ("OCT", "YES", "TEXT", "NINE", "Y", "TAG", "ONE", "NEGATIVE")
    }
    # As `helm template` shows them.
    bare = {
        "OCT": "493",
        "YES": "true",
        "NINE": "900",
        "Y": "true",
        "TAG": "1.1",
        "ONE": "1",
        "NEGATIVE": "-8",
    }
    assert shown == {**bare, "TEXT": "0755"}
    assert (folder / "secrets/xnat_password").read_text() == "0755\n"


def test_a_list_of_merged_maps(folder, capsys):
    stack = BASE.replace(
        "    environment:\n", '    environment:\n      <<: [{JH_START_TIMEOUT: "70", FOO: bar}, {FOO: baz}]\n'
    ).replace("    env_file: [one.env]\n", "")
    site, settings = move(folder, capsys, {"a.yml": stack})
    assert site.servers.start_timeout == 100
    foo = [each for each in settings if each["path"][-1] == "FOO"]
    start = [
        each["note"]
        for each in settings
        if each["path"][-1] == "JH_START_TIMEOUT" and each["outcome"] == "no concern"
    ]
    assert len(foo) == 2
    assert start == ["a.yml:11 sets it again."]
    (folder / "b.yml").write_text("services:\n  jupyterhub: {<<: scalar}\n")
    assert main(["migrate", "b.yml", "--dry-run"]) == 1
    assert "b.yml:2: << takes in a map" in capsys.readouterr().err


def test_a_file_that_is_named_twice_is_read_once(folder, capsys):
    (folder / "link.yml").symlink_to("a.yml")
    stack = BASE.replace("env_file: [one.env]", "env_file: [one.env, ./one.env, sub/../one.env]")
    files = {"a.yml": stack, "one.env": "JH_HTTP_TIMEOUT=33\n", "sub/x": ""}
    for names in (["a.yml", "./a.yml"], ["a.yml", "sub/../a.yml"], ["link.yml", "a.yml"]):
        _, settings = move(folder, capsys, files, *names)
        assert len([each for each in settings if each["path"][-1:] == ["JH_HTTP_TIMEOUT"]]) == 1
        assert len([each for each in settings if each["path"][-1:] == ["JH_START_TIMEOUT"]]) == 1


def test_a_variable_that_an_extending_service_sets_again(folder, capsys):
    stack = BASE.replace(
        "services:\n", "services:\n  base:\n    environment: {JH_START_TIMEOUT: 70, DB: 1}\n"
    )
    stack = (
        stack.replace("    image:", "    extends: base\n    image:")
        .replace("    env_file: [one.env]\n", "")
        .replace("    ports:", "      DB:\n    ports:")
    )
    _, settings = move(folder, capsys, {"a.yml": stack})
    for name in ("JH_START_TIMEOUT", "DB"):
        before = next(each for each in settings if each["path"] == ["services", "base", "environment", name])
        assert "sets it again" in before["note"], before
    assert "has no value" in told(settings, "a.yml", ["jupyterhub", "environment", "DB"])["note"]


def test_several_configs_with_content(folder, capsys):
    stack = """\
services:
  hub:
    image: me/jupyterhub
    volumes: ["./jupyterhub_config.py:/srv/jupyterhub/jupyterhub_config.py"]
    configs: [{source: one, target: /etc/one.py}, {source: two, target: /etc/two.py}, {source: web, target: /etc/nginx.conf}]
configs:
  one: {content: "c.Spawner.cpu_limit = 3\\n"}
  two: {content: "c.Spawner.cpu_guarantee = 1\\n"}
  web: {content: "server { }"}
"""
    files = {
        "a.yml": stack,
        "jupyterhub_config.py": "c.JupyterHub.spawner_class = 'docker'\nc.Spawner.mem_limit = '1G'\n",
    }
    site, _ = move(folder, capsys, files, "a.yml", "--xnat-url=https://x.org")
    assert (site.servers.cpu_limit, site.servers.cpu_guarantee, site.servers.mem_limit) == (3, 1, 2**30)
