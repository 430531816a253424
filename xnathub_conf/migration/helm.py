"""What Helm values become: those of the reference's chart and of Zero to JupyterHub."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from xnathub_conf.migration.chart import ChartValues
from xnathub_conf.migration.claims import storage
from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.rules import Rule, key, left, nothing, number, put_tree, run, whole, yes
from xnathub_conf.migration.traits import CODE, LOOK, carry_trait
from xnathub_conf.migration.tree import Found, Node
from xnathub_conf.migration.variables import Migration

_HERE = "orchestrator.kubernetes"
_CHARTS = (
    "It is the chart's, not the site's: write it into the values of the new chart, if it is still wanted."
)
_OURS = "The new chart has its own."
_ENTRIES = (
    "Servers mount what XNAT names, from orchestrator.kubernetes.claims. Look whether this is still wanted."
)


def _database_gone(to: Ledger, name: str, leaf: Node) -> None:
    to.leave(name, at(leaf), "The old chart's database goes with it. The new hub begins with an empty one, which loses "
             "nothing of the users: XNAT makes them again, and notebooks are in the workspaces.")  # fmt: skip


def _no_root(to: Ledger, name: str, leaf: Node) -> None:
    path = f"servers.{'uid' if leaf.path[-1] == 'uid' else 'gid'}"
    if whole(leaf.text or "x") == 0:
        to.leave(name, at(leaf), f"Servers start as {path}. For images that can't, write start_as_root: true under "
                 "orchestrator.kubernetes.")  # fmt: skip
    elif path.partition(".")[2] in to.site.get("servers", {}) and any(
        tuple(path.split(".")) in each.keys and each.leaf for each in to.entries
    ):
        to.leave(name, at(leaf), f"Another setting says {path} already: look which of the two counts.")
    else:
        to.put(path, whole(leaf.text), name, at(leaf))


def _trait(to: Ledger, name: str, leaf: Node) -> None:
    start = [str(part) for part in leaf.path].index("config") + 1
    class_name, trait, *below = leaf.path[start:]
    if below or not carry_trait(
        to, f"{class_name}.{trait}", leaf.text if leaf.value is not None else None, (name, leaf), "kubernetes"
    ):
        to.leave(name, at(leaf), LOOK)


def _environment(to: Ledger, name: str, leaf: Node) -> None:
    parts = leaf.path[leaf.path.index("extraEnv") + 1 :]
    if len(parts) == 1 and isinstance(leaf.value, str) and isinstance(parts[0], str):
        to.put(("servers", "environment", parts[0]), leaf.text, name, at(leaf))
    else:
        to.leave(name, at(leaf), "Servers get no secrets of the cluster; users could read them.")


def _shutdown_code(to: Ledger, name: str, leaf: Node) -> None:
    if "shutdown_on_logout" in leaf.text and len(leaf.text.strip().splitlines()) == 1:
        to.put("hub.shutdown_on_logout", "True" in leaf.text, name, at(leaf))
    else:
        raise NotCarriedError(CODE)


_RULES: tuple[Rule, ...] = (
    Rule("enabled", nothing("The new chart is the hub's own.")),
    Rule("hub.shutdownOnLogout", key("hub.shutdown_on_logout", yes)),
    Rule("hub.extraConfig.shutdownOnLogout", _shutdown_code),
    Rule("hub.extraConfig.timeouts", nothing("The variables JH_START_TIMEOUT and JH_HTTP_TIMEOUT say it.")),
    Rule("hub.extraConfig.**", left(CODE)),
    Rule("hub.extraFiles.**", left(CODE)),
    Rule("hub.allowNamedServers", key("hub.allow_named_servers", yes)),
    Rule("hub.namedServerLimitPerUser", key("hub.named_server_limit_per_user", whole)),
    Rule("hub.concurrentSpawnLimit", key("servers.concurrent_starts", whole)),
    Rule("hub.activeServerLimit", key("extra.JupyterHub.active_server_limit", whole)),
    Rule("hub.consecutiveFailureLimit", key("extra.KubeSpawner.consecutive_failure_limit", whole)),
    Rule("hub.config.*.*.**", _trait),
    Rule("hub.config.**", left(LOOK)),
    Rule("hub.loadRoles.**", left("The service xnat gets what XNAT's plugin needs and no more; hub.api_scopes would change it.")),
    Rule("hub.services.xnat.**", nothing("The service xnat: the hub has it, with hub.api_token.")),
    Rule("hub.services.**", left("The hub has the service xnat alone. Others have no key of site.yaml: let XNAT's admin know, or "
                                 "call the hub's API with a token of an admin.")),
    Rule("hub.db.type", nothing("hub.db_url says where the hub's database is; without it, it is a file.")),
    Rule("hub.db.**", left("If the hub's database is to be this one, put its URL into a file and name that as hub.db_url.")),
    Rule("hub.image.**", nothing(_OURS)),
    Rule("hub.extraEnv.**", left("No key of site.yaml stands for it. If the hub's process needs it, set it where the hub runs.")),
    Rule("hub.extraVolumes.**", left("What the hub must read beside its site file, write into the values of the new chart.")),
    Rule("hub.extraVolumeMounts.**", left("What the hub must read beside its site file, write into the values of the new chart.")),
    Rule("hub.**", left(_CHARTS)),
    Rule("singleuser.cpu.limit", key("servers.cpu_limit", number)),
    Rule("singleuser.cpu.guarantee", key("servers.cpu_guarantee", number)),
    Rule("singleuser.memory.limit", key("servers.mem_limit")),
    Rule("singleuser.memory.guarantee", key("servers.mem_guarantee")),
    Rule("singleuser.defaultUrl", key("servers.default_url")),
    Rule("singleuser.startTimeout", key("servers.start_timeout", whole)),
    Rule("singleuser.image.pullPolicy", key(f"{_HERE}.image_pull_policy")),
    Rule("singleuser.image.**", left("XNAT says which image a server starts from: make it a computing environment there, and name it "
                                     "in servers.allowed_images.")),
    Rule("singleuser.profileList.**", left("XNAT says which image a server starts from: make each a computing environment there.")),
    Rule("singleuser.extraEnv.**", _environment),
    Rule("singleuser.uid", _no_root),
    Rule("singleuser.fsGid", _no_root),
    Rule("singleuser.cmd.**", left("The image's own command is started, or what XNAT names. --allow-root is not needed: servers "
                                   "start as servers.uid.")),
    Rule("singleuser.storage.capacity", nothing("It is for volumes that the chart makes; XNAT's are there.")),
    Rule("singleuser.storage.homeMountPath", left("XNAT says where a workspace stands in a server.")),
    Rule("singleuser.storage.extraVolumes.**", left(_ENTRIES)),
    Rule("singleuser.storage.extraVolumeMounts.**", left(_ENTRIES)),
    Rule("singleuser.storage.**", left("Workspaces are mounted as XNAT says: users/NAME in the claim that holds them.")),
    Rule("singleuser.**", left(f"No key of site.yaml stands for it. {LOOK}")),
    Rule("proxy.secretToken", nothing("The new chart makes a secret of its own.")),
    Rule("postgresql.**", _database_gone),
    Rule("global.postgresql.**", _database_gone),
    Rule("**", left(_CHARTS)),
)  # fmt: skip


def kubernetes(m: Migration, chart: ChartValues) -> None:
    """Carry over what makes a hub on Kubernetes: claims, the database, and what the chart's values say else."""
    to = m.to
    storage(m, chart)
    to.to_do.append(
        "The hub finds XNAT's folders in the claims by itself. Empty the path translation in XNAT's Jupyter settings, "
        "and take the variables JH_XNAT_PT_... out of XNAT's environment."
    )
    _database(m, chart)
    _trees(to, chart)
    for leaf, by in chart.replaced:
        if not to.entry_of(leaf):
            to.ignore(leaf.name, at(leaf), f"{by.origin} replaces it.")
    for node, path in [*_walk(chart.top, ())]:
        if to.entry_of(node) is None:
            if not node.line and not _is_told_default(path):
                continue
            rule = next(each for each in _RULES if each.fits(path))
            run(rule.how, to, _named(node), node)
    if "shutdown_on_logout" not in to.site["hub"]:
        to.put("hub.shutdown_on_logout", False, "jupyterhub.hub.shutdownOnLogout", Found("", "the default"))


def _walk(node: Node, path: tuple[str, ...]) -> list[tuple[Node, tuple[str, ...]]]:
    """Return each leaf with its path in Zero to JupyterHub's values, wherever those stand."""
    below = [*node.keys.items(), *((str(index), each) for index, each in enumerate(node.items))]
    if not below:
        return [(node, path[1:] if path[:1] == ("jupyterhub",) else path)]
    return [pair for name, each in below for pair in _walk(each, (*path, name))]


def _named(node: Node) -> str:
    own = str(node.path[0]).startswith(("jupyterhub", "postgresql", "global"))
    return node.name if own else f"jupyterhub.{node.name}"


def _is_told_default(path: tuple[str, ...]) -> bool:
    return path[0] == "hub" and path[1] not in {"db", "baseUrl"}


def base_url(m: Migration, chart: ChartValues) -> str:
    """Carry over the hub's path, and give it."""
    node = chart.hub.get("baseUrl")
    base = node.text.strip("/")
    path = f"/{base}/" if base else "/"
    m.to.put("hub.base_url", path, "jupyterhub.hub.baseUrl", at(node))
    return path


def _database(m: Migration, chart: ChartValues) -> None:
    hub, to = m.old.hub, m.to
    if chart.hub.get("db", "type").text != "postgres" or not chart.is_reference:
        _hub_variables(to, chart)
        return
    enabled, names = chart.top.get("postgresql", "enabled"), ("USER", "PASSWORD", "HOST", "PORT", "DB")
    parts = {name: hub.get(f"POSTGRES_{name}", Found("", "not set")) for name in names}
    external = chart.top.get("postgresqlExternalHost")
    if enabled.text == "true":
        _database_gone(to, "postgresql.enabled", enabled)
        for name, found in parts.items():
            if found.leaf:
                run(_database_gone, to, f"POSTGRES_{name}", found.leaf)
    elif "POSTGRES_PASSWORD" in m.old.elsewhere:
        where = m.old.elsewhere["POSTGRES_PASSWORD"]
        to.put("hub.db_url", {"file": f"{to.secrets_path}/hub_db_url"}, "POSTGRES_PASSWORD", where)
        host = external.text or parts["HOST"].value
        to.to_do.append(
            "POSTGRES_PASSWORD is a Secret of the cluster. Put the database's URL into the file hub_db_url: "
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
        to.to_do.append(
            "The old database is of JupyterHub 4. Take a backup of it, or give the new hub an empty one: it holds nothing of the users."
        )
        _with_database(to, parts, external, found)
    if enabled.line:
        to.ignore("postgresql.enabled", at(enabled), "The database is another one, or none.")
    _hub_variables(to, chart)


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


def _hub_variables(to: Ledger, chart: ChartValues) -> None:
    """Report of the parts of each variable of the hub that is no plain text: its name, and where its Secret is."""
    extra = chart.hub.get("extraEnv")
    for entry in [*extra.keys.values(), *extra.items]:
        reference = entry.get("valueFrom", "secretKeyRef")
        lead = next(reference.leaves()) if reference.line else None
        for leaf in entry.leaves() if entry.keys else ():
            if leaf.path[-1] == "name" and len(leaf.path) == len(entry.path) + 1 and leaf.line:
                to.ignore(leaf.name, at(leaf), "It names the variable, which is in this list by itself.")
            elif lead is not None and leaf is not lead and to.entry_of(lead) and leaf.line:
                to.follow(leaf, lead, f"with {lead.origin}")


def _list(node: Node) -> list[str]:
    return [each.text or each.get("name").text for each in node.items]


def _trees(to: Ledger, chart: ChartValues) -> None:
    """Carry over what is a list or a map as a whole."""
    one = chart.singleuser
    admins = chart.hub.get("config", "Authenticator", "admin_users")
    rows: list[tuple[str, Node, Callable[[Node], Any], str]] = [
        (
            f"{_HERE}.node_selector",
            one.get("nodeSelector"),
            Node.plain,
            "jupyterhub.singleuser.nodeSelector",
        ),
        (
            f"{_HERE}.tolerations",
            one.get("extraTolerations"),
            Node.plain,
            "jupyterhub.singleuser.extraTolerations",
        ),
        (
            f"{_HERE}.image_pull_secrets",
            one.get("image", "pullSecrets"),
            _list,
            "jupyterhub.singleuser.image.pullSecrets",
        ),
        ("hub.admin_users", admins, _list, "jupyterhub.hub.config.Authenticator.admin_users"),
    ]
    for target, node, convert, name in rows:
        if node.keys or node.items:
            put_tree(to, target, convert(node), name, node)
