"""JupyterHub's settings, and the keys of a site that they become: from a jupyterhub_config.py, or Helm's hub.config."""

from collections.abc import Callable
from typing import Any

from xnathub_conf.migration.hub_services import OF_XNAT, carry_list
from xnathub_conf.migration.images import allow_images, images_of, list_of_names
from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.rules import address, number, whole, yes
from xnathub_conf.migration.server_rights import CONTAINER_TRAITS, carry_container
from xnathub_conf.migration.site_mounts import amount, by_name
from xnathub_conf.migration.tree import Node
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.problems import KeyPath, holds_secret
from xnathub_conf.site.rules.secret_values import is_hex
from xnathub_conf.site.schema import jupyterhub_names

LOOK = "JupyterHub has no such setting, or this orchestrator has no use for it. Look for a key of site.yaml for what it did."
"""What to do with a setting that no rule takes."""

CODE = "It is code. Look for a key of site.yaml for what it sets, or write it under `extra`."
"""What to do with code."""

SIGN_IN = (
    "People sign in with XNAT here, and in no other way. If they signed in otherwise, look at XNAT's own sign-in "
    "(OpenID, LDAP) before the move."
)
"""What to do about another way to sign in."""

_OTHER_SIGN_IN = (
    "It is about another way to sign in. Here people sign in with XNAT, in whatever way XNAT has."
)


def unknown_trait(trait: str) -> str:
    """Report why a setting that no rule takes is left behind."""
    return _OTHER_SIGN_IN if trait.partition(".")[0].endswith("Authenticator") else LOOK


def _bool(value: Any) -> bool:
    return value if isinstance(value, bool) else yes(str(value))


def _int(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else whole(str(value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise NotCarriedError("It is no text. Write the key of site.yaml by hand.")
    return value


def _path(value: object) -> str:
    inner = _text(value).strip("/")
    return f"/{inner}/" if inner else "/"


def _variables(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(
        isinstance(name, str) and isinstance(text, str | int | float | None) for name, text in value.items()
    ):
        raise NotCarriedError("It is no map of names to text. Write servers.environment by hand.")
    # JupyterHub's spawners write numbers as Python does, and leave out what is None.
    return {name: str(text) for name, text in value.items() if text is not None}


def _same(value: object) -> object:
    return value


def _cores(value: object) -> float:
    return number(str(value))


_KEYS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "JupyterHub.allow_named_servers": ("hub.allow_named_servers", _bool),
    "JupyterHub.named_server_limit_per_user": ("hub.named_server_limit_per_user", _int),
    "JupyterHub.shutdown_on_logout": ("hub.shutdown_on_logout", _bool),
    "JupyterHub.concurrent_spawn_limit": ("servers.concurrent_starts", _int),
    "JupyterHub.active_server_limit": ("extra.JupyterHub.active_server_limit", _int),
    "JupyterHub.base_url": ("hub.base_url", _path),
    "Application.log_level": ("logging.level", _text),
    "JupyterHub.log_level": ("logging.level", _text),
    "JupyterHub.upgrade_db": ("hub.upgrade_db", _bool),
    "JupyterHub.public_url": ("hub.public_url", _text),
    "JupyterHub.ssl_cert": ("hub.tls.cert", _text),
    "JupyterHub.ssl_key": ("hub.tls.key", _text),
    "JupyterHub.trusted_downstream_ips": ("hub.trusted_proxies", list_of_names),
    "JupyterHub.logo_file": ("pages.logo", _text),
    "JupyterHub.admin_users": ("hub.admin_users", list_of_names),
    "Authenticator.admin_users": ("hub.admin_users", list_of_names),
    "Authenticator.auth_refresh_age": ("sign_in.auth_refresh_age", _int),
    "Spawner.start_timeout": ("servers.start_timeout", _int),
    "Spawner.http_timeout": ("servers.http_timeout", _int),
    "Spawner.cpu_limit": ("servers.cpu_limit", _cores),
    "Spawner.cpu_guarantee": ("servers.cpu_guarantee", _cores),
    "Spawner.mem_limit": ("servers.mem_limit", amount),
    "Spawner.mem_guarantee": ("servers.mem_guarantee", amount),
    "Spawner.default_url": ("servers.default_url", _text),
    "Spawner.environment": ("servers.environment", _variables),
    "Spawner.consecutive_failure_limit": ("extra.Spawner.consecutive_failure_limit", _int),
    "DockerSpawner.network_name": ("orchestrator.*.network_name", _text),
    "DockerSpawner.prefix": ("orchestrator.*.prefix", _text),
    "DockerSpawner.pull_policy": ("orchestrator.*.pull_policy", _text),
    "KubeSpawner.namespace": ("orchestrator.*.namespace", _text),
    "KubeSpawner.node_selector": ("orchestrator.*.node_selector", _variables),
    "KubeSpawner.tolerations": ("orchestrator.*.tolerations", _same),
    "KubeSpawner.image_pull_policy": ("orchestrator.*.image_pull_policy", _text),
    "KubeSpawner.image_pull_secrets": ("orchestrator.*.image_pull_secrets", list_of_names),
    "KubeSpawner.delete_grace_period": ("servers.stop_timeout", _int),
    "KubeSpawner.uid": ("servers.uid", _int),
    "KubeSpawner.gid": ("servers.gid", _int),
}
"""Settings that have a key of their own; `*` is the orchestrator. Those of Spawner hold for every spawner."""

NO_CONCERN_TRAITS = {
    "JupyterHub.spawner_class": "`orchestrator` says it.",
    "JupyterHub.admin_access": "Admins don't open others' servers here; sign_in.foreign_servers: ask lets those in hub.admin_users, after a question.",
    "JupyterHub.proxy_auth_token": "The hub makes a token for its proxy itself.",
    "ConfigurableHTTPProxy.auth_token": "The hub makes a token for its proxy itself.",
    "JupyterHub.hub_ip": "The hub finds its own address.",
    "JupyterHub.hub_port": "The hub finds its own address.",
    "JupyterHub.hub_bind_url": "The hub finds its own address; hub.hub_bind_url would change it.",
    "JupyterHub.hub_connect_url": "The hub finds its own address; hub.hub_connect_url would change it.",
    "JupyterHub.hub_connect_ip": "The hub finds its own address; hub.hub_connect_url would change it.",
    "Authenticator.enable_auth_state": "The hub keeps no sign-in data.",
    "JupyterHub.cleanup_servers": "Servers outlive the hub here.",
    "JupyterHub.api_page_max_limit": "XNAT gets all users in one answer.",
    "Authenticator.allow_all": "XNAT says who may start Jupyter; sign_in.role and sign_in.everyone say whom of them.",
    "Authenticator.auth_refresh_strict": "It is always so here.",
    "ConfigurableHTTPProxy.pid_file": "The hub says it itself.",
    "Spawner.pre_spawn_hook": "The hub asks XNAT itself what to start.",
    "Spawner.apply_user_options": "The hub asks XNAT itself what to start.",
    "DockerSpawner.remove": "A server's container goes as it stops.",
    "DockerSpawner.use_internal_ip": "Servers are always reached by their network's address.",
}
LEFT = {
    "JupyterHub.template_paths": "The hub has pages of its own; `pages` names the site on them.",
    "JupyterHub.template_vars": "The hub has pages of its own; `pages` names the site on them.",
    "JupyterHub.cookie_secret_file": "Put its content into a file of secrets, and name that as hub.cookie_secret. Without it people sign in once more.",
    "JupyterHub.proxy_class": "The hub's proxy is one that guards users' servers: docs/security.md.",
    "JupyterHub.tornado_settings": "The hub sets these itself. Look for a key of site.yaml for what they did.",
    "Application.logging_config": "logging.level, logging.format and logging.audit_file say what is logged, and how.",
    "JupyterHub.logging_config": "logging.level, logging.format and logging.audit_file say what is logged, and how.",
    "KubeSpawner.node_affinity_required": "XNAT names nodes by a compute environment's constraints; orchestrator.kubernetes.node_selector holds for all servers.",
    "KubeSpawner.supplemental_gids": "Servers are in the group servers.gid.",
    "KubeSpawner.pod_security_context": "servers.uid and servers.gid say what servers run as.",
    "Spawner.post_stop_hook": "The hub has one of its own. Look for a key of site.yaml for what yours did.",
    "Spawner.cmd": "The image's own command is started, or what XNAT names.",
    "KubeSpawner.profile_list": "XNAT says which image a server starts from: make each a computing environment there.",
}
"""Settings that can't be carried over, whatever they hold, and what to do."""

_OLD_DATABASE = (
    "It is a file of the old hub's. The new hub begins with one of its own, which loses nothing of the users: XNAT makes them again, and "
    "notebooks are in the workspaces."
)

SAME_DATABASE = (
    "hub.db_url is the old hub's database. The new hub changes it for its JupyterHub, and the old one can't go back to it: take a backup "
    "first, or name an empty one. It holds nothing of the users."
)
"""What to do where both hubs have one database."""

_SECRETS = {"JupyterHub.db_url": "db_url", "JupyterHub.cookie_secret": "cookie_secret"}
"""Settings that hold a secret, and the keys of `hub` that name its file."""

OF_REFERENCE = {
    "JupyterHub.template_paths": LEFT["JupyterHub.template_paths"],
    "JupyterHub.services": "The service xnat, whose token is hub.api_token.",
    "JupyterHub.load_roles": OF_XNAT,
    "DockerSpawner.extra_container_spec": "servers.uid and servers.gid say what servers run as.",
    "Spawner.environment": "servers.uid and servers.gid say what servers run as.",
    "DockerSpawner.tls_config": "The variables for Docker's TLS say it.",
}
"""Settings of the reference's file that variables decide, so that they are code there."""

_TABLES = (_KEYS, NO_CONCERN_TRAITS, LEFT, OF_REFERENCE, CONTAINER_TRAITS)
"""All settings that are known here."""

_XNAT_AUTHENTICATORS = ("xnat_authenticator.XnatAuthenticator", "XnatAuthenticator", "xnat")


def common_name(trait: str) -> str:
    """Return the class that a setting belongs to among several that inherit it."""
    class_name, _, name = trait.partition(".")
    bases = {
        "SwarmSpawner": ("DockerSpawner", "Spawner"),
        "DockerSpawner": ("DockerSpawner", "Spawner"),
        "KubeSpawner": ("KubeSpawner", "Spawner"),
    }
    for base in bases.get(class_name, ()):
        if any(f"{base}.{name}" in table for table in _TABLES):
            return f"{base}.{name}"
    if class_name == "XnatAuthenticator" or class_name.endswith("Authenticator"):
        return f"Authenticator.{name}"
    return trait


def path_of(trait: str, kind: str) -> KeyPath:
    """Return the key of a setting that has one of its own, as a path; an empty one else."""
    target = _KEYS.get(common_name(trait), ("",))[0].replace("*", kind)
    return tuple(target.split(".")) if target and not target.startswith("extra.") else ()


_IMAGES = ("DockerSpawner.image", "SwarmSpawner.image", "KubeSpawner.image", "DockerSpawner.allowed_images")

_OTHER_KEYS = {
    "JupyterHub.db_url": "hub.db_url, which names a file with it",
    "JupyterHub.cookie_secret": "hub.cookie_secret, which names a file with it",
    "JupyterHub.services": "hub.services",
    "JupyterHub.load_roles": "hub.roles",
    "JupyterHub.bind_url": "hub.bind_url and hub.base_url",
    "JupyterHub.port": "hub.bind_url",
    **dict.fromkeys(_IMAGES, "servers.allowed_images"),
}
"""Where settings have their place that become more than one key, or that rules of their own carry."""


def key_of(trait: str, kind: str) -> str:
    """Return where a setting has its place in a site, as far as that is one key."""
    if trait in _OTHER_KEYS:
        return _OTHER_KEYS[trait]
    target = _KEYS.get(common_name(trait), ("",))[0].replace("*", kind)
    return target if target and not target.startswith("extra.") else "a key of site.yaml, or under `extra`"


def carry_trait(to: Ledger, trait: str, value: object, place: tuple[str, Node], kind: str) -> bool:
    """Carry over one setting with a plain value; gives whether a rule took it. Raises NotCarriedError.

    `place` is its name in the report, and its leaf.
    """
    common = common_name(trait)
    name, leaf = place
    if common in _KEYS:
        target, convert = _KEYS[common]
        path: tuple[str, ...] = tuple(target.replace("*", kind).split("."))
        if path[0] == "extra":
            path = ("extra", ".".join(path[1:]))
        converted = convert(value)
        if common == "Spawner.environment":
            for variable, text in converted.items():
                own = text.isdecimal() and int(text) and {"NB_UID": "uid", "NB_GID": "gid"}.get(variable)
                path = ("servers", own) if own else ("servers", "environment", variable)
                to.put(path, int(text) if own else text, name, at(leaf))
        else:
            to.put(path, converted, name, at(leaf))
    elif common in NO_CONCERN_TRAITS:
        to.ignore(name, at(leaf), NO_CONCERN_TRAITS[common])
    elif trait == "JupyterHub.authenticator_class":
        if value not in _XNAT_AUTHENTICATORS:
            raise NotCarriedError(SIGN_IN)
        to.ignore(name, at(leaf), "People sign in with XNAT here too.")
    elif trait == "JupyterHub.bind_url":
        _bind_url(to, _text(value), name, leaf)
    elif trait in {"JupyterHub.ip", "JupyterHub.port"}:
        address, port = (value, 8000) if trait.endswith("ip") else ("", value)
        _listens(to, address, port, name, leaf)
    elif trait in _IMAGES:
        allow_images(to, value, name, leaf)
    elif trait in _SECRETS:
        found = at(leaf)
        key = _SECRETS[trait]
        if key == "cookie_secret" and not is_hex(_text(value), 64):
            raise NotCarriedError("It is not 64 hexadecimal digits. Without it people sign in once more.")
        if key == "db_url" and _text(value).startswith("sqlite"):
            raise NotCarriedError(_OLD_DATABASE)
        to.secret(f"hub.{key}", f"hub_{key}", type(found)(_text(value), found.origin, leaf), name)
        if key == "db_url":
            to.ask(SAME_DATABASE)
    elif common == "KubeSpawner.volumes":
        to.volumes |= by_name(value)
        to.ignore(name, at(leaf), "What servers mount of it stands at volume_mounts, in this list by itself.")
    elif trait in {"JupyterHub.services", "JupyterHub.load_roles"}:
        carry_list(to, "services" if trait.endswith("services") else "roles", value, place)
    elif trait.endswith(".client_kwargs") and isinstance(value, dict) and set(value) == {"base_url"}:
        to.put(f"orchestrator.{kind}.docker_host", _text(value["base_url"]), name, at(leaf))
    elif trait.endswith(".tls_config") and isinstance(value, dict):
        _tls(to, value, f"orchestrator.{kind}.tls", place)
    elif common in LEFT:
        if common == "KubeSpawner.profile_list" and (images := images_of(value)):
            allow_images(to, images, name, leaf)
        raise NotCarriedError(LEFT[common])
    elif carry_container(to, common, value, place, kind):
        pass
    elif raw := _raw(trait, kind):
        if holds_secret(raw):
            raise NotCarriedError(
                "It may be a secret, which has no place in site.yaml. Look for a key that names its file."
            )
        to.put(raw, _data(value), name, at(leaf))
    else:
        return False
    if to.entry_of(leaf) is None:
        to.ignore(name, at(leaf), "It is empty, so the old hub had its default.")
    return True


def _tls(to: Ledger, value: dict[str, object], key: str, place: tuple[str, Node]) -> None:
    """Carry over docker-py's settings for TLS. Raises NotCarriedError."""
    name, leaf = place
    files = value.get("client_cert")
    ca = value.get("ca_cert") or value.get("verify")
    if not (isinstance(files, list | tuple) and len(files) == 2 and isinstance(ca, str)):
        raise NotCarriedError(f"TLS wants all three: CA, certificate and key. Write them under {key}.")
    for part, path in zip(("ca_cert", "client_cert", "client_key"), (ca, *files), strict=True):
        to.put(f"{key}.{part}", _text(path), name, at(leaf))


def _raw(trait: str, kind: str) -> tuple[str, str] | None:
    """Return the key under `extra` for a trait that JupyterHub, or the site's spawner, has; what may not stand there is taken out later."""
    class_name, _, name = trait.partition(".")
    known = jupyterhub_names()["traits"]
    if class_name == "Spawner" or class_name.endswith("Spawner"):
        class_name = kinds()[kind].spawner
    return ("extra", f"{class_name}.{name}") if name in known.get(class_name, ()) else None


def _data(value: object) -> object:
    """Return a plain value of Python as YAML can hold it. Raises NotCarriedError."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _data(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_data(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((_data(each) for each in value), key=str)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise NotCarriedError(CODE)


def _bind_url(to: Ledger, value: str, name: str, leaf: Node) -> None:
    parts = address(value)
    path = f"/{parts.path.strip('/')}/" if parts.path.strip("/") else "/"
    if path not in {"/", "/jupyterhub/"}:
        to.put("hub.base_url", path, name, at(leaf))
    _listens(to, parts.hostname or "", parts.port or 8000, name, leaf)


def _listens(to: Ledger, address: object, port: object, name: str, leaf: Node) -> None:
    """Carry over where the hub listens. Raises NotCarriedError."""
    if (number := _int(port)) != 8000:
        to.put("hub.bind_url", f"http://0.0.0.0:{number}", name, at(leaf))
    to.ignore(name, at(leaf), "It is the hub's default.")
    if _text(address) not in {"", "*", "0.0.0.0", "::"}:  # noqa: S104 - it is only compared
        raise NotCarriedError(
            f"The hub listens on every address of its container; {address} would not be reached there."
        )
