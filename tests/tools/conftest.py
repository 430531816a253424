"""Programs of others that a site's admin uses with xnathub: shells, pre-commit, CI, an editor's language server."""

import os
import shutil
import subprocess

import pytest

SHELLS = ["bash", "zsh", "fish"]


@pytest.fixture(scope="session")
def _shells():
    missing = [name for name in SHELLS if not shutil.which(name)]
    sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
    for command in (
        (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", *missing]) if missing else ()
    ):
        whole = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", *command]
        done = subprocess.run(whole, capture_output=True, text=True)
        if done.returncode:
            reason = f"no {' and '.join(missing)} to test with: {' '.join(command)} ended with:\n{done.stderr[-1000:]}"
            if "tools" in os.environ.get("XNATHUB_SKIP_LAYERS", "").split(","):
                pytest.skip(f"SKIPPED ON REQUEST (XNATHUB_SKIP_LAYERS): {reason}")
            pytest.fail(f"{reason}\nXNATHUB_SKIP_LAYERS=tools skips these tests.", pytrace=False)


@pytest.fixture(params=SHELLS)
def shell(request, _shells):
    return request.param
