"""A new orchestrator is one file and one line: one that is made up starts servers, and every command knows it."""

import json
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support import ROOT, SMALL_SERVER, XNATHUB, RunningHub, Visitor, new_standin
from xnathub_conf.standin import Environment, HubError

LAST = '    "xnathub_conf.orchestrators.kubernetes:KIND",\n'
LINE = '    "xnathub_conf.orchestrators.made_up:KIND",\n'


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A copy of xnathub with the file and the line, which `xnathub` here then is."""
    folder = tmp_path_factory.mktemp("program")
    for name in ("xnathub_conf", "schema"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "jupyterhub_config.py", folder)
    shutil.copy(Path(__file__).with_name("made_up.py"), folder / "xnathub_conf" / "orchestrators")
    registry = folder / "xnathub_conf" / "site" / "kinds.py"
    text = registry.read_text()
    assert text.count(LAST) == 1
    registry.write_text(text.replace(LAST, LAST + LINE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield folder


@pytest.fixture(scope="module")
def hub(program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    (folder / "processes").mkdir()
    orchestrator = {"local": None, "processes": {"folder": str(folder / "processes"), "niceness": 7}}
    with new_standin() as xnat:
        xnat.state.environment = SMALL_SERVER
        hub = RunningHub(folder, xnat, {"orchestrator": orchestrator})
        hub.start()
        yield hub
        hub.stop()


def xnathub(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([XNATHUB, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def test_it_starts_a_server_that_its_user_opens_and_stops_it(hub):
    hub.plugin.ensure_user("alice")
    hub.plugin.start("alice", hub.xnat.state.launch("alice", "P1"))
    (server,) = hub.server_processes()
    assert server.nice() == 7
    visitor = Visitor(hub.url)
    visitor.sign_in("alice", hub.xnat.state.user("alice").password)
    assert visitor.get_page("/user/alice/").text == "alice"
    hub.plugin.stop("alice")
    assert not psutil.pid_exists(server.pid)


def test_a_server_that_ends_at_once_is_explained(hub):
    command = Environment(command="sh -c 'echo no licence; exit 3'")
    hub.plugin.ensure_user("alice")
    with pytest.raises(HubError, match="with exit code 3"):
        hub.plugin.start("alice", hub.xnat.state.launch("alice", "P1", "ends", environment=command))


def test_the_commands_know_it(hub, tmp_path):
    shown = {row["key"]: row for row in json.loads(xnathub("show", "--json", hub.site_file).stdout)}
    assert shown["orchestrator.processes.niceness"]["sets"] == {"ProcessSpawner.niceness": 7}
    assert "ProcessSpawner.cmd" in shown["orchestrator.processes"]["sets"]
    told = json.loads(xnathub("doctor", "--json", hub.site_file).stdout)
    assert {each["check"]: each["status"] for each in told["results"]}["processes.folder"] == "ok"
    made = xnathub("render", "processes", "--user", "me", hub.site_file)
    assert "User=me\n" in made.stdout, made.stderr


def test_init_writes_one_and_validate_has_its_schema_and_rule(program, tmp_path):
    site = tmp_path / "site.yaml"
    made = xnathub("init", "--orchestrator", "processes", "--xnat-url", "https://x.example.org", site)
    assert made.returncode == 0, made.stderr
    assert xnathub("validate", site).returncode == 0
    text = site.read_text()
    for old, new, message in (
        ("folder: /srv/processes", "folder: /", "That is all of the machine."),
        ("folder: /srv/processes", "folder: /srv, niceness: 20", "expected a whole number from 0 to 19"),
        ("processes: {folder: /srv/processes}", "process: {folder: /srv}", "Did you mean `processes`?"),
    ):
        site.write_text(text.replace(old, new))
        refused = xnathub("validate", site)
        assert refused.returncode == 1
        assert message in refused.stdout + refused.stderr
