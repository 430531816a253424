"""Another hub's jupyterhub_config.py: its names and variables are followed without running it, alone and in its compose file."""

import json

import pytest

from tests.unit.test_migrate import TOKEN, folder, told
from xnathub_conf.cli import main
from xnathub_conf.migration.python_config import read_python
from xnathub_conf.migration.python_values import UNKNOWN
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.load import load
from xnathub_conf.site.types import Docker, Kubernetes, Swarm

__all__ = ["folder"]

URL = "--xnat-url=https://xnat.example.org"


def move(capsys, *arguments):
    """Migrate and give the report, and the site."""
    assert main(["migrate", *arguments, URL, "--json", "--force"]) == 0
    return json.loads(capsys.readouterr().out), load("site.yaml").site


@pytest.mark.parametrize(
    ("value", "comes_to"),
    [
        ("name", "hub"), ("[name, {'a': name}]", ["hub", {"a": "hub"}]), ("f'{name}-{1}'", "hub-1"), ("name + '-x'", "hub-x"), ("60 * 60", 3600),
        ("2 ** 30", 2**30), ("-5", -5), ("os.environ['SET']", "s"), ("os.environ.get('SET', 'd')", "s"), ("os.getenv('UNSET', 'd')", "d"),
        ("os.environ.get('UNSET') or 'd'", UNKNOWN), ("os.environ['UNSET']", UNKNOWN), ("int(os.environ.get('UNSET', '7'))", 7),
        ("os.environ.get('UNSET', 'a b').split()", ["a", "b"]), ("dockerspawner.SwarmSpawner", "dockerspawner.SwarmSpawner"),
        ("changed", UNKNOWN), ("grown", UNKNOWN), ("under_if", UNKNOWN), ("open('/etc/passwd').read()", UNKNOWN), ("9 ** 9 ** 9", UNKNOWN),
        ("'x' * 10 ** 9", UNKNOWN), ("laughs", UNKNOWN), ("{**name}", UNKNOWN), ("{[]: 1}", UNKNOWN), ("int('x')", UNKNOWN), ("-name", UNKNOWN),
        ("f'{name:>99999999}'", UNKNOWN), (" + ".join(["1"] * 300), 300),
    ],
)  # fmt: skip
def test_what_a_value_comes_to(value, comes_to):
    before = [
        "name = 'hub'",
        "changed = [1]",
        "changed.append(2)",
        "grown = 'a'",
        "grown += 'b'",
        "laughs = ['ha']",
        "if X:",
        "    under_if = 1",
    ]
    before += ["laughs = [laughs, laughs, laughs, laughs]"] * 30
    config = read_python("\n".join([*before, f"c.A.b = {value}"]), "f", {"SET": "s"})
    found = config.settings[-1].value
    assert found is comes_to if comes_to is UNKNOWN else found == comes_to


COMPOSE = """\
services:
  hub:
    image: jupyterhub
    networks: [jupyter]
    volumes: ["./jupyterhub_config.py:/srv/jupyterhub/jupyterhub_config.py:ro", "/var/run/docker.sock:/var/run/docker.sock"]
    environment: {ADMIN: carol, NETWORK: jupyter, OTHER: x}
networks: {jupyter: {name: jupyter}}
"""
CONFIG = f"""\
import os
from dockerspawner import DockerSpawner
c.JupyterHub.spawner_class = DockerSpawner
c.JupyterHub.base_url = "/jupyter"
c.JupyterHub.ip = "0.0.0.0"
c.JupyterHub.port = 9000
c.DockerSpawner.network_name = os.environ["NETWORK"]
c.DockerSpawner.image = os.environ.get("IMAGE", "quay.io/jupyter/base-notebook:2024")
c.Spawner.mem_limit = os.environ["MEMORY"]
c.JupyterHub.db_url = "sqlite:////data/jupyterhub.sqlite"
if os.environ.get("ADMIN"):
    c.Authenticator.admin_users = [os.environ["ADMIN"]]
else:
    c.Authenticator.admin_users = ["nobody"]
c.JupyterHub.services = [{{"name": "xnat", "api_token": "{TOKEN}"}}, {{"name": "cull-idle", "command": [sys.executable]}}]
c.JupyterHub.load_roles = [{{"name": "cull", "scopes": ["admin:servers"], "services": ["cull-idle"]}}]
c.JupyterHub.logo_file = "/srv/logo.svg"
"""


def test_a_plain_hub_in_a_compose_file(folder, capsys):
    """Its variables stand in the compose file: what the configuration makes of them is known."""
    (folder / "docker-compose.yml").write_text(COMPOSE)
    (folder / "jupyterhub_config.py").write_text(CONFIG)
    (folder / "docker-compose.yml").write_text(COMPOSE.replace("NETWORK: jupyter", "NETWORK: $NAME"))
    (folder / "my.env").write_text("NAME=jupyter\n")
    data, site = move(capsys, "docker-compose.yml", "--env-file=my.env")
    settings = data["settings"]
    assert settings_of(site, Docker).network_name == "jupyter"
    assert (site.hub.base_url, site.hub.bind_url) == ("/jupyter/", "http://0.0.0.0:9000")
    assert site.hub.admin_users == ("carol",)
    assert site.servers.allowed_images == ("quay.io/jupyter/base-notebook:2024",)
    assert site.pages.logo == "/srv/logo.svg"
    assert (folder / "secrets/hub_api_token").read_text().strip() == TOKEN
    assert TOKEN not in json.dumps(data)
    assert told(settings, "environment.NETWORK")["keys"] == {"orchestrator.docker.network_name": "jupyter"}
    for name, outcome, why in (
        ("c.DockerSpawner.image", "carried", "the default of the variable IMAGE"),
        ("c.Spawner.mem_limit", "not carried", "comes from the variable MEMORY, which these files don't set"),
        ("c.JupyterHub.db_url", "not carried", "a file of the old hub's"),
        ("c.JupyterHub.services", "not carried", "cull-idle: XNAT's plugin stops idle servers"),
        ("c.JupyterHub.load_roles", "not carried", "For cull-idle, not at hub.services here"),
        ("OTHER", "not carried", "No key of site.yaml"),
    ):
        assert told(settings, name)["outcome"] == outcome, name
        assert why in told(settings, name)["note"], told(settings, name)
    assert main(["migrate", "docker-compose.yml", URL, "--dry-run", "--env-file=my.env"]) == 0
    line = next(
        line for line in capsys.readouterr().out.splitlines() if "c.DockerSpawner.network_name" in line
    )
    assert "jupyterhub_config.py:7, docker-compose.yml:6, my.env:1:" in line
    nobody = next(each for each in settings if str(each["file"]).endswith(".py") and each["line"] == 14)
    assert (nobody["outcome"], nobody["note"]) == ("no concern", "The hub's variables never lead there.")
    assert any("the role JupyterHub" in step for step in data["to_do"])
    assert any("render docker" in step for step in data["to_do"])


def test_a_configuration_that_is_built_into_the_image(folder, capsys):
    (folder / "hub").mkdir()
    (folder / "hub/jupyterhub_config.py").write_text(CONFIG)
    (folder / "docker-compose.yml").write_text(
        COMPOSE.replace(
            "./jupyterhub_config.py:/srv/jupyterhub/jupyterhub_config.py:ro", "data:/data"
        ).replace("image: jupyterhub", "build: {context: ./hub}")
    )
    _, site = move(capsys, "docker-compose.yml", "--service=hub")
    assert settings_of(site, Docker).network_name == "jupyter"


def test_a_plain_hub_whose_network_others_are_on(folder, capsys):
    (folder / "docker-compose.yml").write_text(
        COMPOSE.replace("networks: {", "  xnat: {image: xnat/web, networks: [jupyter]}\nnetworks: {")
    )
    (folder / "jupyterhub_config.py").write_text(CONFIG)
    data, site = move(capsys, "docker-compose.yml")
    assert settings_of(site, Docker).network_name != "jupyter"
    assert "The network stays with xnat" in told(data["settings"], "c.DockerSpawner.network_name")["note"]


def test_an_env_file_beside_a_plain_config(folder, capsys):
    (folder / "jupyterhub_config.py").write_text(CONFIG)
    (folder / "my.env").write_text("NETWORK=of-env\nMEMORY=3G\nADMIN=\n")
    data, site = move(capsys, "jupyterhub_config.py", "--env-file=my.env")
    assert settings_of(site, Docker).network_name == "of-env"
    assert site.servers.mem_limit == 3 * 1024**3
    assert site.hub.admin_users == ("nobody",)
    assert told(data["settings"], "MEMORY")["keys"] == {"servers.mem_limit": "3G"}


def test_a_compose_file_of_another_hub_wants_its_configuration(folder, capsys):
    (folder / "docker-compose.yml").write_text(COMPOSE)
    assert main(["migrate", "docker-compose.yml", URL]) == 1
    assert "not the reference's hub" in capsys.readouterr().err


def test_the_claims_that_a_plain_config_mounts(folder, capsys):
    (folder / "jupyterhub_config.py").write_text("""\
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.volumes = [
    {"name": "w", "persistentVolumeClaim": {"claimName": "of-workspaces"}}, {"name": "a", "persistentVolumeClaim": {"claimName": "of-archive"}},
]
c.KubeSpawner.volume_mounts = [
    {"name": "w", "mountPath": "/workspace", "subPath": "users/{username}"}, {"name": "a", "mountPath": "/data/xnat/archive/p", "readOnly": True},
]
c.KubeSpawner.profile_list = [{"kubespawner_override": {"image": "me/a:1"}, "profile_options": {"i": {"choices": {"x": {"kubespawner_override": {"image": "me/b:2"}}}}}}]
c.JupyterHub.db_url = "postgresql://hub:letmein@db/hub"
""")
    data, site = move(capsys, "jupyterhub_config.py")
    assert [claim.claim_name for claim in settings_of(site, Kubernetes).claims] == [
        "of-archive",
        "of-workspaces",
    ]
    assert site.servers.allowed_images == ("me/a:1", "me/b:2")
    assert not site.servers.mounts
    assert not any("names of the claims" in step for step in data["to_do"])
    # Going back would need the database as it was.
    assert any("the old one can't go back to it: take a backup" in step for step in data["to_do"])
    assert "letmein" not in json.dumps(data)


def test_images_that_zero_to_jupyterhub_started(folder, capsys):
    (folder / "zero.yaml").write_text(
        "singleuser: {image: {name: me/lab, tag: '1'}, profileList: [{kubespawner_override: {image: 'me/gpu:2'}}]}\n"
    )
    data, site = move(capsys, "zero.yaml")
    assert site.servers.allowed_images == ("me/lab:1", "me/gpu:2")
    assert told(data["settings"], "singleuser.image.tag")["keys"] == {"servers.allowed_images": ["me/lab:1"]}


@pytest.mark.parametrize(
    "setting",
    [
        "KubeSpawner.environment = {}",
        "KubeSpawner.volume_mounts = []",
        "DockerSpawner.extra_host_config = {}",
    ],
)
def test_an_empty_setting_is_in_the_report_too(folder, capsys, setting):
    (folder / "jupyterhub_config.py").write_text(f"c.{setting}\n")
    data, _ = move(capsys, "jupyterhub_config.py")
    assert (
        told(data["settings"], f"c.{setting.partition(' ')[0]}")["note"]
        == "It is empty, so the old hub had its default."
    )


REFERENCE_ENV = f"JH_XNAT_SERVICE_TOKEN={TOKEN}\nJH_XNAT_PASSWORD=pa-word\nNB_UID=54\nNB_GID=55\n"


def of_reference(folder, capsys, config, env=""):
    """Migrate a configuration of one's own that runs with the reference's variables."""
    (folder / "jupyterhub_config.py").write_text(config)
    (folder / "my.env").write_text(REFERENCE_ENV + env)
    data, site = move(capsys, "jupyterhub_config.py", "--env-file=my.env")
    assert "letmein" not in json.dumps(data)
    return data, site


def test_any_variable_that_an_own_config_reads_is_carried_through_it(folder, capsys):
    """Only a variable that is itself carried to the same key says a setting."""
    _, site = of_reference(
        folder,
        capsys,
        """\
c.SwarmSpawner.mem_limit = os.environ['MEM']
c.JupyterHub.db_url = 'postgresql://hub:' + os.environ['DATABASE_PASSWORD'] + '@db/hub'
c.SwarmSpawner.environment = {'TZ': os.environ['TZ'], 'LAB': '1'}
""",
        "MEM=8G\nDATABASE_PASSWORD=letmein\nTZ=UTC\n",
    )
    assert site.servers.mem_limit == 8 * 1024**3
    assert (folder / "secrets/hub_db_url").read_text().strip() == "postgresql://hub:letmein@db/hub"
    assert {"TZ": "UTC", "LAB": "1"}.items() <= dict(site.servers.environment).items()


def test_what_an_own_config_reads_and_nobody_sets_is_not_carried(folder, capsys):
    data, site = of_reference(
        folder,
        capsys,
        """\
c.SwarmSpawner.mem_limit = os.environ['MEM']
c.JupyterHub.db_url = 'postgresql://hub:' + os.environ['DATABASE_PASSWORD'] + '@db/hub'
c.SwarmSpawner.environment = {'TZ': os.environ['TZ'], 'LAB': '1'}
c.JupyterHub.services.append({'name': 'board', 'api_token': os.environ['BOARD']})
""",
    )
    for name, key in (("SwarmSpawner.mem_limit", "servers.mem_limit"), ("JupyterHub.db_url", "hub.db_url"),
                      ("SwarmSpawner.environment", "servers.environment")):  # fmt: skip
        said = told(data["settings"], f"c.{name}")
        assert (said["outcome"], key in said["note"]) == ("not carried", True), said
    assert told(data["settings"], "c.JupyterHub.services")["outcome"] == "not carried"
    assert site.servers.environment["LAB"] == "1"


def test_the_last_assignment_of_an_own_config_counts(folder, capsys):
    """Literals win over the image's defaults, which a configuration that does not read them never had."""
    own = """\
c.JupyterHub.spawner_class = 'dockerspawner.SwarmSpawner'
c.SwarmSpawner.network_name = 'cardio-net'
c.Spawner.start_timeout = 90
c.Spawner.http_timeout = int(os.environ['JH_HTTP_TIMEOUT'])
c.Spawner.http_timeout = 45
"""
    data, site = of_reference(folder, capsys, own, "JH_HTTP_TIMEOUT=60\n")
    assert settings_of(site, Swarm).network_name == "cardio-net"
    assert (site.servers.start_timeout, site.servers.http_timeout) == (90, 45)
    assert not site.hub.shutdown_on_logout
    first = next(each for each in data["settings"] if str(each["file"]).endswith(".py") and each["line"] == 4)
    assert first["note"].endswith("jupyterhub_config.py:5 replaces it."), first
    data, _ = of_reference(folder, capsys, "c.JupyterHub.spawner_class = 'dockerspawner.SwarmSpawner'\n")
    assert not {"JH_NETWORK", "JH_START_TIMEOUT", "JH_HTTP_TIMEOUT"} & {
        each["name"] for each in data["settings"]
    }


CALLERS = f"""\
import os
c.JupyterHub.spawner_class = "dockerspawner.SwarmSpawner"
c.JupyterHub.load_roles = [
    {{"name": "board", "scopes": ["list:users"], "services": ["board"]}},
    {{"name": "aid", "scopes": ["read:servers"], "users": ["carol"], "services": ["nobody"]}},
]
c.JupyterHub.services = [
    {{"name": "xnat", "api_token": "{TOKEN}"}},
    {{"name": "board", "api_token": os.environ["BOARD"], "url": "http://board"}},
]
"""


def test_other_services_and_roles_of_a_config_are_carried(folder, capsys):
    (folder / "jupyterhub_config.py").write_text(CALLERS)
    data, site = move(capsys, "jupyterhub_config.py")
    assert [(each.name, each.scopes) for each in site.hub.services] == [("board", ("list:users",))]
    assert [(each.name, each.users) for each in site.hub.roles] == [("aid", ("carol",))]
    settings = data["settings"]
    services, roles = told(settings, "c.JupyterHub.services"), told(settings, "c.JupyterHub.load_roles")
    assert (services["outcome"], services["note"]) == (
        "not carried",
        "board: url: The hub leads nobody to it: give it an address of its own at the web server.",
    )
    assert [*services["keys"]] == ["hub.services[0]", "hub.api_token"]
    assert "aid: services: For nobody, not at hub.services here" in roles["note"]
    assert [*roles["keys"]] == ["hub.roles[0]"]
    assert any("service_board_token in the folder of the secrets" in step for step in data["to_do"])
    # Where the old files have its token, so has the new hub.
    (folder / "my.env").write_text(f"BOARD={TOKEN[::-1]}\n")
    move(capsys, "jupyterhub_config.py", "--env-file=my.env", "--force")
    assert (folder / "secrets/service_board_token").read_text() == TOKEN[::-1] + "\n"
