"""The built package carries everything that the commands need, away from the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_built_wheel_works_away_from_the_repository(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    script = (
        "import sys, xnathub_conf, xnathub_conf.cli as cli, xnathub_conf.cli.run as run\n"
        "assert xnathub_conf.__file__.startswith(sys.argv[1]), xnathub_conf.__file__\n"
        "assert open(run.hub_command()[-1]).read().count('configure')\n"
        "sys.exit(cli.main(['validate', '--strict', sys.argv[2]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, installed, ROOT / "site.example.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
