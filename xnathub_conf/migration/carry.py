"""Makes a site of old settings, and says of every leaf of the old files what became of it."""

from collections.abc import Sequence

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.browser_addresses import addresses
from xnathub_conf.migration.change_over import api_address, network_policy
from xnathub_conf.migration.claims import python_claims
from xnathub_conf.migration.helm import base_url, kubernetes
from xnathub_conf.migration.host_folders import python_folders
from xnathub_conf.migration.ledger import Ledger, at
from xnathub_conf.migration.python_order import settle
from xnathub_conf.migration.python_settings import carry_python, xnat_token
from xnathub_conf.migration.reference import ARCHIVE, IMAGE, WORKSPACES
from xnathub_conf.migration.services import overridden
from xnathub_conf.migration.sources import Old
from xnathub_conf.migration.stack import stack_parts, swarm, user
from xnathub_conf.migration.tree import Found
from xnathub_conf.migration.variables import (
    Migration,
    hub_ids,
    images,
    rest,
    server_ids,
    timeouts,
    token,
    why_left,
    within_xnat_s,
    xnat,
)
from xnathub_conf.migration.way_out import way_out
from xnathub_conf.site.problems import KeyPath, dotted

_ORDER = (
    "version",
    "xnat",
    "hub",
    "sign_in",
    "pages",
    "servers",
    "paths",
    "logging",
    "orchestrator",
    "extra",
)


def carry(
    old: Old,
    *,
    secrets_path: str,
    images_allowed: Sequence[str],
    public_url: str | None,
    xnat_url: str | None = None,
) -> Ledger:
    """Make a site of old settings.

    `secrets_path` is the folder where the hub finds its secrets; `images_allowed` what XNAT may start; `public_url`
    XNAT's address for browsers, and `xnat_url` for the hub, where the old files don't say. Raises MigrationError where
    something is missing without which there is no site.
    """
    to = Ledger(secrets_path.rstrip("/"))
    settle([each for config in old.python for each in config.settings], old.kind)
    m = Migration(old, to, images_allowed, public_url, xnat_url)
    _check_required(m)
    to.site["version"] = 1
    _known_twice(m)
    xnat(m)
    path = base_url(m, old.chart) if old.chart else "/jupyterhub/"
    _token_of_python(m)
    if not old.is_reference and not old.chart:
        _python(m)
        _at_the_root(m)
    if old.kind == "kubernetes":
        server_ids(m, ("JH_XNAT_UID", "JH_XNAT_GID"))
        timeouts(m)
        kubernetes(m, old.chart) if old.chart else python_claims(m)
    else:
        if old.is_reference and not is_replaced(old):
            origin = Found("", "the reference's jupyterhub_config.py")
            to.put("hub.shutdown_on_logout", True, "shutdown_on_logout", origin)
        server_ids(m, ("NB_UID", "NB_GID"))
        if "JH_NETWORK" in old.hub:
            swarm(m)
        timeouts(m)
        user(m)
        hub_ids(m) if old.is_reference else python_folders(m)
    if old.is_reference or old.chart:
        # The last assignment counts: a configuration's own, over what the variables and values come to.
        _python(m)
        _without_unread(m)
    if old.chart and "shutdown_on_logout" not in to.site.get("hub", {}):
        to.put("hub.shutdown_on_logout", False, "shutdown_on_logout", Found("", "JupyterHub's default"))
    if to.site.get("hub", {}).get("allow_named_servers") is False:
        to.ask(_NO_NAMES)
    path = to.site.get("hub", {}).get("base_url", path)
    if old.chart and not old.is_reference and m.old.hub.get("JH_XNAT_SERVICE_TOKEN"):
        leaf = m.old.hub["JH_XNAT_SERVICE_TOKEN"].leaf
        m.token_name = leaf.name if leaf else m.token_name
    addresses(m, path)
    api_address(m, path)
    if old.kind == "kubernetes":
        network_policy(m)
    token(m)
    way_out(to)
    if old.is_reference:
        _one_extension(to)
    within_xnat_s(m)
    images(m)
    to.site.setdefault("orchestrator", {}).setdefault(old.kind, {})
    rest(m)
    _replaced(m)
    stack_parts(m)
    _env_lines(m)
    to.site = {key: to.site[key] for key in sorted(to.site, key=_ORDER.index)}
    return to


_NO_NAMES = "hub.allow_named_servers is false, as it was. XNAT's pages give each server a name, and can start none then: delete that line."


def _python(m: Migration) -> None:
    variables = {**m.old.elsewhere, **m.old.hub}
    for config in m.old.python:
        carry_python(m.to, config, m.old.kind, variables, is_reference=m.old.is_reference)
    if len(m.to.site.get("hub", {}).get("tls", {})) == 1:
        m.to.withdraw(("hub", "tls"), "hub.tls wants a certificate and its key, each in a file. Write both.")


def is_replaced(old: Old) -> bool:
    """Return whether the hub had a configuration of its own in place of the reference's."""
    return not old.chart and any(config.is_whole for config in old.python)


def _without_unread(m: Migration) -> None:
    """Take out the image's defaults that the hub's own configuration does not read."""
    read = {name for config in m.old.python for name in config.reads}
    for entry in [*m.to.entries] if is_replaced(m.old) else ():
        of_servers = any(key[0] in {"servers", "orchestrator"} for key in entry.keys)
        if of_servers and entry.leaf is None and entry.name in IMAGE and entry.name not in read:
            m.to.drop(entry)


def _token_of_python(m: Migration) -> None:
    """Take the token that XNAT calls the hub with from a jupyterhub_config.py, where no variable says it."""
    name = "JH_XNAT_SERVICE_TOKEN"
    settings = [
        each
        for config in m.old.python
        for each in config.settings
        if each.trait == "JupyterHub.services" and each.counts
    ]
    for setting in settings if name not in {**m.old.hub, **m.old.elsewhere} else ():
        if value := xnat_token(setting):
            m.old.hub[name] = Found(value, setting.leaf.origin, setting.leaf)
            m.token_name = "c.JupyterHub.services"  # noqa: S105 - the setting's name


def _at_the_root(m: Migration) -> None:
    """Write the hub's path where no file says it: JupyterHub's own default."""
    to = m.to
    settings = [each for config in m.old.python for each in config.settings if each.counts]
    said = [each.value for each in settings if each.trait == "JupyterHub.bind_url"]
    # The path that is a site's own default is not written.
    default = any(isinstance(each, str) and each.rstrip("/").endswith("/jupyterhub") for each in said)
    if "base_url" not in to.site.get("hub", {}) and not default:
        to.put("hub.base_url", "/", "c.JupyterHub.base_url", Found("", "JupyterHub's default"))


_EXTENSION = ("servers", "environment", "JUPYTERHUB_SINGLEUSER_EXTENSION")


def _one_extension(to: Ledger) -> None:
    """Write what the reference's hub gives every server, and what its images with JupyterHub 4.0 can't do without."""
    if _EXTENSION[-1] not in to.site.get("servers", {}).get("environment", {}):
        origin = Found("", "the reference's hub")
        to.put(_EXTENSION, "0", _EXTENSION[-1], origin)
    to.to_do.append(
        f"If no image of yours has JupyterHub 4.0, delete servers.environment.{_EXTENSION[-1]} (docs/upgrade.md); `xnathub doctor` says "
        "which one an image has."
    )


FOLDERS: tuple[KeyPath, ...] = (
    ("paths",),
    ("servers", "allowed_mounts"),
    ("orchestrator", "kubernetes", "claims"),
)
"""The keys that say together where XNAT's folders are."""


def without_folders(to: Ledger, why: str) -> bool:
    """Take out what is said of XNAT's folders, which would contradict itself in parts; return whether there was anything."""
    claims = [{"path": ARCHIVE, "claim_name": "archive"}, {"path": WORKSPACES, "claim_name": "workspaces"}]
    kubernetes = to.site["orchestrator"].get("kubernetes")
    if kubernetes is not None and kubernetes.get("claims") == claims and "paths" not in to.site:
        return False
    taken = [to.withdraw(key, why) for key in FOLDERS]
    if not any(taken):
        return False
    if kubernetes is not None:
        to.put(FOLDERS[-1], claims, "claims", Found("", "the chart's default"))
    to.to_do.append(
        "Where XNAT's folders are can't be carried over. Write "
        + ", ".join(map(dotted, FOLDERS))
        + " by hand."
    )
    return True


def _check_required(m: Migration) -> None:
    old = m.old
    if not m.xnat_url and (where := old.elsewhere.get("JH_XNAT_URL")):
        raise MigrationError(
            f"XNAT's address is in a Secret of the cluster. Give it with --xnat-url; this shows it: {where.value}"
        )
    wanted = [("JH_XNAT_URL", m.xnat_url)]
    if old.is_reference:
        wanted += [("JH_XNAT_SERVICE_TOKEN", None), ("JH_XNAT_PASSWORD", None)]
    missing = [
        name
        for name, given in wanted
        if not given and name not in old.elsewhere and not (name in old.hub and old.hub[name].value)
    ]
    if not missing:
        return
    if not old.is_reference:
        raise MigrationError(
            "These files don't say where XNAT is. Give its address, as the hub calls it: --xnat-url https://YOUR.XNAT"
        )
    if old.chart:
        raise MigrationError(
            f"{', '.join(missing)}: no value. Name all values files that the old chart was installed with, in their order; what "
            "was given with --set, write into one more."
        )
    raise MigrationError(
        f"{', '.join(missing)}: no value. It came from the shell, or from an env file, when the old hub was deployed: "
        "set it here, or give that file with --env-file."
    )


def _known_twice(m: Migration) -> None:
    """Report of what stands twice in one place which of the two counts."""
    old = m.old
    pairs = [pair for tree in (old.compose.trees if old.compose else ()) for pair in tree.all_hidden()]
    pairs += overridden(old.service) if old.service else ()
    pairs += old.compose.taken_away if old.compose else []
    for leaf, by in [*pairs, *(old.chart.hidden if old.chart else ())]:
        m.to.ignore(leaf.name, at(leaf), f"{by.origin} sets it again.")


def _replaced(m: Migration) -> None:
    """Report of variables that are set again by what, and of numbers that may not be what they look like."""
    to, compose = m.to, m.old.compose
    for leaf, by in compose.replaced if compose else ():
        if compose and not to.entry_of(leaf) and leaf not in compose.uses:
            to.ignore(leaf.name, at(leaf), f"{by.origin} sets it again.")
    for leaf in compose.octal if compose else ():
        if (entry := to.entry_of(leaf)) and entry.keys:
            note = f"{leaf.text} without quotes is {int(leaf.text, 8)} to some versions of Docker: look which of the two the old hub had"
            entry.note = f"{entry.note}; {note}" if entry.note else note


def _env_lines(m: Migration) -> None:
    """Report what became of each line of an env file that is no variable of the hub's by itself."""
    to, compose = m.to, m.old.compose
    if compose is None:
        return
    for leaf in m.old.env_lines:
        name = str(leaf.path[0])
        if to.entry_of(leaf):
            continue
        if users := compose.uses.get(leaf):
            lead = next((user for user in users if (said := to.entry_of(user)) and said.keys), users[0])
            to.follow(leaf, lead, f"through {lead.origin}, where it is put in")
        elif (
            m.old.service
            and compose.readers.get(leaf.file) == {m.old.service.name}
            and leaf.value is not None
        ):
            to.leave(name, at(leaf), why_left(name))
        elif name in m.old.hub and m.old.hub[name].leaf is not leaf:
            to.ignore(name, at(leaf), f"{m.old.hub[name].origin} says it to the hub.")
        else:
            to.ignore(name, at(leaf), "It is for other programs that read this file.")
