"""The schema itself, and that code, schema and the pinned packages are in step."""

import json
import re
import runpy
import subprocess
import sys
import tomllib

import pytest
from jsonschema import Draft202012Validator

from tests.unit.helpers import EXAMPLE, MINIMAL, ROOT, dump, loaded, problems_of, put, site_text
from xnathub_conf import __version__
from xnathub_conf.site.hub_settings import hub_settings
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.schema import (
    entries,
    jupyterhub_names,
    keys_named,
    node_at,
    resolve,
    schema_text,
    site_schema,
)
from xnathub_conf.site.types import Site


def walk(node, path=""):
    """Every schema below a schema, `$ref`s followed, with its place."""
    node = resolve(node)
    yield path, node
    for key, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{key}".lstrip("."))
    for key, name in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(node.get(key), dict):
            yield from walk(node[key], path + name)


NODES = dict(walk(site_schema()))
OBJECTS = {path: node for path, node in NODES.items() if "object" in node.get("type", ())}


def validator(node):
    return Draft202012Validator({**node, "$defs": site_schema()["$defs"]})


def test_the_schema_is_valid_and_follows_its_own_draft():
    assert site_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(site_schema())
    assert json.loads(schema_text()) == site_schema()
    assert len(NODES) > 90


@pytest.mark.parametrize("path", OBJECTS)
def test_every_object_refuses_unknown_keys_or_is_a_map(path):
    node = OBJECTS[path]
    if "properties" in node:
        assert node["additionalProperties"] is False
    else:
        assert isinstance(node["additionalProperties"], dict)


@pytest.mark.parametrize("path", [path for path, node in OBJECTS.items() if "properties" in node])
def test_an_unknown_key_is_refused_at_every_level(path):
    full = loaded(EXAMPLE.read_bytes()).document.data
    if path.startswith("orchestrator."):
        name = path.split(".")[1]
        settings = {
            "local": {"directory": "/d"},
            "docker": {"tls": full["orchestrator"]["swarm"]["tls"]},
            "swarm": full["orchestrator"]["swarm"],
            "kubernetes": {"claims": [{"path": "/a", "claim_name": "a"}], "tolerations": [{"key": "a"}]},
        }
        full = put(full, "orchestrator", {name: settings[name.removesuffix("[]")]})
    full = put(full, "hub/db_url", {"file": "/a"})
    place = f"{path.replace('[]', '.0').replace('.', '/')}/zz_unknown".lstrip("/")
    found = [p for p in problems_of(dump(put(full, place, 1))) if p.rule in {"unknown-key", "maxProperties"}]
    assert "unknown-key" in {p.rule for p in found}
    # What follows a secret's key might be the secret itself, and is not repeated.
    secret = NODES[path].get("x-type") == "secret"
    assert any(p.path[-1] == ("zz_unknown" if not secret else path.split(".")[-1]) for p in found)


@pytest.mark.parametrize("path", [path for path in NODES if not path.endswith(("[]", ".*"))])
def test_every_property_is_described_in_a_sentence(path):
    description = NODES[path].get("description", "")
    assert len(description) > 10
    assert description.endswith((".", "`"))


@pytest.mark.parametrize("path", [path for path, node in NODES.items() if "default" in node])
def test_defaults_fit_their_schema(path):
    assert list(validator(NODES[path]).iter_errors(NODES[path]["default"])) == []


@pytest.mark.parametrize("path", [path for path, node in NODES.items() if "examples" in node])
def test_examples_fit_their_schema_and_our_reader(path):
    for example in NODES[path]["examples"]:
        assert list(validator(NODES[path]).iter_errors(example)) == []


@pytest.mark.parametrize("path", [path for path, node in NODES.items() if "pattern" in node])
def test_a_pattern_covers_the_whole_text_and_says_what_it_wants(path):
    node = NODES[path]
    assert node["pattern"].startswith("^")
    assert "x-expected" in node


@pytest.mark.parametrize(
    "path", [path for path, node in NODES.items() if node.get("type") in ("integer", "number")]
)
def test_numbers_have_a_lower_bound(path):
    node = NODES[path]
    assert "minimum" in node or "exclusiveMinimum" in node or "const" in node


def test_optional_objects_have_a_default_or_are_a_choice():
    """So that a Site never lacks a section that code reads."""
    for path, node in OBJECTS.items():
        for key, child in node.get("properties", {}).items():
            child = resolve(child)
            if (
                child.get("type") == "object"
                and key not in node.get("required", ())
                and "default" not in child
            ):
                assert path == "orchestrator" or key == "tls", f"{path}.{key}"


def test_a_plain_validator_agrees_on_the_example_and_the_minimal_site():
    """Editors use the schema without our code."""
    for text in (MINIMAL, EXAMPLE.read_text()):
        assert list(Draft202012Validator(site_schema()).iter_errors(loaded(text).document.data)) == []


def test_site_and_schema_have_the_same_keys():
    site = {
        ".".join(map(str, path)) for path, _ in entries(loaded(site_text(orchestrator={"swarm": {}})).site)
    }
    for path in site:
        assert path in NODES, path
    required = {
        path
        for path, node in NODES.items()
        if "properties" not in node and "[]" not in path and ".*" not in path
    }
    chosen = {
        path
        for path in required
        if not path.startswith(("orchestrator.local", "orchestrator.docker", "orchestrator.kubernetes"))
    }
    chosen = {path for path in chosen if ".tls." not in path and not path.endswith((".file", ".env"))}
    assert chosen - site == set()
    assert isinstance(loaded(MINIMAL).site, Site)


def test_generated_files_are_in_step():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate", "--check"], capture_output=True, text=True
    )
    # The Kubernetes tests, which have helm, look at this one.
    without_helm = "xnathub_conf/render/manifests.yaml is not looked at: that needs helm.\n"
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout in {"", without_helm}


def test_the_version_is_typed_once_and_generate_writes_it_wherever_else_it_stands(monkeypatch):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version == __version__
    by_itself = re.compile(rf"(?<![\d.]){re.escape(version)}(?![\d.]*\d)")
    files = subprocess.run(
        [
            "git",
            "ls-files",
            "-z",
            "--",
            ":!*.lock",
            ":!package-lock.json",
            ":!tests/kubernetes/binaries/go.*",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {
        name
        for name in files.stdout.rstrip("\0").split("\0")
        if (ROOT / name).is_file() and by_itself.search((ROOT / name).read_text("utf-8", "ignore"))
    }
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = runpy.run_path(str(ROOT / "scripts" / "generate"))
    by_hand, rendered = {"pyproject.toml", "CHANGELOG.md"}, {"xnathub_conf/render/manifests.yaml"}
    # The changelog tells of each released version; before the first release, of none.
    assert found | {"CHANGELOG.md"} == set(script["VERSIONED"]) | by_hand | rendered
    for name, pattern in script["VERSIONED"].items():
        changed = script["with_value"]((ROOT / name).read_text(), pattern, "9.8.7")
        assert "9.8.7" in changed
        assert not by_itself.search(changed), name


def test_the_repository_s_owner_is_typed_once_too(monkeypatch):
    (owner,) = re.findall(
        r'Source = "https://github.com/(\S+)/xnathub"', (ROOT / "pyproject.toml").read_text()
    )
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = runpy.run_path(str(ROOT / "scripts" / "generate"))
    named = subprocess.run(
        ["git", "grep", "-lE", rf"\b(OWNER|{owner})/xnathub\b"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(named.stdout.split()) == set(script["OWNED"]) | {"pyproject.toml"}
    for name, pattern in script["OWNED"].items():
        changed = script["with_value"]((ROOT / name).read_text(), pattern, "another")
        assert f"{owner}/xnathub" not in changed, name
        assert "another/xnathub" in changed


def test_every_trait_that_a_site_decides_exists_in_the_pinned_packages():
    traits = jupyterhub_names()["traits"]
    tls = {"ca_cert": "/a", "client_cert": "/b", "client_key": "/c"}
    for orchestrator in (
        {"local": {"directory": "/d"}},
        {"docker": {"docker_host": "tcp://h:1", "tls": tls}},
        {"swarm": {}},
        {"kubernetes": {"namespace": "x", "claims": [{"path": "/data/xnat", "claim_name": "x"}]}},
    ):
        site = loaded(
            site_text(
                orchestrator=orchestrator,
                hub__public_url="https://x/jupyterhub/",
                hub__db_url={"env": "A"},
                hub__cookie_secret={"env": "B"},
            )
        ).site
        spawner = kinds()[next(iter(orchestrator))].spawner
        for setting in hub_settings(site):
            class_name, name = setting.trait.split(".")
            known = traits[{"Spawner": spawner, "Application": "JupyterHub"}.get(class_name, class_name)]
            assert name in known, setting.trait
            assert setting.key[0] in site_schema()["properties"]
            assert node_at(setting.key) is not None, setting.key


def test_every_trait_of_the_pinned_packages_can_stand_under_extra():
    """Each is taken or refused with a reason that names it, never because of its form."""
    refused = []
    for class_name, names in jupyterhub_names()["traits"].items():
        orchestrator = next((o for o, kind in kinds().items() if kind.spawner == class_name), "swarm")
        settings = {
            "local": {"directory": "/d"},
            "kubernetes": {"claims": [{"path": "/data/xnat", "claim_name": "x"}]},
        }
        text = site_text(
            orchestrator={orchestrator: settings.get(orchestrator, {})},
            extra={f"{class_name}.{name}": 1 for name in names},
        )
        refused += [p for p in problems_of(text) if p.rule == "name"]
    assert [str(p) for p in refused] == []


def test_checking_a_file_imports_nothing_heavy():
    script = (
        "import sys, xnathub_conf.site.load, xnathub_conf.cli.validate, xnathub_conf.cli.show, xnathub_conf.cli.init\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {
        "jupyterhub",
        "dockerspawner",
        "kubespawner",
        "tornado",
        "requests",
        "docker",
        "traitlets",
        "sqlalchemy",
        "kubernetes_asyncio",
    }
    assert set(done.stdout.split()) & heavy == set()


def test_keys_named():
    assert keys_named("start_timeout") == ["xnat.start_timeout", "servers.start_timeout"]
    assert keys_named("nothing") == []
