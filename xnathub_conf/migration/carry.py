"""What the reference deployment's settings become in a site: key by key, with what can't be carried over and why.

The variables are those of the reference's hub image, its Helm chart and XNAT's plugin (github.com/NrgXnat:
xnat-jupyterhub-image, xnat-docker-compose, xnat-jupyterhub-plugin).
"""

import os.path
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from xnathub_conf.migration import Found, MigrationError
from xnathub_conf.migration.sources import Old

_PLUGIN_DEFAULTS = {"JH_XNAT_START_TIMEOUT": 180, "JH_XNAT_STOP_TIMEOUT": 60}
_ARCHIVE, _WORKSPACES = "/data/xnat/archive", "/data/xnat/workspaces"
_TOKEN_LENGTH = 32
_STOP_SECONDS = 10
"""The default of servers.stop_timeout."""

_STAYS_IN_XNAT = {
    "JH_XNAT_JUPYTERHUB_API_URL": "XNAT's own: where its plugin calls the hub.",
    "JH_XNAT_INACTIVITY_TIMEOUT": "XNAT's own: its plugin goes on stopping idle servers.",
    "JH_XNAT_MAX_SERVER_LIFETIME": "XNAT's own: its plugin goes on stopping old servers.",
    "JH_XNAT_ALL_USERS_CAN_START_JUPYTER": "XNAT's own: the hub asks XNAT for it at each sign-in.",
    "JH_XNAT_SERVICE_USER_ENABLED": "XNAT's own.",
}
_NOT_NEEDED = {
    "JUPYTERHUB_CRYPT_KEY": "Nothing is encrypted with it here: the hub keeps no sign-in data.",
    "JH_SPAWNER": "`orchestrator` says it.",
    "JH_VERSION": "It was for building the old image.",
    "JH_DOCKERSPAWNER_VERSION": "It was for building the old image.",
    "JUPYTERHUB_SINGLEUSER_EXTENSION": "It went around a fault of JupyterHub 4, which is mended.",
}
_READ = {
    "JH_NETWORK", "JH_UID", "JH_GID", "NB_UID", "NB_GID", "JH_START_TIMEOUT", "JH_HTTP_TIMEOUT", "JH_XNAT_URL",
    "JH_XNAT_SERVICE_TOKEN", "JH_XNAT_USERNAME", "JH_XNAT_PASSWORD", "JH_TLS_CLIENT_CERT", "JH_TLS_CLIENT_KEY",
    "JH_TLS_CA_CERT", "JH_TLS_VERIFY", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "JH_XNAT_UID",
    "JH_XNAT_GID", "JH_XNAT_ARCHIVE_PVC", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_HOST",
    "POSTGRES_PORT", "JH_XNAT_JUPYTERHUB_HOST_URL", "JH_XNAT_START_TIMEOUT", "JH_XNAT_STOP_TIMEOUT",
    "JH_XNAT_WORKSPACE_PATH",
    *(f"JH_XNAT_PT_{kind}_{prefix}" for kind in ("ARCHIVE", "WORKSPACE")
      for prefix in ("PREFIX", "DOCKER_PREFIX", "SERVER_PREFIX")),
}  # fmt: skip


@dataclass(frozen=True)
class Carried:
    """A setting that is in the site now: its old name and place, the key that holds it, and what changed with it."""

    name: str
    origin: str
    key: str
    value: Any
    note: str = ""


@dataclass(frozen=True)
class Left:
    """A setting that is not in the site: its old name and place, and why, with what to do."""

    name: str
    origin: str
    why: str


@dataclass
class Carrying:
    """The site in the making: its data, its secrets by file name, and what is to be said of it."""

    old: Old
    secrets_path: str
    site: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    carried: list[Carried] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    to_do: list[str] = field(default_factory=list)

    def put(self, key: str, value: Any, name: str, origin: str, note: str = "") -> None:
        """Write a value at a dotted key, and say where it comes from."""
        *above, last = key.split(".")
        node = self.site
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
        self.carried.append(Carried(name, origin, key, value, note))

    def secret(self, key: str, file: str, found: Found, name: str, note: str = "") -> None:
        """Keep a secret's value for its file, and name the file in the site."""
        if found.value != found.value.rstrip():
            raise MigrationError(
                f"{found.origin}: {name} ends with white space, which is not read from a file. Change it."
            )
        self.secrets[file] = found.value
        self.put(key, {"file": f"{self.secrets_path}/{file}"}, name, found.origin, note)

    def leave(self, name: str, origin: str, why: str) -> None:
        """Say why a setting is not carried over."""
        self.left.append(Left(name, origin, why))


def carry(old: Old, *, secrets_path: str, images: Sequence[str], public_url: str | None) -> Carrying:
    """Make a site of old settings.

    `secrets_path` is the folder where the hub finds its secrets; `images` what XNAT may start; `public_url` XNAT's
    address for browsers where the old files don't say. Raises MigrationError where something is missing, or is not
    what it has to be.
    """
    to = Carrying(old, secrets_path.rstrip("/"))
    _check_required(old)
    to.site["version"] = 1
    _xnat(to)
    _hub(to, public_url)
    _servers(to, images)
    if old.kind == "kubernetes":
        _kubernetes(to)
    else:
        _swarm(to)
    _timeouts(to)
    _rest(to)
    order = ("version", "xnat", "hub", "servers", "paths", "orchestrator", "extra")
    to.site = {key: to.site[key] for key in order if key in to.site}
    return to


def _check_required(old: Old) -> None:
    missing = [
        name
        for name in ("JH_XNAT_URL", "JH_XNAT_SERVICE_TOKEN", "JH_XNAT_PASSWORD")
        if name not in old.elsewhere and not (name in old.hub and old.hub[name].value)
    ]
    if missing:
        raise MigrationError(
            f"{', '.join(missing)}: no value. It came from the shell, or from an env file, when the old hub was deployed: "
            "set it here, or give that file with --env-file."
        )


def _xnat(to: Carrying) -> None:
    hub = to.old.hub
    url = hub["JH_XNAT_URL"]
    to.put("xnat.url", url.value.rstrip("/"), "JH_XNAT_URL", url.origin)
    username = hub["JH_XNAT_USERNAME"]
    to.put("xnat.service_account.username", username.value, "JH_XNAT_USERNAME", username.origin)
    key = "xnat.service_account.password"
    if "JH_XNAT_PASSWORD" in to.old.elsewhere:
        _secret_of_the_cluster(to, key, "xnat_password", "JH_XNAT_PASSWORD")
        return
    to.secret(key, "xnat_password", hub["JH_XNAT_PASSWORD"], "JH_XNAT_PASSWORD")
    if hub["JH_XNAT_PASSWORD"].value == "jupyterhub":
        to.to_do.append(
            f"The service account's password is the one that everybody knows. Give the XNAT user {username.value} "
            "another one, and put it into the file xnat_password."
        )


def _secret_of_the_cluster(to: Carrying, key: str, file: str, name: str) -> None:
    where = to.old.elsewhere[name]
    to.put(key, {"file": f"{to.secrets_path}/{file}"}, name, where.origin)
    to.to_do.append(f"{name} is a Secret of the cluster. Put its value into the file {file}: {where.value}")


def _hub(to: Carrying, public_url: str | None) -> None:
    plugin, values = to.old.plugin, to.old.values
    base_url = "/jupyterhub/"
    if to.old.kind == "kubernetes":
        base = values["hub"]["baseUrl"].strip("/")
        base_url = f"/{base}/" if base else "/"
        to.put("hub.base_url", base_url, "jupyterhub.hub.baseUrl", to.old.origin("baseUrl"))
    host = plugin.get("JH_XNAT_JUPYTERHUB_HOST_URL")
    if host and host.value and not public_url:
        public, name, origin = host.value, "JH_XNAT_JUPYTERHUB_HOST_URL", host.origin
    else:
        public, name, origin = public_url or "", "--public-url", "the command line"
    if public:
        public = public.rstrip("/")
        if public != to.site["xnat"]["url"]:
            to.put("xnat.public_url", public, name, origin)
        parts = urlsplit(public)
        to.put("hub.public_url", f"{parts.scheme}://{parts.netloc}{base_url}", name, origin)
    else:
        to.to_do.append(
            "XNAT's address for browsers is not in the old files. Write it as xnat.public_url, and the hub's as "
            "hub.public_url, or call this again with --public-url https://YOUR.XNAT"
        )
    _token(to)
    if to.old.kind == "swarm":
        to.put("hub.shutdown_on_logout", True, "shutdown_on_logout", "the reference's jupyterhub_config.py")
        _hub_ids(to)


def _token(to: Carrying) -> None:
    name = "JH_XNAT_SERVICE_TOKEN"
    if name in to.old.elsewhere:
        _secret_of_the_cluster(to, "hub.api_token", "hub_api_token", name)
        return
    token = to.old.hub[name]
    if len(token.value) >= _TOKEN_LENGTH and token.value.isascii() and token.value.isprintable():
        to.secret("hub.api_token", "hub_api_token", token, name)
        return
    new = Found(secrets.token_hex(_TOKEN_LENGTH), token.origin)
    to.secret("hub.api_token", "hub_api_token", new, name, "a new one: the old one is too short to be safe")
    to.to_do.append(
        f"The token that XNAT calls the hub with is new. Put what is in the file hub_api_token into XNAT's Jupyter "
        f"settings, and into {name} where XNAT gets that variable."
    )


def _hub_ids(to: Carrying) -> None:
    hub = to.old.hub
    uid, gid = (hub.get(name, Found("", "")) for name in ("JH_UID", "JH_GID"))
    if not (uid.value and gid.value):
        to.leave(
            "JH_UID, JH_GID",
            uid.origin or gid.origin or "not set",
            "Without both, the old hub ran as root; this one never does.",
        )
        to.to_do.append(_SOCKET)
        return
    if _number(uid, "JH_UID") == 0:
        to.leave("JH_UID", uid.origin, "The hub never runs as root.")
        to.to_do.append(_SOCKET)
    else:
        to.put("hub.uid", _number(uid, "JH_UID"), "JH_UID", uid.origin)
    to.put("hub.gid", _number(gid, "JH_GID"), "JH_GID", gid.origin)


_SOCKET = (
    "Write hub.uid, a user other than root, and hub.gid, the group that owns Docker's socket: "
    "stat -c %g /var/run/docker.sock"
)


def _number(found: Found, name: str) -> int:
    try:
        return int(found.value)
    except ValueError:
        raise MigrationError(f"{found.origin}: {name} is no whole number.") from None


def _servers(to: Carrying, images: Sequence[str]) -> None:
    names = ("JH_XNAT_UID", "JH_XNAT_GID") if to.old.kind == "kubernetes" else ("NB_UID", "NB_GID")
    found = [to.old.hub.get(name, Found("", "not set")) for name in names]
    if not all(each.value for each in found):
        own = "what images of docker-stacks run as; the old hub left it to them"
        for key, value in (("uid", 1000), ("gid", 100)):
            to.put(f"servers.{key}", value, names[key == "gid"], "not set", own)
    else:
        for key, name, each in zip(("uid", "gid"), names, found, strict=True):
            if _number(each, name) == 0:
                to.leave(name, each.origin, "Servers never work as root.")
                to.to_do.append(
                    f"Write servers.{key}: Tomcat's, so that XNAT can read what users write. (The default is 1000.)"
                )
            else:
                to.put(f"servers.{key}", _number(each, name), name, each.origin)
    given = list(images) or ["xnat/*"]
    note = "" if images else "the old hub started any image that XNAT named; add what else yours names"
    to.put(
        "servers.allowed_images",
        given,
        "--image" if images else "images",
        "the command line" if images else "new",
        note,
    )


def _timeouts(to: Carrying) -> None:
    hub, plugin = to.old.hub, to.old.plugin
    waits: dict[str, int] = {}
    for name, key in (("JH_XNAT_START_TIMEOUT", "start_timeout"), ("JH_XNAT_STOP_TIMEOUT", "stop_timeout")):
        waits[key] = _PLUGIN_DEFAULTS[name]
        if name in plugin and plugin[name].value:
            waits[key] = _number(plugin[name], name)
            to.put(f"xnat.{key}", waits[key], name, plugin[name].origin)
    for name, key in (("JH_START_TIMEOUT", "start_timeout"), ("JH_HTTP_TIMEOUT", "http_timeout")):
        found = hub[name]
        seconds, note = _number(found, name), ""
        if key == "start_timeout" and seconds > waits[key]:
            note = f"{seconds} before: XNAT gives up after {waits[key]} s"
            seconds = waits[key]
        to.put(f"servers.{key}", seconds, name, found.origin, note)
    if waits["stop_timeout"] < _STOP_SECONDS:
        note = f"{_STOP_SECONDS} by default: XNAT waits no longer"
        name = "JH_XNAT_STOP_TIMEOUT"
        to.put("servers.stop_timeout", waits["stop_timeout"], name, plugin[name].origin, note)


def _prefixes(to: Carrying, kind: str, default: str) -> tuple[Found, Found | None, str]:
    """Give where XNAT says a folder is, where the node or claim has it, and the name of the variable that says so."""
    plugin = to.old.plugin
    source = plugin.get(f"JH_XNAT_PT_{kind}_PREFIX")
    if not (source and source.value) and kind == "WORKSPACE":
        source = plugin.get("JH_XNAT_WORKSPACE_PATH")
    source = source if source and source.value else Found(default, "XNAT's default")
    for name in (f"JH_XNAT_PT_{kind}_SERVER_PREFIX", f"JH_XNAT_PT_{kind}_DOCKER_PREFIX"):
        if (target := plugin.get(name)) and target.value:
            return source, target, name
    return source, None, ""


def _swarm(to: Carrying) -> None:
    hub, folder = to.old.hub, to.old.folder
    mounts: list[dict[str, Any]] = []
    origins: list[str] = []
    for kind, key, default in (("ARCHIVE", "archive", _ARCHIVE), ("WORKSPACE", "workspaces", _WORKSPACES)):
        source, target, name = _prefixes(to, kind, default)
        here = source.value.rstrip("/")
        if target:
            note = ""
            path = target.value.rstrip("/")
            if not path.startswith("/"):
                path = os.path.normpath(os.path.join(folder, path))  # noqa: PTH118 - no link is to be followed
                note = f"a path from {folder}, as the old files had it"
            if path != here:
                to.put(f"paths.{key}", [{"from": here, "to": path}], name, target.origin, note)
                here = path
            origins.append(name)
        mounts.append(
            {"path": here} if kind == "ARCHIVE" else {"path": f"{here}/users/{{username}}", "writable": True}
        )
    if origins or [mount["path"] for mount in mounts] != [_ARCHIVE, f"{_WORKSPACES}/users/{{username}}"]:
        to.put(
            "servers.allowed_mounts",
            mounts,
            ", ".join(origins) or "JH_XNAT_WORKSPACE_PATH",
            "the lines above",
        )
    if origins:
        to.to_do.append(
            "Paths are translated by the hub now. Take XNAT's own path translation out of its Jupyter settings, and the "
            "variables JH_XNAT_PT_... out of XNAT's environment, which would set it again."
        )
    else:
        to.to_do.append(
            "If XNAT's Jupyter settings hold a path translation (Administer, Plugin Settings, JupyterHub), write it as "
            "`paths`, name the translated folders in servers.allowed_mounts, and empty it in XNAT."
        )
    network = hub["JH_NETWORK"]
    to.put("orchestrator.swarm.network_name", network.value, "JH_NETWORK", network.origin)
    _docker_api(to)
    _service(to)
    to.to_do.append(
        f"Remove the old stack before the new one is deployed: both want the network {network.value} and the hub's port. "
        "Running servers end with it; notebooks stay in the workspaces."
    )


def _docker_api(to: Carrying) -> None:
    hub = to.old.hub
    host = hub.get("DOCKER_HOST", Found("", ""))
    names = {
        "ca_cert": "JH_TLS_CA_CERT",
        "client_cert": "JH_TLS_CLIENT_CERT",
        "client_key": "JH_TLS_CLIENT_KEY",
    }
    files = {key: hub[name] for key, name in names.items() if name in hub and hub[name].value}
    verify = hub.get("JH_TLS_VERIFY")
    if (
        (folder := hub.get("DOCKER_CERT_PATH"))
        and folder.value
        and hub.get("DOCKER_TLS_VERIFY", Found("", "")).value
    ):
        # docker-py's own variables, which the old hub obeyed before JH_TLS_...
        path = folder.value.rstrip("/")
        files = {
            key: Found(f"{path}/{file}", folder.origin)
            for key, file in (("ca_cert", "ca.pem"), ("client_cert", "cert.pem"), ("client_key", "key.pem"))
        }
        names, verify = dict.fromkeys(files, "DOCKER_CERT_PATH"), hub["DOCKER_TLS_VERIFY"]
    remote = host.value.startswith("tcp://")
    if host.value:
        to.put("orchestrator.swarm.docker_host", host.value, "DOCKER_HOST", host.origin)
    if not files:
        return
    if not remote or len(files) < len(names):
        why = "Docker's socket has no TLS." if not remote else "TLS wants all three: CA, certificate and key."
        for key, found in files.items():
            to.leave(names[key], found.origin, why)
        return
    for key, found in files.items():
        to.put(f"orchestrator.swarm.tls.{key}", found.value, names[key], found.origin)
    if verify is None or not verify.value:
        to.put("orchestrator.swarm.tls.verify", True, "JH_TLS_VERIFY", "not set",
               "the old hub did not check the engine's certificate")  # fmt: skip
    else:
        # Any text was a yes, `false` too.
        to.put("orchestrator.swarm.tls.verify", True, "JH_TLS_VERIFY", verify.origin)


def _service(to: Carrying) -> None:
    """Carry over what a compose file says of the hub's container."""
    service = to.old.service
    if service is None:
        return
    for port in service.ports:
        text = f"{port.get('published')}:{port.get('target')}" if isinstance(port, Mapping) else str(port)
        *_, published, target = ["", *text.removesuffix("/tcp").split(":")]
        if target == "8000" and published.isdigit() and published != "8000":
            to.put("hub.bind_url", f"http://0.0.0.0:{published}", "ports", to.old.origin("ports"))
        elif target not in {"8000", "8081"}:
            to.leave(f"ports {text}", to.old.origin("ports"), "The hub listens on one port, hub.bind_url.")
    for volume in service.volumes:
        source, target = (
            (str(volume.get("source")), str(volume.get("target")))
            if isinstance(volume, Mapping)
            else [*str(volume).split(":"), ""][:2]
        )
        if target.endswith("/docker.sock"):
            if source not in {"/var/run/docker.sock", "/run/docker.sock"}:
                to.put(
                    "orchestrator.swarm.docker_host", f"unix://{source}", "volumes", to.old.origin("volumes")
                )
        elif target.endswith("jupyterhub_config.py"):
            to.leave(f"volume {source}", to.old.origin("volumes"), _CODE)
        else:
            why = "The new stack keeps the hub's data in a volume of its own. Add what the hub must read to the rendered stack."
            to.leave(f"volume {source}:{target}", to.old.origin("volumes"), why)


_CODE = "It is code. Look for a key of site.yaml for what it sets, or write it under `extra`."


def _kubernetes(to: Carrying) -> None:
    hub, values = to.old.hub, to.old.values
    here = "orchestrator.kubernetes"
    storage = values["singleuser"]["storage"]
    workspaces = Found(storage["static"]["pvcName"], to.old.origin("pvcName"))
    if storage["type"] != "static" or storage["static"]["subPath"].strip("/") != _SUBPATH:
        to.leave("jupyterhub.singleuser.storage", to.old.origin("storage"),
                 "Workspaces are mounted as XNAT says: users/NAME in the claim that holds them.")  # fmt: skip
    claims, mounts, translated = [], [], False
    for kind, key, default, claim in (
        ("ARCHIVE", "archive", _ARCHIVE, hub["JH_XNAT_ARCHIVE_PVC"]),
        ("WORKSPACE", "workspaces", _WORKSPACES, workspaces),
    ):
        source, target, name = _prefixes(to, kind, default)
        path = root = source.value.rstrip("/")
        if target and not target.value.startswith("/"):
            translated = True
            if below := os.path.normpath(target.value).strip("./"):
                root = f"/{claim.value}"
                path = f"{root}/{below}"
                to.put(f"paths.{key}", [{"from": source.value.rstrip("/"), "to": path}], name, target.origin)
            else:
                to.leave(name, target.origin, "The hub finds XNAT's path in the claim by itself.")
        elif target:
            translated = True
            path = root = target.value.rstrip("/")
            to.put(f"paths.{key}", [{"from": source.value.rstrip("/"), "to": path}], name, target.origin)
        claims.append({"path": root, "claim_name": claim.value})
        mounts.append(
            {"path": path} if kind == "ARCHIVE" else {"path": f"{path}/users/{{username}}", "writable": True}
        )
    to.put(f"{here}.claims", claims, "JH_XNAT_ARCHIVE_PVC, jupyterhub.singleuser.storage.static.pvcName",
           hub["JH_XNAT_ARCHIVE_PVC"].origin)  # fmt: skip
    to.put(
        "servers.allowed_mounts",
        mounts,
        "JH_XNAT_PT_..." if translated else "mounts",
        "the lines above" if translated else "new",
    )
    to.to_do.append(
        "The hub finds XNAT's folders in the claims by itself. Empty the path translation in XNAT's Jupyter settings, "
        "and take the variables JH_XNAT_PT_... out of XNAT's environment."
    )
    _chart(to)


_SUBPATH = "users/{unescaped_username}"
_HUB_VALUES = {
    "baseUrl", "config", "extraEnv", "extraConfig", "allowNamedServers", "namedServerLimitPerUser", "concurrentSpawnLimit",
    "activeServerLimit", "consecutiveFailureLimit", "shutdownOnLogout", "db", "services", "loadRoles",
}  # fmt: skip
_SINGLEUSER_VALUES = {
    "nodeSelector", "extraTolerations", "image", "cpu", "memory", "extraEnv", "defaultUrl", "storage", "uid", "fsGid", "cmd",
}  # fmt: skip


def _chart(to: Carrying) -> None:
    """Carry over what the chart's values say beyond variables."""
    values, origin = to.old.values, to.old.origin
    hub, singleuser = values["hub"], values["singleuser"]
    code = hub.get("extraConfig") or {}
    shutdown = "True" in (code.get("shutdownOnLogout") or "") or hub.get("shutdownOnLogout") == "true"
    to.put(
        "hub.shutdown_on_logout",
        shutdown,
        "jupyterhub.hub.extraConfig.shutdownOnLogout",
        origin("shutdownOnLogout"),
    )
    if "allowNamedServers" in hub:
        named = hub["allowNamedServers"] == "true"
        to.put(
            "hub.allow_named_servers", named, "jupyterhub.hub.allowNamedServers", origin("allowNamedServers")
        )
    for name, key in (
        ("namedServerLimitPerUser", "hub.named_server_limit_per_user"),
        ("concurrentSpawnLimit", "servers.concurrent_starts"),
        ("activeServerLimit", "JupyterHub.active_server_limit"),
        ("consecutiveFailureLimit", "KubeSpawner.consecutive_failure_limit"),
    ):
        if hub.get(name) is not None:
            number = _number(Found(hub[name], origin(name)), name)
            if key.startswith(("hub.", "servers.")):
                to.put(key, number, f"jupyterhub.hub.{name}", origin(name))
            else:
                to.site.setdefault("extra", {})[key] = number
                to.carried.append(Carried(f"jupyterhub.hub.{name}", origin(name), f'extra["{key}"]', number))
    config = hub.get("config") or {}
    if admins := (config.get("Authenticator") or {}).get("admin_users"):
        to.put(
            "hub.admin_users",
            admins,
            "jupyterhub.hub.config.Authenticator.admin_users",
            origin("admin_users"),
        )
    for class_name, traits in config.items():
        for name in traits or {}:
            if f"{class_name}.{name}" not in {
                "JupyterHub.admin_access",
                "JupyterHub.authenticator_class",
                "Authenticator.admin_users",
            }:
                to.leave(
                    f"jupyterhub.hub.config.{class_name}.{name}",
                    origin(name),
                    "Look for a key of site.yaml, or write it under `extra`.",
                )
    for name in code:
        if name not in {"shutdownOnLogout", "timeouts"}:
            to.leave(f"jupyterhub.hub.extraConfig.{name}", origin(name), _CODE)
    if "loadRoles" in hub:
        to.leave("jupyterhub.hub.loadRoles", origin("loadRoles"),
                 "The service xnat gets what XNAT's plugin needs and no more; hub.api_scopes would change it.")  # fmt: skip
    _database(to)
    _pods(to, singleuser)
    unread = [(f"jupyterhub.hub.{name}", name) for name in hub if name not in _HUB_VALUES]
    unread += [
        (f"jupyterhub.singleuser.{name}", name) for name in singleuser if name not in _SINGLEUSER_VALUES
    ]
    unread += [
        (f"jupyterhub.{name}", name) for name in values if name not in {"enabled", "hub", "singleuser"}
    ]
    for path, name in unread:
        to.leave(
            path,
            origin(name),
            "It is the chart's, not the site's: write it into the values of the new chart, if it is still wanted.",
        )


def _database(to: Carrying) -> None:
    hub, values = to.old.hub, to.old.values
    if (values["hub"].get("db") or {}).get("type") != "postgres":
        return
    if to.old.chart["postgresql"].get("enabled") == "true":
        to.leave("postgresql", to.old.origin("postgresql"),
                 "The old chart's database goes with it. The new hub begins with an empty one, which loses nothing of the "
                 "users: XNAT makes them again, and notebooks are in the workspaces.")  # fmt: skip
        return
    parts = {
        name: hub.get(f"POSTGRES_{name}", Found("", "not set"))
        for name in ("USER", "PASSWORD", "HOST", "PORT", "DB")
    }
    host = to.old.chart.get("postgresqlExternalHost") or parts["HOST"].value
    if "POSTGRES_PASSWORD" in to.old.elsewhere:
        _secret_of_the_cluster(to, "hub.db_url", "hub_db_url", "POSTGRES_PASSWORD")
        return
    user, password = (quote(parts[name].value, safe="") for name in ("USER", "PASSWORD"))
    url = f"postgresql+psycopg://{user}:{password}@{host}:{parts['PORT'].value or 5432}/{parts['DB'].value}"
    to.secret("hub.db_url", "hub_db_url", Found(url, parts["PASSWORD"].origin), "POSTGRES_...")
    to.to_do.append(
        "The old database is of JupyterHub 4. Take a backup of it, or give the new hub an empty one: it holds nothing of the users."
    )


def _pods(to: Carrying, singleuser: Mapping[str, Any]) -> None:
    here, origin = "orchestrator.kubernetes", to.old.origin
    if selector := singleuser.get("nodeSelector"):
        to.put(
            f"{here}.node_selector", selector, "jupyterhub.singleuser.nodeSelector", origin("nodeSelector")
        )
    if tolerations := singleuser.get("extraTolerations"):
        to.put(
            f"{here}.tolerations",
            tolerations,
            "jupyterhub.singleuser.extraTolerations",
            origin("extraTolerations"),
        )
    if policy := (singleuser.get("image") or {}).get("pullPolicy"):
        to.put(
            f"{here}.image_pull_policy",
            policy,
            "jupyterhub.singleuser.image.pullPolicy",
            origin("pullPolicy"),
        )
    if names := (singleuser.get("image") or {}).get("pullSecrets"):
        to.put(
            f"{here}.image_pull_secrets",
            names,
            "jupyterhub.singleuser.image.pullSecrets",
            origin("pullSecrets"),
        )
    for section, short in (("cpu", "cpu"), ("memory", "mem")):
        for name in ("limit", "guarantee"):
            if (value := (singleuser.get(section) or {}).get(name)) is not None:
                amount = float(value) if short == "cpu" else value
                to.put(
                    f"servers.{short}_{name}",
                    amount,
                    f"jupyterhub.singleuser.{section}.{name}",
                    origin(section),
                )
    environment = {}
    for name, value in (singleuser.get("extraEnv") or {}).items():
        if isinstance(value, str):
            environment[name] = value
        else:
            to.leave(
                f"jupyterhub.singleuser.extraEnv.{name}",
                origin(name),
                "Servers get no secrets of the cluster; users could read them.",
            )
    if environment:
        to.put("servers.environment", environment, "jupyterhub.singleuser.extraEnv", origin("extraEnv"))
    if url := singleuser.get("defaultUrl"):
        to.put("servers.default_url", url, "jupyterhub.singleuser.defaultUrl", origin("defaultUrl"))
    if singleuser.get("uid") == "0":
        to.leave("jupyterhub.singleuser.uid", origin("uid"),
                 "Servers start as servers.uid. For images that can't, write start_as_root: true under orchestrator.kubernetes.")  # fmt: skip


def _rest(to: Carrying) -> None:
    """Say what becomes of every other variable of the old hub and of XNAT's plugin."""
    told = {each.name for each in to.left}
    for variables in (to.old.hub, to.old.plugin):
        for name, found in variables.items():
            if name in _READ or name in told:
                continue
            told.add(name)
            if name in _STAYS_IN_XNAT or name in _NOT_NEEDED:
                to.leave(name, found.origin, _STAYS_IN_XNAT.get(name) or _NOT_NEEDED[name])
            elif name in to.old.own or name.startswith(("JH_", "JUPYTERHUB_", "NB_")):
                to.leave(
                    name,
                    found.origin,
                    "No key of site.yaml stands for it. If the hub's process needs it, set it where the hub runs.",
                )
