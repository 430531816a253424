"""The services and roles of Helm values."""

from xnathub_conf.migration.chart import ChartValues
from xnathub_conf.migration.hub_services import carry_role, carry_service, is_xnat, know_services
from xnathub_conf.migration.ledger import Ledger, NotCarriedError, Outcome, at
from xnathub_conf.migration.tree import Node


def services(to: Ledger, chart: ChartValues) -> None:
    """Carry over the programs that call the hub besides XNAT, and the roles of users."""
    callers, roles = (_named(chart.hub.get(name)) for name in ("services", "loadRoles"))
    plain = [(_data(name, node), node) for name, node in callers]
    config = chart.hub.get("config", "JupyterHub")
    know_services(
        to,
        [*(data for data, _ in plain), *(each.typed() for each in config.get("services").items)],
        [
            *(_data(name, node) for name, node in roles),
            *(each.typed() for each in config.get("load_roles").items),
        ],
    )
    for data, node in plain:
        if is_xnat(data["name"]):
            continue
        token = next((each for each in (node.get("apiToken"), node.get("api_token")) if each.text), None)
        lead = token or next(node.leaves())
        data["api_token"] = token.text if token else None
        try:
            lost = carry_service(to, data, (lead.name, lead), _shown_by(str(data["name"])))
        except NotCarriedError as error:
            lost = {"": str(error)}
        _parts(to, node, lead, lost)
    for name, node in roles:
        lead = next((each for each in node.get("scopes").leaves() if each.line), next(node.leaves()))
        try:
            lost = carry_role(to, _data(name, node), (lead.name, lead))
        except NotCarriedError as error:
            lost = {"": str(error)}
        _parts(to, node, lead, lost)


def _named(node: Node) -> list[tuple[str, Node]]:
    return [(each.get("name").text or key, each) for key, each in node.keys.items() if each.keys]


def _data(name: str, node: Node) -> dict[object, object]:
    return {**{key: each.typed() for key, each in node.keys.items()}, "name": name}


def _shown_by(name: str) -> str:
    """Return the command that shows the token which the old chart made for a service."""
    return f"kubectl --namespace NAMESPACE get secret hub --output jsonpath='{{.data.hub\\.services\\.{name}\\.apiToken}}' | base64 -d"


def _parts(to: Ledger, node: Node, lead: Node, lost: dict[str, str]) -> None:
    """Report of each leaf below: with its own reason where its part is lost, else with the one that leads."""
    said = to.entry_of(lead)
    for leaf in node.leaves():
        part = str(leaf.path[len(node.path)]) if len(leaf.path) > len(node.path) else ""
        if why := lost.get("") or lost.get(part):
            to.leave(leaf.name, at(leaf), why)
        elif leaf is lead:
            continue
        elif said and said.outcome == Outcome.NO_CONCERN:
            to.ignore(leaf.name, at(leaf), said.note)
        else:
            to.follow(leaf, lead, f"with {lead.origin}")
