"""Which of several lines of a jupyterhub_config.py the old hub had, in whatever form they set it."""

import json
import time

import pytest

from tests.unit.test_migrate import folder
from xnathub_conf.cli import main
from xnathub_conf.site.load import load

__all__ = ["folder"]

DOCKER = 'c.JupyterHub.spawner_class = "docker"\n'


def move(folder, capsys, text):
    """Migrate a configuration, and give the site and what is said of each line with settings."""
    (folder / "jupyterhub_config.py").write_text(text)
    assert main(["migrate", "jupyterhub_config.py", "--xnat-url=https://x.org", "--json", "--force"]) == 0
    said: dict[int, list[dict[str, object]]] = {}
    for each in json.loads(capsys.readouterr().out)["settings"]:
        if each["file"]:
            said.setdefault(each["line"], []).append(each)
    return load("site.yaml").site, said


@pytest.mark.parametrize(
    "text",
    [
        "cfg = get_config()\ncfg.Spawner.mem_limit = '3G'", "config = c\nconfig.Spawner.mem_limit = '3G'", "s = c.Spawner\ns.mem_limit = '3G'", "c.Spawner.mem_limit, c.JupyterHub.ip = '3G', ''",
        "c.Spawner.mem_limit = c.Spawner.mem_guarantee = '3G'", "c['Spawner']['mem_limit'] = '3G'", "c['Spawner'].mem_limit = '3G'", "c.Spawner['mem_limit'] = '3G'",
        "c.Spawner.mem_limit: str = '3G'", "get_config().Spawner.mem_limit = '3G'", "c.Spawner.update({'mem_limit': '3G'})", "c.Spawner.update(mem_limit='3G')",
        "size = c.Spawner.mem_limit = '3G'", "a = b = c\nb.Spawner.mem_limit = '3G'", "size = '3G'\nc.Spawner.mem_limit = size\nsize = '4G'",
    ],
)  # fmt: skip
def test_a_setting_by_any_name_and_in_any_form(folder, capsys, text):
    site, said = move(folder, capsys, DOCKER + text + "\n")
    assert site.servers.mem_limit == 3 * 2**30
    assert not any(
        each["name"] == "c.Spawner.mem_limit" and "only serves" in each["note"]
        for those in said.values()
        for each in those
    )


@pytest.mark.parametrize(
    "text", ["other.X = 1", "cfg.Spawner.mem_limit = '3G'", "x, y.z = 1, 2", "obj['a'] = 1"]
)
def test_what_sets_something_elsewhere_is_code(folder, capsys, text):
    _, said = move(folder, capsys, f"{DOCKER}{text}\n")
    (entry,) = said[2]
    assert entry["outcome"] == "not carried"
    assert "It is code" in entry["note"]


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("= {'a'}\nc.Authenticator.admin_users.update({'b'})", ("a", "b")), ("= {'a'}\nc.Authenticator.admin_users.add('b')", ("a", "b")), ("= ['a']\nc.Authenticator.admin_users += ['b']", ("a", "b")),
        ("= ['a']\nc.Authenticator.admin_users.append('b')", ("a", "b")), ("= {'a'}\nc.Authenticator.admin_users = {'b'}", ("b",)), ("= {'a'}\nc.Authenticator.admin_users |= {'b'}", ("a", "b")),
        ("= {'z'}\nc.Authenticator.admin_users.update({'y'})\nc.Authenticator.admin_users = {'b'}\nc.Authenticator.admin_users.add('a')", ("a", "b")),
        ("= {'a'}\nif X:\n    c.Authenticator.admin_users = {'b'}", ("a",)), ("= {'a'}\nc.Authenticator.admin_users.update(f())", ("a",)),
    ],
)  # fmt: skip
def test_what_is_added_and_what_is_set_anew(folder, capsys, text, users):
    site, _ = move(folder, capsys, f"c.Authenticator.admin_users {text}\n")
    assert tuple(sorted(site.hub.admin_users)) == users


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("= {'A': '1', 'B': '2'}\nc.Spawner.environment = {'A': '3'}", {"A": "3"}), ("= {'A': '1'}\nc.Spawner.environment.update({'B': '2'}, C='3')", {"A": "1", "B": "2", "C": "3"}),
        ("= dict(A='1')\nc.Spawner.environment['B'] = '2'", {"A": "1", "B": "2"}), ("= {'A': '1'}\nc.Spawner.environment.setdefault('A', '2')", {"A": "1"}),
        ("= {'A': '1'}\nc.Spawner.environment |= {'A': '2'}", {"A": "2"}), ("= {'A': '1'}\nmore = {'B': '2'}\nc.Spawner.environment = {**more, 'C': '3'}", {"B": "2", "C": "3"}),
        ("= {'A': '1'}\ne = c.Spawner.environment\ne['B'] = '2'", {"A": "1", "B": "2"}), ("= {'A': '1'}\nc.Spawner.environment = f()", {}),
        ("= {'A': 4, 'B': 0.5, 'C': True, 'D': None}", {"A": "4", "B": "0.5", "C": "True"}),
    ],
)  # fmt: skip
def test_variables_that_are_added_or_set_anew(folder, capsys, text, variables):
    site, _ = move(folder, capsys, f"{DOCKER}c.Spawner.environment {text}\n")
    assert {
        name: value for name, value in site.servers.environment.items() if name in {"A", "B", "C"}
    } == variables


@pytest.mark.parametrize(
    ("spawner", "text", "limit"),
    [
        ("docker", "c.DockerSpawner.mem_limit = '2G'\nc.Spawner.mem_limit = '1G'", "2G"), ("docker", "c.Spawner.mem_limit = '1G'\nc.DockerSpawner.mem_limit = '2G'", "2G"),
        ("dockerspawner.SwarmSpawner", "c.SwarmSpawner.mem_limit = '3G'\nc.DockerSpawner.mem_limit = '2G'\nc.Spawner.mem_limit = '1G'", "3G"),
        ("docker", "c.Spawner.mem_limit = '1G'\nc.KubeSpawner.mem_limit = '2G'", "1G"), ("docker", "c.Spawner.mem_limit = '1G'\nc.SwarmSpawner.mem_limit = '2G'", "1G"),
        ("kubernetes", "c.KubeSpawner.mem_limit = '2G'\nc.Spawner.mem_limit = '1G'\nc.DockerSpawner.mem_limit = '4G'", "2G"),
        ("mine.MyDockerSpawner", "c.MyDockerSpawner.mem_limit = '2G'\nc.DockerSpawner.mem_limit = '1G'", None), ("docker", "c.DockerSpawner.mem_limit = f()\nc.Spawner.mem_limit = '1G'", None),
        ("docker", "if X:\n    c.DockerSpawner.mem_limit = '2G'\nc.Spawner.mem_limit = '1G'", "1G"), ("docker", "c.Spawner.mem_limit = '1G'\nc.Spawner.mem_limit = f()", None),
    ],
)  # fmt: skip
def test_a_spawner_s_own_class_counts_more_than_its_bases(folder, capsys, spawner, text, limit):
    site, said = move(folder, capsys, f"c.JupyterHub.spawner_class = '{spawner}'\n{text}\n")
    assert site.servers.mem_limit == (limit and int(limit[0]) * 2**30)
    for each in (each for those in said.values() for each in those if "mem_limit" in each["name"]):
        assert each["keys"] or each["note"], each


@pytest.mark.parametrize(
    ("text", "base_url", "bind_url"),
    [
        ("c.JupyterHub.bind_url = 'http://:8000/jupyterhub'", "/jupyterhub/", 8000), ("c.JupyterHub.port = 8888", "/", 8888), ("c.JupyterHub.bind_url = 'http://:9000'", "/", 9000),
        ("c.JupyterHub.bind_url = 'http://:9000/x'", "/x/", 9000), ("c.JupyterHub.base_url = '/y'\nc.JupyterHub.bind_url = 'http://:9000'", "/y/", 9000), ("x = 1", "/", 8000),
        ("c.JupyterHub.port = 9000\nc.JupyterHub.port = 8000", "/", 8000), ("c.JupyterHub.port = True", "/", 8000), ("c.JupyterHub.bind_url = 'http://:9000/jupyterhub/'", "/jupyterhub/", 9000),
    ],
)  # fmt: skip
def test_where_another_hub_was_reached(folder, capsys, text, base_url, bind_url):
    site, _ = move(folder, capsys, f"{DOCKER}{text}\n")
    assert (site.hub.base_url, site.hub.bind_url) == (base_url, f"http://0.0.0.0:{bind_url}")


@pytest.mark.parametrize(
    "text",
    [
        "x = ['a']\nsame = x\nsame.append('b')\nc.Authenticator.admin_users = x", "x = ['a']\nc.Authenticator.admin_users = x\nx.append('b')", "x = {'l': ['a']}\nx['l'].append('b')\nc.Authenticator.admin_users = x['l']",
        "import os\nos.environ['U'] = 'b'\nc.Authenticator.admin_users = [os.environ.get('U', 'a')]", "import os\nos.environ.update(f())\nc.Authenticator.admin_users = [os.environ.get('U', 'a')]",
        "x = ['a']\nx += ['b']\nc.Authenticator.admin_users = x", "c.Authenticator.admin_users = ['a']\ndel c.Authenticator.admin_users",
    ],
)  # fmt: skip
def test_what_changes_after_it_is_made_is_not_taken_for_what_it_was(folder, capsys, text):
    site, said = move(folder, capsys, f"{text}\n")
    if "del " not in text:
        assert site.hub.admin_users == ()
    assert any(
        each["outcome"] == "not carried" and "It is code" in each["note"]
        for those in said.values()
        for each in those
    )


@pytest.mark.parametrize(
    "line", ["c.A.b.append({n})", "c.Spawner.environment['A{n}'] = 'x'", "x{n} = [1]; x{n}.append(2)", "c{n} = c.A; c{n}.b = 1", "c.A.b = c.A.d = {n}", "x = [x]; c.A.b = x"]
)  # fmt: skip
def test_many_lines_are_read_soon(folder, capsys, line):
    before = time.process_time()
    move(folder, capsys, DOCKER + "x = [1]\n" + "".join(line.format(n=n) + "\n" for n in range(1500)))
    assert time.process_time() - before < 20
