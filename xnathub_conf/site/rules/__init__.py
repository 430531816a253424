"""What a schema can't say of a site: rules across keys, and rules that the hub's host alone can check.

One module for each subject, one function for each rule; each adds to the document's problems. Those of one orchestrator stand in its Kind.
"""

from collections.abc import Callable, Mapping

from xnathub_conf.site.kinds import kind_of, named
from xnathub_conf.site.rules.addresses import check_addresses
from xnathub_conf.site.rules.folders import check_braces, check_mounts, check_path_rules
from xnathub_conf.site.rules.host_files import check_files
from xnathub_conf.site.rules.internet import check_internet
from xnathub_conf.site.rules.links import check_links
from xnathub_conf.site.rules.literal_paths import check_literal_paths
from xnathub_conf.site.rules.networks import check_effects
from xnathub_conf.site.rules.node_folders import check_node_folders
from xnathub_conf.site.rules.pages import check_accent
from xnathub_conf.site.rules.raw_settings import (
    check_extra,
    check_extra_pairs,
)
from xnathub_conf.site.rules.raw_values import check_extra_values
from xnathub_conf.site.rules.rights import check_rights
from xnathub_conf.site.rules.secret_values import (
    check_kept_variables,
    check_literal_secrets,
    check_same_secrets,
    check_secrets,
    check_service_tokens,
)
from xnathub_conf.site.rules.server_network import check_server_network
from xnathub_conf.site.rules.servers import (
    check_images,
    check_images_ahead,
    check_memory,
    check_resources,
    check_time_limits,
)
from xnathub_conf.site.rules.sign_in import (
    check_api_scopes,
    check_session_cookie,
    check_sign_in,
    check_user_names,
    check_user_subdomains,
)
from xnathub_conf.site.rules.site_mounts import check_site_mounts
from xnathub_conf.site.rules.tls import check_certificate, check_tls
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document

_SITE_RULES: tuple[Callable[[Document, Site], None], ...] = (
    check_literal_secrets,
    check_same_secrets,
    check_addresses,
    check_tls,
    check_path_rules,
    check_braces,
    check_literal_paths,
    check_mounts,
    check_site_mounts,
    check_node_folders,
    check_links,
    check_images,
    check_images_ahead,
    check_resources,
    check_rights,
    check_server_network,
    check_internet,
    check_effects,
    check_memory,
    check_time_limits,
    check_sign_in,
    check_session_cookie,
    check_user_subdomains,
    check_user_names,
    check_api_scopes,
    check_accent,
    check_extra,
    check_extra_pairs,
    check_service_tokens,
    check_kept_variables,
    check_extra_values,
)


def check_site(document: Document, site: Site) -> None:
    """Add to the document's problems everything that breaks a rule across keys."""
    for check in (*_SITE_RULES, *map(named, kind_of(site).rules)):
        check(document, site)


def check_host(document: Document, site: Site, environment: Mapping[str, str]) -> None:
    """Add what only the hub's host can tell: secrets and files that can't be read, or are no good."""
    check_secrets(document, site, environment)
    check_files(document, site, environment)
    check_certificate(document, site)
