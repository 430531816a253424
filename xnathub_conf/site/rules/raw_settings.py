"""Rules of `extra`: which of JupyterHub's traits it may set."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace

from xnathub_conf.site.check import check_trait
from xnathub_conf.site.hub_settings import hub_settings, settings_by_code
from xnathub_conf.site.kinds import kind_of, kinds
from xnathub_conf.site.problems import KeyPath, dotted
from xnathub_conf.site.raw_instead import NO_EFFECT, NOT_TO_SET
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.rules.sign_in import check_scopes
from xnathub_conf.site.schema import jupyterhub_names, node_at
from xnathub_conf.site.types import HubTls, Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.secret import Secret


def check_extra(document: Document, site: Site) -> None:
    """`extra` sets traits that exist, in values that they take, and none that is decided elsewhere."""
    traits = jupyterhub_names()["traits"]
    spawner = kind_of(site).spawner
    usable = [name for name in traits if name not in _other_spawners(spawner)]
    refused = _Refused(site)
    for trait in site.extra:
        path: KeyPath = ("extra", trait)
        mark = document.key_mark(path)
        class_name, name = trait.split(".")
        if class_name not in usable:
            of_a_spawner = class_name.endswith("Spawner")
            near = [spawner] if of_a_spawner else difflib.get_close_matches(class_name, usable, 1)
            near = ["Authenticator"] if class_name.endswith("Authenticator") else near
            found = f"{class_name} has no part in this hub."
            fix = f"Known here: {', '.join(usable)}."
            if near and name in traits[near[0]]:
                fix = refused.instead(near[0], name) or f"Did you mean `{near[0]}.{name}`?"
            elif of_a_spawner:
                instead = kind_of(site).instead.get(name, NOT_TO_SET["Spawner"].get(name, ""))
                fix = (
                    instead
                    if _is_for(site, instead)
                    else f"{spawner} starts servers here, and has no {name}: delete it."
                )
            elif class_name.endswith("Authenticator"):
                fix = NOT_TO_SET["JupyterHub"]["authenticator_class"]
            document.report(mark, path, "extra", found, fix)
        elif name not in traits[class_name]:
            near = difflib.get_close_matches(name, traits[class_name], 1)
            fix = "Look for its name in the class's documentation."
            if near:
                instead = refused.instead(class_name, near[0])
                fix = (
                    f"Did you mean {near[0]}? {instead}"
                    if instead
                    else f"Did you mean `{class_name}.{near[0]}`?"
                )
            document.report(mark, path, "extra", f"{class_name} has no trait {name}.", fix)
        elif fix := refused.without_effect(class_name, name):
            document.report(mark, path, "extra", f"{trait} has no effect here.", fix)
        elif fix := refused.instead(class_name, name):
            document.report(mark, path, "extra", f"{trait} is decided elsewhere.", fix)
        elif trait == "JupyterHub.internal_ssl" and site.extra[trait]:
            found = "JupyterHub's certificates for its own traffic don't reach servers here, and its addresses are http."
            document.report(mark, path, "extra", found, _INSTEAD_OF_INTERNAL_SSL)
        else:
            check_trait(document, path, traits[class_name][name], document.data["extra"][trait])
    if not any(problem.rule in {"type", "required"} for problem in document.problems):
        _extra_scopes(document, site)


def _other_spawners(spawner: str) -> set[str]:
    return {kind.spawner for kind in kinds().values()} - {spawner}


def _is_for(site: Site, text: str) -> bool:
    """Return whether what a sentence says to write is of use on the site's orchestrator."""
    named = re.findall(r"`orchestrator\.(\w+)|`(\w+Spawner)\.", text)
    return bool(text) and all(key == site.orchestrator.key for key, _ in named)


class _Refused:
    """What of the traits may not be set for a site, and what to do instead."""

    def __init__(self, site: Site):
        kind = kind_of(site)
        self._spawner = kind.spawner
        self._own = kind.instead
        self._no_effect: Mapping[str, str] = {**NO_EFFECT["Spawner"], **kind.without_effect}
        self._key = {
            setting.trait: setting.key
            for setting in hub_settings(_with_every_key(site))
            if setting.key[0] != "extra"
        }
        # Whoever sets the proxy's command does without what ours brings.
        self._by_code = {setting.trait for setting in settings_by_code(site)} - {
            "ConfigurableHTTPProxy.command"
        }

    def without_effect(self, class_name: str, name: str) -> str:
        """Return what to do in place of a trait that would do nothing, "" for any other."""
        return (self._no_effect if class_name == self._spawner else NO_EFFECT.get(class_name, {})).get(
            name, ""
        )

    def instead(self, class_name: str, name: str) -> str:
        """Return what to do in place of a trait that may not be set, "" for one that may."""
        of_a_spawner = class_name == self._spawner
        if instead := self.without_effect(class_name, name):
            return instead
        # A trait of a base class is the same trait on its subclass.
        bases = ["Spawner"] if of_a_spawner else ["Application"] if class_name == "JupyterHub" else []
        own = [f"{each}.{name}" for each in (class_name, *bases)]
        key = next((self._key[each] for each in own if each in self._key), None)
        by_code = any(each in self._by_code for each in own)
        instead = NOT_TO_SET.get("Spawner" if of_a_spawner else class_name, {}).get(name, "")
        if of_a_spawner:
            instead = self._own.get(name, instead)
        # What no code sets on this orchestrator is refused all the same, but for the proxy's.
        if instead and (key or by_code or class_name != "ConfigurableHTTPProxy"):
            return instead
        if key:
            return f"Use `{dotted(key)}`." if node_at(key) else "It follows from other keys: delete it."
        if by_code:
            return "It is set at each start, from XNAT's answer and this file: delete it."
        return ""


_NOT_TOGETHER = (
    ("JupyterHub.load_groups", "Authenticator.manage_groups"),
    ("ConfigurableHTTPProxy.extra_routes", "JupyterHub.subdomain_host"),
)
"""Traits of which JupyterHub takes one alone; routes with a subdomain would have a form of their own."""

_IN_MEMORY = {"sqlite://", "sqlite:///", "sqlite:///:memory:"}
_OF_A_POOL = {"max_overflow", "pool_size", "pool_timeout", "pool_use_lifo"}


def check_extra_pairs(document: Document, site: Site) -> None:
    """`extra` sets no two traits that JupyterHub refuses together."""
    for one, other in _NOT_TOGETHER:
        if site.extra.get(one) and site.extra.get(other):
            message = f"{one} and {other} can't both be set."
            report(document, ("extra", one), "extra-pair", message, "Delete one of them.")
    db_url = site.hub.db_url
    if db_url is None or db_url.kind != "literal" or db_url.where not in _IN_MEMORY:
        return
    for name in site.extra.get("JupyterHub.db_kwargs") or ():
        if name in _OF_A_POOL:
            found = f"A database in memory has no pool of connections, which {name} is for."
            path = ("extra", "JupyterHub.db_kwargs", name)
            report(document, path, "extra-pair", found, "Delete it, or name a file in hub.db_url.")


def _extra_scopes(document: Document, site: Site) -> None:
    custom = site.extra.get("JupyterHub.custom_scopes", {})
    known = [*jupyterhub_names()["scopes"], *custom]
    trait = "JupyterHub.extra_user_scopes"
    check_scopes(document, ("extra", trait), site.extra.get(trait, ()), known)
    for name, scope in custom.items():
        path: KeyPath = ("extra", "JupyterHub.custom_scopes", name, "subscopes")
        check_scopes(document, path, scope.get("subscopes", ()), list(custom))


def _with_every_key(site: Site) -> Site:
    """Fill in what may be left out, so that `hub_settings` names every trait that has a key of its own.

    An address that is wrong, and reported already, goes: it could not be read.
    """
    secret, orchestrator = Secret("env", "NAME"), site.orchestrator
    orchestrator = replace(orchestrator, **kind_of(site).unset)
    hub = replace(site.hub, hub_bind_url=None, public_url="https://x/", db_url=secret, cookie_secret=secret)
    hub = replace(hub, tls=HubTls(cert="/x", key="/x"))
    pages = replace(site.pages, logo="/x")
    return replace(site, hub=hub, pages=pages, orchestrator=orchestrator)


_INSTEAD_OF_INTERNAL_SSL = (
    "Delete it. Where traffic between nodes has to be encrypted, let their network do it: "
    "WireGuard, say, or Kubernetes' network plugin."
)
