"""The report of migrate is passed on: whatever name or form a secret has in old files, none is in it."""

import json
import time

import pytest

from tests.unit.test_migrate import STACK, TOKEN, folder
from xnathub_conf.cli import main
from xnathub_conf.migration.hiding import may_be_secret, without_secrets

__all__ = ["folder"]

FORMS = ((), ("--json",), ("--format=markdown",))
HUB = f"hub: {{services: {{xnat: {{api_token: {TOKEN}}}}}}}\n"


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASS", "PGPASS", "PGPASSWORD", "MYSQL_PWD", "SMTPPASS", "GITHUB_PAT", "API_KEY_PROD", "LICENSE_KEY", "ENCRYPTION_KEY", "sshKey", "AWS_SECRET_ACCESS_KEY",
        "sslpassword", "X-Api-Key", "SENTRY_DSN", "BASIC_AUTH", "session_cookie", "tokens2", "signingKey", "DBCREDS",
    ],
)  # fmt: skip
def test_a_secret_s_name(name):
    assert may_be_secret(name)


@pytest.mark.parametrize("name", ["key", "PATH", "TZ", "keyboard", "PASSIVE_MODE", "author", "monitor"])
def test_a_name_that_is_no_secret_s(name):
    assert not may_be_secret(name)


@pytest.mark.parametrize(
    "text",
    [
        "http://u:let/me/in@h:3128", "http://letmein@h/x", "u:letmein@h:80", "https://u:a@letmein@h", "//u:letmein@srv/share", "x --auth-token letmein", "--password=letmein",
        "curl -u a:letmein h", "curl -H 'X-Api-Key: letmein' h", "Authorization: Bearer letmein", "mysql -pletmein", "export DB_PASS=letmein; x", "DB_PASS='letmein x'",
        '{"password": "letmein x"}', "ghp_letmein1234", "a?token=letmein&b=c", "-----BEGIN RSA PRIVATE KEY-----\nletmein\n", "git clone https://oauth2:letmein@x/y.git",
    ],
)  # fmt: skip
def test_a_secret_in_a_text(text):
    assert "letmein" not in without_secrets(text)
    assert "(not shown)" in without_secrets(text) or "[secret]" in without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "quay.io/a/b:1@sha256:00ff",
        "https://x.org:8443/a",
        "8000:8000",
        "/data/xnat: /x",
        "--port 80",
        "mkdir -v /x",
        "A=1 B=2",
        "me@x.org",
    ],
)
def test_a_text_without_a_secret(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "//" * 200_000,
        "//a:" * 100_000,
        "a:" * 200_000,
        "-" * 400_000,
        "a=" * 200_000,
        "token='" * 60_000,
        "eyJ" * 100_000,
        "bearer " * 60_000,
    ],
)
def test_a_text_is_looked_at_in_time_that_grows_with_its_length(text):
    before = time.process_time()
    without_secrets(text)
    assert time.process_time() - before < 10


PYTHON = """\
c.JupyterHub.spawner_class = "docker"
c.Spawner.args = ["--ServerApp.token=letmein", "--IdentityProvider.token", "letmein", "--user", "a:letmein"]
c.Spawner.environment = {"DB_PASS": "letmein", "PROXY": "http://u:let/letmein@h:3128", "GIT": "https://letmein@h/x"}
c.DockerSpawner.extra_create_kwargs = {"environment": ["X_PASS=letmein"], "labels": {"a.key": "letmein"}}
c.DockerSpawner.client_kwargs = {"base_url": "tcp://u:a/letmein@h:2375"}
c.JupyterHub.db_kwargs = {"connect_args": {"sslpassword": "letmein", "pw": "letmein"}}
c.JupyterHub.bind_url = "http://u:letmein@0.0.0.0:9000/"
c.DockerSpawner.volumes = {"//u:letmein@srv/share": "/x"}
c.JupyterHub.public_url = "https://u:letmein@h/"
"""
VALUES = (
    HUB
    + """\
singleuser:
  initContainers: [{name: i, image: x, env: [{name: PGPASS, value: letmein}], command: [curl, --token, letmein, -u, "a:letmein", -H, "Authorization: Bearer letmein"]}]
  extraPodConfig: {x: {PASS: letmein}}
  lifecycleHooks: {postStart: {exec: {command: [sh, -c, "git clone https://letmein@h/x; export PASS=letmein; curl -H 'X-Api-Key: letmein' x"]}}}
custom: {password: {a: {letmein: x}}, "API_TOKEN=letmein": 1}
"""
)


@pytest.mark.parametrize("form", FORMS)
def test_no_secret_of_a_config_or_of_values_is_shown(folder, capsys, form):
    (folder / "jupyterhub_config.py").write_text(PYTHON)
    (folder / "zero.yaml").write_text(VALUES)
    for file in ("jupyterhub_config.py", "zero.yaml"):
        assert main(["migrate", file, "--xnat-url=https://x.org", "--dry-run", *form]) == 0
        out, err = capsys.readouterr()
        assert "letmein" not in out + err
        assert "(not shown)" in out.replace("\\", "")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("JH_XNAT_URL: http://u:a/letmein@h:8080", 1), ("DB_PASSWORD=letmein:", 0), ('"OTHER: letmein":', 0), ("DOCKER_HOST: ssh://letmein@h", 0), ("JH_XNAT_PASSWORD=letmein:", 1),
        ("A: '${B:-x://u:letmein@h}${'", 1),
    ],
)  # fmt: skip
def test_no_secret_of_a_stack_is_shown(folder, capsys, form, line, code):
    name = line.split(":")[0].split("=")[0]
    kept = [each for each in STACK.splitlines() if each.strip().split(":")[0] != name]
    (folder / "docker-stack.yml").write_text("\n".join([*kept, f"      {line}", ""]))
    (folder / "my.env").write_text(f"JH_UID=5\nXNAT_URL=https://x.org\nJH_XNAT_SERVICE_TOKEN={TOKEN}\n")
    if code == 0 and name != "JH_XNAT_PASSWORD":
        (folder / "my.env").open("a").write("JH_XNAT_PASSWORD=pa\n")
    assert main(["migrate", "docker-stack.yml", "--env-file=my.env", "--dry-run", *form]) == code
    out, err = capsys.readouterr()
    assert "letmein" not in out + err
    if form == ("--json",) and code == 0:
        assert json.loads(out)["settings"]
