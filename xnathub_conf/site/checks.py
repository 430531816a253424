"""What a schema can't say of a site: rules across keys. One function a rule; each adds to the document's problems."""

import difflib
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from xnathub_conf.launch.policy import RESERVED_TARGETS, reserved_variable
from xnathub_conf.site.hub_settings import SPAWNERS, hub_bind_url, hub_settings, orchestrator_of
from xnathub_conf.site.problems import KeyPath, dotted, visible
from xnathub_conf.site.schema import check_trait, entries, jupyterhub_names, node_at
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.images import ImageError, parse_pattern
from xnathub_conf.values.paths import (
    PathError,
    PathTranslation,
    fixed_part,
    nearest,
    normal_path,
    prefixes,
)
from xnathub_conf.values.secret import Secret, SecretError
from xnathub_conf.values.user_names import can_be_user_name

_TOKENS: frozenset[KeyPath] = frozenset({("hub", "api_token"), ("hub", "metrics_token")})

_DIFFERENT_CHARACTERS = 8
"""A random token of 32 hexadecimal digits has fewer different ones once in 28 million times."""

_LEAST_ADDRESSES = 16
"""Docker itself takes some: the network's ends, its gateway, and one for each node."""

XNAT_LOCKS_AFTER = 20
"""XNAT's default of maxFailedLogins, in its security settings."""


def check_site(document: Document, site: Site) -> None:
    """Add to the document's problems everything that breaks a rule across keys."""
    for check in _CHECKS:
        check(document, site)


def check_host(document: Document, site: Site, environment: Mapping[str, str]) -> None:
    """Add what only the hub's host can tell: secrets and certificate files that can't be read, or are no good."""
    tokens: list[tuple[KeyPath, str]] = []
    for path, secret in _secrets(site):
        try:
            value = secret.read(environment)
        except SecretError as error:
            _report(document, path, "secret", str(error))
        else:
            _check_secret_value(document, path, value)
            tokens.append((path, value))
    if len({value for path, value in tokens if path in _TOKENS}) < sum(path in _TOKENS for path, _ in tokens):
        found = "XNAT and Prometheus have the same token, so the hub can't tell them apart."
        _report(
            document,
            ("hub", "metrics_token"),
            "secret",
            found,
            "Make another one with `openssl rand -hex 32`.",
        )
    files: list[tuple[KeyPath, str | None]] = [(("xnat", "ca_file"), site.xnat.ca_file)]
    docker = site.orchestrator.docker or site.orchestrator.swarm
    if docker and docker.tls:
        here = ("orchestrator", orchestrator_of(site), "tls")
        files += [
            ((*here, name), getattr(docker.tls, name)) for name in ("ca_cert", "client_cert", "client_key")
        ]
    files += [(("extra", trait), site.extra.get(trait)) for trait in _FILES]
    for path, name in files:
        if name:
            try:
                Secret("file", name).read({})
            except SecretError as error:
                _report(document, path, "file", str(error))
    for trait, when, variable, other in _NEEDED_VARIABLES:
        if site.extra.get(trait) is when and not environment.get(variable) and other not in site.extra:
            _report(
                document, ("extra", trait), "variable", f"It needs the variable {variable}, which is not set."
            )
    _check_logo(document, site)
    _check_audit_file(document, site)


def _check_logo(document: Document, site: Site) -> None:
    if site.pages.logo:
        try:
            with Path(site.pages.logo).open("rb"):
                pass
        except OSError as error:
            found = f"The file {site.pages.logo} can't be read: {error.strerror}."
            _report(
                document,
                ("pages", "logo"),
                "file",
                found,
                "Mount it, or make it readable for the hub's user.",
            )


def _check_audit_file(document: Document, site: Site) -> None:
    if site.logging.audit_file:
        file = Path(site.logging.audit_file)
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            found = f"{file} can't be written by the hub's user."
            fix = "Make its folder, and let the hub's user write there."
            _report(document, ("logging", "audit_file"), "file", found, fix)


_FILES = ("JupyterHub.ssl_cert", "JupyterHub.ssl_key", "KubeSpawner.k8s_api_ssl_ca_cert")
"""Traits that name a file which the hub reads as it starts."""

_NEEDED_VARIABLES = (
    ("Authenticator.enable_auth_state", True, "JUPYTERHUB_CRYPT_KEY", ""),
    (
        "ConfigurableHTTPProxy.should_start",
        False,
        "CONFIGPROXY_AUTH_TOKEN",
        "ConfigurableHTTPProxy.auth_token",
    ),
)
"""Traits that with a value want a variable of the hub's environment, unless another trait is set."""


def _check_secret_value(document: Document, path: KeyPath, value: str) -> None:
    if path in _TOKENS and (len(value) < 32 or not value.isascii() or not value.isprintable()):
        found = f"It has {len(value)} characters; expected at least 32 printable ASCII characters."
        _report(document, path, "secret", found, "Make one with `openssl rand -hex 32`.")
    elif path in _TOKENS and len(set(value)) < _DIFFERENT_CHARACTERS:
        found = f"It is made of {len(set(value))} different characters, and so can be guessed; expected a random one."
        _report(document, path, "secret", found, "Make one with `openssl rand -hex 32`.")
    if path == ("hub", "cookie_secret") and not _is_hex(value, 64):
        _report(
            document,
            path,
            "secret",
            "Expected 64 hexadecimal digits.",
            "Make them with `openssl rand -hex 32`.",
        )
    if path == ("hub", "db_url") and not _is_database(value):
        _report(
            document,
            path,
            "secret",
            "Expected a database address that the hub has a driver for.",
            "Write sqlite:///jupyterhub.sqlite, or postgresql://user:password@host/database.",
        )


def _is_database(address: str) -> bool:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme in {"sqlite", "sqlite+pysqlite"}:
        return re.match(r"sqlite[^:]*://(/|\Z)", address) is not None
    return parts.scheme in {"postgres", "postgresql", "postgresql+psycopg"} and port != 0 and "://" in address


def _is_hex(value: str, length: int) -> bool:
    return len(value) == length and all(c in "0123456789abcdefABCDEF" for c in value)


def _report(
    document: Document, path: KeyPath, rule: str, message: str, fix: str = "", *, warn: bool = False
) -> None:
    document.report(document.value_mark(path), path, rule, message, fix, warn=warn)


def _secrets(site: Site) -> Iterator[tuple[KeyPath, Secret]]:
    for path, value in entries(site):
        if isinstance(value, Secret):
            yield path, value


def _literal_secrets(document: Document, site: Site) -> None:
    for path, secret in _secrets(site):
        if secret.kind != "literal":
            continue
        if path != ("hub", "db_url") or not secret.where.startswith("sqlite:"):
            _report(
                document,
                path,
                "literal-secret",
                "A secret stands in the file itself.",
                "Write {file: /path/of/the/secret} or {env: NAME}.",
                warn=True,
            )
        _check_secret_value(document, path, secret.where)


def _addresses(document: Document, site: Site) -> None:
    urls: dict[KeyPath, str | None] = {
        ("xnat", "url"): site.xnat.url,
        ("xnat", "public_url"): site.xnat.public_url,
        ("hub", "public_url"): site.hub.public_url,
        ("hub", "bind_url"): site.hub.bind_url,
        ("hub", "hub_bind_url"): hub_bind_url(site),
        ("hub", "hub_connect_url"): site.hub.hub_connect_url,
    }
    for path, url in urls.items():
        if url is None:
            continue
        try:
            parts = urlsplit(url)
            good = parts.hostname is not None or path[1] in {"bind_url", "hub_bind_url"}
            good = good and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
        if not good:
            _report(document, path, "address", f"{url} holds no host, or a port that can't be.")
    if any(problem.rule == "address" for problem in document.problems):
        return
    if urlsplit(site.hub.bind_url).port == urlsplit(hub_bind_url(site)).port:
        _report(
            document,
            ("hub", "bind_url"),
            "address",
            "The proxy and the hub can't listen on the same port.",
            "Change the port in `bind_url` or in `hub_bind_url`.",
        )
    public = site.hub.public_url
    if public and (urlsplit(public).path.rstrip("/") + "/") != site.hub.base_url:
        _report(
            document,
            ("hub", "public_url"),
            "address",
            f"Its path is not the hub's `base_url`, {site.hub.base_url}.",
            f"Write {urlsplit(public).scheme}://{urlsplit(public).netloc}{site.hub.base_url}.",
        )
    if urlsplit(site.xnat.url).scheme == "http" and not _is_loopback(urlsplit(site.xnat.url).hostname or ""):
        _report(
            document,
            ("xnat", "url"),
            "unencrypted",
            "Passwords go to XNAT unencrypted.",
            "Write an https:// address where the network is not private.",
            warn=True,
        )
    if not site.xnat.verify_tls:
        _report(
            document,
            ("xnat", "verify_tls"),
            "unverified",
            "Whoever is between the hub and XNAT can read passwords.",
            "Name the CA's certificate in `ca_file` instead.",
            warn=True,
        )
    if site.xnat.ca_file and not site.xnat.verify_tls:
        _report(
            document, ("xnat", "ca_file"), "contradiction", "It has no effect while `verify_tls` is false."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path_rules(document: Document, site: Site) -> None:
    seen: dict[str, KeyPath] = {}
    rules: list[tuple[KeyPath, str, str]] = []
    for kind in ("archive", "workspaces"):
        for index, rule in enumerate(getattr(site.paths, kind)):
            path: KeyPath = ("paths", kind, index)
            if not (
                _is_normal(document, (*path, "from"), rule.from_)
                and _is_normal(document, (*path, "to"), rule.to)
            ):
                continue
            if rule.from_ in seen:
                other = dotted(seen[rule.from_])
                _report(
                    document,
                    (*path, "from"),
                    "path-rule",
                    f"{other} has the same prefix; only one can hold.",
                    "Delete one of them.",
                )
            seen[rule.from_] = path
            rules.append((path, rule.from_, rule.to))
    mounts = [fixed_part(mount.path) for mount in site.servers.allowed_mounts]
    near_mount, near_rule = _Near(mounts), _Near([to for _, _, to in rules])
    archive = [rule for rule in rules if rule[0][1] == "archive"]
    workspaces = [rule for rule in rules if rule[0][1] == "workspaces"]
    near_workspace = _Near([to for _, _, to in workspaces])
    for _, _, to in archive:
        # Of hundreds of rules, only those that something is wrong with are compared with every other.
        for other_path, _, other_to in workspaces if near_workspace(to) else ():
            if _below(to, other_to) or _below(other_to, to):
                _report(
                    document,
                    (*other_path, "to"),
                    "path-rule",
                    f"{other_to} and the archive's {to} lie inside each other, so a path could mean either.",
                    "Give archive and workspaces folders of their own.",
                )
    for path, _, to in rules:
        if not near_mount(to):
            _report(
                document,
                (*path, "to"),
                "path-rule",
                f"Nothing below {to} may be mounted.",
                f"Add `- path: {to}` to servers.allowed_mounts.",
            )
    translate = PathTranslation({from_: to for _, from_, to in rules})
    for index, mount in enumerate(site.servers.allowed_mounts):
        fixed = fixed_part(mount.path)
        translated = translate(fixed)
        if translated != fixed and not near_rule(fixed):
            _report(
                document,
                ("servers", "allowed_mounts", index, "path"),
                "never-matches",
                f"No mount can match: `paths` translates {fixed} to {translated} before this is looked at.",
                f"Write {translated}{mount.path[len(fixed) :]}.",
            )


class _Near:
    """Says whether a folder is, lies in, or holds one of many others."""

    def __init__(self, folders: Sequence[str]):
        self._folders = frozenset(folders)
        self._above = frozenset(above for folder in folders for above in prefixes(folder))

    def __call__(self, folder: str) -> bool:
        return folder in self._above or bool(nearest(folder, self._folders))


def _below(path: str, folder: str) -> bool:
    return folder in prefixes(path)


def _is_normal(document: Document, path: KeyPath, value: str) -> bool:
    try:
        normal = normal_path(value)
    except PathError as error:
        _report(document, path, "path", f"{value} can't be used: {error}.")
        return False
    if normal != value:
        _report(document, path, "path", f"{value} is not in its plain form.", f"Write {normal}.")
    return normal == value


def _mounts(document: Document, site: Site) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(site.servers.allowed_mounts):
        path: KeyPath = ("servers", "allowed_mounts", index, "path")
        if mount.path in seen:
            _report(document, path, "duplicate", "Another entry has the same path.", "Delete one of them.")
        seen.add(mount.path)
        rest = mount.path.replace("{username}", "")
        if "{" in rest or "}" in rest:
            _report(document, path, "never-matches", "Only {username} may stand in braces.")
        elif mount.path.startswith("/"):
            if not _is_normal(document, path, mount.path):
                continue
            if any("{username}" in part and part != "{username}" for part in mount.path.split("/")):
                _report(document, path, "username", "{username} must be a path component of its own.")
        if mount.writable and "{username}" not in mount.path:
            _report(
                document,
                path,
                "shared-writable",
                "Everybody could write into everybody's files.",
                "Put {username} into the path, or leave out `writable`.",
            )
    for index, target in enumerate(site.servers.allowed_mount_targets):
        path = ("servers", "allowed_mount_targets", index)
        if _is_normal(document, path, target) and any(
            _below(target, reserved) for reserved in RESERVED_TARGETS
        ):
            _report(document, path, "reserved-target", f"{target} belongs to the image itself.")
    for name in site.servers.environment:
        if reserved_variable(name):
            here = ("servers", "environment", name)
            document.report(document.key_mark(here), here, "reserved-variable", f"{name} belongs to the hub.")


def _images(document: Document, site: Site) -> None:
    for index, pattern in enumerate(site.servers.allowed_images):
        try:
            parse_pattern(pattern)
        except ImageError as error:
            _report(
                document,
                ("servers", "allowed_images", index),
                "never-matches",
                f"{visible(pattern)}: {error}.",
            )


def _resources(document: Document, site: Site) -> None:
    servers, caps = site.servers, site.servers.caps
    for what, limit, guarantee, cap in (
        ("cpu", servers.cpu_limit, servers.cpu_guarantee, caps.cpu),
        ("mem", servers.mem_limit, servers.mem_guarantee, caps.mem),
    ):
        highest = min((amount for amount in (limit, cap) if amount is not None), default=None)
        if guarantee is not None and highest is not None and guarantee > highest:
            _report(
                document,
                ("servers", f"{what}_guarantee"),
                "contradiction",
                f"More is kept for a server than its limit or cap, {highest:,}, lets it use.",
                f"Lower it, or raise `{what}_limit` and `caps.{what}`.",
            )
        if limit is not None and cap is not None and limit > cap:
            _report(
                document,
                ("servers", f"{what}_limit"),
                "contradiction",
                f"The default limit is above the cap, {cap:,}.",
                f"Lower it, or raise `caps.{what}`.",
            )


def _timeouts(document: Document, site: Site) -> None:
    servers, xnat, calls = site.servers, site.xnat, site.xnat.calls
    if servers.start_timeout > xnat.start_timeout:
        _report(
            document,
            ("servers", "start_timeout"),
            "contradiction",
            f"XNAT gives up after xnat.start_timeout, {xnat.start_timeout} s, while the hub still waits.",
            f"Lower it below {xnat.start_timeout}, or raise both XNAT's setting and xnat.start_timeout.",
        )
    elif (total := servers.start_timeout + servers.http_timeout) > xnat.start_timeout:
        _report(
            document,
            ("servers", "http_timeout"),
            "contradiction",
            f"start_timeout and http_timeout make {total} s; XNAT gives up after {xnat.start_timeout} s.",
            "Lower one, or raise both XNAT's setting and xnat.start_timeout.",
            warn=True,
        )
    if servers.stop_timeout > xnat.stop_timeout:
        _report(
            document,
            ("servers", "stop_timeout"),
            "contradiction",
            f"XNAT gives up after xnat.stop_timeout, {xnat.stop_timeout} s.",
            f"Lower it below {xnat.stop_timeout}.",
        )
    for name in ("connect_timeout", "read_timeout"):
        if getattr(calls, name) > calls.deadline:
            _report(
                document,
                ("xnat", "calls", name),
                "contradiction",
                f"It is longer than the deadline of the whole call, {calls.deadline:g} s.",
                "Lower it, or raise `deadline`.",
            )


def _sign_in(document: Document, site: Site) -> None:
    rules = site.sign_in
    if rules.auth_refresh_age > rules.max_age:
        _report(
            document,
            ("sign_in", "auth_refresh_age"),
            "contradiction",
            f"People would have to sign in again before that, after `max_age`, {rules.max_age} s.",
            "Lower it, or raise `max_age`.",
        )
    if rules.failures_per_user >= XNAT_LOCKS_AFTER:
        _report(
            document,
            ("sign_in", "failures_per_user"),
            "lock-out",
            f"XNAT locks an account after {XNAT_LOCKS_AFTER} wrong passwords, unless changed there.",
            f"Lower it below {XNAT_LOCKS_AFTER}, or look at XNAT's security settings.",
            warn=True,
        )


def _user_names(document: Document, site: Site) -> None:
    lists: dict[KeyPath, Sequence[str]] = {("hub", "admin_users"): site.hub.admin_users}
    for trait in ("Authenticator.allowed_users", "Authenticator.blocked_users"):
        lists["extra", trait] = site.extra.get(trait, ())
    groups = site.extra.get("JupyterHub.load_groups", {})
    for group, members in groups.items() if isinstance(groups, Mapping) else ():
        path: KeyPath = ("extra", "JupyterHub.load_groups", group)
        users = isinstance(members, Mapping)
        lists[(*path, "users") if users else path] = members.get("users", ()) if users else members
    for path, names in lists.items():
        for index, name in enumerate(names if isinstance(names, tuple) else ()):
            # What is no text is reported already.
            if isinstance(name, str) and not can_be_user_name(name):
                _report(document, (*path, index), "username", f"{name!r} can't be an XNAT user's name.")


def _scopes(document: Document, site: Site) -> None:
    _check_scopes(document, ("hub", "api_scopes"), site.hub.api_scopes, jupyterhub_names()["scopes"])


def _check_scopes(document: Document, path: KeyPath, scopes: Iterable[str], known: Sequence[str]) -> None:
    for index, scope in enumerate(scopes):
        name, _, rest = scope.partition("!")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            fix = f"Did you mean `{near[0]}`?" if near else "See JupyterHub's list of scopes."
            _report(document, (*path, index), "scope", f"JupyterHub has no scope {name}.", fix)
        elif "!" in scope and not re.fullmatch(
            r"user|service|server|(user|service|server|group)=.*", rest, re.DOTALL
        ):
            fix = "Write !user=NAME, !group=NAME, !server=NAME/SERVER or !service=NAME."
            _report(document, (*path, index), "scope", f"JupyterHub has no filter !{rest}.", fix)


def _docker(document: Document, site: Site) -> None:
    docker = site.orchestrator.docker or site.orchestrator.swarm
    if docker is None:
        return
    here: KeyPath = ("orchestrator", orchestrator_of(site))
    remote = docker.docker_host.startswith("tcp:")
    if docker.tls and not remote:
        _report(
            document,
            (*here, "tls"),
            "contradiction",
            "A socket has no TLS.",
            "Set `docker_host` to tcp://host:2376, or delete `tls`.",
        )
    if remote and not docker.tls:
        _report(
            document,
            (*here, "docker_host"),
            "unencrypted",
            "Who reaches this address is root on the node.",
            "Add `tls`.",
            warn=True,
        )
    if site.orchestrator.swarm and (subnet := site.orchestrator.swarm.subnet):
        _subnet(document, subnet)


def _subnet(document: Document, subnet: str) -> None:
    try:
        network = ipaddress.IPv4Network(subnet, strict=False)
    except ValueError:
        found = "It is no range of IPv4 addresses."
        fix = "Write one such as 10.20.0.0/20."
    else:
        if network.num_addresses < _LEAST_ADDRESSES:
            network = network.supernet(new_prefix=20)
        if str(network) == subnet:
            return
        found = f"Expected the first address of a range, and room for {_LEAST_ADDRESSES} or more."
        fix = f"Write {network}."
    _report(document, ("orchestrator", "swarm", "subnet"), "address", found, fix)


def _kubernetes(document: Document, site: Site) -> None:
    kubernetes = site.orchestrator.kubernetes
    if kubernetes is None:
        return
    here: KeyPath = ("orchestrator", "kubernetes")
    seen: set[str] = set()
    for index, claim in enumerate(kubernetes.claims):
        path: KeyPath = (*here, "claims", index, "path")
        if _is_normal(document, path, claim.path) and claim.path in seen:
            _report(document, path, "claim", "Another claim holds the same path.", "Delete one of them.")
        seen.add(claim.path)
    for index, mount in enumerate(site.servers.allowed_mounts):
        if mount.path.startswith("/") and not any(
            prefix in seen for prefix in prefixes(fixed_part(mount.path))
        ):
            _report(
                document,
                ("servers", "allowed_mounts", index, "path"),
                "claim",
                f"No volume claim holds {mount.path}.",
                "Add its claim to orchestrator.kubernetes.claims.",
            )
    if kubernetes.schedule_timeout > site.servers.start_timeout:
        _report(
            document,
            (*here, "schedule_timeout"),
            "contradiction",
            f"The start ends before, after servers.start_timeout, {site.servers.start_timeout} s.",
            "Lower it, or raise servers.start_timeout.",
        )
    for index, toleration in enumerate(kubernetes.tolerations):
        path = (*here, "tolerations", index)
        if toleration.operator == "Exists" and toleration.value is not None:
            _report(document, (*path, "value"), "contradiction", "`Exists` takes no value.", "Delete it.")
        if toleration.operator == "Equal" and toleration.key is None:
            _report(
                document,
                path,
                "contradiction",
                "`Equal` needs a key.",
                "Add `key`, or write operator: Exists.",
            )


def _extra(document: Document, site: Site) -> None:
    traits = jupyterhub_names()["traits"]
    spawner = SPAWNERS[orchestrator_of(site)]
    usable = [name for name in traits if name not in SPAWNERS.values() or name == spawner]
    ours = {
        setting.trait: setting.key
        for setting in hub_settings(_with_every_key(site))
        if setting.key[0] != "extra"
    }
    for trait in site.extra:
        path: KeyPath = ("extra", trait)
        mark = document.key_mark(path)
        class_name, name = trait.split(".")
        if class_name not in usable:
            near = difflib.get_close_matches(class_name, usable, 1)
            fix = f"Did you mean `{near[0]}.{name}`?" if near else f"Known here: {', '.join(usable)}."
            document.report(mark, path, "extra", f"{class_name} has no part in this hub.", fix)
        elif name not in traits[class_name]:
            near = difflib.get_close_matches(name, traits[class_name], 1)
            fix = (
                f"Did you mean `{class_name}.{near[0]}`?"
                if near
                else "Look for its name in the class's documentation."
            )
            document.report(mark, path, "extra", f"{class_name} has no trait {name}.", fix)
        else:
            # A trait of a base class is the same trait on its subclass.
            parents = {"Spawner", "Application"} if class_name in {spawner, "JupyterHub"} else set()
            key = next((ours[f"{c}.{name}"] for c in (class_name, *parents) if f"{c}.{name}" in ours), None)
            if key or name in _SET_BY_CODE.get(
                class_name, _SET_BY_CODE["Spawner"] if class_name == spawner else ()
            ):
                fix = f"Use `{dotted(key)}`." if key and node_at(key) else "Delete it."
                document.report(mark, path, "extra", f"{trait} is decided elsewhere.", fix)
            else:
                check_trait(document, path, traits[class_name][name], document.data["extra"][trait])
    if not any(problem.rule in {"type", "required"} for problem in document.problems):
        _extra_scopes(document, site)


_NOT_TOGETHER = (
    ("JupyterHub.load_groups", "Authenticator.manage_groups"),
    ("ConfigurableHTTPProxy.extra_routes", "JupyterHub.subdomain_host"),
)
"""Traits of which JupyterHub takes one alone; routes with a subdomain would have a form of their own."""


def _extra_pairs(document: Document, site: Site) -> None:
    for one, other in _NOT_TOGETHER:
        if site.extra.get(one) and site.extra.get(other):
            message = f"{one} and {other} can't both be set."
            _report(document, ("extra", one), "contradiction", message, "Delete one of them.")


def _extra_scopes(document: Document, site: Site) -> None:
    custom = site.extra.get("JupyterHub.custom_scopes", {})
    known = [*jupyterhub_names()["scopes"], *custom]
    trait = "JupyterHub.extra_user_scopes"
    _check_scopes(document, ("extra", trait), site.extra.get(trait, ()), known)
    for name, scope in custom.items():
        path: KeyPath = ("extra", "JupyterHub.custom_scopes", name, "subscopes")
        _check_scopes(document, path, scope.get("subscopes", ()), list(custom))


def _with_every_key(site: Site) -> Site:
    """Fill in what may be left out, so that `hub_settings` names every trait that has a key of its own.

    An address that is wrong, and reported already, goes: it could not be read.
    """
    secret, kubernetes = Secret("env", "NAME"), site.orchestrator.kubernetes
    hub = replace(site.hub, hub_bind_url=None, public_url="https://x/", db_url=secret, cookie_secret=secret)
    if kubernetes:
        kubernetes = replace(kubernetes, namespace="x")
    pages = replace(site.pages, logo="/x")
    return replace(site, hub=hub, pages=pages, orchestrator=replace(site.orchestrator, kubernetes=kubernetes))


_SET_BY_CODE: Mapping[str, tuple[str, ...]] = {
    "JupyterHub": (
        "authenticator_class", "spawner_class", "template_paths", "load_roles", "base_url", "ip", "port", "hub_ip", "hub_port",
        "hub_connect_ip", "hub_connect_port", "config_file", "generate_config", "generate_certs", "show_config",
        "show_config_json", "api_tokens", "tornado_settings",
    ),
    "Spawner": (
        "pre_spawn_hook", "post_stop_hook", "apply_user_options", "image", "allowed_images", "profile_list", "cmd", "environment", "mounts", "volumes",
        "volume_mounts", "read_only_volumes", "escape", "cpu_limit", "cpu_guarantee", "mem_limit", "mem_guarantee", "name_template", "pod_name_template",
        "format_volume_name", "options_form", "options_from_form", "extra_resource_limits", "extra_resource_guarantees",
        "node_selector", "tolerations", "node_affinity_required", "extra_container_spec", "extra_placement_spec",
        "extra_resources_spec", "extra_task_spec", "extra_create_kwargs", "extra_host_config", "uid", "gid", "fs_gid",
        "supplemental_gids", "allow_privilege_escalation", "pod_security_context", "container_security_context",
    ),
}  # fmt: skip
"""Traits that the code sets, whatever the configuration says, and those that would end JupyterHub or go round site.yaml."""

_CHECKS: tuple[Callable[[Document, Site], None], ...] = (
    _literal_secrets, _addresses, _path_rules, _mounts, _images, _resources, _timeouts, _sign_in, _user_names, _scopes, _docker,
    _kubernetes, _extra, _extra_pairs,
)  # fmt: skip
