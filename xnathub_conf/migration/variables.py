"""The variables of the reference deployment, and the keys of a site that they become.

They are those of its hub image, its Helm chart and XNAT's plugin (github.com/NrgXnat: xnat-jupyterhub-image,
xnat-docker-compose, xnat-jupyterhub-plugin).
"""

import os.path
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xnathub_conf.migration import reference
from xnathub_conf.migration.ledger import Ledger, NotCarriedError
from xnathub_conf.migration.rules import whole
from xnathub_conf.migration.sources import Old
from xnathub_conf.migration.tokens import safe_token
from xnathub_conf.migration.tree import Found
from xnathub_conf.site.old_names import WITHOUT_KEY
from xnathub_conf.site.schema import node_at
from xnathub_conf.values.variables import refused

NO_CONCERN = {**WITHOUT_KEY, "JH_SPAWNER": "`orchestrator` says it."}
"""Variables that are no concern of the hub any more, and why."""

NO_KEY = "No key of site.yaml stands for it. If the hub's process needs it, set it where the hub runs."
"""What to say of a variable of the hub's process that nothing here reads."""

_AUTHORITY = "If a private authority signed XNAT's certificate, name its file as xnat.ca_file, and for servers as servers.ca_file: docs/private-ca.md."
_WAY_OUT = "The hub asks XNAT directly, and needs no way out. The way out of servers is servers.http_proxy; what it does not hold for, servers.no_proxy."
_HINTS = {
    **dict.fromkeys(
        ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
        _AUTHORITY,
    ),
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"), _WAY_OUT),
}


_OF_IMAGES = re.compile(r"(NB|JUPYTER|CHOWN|NVIDIA|CUDA|DOCKER_STACKS)_|(GRANT_SUDO|RESTARTABLE)\Z")
"""What images of servers act on, and the hub's process does not."""


def why_left(name: str) -> str:
    """Report why a variable of the hub's process is left behind, and where what it did has its place."""
    if _OF_IMAGES.match(name) and not refused(name, "site"):
        return (
            "The hub does nothing with it. What users' servers need of it, write under servers.environment."
        )
    return _HINTS.get(name.upper(), NO_KEY)


@dataclass
class Migration:
    """The old deployment, what is said of it so far, and what the command line adds."""

    old: Old
    to: Ledger
    images: Sequence[str]
    public_url: str | None
    xnat_url: str | None = None
    token_name: str = "JH_XNAT_SERVICE_TOKEN"  # noqa: S105 - the setting's name
    """Where the old files say the token that XNAT calls the hub with."""

    def named(self, variable: str, key: str) -> str:
        """Return what to call a setting in the report: by the reference's variable, or by the key where the old hub is another."""
        return variable if self.old.is_reference or variable in self.old.hub else key

    def attempt(self, name: str, found: Found, do: Callable[[], None]) -> None:
        """Take a value over; if that can't be, say why in its line of the report, and go on."""
        try:
            do()
        except NotCarriedError as error:
            self.to.leave(name, found, str(error))


def xnat(m: Migration) -> None:
    """Carry over where XNAT is, and who the service account is."""
    hub, to = m.old.hub, m.to
    if m.xnat_url:
        to.put("xnat.url", m.xnat_url.rstrip("/"), "--xnat-url", Found("", "the command line"))
        if "JH_XNAT_URL" in hub:
            to.ignore("JH_XNAT_URL", hub["JH_XNAT_URL"], "--xnat-url says it.")
    elif "JH_XNAT_URL" in hub:
        url = hub["JH_XNAT_URL"]
        to.put("xnat.url", url.value.rstrip("/"), "JH_XNAT_URL", url)
    username = hub.get("JH_XNAT_USERNAME", Found(reference.IMAGE["JH_XNAT_USERNAME"], "the default"))
    key = "xnat.service_account.username"
    to.put(key, username.value, m.named("JH_XNAT_USERNAME", key), username)
    if "JH_XNAT_USERNAME" not in hub:
        to.ask(
            f"The hub asks XNAT as the user {username.value}. Make that user in XNAT, with the role JupyterHub, or write the name of the "
            "one that has it as xnat.service_account.username."
        )
    name, key = "JH_XNAT_PASSWORD", "xnat.service_account.password"
    if name in m.old.elsewhere:
        _of_the_cluster(m, key, "xnat_password", name)
    elif name in hub:
        password = hub[name]
        m.attempt(name, password, lambda: to.secret(key, "xnat_password", password, name))
        if not to.site["xnat"]["service_account"].get("password"):
            _to_be_written(m, key, "xnat_password")
        if password.value == reference.PASSWORD:
            to.to_do.append(
                f"The service account's password is the one that everybody knows. Give the XNAT user {username.value} "
                "another one, and put it into the file xnat_password."
            )
    else:
        _to_be_written(m, key, "xnat_password")


def _to_be_written(m: Migration, key: str, file: str) -> None:
    m.to.put(key, {"file": f"{m.to.secrets_path}/{file}"}, key, Found("", "new"))
    m.to.to_do.append(
        f"Make the file {file} in the folder of the secrets, with the value of {key} in it: the old files don't have it, or it can't be taken."
    )


def _of_the_cluster(m: Migration, key: str, file: str, name: str) -> None:
    where = m.old.elsewhere[name]
    m.to.put(key, {"file": f"{m.to.secrets_path}/{file}"}, name, where)
    m.to.to_do.append(
        f"{name} is a Secret of the cluster. Put its value into the file {file} in the folder of the secrets: {where.value}"
    )


def token(m: Migration) -> None:
    """Carry over the token that XNAT calls the hub with; one that is too short is replaced by a new one."""
    to, name = m.to, "JH_XNAT_SERVICE_TOKEN"
    shown = m.token_name if m.token_name != name else m.named(name, "hub.api_token")
    if name in m.old.elsewhere:
        _of_the_cluster(m, "hub.api_token", "hub_api_token", name)
        return
    old = m.old.hub.get(name, Found("", "new"))
    new, wrong = safe_token(old)
    if not wrong:
        to.secret("hub.api_token", "hub_api_token", old, shown)
        return
    note = f"a new one: the old one {wrong}" if old.value else "a new one"
    to.secret("hub.api_token", "hub_api_token", new, shown, note)
    to.to_do.append(
        f"The token that XNAT calls the hub with is new. Put what is in the file hub_api_token into XNAT's Jupyter "
        f"settings, and into {name} where XNAT gets that variable."
    )


SOCKET = (
    "Write hub.uid, a user other than root, and hub.gid, the group that owns Docker's socket: "
    "stat -c %g /var/run/docker.sock"
)
"""What to do where the old hub ran as root."""


def hub_ids(m: Migration) -> None:
    """Carry over what the hub runs as."""
    to, names = m.to, ("JH_UID", "JH_GID")
    found = {name: m.old.hub[name] for name in names if name in m.old.hub}
    if len([each for each in found.values() if each.value]) < len(names):
        if {"uid", "gid"} <= set(to.site.get("hub", {})):
            return
        to.ask(SOCKET, "hub.uid", "hub.gid")
        for name in names:
            where = found.get(name, Found("", "not set"))
            to.leave(name, where, "Without both, the old hub ran as root; this one never does.")
        return
    for name, key in zip(names, ("hub.uid", "hub.gid"), strict=True):
        m.attempt(name, found[name], lambda name=name, key=key: _hub_id(to, name, key, found[name]))  # type: ignore[misc]
    if "uid" not in to.site.get("hub", {}):
        to.ask(SOCKET, "hub.uid", "hub.gid")


def _hub_id(to: Ledger, name: str, key: str, found: Found) -> None:
    if whole(found.value) == 0 and key == "hub.uid":
        raise NotCarriedError("The hub never runs as root.")
    to.put(key, whole(found.value), name, found)


def server_ids(m: Migration, names: tuple[str, str]) -> None:
    """Carry over what servers run as, from the two variables that say so."""
    to = m.to
    found = [m.old.hub.get(name, Found("", "not set")) for name in names]
    if not all(each.value for each in found):
        own = "what images of docker-stacks run as; the old hub left it to them"
        for key, value, name, each in zip(("uid", "gid"), (1000, 100), names, found, strict=True):
            if key not in to.site.get("servers", {}):
                said = each if each.leaf else Found("", "not set")
                to.put(f"servers.{key}", value, m.named(name, f"servers.{key}"), said, own)
        return
    for key, name, each in zip(("uid", "gid"), names, found, strict=True):
        m.attempt(name, each, lambda key=key, name=name, each=each: _server_id(to, key, name, each))  # type: ignore[misc]
    roots = [
        f"servers.{key}" for key, each in zip(("uid", "gid"), found, strict=True) if each.value.strip() == "0"
    ]
    if roots:
        to.ask(
            f"Write {' and '.join(roots)}: Tomcat's, so that XNAT can read what users write. (The default is 1000.)",
            *roots,
        )


def _server_id(to: Ledger, key: str, name: str, found: Found) -> None:
    if whole(found.value) == 0:
        raise NotCarriedError("Servers never work as root.")
    to.put(f"servers.{key}", whole(found.value), name, found)


def images(m: Migration) -> None:
    """Write which images may be started: what the command line says, or any of XNAT's own."""
    if m.images:
        m.to.put("servers.allowed_images", list(m.images), "--image", Found("", "the command line"))
    elif "allowed_images" not in m.to.site.get("servers", {}):
        note = "the old hub started any image that XNAT named; add what else yours names"
        m.to.put("servers.allowed_images", ["xnat/*"], "images", Found("", "new"), note)


def _default(*key: str) -> int:
    """Return what a key of the site is where nobody sets it; of `xnat`, that is what XNAT's plugin has by default."""
    node = node_at(key)
    return int(node["default"]) if node else 0


def timeouts(m: Migration) -> None:
    """Carry over how long hub and XNAT wait; the hub no longer than XNAT."""
    hub, plugin, to = m.old.hub, m.old.plugin, m.to
    waits = {key: _default("xnat", key) for key in ("start_timeout", "stop_timeout")}

    def plugin_s(name: str, key: str, found: Found) -> None:
        waits[key] = whole(found.value)
        to.put(f"xnat.{key}", waits[key], name, found)

    def hub_s(name: str, key: str, found: Found) -> None:
        seconds, note = whole(found.value), ""
        if key == "start_timeout" and seconds > waits[key]:
            note = f"{seconds} before: XNAT gives up after {waits[key]} s"
            seconds = waits[key]
        to.put(f"servers.{key}", seconds, name, found, note)

    rows: list[tuple[Mapping[str, Found], str, str, Callable[[str, str, Found], None]]] = [
        (plugin, "JH_XNAT_START_TIMEOUT", "start_timeout", plugin_s), (plugin, "JH_XNAT_STOP_TIMEOUT", "stop_timeout", plugin_s),
        (hub, "JH_START_TIMEOUT", "start_timeout", hub_s), (hub, "JH_HTTP_TIMEOUT", "http_timeout", hub_s),
    ]  # fmt: skip
    for variables, name, key, do in rows:
        if name in variables and variables[name].value:
            found = variables[name]
            m.attempt(name, found, lambda do=do, name=name, key=key, found=found: do(name, key, found))  # type: ignore[misc]


def within_xnat_s(m: Migration) -> None:
    """Shorten the hub's waiting to XNAT's, which the old hub did not look at."""
    site, plugin = m.to.site, m.old.plugin
    for key, name in (("start_timeout", "JH_XNAT_START_TIMEOUT"), ("stop_timeout", "JH_XNAT_STOP_TIMEOUT")):
        wait = site.get("xnat", {}).get(key, _default("xnat", key))
        before = site.get("servers", {}).get(key, _default("servers", key))
        if before > wait:
            said = next((each for each in m.to.entries if ("servers", key) in each.keys), None)
            if said:
                name, found = said.name, Found("", said.origin, said.leaf)
            else:
                found = plugin.get(name, Found("", "XNAT's default"))
            m.to.put(
                f"servers.{key}", wait, name, found, f"{before} before, or by default: XNAT waits no longer"
            )


def prefixes(m: Migration, kind: str, default: str) -> tuple[Found, Found | None, str]:
    """Return where XNAT says a folder is, where the node or claim has it, and the name of the variable that says so."""
    plugin = m.old.plugin
    source = plugin.get(f"JH_XNAT_PT_{kind}_PREFIX")
    if not (source and source.value) and kind == "WORKSPACE":
        source = plugin.get("JH_XNAT_WORKSPACE_PATH")
    if source and source.value and (not source.value.startswith("/") or not source.value.strip("/.")):
        name = (
            f"JH_XNAT_PT_{kind}_PREFIX"
            if source is plugin.get(f"JH_XNAT_PT_{kind}_PREFIX")
            else "JH_XNAT_WORKSPACE_PATH"
        )
        m.to.leave(
            name,
            source,
            f"It is no path to a folder from /. {default} is taken for it; look for it in servers.allowed_mounts.",
        )
        source = None
    source = (
        Found(plain(source.value), source.origin, source.leaf)
        if source and source.value
        else Found(default, "XNAT's default")
    )
    for name in (f"JH_XNAT_PT_{kind}_SERVER_PREFIX", f"JH_XNAT_PT_{kind}_DOCKER_PREFIX"):
        if (target := plugin.get(name)) and re.search(r"[{}\x00-\x1f]|^/[/.]*$", target.value):
            m.to.leave(name, target, "It is no plain path. Write `paths` and servers.allowed_mounts by hand.")
        elif target and target.value:
            if target.value.startswith("/"):
                target = Found(plain(target.value), target.origin, target.leaf)
            return source, target, name
    return source, None, ""


def plain(path: str) -> str:
    """Return a path without doubled slashes, dots and a slash at its end."""
    return "/" + os.path.normpath(path).lstrip("/")


def prefix_lines(m: Migration, kind: str, key: str) -> None:
    """Report of each variable of XNAT's path translation what became of it."""
    for name in (f"JH_XNAT_PT_{kind}_PREFIX", f"JH_XNAT_PT_{kind}_SERVER_PREFIX", f"JH_XNAT_PT_{kind}_DOCKER_PREFIX",
                 f"JH_XNAT_{kind}_PATH"):  # fmt: skip
        found = m.old.plugin.get(name)
        if not found or not found.leaf or m.to.entry_of(found.leaf):
            continue
        rules = m.to.site.get("paths", {}).get(key)
        if name.endswith("DOCKER_PREFIX") and found.value:
            m.to.ignore(name, found, "The SERVER_PREFIX of the same folder is what the old hub used.")
        elif rules and found.value and plain(found.value) == rules[0]["from"]:
            m.to.stands(("paths", key, 0, "from"), rules[0]["from"], name, found)
        else:
            m.to.ignore(
                name,
                found,
                "XNAT's own. Where it says nothing else than the paths above, nothing is translated.",
            )


def rest(m: Migration) -> None:
    """Report what becomes of every other variable of the old hub and of XNAT's plugin."""
    to = m.to
    for variables in (m.old.hub, m.old.plugin):
        for name, found in variables.items():
            # What is only put into another file's value has that one's fate.
            if (
                not found.leaf
                or to.entry_of(found.leaf)
                or (m.old.compose and found.leaf in m.old.compose.uses)
            ):
                continue
            if name in NO_CONCERN:
                to.ignore(name, found, NO_CONCERN[name])
            elif not found.value:
                to.ignore(name, found, "It is empty, so the old hub had its default.")
            elif variables is m.old.plugin and found is not m.old.hub.get(name):
                to.ignore(name, found, "XNAT's own: its plugin goes on reading it.")
            elif name in m.old.own or name.startswith(("JH_", "JUPYTERHUB_", "NB_")):
                to.leave(name, found, why_left(name))
