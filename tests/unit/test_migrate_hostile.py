"""Old files that are broken or made to harm: each ends in a line that says what is wrong, soon, and nothing secret is shown."""

import contextlib
import json
import os
import time
from textwrap import indent

import pytest

from tests.unit.test_migrate import STACK, TOKEN, VALUES, folder
from xnathub_conf.cli import main
from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.compose import read_env

__all__ = ["folder"]

CPU_SECONDS = 20
"""What one case may take of processor time; all take less than one on an idle machine."""


@pytest.fixture(autouse=True)
def _soon():
    before = time.process_time()
    yield
    assert time.process_time() - before < CPU_SECONDS


def refused(capsys, *arguments, code=1):
    assert main(["migrate", *arguments, "--dry-run"]) == code
    out, err = capsys.readouterr()
    assert "letmein" not in out + err
    assert err.count("\n") == 1
    return err


def shown(capsys, *arguments):
    assert main(["migrate", *arguments, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert not err
    return out


LAUGHS = "A0=" + "x" * 100 + "".join(f"\nA{number + 1}=${{A{number}}}$A{number}" for number in range(40))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfeA=1", "is not UTF-8 text"), (b"\x00" * 2_000_000, "too large"), (b"A=1\nletmein letmein\n", ":2 is no NAME=value"),
        (b'A="letmein\nB=1\n', "quote before A's value is not closed"), (b"A='letmein'letmein\n", "quote before A's value"),
        (b"A=$\n", "a single $"), (b"A=${B\n", "has no }"), (b"A=${B:?letmein}\n", "the variable B is wanted"), (LAUGHS.encode(), "grows too large"),
        (b"A=" + b"${A:-" * 2000 + b"x" + b"}" * 2000, "in another one too many times"), (b"A=" + b"x" * 90_000 + b"\nB=$A" * 100, "grows too large"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("by", ["--env-file", "env_file"])
def test_an_env_file_that_is_none(folder, capsys, content, said, by):
    (folder / "odd.env").write_bytes(content)
    arguments = ["docker-stack.yml", "--env-file=.env"]
    if by == "env_file":
        (folder / "docker-stack.yml").write_text(
            STACK.replace("    hostname:", "    env_file: [odd.env]\n    hostname:")
        )
    else:
        arguments.append("--env-file=odd.env")
    assert said in refused(capsys, *arguments)


@pytest.mark.parametrize("content", ["A=x" + " " * 400_000 + "y", "A='" + "\\'" * 300_000, "A=" + " #" * 300_000, "A=" + "$$" * 300_000, "A=" + "$B" * 300_000,
                                     "\n".join(['A="x'] * 60_000), "\n" * 900_000, "A=${B:-" + "{" * 300_000 + "}" * 300_000 + "}"])  # fmt: skip
def test_an_env_file_is_read_in_time_that_grows_with_its_length(content):
    with contextlib.suppress(MigrationError):
        read_env(content, "f", {})


@pytest.mark.parametrize("path", ["gone.env", "folder", "/dev/zero"])
def test_an_env_file_that_can_t_be_read(folder, capsys, path):
    (folder / "folder").mkdir()
    assert path in refused(capsys, "docker-stack.yml", f"--env-file={path}")


def test_nothing_waits_for_a_pipe_that_a_file_names(folder, capsys):
    os.mkfifo(folder / "pipe")
    mounts = "[./pipe:/root/.docker/config.json, ./pipe:/srv/jupyterhub/jupyterhub_config.py]"
    text = STACK.replace(
        "    hostname:",
        "    env_file: [pipe, {path: pipe, required: false}]\n    extends: {file: pipe, service: x}\n    hostname:",
    )
    text = text.replace('volumes: ["/var/run/docker.sock:/var/run/docker.sock:rw"]', f"volumes: {mounts}")
    (folder / "docker-stack.yml").write_text(f"include: [pipe]\nconfigs: {{c: {{file: pipe}}}}\n{text}")
    assert "There is no file pipe" in shown(capsys, "docker-stack.yml")


@pytest.mark.parametrize(
    "arguments",
    [["docker-stack.yml", "--env-file=pipe"], ["pipe"], ["docker-stack.yml", "--env-file=/dev/zero"]],
)
def test_a_pipe_is_no_file(folder, capsys, arguments):
    os.mkfifo(folder / "pipe")
    assert "no plain file" in refused(capsys, *arguments)


@pytest.mark.parametrize("name", ["x" * 300, '"a\\0b"', "~nobody-of-this-name/x"])
def test_a_file_that_no_name_can_name(folder, capsys, name):
    hub = (
        f"    env_file: [{name}]\n    extends: {{file: {name}, service: x}}\n    configs: [c]\n    hostname:"
    )
    text = STACK.replace("    hostname:", hub).replace(
        "docker.sock:rw", f'docker.sock:rw", "{name.strip(chr(34))}:/root/.docker/config.json'
    )
    (folder / "docker-stack.yml").write_text(f"include: [{name}]\nconfigs: {{c: {{file: {name}}}}}\n{text}")
    assert "There is no file" in shown(capsys, "docker-stack.yml")


def test_files_that_name_each_other(folder, capsys):
    """A circle ends; a chain without an end is refused."""
    hub = "    hostname:"
    (folder / "docker-stack.yml").write_text(
        "include: [docker-stack.yml, b.yml]\n"
        + STACK.replace(hub, f"    extends: {{file: b.yml, service: b}}\n{hub}")
    )
    other = "include: [docker-stack.yml]\nservices: {b: {extends: {file: docker-stack.yml, service: jupyterhub}, dns: 9.9.9.9}, c: {extends: c}}\n"
    (folder / "b.yml").write_text(other)
    data = json.loads(shown(capsys, "docker-stack.yml", "--json"))
    assert (
        len([each for each in data["settings"] if each["file"] == "b.yml" and each["path"][-1] == "dns"]) == 1
    )
    for number in range(150):
        (folder / f"{number}.yml").write_text(f"include: [{number + 1}.yml]\nservices: {{}}\n")
    (folder / "docker-stack.yml").write_text("include: [0.yml]\n" + STACK)
    assert "too many files name each other" in refused(capsys, "docker-stack.yml")


LAUGHING = "a: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"b{n}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x-l:\n" + indent(LAUGHING, "  ") + STACK, "too much"), ("x-d: " + "[" * 40 + "]" * 40 + "\n" + STACK, "too much"),
        ("x-d: " + "[" * 100_000 + "\n" + STACK, "docker-stack.yml"), ("a: &a {b: *a}\n" + STACK, "docker-stack.yml"), ("? [a]\n: b\n" + STACK, "a key must be text"),
        (STACK + "---\n" + STACK, "second YAML document"), ("a: 'letmein\n" + STACK, "is not YAML"), ("a: !letmein{x}\nb: [letmein\n" + STACK, "is not YAML"),
        ("services: [letmein]\n", "docker-stack.yml"), ("services: {hub: letmein}\n", "is no service"),
    ],
)  # fmt: skip
def test_yaml_that_is_none_or_grows(folder, capsys, text, said):
    (folder / "docker-stack.yml").write_text(text)
    assert said in refused(capsys, "docker-stack.yml")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00",
        b"x" * 2_000_000,
        b"c.A.b = (" + b"(" * 5000,
        b"c.A.b = 1 +" * 20_000 + b" 1",
        b"c.A.b = 'letmein\n",
        b"\x00",
    ],
)
def test_python_that_is_none(folder, capsys, content):
    (folder / "jupyterhub_config.py").write_bytes(content)
    assert "jupyterhub_config.py" in refused(capsys, "jupyterhub_config.py", "--xnat-url=https://x.org")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("c.JupyterHub.bind_url = 'http://:99999/'", "is no address"), ("c.JupyterHub.bind_url = 'http://[::1/'", "is no address"), ("c.Spawner.cpu_limit = float('nan')", "It is code"),
        ("c.Spawner.cpu_limit = 'inf'", "is no number"), ("c.JupyterHub.logo_file = '\\ud800'", "It is code"), ("c.Spawner.environment = {'A': '\\ud800'}", "It is code"),
        ("c.JupyterHub.cookie_secret = 'x\\ud800'", "It is code"), ("c.JupyterHub.active_server_limit = 0x" + "f" * 20_000, "It is code"),
        ("c.JupyterHub.services = [{'name': 'xnat', 'api_token': '\\ud800'}]", "hub.api_token"),
        ("c.JupyterHub.ssl_key = '/x'", "hub.tls wants a certificate and its key"),
        ("c.DockerSpawner.allowed_images['k'] = [1]", "no list of names"), ("c.DockerSpawner.allowed_images = {'k': {}}", "no list of names"),
        ("if A:\n  c.A.b = 1\n" + "".join(f"elif A{n}:\n  c.Spawner.mem_limit = '{n}G'\n" for n in range(600)) + "else:\n  c.A.b = 2", "only under a condition"),
    ],
)  # fmt: skip
def test_python_whose_values_can_t_be(folder, capsys, config, said):
    (folder / "jupyterhub_config.py").write_text(config)
    assert said in shown(capsys, "jupyterhub_config.py", "--xnat-url=https://x.org")


def test_a_row_of_conditions_ends_at_the_first_that_holds(folder, capsys):
    rows = "if False:\n  c.Spawner.mem_limit = '1G'\nelif False:\n  c.Spawner.mem_limit = '2G'\nelif True:\n  c.Spawner.mem_limit = '3G'\nelif True:\n  c.Spawner.mem_limit = '4G'\nelse:\n  c.Spawner.mem_limit = '5G'\n"
    (folder / "jupyterhub_config.py").write_text(rows)
    data = json.loads(shown(capsys, "jupyterhub_config.py", "--xnat-url=https://x.org", "--json"))
    held = [
        (each["line"], each["outcome"]) for each in data["settings"] if each["name"] == "c.Spawner.mem_limit"
    ]
    assert held == [(line, "carried" if line == 6 else "no concern") for line in (2, 4, 6, 8, 10)]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("JH_XNAT_URL: ${XNAT_URL:?}", 'JH_XNAT_URL: "http://["', "xnat.url"), ("JH_XNAT_URL: ${XNAT_URL:?}", 'JH_XNAT_URL: "x\\ud800"', "docker-stack.yml"),
        ("hostname: jupyterhub", '"\\ud800": 1', "docker-stack.yml"),
    ],
)  # fmt: skip
def test_a_stack_whose_values_can_t_be(folder, capsys, before, after, said):
    (folder / "docker-stack.yml").write_text(STACK.replace(before, after))
    assert main(["migrate", "docker-stack.yml", "--dry-run"]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert said in err


def test_a_user_in_other_digits(folder, capsys):
    text = STACK.replace("      JH_UID:\n", "").replace("    hostname:", '    user: "²:1"\n    hostname:')
    (folder / "docker-stack.yml").write_text(text)
    assert "hub.uid and hub.gid, in numbers" in shown(capsys, "docker-stack.yml")


def test_a_shell_s_variable_that_is_no_text(folder, capsys, monkeypatch):
    monkeypatch.setenv("XNAT_URL", "https://x.org/\udcff")
    assert "no UTF-8 text" in refused(capsys, "docker-stack.yml")


def test_a_secret_that_was_taken_for_a_key(folder, capsys):
    values = VALUES.replace(
        "    services: {xnat:",
        "    cookieSecret: {letmein}\n    services: {other: {apiToken: {letmein}}, xnat:",
    )
    (folder / "values.yaml").write_text(
        values.replace("proxy: {secretToken: s3cr3t}", "proxy: {secretToken: {letmein}}")
    )
    for arguments in ((), ("--json",), ("--format=markdown",)):
        out = shown(capsys, "values.yaml", *arguments)
        assert "letmein" not in out
        assert "not shown" in out


def test_secrets_inside_what_is_carried(folder, capsys):
    """What goes to `extra` stands there as it did; the report, which is passed on, shows none of it."""
    (folder / "zero.yaml").write_text(f"""\
hub: {{services: {{xnat: {{api_token: {TOKEN}}}}}}}
singleuser:
  extraAnnotations: {{api-token: letmein, n: "https://me:letmein@x.org/"}}
  initContainers: [{{name: x, image: img, command: [z, --token=letmein, "https://x.org/?token=letmein"], env: [{{name: DB_PASSWORD, value: letmein}}]}}]
""")
    for arguments in ((), ("--json",), ("--format=markdown",)):
        out = shown(capsys, "zero.yaml", "--xnat-url=https://x.org", *arguments)
        assert "letmein" not in out
        assert "init_containers" in out.replace("\\_", "_")


def test_names_of_calls_hold_no_arguments(folder, capsys):
    (folder / "jupyterhub_config.py").write_text(
        "login('letmein').now()\nvault['letmein'].open()\nc.A.b = open('letmein')\n"
    )
    assert "letmein" not in shown(capsys, "jupyterhub_config.py", "--xnat-url=https://x.org")


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--format=markdown",)])
def test_no_control_character_reaches_the_terminal(folder, capsys, arguments):
    odd = r"\e]0;x\a\e[2J\n  1. rm\u202e\u009b"
    (folder / "values.yaml").write_text(VALUES + f'"{odd}": 1\ncustom: {{"{odd}": "{odd}"}}\n')
    out = shown(capsys, "values.yaml", *arguments)
    assert all(character.isprintable() or character == "\n" for character in out)
    assert "\n  1. rm" not in out
    (folder / "docker-stack.yml").write_text(STACK.replace("services:\n", f'services:\n  "{odd}": nothing\n'))
    assert all(character.isprintable() for character in refused(capsys, "docker-stack.yml")[:-1])


def test_a_file_whose_text_is_another_one(folder, capsys):
    """What is named as a compose file is read as what it is, and none of it is repeated."""
    (folder / "shadow").write_text("root:letmein:1:0:99999:7:::\n")
    (folder / "docker-stack.yml").write_text(f"include: [shadow]\n{STACK}")
    out = shown(capsys, "docker-stack.yml")
    assert "shadow is no compose file" in out
    assert "letmein" not in out
    (folder / "docker-stack.yml").write_text(
        STACK.replace("    hostname:", "    env_file: shadow\n    hostname:")
    )
    refused(capsys, "docker-stack.yml")
