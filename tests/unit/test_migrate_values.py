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
