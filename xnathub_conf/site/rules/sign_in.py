"""Rules of signing in: time limits, failures, names and scopes."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from xnathub_conf.site.hub_settings import own_host, xnat_public_url
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report, written
from xnathub_conf.site.schema import jupyterhub_names
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.addresses import host_name
from xnathub_conf.values.user_names import can_be_user_name

XNAT_LOCKS_AFTER = 20
"""XNAT's default of maxFailedLogins, in its security settings."""


def check_sign_in(document: Document, site: Site) -> None:
    """Permission is asked within a sign-in's age, and XNAT's own lock is not reached."""
    rules = site.sign_in
    if rules.auth_refresh_age > rules.max_age:
        report(
            document,
            written(document, ("sign_in", "auth_refresh_age"), ("sign_in", "max_age")),
            "refresh-after-sign-out",
            f"People would have to sign in again before that, after `max_age`, {rules.max_age} s.",
            "Lower it, or raise `max_age`.",
        )
    if rules.failures_per_user >= XNAT_LOCKS_AFTER:
        report(
            document,
            ("sign_in", "failures_per_user"),
            "lock-out",
            f"XNAT locks an account after {XNAT_LOCKS_AFTER} wrong passwords, unless changed there.",
            f"Lower it below {XNAT_LOCKS_AFTER}, or look at XNAT's security settings.",
        )


def check_user_subdomains(document: Document, site: Site) -> None:
    """Users' servers have host names of their own only below one of the hub's own, over https."""
    key: KeyPath = ("hub", "user_subdomains")
    if not site.hub.user_subdomains or any(problem.rule == "address" for problem in document.problems):
        return
    public = urlsplit(site.hub.public_url or "")
    name = host_name(site.hub.public_url)
    if public.scheme != "https" or not own_host(site) or not re.fullmatch(r"[a-z0-9.-]*[a-z]", name):
        report(
            document,
            key,
            "user-subdomains",
            "It needs the hub at a host name of its own, over https.",
            "Set `hub.public_url` to https:// and a name, not XNAT's and no IP address, such as https://jupyter.example.org/jupyterhub/ (docs/own-host.md). Or delete this key.",
        )
    elif (xnat := host_name(xnat_public_url(site))).endswith(f".{name}"):
        report(
            document,
            key,
            "user-subdomains",
            f"XNAT's own name, {xnat}, is one of those below {name}, which are given to users.",
            "Set `hub.public_url` to a name beside XNAT's, such as https://jupyter.example.org/jupyterhub/ for an XNAT at xnat.example.org.",
        )
    elif "JupyterHub.subdomain_host" in site.extra:
        report(
            document,
            ("extra", "JupyterHub.subdomain_host"),
            "user-subdomains",
            "JupyterHub's own way leaves XNAT's button without effect; `hub.user_subdomains` is ours.",
            "Delete it.",
        )
    elif len(name) > 253 - len("u-123456789012--123456789012345678901234."):
        report(
            document,
            key,
            "user-subdomains",
            "The hub's host name leaves no room for names below it.",
            "Take a shorter one.",
        )


def check_session_cookie(document: Document, site: Site) -> None:
    """Where signing in by XNAT's session is on, browsers send that session's cookie to the hub."""
    if any(problem.rule in {"address", "page-address"} for problem in document.problems):
        return
    if not site.sign_in.xnat_session:
        _check_form(document, site)
        return
    public, hub = urlsplit(xnat_public_url(site)), site.hub
    name, own, scheme = (
        host_name(public.geturl()),
        host_name(hub.public_url),
        urlsplit(hub.public_url or "").scheme,
    )
    below = public.path.rstrip("/") + "/"
    key: KeyPath = ("xnat", "public_url" if site.xnat.public_url else "url")
    if own and own != name and (site.xnat.public_url or _is_public(name)):
        found = f"Browsers send XNAT's session to {name} alone, and the hub is at {own}."
        fix = "Set `sign_in.xnat_session: false`: XNAT's button signs people in on a host name of its own. Or serve both under one name. If browsers know XNAT by another name, write it as `xnat.public_url`."
        report(document, ("hub", "public_url"), "session-cookie", found, fix)
    elif own == name and (public.scheme, scheme) == ("https", "http"):
        found = "Browsers send XNAT's session over https alone, and the hub is at http."
        fix = f"Serve the hub over https too: `hub.public_url: https://{public.netloc}{hub.base_url}`."
        report(document, ("hub", "public_url"), "session-cookie", found, fix)
    elif not hub.base_url.startswith(below):
        found = (
            f"Browsers send XNAT's session to what is below {below} alone, and the hub is at {hub.base_url}."
        )
        fix = f"Serve XNAT at /, or set `hub.base_url: {below}jupyterhub/`, or `sign_in.xnat_session: false`."
        report(document, key, "session-cookie", found, fix)


def _check_form(document: Document, site: Site) -> None:
    """XNAT's button signs people in by itself where it can."""
    below = urlsplit(xnat_public_url(site)).path.rstrip("/") + "/"
    if own_host(site) or not site.hub.public_url or not site.hub.base_url.startswith(below):
        return
    report(
        document,
        ("sign_in", "xnat_session"),
        "form-only",
        "XNAT's button leads to a form for XNAT's password, which who comes by OpenID does not have.",
        "Delete it, or give the hub a host name of its own: docs/own-host.md.",
    )


_ROLES = ("user", "admin", "server", "token", "xnat", "prometheus")
"""Roles that JupyterHub has of itself, and those of xnathub."""


def _is_public(host: str) -> bool:
    """Return whether a host's name can be one that browsers know: those inside of a Swarm have no dot, and addresses no name."""
    return "." in host and not re.fullmatch(r"[0-9.]+", host) and not host.endswith((".local", ".internal"))


def check_user_names(document: Document, site: Site) -> None:
    """Names of users can be XNAT's."""
    lists: dict[KeyPath, Sequence[str]] = {("hub", "admin_users"): site.hub.admin_users}
    lists |= {("hub", "roles", index, "users"): role.users for index, role in enumerate(site.hub.roles)}
    blocked = "Authenticator.blocked_users"
    lists["extra", blocked] = site.extra.get(blocked, ())
    groups = site.extra.get("JupyterHub.load_groups", {})
    for group, members in groups.items() if isinstance(groups, Mapping) else ():
        path: KeyPath = ("extra", "JupyterHub.load_groups", group)
        users = isinstance(members, Mapping)
        lists[(*path, "users") if users else path] = members.get("users", ()) if users else members
    for path, names in lists.items():
        for index, name in enumerate(names if isinstance(names, tuple) else ()):
            # What is no text is reported already.
            if isinstance(name, str) and not can_be_user_name(name):
                report(
                    document,
                    (*path, index),
                    "username",
                    f"{name!r} can't be an XNAT user's name.",
                    "Write the user name that this person signs in to XNAT with.",
                )


def check_api_scopes(document: Document, site: Site) -> None:
    """`hub.api_scopes`, services and roles name scopes of JupyterHub, and each of them has a name of its own."""
    custom = site.extra.get("JupyterHub.custom_scopes")
    known = [*jupyterhub_names()["scopes"], *(custom if isinstance(custom, Mapping) else ())]
    check_scopes(document, ("hub", "api_scopes"), site.hub.api_scopes, known)
    named: list[tuple[KeyPath, str, tuple[str, ...]]] = [
        *(
            (("hub", "services", index), each.name, each.scopes)
            for index, each in enumerate(site.hub.services)
        ),
        *((("hub", "roles", index), each.name, each.scopes) for index, each in enumerate(site.hub.roles)),
    ]
    taken = set(_ROLES)
    for path, name, scopes in named:
        check_scopes(document, (*path, "scopes"), scopes, known)
        if name in taken:
            found = f"{name} is the name of another service or role."
            report(document, (*path, "name"), "role-name", found, "Give it a name of its own.")
        taken.add(name)


def check_scopes(document: Document, path: KeyPath, scopes: Iterable[str], known: Sequence[str]) -> None:
    """Add a problem for each scope that is not `known`, and for a filter that JupyterHub does not have."""
    for index, scope in enumerate(scopes):
        name, _, rest = scope.partition("!")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            fix = f"Did you mean `{near[0]}`?" if near else "See JupyterHub's list of scopes."
            report(document, (*path, index), "scope", f"JupyterHub has no scope {name}.", fix)
        elif "!" in scope and not re.fullmatch(
            r"user|service|server|(user|service|server|group)=.*", rest, re.DOTALL
        ):
            fix = "Write !user=NAME, !group=NAME, !server=NAME/SERVER or !service=NAME."
            report(document, (*path, index), "scope", f"JupyterHub has no filter !{rest}.", fix)
