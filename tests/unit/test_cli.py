"""The command line: exit codes, reports, and files that are written or left alone."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.unit.helpers import EXAMPLE, MINIMAL, dump, loaded, site_text, where
from xnathub_conf.cli import command_line, main
from xnathub_conf.cli.reports import REPORTS, Checked
from xnathub_conf.site.problems import Problem, dotted
from xnathub_conf.site.schema import entries, schema_text

XNATHUB = Path(sys.executable).with_name("xnathub")
MISTAKES = Path(__file__).with_name("eight_mistakes.yaml")
WARNS = MINIMAL.replace("https://", "http://")


def run(*arguments, **options):
    return subprocess.run(
        [XNATHUB, *map(str, arguments)], capture_output=True, text=True, timeout=30, **options
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {"good.yaml": MINIMAL, "warns.yaml": WARNS, "bad.yaml": "version: 2\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "good.yaml").write_text(MINIMAL)
    (tmp_path / "odd [name] 100%, é.yaml").write_text(MINIMAL)
    return tmp_path


# ---- validate


def test_validate_stays_light():
    script = (
        "import sys; from xnathub_conf.cli import main; "
        f"assert main(['validate', {str(EXAMPLE)!r}]) == 0; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert "jsonschema" in imported, done.stderr
    assert not imported & {"jupyterhub", "tornado", "traitlets", "dockerspawner", "kubespawner", "requests"}


@pytest.mark.parametrize(
    "arguments", [["-m", "xnathub_conf.hub", "--version"], [XNATHUB, "validate", EXAMPLE]]
)
def test_starts_do_without_a_check_that_takes_a_second_to_import(tmp_path, arguments):
    """Pip brings rfc3987_syntax with JupyterHub, and jsonschema imports it for a format that nothing uses."""
    (tmp_path / "rfc3987_syntax.py").write_text("print('imported')\nis_valid_syntax = None")
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "imported" not in done.stdout


def test_the_checkers_that_jsonschema_does_without_can_still_be_imported():
    script = (
        "import sys, xnathub_conf.site.schema; import rfc3986_validator; assert 'idna' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "files"),
    [
        (["good.yaml"], 0, ["good.yaml"]),
        (["good.yaml", "sub/good.yaml"], 0, ["good.yaml", "sub/good.yaml"]),
        (["good.yaml", "good.yaml"], 0, ["good.yaml"]),
        (["./good.yaml"], 0, ["./good.yaml"]),
        (["sub/*.yaml"], 0, ["sub/good.yaml"]),
        (["**/good.yaml"], 0, ["good.yaml", "sub/good.yaml"]),
        (["[gw]*.yaml"], 0, ["good.yaml", "warns.yaml"]),
        (["odd [name] 100%, é.yaml"], 0, ["odd [name] 100%, é.yaml"]),
        (["warns.yaml"], 0, ["warns.yaml"]),
        (["--strict", "warns.yaml"], 1, ["warns.yaml"]),
        (["--strict", "good.yaml"], 0, ["good.yaml"]),
        (["bad.yaml"], 1, ["bad.yaml"]),
        (["good.yaml", "bad.yaml"], 1, ["good.yaml", "bad.yaml"]),
        (["none.yaml"], 2, ["none.yaml"]),
        (["none*.yaml", "good.yaml", "bad.yaml"], 2, ["none*.yaml", "good.yaml", "bad.yaml"]),
        (["sub"], 2, ["sub"]),
        (["good.yaml/x"], 2, ["good.yaml/x"]),
        (["x" * 5000], 2, ["x" * 5000]),
        ([""], 2, [""]),
        (["--secrets", "good.yaml"], 1, ["good.yaml"]),
    ],
)
@pytest.mark.parametrize("form", REPORTS)
def test_validate(folder, capsys, form, arguments, code, files):  # noqa: PLR0917
    assert main(["validate", f"--format={form}", *arguments]) == code
    out, err = capsys.readouterr()
    assert err == ""
    if form == "json":
        report = json.loads(out)
        assert report["valid"] == (code == 0)
        assert [each["file"] for each in report["files"]] == files
        for each in report["files"]:
            assert each["valid"] == (
                (each["file"] not in {"bad.yaml"} and code == 0)
                or (each["file"] == "good.yaml" and "--secrets" not in arguments)
            )
    if form == "text":
        assert [
            line.rsplit(": ", 1)[0] for line in out.splitlines() if re.search(r": (not )?valid", line)
        ] == files


def test_what_text_says(folder, capsys):
    main(["validate", "good.yaml", "warns.yaml", str(MISTAKES), "none.yaml"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "good.yaml: valid"
    assert lines[1].startswith("warns.yaml:3:8: warning: xnat.url: ")
    assert lines[2] == "warns.yaml: valid (1 warning)"
    assert lines[3].startswith(f"{MISTAKES}:2:10: error: version: Found 2; expected 1.")
    assert lines[11] == f"{MISTAKES}: not valid (8 errors)"
    assert lines[12].startswith("none.yaml:1:1: error: The file can't be read: No such file or directory.")


def test_json_holds_the_eight_mistakes_with_their_places(capsys):
    assert main(["validate", "--format", "json", str(MISTAKES)]) == 1
    (file,) = json.loads(capsys.readouterr().out)["files"]
    text = MISTAKES.read_text()
    assert len(file["problems"]) == 8
    problem = next(p for p in file["problems"] if p["rule"] == "unknown-key")
    line, column = where(text, "start_timout")
    assert problem == {
        "line": line, "column": column, "path": "servers.start_timout", "rule": "unknown-key", "severity": "error",
        "message": "There is no such key.", "fix": "Did you mean `start_timeout`?",
    }  # fmt: skip


def test_standard_input(folder, monkeypatch, capsys):
    done = run("validate", "good.yaml", "-", "--format=json", input="version: 2", cwd=folder)
    assert done.returncode == 1
    assert [each["file"] for each in json.loads(done.stdout)["files"]] == ["good.yaml", "<stdin>"]
    for text, code in ((MINIMAL, 0), ("", 1)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["validate", "-"]) == code
        assert "<stdin>: " + ("valid\n" if code == 0 else "not valid") in capsys.readouterr().out


def test_secrets_are_asked_for_by_a_flag_only(folder, monkeypatch, capsys):
    (folder / "s.yaml").write_text(
        site_text(hub__api_token={"env": "T"}, xnat__service_account={"password": {"env": "P"}})
    )
    assert main(["validate", "s.yaml"]) == 0
    assert main(["validate", "--secrets", "s.yaml"]) == 1
    monkeypatch.setenv("T", "s3cr3t-of-hub" * 5)
    monkeypatch.setenv("P", "s3cr3t")
    assert main(["validate", "--secrets", "s.yaml"]) == 0
    monkeypatch.setenv("T", "s3cr3t")
    assert main(["validate", "--secrets", "s.yaml"]) == 1
    assert "s3cr3t" not in "".join(capsys.readouterr())


NASTY = Problem(
    "a,b:c%0A\n.yaml",
    3,
    7,
    ("x", "y,z:%"),
    "syntax",
    "100% wrong:\r\n::error::no, really",
    "Mend it.",
    "error",
)
WARNING = Problem("f.yaml", 1, 2, (), "lock-out", "Look.", "", "warning")


def test_github_annotations_are_escaped():
    lines = REPORTS["github"]([Checked("f", False, (NASTY, WARNING))]).splitlines()
    assert len(lines) == 2
    assert lines[0] == (
        '::error file=a%2Cb%3Ac%250A%0A.yaml,line=3,col=7,title=x["y%2Cz%3A%25"]::100%25 wrong:%0D%0A::error::no, really Mend it.'
    )
    assert lines[1] == "::warning file=f.yaml,line=1,col=2,title=lock-out::Look."
    assert REPORTS["github"]([Checked("f", True, ())]) == ""


def test_sarif_has_what_its_version_asks_for():
    sarif = json.loads(
        REPORTS["sarif"](
            [
                Checked("f", False, (NASTY, WARNING)),
                Checked("g h/é.yaml", False, (Problem("g h/é.yaml", 1, 1, (), "syntax", "m"),)),
            ]
        )
    )
    assert sarif["version"] == "2.1.0"
    assert sarif["$schema"].endswith("sarif-2.1.0.json")
    (each,) = sarif["runs"]
    driver = each["tool"]["driver"]
    assert driver["name"] == "xnathub"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", driver["version"])
    ids = [rule["id"] for rule in driver["rules"]]
    assert ids == sorted(set(ids))
    assert len(each["results"]) == 3
    for result, file in zip(each["results"], (NASTY.file, "f.yaml", "g h/é.yaml"), strict=True):
        assert result["ruleId"] in ids
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["message"]["text"]
        (location,) = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9._~/%!$&'()*+,;=@-]+", uri)
        assert unquote(urlsplit(uri).path) == file
        assert location["physicalLocation"]["region"]["startLine"] >= 1
        assert location["physicalLocation"]["region"]["startColumn"] >= 1
    empty = json.loads(REPORTS["sarif"]([Checked("f", True, ())]))
    assert empty["runs"][0]["results"] == []


def test_names_that_no_terminal_can_show(folder, capsys):
    name = os.fsdecode(b"caf\xe9.yaml")
    (folder / name).write_text("version: 2\ngr\u00fc\u00df: 1\n")
    for form in REPORTS:
        assert main(["validate", "--format", form, name]) == 1
        assert "caf" in capsys.readouterr().out
    done = run("validate", name, env={**os.environ, "PYTHONIOENCODING": "ascii:strict"})
    assert (done.returncode, done.stderr) == (1, "")
    assert "gr\\xfc\\xdf" in done.stdout


# ---- show and schema


def test_show_lists_every_key_with_its_line(capsys):
    assert main(["show", "--json", str(EXAMPLE)]) == 0
    rows = json.loads(capsys.readouterr().out)
    result = loaded(EXAMPLE.read_bytes())
    assert {dotted(path) for path, _ in entries(result.site)} <= {row["key"] for row in rows}
    lines = EXAMPLE.read_text().splitlines()
    for row in rows:
        assert set(row) == {"key", "value", "line", "sets"}
        last = (
            row["key"].split('["')[-1].removesuffix('"]') if '["' in row["key"] else row["key"].split(".")[-1]
        )
        assert row["line"] is None or f"{last}:" in lines[row["line"] - 1]
    by_key = {row["key"]: row for row in rows}
    assert by_key["hub.uid"]["line"] == where(EXAMPLE.read_text(), "uid: 1000")[0]
    assert by_key["orchestrator.docker"]["line"] is None
    assert by_key["servers.start_timeout"]["sets"] == {"Spawner.start_timeout": 120}
    assert by_key["hub.bind_url"]["sets"] == {"JupyterHub.bind_url": "http://0.0.0.0:8000/jupyterhub/"}
    assert by_key["hub.api_token"]["value"] == "{file: /run/secrets/hub_api_token}"
    traits = [trait for row in rows for trait in row["sets"]]
    assert len(traits) == len(set(traits)) > 20


def test_show_as_text_says_the_same(folder, capsys):
    main(["show", "--json", "good.yaml"])
    rows = json.loads(capsys.readouterr().out)
    assert main(["show", "good.yaml"]) == 0
    out = capsys.readouterr().out
    for row in rows:
        origin = f"good.yaml:{row['line']}" if row["line"] else "default"
        assert f"{row['key']} = {json.dumps(row['value'], ensure_ascii=False)}  ({origin})\n" in out
        for trait in row["sets"]:
            assert f"    {trait} = " in out
    assert 'xnat.url = "https://xnat.example.org"  (good.yaml:3)' in out


def test_show_redacts(folder, capsys):
    text = site_text(
        hub__api_token="s3cr3t-of-hub" * 4,
        hub__db_url="postgresql://u:s3cr3t@h/d",
        extra={"ConfigurableHTTPProxy.auth_token": "s3cr3t"},
    )
    (folder / "s.yaml").write_text(text)
    for arguments in (["s.yaml"], ["s.yaml", "--json"]):
        assert main(["show", *arguments]) == 0
        out, err = capsys.readouterr()
        assert "s3cr3t" not in out + err
        assert "********" in out


def test_show_of_what_is_not_valid(folder, capsys):
    for name in ("bad.yaml", "none.yaml"):
        assert main(["show", name]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"{name}:1:")


def test_schema(capsys):
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == schema_text()


# ---- init

FLAGS = ["--xnat-url=https://x.org", "--public-url=https://x.org/jupyterhub/", "--image=xnat/*"]


@pytest.mark.parametrize("orchestrator", ["local", "docker", "swarm", "kubernetes"])
def test_init_writes_a_small_commented_valid_file(folder, capsys, orchestrator):
    assert main(["init", "new.yaml", *FLAGS, f"--orchestrator={orchestrator}"]) == 0
    then = capsys.readouterr().out
    # Elsewhere the secrets are in the hub's container alone.
    assert ("validate --secrets" in then) == (orchestrator == "local")
    assert f"docs/{orchestrator}.md" in then or orchestrator == "local"
    text = (folder / "new.yaml").read_text()
    assert len(text.splitlines()) < 25
    assert "#" in text
    assert list(yaml.safe_load(text)["orchestrator"]) == [orchestrator]
    # Where an ingress controller will be, nobody can guess.
    ignored = ["--ignore", "unnamed-proxies"] if orchestrator == "kubernetes" else []
    assert main(["validate", "--strict", *ignored, "new.yaml"]) == 0
    assert loaded(text).site.xnat.url == "https://x.org"


def test_init_writes_the_schema_for_editors(folder):
    schema = folder / "site.schema.json"
    for before, after in (
        (None, schema_text()),
        ('{"$id": "urn:xnathub:site:1"}', schema_text()),
        ("mine", "mine"),
    ):
        if before:
            schema.write_text(before)
        assert main(["init", "new.yaml", "--force", *FLAGS]) == 0
        assert schema.read_text() == after
    assert (folder / "new.yaml").read_text().startswith("# yaml-language-server: $schema=site.schema.json\n")


def test_init_replaces_nothing_unless_told(folder, capsys):
    for name in ("good.yaml", "sub"):
        assert main(["init", name, *FLAGS]) == 2
        assert "--force" in capsys.readouterr().err
    assert (folder / "good.yaml").read_text() == MINIMAL
    assert main(["init", "good.yaml", "--force", *FLAGS]) == 0
    assert (folder / "good.yaml").read_text() != MINIMAL
    assert main(["init", "sub", "--force", *FLAGS]) == 2
    assert main(["init", "none/new.yaml", *FLAGS]) == 2


@pytest.mark.parametrize(
    "bad",
    ["--xnat-url=x.org", "--xnat-url=https://x.org\n", '--xnat-url="', "--public-url=https://x.org/", "--public-url=x", "--image=A B", "--image=XN AT",
     "--image=a: b", "--xnat-url=https://u:s3cr3t@x.org", "--image=😀", "--image=\ud800"],
)  # fmt: skip
def test_init_with_a_bad_answer_writes_nothing(folder, capsys, bad):
    before = sorted(folder.iterdir())
    assert main(["init", "new.yaml", *FLAGS, bad]) == 1
    assert sorted(folder.iterdir()) == before
    err = capsys.readouterr().err
    assert len(err) > 20
    assert "s3cr3t" not in err
    assert main(["init", "good.yaml", "--force", *FLAGS, bad]) == 1
    assert (folder / "good.yaml").read_text() == MINIMAL


def on_terminal(folder, typed):
    """Run `xnathub init` on a terminal of its own, where `typed` is typed; gives its exit code and the screen."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [XNATHUB, "init", "new.yaml"],
        cwd=folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        close_fds=True,
    )
    os.close(terminal)
    os.write(controller, typed)
    screen = b""
    try:
        while piece := os.read(controller, 4096):
            screen += piece
    except OSError:
        pass
    os.close(controller)
    return process.wait(20), screen.decode()


def test_init_asks_on_a_terminal(folder):
    code, screen = on_terminal(folder, b"https://y.org\n\nmy/image:1\nkubernetes\n54\n55\n")
    assert code == 0, screen
    # What nobody has typed yet is no mistake.
    assert 'Found "y.org/jupyterhub/"' not in screen
    data = yaml.safe_load((folder / "new.yaml").read_text())
    assert data["xnat"]["url"] == "https://y.org"
    assert data["hub"]["public_url"] == "https://y.org/jupyterhub/"
    assert data["servers"]["allowed_images"] == ["my/image:1"]
    assert list(data["orchestrator"]) == ["kubernetes"]
    assert (data["servers"]["uid"], data["servers"]["gid"]) == (54, 55)
    assert "[https://y.org/jupyterhub/]" in screen


def test_init_asks_again_after_a_bad_answer_and_says_why(folder):
    typed = b"\ny.org\nhttps://y.org\nhttps://y.org/hub/\n\nA B\na/b\npodman\nswarm\nx\n0\n54\n\n999\n"
    code, screen = on_terminal(folder, typed)
    assert code == 0, screen
    for said in (
        "fragment. Write https://y.org.\r\n",
        "Write https://y.org/jupyterhub/",
        "docker pull",
        "Write one of",
        "Write a number",
        "1 or more",
    ):
        assert said in screen
    data = yaml.safe_load((folder / "new.yaml").read_text())
    assert data["xnat"]["url"] == "https://y.org"
    assert data["servers"]["uid"] == 54
    assert data["hub"]["gid"] == 999
    assert main(["validate", "--strict", "new.yaml"]) == 0


def test_init_offers_what_this_host_has(folder, monkeypatch):
    (folder / "archive").mkdir()
    (folder / "docker.sock").touch()
    if os.getuid():
        pytest.skip("needs root, to give files to others")
    os.chown(folder / "archive", 1234, 1235)
    os.chown(folder / "docker.sock", 0, 990)
    monkeypatch.setattr("xnathub_conf.cli.init._ARCHIVE", folder / "archive")
    monkeypatch.setattr("xnathub_conf.cli.init._SOCKET", folder / "docker.sock")
    assert main(["init", "new.yaml", *FLAGS]) == 0
    data = yaml.safe_load((folder / "new.yaml").read_text())
    assert (data["servers"]["uid"], data["servers"]["gid"], data["hub"]["gid"]) == (1234, 1235, 990)
    tomcat = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", "org.apache.catalina.startup.Bootstrap"],
        cwd="/",
        user=4321,
        group=4322,
        extra_groups=[],
    )
    try:
        assert main(["init", "new.yaml", "--force", *FLAGS]) == 0
    finally:
        tomcat.kill()
        tomcat.wait()
    data = yaml.safe_load((folder / "new.yaml").read_text())
    assert (data["servers"]["uid"], data["servers"]["gid"]) == (4321, 4322)


def test_init_writes_an_example_s_addresses_only_on_demand(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["init", "new.yaml"]) == 2
    assert "--xnat-url" in capsys.readouterr().err
    assert not (folder / "new.yaml").exists()
    assert main(["init", "new.yaml", "--example"]) == 0
    assert "https://xnat.example.org/jupyterhub/" in (folder / "new.yaml").read_text()


def test_xnathub_alone_prints_its_commands(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    for command in ("validate", "init", "demo", "doctor"):
        assert command in out


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (b"\x04", 2, "nothing is written"), (b"https://y.org\n\n\x04", 2, "nothing is written"), (b"y.org\n\x04", 2, "nothing is written"),
        (b"https://y.org/xnat\n\n\x04", 2, "nothing is written"),
    ],
)  # fmt: skip
def test_init_that_is_left_or_answered_badly_writes_nothing(folder, monkeypatch, capsys, typed, code, said):  # noqa: PLR0917
    controller, terminal = pty.openpty()
    with open(terminal) as keyboard:  # noqa: PTH123
        os.write(controller, typed)
        monkeypatch.setattr("sys.stdin", keyboard)
        assert main(["init", "new.yaml"]) == code
    os.close(controller)
    assert not (folder / "new.yaml").exists()
    assert said in capsys.readouterr().err


# ---- the rest


def commands(parser, words=()):
    """List the words of every command, those with commands below them too."""
    yield list(words)
    for action in parser._actions:
        for name, below in action.choices.items() if isinstance(action.choices, dict) else ():
            yield from commands(below, (*words, name))


@pytest.mark.parametrize("arguments", [*commands(command_line())], ids=" ".join)
def test_help_fits_a_small_terminal(arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) <= 24
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate"],
        ["nothing"],
        ["validate", "--format", "xml", "f"],
        ["init", "--orchestrator", "podman"],
        ["demo", "--hub-port", "x"],
    ],
)
def test_wrong_arguments_are_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: xnathub" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert re.fullmatch(r"xnathub \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["show", EXAMPLE], 0),
        (["schema"], None),
    ],
)
def test_a_broken_pipe_is_quiet(arguments, code):
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run([XNATHUB, *arguments], stdout=write_end, stderr=subprocess.PIPE, text=True)
    os.close(write_end)
    assert done.stderr == ""
    assert code is None or done.returncode == code


def test_run_checks_first(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["run", "bad.yaml"]) == 1
    assert "bad.yaml:1:10: error: version" in capsys.readouterr().err
    assert main(["run", "good.yaml"]) == 1  # its secrets are not there
    assert "can't be read" in capsys.readouterr().err
    (folder / "d.yaml").write_text(dump({"version": 1}))
    assert main(["run", "d.yaml"]) == 1


@pytest.mark.parametrize(
    ("orchestrator", "instead"),
    [
        ({"kubernetes": {"claims": [{"path": "/data/xnat", "claim_name": "xnat"}]}}, "helm upgrade --install hub"),
        ({"docker": {}}, "docker compose up --detach"),
        ({"local": {"directory": "/srv/hub"}}, "xnathub run site.yaml"),
    ],
)  # fmt: skip
def test_apply_says_what_deploys_where_there_is_no_swarm(tmp_path, capsys, orchestrator, instead):
    file = tmp_path / "site.yaml"
    file.write_text(site_text(orchestrator=orchestrator))
    assert main(["apply", str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert instead in err
    assert "deploys to a Swarm" in err
