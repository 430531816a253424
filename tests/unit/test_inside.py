"""The code with which doctor looks around in a server."""

import json
import subprocess
import sys
from types import SimpleNamespace

from xnathub_conf.doctor.inside import code_for


def test_folders_and_files_that_are_mounted_are_read_and_written(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "scan").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "ca.pem").write_text("certificates")
    names = ("data", "empty", "ca.pem", "gone")
    plan = SimpleNamespace(
        mounts=[SimpleNamespace(target=f"{tmp_path}/{name}", read_only=True) for name in names]
    )
    done = subprocess.run(
        [sys.executable, "-c", code_for(plan, local=False)], capture_output=True, text=True, env={}
    )
    seen = json.loads(done.stdout.removeprefix("xnathub-doctor"))
    read = [each["read"] for each in seen["mounts"]]
    assert read == ["file", "empty", "file", "No such file or directory"]
    assert [each["write"] for each in seen["mounts"]] == ["ok", "ok", "ok", "No such file or directory"]
    assert (tmp_path / "ca.pem").read_text() == "certificates"
    assert len(list(tmp_path.rglob("*"))) == 4
    assert seen["xnat_error"] == "the variable XNAT_HOST is not set"
