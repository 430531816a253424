"""What is to be done outside the site file: who calls the hub, what keeps its place beside the rendered file, and what goes of the old hub."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.unit.test_migrate import COMPOSE, ENV, PLUGIN, STACK, TOKEN, VALUES, folder, migrated, told
from xnathub_conf.cli import main

__all__ = ["folder"]


def report(capsys, *arguments):
    assert main(["migrate", *arguments, "--json", "--dry-run"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "http://jupyterhub:8000/jupyterhub/hub/api",
            "write http://jupyterhub-proxy:8000/jupyterhub/hub/api if XNAT is on the network",
        ),
        ("http://me:letmein@old-hub/jupyterhub/hub/api", "XNAT calls the hub as old-hub"),
        ("http://172.17.0.1/hub/api", "at the path /hub/api"),
        ("http://172.17.0.1/jupyterhub/hub/api", None),
        ("http://[", None),
    ],
)
def test_xnat_calls_the_new_hub_at_its_own_address(folder, capsys, address, said):
    (folder / "plugin.env").write_text(PLUGIN.replace("http://172.17.0.1/jupyterhub/hub/api", address))
    steps = report(capsys, "docker-stack.yml", "--env-file=.env", "--env-file=plugin.env")["to_do"]
    about = [step for step in steps if "XNAT calls the hub" in step]
    assert len(about) == (said is not None), about
    assert said is None or said in about[0]
    assert "letmein" not in str(about)


def test_xnat_calls_a_service_of_the_old_release(folder, capsys):
    (folder / "xnat.env").write_text(
        "JH_XNAT_JUPYTERHUB_API_URL=http://proxy-public.old.svc/jupyterhub/hub/api\n"
    )
    steps = report(capsys, "values.yaml", "--env-file=xnat.env")["to_do"]
    assert any("http://proxy-public.NAMESPACE/jupyterhub/hub/api" in step for step in steps)


def test_what_people_call_is_written_at_the_proxy(folder, capsys):
    """The proxy is a container of its own, with the published port; labels at the hub would lead web servers astray."""
    part = """
    labels: [traefik.enable=true]
    deploy: {labels: {traefik.port: "8000"}}
    dns: [10.0.0.1]
    networks: {web: {aliases: [hub]}, other: }
"""
    (folder / "docker-stack.yml").write_text(
        STACK.replace("    image:", part.rstrip() + "\n    image:", 1) if "networks:" not in STACK else STACK
    )
    (folder / "more.yml").write_text(f"services:\n  jupyterhub:{part}")
    settings = report(capsys, "docker-stack.yml", "more.yml")["settings"]
    for name in ("labels[0]", 'deploy.labels["traefik.port"]', "networks.web.aliases[0]", "networks.other"):
        assert "write it at the service `proxy` in a file of your own" in told(settings, name)["note"], name
    assert "write it at the service `hub` in a file of your own" in told(settings, "dns[0]")["note"]


def test_the_commands_that_take_the_old_hub_away(folder, capsys):
    steps = "\n".join(report(capsys, "docker-stack.yml")["to_do"])
    assert "docker stack rm STACK; where docker compose started it, docker compose down" in steps
    (folder / ".env").write_text(ENV.replace("XNAT_URL=", "JH_XNAT_URL="))
    (folder / "docker-compose.yml").write_text(COMPOSE)
    steps = "\n".join(report(capsys, "docker-compose.yml")["to_do"])
    assert (
        "docker compose rm --stop --force jupyterhub, or in a stack docker service rm STACK_jupyterhub"
        in steps
    )
    steps = "\n".join(report(capsys, "values.yaml")["to_do"])
    assert "uninstall the old one (helm list says its name)" in steps
    assert "kubectl --namespace NAMESPACE delete pod --selector component=singleuser-server" in steps


def test_a_hub_on_kubernetes_without_a_chart_goes_too(folder, capsys):
    (folder / "jupyterhub_config.py").write_text(
        "c.JupyterHub.spawner_class = 'kubespawner.KubeSpawner'\n"
        "c.JupyterHub.load_roles = [{'name': 'aid', 'scopes': ['list:users'], 'users': ['carol']}]\n"
        "c.JupyterHub.load_roles += [{'name': 'more', 'scopes': ['list:users'], 'users': ['carol']}]\n"
    )
    data = report(capsys, "jupyterhub_config.py", "--xnat-url=https://x.org")
    steps = "\n".join(data["to_do"])
    assert "take the old hub's Deployment and its Services away" in steps
    assert "delete pod --selector component=singleuser-server" in steps
    assert "networkPolicy.serverEgress" in steps
    assert {each["name"] for each in data["settings"] if each["file"]} == {
        "c.JupyterHub.spawner_class",
        "c.JupyterHub.load_roles",
    }


@pytest.mark.parametrize(
    ("policy", "is_said"),
    [
        (None, False),
        ("{enabled: true}", False),
        ("{enabled: false}", True),
        ("{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}", True),
    ],
)
def test_the_network_policy_of_the_new_chart_is_said(folder, capsys, policy, is_said):
    text = f"hub: {{services: {{xnat: {{apiToken: {TOKEN}}}}}}}\n"
    (folder / "zero.yaml").write_text(text + (f"singleuser: {{networkPolicy: {policy}}}\n" if policy else ""))
    steps = report(capsys, "zero.yaml", "--xnat-url=https://x.org")["to_do"]
    assert any("networkPolicy.serverEgress" in step for step in steps) is is_said
    assert any("networkPolicy.serverEgress" in step for step in report(capsys, "values.yaml")["to_do"])


def test_workspaces_in_a_folder_of_a_claim(folder, capsys):
    static = (
        "storage: {static: {pvcName: xnat-workspaces, subPath: prod/users/{unescaped_username}}}".replace(
            "prod/users/{unescaped_username}", '"/prod/users/{unescaped_username}"'
        )
    )
    (folder / "values.yaml").write_text(
        VALUES.replace("storage: {static: {pvcName: xnat-workspaces}}", static)
    )
    settings = report(capsys, "values.yaml")["settings"]
    entry = told(settings, "static.subPath")
    assert entry["keys"] == {
        "paths.workspaces": [{"from": "/data/xnat/workspaces", "to": "/xnat-workspaces/prod"}]
    }
    claims = next(each["keys"] for each in settings if "orchestrator.kubernetes.claims" in each["keys"])
    assert claims["orchestrator.kubernetes.claims"][1] == {
        "path": "/xnat-workspaces",
        "claim_name": "xnat-workspaces",
    }


def test_the_file_beside_the_rendered_one_fits_it(folder, capsys):
    """Docker refuses two files of different versions, and a service that the other one lacks needs an image."""
    page = (Path(__file__).parents[2] / "docs/migrate.md").read_text()
    found = re.search(r"```yaml\n(# mine.yml\n.*?)```", page, re.DOTALL)
    assert found
    mine = yaml.safe_load(found[1])
    migrated("docker-stack.yml", "--public-url=https://xnat.example.org")
    capsys.readouterr()
    assert main(["render", "swarm", "site.yaml"]) == 0
    rendered = yaml.load(capsys.readouterr().out, yaml.BaseLoader)
    assert mine["version"] == rendered["version"]
    assert mine["services"].keys() <= rendered["services"].keys()
