"""A host name for each user's servers, behind each web server as docs/own-host.md sets it up."""

import socket

import pytest
import requests
import yaml

from tests.doctor import diagnose
from tests.plugin_pages import EVENT, request
from tests.proxies.two_names import hub_at, web_before
from tests.support import Visitor

XNAT, JUPYTER = "xnat.localhost", "jupyter.localhost"


@pytest.fixture(scope="module", autouse=True)
def names():
    """Make Python find names below localhost, as browsers do."""
    find = socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *more, **keys: find(
                "127.0.0.1" if str(host).endswith(".localhost") else host, *more, **keys
            ),
        )
        yield


@pytest.fixture(scope="session")
def user_hosts(certificates, tmp_path_factory):
    """XNAT and a hub whose users' servers have host names of their own, and the port of the web server before both."""
    with hub_at(
        (XNAT, JUPYTER), tmp_path_factory.mktemp("hub"), certificates / "fullchain.pem", user_subdomains=True
    ) as served:
        yield served


@pytest.fixture(scope="module")
def web(kind, user_hosts, certificates, tmp_path_factory):
    """The web server before both; `web.plugin` is XNAT's plugin."""
    folder = tmp_path_factory.mktemp("user-hosts")
    with web_before(kind, user_hosts, folder, certificates, names=(XNAT, JUPYTER), user_hosts=True) as server:
        yield server


def test_xnat_s_button_leads_to_the_user_s_host(web):
    name = "a.b@c.org"
    if name not in [user.name for user in web.state.users()]:
        web.state.add_user(name, roles=["Jupyter"], projects=["P1"])
    web.plugin.ensure_user(name)
    if web.plugin.server(name, EVENT) is None:
        web.plugin.start(name, request(web.state.launch(name, "P1", EVENT)))
        web.plugin.wait_ready(name, EVENT)
    address = web.plugin.open_url(name, EVENT)
    assert address.startswith(f"https://{JUPYTER}:{web.port}/jupyterhub/user/")
    visitor = Visitor(f"https://{JUPYTER}:{web.port}/jupyterhub")
    visitor.verify = web.ca
    opened = visitor.get(address, headers={"Referer": f"https://{XNAT}:{web.port}/"}, timeout=60)
    assert (opened.status_code, opened.text) == (200, name)
    own = opened.url.partition("/jupyterhub/")[0]
    assert own.startswith("https://u-abcorg--")
    assert not [each.url for each in opened.history if "/hub/login" in each.url]
    again = visitor.get(opened.url, allow_redirects=False, timeout=30)
    assert (again.status_code, again.text) == (200, name)
    # Of the hub's own there is nothing at a user's host.
    page = visitor.get(f"{own}/jupyterhub/hub/home", allow_redirects=False, timeout=30)
    assert page.headers["Location"] == f"https://{JUPYTER}:{web.port}/jupyterhub/hub/home"
    script = visitor.get(
        f"{own}/jupyterhub/hub/home", headers={"Accept": "*/*"}, allow_redirects=False, timeout=30
    )
    assert script.status_code == 403
    logs = [path.read_text(errors="replace") for path in web.folder.iterdir() if "log" in path.name]
    for secret in (address.partition("token=")[2], "ticket="):
        assert secret not in "".join(logs)


def test_a_name_that_nobody_has_leads_to_the_hub_and_plain_http_to_https(web):
    url = f"https://nobody.{JUPYTER}:{web.port}"
    page = requests.get(
        f"{url}/jupyterhub/hub/login",
        headers={"Accept": "text/html"},
        allow_redirects=False,
        verify=web.ca,
        timeout=30,
    )
    assert page.headers["Location"] == f"https://{JUPYTER}:{web.port}/jupyterhub/hub/login"
    plain = requests.get(f"http://nobody.{JUPYTER}:{web.plain_port}/x", allow_redirects=False, timeout=30)
    assert plain.headers["Location"].startswith(f"https://nobody.{JUPYTER}")


def test_doctor_tries_a_name_below_the_hub_s(web, user_hosts, tmp_path):
    data = yaml.safe_load(user_hosts[0].site_file.read_text())
    data["xnat"]["ca_file"] = web.ca
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(data))
    found = diagnose(tmp_path / "site.yaml", "--skip", "xnat.settings")
    assert "lead to the hub" in found.told("public_url.user_hosts", "ok")
    # A certificate and a web server for one name of its own only.
    data["hub"]["public_url"] = f"https://localhost:{web.port}/jupyterhub/"
    data["xnat"]["public_url"] = f"https://127.0.0.1:{web.port}"
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(data))
    found = diagnose(tmp_path / "site.yaml", "--skip", "xnat.settings")
    assert found["public_url.user_hosts"] != "ok", found.text
