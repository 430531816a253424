"""The database of a hub on Kubernetes, from Helm values and the variables POSTGRES_..."""

from urllib.parse import quote

from xnathub_conf.migration.chart import ChartValues
from xnathub_conf.migration.ledger import Ledger, at
from xnathub_conf.migration.rules import run
from xnathub_conf.migration.traits import SAME_DATABASE
from xnathub_conf.migration.tree import Found, Node
from xnathub_conf.migration.variables import Migration


def database_gone(to: Ledger, name: str, leaf: Node) -> None:
    """Report that the chart's own database goes."""
    to.leave(name, at(leaf), "The old chart's database goes with it. The new hub begins with an empty one, which loses "
             "nothing of the users: XNAT makes them again, and notebooks are in the workspaces.")  # fmt: skip


def database(m: Migration, chart: ChartValues) -> None:
    """Carry over where the hub's database is, or say that it goes with the old chart."""
    hub, to = m.old.hub, m.to
    if chart.hub.get("db", "type").text != "postgres" or not chart.is_reference:
        return
    enabled, names = chart.top.get("postgresql", "enabled"), ("USER", "PASSWORD", "HOST", "PORT", "DB")
    parts = {name: hub.get(f"POSTGRES_{name}", Found("", "not set")) for name in names}
    external = chart.top.get("postgresqlExternalHost")
    if enabled.text == "true":
        database_gone(to, "postgresql.enabled", enabled)
        for name, found in parts.items():
            if found.leaf:
                run(database_gone, to, f"POSTGRES_{name}", found.leaf)
    elif "POSTGRES_PASSWORD" in m.old.elsewhere:
        where = m.old.elsewhere["POSTGRES_PASSWORD"]
        to.put("hub.db_url", {"file": f"{to.secrets_path}/hub_db_url"}, "POSTGRES_PASSWORD", where)
        host = external.text or parts["HOST"].value
        to.to_do.append(
            "POSTGRES_PASSWORD is a Secret of the cluster. Put the database's URL into the file hub_db_url in the folder of the secrets: "
            f"postgresql+psycopg://{parts['USER'].value}:PASSWORD@{host}:{parts['PORT'].value}/{parts['DB'].value}, "
            f"with the password from: {where.value}"
        )
        _with_database(to, parts, external, where)
    else:
        user, password = (quote(parts[name].value, safe="") for name in ("USER", "PASSWORD"))
        host = external.text or parts["HOST"].value
        url = (
            f"postgresql+psycopg://{user}:{password}@{host}:{parts['PORT'].value or 5432}/{parts['DB'].value}"
        )
        found = parts["PASSWORD"]
        to.secret("hub.db_url", "hub_db_url", Found(url, found.origin, found.leaf), "POSTGRES_...")
        to.ask(SAME_DATABASE)
        _with_database(to, parts, external, found)
    if enabled.line:
        to.ignore("postgresql.enabled", at(enabled), "The database is another one, or none.")


def _with_database(to: Ledger, parts: dict[str, Found], external: Node, lead: Found) -> None:
    others = {f"POSTGRES_{name}": found for name, found in parts.items()}
    others["postgresqlExternalHost"] = at(external)
    if external.text and (host := others.pop("POSTGRES_HOST")).leaf:
        to.ignore("POSTGRES_HOST", host, "postgresqlExternalHost says it.")
    for name, found in others.items():
        if found.leaf and found.leaf is not lead.leaf and found.value:
            to.stands(
                ("hub", "db_url"), {"file": f"{to.secrets_path}/hub_db_url"}, name, found, "a part of the URL"
            )
