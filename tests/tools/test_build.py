"""What a release publishes beside its images, as scripts/build makes it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import ROOT

TIME = 1_700_000_000


def build(root: Path, folder: Path, check: bool = True) -> str:
    done = subprocess.run(
        [sys.executable, root / "scripts/build", folder],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(TIME)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == check, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    build(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The checkout elsewhere: its files are as old as this test, and only their owner may read them."""
    folder = tmp_path_factory.mktemp("copy") / "elsewhere"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        if (source := ROOT / name).exists():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o700 if os.access(source, os.X_OK) else 0o600)
    return folder


def test_two_builds_are_the_same_bytes(built, copy, tmp_path):
    build(copy, tmp_path / "again")
    first, second = (
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        for folder in (built, tmp_path / "again")
    )
    assert first == second
    assert len(first) == 6


def test_checksums_are_those_of_the_files(built):
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=built, check=True)
    named = {line.split()[1] for line in (built / "SHA256SUMS").read_text().splitlines()}
    assert named == {path.name for path in built.iterdir()} - {"SHA256SUMS"}


def test_each_archive_holds_what_it_is_for(built):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "xnathub_conf/schema/site.schema.json" in names
    assert not [name for name in names if name.startswith(("tests", "bench", "docs"))]
    with tarfile.open(next(built.glob("xnat-jupyterhub-chart-*.tgz"))) as chart:
        tracked = subprocess.run(
            ["git", "ls-files", "xnat-jupyterhub-chart"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
        assert chart.getnames() == sorted(set(tracked) - {"xnat-jupyterhub-chart/generate"})
    with tarfile.open(built / "xnathub-docs.tar.gz") as docs:
        assert {"index.html", "site-yaml/index.html"} <= set(docs.getnames())
    for archive in built.glob("*gz"):
        with tarfile.open(archive) as opened:
            assert {member.mtime for member in opened} == {TIME}, archive.name


def test_the_list_of_packages_is_valid_and_has_each_locked_one(built):
    (listed,) = built.glob("xnathub-*.cdx.json")
    text = listed.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    lock = (ROOT / "requirements/hub.lock").read_text()
    pins = [Requirement(line.rstrip(" \\")) for line in lock.splitlines() if re.match(r"\w", line)]
    assert len(pins) > 50
    assert {(each["name"], f"=={each['version']}") for each in components} == {
        (canonicalize_name(pin.name), str(pin.specifier)) for pin in pins
    }
    assert sum(len(each["hashes"]) for each in components) == lock.count("--hash=sha256:")


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("")
    assert "is not empty" in build(ROOT, tmp_path, check=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
