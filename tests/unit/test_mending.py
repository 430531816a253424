"""`xnathub fix`: what has one sure remedy is mended in place, and nothing else changes."""

import difflib

import pytest

from tests.unit.helpers import EXAMPLE, MINIMAL, problems_of
from tests.unit.test_remedies import NBSP, PLANTED, hub, images, password, servers, swarm, url
from xnathub_conf.cli import main
from xnathub_conf.site.mending import mend

SURE = [
    (servers("mem_limit: 8GB  # of 64"), "mem_limit: 8G  # of 64"),
    (servers('start_timeout: "54" # quoted'), "start_timeout: 54 # quoted"),
    (servers("start_timeout: 1m30s"), "start_timeout: 90"),
    (servers("cpu_limit: 500m"), "cpu_limit: 0.5"),
    (servers("startTimeout: 60"), "start_timeout: 60"),
    (servers("environment: {OMP_NUM_THREADS: 4}"), 'environment: {OMP_NUM_THREADS: "4"}'),
    (servers("allowed_mounts: [/data]"), "allowed_mounts: [{path: /data}]"),
    (hub("JH_UID: 54"), "uid: 54"),
    (hub("shutdown_on_logout: yes"), "shutdown_on_logout: true"),
    (hub("Uid: 54"), "uid: 54"),
    (servers("startTimeout: 90s # both"), "start_timeout: 90 # both"),
    (servers("environment: {Y: yes}"), 'environment: {"Y": "yes"}'),
    (servers("environment: {Y: a}"), 'environment: {"Y": a}'),
    *((servers(f"environment: {{A: {text}}} # kept"), f'environment: {{A: "{text}"}} # kept')
      for text in ("yes", "No", "off", "true", "True", "010", "1:30", "1e3", "1.10", "2024-01-01", "0x1F")),
    (hub("admin_users: admin # one"), "admin_users: [admin] # one"),
    (images("xnat/lab"), "allowed_images: [xnat/lab]"),
    (password("{file:/run/secrets/x}"), "{file: /run/secrets/x}"),
    (password("{env:XNAT_PASSWORD}"), "{env: XNAT_PASSWORD}"),
    (url(f"https://xnat.example.org{NBSP}"), "url: https://xnat.example.org"),
    (url("\u201chttps://xnat.example.org\u201d"), 'url: "https://xnat.example.org"'),
    (MINIMAL.replace("  url: ", "  url:"), "url: https://xnat.example.org"),
    (MINIMAL.replace("  url: ", f"{NBSP}{NBSP}url: "), "  url: https://xnat.example.org"),
    (MINIMAL.replace("  url", "\turl").replace("  service", "\tservice").replace("    pass", "\t\tpass"), "    pass"),
    (MINIMAL.replace("version: 1", 'version: "1"'), "version: 1"),
    (swarm('subnet: "10.20.0.0/20"\n    endpoint_mode: VIP'), "endpoint_mode: vip"),
]  # fmt: skip
"""Files with one mistake, and what their line is after it."""


@pytest.mark.parametrize(("text", "line"), SURE)
def test_one_mistake_is_mended(text, line):
    assert problems_of(text, strict=True)
    mended, edits = mend(text, "site.yaml")
    assert problems_of(mended, strict=True) == []
    assert line in mended
    assert edits
    assert mend(mended, "site.yaml") == (mended, [])


def test_many_mistakes_are_mended_at_once_and_every_other_line_stays():
    text = EXAMPLE.read_text()
    broken = (
        text.replace("  mem_limit: 8G\n", "  mem_limit: 8GB # for all\n")
        .replace("  start_timeout: 120\n", '  start_timeout: "120"\n')
        .replace("  cpu_guarantee: 0.5\n", "  cpu_guarantee: 500m\n")
        .replace("  level: INFO\n", "  level: info\n")
    )
    mended, edits = mend(broken, "site.yaml")
    assert len(edits) == 4
    assert mended == text.replace("  mem_limit: 8G\n", "  mem_limit: 8G # for all\n")


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_good_file_stays_as_it_is(ending):
    text = EXAMPLE.read_text().replace("\n", ending)
    assert mend(text, "site.yaml") == (text, [])


@pytest.mark.parametrize(("made", "mistake"), [each[:2] for each in PLANTED])
def test_what_is_not_sure_is_left_alone(made, mistake):
    """Whatever the mistake, the file has no more of them after it, and lines without one are as they were."""
    text = made(mistake)
    mended, edits = mend(text, "site.yaml")
    before, after = problems_of(text, strict=True), problems_of(mended, strict=True)
    changed = [
        line for line in difflib.ndiff(text.splitlines(), mended.splitlines()) if line.startswith("- ")
    ]
    assert bool(edits) == bool(changed)
    assert len(changed) <= 1 + text.count("\t")
    assert not edits or len(after) < len(before) or {each.line for each in after} != {
        each.line for each in before
    }  # fmt: skip


GUESSES = [
    "sign_in: {everyone: allways}",
    "hub: {bind_url: 9000}",
    "servers: {start_timeout: 1.5}",
]


@pytest.mark.parametrize("guess", GUESSES)
def test_no_guess_is_written(guess):
    text = f"{guess}\n"
    assert mend(text, "site.yaml") == (text, [])


BROKEN = servers("mem_limit: 8GB\n  start_timeout: 999999\n").replace(
    "{file: /run/secrets/xnat", "{file:/run/xnat"
)


def test_the_command_rewrites_the_file_and_says_what_is_left(tmp_path, capsys):
    file = tmp_path / "site.yaml"
    file.write_text(BROKEN)
    file.chmod(0o640)
    assert main(["fix", str(file)]) == 1
    out = capsys.readouterr().out
    assert f"{file}:10: servers.mem_limit: 8GB -> 8G\n" in out
    assert f"{file}:5: a space stands after the colon\n" in out
    assert "start_timeout" in out
    assert file.read_text() == BROKEN.replace("8GB", "8G").replace("{file:/", "{file: /")
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]
    file.write_text(file.read_text().replace("999999", "60"))
    assert main(["fix", str(file)]) == 0


def test_check_writes_nothing(tmp_path, capsys):
    file = tmp_path / "site.yaml"
    file.write_text(servers("mem_limit: 8GB"))
    assert main(["fix", "--check", str(file)]) == 1
    out = capsys.readouterr().out
    assert "8GB -> 8G" in out
    assert out.splitlines()[-1] == f"{file}: 1 thing to mend, and valid then: xnathub fix {file}"
    assert "8GB" in file.read_text()
    assert main(["fix", str(file)]) == 0
    assert main(["fix", "--check", str(file)]) == 0


def test_check_tells_what_is_left_of_a_file_that_mending_is_not_enough_for(tmp_path, capsys):
    file = tmp_path / "site.yaml"
    file.write_text(servers("mem_limit: 8GB\n  start_timeout: 999999"))
    assert main(["fix", "--check", str(file)]) == 1
    *_, left, last = capsys.readouterr().out.splitlines()
    assert "error: servers.start_timeout" in left
    assert last == f"{file}: 1 thing to mend, and not valid then: xnathub fix {file}"


@pytest.mark.parametrize("where", ["notice: a\tb", 'notice: "a\tb"', "notice: a # b\tc", "notice:\ta"])
def test_a_tab_inside_a_value_keeps_nothing_from_being_mended(where):
    text = servers("mem_limit: 8GB") + f"pages:\n  {where}\n"
    mended, edits = mend(text, "site.yaml")
    assert mended == text.replace("8GB", "8G")
    assert len(edits) == 1


@pytest.mark.parametrize("keys", ["NB_UID: 5\n  uid: 6", "uid: 6\n  NB_UID: 5"])
def test_an_old_name_of_a_key_that_stands_there_too_is_left_to_people(keys):
    text = servers(keys)
    assert mend(text, "site.yaml") == (text, [])


def test_a_file_that_can_not_be_read_is_said(tmp_path, capsys):
    assert main(["fix", str(tmp_path / "none.yaml")]) == 2
    assert "can't be read: No such file or directory." in capsys.readouterr().err
