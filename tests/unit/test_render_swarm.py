"""The stack file that `xnathub render swarm` writes."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.support import XNATHUB, merged
from xnathub_conf.cli import main
from xnathub_conf.render.swarm import render_stack
from xnathub_conf.site.load import load
from xnathub_conf.values.reachable import Reachable

ROOT = Path(__file__).parents[2]

SITE = """\
version: 1
xnat:
  url: https://xnat.example.org
  service_account: {password: {file: /run/secrets/xnat_password}}
hub:
  api_token: {file: /etc/keys/hub_api_token}
  base_url: /jupyter/
  bind_url: http://0.0.0.0:9000
  uid: 1234
  gid: 999
servers:
  allowed_images: [xnat/*]
orchestrator:
  swarm: {network_name: our_net}
"""


@pytest.fixture
def render(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def render(text: str = SITE, **options):
        Path("site.yaml").write_text(text)
        return yaml.safe_load(render_stack(load("site.yaml"), text, **options))

    return render


def test_the_committed_stack_is_made_from_the_example(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["render", "swarm", "site.example.yaml"]) == 0
    assert capsys.readouterr().out == (ROOT / "docker-stack.yml").read_text()


@pytest.mark.parametrize(
    ("target", "flags"),
    [
        ("swarm", []),
        ("swarm", ["--image", "registry.example.org/hub:1"]),
        ("swarm", ["--image", "a:2", "--proxy-image", "a:1", "--postgres", "--postgres-image", "pg:9"]),
        ("docker", ["--image", "registry.example.org/hub:1", "--proxy-image", "a:1"]),
    ],
)
def test_the_file_says_how_it_was_made(tmp_path, capsys, monkeypatch, target, flags):
    monkeypatch.chdir(tmp_path)
    Path("site.yaml").write_text(SITE.replace("swarm:", f"{target}:"))
    assert main(["render", target, *flags, "site.yaml"]) == 0
    command = re.search(r"^#   xnathub (render .*) > ", capsys.readouterr().out, re.MULTILINE)
    assert command[1].split() == ["render", target, *flags, "site.yaml"]


def test_the_network_has_the_addresses_that_the_site_says(render):
    assert "ipam" not in render()["networks"]["jupyter"]
    text = SITE.replace("{network_name: our_net}", "{subnet: 10.77.16.0/20}")
    assert render(text)["networks"]["jupyter"]["ipam"] == {"config": [{"subnet": "10.77.16.0/20"}]}


def test_every_network_takes_what_the_site_says_of_networks(render):
    assert not [each for each in render()["networks"].values() if "driver_opts" in each]
    text = SITE.replace("{network_name: our_net}", "{server_networks: 2, mtu: 1400, encrypted: true}")
    networks = render(text)["networks"].values()
    options = {"com.docker.network.driver.mtu": "1400", "encrypted": ""}
    assert [each["driver_opts"] for each in networks] == [options] * 4


def test_servers_without_the_internet_have_one_way_out(render):
    text = SITE.replace("{network_name: our_net}", "{server_networks: 2, dns: [10.0.0.53]}")
    assert "way-out" not in render(text)["services"]
    text = text.replace(
        "servers:\n",
        "servers:\n  internet: none\n  reachable: [pypi.org, 10.0.0.0/8]\n  hosts: {pacs: 10.0.0.5}\n",
    )
    stack = render(text)
    inside = [name for name in stack["networks"] if name.startswith("xnat_jupyterhub-")]
    assert [stack["networks"][name].get("internal") for name in [*inside, "jupyter"]] == [True, True, None]
    way = stack["services"]["way-out"]
    assert way["command"][3:] == ["xnat.example.org:443", "pypi.org", "10.0.0.0/8"]
    assert way["networks"] == {"jupyter": {}, **{name: {"aliases": ["way-out"]} for name in inside}}
    assert (way["extra_hosts"], way["dns"], way["cap_drop"]) == (["pacs:10.0.0.5"], ["10.0.0.53"], ["ALL"])


def test_the_way_out_knows_xnat_by_a_name_with_a_dot_at_its_end(render):
    text = SITE.replace("{network_name: our_net}", "{server_networks: 2}").replace(
        "servers:\n", "servers:\n  internet: none\n"
    )
    entries = render(text.replace("xnat.example.org", "xnat.example.org."))["services"]["way-out"]["command"]
    assert entries[3:] == ["xnat.example.org:443"]
    assert Reachable(entries[3:]).allows_name("xnat.example.org.", 443)


def test_servers_have_networks_of_their_own_and_the_hub_is_on_all(render):
    stack = render(SITE.replace("our_net", "our_net, server_networks: 2"))
    assert list(stack["networks"]) == ["jupyter", "control", "our_net-1", "our_net-2"]
    # A container that anybody starts can't join them.
    assert stack["networks"]["our_net-2"] == {"name": "our_net-2", "driver": "overlay"}
    alias = {"aliases": ["jupyterhub"]}
    hub, proxy = (stack["services"][name]["networks"] for name in ("hub", "proxy"))
    assert {name: place for name, place in hub.items() if name != "control"} == {
        "jupyter": alias,
        "our_net-1": alias,
        "our_net-2": alias,
    }
    assert proxy.pop("control") == {"aliases": ["proxy-for-hub"]}
    assert proxy == {
        name: {"aliases": ["jupyterhub-proxy"]} for name in ("jupyter", "our_net-1", "our_net-2")
    }


def test_the_hub_has_what_the_site_says(render):
    stack = render(image="registry.example.org/hub:2")
    hub = stack["services"]["hub"]
    assert (hub["image"], hub["user"]) == ("registry.example.org/hub:2", "1234:999")
    assert "ports" not in hub
    assert "8081" in hub["healthcheck"]["test"][-1]
    assert "'/jupyter/hub/health'" in hub["healthcheck"]["test"][-1]
    assert stack["networks"]["jupyter"]["name"] == "our_net"
    assert hub["secrets"][1] == {
        "source": "hub_api_token",
        "target": "/etc/keys/hub_api_token",
        "uid": "1234",
        "gid": "999",
        "mode": 0o400,
    }
    assert stack["secrets"] == {"xnat_password": {"external": True}, "hub_api_token": {"external": True}}
    socket = {"type": "bind", "source": "/var/run/docker.sock", "target": "/var/run/docker.sock"}
    assert socket in hub["volumes"]


def test_an_edit_gives_the_config_another_name(render):
    before, after = render(), render(SITE + "# more\n")
    assert before["configs"]["site"]["name"] != after["configs"]["site"]["name"]
    assert before["services"] == after["services"]


def test_the_proxy_is_a_service_with_a_token_and_nothing_else(render):
    stack = render(image="registry.example.org/hub:2")
    proxy, hub = stack["services"]["proxy"], stack["services"]["hub"]
    assert (proxy["image"], proxy["user"]) == ("registry.example.org/hub:2", "1234:1234")
    assert proxy["ports"] == [{"target": 9000, "published": 9000, "protocol": "tcp", "mode": "host"}]
    assert [each["source"] for each in proxy["secrets"]] == ["hub_api_token"]
    assert proxy["environment"] == {"XNATHUB_PROXY_TOKEN_FROM": "file:/etc/keys/hub_api_token"}
    assert proxy["volumes"] == [{"type": "tmpfs", "target": "/tmp"}]
    assert "configs" not in proxy
    assert (proxy["read_only"], proxy["cap_drop"]) == (True, ["ALL"])
    assert "--error-target=http://tasks.hub-for-proxy:8081/jupyter/hub/error" in proxy["command"]
    # What goes between the two passes no server of a user.
    assert stack["networks"]["control"] == {"driver": "overlay", "internal": True}
    assert (hub["networks"]["control"], proxy["networks"]["control"]) == (
        {"aliases": ["hub-for-proxy"]},
        {"aliases": ["proxy-for-hub"]},
    )
    assert hub["environment"]["XNATHUB_PROXY"] == proxy["hostname"] == "jupyterhub-proxy"


def test_no_edit_and_no_new_image_of_the_hub_touches_the_proxy(render):
    before = render(image="hub:1")["services"]["proxy"]
    edited = SITE.replace("xnat/*", "xnat/*, other/*").replace("swarm: {", "swarm: {prefix: p, ")
    assert render(edited, image="hub:2", proxy_image="hub:1")["services"]["proxy"] == before
    assert render(edited, image="hub:2")["services"]["proxy"] == {**before, "image": "hub:2"}


def test_the_proxy_takes_a_token_from_a_variable_and_logs_as_the_hub_does(render):
    text = SITE.replace("{file: /etc/keys/hub_api_token}", "{env: TOKEN}") + "logging: {format: json}\n"
    proxy = render(text + "extra: {ConfigurableHTTPProxy.debug: true}\n")["services"]["proxy"]
    assert proxy["environment"] == {
        "XNATHUB_PROXY_TOKEN_FROM": "env:TOKEN",
        "TOKEN": "${TOKEN:?the hub needs it}",
        "XNATHUB_LOG_FORMAT": "json",
    }
    assert "--log-level=debug" in proxy["command"]
    assert "secrets" not in proxy


def test_the_docker_socket_stays_out_where_docker_is_elsewhere(render):
    tls = "{ca_cert: /run/secrets/ca, client_cert: /run/secrets/cert, client_key: /run/secrets/key}"
    stack = render(
        SITE.replace("our_net}", f"our_net, docker_host: 'tcp://manager.example.org:2376', tls: {tls}}}")
    )
    assert not [each for each in stack["services"]["hub"]["volumes"] if each["type"] == "bind"]
    assert {"ca", "cert", "key"} <= stack["secrets"].keys()


def test_postgresql_is_a_service_that_only_the_hub_reaches(render):
    stack = render(postgres_image="registry.example.org/postgres:17")
    assert stack["services"]["db"]["image"] == "registry.example.org/postgres:17"
    assert stack["networks"]["database"] == {"driver": "overlay", "internal": True}
    database = stack["services"]["db"]
    assert database["networks"].keys() == {"database"}
    assert (database["read_only"], database["cap_drop"]) == (True, ["ALL"])
    # docs/threat-model.md names these five.
    assert database["cap_add"] == ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]
    assert stack["services"]["hub"]["networks"].keys() == {"jupyter", "control", "database"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("swarm: {network_name: our_net}", "docker: {}", "The site's orchestrator is not swarm."),
        (
            "/etc/keys/hub_api_token",
            "/etc/keys/xnat_password",
            "would both be the secret xnat_password",
        ),
        ("/etc/keys/hub_api_token", "/etc/keys/hub token", "/etc/keys/hub token: Docker takes letters"),
        ("  uid: 1234", "  db_url: sqlite:////data/hub.sqlite", "hub.db_url: only the folder"),
        ("version: 1", "version: 2", "version"),
    ],
)
def test_what_can_not_be_a_stack_is_told(tmp_path, capsys, old, new, said):
    file = tmp_path / "site.yaml"
    file.write_text(SITE.replace(old, new))
    assert main(["render", "swarm", str(file)]) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert not told.out


def test_values_for_kubernetes_are_printed(tmp_path, capsys):
    file = tmp_path / "site.yaml"
    file.write_text(
        SITE.replace(
            "swarm: {network_name: our_net}",
            "kubernetes: {namespace: jupyter, claims: [{path: /data/xnat, claim_name: xnat}]}",
        )
    )
    assert main(["render", "kubernetes", str(file)]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["site"]["version"] == 1
    assert main(["render", "kubernetes", "--manifests", str(file)]) == 0
    assert "kind: Deployment" in capsys.readouterr().out


RAW = """\
extra:
  Authenticator.enable_auth_state: true
"""


def test_a_certificate_and_variables_of_raw_settings_come_along(render):
    files = "uid: 1234\n  tls: {cert: /run/tls/hub.pem, key: /run/tls/hub.key}"
    stack = render(SITE.replace("uid: 1234", files) + RAW)
    hub = stack["services"]["hub"]
    assert {"source": "hub.pem", "target": "/run/tls/hub.pem"} in hub["configs"]
    (key,) = [each for each in hub["secrets"] if each["source"] == "hub.key"]
    assert (key["target"], key["mode"]) == ("/run/tls/hub.key", 0o400)
    assert stack["secrets"]["hub.key"] == stack["configs"]["hub.pem"] == {"external": True}
    assert hub["environment"]["JUPYTERHUB_CRYPT_KEY"] == "${JUPYTERHUB_CRYPT_KEY:?the hub needs it}"
    proxy = stack["services"]["proxy"]
    assert "HTTPSConnection" in proxy["healthcheck"]["test"][-1]
    assert {"--ssl-cert=/run/tls/hub.pem", "--ssl-key=/run/tls/hub.key"} <= set(proxy["command"])
    assert proxy["configs"] == [{"source": "hub.pem", "target": "/run/tls/hub.pem"}]
    assert [each["source"] for each in proxy["secrets"]] == ["hub_api_token", "hub.key"]


def test_the_hub_is_called_as_the_site_says(render):
    stack = render(SITE.replace("uid: 1234", "uid: 1234\n  hub_connect_url: http://xnat-hub:8081"))
    hub = stack["services"]["hub"]
    assert (hub["hostname"], hub["networks"]["jupyter"]["aliases"]) == ("xnat-hub", ["xnat-hub"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("logging: {audit_file: /var/log/hub/audit.log}", "logging.audit_file: only the folder"),
        ("logging: {audit_file: /srv/jupyterhub/sub/audit.log}", "logging.audit_file: only the folder"),
        ("extra: {JupyterHub.extra_log_file: /var/log/hub.log}", "extra JupyterHub.extra_log_file: "),
        ("extra: {ConfigurableHTTPProxy.should_start: false}", "leave it out; the proxy is a container of its own"),
        ("pages: {logo: /a/site}", "as the site file itself is"),
        ("xnat: {ca_file: /a/x.pem}\npages: {logo: /b/x.pem}", "would both be the config x.pem"),
        ("hub: {bind_url: 'http://127.0.0.1:9000'}", "hub.bind_url: in its container"),
        ("hub: {bind_url: 'http://0.0.0.0:8001'}", "hub.bind_url: at 8001 the proxy takes routes"),
        ("hub: {hub_connect_url: 'http://10.0.0.1:8081'}", "hub.hub_connect_url: the stack gives"),
        ("hub: {hub_connect_url: 'http://jupyterhub:8082'}", "in the stack the hub answers at http://jupyterhub:8081."),
        ("hub: {uid: 4294967294}", "hub.uid: Docker takes 2147483647 at most."),
        ("orchestrator: {swarm: {network_name: ingress}}", "ingress is Docker's own"),
    ],
)  # fmt: skip
def test_what_the_container_can_not_do_is_told(render, more, said):
    text = yaml.safe_dump(merged(yaml.safe_load(SITE), yaml.safe_load(more)))
    with pytest.raises(ValueError, match=re.escape(said)):
        render(text)


@pytest.mark.parametrize("where", ["", "stacks", "/tmp"])
def test_the_stack_file_finds_the_site_file_wherever_it_is_written(tmp_path, where):
    """Docker looks for the file from where the stack file is."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "stacks").mkdir()
    (tmp_path / "sites/site.yaml").write_text(SITE)
    out = (tmp_path / where if where != "/tmp" else Path(tempfile.mkdtemp())) / "docker-stack.yml"
    with out.open("w") as file:
        subprocess.run([XNATHUB, "render", "swarm", "sites/site.yaml"], stdout=file, cwd=tmp_path, check=True)
    named = yaml.safe_load(out.read_text())["configs"]["site"]["file"]
    assert (out.parent / named).resolve() == (tmp_path / "sites/site.yaml").resolve()
    piped = subprocess.run(
        [XNATHUB, "render", "swarm", "sites/site.yaml"], capture_output=True, cwd=tmp_path, check=True
    )
    assert yaml.safe_load(piped.stdout)["configs"]["site"]["file"] == "sites/site.yaml"


def test_a_dollar_sign_in_a_file_s_name_stays_one(render):
    stack = render(SITE.replace("/etc/keys/hub_api_token", "/etc/$KEYS/hub_api_token"))
    assert stack["services"]["hub"]["secrets"][1]["target"] == "/etc/$$KEYS/hub_api_token"
