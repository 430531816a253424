"""Programs of others that a site's admin uses with xnathub: shells, pre-commit, CI, an editor's language server."""

import shutil

import pytest

from tests.support import install

SHELLS = ["bash", "zsh", "fish"]


@pytest.fixture(scope="session")
def _shells():
    missing = [name for name in SHELLS if not shutil.which(name)]
    if missing:
        install("tools", *missing)


@pytest.fixture(params=SHELLS)
def shell(request, _shells):
    return request.param
