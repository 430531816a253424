"""What an old hub says of servers' containers, mounts, logins and addresses comes to stand at the keys that a site has for it."""

import json

import pytest
import yaml

from tests.unit.test_migrate import COMPOSE, ENV, TOKEN, VALUES, ZERO, folder, migrated, report, told
from xnathub_conf.cli import main
from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.hub_settings import hub_settings, settings_by_code
from xnathub_conf.site.load import load
from xnathub_conf.site.types import Kubernetes, Swarm

__all__ = ["folder"]

DOCKER = """\
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.extra_host_config = {
    "shm_size": "2gb", "security_opt": ["no-new-privileges"], "cap_drop": ["CAP_NET_RAW", "MKNOD"], "pids_limit": 4096,
    "ulimits": [{"Name": "nofile", "Soft": 3000, "Hard": 3000}], "runtime": "nvidia",
}
c.DockerSpawner.volumes = {
    "/opt/freesurfer": {"bind": "/opt/freesurfer", "mode": "ro"}, "/scratch/{raw_username}": "/scratch", "/data/xnat/archive": "/data/archive",
    "jupyterhub-user-{username}": "/home/jovyan/work", "/licences": {"bind": "/licences", "mode": "rw"},
}
c.DockerSpawner.read_only_volumes = {"/atlases": "/etc"}
c.JupyterHub.trusted_downstream_ips = ["10.0.0.5"]
c.JupyterHub.public_url = "https://jupyter.example.org/"
c.JupyterHub.cookie_secret = "COOKIE"
c.JupyterHub.admin_access = True
c.ConfigurableHTTPProxy.auth_token = "letmein"
"""
COOKIE = "0123456789abcdef" * 4


def test_what_a_docker_hub_s_containers_may_do_and_mount(folder, capsys):
    (folder / "jupyterhub_config.py").write_text(DOCKER.replace("COOKIE", COOKIE))
    settings = report(capsys, "jupyterhub_config.py", "--xnat-url=https://xnat.example.org")["settings"]
    site = migrated("jupyterhub_config.py", "--xnat-url=https://xnat.example.org")
    out = capsys.readouterr().out
    assert COOKIE not in out
    assert "letmein" not in out
    servers, security = site.servers, site.servers.security
    assert servers.shm_size == 2 * 1024**3
    assert security.no_new_privileges
    assert security.drop_capabilities == ("NET_RAW", "MKNOD")
    assert security.pids_limit == 4096
    assert security.ulimits == {"core": 0, "nofile": 3000}
    assert [(mount.source, mount.target, mount.writable) for mount in servers.mounts] == [
        ("/opt/freesurfer", "/opt/freesurfer", False), ("/scratch/{username}", "/scratch", True),
        ("jupyterhub-user-{username}", "/home/jovyan/work", True), ("/licences", "/licences", False),
    ]  # fmt: skip
    assert site.hub.trusted_proxies == ("10.0.0.5",)
    assert site.hub.public_url == "https://jupyter.example.org/"
    assert (folder / "secrets/hub_cookie_secret").read_text().strip() == COOKIE
    host, volumes = told(settings, "extra_host_config"), told(settings, "DockerSpawner.volumes")
    assert host["outcome"] == volumes["outcome"] == "not carried"
    assert "runtime: XNAT asks for GPUs" in host["note"]
    assert "/data/archive: XNAT says what a server mounts" in volumes["note"]
    assert "read-only here" in volumes["note"]
    assert volumes["keys"]["servers.mounts[3]"] == {"source": "/licences", "target": "/licences"}
    # What no site can hold is taken out alone, and the others keep their places.
    assert told(settings, "read_only_volumes")["outcome"] == "not carried"
    assert "belongs to the image" in told(settings, "read_only_volumes")["note"]
    assert "sign_in.foreign_servers" in told(settings, "admin_access")["note"]
    assert told(settings, "auth_token")["outcome"] == "no concern"


SWARM = """\
c.JupyterHub.spawner_class = "dockerspawner.SwarmSpawner"
c.SwarmSpawner.network_name = "jupyter"
c.SwarmSpawner.extra_container_spec = {"user": "1000:1000", "cap_drop": ["ALL"], "read_only": True}
c.SwarmSpawner.extra_placement_spec = {"constraints": ["node.labels.jupyter==true"]}
c.SwarmSpawner.mounts = [
    {"type": "bind", "source": "/etc", "target": "/etc", "read_only": True},
    {"type": "bind", "source": "/opt/fsl", "target": "/opt/fsl", "read_only": True},
]
c.SwarmSpawner.mem_limit = "4g"
c.DockerSpawner.environment = {"TZ": "UTC", "API_KEY": "letmein"}
c.SwarmSpawner.client_kwargs = {"base_url": "tcp://engine:2376"}
c.SwarmSpawner.tls_config = {"ca_cert": "/tls/ca.pem", "client_cert": ("/tls/cert.pem", "/tls/key.pem"), "verify": True}
"""


def test_a_plain_config_of_a_swarm(folder, capsys):
    (folder / "jupyterhub_config.py").write_text(SWARM)
    site = migrated("jupyterhub_config.py", "--xnat-url=https://xnat.example.org")
    security = site.servers.security
    assert (site.servers.uid, site.servers.gid, security.start_as_root) == (1000, 1000, False)
    assert security.drop_capabilities == ("ALL",)
    assert security.read_only_root
    assert settings_of(site, Swarm).network_name == "jupyter"
    assert settings_of(site, Swarm).placement_constraints == ("node.labels.jupyter==true",)
    assert [mount.target for mount in site.servers.mounts] == ["/opt/fsl"]
    assert site.servers.mem_limit == 4 * 1024**3
    assert site.servers.environment == {"TZ": "UTC", "API_KEY": "letmein"}
    assert settings_of(site, Swarm).docker_host == "tcp://engine:2376"
    assert settings_of(site, Swarm).tls.client_key == "/tls/key.pem"
    assert site.hub.base_url == "/"
    out = capsys.readouterr().out
    (line,) = (
        each
        for each in out.splitlines()
        if "c.SwarmSpawner.mounts: With /etc/shadow servers would have" in each
    )
    assert "/etc belongs to the image itself." in line
    # It goes to where the old hub had it, in the open; the report need not repeat it.
    assert "letmein" not in out
    assert "servers.environment.API_KEY: Each user can read this" in out


EVERYTHING = """\
import docker
c.JupyterHub.spawner_class = "dockerspawner.CLASS"
c.CLASS.HOST = {
    "dns": ["10.0.0.53"], "dns_search": ["example.org"], "extra_hosts": {"pacs.example.org": "10.0.0.5"},
    "log_config": docker.types.LogConfig(type="json-file", config={"max-size": "10m", "max-file": 3}),
    "shm_size": "2g", "ulimits": [docker.types.Ulimit(name="nofile", soft=65536, hard=65536), {"name": "core", "soft": 0, "hard": 1}],
    "mem_limit": "8g", "mem_reservation": "1g", "nano_cpus": 2500000000, "pids_limit": 512, "cap_drop": ["NET_RAW"],
    "security_opt": ["no-new-privileges:true", "apparmor=jupyter", "seccomp:unconfined", "label=type:container_t", "label=disable"],
    "binds": ["/opt/fsl:/opt/fsl:ro"], "tmpfs": {"/run": "", "/dev/shm": "size=3g"}, "restart_policy": {"Name": "always"},
    "cap_add": ["SYS_ADMIN"], "sysctls": {"net.core.somaxconn": 1024}, "init": True, "runtime": None, "privileged": False,
    "network_mode": "jupyter-net", "cpu_quota": 200000, "storage_opt": compute(), "ipc_mode": "host",
}
"""


@pytest.mark.parametrize(
    ("spawner", "trait"), [("DockerSpawner", "extra_host_config"), ("SwarmSpawner", "extra_container_spec")]
)
def test_every_part_of_a_container_s_settings_has_a_key_or_a_line(folder, capsys, spawner, trait):
    (folder / "jupyterhub_config.py").write_text(EVERYTHING.replace("CLASS", spawner).replace("HOST", trait))
    settings = report(capsys, "jupyterhub_config.py", "--xnat-url=https://xnat.example.org")["settings"]
    site = migrated("jupyterhub_config.py", "--xnat-url=https://xnat.example.org")
    engine, servers, security = (
        site.orchestrator,
        site.servers,
        site.servers.security,
    )
    assert (engine.dns, servers.dns_search) == (("10.0.0.53",), ("example.org",))
    assert servers.hosts == {"pacs.example.org": "10.0.0.5"}
    assert (engine.log_driver, engine.log_options) == ("json-file", {"max-size": "10m", "max-file": "3"})
    assert (servers.mem_limit, servers.mem_guarantee, servers.cpu_limit) == (8 * 1024**3, 1024**3, 2.5)
    assert (servers.shm_size, security.pids_limit) == (3 * 1024**3, 512)
    assert security.drop_capabilities == ("NET_RAW",)
    assert security.ulimits == {"core": 0, "nofile": 65536}
    assert security.no_new_privileges
    assert security.selinux.type == "container_t"
    assert [(mount.source, mount.target) for mount in servers.mounts] == [("/opt/fsl", "/opt/fsl")]
    assert engine.network_name == "jupyter-net"
    line = told(settings, trait)
    assert line["outcome"] == "not carried"
    for name in (
        "ulimits", "security_opt: label", "tmpfs: /run", "restart_policy", "cap_add", "sysctls", "cpu_quota", "storage_opt: it is code", "ipc_mode",
    ):  # fmt: skip
        assert name in line["note"], name
    assert not [
        name for name in ("dns", "init", "runtime:", "privileged", "extra_hosts") if name in line["note"]
    ]
    if spawner == "DockerSpawner":
        assert (security.apparmor, security.seccomp) == ("jupyter", "unconfined")
    else:
        # What a service can't have is taken out, and its reason is in the line.
        assert (security.apparmor, security.seccomp) == (None, "unconfined")
        assert "swarm" in line["note"]


def test_what_a_service_says_in_docker_s_own_words(folder, capsys):
    (folder / "jupyterhub_config.py").write_text(
        """\
import docker.types as t
c.JupyterHub.spawner_class = "dockerspawner.SwarmSpawner"
c.SwarmSpawner.extra_container_spec = {
    "hosts": ["pacs.example.org:10.0.0.5"], "dns_config": t.DNSConfig(nameservers=["10.0.0.53"], search=["example.org"], options=["ndots:2"]),
    "privileges": {"NoNewPrivileges": False, "SELinuxContext": {"Level": "s0:c1"}}, "stop_grace_period": 30000000000, "user": "1000:1000",
    "groups": ["100"], "env": {"A": "b"}, "mounts": [t.Mount("/opt/fsl", "/opt/fsl", type="bind", read_only=True)],
}
c.SwarmSpawner.extra_task_spec = {"log_driver": t.DriverConfig("splunk", options={"splunk-url": "https://x", "splunk-token": "letmein"})}
c.SwarmSpawner.extra_resources_spec = {"cpu_limit": 2000000000, "cpu_reservation": 500000000, "mem_limit": 2147483648, "generic_resources": {"gpu": 1}}
"""
    )
    settings = report(capsys, "jupyterhub_config.py", "--xnat-url=https://xnat.example.org")["settings"]
    site = migrated("jupyterhub_config.py", "--xnat-url=https://xnat.example.org")
    assert "letmein" not in capsys.readouterr().out
    assert "letmein" not in (folder / "site.yaml").read_text()
    servers, swarm = site.servers, site.orchestrator
    assert servers.hosts == {"pacs.example.org": "10.0.0.5"}
    assert (swarm.dns, servers.dns_search) == (("10.0.0.53",), ("example.org",))
    assert not servers.security.no_new_privileges
    assert servers.security.selinux.level == "s0:c1"
    assert (servers.stop_timeout, servers.uid, servers.cpu_limit, servers.cpu_guarantee) == (30, 1000, 2, 0.5)
    assert [mount.target for mount in servers.mounts] == ["/opt/fsl"]
    assert (swarm.log_driver, swarm.log_options) == ("splunk", {"splunk-url": "https://x"})
    note = told(settings, "extra_container_spec")["note"]
    assert all(each in note for each in ("dns_config: its options", "groups", "env: servers.environment"))
    assert "splunk-token" in told(settings, "extra_task_spec")["note"]
    assert "GPUs" in told(settings, "extra_resources_spec")["note"]


STORAGE = """\
singleuser:
  allowPrivilegeEscalation: true
  storage:
    extraVolumes:
      - {name: shm, emptyDir: {medium: Memory, sizeLimit: 2Gi}}
      - {name: software, persistentVolumeClaim: {claimName: site-software}}
      - {name: archive, persistentVolumeClaim: {claimName: xnat-archive}}
      - {name: node, hostPath: {path: /x}}
    extraVolumeMounts:
      - {name: shm, mountPath: /dev/shm}
      - {name: software, mountPath: /opt/software, readOnly: true}
      - {name: archive, mountPath: /data/xnat/archive, readOnly: true}
      - {name: node, mountPath: /x}
ingress: {enabled: true, hosts: [jupyter.example.org]}
"""


def test_what_a_hub_on_kubernetes_mounts_besides_xnat_s_folders(folder, capsys):
    data = yaml.safe_load(ZERO.replace(TOKEN + ", services", COOKIE + ", services"))
    for key, below in yaml.safe_load(STORAGE).items():
        data[key] = {**data.get(key, {}), **below}
    (folder / "zero.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    assert main(["migrate", "zero.yaml", "--json", "--xnat-url=https://xnat.example.org"]) == 0
    out = capsys.readouterr().out
    assert COOKIE not in out
    site = load("site.yaml").site
    assert (folder / "secrets/hub_cookie_secret").read_text().strip() == COOKIE
    assert site.servers.shm_size == 2 * 1024**3
    assert not site.servers.security.no_new_privileges
    assert [(mount.source, mount.target) for mount in site.servers.mounts] == [
        ("site-software", "/opt/software")
    ]
    assert {claim.claim_name for claim in settings_of(site, Kubernetes).claims} == {
        "xnat-archive",
        "workspaces",
    }
    assert site.hub.public_url == "https://jupyter.example.org/jupyterhub/"
    assert not site.sign_in.xnat_session
    settings = json.loads(out)["settings"]
    assert told(settings, "storage.extraVolumes[0].emptyDir.sizeLimit")["keys"] == {"servers.shm_size": "2G"}
    assert told(settings, "storage.extraVolumes[3].hostPath.path")["outcome"] == "not carried"
    assert "Only whole claims" in told(settings, "storage.extraVolumeMounts[3].name")["note"]


def test_a_hub_on_a_host_of_its_own_stays_there(folder, capsys):
    """Where XNAT's address for browsers is known to be another one, the hub's is not taken for XNAT's."""
    more = "JH_XNAT_JUPYTERHUB_HOST_URL=https://jupyter.example.org\n"
    (folder / ".env").write_text(ENV + more)
    site = migrated("docker-stack.yml")
    assert site.hub.public_url == "https://jupyter.example.org/jupyterhub/"
    assert site.xnat.public_url is None
    assert not site.sign_in.xnat_session
    assert "a host of its own, beside XNAT's xnat.example.org" in capsys.readouterr().out
    (folder / ".env").write_text(ENV.replace("https://xnat.example.org", "http://xnat-web:8080") + more)
    site = migrated("docker-stack.yml", "--public-url=https://xnat.example.org", "--force")
    assert site.hub.public_url == "https://jupyter.example.org/jupyterhub/"
    assert site.xnat.public_url == "https://xnat.example.org"


def test_logins_of_registries_that_the_old_hub_mounted(folder, capsys):
    login = {"auths": {"registry.example.org": {"auth": "bWU6bGV0bWVpbg=="}}}
    (folder / "login.json").write_text(json.dumps(login))
    (folder / ".env").write_text(ENV.replace("XNAT_URL=", "JH_XNAT_URL="))
    mount = '    volumes: ["./login.json:/root/.docker/config.json:ro", "./none.json:/home/me/.docker/config.json"]\n'
    (folder / "docker-compose.yml").write_text(COMPOSE.replace("    env_file", mount + "    env_file", 1))
    site = migrated("docker-compose.yml")
    out = capsys.readouterr().out
    assert site.servers.registry_logins is not None
    assert json.loads((folder / "secrets/registry_logins").read_text()) == login
    assert "bWU6bGV0bWVpbg" not in out
    assert "none.json:/home/me/.docker/config.json: It may hold logins" in out


@pytest.mark.parametrize("files", [["docker-stack.yml"], ["values.yaml"]])
def test_each_trait_that_a_site_sets_is_known_to_migrate(folder, capsys, files):
    """A key that is new, and sets a trait of JupyterHub, has a rule for an old hub that set the trait itself."""
    (folder / "values.yaml").write_text(VALUES)
    site = migrated(*files)
    traits = sorted({each.trait for each in [*hub_settings(site), *settings_by_code(site)]})
    spawners = {"SwarmSpawner": "SwarmSpawner", "KubeSpawner": "KubeSpawner"}
    kind = next(name for name in spawners if any(trait.startswith(name) for trait in traits))
    lines = [
        f'c.JupyterHub.spawner_class = "{kind}"',
        *(f"c.{trait} = [1.5]" for trait in traits if trait != "JupyterHub.spawner_class"),
    ]
    (folder / "jupyterhub_config.py").write_text("\n".join(lines))
    capsys.readouterr()
    settings = report(capsys, "jupyterhub_config.py", "--xnat-url=https://x.org")["settings"]
    unknown = [
        each["name"]
        for each in settings
        if "has no such setting" in each["note"] or "Delete it" in each["note"]
    ]
    assert not unknown


def test_where_a_plain_config_mounts_xnat_s_folders_from(folder, capsys):
    """XNAT's paths are not the host's there, and the hub has to translate them."""
    mounts = {
        "/srv/archive": {"bind": "/data/xnat/archive", "mode": "ro"},
        "/srv/work/users/{username}": "/data/xnat/workspaces/users/{username}",
        "/srv/x2": "/data/xnat/archive2",
    }
    (folder / "jupyterhub_config.py").write_text(
        f"c.JupyterHub.spawner_class = 'docker'\nc.DockerSpawner.volumes = {mounts}\n"
    )
    assert main(["migrate", "jupyterhub_config.py", "--json", "--xnat-url=https://x.org"]) == 0
    report = json.loads(capsys.readouterr().out)
    site = load("site.yaml").site
    assert [(each.from_, each.to) for each in site.paths.archive] == [("/data/xnat/archive", "/srv/archive")]
    assert [(each.from_, each.to) for each in site.paths.workspaces] == [
        ("/data/xnat/workspaces", "/srv/work")
    ]
    assert [each.path for each in site.servers.allowed_mounts] == [
        "/srv/archive",
        "/srv/work/users/{username}",
    ]
    steps = report["to_do"]
    chown = next(index for index, step in enumerate(steps) if step.startswith("sudo chown 1000 secrets/"))
    assert chown < next(index for index, step in enumerate(steps) if step.startswith("Remove the old stack"))


def test_each_refused_variable_of_a_map_is_named(folder, capsys):
    (folder / "jupyterhub_config.py").write_text(
        'c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"\n'
        'c.DockerSpawner.environment = {"NB_UID": "5", "NB_GID": "0", "GRANT_SUDO": "yes", "TZ": "UTC", "JPY_A": "1", "B": CODE}\n'
    )
    data = report(capsys, "jupyterhub_config.py", "--xnat-url=https://xnat.example.org")
    said = told(data["settings"], "DockerSpawner.environment")
    assert said["outcome"] == "not carried"
    assert said["keys"] == {"servers.environment.TZ": "UTC", "servers.uid": 5}
    for name in ("NB_GID", "JPY_A"):
        assert f"can't set {name}: " in said["note"]
    assert "GRANT_SUDO: It has no effect" in said["note"]
    assert said["note"].startswith("B: ")


@pytest.mark.parametrize(
    ("spawner", "setting"),
    [
        (
            "dockerspawner.SwarmSpawner",
            'SwarmSpawner.extra_resources_spec = {"generic_resources": {"gpu": 1}}',
        ),
        ("kubespawner.KubeSpawner", 'KubeSpawner.extra_resource_limits = {"nvidia.com/gpu": "1"}'),
    ],
)
def test_what_each_server_was_given_has_a_place_to_look_for(folder, capsys, spawner, setting):
    (folder / "jupyterhub_config.py").write_text(f'c.JupyterHub.spawner_class = "{spawner}"\nc.{setting}\n')
    data = report(capsys, "jupyterhub_config.py", "--xnat-url=https://xnat.example.org")
    said = told(data["settings"], setting.partition(" ")[0])
    assert said["outcome"] == "not carried"
    assert "servers.caps" in said["note"]


@pytest.mark.parametrize("name", ["NB_UMASK", "GRANT_SUDO", "JUPYTER_ENABLE_LAB", "NVIDIA_VISIBLE_DEVICES"])
def test_what_is_for_servers_is_led_to_their_environment(folder, capsys, name):
    file = folder / "docker-stack.yml"
    file.write_text(
        file.read_text().replace("    environment:\n", f'    environment:\n      {name}: "yes"\n', 1)
    )
    data = report(capsys, "docker-stack.yml")
    said = told(data["settings"], name)
    assert said["outcome"] == "not carried"
    assert "servers.environment" in said["note"]
