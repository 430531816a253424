"""What is left to do outside the site file as one hub takes the place of another: who calls it, and what stays of the old one."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from xnathub_conf.migration.services import Service
from xnathub_conf.migration.sources import Old
from xnathub_conf.migration.variables import Migration
from xnathub_conf.migration.without_hub import advice
from xnathub_conf.site.hub_settings import PROXY_HOST
from xnathub_conf.site.problems import dotted

_API_URL = "JH_XNAT_JUPYTERHUB_API_URL"


def api_address(m: Migration, base_url: str) -> None:
    """Report where XNAT calls the hub by a name that the new one does not have, or by another path."""
    found = m.old.plugin.get(_API_URL)
    if not found or not (host := _host(found.value)):
        return
    path = urlsplit(found.value).path.rstrip("/")
    if m.old.kind != "kubernetes" and (host in _names(m.old) or "." not in host) and host != "localhost":
        port = urlsplit(m.to.site.get("hub", {}).get("bind_url", "http://:8000")).port
        network = dotted(("orchestrator", m.old.kind, "network_name"))
        m.to.to_do.append(
            f"XNAT calls the hub as {host}, by {_API_URL}. The new hub's proxy has another name: write "
            f"http://{PROXY_HOST}:{port}{base_url}hub/api if XNAT is on the network {network}, else the host's address and the published "
            "port, into that variable and XNAT's Jupyter settings."
        )
    elif m.old.kind == "kubernetes" and (host.endswith((".svc", ".cluster.local")) or "." not in host):
        m.to.to_do.append(
            f"XNAT calls the hub as {host}, by {_API_URL}. Where that is a Service of the old release, write "
            f"http://proxy-public.NAMESPACE{base_url}hub/api into that variable and XNAT's Jupyter settings."
        )
    elif path != f"{base_url}hub/api":
        m.to.to_do.append(
            f"XNAT calls the hub at the path {path}, by {_API_URL}. The new hub's is {base_url}hub/api: write that there and into XNAT's "
            "Jupyter settings."
        )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _names(old: Old) -> set[str]:
    """Return the names that the old hub has on its networks."""
    service = old.service
    if service is None:
        return set()
    names = {service.name}
    for node in service.nodes:
        names |= {node.get("hostname").text, node.get("container_name").text}
        for network in node.get("networks").keys.values():
            names |= {each.text for each in network.get("aliases").items}
    return names


def network_policy(m: Migration) -> None:
    """Report where servers could connect to more than the new chart lets them."""
    chart = m.old.chart
    policy = chart.singleuser.get("networkPolicy") if chart else None
    own = policy is not None and any(policy.get(key).line for key in ("egress", "egressAllowRules"))
    if policy is None or policy.get("enabled").text == "false" or own:
        m.to.to_do.append(
            "The new chart has a NetworkPolicy: servers reach the hub, XNAT in the same namespace and the public internet, and no private "
            "addresses. Write what else they need, such as a database or a proxy, as networkPolicy.serverEgress into the new chart's "
            "values; networkPolicy.enabled: false leaves it out."
        )


def old_hub_away(old: Old, without_hub: str | None) -> Iterator[str]:
    """Return the steps that take the old hub away."""
    if old.compose and old.service and len(old.compose.services) > 1:
        # Docker Compose finds a service by its file, so before it is taken out there.
        yield _stopped(old.service)
        yield from advice(old.compose, old.service, without_hub)
    elif old.kind != "kubernetes":
        yield (
            "Remove the old stack before the new one is deployed (docker stack rm STACK; where docker compose started it, docker compose "
            "down): both want the hub's port, and maybe the network. Running servers end with it; notebooks stay in the workspaces."
        )
    elif old.chart:
        yield (
            "Before the new release is installed, uninstall the old one (helm list says its name): both have Services of the same names. "
            "`helm get manifest RELEASE | grep -A3 'kind: PersistentVolumeClaim'` shows the claims that go with it: the hub's database may, "
            "those of XNAT's archive and workspaces must not be among them. Claims of a StatefulSet, such as the database's "
            "data-RELEASE-postgresql-0, and those named claim-USER stay until you delete them."
        )
    else:
        yield (
            "Before the new release is installed, take the old hub's Deployment and its Services away: the new ones have the names hub and "
            "proxy-public."
        )
    if old.kind == "kubernetes":
        yield "kubectl --namespace NAMESPACE delete pod --selector component=singleuser-server ends servers that the old hub left behind."


def _stopped(service: Service) -> str:
    """Return how the old hub is stopped while the services beside it go on."""
    return (
        f"Stop the old hub before the new one is deployed, since both want its port: docker compose rm --stop --force {service.name}, or in "
        f"a stack docker service rm STACK_{service.name}. Running servers end with it; notebooks stay in the workspaces."
    )
