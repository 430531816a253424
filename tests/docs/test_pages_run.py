"""What the pages tell people to type is run in the order of each page, in a folder of its own; and README's site stands alone.

What needs an engine, a cluster or a hub is run by the tests of those: here is what reads and writes files.
"""

import shlex
from collections import defaultdict
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, commands, pieces
from xnathub_conf.cli import main

FILES_ONLY = {
    "validate",
    "fix",
    "show",
    "diff",
    "schema",
    "init",
    "migrate",
    "render",
    "plugin",
    "completion",
}
ASKED = ["--xnat-url", "https://xnat.example.org"]
"""What `init` asks for on a terminal and has no answer of its own for."""
KEPT = {
    "old.yaml": "docs/outputs/before.yaml",
    "docker-stack.yml": "docs/outputs/old-stack.yml",
    "xnat.env": "docs/outputs/old-xnat.env",
}
OLD_FILES = {
    "values.yaml": f"hub:\n  extraEnv: {{JH_XNAT_SERVICE_TOKEN: {'t' * 64}, JH_XNAT_PASSWORD: pass, JH_XNAT_URL: https://x.org}}\n",
    "jupyterhub_config.py": "c.JupyterHub.shutdown_on_logout = True\n",
}
BY_PAGE = defaultdict(list)
for code, words in commands("xnathub"):
    if code.block and words and words[0] in FILES_ONLY:
        BY_PAGE[code.place.partition(":")[0]].append(words)


def test_there_are_such_pages():
    assert len(BY_PAGE) > 7


def prepared(folder: Path) -> Path:
    """Make a folder with the files that the pages take as there."""
    folder.mkdir()
    for name, source in KEPT.items():
        (folder / name).write_text((ROOT / source).read_text())
    for name, text in OLD_FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("page", BY_PAGE)
def test_the_commands_of_a_page_do_what_it_says(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(prepared(tmp_path / "first"))
    if BY_PAGE[page][0][0] not in {"init", "migrate"}:
        orchestrator = "kubernetes" if page.endswith("kubernetes.md") else "swarm"
        assert main(["init", "--orchestrator", orchestrator, *ASKED, "site.yaml"]) == 0
    for number, words in enumerate(BY_PAGE[page]):
        given = [*words, *ASKED] if words[0] == "init" and "--xnat-url" not in words else words
        # Each way of moving begins in a folder of its own.
        if words[0] == "migrate":
            monkeypatch.chdir(prepared(tmp_path / str(number)))
        capsys.readouterr()
        code = main(given)
        said = capsys.readouterr()
        assert code == (1 if words[0] == "diff" else 0), f"{shlex.join(given)}: {said.out}{said.err}"
        assert said.out.strip() or said.err.strip(), shlex.join(given)
        if words[0] == "init":
            assert main(["validate", "--strict", "--ignore", "unnamed-proxies", "site.yaml"]) == 0


def test_the_readme_s_site_stands_alone(tmp_path):
    (site,) = [
        code.text for code in pieces(PAGES[0]) if code.block and code.text.lstrip().startswith("# site.yaml")
    ]
    (tmp_path / "site.yaml").write_text(site)
    assert main(["validate", "--strict", str(tmp_path / "site.yaml")]) == 0
    assert main(["render", "swarm", str(tmp_path / "site.yaml")]) == 0


def test_the_readme_s_site_runs_servers_as_a_new_one_does(tmp_path):
    assert main(["init", "--example", "--orchestrator", "swarm", str(tmp_path / "site.yaml")]) == 0
    written = (tmp_path / "site.yaml").read_text().partition("\norchestrator:\n")[2]
    (shown,) = [
        code.text.partition("\norchestrator:\n")[2]
        for code in pieces(PAGES[0])
        if code.block and code.text.lstrip().startswith("# site.yaml")
    ]
    assert shown.strip()
    assert shown.strip() == written.strip()
