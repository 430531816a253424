"""A plain hub beside the same XNAT: it asks with `requests` in its event loop, as short recipes do."""

import os
from pathlib import Path

import requests
import yaml
from jupyterhub.auth import Authenticator
from jupyterhub.spawner import Spawner

from bench.noop_spawner import NoopSpawner

site = yaml.safe_load(Path(os.environ["XNATHUB_SITE"]).read_text())
xnat = site["xnat"]["url"]
service = ("jupyterhub", Path(site["xnat"]["service_account"]["password"]["file"]).read_text())


class BlockingAuthenticator(Authenticator):
    """Asks XNAT what the checked hub asks it."""

    def authenticate(self, _handler: object, data: dict[str, str]) -> str | None:
        """Check name and password, and the role."""
        session = requests.Session()
        session.auth = (data["username"], data["password"])
        name = session.get(f"{xnat}/xapi/users/username", timeout=60)
        if name.status_code != 200:
            return None
        roles = session.get(f"{xnat}/xapi/users/{name.text}/roles", timeout=60).json()
        return name.text if "Jupyter" in roles else None


service_session = requests.Session()
service_session.auth = service


def ask_what_to_start(spawner: Spawner) -> None:
    """Ask XNAT, as the service account."""
    path = f"/xapi/jupyterhub/users/{spawner.user.name}/server/user-options"
    answer = service_session.get(xnat + path, timeout=60)
    answer.raise_for_status()
    spawner.environment = answer.json()["task_template"]["container_spec"]["env"]


c = get_config()  # type: ignore[name-defined]  # noqa: F821 - JupyterHub gives it
c.JupyterHub.bind_url = site["hub"]["bind_url"] + "/jupyterhub/"
c.JupyterHub.hub_bind_url = site["hub"]["hub_bind_url"]
c.ConfigurableHTTPProxy.api_url = site["extra"]["ConfigurableHTTPProxy.api_url"]
token = Path(site["hub"]["api_token"]["file"]).read_text()
c.JupyterHub.services = [{"name": "xnat", "api_token": token}]
scopes = ["admin:servers", "admin:users", "read:hub", "tokens"]
c.JupyterHub.load_roles = [{"name": "xnat", "scopes": scopes, "services": ["xnat"]}]
c.JupyterHub.authenticator_class = BlockingAuthenticator
c.JupyterHub.spawner_class = NoopSpawner
c.Authenticator.allow_all = True
c.Spawner.pre_spawn_hook = ask_what_to_start
