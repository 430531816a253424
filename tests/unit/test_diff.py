"""What a change of a site file changes, and what it takes."""

import io
import json
import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.helpers import EXAMPLE, MINIMAL, dump, site_of, site_text
from xnathub_conf.cli import main
from xnathub_conf.site.differences import differences, whole_effect
from xnathub_conf.site.problems import dotted
from xnathub_conf.site.schema import EFFECTS, resolve, site_schema, takes_effect


def leaves(node, path=(), section=None):
    """List every key of the schema that is no section, with its own schema and that of the section it stands in."""
    for name, child in node["properties"].items():
        child = resolve(child)
        if "properties" in child and child.get("x-type") != "secret":
            yield from leaves(child, (*path, name), child)
        else:
            yield (*path, name), child, section


def test_the_schema_says_of_every_key_what_its_change_takes():
    for path, node, section in leaves(site_schema()):
        said = node.get("x-takes-effect", (section or {}).get("x-takes-effect"))
        assert said in EFFECTS, f"{dotted(path)} has no x-takes-effect"
        assert takes_effect(path) == said


def found(old, new):
    return [(dotted(each.key), each.kind, each.old, each.new, each.effect) for each in differences(old, new)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"servers__uid": 1000, "hub__base_url": "/jupyterhub/"}, []),
        (
            {"servers__allowed_images": ["a/b", "c/d"]},
            {"servers__allowed_images": ["c/d", "a/b", "c/d"]},
            [],
        ),
        ({}, {"servers__uid": 54}, [("servers.uid", "changed", 1000, 54, "new-servers")]),
        (
            {"servers__allowed_images": ["a/b"]},
            {"servers__allowed_images": ["c/d"]},
            [
                ("servers.allowed_images", "removed", "a/b", None, "live"),
                ("servers.allowed_images", "added", None, "c/d", "live"),
            ],
        ),
        (
            {"servers__environment": {"A": "1", "B": "2"}},
            {"servers__environment": {"B": "3", "C": "4"}},
            [
                ("servers.environment.A", "removed", "1", None, "live"),
                ("servers.environment.B", "changed", "2", "3", "live"),
                ("servers.environment.C", "added", None, "4", "live"),
            ],
        ),
        (
            {},
            {"orchestrator": {"docker": {"prefix": "j"}}},
            [("orchestrator", "changed", "swarm", "docker", "running-servers")],
        ),
        (
            {},
            {"orchestrator__swarm": {"network_name": "net", "prefix": "j"}},
            [
                (
                    "orchestrator.swarm.network_name",
                    "changed",
                    "xnat_jupyterhub",
                    "net",
                    "running-servers",
                ),
                ("orchestrator.swarm.prefix", "changed", "jupyter", "j", "new-servers"),
            ],
        ),
    ],
)
def test_differences(before, after, expected):
    assert found(site_of(**before), site_of(**after)) == expected


def test_extra_is_told_by_its_class():
    before = site_of(extra={"Authenticator.blocked_users": ["a", "b"]})
    after = site_of(
        extra={"Authenticator.blocked_users": ["b", "a"], "SwarmSpawner.consecutive_failure_limit": 3}
    )
    assert found(before, after) == [
        ('extra["Authenticator.blocked_users"]', "changed", ("a", "b"), ("b", "a"), "hub-restart"),
        ('extra["SwarmSpawner.consecutive_failure_limit"]', "added", None, 3, "new-servers"),
    ]


@given(st.sets(st.sampled_from(sorted(EFFECTS))))
def test_together_they_take_what_the_worst_takes(effects):
    keys = {
        "nothing": "xnat__stop_timeout",
        "live": "servers__cpu_limit",
        "hub-restart": "hub__uid",
        "new-servers": "servers__uid",
        "running-servers": "orchestrator__swarm__network_name",
        "new-networks": "orchestrator__swarm__mtu",
    }
    values = {
        "nothing": 61,
        "live": 2,
        "hub-restart": 7,
        "new-servers": 7,
        "running-servers": "net",
        "new-networks": 1400,
    }
    after = site_of(**{keys[effect]: values[effect] for effect in effects})
    all_effects = list(EFFECTS)
    expected = all_effects[max((all_effects.index(effect) for effect in effects), default=0)]
    assert whole_effect(differences(site_of(), after)) == expected


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(MINIMAL)
    new = site_text(
        servers__mem_limit="8G",
        servers__environment={"X": "a`|b"},
        hub__api_token={"env": "TOKEN"},
        hub__base_url="/hub/",
    )
    (tmp_path / "new.yaml").write_text(new)
    return tmp_path


def test_text(files, capsys):
    assert main(["diff", "old.yaml", "new.yaml"]) == 1
    assert capsys.readouterr().out == (
        "Stop running servers, then restart the hub; what still runs is lost to it:\n"
        '  hub.base_url: "/jupyterhub/" -> "/hub/"\n'
        "\n"
        "Restart the hub; running servers go on:\n"
        "  hub.api_token: {file: /run/secrets/hub_api_token} -> {env: TOKEN}\n"
        "\n"
        "Deploy the file: a hub that sees it change takes it while it runs; servers that start after that have it:\n"
        '  servers.environment.X: + "a`|b"\n'
        "  servers.mem_limit: not set -> 8G\n"
        "\n"
        "In all: stop running servers, then restart the hub; what still runs is lost to it.\n"
    )
    assert main(["diff", "old.yaml", "old.yaml"]) == 0
    assert capsys.readouterr().out == "Nothing changes.\n"


def test_markdown(files, capsys):
    assert main(["diff", "--format=markdown", "old.yaml", "new.yaml"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("**`new.yaml`**: stop running servers")
    assert lines[2:4] == ["| setting | before | after | what to do |", "|---|---|---|---|"]
    row = next(line for line in lines if "environment.X" in line)
    assert row.startswith('| `servers.environment.X` |  | `` "a`\\|b" `` | deploy the file: ')
    assert len(lines) == 8
    assert main(["diff", "--format=markdown", "old.yaml", "old.yaml"]) == 0
    assert capsys.readouterr().out == "**`old.yaml`**: nothing changes.\n"


def test_json(files, capsys):
    assert main(["diff", "--format=json", "old.yaml", "new.yaml"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["same"], report["effect"]) == (False, "running-servers")
    change = next(each for each in report["changes"] if each["key"] == "servers.mem_limit")
    lines = (files / "new.yaml").read_text().splitlines()
    assert lines[change.pop("new_line") - 1].strip() == "mem_limit: 8G"
    assert change == {
        "key": "servers.mem_limit", "kind": "changed", "old": None, "new": 8 * 1024**3, "old_line": None,
        "effect": "live",
    }  # fmt: skip
    assert main(["diff", "--format=json", "old.yaml", "old.yaml"]) == 0
    assert json.loads(capsys.readouterr().out) == {"same": True, "effect": "nothing", "changes": []}


def test_secrets_are_never_shown(files, capsys):
    for name in ("one", "two"):
        text = site_text(
            hub__api_token=f"s3cr3t-{name}" * 8,
            servers__environment={"DB_PASSWORD": f"s3cr3t-{name}"},
            extra={"ConfigurableHTTPProxy.auth_token": f"s3cr3t-{name}"},
        )
        (files / f"{name}.yaml").write_text(text)
    for form in ("text", "json", "markdown"):
        assert main(["diff", f"--format={form}", "one.yaml", "two.yaml"]) == 1
        out, err = capsys.readouterr()
        assert "s3cr3t" not in out + err
        assert out.count("********") == 6


def test_trouble_is_2(files, capsys):
    (files / "bad.yaml").write_text("version: 2\n")
    for pair in (["old.yaml", "bad.yaml"], ["bad.yaml", "old.yaml"], ["none.yaml", "old.yaml"]):
        assert main(["diff", *pair]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "yaml:1:" in err


def test_a_version_in_git_beside_the_file(files, monkeypatch, capsys):
    for command in (
        ["init", "-q"],
        ["add", "old.yaml"],
        ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=files, check=True)
    committed = subprocess.run(["git", "show", "HEAD:old.yaml"], cwd=files, capture_output=True, check=True)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(committed.stdout)))
    assert main(["diff", "-", "new.yaml"]) == 1
    assert "servers.mem_limit: not set -> 8G" in capsys.readouterr().out


def test_the_example_is_the_same_however_it_is_written(files, capsys):
    (files / "again.yaml").write_text("# a comment\n" + dump(yaml.safe_load(EXAMPLE.read_text())))
    assert main(["diff", str(EXAMPLE), "again.yaml"]) == 0
