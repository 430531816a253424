"""Which layers of the tests are left out, and which tests share a process."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.layers import APART, LAYERS, TESTS, group_of, layer_of, left_out
from tests.support import ROOT


@pytest.mark.parametrize("value", ["docker,kubernetes", "docker kubernetes", " docker, kubernetes "])
def test_layers_are_named_with_commas_and_spaces(value):
    assert left_out(value) == {"docker", "kubernetes"}


def test_each_file_of_tests_belongs_to_a_layer():
    assert {layer_of(path) for path in TESTS.rglob("test_*.py")} == set(LAYERS)


def test_each_file_that_is_apart_is_there():
    for layer, names in APART.items():
        assert {path.name for path in (TESTS / layer).glob("test_*.py")} > names


def test_an_engine_s_tests_share_a_process_and_others_are_apart_by_file():
    assert group_of(TESTS / "docker/test_docker.py") == group_of(TESTS / "docker/test_swarm.py")
    assert group_of(TESTS / "docker/test_images.py") == group_of(TESTS / "docker/test_registries.py")
    assert group_of(TESTS / "docker/test_images.py") != group_of(TESTS / "docker/test_swarm.py")
    assert group_of(TESTS / "hub/test_diff.py") != group_of(TESTS / "hub/test_doctor.py")


def pytest_run(value, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments],
        cwd=ROOT,
        env={**os.environ, "XNATHUB_SKIP_LAYERS": value},
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_processes_take_whole_groups():
    done = pytest_run("", "-vv", "-n", "2", "tests/unit/test_layout.py", "tests/unit/test_names.py")
    ran = re.findall(r"^\[(gw\d)\].* PASSED (tests/\S+)::", done.stdout, re.MULTILINE)
    assert len(ran) > 9, done.stdout
    assert len(set(ran)) == 2, done.stdout


def test_no_two_files_outside_packages_are_called_alike():
    """Such a pair is no module each, and the run of everything would end before its first test."""
    files = [each for each in TESTS.glob("*/test_*.py") if not each.with_name("__init__.py").exists()]
    names = [each.name for each in files]
    assert len(names) > 50
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_nothing_of_a_layer_left_out_is_started_and_the_run_says_so():
    # Each of these would take minutes, or fail here and there.
    done = pytest_run("docker, kubernetes database", "tests/docker", "tests/kubernetes", "tests/database")
    assert done.returncode == 0, done.stdout
    summary = done.stdout.splitlines()[-1]
    assert "skipped" in summary
    assert "passed" not in summary
    assert "XNATHUB_SKIP_LAYERS leaves out docker: NOT tested" in done.stdout


def test_an_unknown_layer_is_an_error():
    done = pytest_run("docker,kuberntes", "tests/unit/test_layers.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "there is no layer kuberntes. The layers are browser, " in done.stderr


# What a shell starts in the background ignores the signal, and all that it starts in turn.
ENDS = "import signal, sys, pytest; signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(pytest.main())"


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_a_run_that_is_interrupted_has_told_what_failed_and_what_it_was_at(tmp_path, processes):
    file = tmp_path / "test_it.py"
    file.write_text(
        "import time\n\ndef test_wrong():\n    raise ValueError('why')\n\ndef test_endless():\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", ENDS, "-p", "tests.conftest", "-p", "no:cacheprovider", *processes, file],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        lines = []
        for line in run.stdout:
            lines.append(line)
            if line.startswith("FAILED"):
                break
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        lines += run.stdout
    assert [line for line in lines if "::test_wrong (call, 0 s)" in line and "ValueError: why" in line], lines
    assert [line for line in lines if line.startswith("ENDED IN") and "::test_endless, after " in line], lines
