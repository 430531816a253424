"""Rules that only the hub's host can check: files and variables that have to be there."""

import os
from collections.abc import Mapping
from pathlib import Path

from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.secret import Secret, SecretError


def check_files(document: Document, site: Site, environment: Mapping[str, str]) -> None:
    """Every file that the site names can be read, and a variable that a trait needs is set."""
    files: list[tuple[KeyPath, str | None]] = [(("xnat", "ca_file"), site.xnat.ca_file)]
    files += kind_of(site).files(site.orchestrator)
    if site.hub.tls:
        files += [(("hub", "tls", "cert"), site.hub.tls.cert), (("hub", "tls", "key"), site.hub.tls.key)]
    if (profile := site.servers.security.seccomp).startswith("/"):
        files.append((("servers", "security", "seccomp"), profile))
    files += [(("extra", trait), site.extra.get(trait)) for trait in _FILES]
    for path, name in files:
        if name:
            try:
                Secret("file", name).read({})
            except SecretError as error:
                report(document, path, "file", str(error))
    for trait, when, variable, other in _NEEDED_VARIABLES:
        if site.extra.get(trait) is when and not environment.get(variable) and other not in site.extra:
            report(
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
            report(
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
            report(document, ("logging", "audit_file"), "file", found, fix)


_FILES = ("KubeSpawner.k8s_api_ssl_ca_cert",)
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
