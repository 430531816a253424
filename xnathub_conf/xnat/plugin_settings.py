"""What XNAT's JupyterHub plugin has to be told for a site, and what it was told that contradicts the site.

Labels, preferences and variables are those of the plugin's site-settings.yaml, JupyterHubPreferences and
JupyterHubPreferenceInitializer (https://github.com/NrgXnat/xnat-jupyterhub-plugin).
"""

import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from xnathub_conf.site.hub_settings import xnat_public_url
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Site
from xnathub_conf.values.paths import PathError, PathTranslation, normal_path, prefixes

TOKEN = "jupyterHubToken"  # noqa: S105 - a preference's name
_DOUBLE = {
    "archive": ("pathTranslationArchivePrefix", "pathTranslationArchiveDockerPrefix"),
    "workspaces": ("pathTranslationWorkspacePrefix", "pathTranslationWorkspaceDockerPrefix"),
}
_VARIABLES = {
    "JH_XNAT_JUPYTERHUB_HOST_URL": "jupyterHubHostUrl",
    "JH_XNAT_JUPYTERHUB_API_URL": "jupyterHubApiUrl",
    "JH_XNAT_SERVICE_TOKEN": TOKEN,
    "JH_XNAT_START_TIMEOUT": "startTimeout",
    "JH_XNAT_STOP_TIMEOUT": "stopTimeout",
    "JH_XNAT_PT_ARCHIVE_PREFIX": "pathTranslationArchivePrefix",
    "JH_XNAT_PT_ARCHIVE_DOCKER_PREFIX": "pathTranslationArchiveDockerPrefix",
    "JH_XNAT_PT_ARCHIVE_SERVER_PREFIX": "pathTranslationArchiveDockerPrefix",
    "JH_XNAT_PT_WORKSPACE_PREFIX": "pathTranslationWorkspacePrefix",
    "JH_XNAT_PT_WORKSPACE_DOCKER_PREFIX": "pathTranslationWorkspaceDockerPrefix",
    "JH_XNAT_PT_WORKSPACE_SERVER_PREFIX": "pathTranslationWorkspaceDockerPrefix",
    "JH_XNAT_WORKSPACE_PATH": "workspacePath",
    "JH_XNAT_ALL_USERS_CAN_START_JUPYTER": "allUsersCanStartJupyter",
}
"""The plugin's environment variables and the preference that each sets; of two for one, the later wins."""


@dataclass(frozen=True)
class PluginSetting:
    """One setting of the plugin: its label on XNAT's page, its preference, its variables, and what to enter.

    The token's `value` is where it comes from, never what it is. `key` is the key of site.yaml behind it.
    """

    label: str
    preference: str
    value: str
    note: str
    key: KeyPath

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it."""
        return tuple(name for name, preference in _VARIABLES.items() if preference == self.preference)


@dataclass(frozen=True)
class Contradiction:
    """A setting of the plugin that does not go with the site: what is wrong, what to do, the key of site.yaml."""

    preference: str
    text: str
    fix: str
    key: KeyPath


def hub_public_url(site: Site) -> str:
    """Return the hub's address for browsers, with a slash at its end: the site's, or one on XNAT's own host."""
    if site.hub.public_url:
        return site.hub.public_url.rstrip("/") + "/"
    return _origin(xnat_public_url(site)) + site.hub.base_url


def token_whereabouts(site: Site) -> str:
    """Return where the token for XNAT is, never what it is."""
    token = site.hub.api_token
    return "what site.yaml says at hub.api_token" if token.kind == "literal" else f"what is in {token}"


def plugin_settings(site: Site) -> list[PluginSetting]:
    """List what to enter into XNAT's Jupyter settings, in the order of its page."""
    public = hub_public_url(site)
    url: KeyPath = ("hub", "public_url")
    settings = [
        ("JupyterHub Host URL", "jupyterHubHostUrl", _origin(public), f"Without {site.hub.base_url}, which XNAT adds.", url),
        ("JupyterHub API URL", "jupyterHubApiUrl", f"{public}hub/api", f"Or another address at which Tomcat reaches the hub; it ends in {_api_path(site)}.", url),
        ("JupyterHub Token", TOKEN, token_whereabouts(site), "The same on both sides.", ("hub", "api_token")),
        ("Start Timeout", "startTimeout", str(site.xnat.start_timeout), "Seconds.", ("xnat", "start_timeout")),
        ("Stop Timeout", "stopTimeout", str(site.xnat.stop_timeout), "Seconds.", ("xnat", "stop_timeout")),
    ]  # fmt: skip
    names = {
        "archive": ("XNAT Archive", "Docker Archive"),
        "workspaces": ("User Workspace", "Docker User Workspace"),
    }
    for folder, labels in names.items():
        for preference, label in zip(_DOUBLE[folder], labels, strict=True):
            note = f"Empty: `paths.{folder}` of site.yaml is the place for it."
            settings.append((f"Path Translation {label} Prefix", preference, "", note, ("paths", folder)))
    return [PluginSetting(*each) for each in settings]


def preferences_of(variables: Mapping[str, str]) -> dict[str, str]:
    """Turn the plugin's environment variables into its preferences, as it does when XNAT starts.

    A blank variable sets nothing, and others are none of the plugin's.
    """
    return {
        preference: variables[name].strip()
        for name, preference in _VARIABLES.items()
        if variables.get(name, "").strip()
    }


def contradictions(
    site: Site, preferences: Mapping[str, object], token: str | None = None
) -> list[Contradiction]:
    """List which of the plugin's preferences, as XNAT's REST API gives them, do not go with the site.

    One that is absent says nothing. `token` is the value of hub.api_token, where it can be had.
    """
    # XNAT gives numbers and truth values as such, the variables give text.
    current = {
        name: text
        for name, value in preferences.items()
        if value is not None and (text := str(value).strip())
    }
    found = [
        *_urls(site, current),
        *_timeouts(site, current),
        *_translations(site, current),
        *_sign_in(site, current),
    ]
    if token is not None and TOKEN in current:
        same = hmac.compare_digest(current[TOKEN].encode(), token.encode())
        if not same:
            text = "XNAT holds another token than the hub."
            fix = f"Enter in XNAT {token_whereabouts(site)}."
            found.append(Contradiction(TOKEN, text, fix, ("hub", "api_token")))
    return found


def _urls(site: Site, current: Mapping[str, str]) -> Iterator[Contradiction]:
    key: KeyPath = ("hub", "public_url")
    if api := current.get("jupyterHubApiUrl"):
        path = urlsplit(api).path
        if not api.startswith(("http://", "https://")) or path != _api_path(site):
            text = f"The API URL {_shown(api)} does not end in {_api_path(site)}."
            fix = f"Enter {hub_public_url(site)}hub/api, or another address of the hub that ends so."
            yield Contradiction("jupyterHubApiUrl", text, fix, ("hub", "base_url"))
    if host := current.get("jupyterHubHostUrl"):
        right = _origin(hub_public_url(site))
        if urlsplit(host).path.strip("/"):
            text = f"The host URL {_shown(host)} holds a path, to which XNAT adds {site.hub.base_url} again."
            yield Contradiction("jupyterHubHostUrl", text, f"Enter {right}.", ("hub", "base_url"))
        elif site.hub.public_url and _origin(host) != right:
            text = f"The host URL {_shown(host)} leads elsewhere than hub.public_url, {hub_public_url(site)}."
            fix = f"Enter {right} in XNAT, or correct hub.public_url."
            yield Contradiction("jupyterHubHostUrl", text, fix, key)


def _timeouts(site: Site, current: Mapping[str, str]) -> Iterator[Contradiction]:
    servers = site.servers
    for verb, said, least, why in (
        ("start", site.xnat.start_timeout, servers.start_timeout + servers.http_timeout,
         f"servers.start_timeout and http_timeout let a start take {servers.start_timeout} + {servers.http_timeout} s"),
        ("stop", site.xnat.stop_timeout, servers.stop_timeout, f"servers.stop_timeout lets a stop take {servers.stop_timeout} s"),
    ):  # fmt: skip
        preference, key = f"{verb}Timeout", ("xnat", f"{verb}_timeout")
        text = current.get(preference)
        if text is None:
            continue
        seconds = int(text) if text.isascii() and text.isdigit() else None
        enter = f"Enter {max(said, least)} in XNAT"
        if seconds is None:
            yield Contradiction(
                preference, f"The {verb} timeout {text!r} is no number of seconds.", f"{enter}.", key
            )
        elif seconds < least:
            yield Contradiction(
                preference, f"XNAT gives up on a {verb} after {seconds} s, but {why}.", f"{enter}.", key
            )
        elif seconds != said:
            yield Contradiction(
                preference,
                f"XNAT waits {seconds} s for a {verb}; {'.'.join(key)} says {said}.",
                f"{enter}, or {seconds} in site.yaml.",
                key,
            )


def _translations(site: Site, current: Mapping[str, str]) -> Iterator[Contradiction]:
    rules = {"archive": site.paths.archive, "workspaces": site.paths.workspaces}
    checked = True
    for folder, names in _DOUBLE.items():
        prefix, other = (current.get(name, "") for name in names)
        key: KeyPath = ("paths", folder)
        if bool(prefix) != bool(other):
            text = f"Of the two prefixes for {folder} only one is set, so XNAT translates nothing."
            yield Contradiction(names[0] if prefix else names[1], text, "Empty both in XNAT.", key)
        elif prefix != other:
            if rules[folder]:
                text = f"Paths are translated twice: by XNAT, {prefix} to {other}, and by paths.{folder}."
                yield Contradiction(names[0], text, "Empty both prefixes in XNAT.", key)
                checked = folder == "archive"
            elif folder == "archive" and (problem := _refused(site, other, writable=False)):
                text = f"XNAT translates {prefix} to {other}, {problem}."
                fix = "Empty both prefixes in XNAT and use paths.archive, or allow that folder."
                yield Contradiction(names[1], text, fix, ("servers", "allowed_mounts"))
    if checked and (workspaces := current.get("workspacePath")):
        folder = f"{workspaces.rstrip('/')}/users/{{username}}"
        prefix, other = (current.get(name, "") for name in _DOUBLE["workspaces"])
        if prefix and other:
            folder = folder.replace(prefix, other)
        if problem := _refused(site, folder, writable=True):
            text = f"XNAT mounts workspaces from {folder}, {problem}."
            fix = "Correct the workspace path in XNAT, paths.workspaces or servers.allowed_mounts."
            yield Contradiction("workspacePath", text, fix, ("servers", "allowed_mounts"))


def _refused(site: Site, path: str, *, writable: bool) -> str:
    """Return why the policy would refuse mounts from a folder, "" where it would not."""
    try:
        path = normal_path(path)
    except PathError as error:
        return f"which can't be mounted: {error}"
    rules = {rule.from_: rule.to for rule in (*site.paths.archive, *site.paths.workspaces)}
    path = PathTranslation(rules)(path)
    allowed = {mount.path: mount.writable for mount in site.servers.allowed_mounts}
    for prefix in prefixes(path):
        if prefix in allowed:
            return "which may be mounted read-only alone" if writable and not allowed[prefix] else ""
    # Of a read-only folder, a part may be enough: XNAT mounts projects.
    if not writable and any(path in set(prefixes(each)) for each in allowed):
        return ""
    return f"which is {path} here and under no allowed mount"


def _sign_in(site: Site, current: Mapping[str, str]) -> Iterator[Contradiction]:
    if current.get("allUsersCanStartJupyter", "").lower() == "true" and site.sign_in.everyone == "never":
        yield Contradiction(
            "allUsersCanStartJupyter",
            f"XNAT lets all users start Jupyter, but only those with the role {site.sign_in.role} may sign in to the hub.",
            "Set sign_in.everyone to preference, or turn the switch in XNAT off.",
            ("sign_in", "everyone"),
        )


def _api_path(site: Site) -> str:
    return f"{site.hub.base_url}hub/api"


def _origin(url: str) -> str:
    """Return an address's scheme, host and port, in lower case, without the scheme's own port and a dot at the name's end."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower()
    host = host.removesuffix({"http": ":80", "https": ":443"}.get(scheme, " "))
    return f"{scheme}://{re.sub(r'[.](?=:|$)', '', host)}"


def _shown(url: str) -> str:
    """Return an address without a user and password in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
