"""What scripts/slim takes out of an image's packages, and that what is left works."""

import os
import runpy
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support import ROOT

LONG_AGO = 315532800


@pytest.fixture(scope="module")
def slimmed(tmp_path_factory):
    """Some real packages with libraries, and files made up for each rule; slimmed."""
    top = tmp_path_factory.mktemp("image") / "opt"
    packages = top / "xnathub/lib/python3/site-packages"
    packages.mkdir(parents=True)
    for name in ("yaml", "tornado", "markupsafe"):
        spec = find_spec(name)
        assert spec
        shutil.copytree(
            Path(spec.origin).parent, packages / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copytree(Path(sys.prefix, "share/jupyterhub"), top / "xnathub/share/jupyterhub")
    for name, text in {
        "a/tests/__init__.py": "",
        "a/tests/data/x.json": "{}",
        "a/test/data.json": "{}",
        "a/__init__.py": "def f():\n    raise ValueError\n",
        "a/fast.c": "int x;",
        "a/LICENSE.c": "as it is",
        "a/stubs.pyi": "x: int",
        "test/__init__.py": "",
    }.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(text)
    (top / "bin").mkdir()
    shutil.copy2(os.path.realpath(sys.executable), top / "bin/python")
    sizes = {path: path.stat().st_size for path in top.rglob("*") if path.is_file()}
    subprocess.run([sys.executable, ROOT / "scripts/slim", top], check=True)
    return packages, sizes


def test_tests_and_sources_go_and_what_may_be_needed_stays(slimmed):
    packages, _ = slimmed
    left = {str(path.relative_to(packages)) for path in packages.rglob("*") if path.is_file()}
    assert not [name for name in left if name.startswith(("a/tests", "tornado/test/"))]
    assert {"a/test/data.json", "a/LICENSE.c", "a/stubs.pyi", "test/__init__.py"} <= left
    assert "a/fast.c" not in left


def test_libraries_and_programs_are_smaller_and_work(slimmed):
    packages, _ = slimmed
    for library in packages.rglob("*.so"):
        assert b".debug_info" not in library.read_bytes()
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import yaml._yaml, tornado.speedups, markupsafe._speedups as m; print(m.__file__)",
        ],
        env={"PYTHONPATH": str(packages)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.strip().startswith(str(packages))
    done = subprocess.run(
        [packages.parents[3] / "bin/python", "-c", "print(1)"], capture_output=True, text=True
    )
    assert done.stdout == "1\n", done.stderr


def test_what_debuggers_alone_read_is_cut_off(tmp_path):
    # A header for 64 bits, one part that is loaded (bytes 0 to 200), and a table of sections at 300.
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    header[32:40], header[40:48] = (64).to_bytes(8, "little"), (300).to_bytes(8, "little")
    header[54:56], header[56:58], header[60:62] = b"\x38\0", b"\x01\0", b"\x05\0"
    part = bytes(32) + (200).to_bytes(8, "little") + bytes(16)
    file = tmp_path / "library.so"
    file.write_bytes(bytes(header) + part + bytes(80) + b"symbols" * 30)
    cut = runpy.run_path(str(ROOT / "scripts/slim"))["cut"]
    cut(file)
    data = file.read_bytes()
    assert len(data) == 200
    assert data[40:48] == bytes(8)
    assert data[60:64] == bytes(4)
    cut(file)
    assert file.read_bytes() == data
    text = tmp_path / "script"
    text.write_text("#!/bin/sh\n")
    cut(text)
    assert text.read_text() == "#!/bin/sh\n"


def test_all_that_pages_fetch_stays_and_no_more(slimmed):
    packages, sizes = slimmed
    components = packages.parents[2] / "share/jupyterhub/static/components"
    left = {str(path.relative_to(components)) for path in components.rglob("*") if path.is_file()}
    assert {
        "bootstrap/dist/js/bootstrap.bundle.min.js",
        "jquery/dist/jquery.min.js",
        "moment/moment.js",
    } <= left
    assert "requirejs/require.js" in left
    assert [name for name in left if name.endswith("fa-solid-900.woff2")]
    assert "bootstrap/LICENSE" in left
    before = sum(size for path, size in sizes.items() if components in path.parents)
    assert sum((components / name).stat().st_size for name in left) < before / 20


def test_python_s_files_are_compiled_as_they_will_lie_and_all_have_one_time(slimmed):
    packages, _ = slimmed
    (compiled,) = packages.glob("a/__pycache__/__init__.*.pyc")
    data = compiled.read_bytes()
    assert b"/opt/xnathub/lib/python3/site-packages/a/__init__.py" in data
    assert str(packages).encode() not in data
    assert {path.lstat().st_mtime for path in packages.parents[3].rglob("*")} == {LONG_AGO}
