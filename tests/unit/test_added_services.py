"""Services that stand in JupyterHub's configuration before the site's, as Zero to JupyterHub adds them."""

import subprocess
import sys

import pytest

from tests.unit.helpers import MINIMAL

PROGRAM = """
import sys
from traitlets.config import Config
from xnathub_conf.hub.configure import configure
from xnathub_conf.site.problems import SiteError
c = Config()
c.JupyterHub.services = [{"name": "culler", "api_token": sys.argv[2]}]
c.JupyterHub.load_roles = [{"name": "culler", "services": ["culler"]}]
try:
    configure(c, sys.argv[1])
except SiteError as error:
    sys.exit(str(error))
print([each["name"] for each in c.JupyterHub.services], [each["name"] for each in c.JupyterHub.load_roles])
"""


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("0123456789abcdef" * 2, "['culler', 'xnat'] ['culler', 'xnat']\n"),
        ("letmein-letmein", "The token of the service culler is weak. It has 15 characters"),
        ("ab" * 20, "The token of the service culler is weak. It is made of 2 different characters"),
    ],
)
def test_their_tokens_are_checked_as_the_sites_own(tmp_path, token, said):
    site = tmp_path / "site.yaml"
    site.write_text(
        MINIMAL.replace("{file: /run/secrets/xnat_password}", "{env: A}").replace(
            "{file: /run/secrets/hub_api_token}", "{env: B}"
        )
    )
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(site), token],
        capture_output=True,
        text=True,
        timeout=60,
        env={"A": "password", "B": "0123456789abcdef" * 4, "PATH": ""},
    )
    assert said in ended.stdout + ended.stderr
    assert token not in ended.stdout + ended.stderr
    assert (ended.returncode == 0) == ("weak" not in said)
