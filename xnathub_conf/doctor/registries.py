"""The check of the logins for private registries, which the engine itself tries."""

import asyncio
import re
from typing import Any

from docker.auth import AuthConfig
from docker.errors import DockerException
from requests import RequestException

from xnathub_conf.doctor.examination import Examination, Finding, failed, ok, skipped
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.values.registry_logins import (
    LoginsError,
    RegistryLogin,
    auth_configs,
    parse_registry_logins,
)
from xnathub_conf.values.secret import SecretError

_KEY: KeyPath = ("servers", "registry_logins")
_NO_LOGIN = re.compile(r"(?i)unauthorized|denied|forbidden|incorrect|\b40[13]\b")
"""What the engine says of a registry that does not take a login, and of none that it can't reach."""


async def try_logins(examination: Examination, api: Any) -> Finding:
    """Return whether each registry takes its login; from then on `api`, the engine's client, sends them along."""
    secret = examination.site.servers.registry_logins
    if secret is None:
        return skipped("The site names no logins of registries.")
    try:
        logins = parse_registry_logins(examination.read(secret))
    except SecretError as error:
        return examination.unreadable(error, _KEY)
    except LoginsError as error:
        return failed(str(error), "Correct what the secret holds.", _KEY)
    refused, silent = [], []
    for login in logins:
        if login.password and (why := await asyncio.to_thread(_refusal, api, login)):
            if _NO_LOGIN.search(why):
                refused.append(f"{login.registry} does not take its login: {why}.")
            else:
                silent.append(f"Docker can't ask {login.registry} about its login: {why}.")
    api._auth_configs = AuthConfig({"auths": auth_configs(logins)})
    if refused or silent:
        advice = ["Correct the user or the password, and start the hub anew."] * bool(refused)
        advice += ["Correct the registry's name, or let the engine reach it."] * bool(silent)
        return failed(" ".join(refused + silent), " ".join(advice), _KEY)
    taken = [login.registry for login in logins if login.password]
    untried = [login.registry for login in logins if not login.password]
    parts = [f"These registries take their logins: {', '.join(taken)}."] * bool(taken)
    parts += [f"Not tried, since only a pull can use its token: {', '.join(untried)}."] * bool(untried)
    return ok(" ".join(parts))


def _refusal(api: Any, login: RegistryLogin) -> str:
    config = login.auth_config()
    try:
        api.login(config["username"], config["password"], registry=config["serveraddress"], reauth=True)
    except (DockerException, RequestException) as error:
        return str(getattr(error, "explanation", None) or error).rstrip(".")
    return ""
