"""What a person reads of a migration: few lines, nothing asked twice, and no command that leaves something out or writes over it."""

import json
import re
from collections import Counter

import pytest

from tests.unit.test_migrate import COMPOSE, ENV, TOKEN, folder
from xnathub_conf.cli import main

__all__ = ["folder"]


def printed(capsys, *arguments):
    assert main(["migrate", *arguments, "--dry-run"]) == 0
    return capsys.readouterr().out


def steps(text):
    return re.findall(r"^  \d+\. (.*)$", text.partition("To do:")[2], re.MULTILINE)


def test_other_services_are_one_line_each(folder, capsys):
    (folder / ".env").write_text(ENV.replace("XNAT_URL=", "JH_XNAT_URL=") + "XNAT_VERSION=1\nPG_VERSION=12\n")
    more = 'environment: ["A=${XNAT_VERSION}", B=2]\n    ports: [8104:8104, 5005:5005]\n    volumes: [a:/a, b:/b]\n'
    text = COMPOSE.replace("    image: xnat/web\n", f"    image: xnat/web\n    {more}")
    (folder / "docker-compose.yml").write_text(
        text.replace("image: postgres\n", "image: postgres:${PG_VERSION}\n    expose: [5432]\n")
    )
    out = printed(capsys, "docker-compose.yml")
    about = [
        line for line in out.splitlines() if "xnat-" in line.partition("To do:")[0] and "services" in line
    ]
    assert [re.search(r'services\[?"?\.?([a-z-]+)', line)[1] for line in about[:3]] == [
        "xnat-web",
        "xnat-db",
        "xnat-nginx",
    ]
    assert "(9 values)" in about[0]
    # Variables that are put into what is theirs have the same reason.
    paragraph = out.partition("  Another service's: it stays as it is.\n")[2].partition("\n  d")[0]
    assert ".env:6-7: XNAT_VERSION, PG_VERSION" in paragraph
    data = json.loads(printed(capsys, "docker-compose.yml", "--json"))
    paths = Counter(
        tuple(each["path"])
        for each in data["settings"]
        if each["path"] and each["file"] == "docker-compose.yml"
    )
    assert paths["services", "xnat-web", "ports", 1] == 1
    assert set(paths.values()) == {1}


@pytest.mark.parametrize("files", [["docker-stack.yml"], ["values.yaml"], ["docker-compose.yml"]])
def test_each_value_is_in_a_line_of_the_text(folder, capsys, files):
    (folder / "docker-compose.yml").write_text(COMPOSE)
    if files == ["docker-compose.yml"]:
        (folder / ".env").write_text(ENV.replace("XNAT_URL=", "JH_XNAT_URL="))
    data = json.loads(printed(capsys, *files, "--json"))
    text = printed(capsys, *files)
    covered = {
        (file, line)
        for file, first, last in re.findall(r"([\w.-]+):(\d+)(?:-(\d+))?[,:]", text)
        for line in range(int(first), int(last or first) + 1)
    }
    assert {(each["file"], each["line"]) for each in data["settings"] if each["file"]} <= covered


def test_nothing_is_asked_twice(folder, capsys):
    stack = (folder / "docker-stack.yml").read_text().replace('"${JH_GID:-992}"', "")
    (folder / "docker-stack.yml").write_text(stack)
    assert len([step for step in steps(printed(capsys, "docker-stack.yml")) if "hub.gid" in step]) == 1
    values = (
        (folder / "values.yaml")
        .read_text()
        .replace('value: "54"', 'value: "0"')
        .replace('value: "55"', 'value: "0"')
    )
    (folder / "values.yaml").write_text(values)
    asked = [
        step
        for step in steps(printed(capsys, "values.yaml"))
        if "servers.uid" in step or "servers.gid" in step
    ]
    assert [step.partition(":")[0] for step in asked] == ["Write servers.uid and servers.gid"]


def test_the_commands_at_the_end_hand_over_every_secret_and_replace_no_old_file(folder, capsys):
    """The password that is in no old file has to be made, and given to the hub like the others."""
    (folder / "jupyterhub_config.py").write_text('c.JupyterHub.spawner_class = "swarm"\n')
    asked = steps(printed(capsys, "jupyterhub_config.py", "--xnat-url=https://x.org"))
    assert "docker secret create xnat_password secrets/xnat_password" in asked
    assert any(step.startswith("Make the file xnat_password") for step in asked)
    (folder / "jupyterhub_config.py").write_text('c.JupyterHub.spawner_class = "docker"\n')
    assert any(
        "render docker" in step
        for step in steps(printed(capsys, "jupyterhub_config.py", "--xnat-url=https://x.org"))
    )
    asked = steps(printed(capsys, "values.yaml"))
    assert any("--from-file=secrets/xnat_password" in step for step in asked)
    assert not any("> values.yaml" in step for step in asked)


@pytest.mark.parametrize(
    ("required", "why"), [("", "not in this list"), (", required: false", "need not be there")]
)
@pytest.mark.parametrize("service", ["jupyterhub", "xnat-db"])
def test_an_env_file_that_is_not_there_ends_nothing(folder, capsys, service, required, why):
    (folder / ".env").write_text(ENV.replace("XNAT_URL=", "JH_XNAT_URL="))
    image = {"jupyterhub": "xnat/jupyterhub", "xnat-db": "postgres"}[service]
    text = COMPOSE.replace("    env_file: .env\n", "", service == "jupyterhub" and 2)
    variables = "".join(
        f"\n      {name}:" for name in ("JH_XNAT_URL", "JH_XNAT_SERVICE_TOKEN", "JH_XNAT_PASSWORD")
    )
    more = f"    image: {image}\n    env_file: [{{path: gone.env{required}}}]\n"
    text = text.replace(
        f"    image: {image}\n", more + (f"    environment:{variables}\n" if service == "jupyterhub" else "")
    )
    (folder / "docker-compose.yml").write_text(text)
    data = json.loads(printed(capsys, "docker-compose.yml", "--json"))
    entry = next(each for each in data["settings"] if each["path"] and each["path"][-2:] == [0, "path"])
    assert why in entry["note"]
    assert entry["outcome"] == ("no concern" if required else "not carried")


def test_a_time_that_xnat_does_not_wait_is_said_where_it_stands(folder, capsys):
    (folder / "jupyterhub_config.py").write_text("c.Spawner.start_timeout = 300\n")
    out = printed(capsys, "jupyterhub_config.py", "--xnat-url=https://x.org")
    assert "jupyterhub_config.py:1: c.Spawner.start_timeout -> servers.start_timeout: 180 (300 before" in out


def test_the_token_of_the_service_is_what_counts_in_a_chart(folder, capsys):
    values = (
        (folder / "values.yaml")
        .read_text()
        .replace("    extraEnv:\n", f"    extraEnv:\n      JH_XNAT_SERVICE_TOKEN: {TOKEN[::-1]}\n", 1)
    )
    (folder / "values.yaml").write_text(values)
    out = printed(capsys, "values.yaml")
    assert re.search(r"hub\.extraEnv\.JH_XNAT_SERVICE_TOKEN: values.yaml:\d+ replaces it", out), out


def test_a_variable_of_servers_that_can_t_be_carried_ends_nothing(folder, capsys):
    """Before, the reference's own examples with JUPYTER_ENABLE_LAB could not be moved at all."""
    values = (
        (folder / "values.yaml")
        .read_text()
        .replace("TZ: Europe/Berlin", "TZ: Europe/Berlin, JUPYTER_ENABLE_LAB: 'yes', JUPYTERHUB_API_URL: x")
    )
    (folder / "values.yaml").write_text(values)
    out = printed(capsys, "values.yaml")
    assert re.search(
        r"^  values.yaml:\d+: .*JUPYTERHUB_API_URL: ", out.partition("Not carried over:")[2], re.MULTILINE
    )
    assert 'servers.environment.TZ: "Europe/Berlin"' in out
    config = 'c.Spawner.environment = {"JUPYTER_ENABLE_LAB": "yes", "TZ": "UTC"}\n'
    (folder / "jupyterhub_config.py").write_text(config)
    assert 'servers.environment.TZ: "UTC"' in printed(capsys, "docker-stack.yml", "jupyterhub_config.py")


def test_helm_has_no_shell(folder, capsys):
    """What a chart lacks was given with another values file, or with --set."""
    (folder / "values.yaml").write_text("jupyterhub: {hub: {baseUrl: /x}}\n")
    assert main(["migrate", "values.yaml", "--dry-run"]) == 1
    said = capsys.readouterr().err
    assert "Name all values files" in said
    assert "--set" in said
    assert "shell" not in said


def test_where_nothing_of_servers_can_be_carried_the_rest_is(folder, capsys):
    odd = "".join(
        f"      {name}: soon\n" for name in ("NB_UID", "NB_GID", "JH_START_TIMEOUT", "JH_HTTP_TIMEOUT")
    )
    (folder / "docker-stack.yml").write_text(
        "services:\n  jupyterhub:\n    environment:\n"
        f"      JH_XNAT_URL: https://x.org\n      JH_XNAT_SERVICE_TOKEN: {TOKEN}\n      JH_XNAT_PASSWORD: pa-word\n{odd}"
    )
    out = printed(capsys, "docker-stack.yml")
    assert out.partition("Not carried over:")[2].count("docker-stack.yml:") >= 4
    assert "servers.environment.JUPYTERHUB_SINGLEUSER_EXTENSION" in out


def test_an_address_of_xnat_that_is_a_secret_has_to_be_given(folder, capsys):
    secret = "valueFrom: {secretKeyRef: {name: a, key: url}}"
    values = (folder / "values.yaml").read_text().replace('value: "http://xnat-web"', secret)
    (folder / "values.yaml").write_text(values)
    assert main(["migrate", "values.yaml", "--dry-run", "--public-url=https://x.org"]) == 1
    assert (
        "Give it with --xnat-url; this shows it: kubectl --namespace NAMESPACE get secret a"
        in capsys.readouterr().err
    )
    assert 'xnat.url: "https://x.org"' in printed(capsys, "values.yaml", "--xnat-url=https://x.org")


def test_a_range_of_lines_holds_no_line_of_another_setting(folder, capsys):
    (folder / "jupyterhub_config.py").write_text(
        "c.JupyterHub.proxy_auth_token = 'a'\n"
        "\n"
        "c.ConfigurableHTTPProxy.auth_token = 'b'\n"
        "c.Spawner.default_url = '/lab'\n"
        "c.JupyterHub.proxy_auth_token = 'c'\n"
    )
    out = printed(capsys, "docker-stack.yml", "jupyterhub_config.py")
    line = next(line for line in out.splitlines() if "c.ConfigurableHTTPProxy.auth_token" in line)
    assert "jupyterhub_config.py:1-3, 5: c.JupyterHub.proxy_auth_token, c.Conf" in line


def test_lines_of_the_reference_s_own_are_no_concern(folder, capsys):
    """Lines that a site left as they were, beside its own."""
    (folder / "jupyterhub_config.py").write_text(
        "sh.setLevel(logging.INFO)\n"
        "sh.setFormatter(formatter)\n"
        "if 'JH_TLS_CA_CERT' in os.environ:\n"
        "    logger.info('TLS CA certificate found. Adding to TLS config.')\n"
        "    tls_config['ca_cert'] = os.environ['JH_TLS_CA_CERT']\n"
        "sh.setLevel(logging.CRITICAL)\n"
    )
    out = printed(capsys, "docker-stack.yml", "jupyterhub_config.py")
    left, _, none = out.partition("No concern of the hub:")
    assert "jupyterhub_config.py:1-3: sh.setLevel, sh.setFormatter, if: It is the reference's own" in none
    assert "jupyterhub_config.py:6: sh.setLevel: It is code." in left


def test_a_compose_file_without_services_is_said(folder, capsys):
    (folder / "docker-stack.yml").write_text("services: {}\n")
    assert main(["migrate", "docker-stack.yml", "--dry-run"]) == 1
    assert "These compose files have no services." in capsys.readouterr().err
