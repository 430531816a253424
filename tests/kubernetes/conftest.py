"""A real Kubernetes for the tests in this folder, made ready by tests/kubernetes/cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.testbed import VOLUMES, Cluster, Release, new_release
from tests.support import SECCOMP, cannot_test


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster runs and holds the project's images."""
    done = subprocess.run([Path(__file__).with_name("cluster")], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        cannot_test("kubernetes", f"tests/kubernetes/cluster ended with:\n{done.stderr}")
    return Cluster()


@pytest.fixture(scope="session")
def shared_release(cluster: Cluster) -> Iterator[Release]:
    profiles = VOLUMES.parent / "kubelet" / "seccomp"
    profiles.mkdir(exist_ok=True)
    (profiles / "xnathub-test.json").write_text(SECCOMP)
    security = {"seccomp": "xnathub-test.json", "selinux": {"level": "s0:c1,c2"}}
    with new_release(cluster, security=security) as release:
        yield release


@pytest.fixture
def release(shared_release: Release) -> Iterator[Release]:
    """One release that tests share, which only start and stop servers on it; none stays from one test to the next."""
    yield shared_release
    shared_release.stop_all()


@pytest.fixture
def own_release(cluster: Cluster) -> Iterator[Release]:
    """A release that one test may change."""
    with new_release(cluster) as release:
        yield release
