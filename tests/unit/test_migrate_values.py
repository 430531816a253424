"""What Helm values say by more than their keys: code among them, other services, and what the new chart does differently."""

import json

from tests.unit.test_migrate import TOKEN, folder, told
from xnathub_conf.cli import main
from xnathub_conf.site.load import load

__all__ = ["folder"]


def move(capsys, *arguments):
    """Migrate, and return the settings of the report and the site's data."""
    assert main(["migrate", *arguments, "--json", "--force", "--xnat-url=https://x.org"]) == 0
    report = json.loads(capsys.readouterr().out)
    return report, load("site.yaml").site


CODE = f"""\
hub:
  extraEnv: {{WAIT: "90", LOOK: /tree}}
  extraFiles:
    early:
      mountPath: /usr/local/etc/jupyterhub/jupyterhub_config.d/early.py
      stringData: |
        c.Spawner.start_timeout = 50
        c.Spawner.http_timeout = 25
    other: {{mountPath: /usr/local/etc/jupyterhub/other.py, stringData: c.Spawner.http_timeout = 1}}
  extraConfig:
    b: |

      c.Spawner.default_url = look
      c.Spawner.start_timeout = int(os.environ["WAIT"])
      async def hook(spawner): pass
    a: look = "/lab"
    c: "this is no: Python"
    d: {{e: f}}
  activeServerLimit: 3
  shutdownOnLogout: false
  services: {{xnat: {{apiToken: {TOKEN}}}}}
"""


def test_code_among_values_is_read_in_the_order_in_which_the_hub_ran_it(folder, capsys):
    (folder / "zero.yaml").write_text(
        CODE.replace(
            "d: {e: f}",
            "d: c.JupyterHub.active_server_limit = 9\n    e: c.JupyterHub.shutdown_on_logout = True",
        )
    )
    report, site = move(capsys, "zero.yaml")
    assert (site.servers.default_url, site.servers.start_timeout, site.servers.http_timeout) == (
        "/lab",
        90,
        25,
    )
    assert site.extra["JupyterHub.active_server_limit"] == 9
    assert site.hub.shutdown_on_logout
    settings = report["settings"]
    places = {(each["name"], each["line"]): each for each in settings}
    lines = CODE.splitlines()
    for name, outcome in (("c.Spawner.default_url", "carried"), ("hook", "not carried")):
        line = next(number for number, text in enumerate(lines, 1) if name.removeprefix("c.") in text)
        assert places[name, line]["outcome"] == outcome
    for name, outcome, why in (
        ("hub.extraConfig.b", "no concern", "Each of its lines"),
        ("hub.extraConfig.c", "not carried", "zero.yaml:17 is not Python"),
        ("early.stringData", "no concern", "Each of its lines"),
        ("other.stringData", "not carried", "It is code"),
        ("hub.activeServerLimit", "no concern", "zero.yaml:18 replaces it"),
        ("hub.shutdownOnLogout", "no concern", "zero.yaml:19 replaces it"),
    ):
        assert told(settings, name)["outcome"] == outcome, name
        assert why in told(settings, name)["note"], told(settings, name)
    wait = next(each for each in settings if each["name"] == "hub.extraEnv.WAIT")
    assert (wait["outcome"], wait["keys"]) == ("carried", {"servers.start_timeout": 90})


def test_code_that_is_no_text_is_left(folder, capsys):
    (folder / "zero.yaml").write_text(CODE)
    report, _ = move(capsys, "zero.yaml")
    assert told(report["settings"], "hub.extraConfig.d.e")["outcome"] == "not carried"


SERVICES = f"""\
hub:
  services:
    xnat-plugin: {{apiToken: {TOKEN}, display: false}}
    server_board: {{api_token: {TOKEN[::-1]}, url: "http://board:9000", admin: true}}
    exporter: {{apiToken: short}}
    made: {{display: false}}
    culler: {{command: [python3, -m, jupyterhub_idle_culler]}}
    nothing: {{apiToken: {TOKEN}}}
    server.board: {{apiToken: {TOKEN}}}
  loadRoles:
    xnat: {{scopes: [admin:servers, admin:users, proxy], services: [xnat-plugin]}}
    board: {{scopes: [list:users, read:servers], services: [server_board, server.board, exporter, made]}}
    help_desk: {{description: first aid, scopes: [read:servers], users: [carol], groups: [aid]}}
    user: {{scopes: [self, read:users]}}
"""


def test_other_services_and_roles_of_values_are_carried(folder, capsys):
    (folder / "zero.yaml").write_text(SERVICES)
    report, site = move(capsys, "zero.yaml")
    assert [(each.name, each.scopes) for each in site.hub.services] == [
        (name, ("list:users", "read:servers")) for name in ("server-board", "exporter", "made")
    ]
    assert [(each.name, each.scopes, each.users) for each in site.hub.roles] == [
        ("help-desk", ("read:servers",), ("carol",))
    ]
    assert (folder / "secrets/service_server_board_token").read_text() == TOKEN[::-1] + "\n"
    assert (folder / "secrets/hub_api_token").read_text() == TOKEN + "\n"
    assert len((folder / "secrets/service_exporter_token").read_text()) == 65
    settings, steps = report["settings"], "\n".join(report["to_do"])
    assert "The token of the service exporter is new." in steps
    assert (
        r"kubectl --namespace NAMESPACE get secret hub --output jsonpath='{.data.hub\.services\.made\.apiToken}' | base64 -d"
        in steps
    )
    assert "--from-file=secrets/service_made_token" in steps
    for name, outcome, why in (
        ("services.server_board.api_token", "carried", "server_board before"),
        ("services.server_board.url", "not carried", "an address of its own"),
        ("services.server_board.admin", "not carried", "what its scopes say"),
        ("services.exporter.apiToken", "carried", "too short"),
        ('server.board"].apiToken', "not carried", "the name of another service"),
        ("services.culler.command[0]", "not carried", "inactivity timeout"),
        ("services.nothing.apiToken", "not carried", "No role in these files"),
        ("loadRoles.xnat.scopes[2]", "not carried", "could do more: proxy."),
        ("loadRoles.board.scopes[0]", "no concern", "at hub.services"),
        ("loadRoles.help_desk.users[0]", "carried", ""),
        ("loadRoles.help_desk.groups[0]", "not carried", "no groups of users"),
        ("loadRoles.user.scopes[0]", "not carried", "JupyterHub's own role user"),
    ):
        assert told(settings, name)["outcome"] == outcome, told(settings, name)
        assert why in told(settings, name)["note"], told(settings, name)


PLAIN = f"""\
hub:
  extraEnv: {{HTTPS_PROXY: "http://p.example.org:3128", REQUESTS_CA_BUNDLE: /ca.pem, TZ: UTC}}
  services: {{xnat: {{apiToken: {TOKEN}}}}}
  config: {{KubeSpawner: {{uid: 1000}}}}
  allowNamedServers: NAMES
singleuser:
  extraEnv: {{HTTP_PROXY: "http://p.example.org:3128", https_proxy: "http://p.example.org:3128/", NO_PROXY: "a.org, .b.org"}}
  uid: 1000
"""


def test_the_way_out_and_authorities_have_keys(folder, capsys):
    (folder / "zero.yaml").write_text(PLAIN.replace("NAMES", "true"))
    report, site = move(capsys, "zero.yaml")
    assert (site.servers.http_proxy, site.servers.no_proxy) == (
        "http://p.example.org:3128",
        ("a.org", ".b.org"),
    )
    assert not site.servers.environment
    settings = report["settings"]
    assert told(settings, "singleuser.extraEnv.NO_PROXY")["keys"] == {"servers.no_proxy": ["a.org", ".b.org"]}
    assert "servers.http_proxy" in told(settings, "HTTPS_PROXY")["note"]
    assert "xnat.ca_file" in told(settings, "REQUESTS_CA_BUNDLE")["note"]
    assert "set it where the hub runs" in told(settings, "TZ")["note"]
    # A name and a password in it would be every user's, and two addresses are no one way out.
    for address in ("http://me:pw@p.example.org:3128", "http://other:3128"):
        (folder / "zero.yaml").write_text(
            PLAIN.replace('HTTP_PROXY: "http://p.example.org:3128"', f'HTTP_PROXY: "{address}"')
        )
        assert move(capsys, "zero.yaml")[1].servers.http_proxy is None


def test_another_hub_s_report_has_no_names_of_the_reference(folder, capsys):
    (folder / "zero.yaml").write_text(PLAIN.replace("NAMES", "true"))
    report, site = move(capsys, "zero.yaml")
    assert not [
        each["name"]
        for each in report["settings"]
        if "JH_" in each["name"] or each["name"].startswith("jupyterhub.")
    ]
    uid = told(report["settings"], "singleuser.uid")
    assert (uid["outcome"], uid["note"]) == ("no concern", "Another setting says the same, servers.uid.")
    assert site.hub.allow_named_servers
    (folder / "zero.yaml").write_text(PLAIN.replace("NAMES", "false"))
    assert any("can start none then" in step for step in move(capsys, "zero.yaml")[0]["to_do"])
    (folder / "zero.yaml").write_text(PLAIN.replace("  allowNamedServers: NAMES\n", ""))
    assert move(capsys, "zero.yaml")[1].hub.allow_named_servers
