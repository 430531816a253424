"""The built package in an environment of its own, away from the repository."""

import os
import subprocess

import pytest

from tests.support import ROOT, build_wheel, install_wheel

FLAGS = ["--xnat-url=https://x.org", "--public-url=https://x.org/jupyterhub/", "--image=xnat/*"]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    return install_wheel(build_wheel(tmp_path_factory.mktemp("wheel")), tmp_path_factory.mktemp("env"))


@pytest.fixture
def run(programs, tmp_path):
    def run(*arguments):
        return subprocess.run(
            [programs / "xnathub", *map(str, arguments)],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )

    return run


def test_what_needs_no_hub_works_without_jupyterhub(run, programs):
    assert not list(programs.parent.glob("lib/python*/site-packages/jupyterhub*"))
    assert not list(programs.parent.glob("lib/python*/site-packages/requests*"))
    example = ROOT / "site.example.yaml"
    for arguments in (
        ["validate", "--strict", example],
        ["show", example],
        ["schema"],
        ["completion", "bash"],
        ["init", *FLAGS, "swarm.yaml", "--orchestrator=swarm"],
        ["validate", "swarm.yaml"],
        ["render", "swarm", "swarm.yaml"],
        ["init", *FLAGS, "kubernetes.yaml", "--orchestrator=kubernetes"],
        ["render", "kubernetes", "kubernetes.yaml"],
    ):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.parametrize(("command", "extra"), [("run", "hub"), ("demo", "demo")])
def test_what_needs_more_says_what_to_install(run, command, extra):
    done = run(command)
    assert done.returncode == 2
    assert f"pip install 'xnathub[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
