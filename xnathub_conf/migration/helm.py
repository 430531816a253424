"""What Helm values become: those of the reference's chart and of Zero to JupyterHub."""

from collections.abc import Callable

from xnathub_conf.migration.chart import ChartValues
from xnathub_conf.migration.chart_code import report_code
from xnathub_conf.migration.chart_database import database, database_gone
from xnathub_conf.migration.chart_services import services
from xnathub_conf.migration.claims import site_mounts, storage
from xnathub_conf.migration.images import allow_images
from xnathub_conf.migration.ledger import Ledger, NotCarriedError, at
from xnathub_conf.migration.rules import Rule, key, left, nothing, number, put_tree, run, whole, yes
from xnathub_conf.migration.traits import CODE, LOOK, carry_trait, unknown_trait
from xnathub_conf.migration.tree import Found, Node
from xnathub_conf.migration.variables import Migration, why_left

_HERE = "orchestrator.kubernetes"
_CHARTS = (
    "It is the chart's, not the site's: write it into the values of the new chart, if it is still wanted."
)
_OURS = "The new chart has its own."
_ENTRIES = (
    "Servers mount what XNAT names, from orchestrator.kubernetes.claims. Look whether this is still wanted."
)


def _no_root(to: Ledger, name: str, leaf: Node) -> None:
    path = f"servers.{'uid' if leaf.path[-1] == 'uid' else 'gid'}"
    if whole(leaf.text or "x") == 0:
        to.leave(name, at(leaf), f"Servers start as {path}. For images that can't, write start_as_root: true under "
                 "orchestrator.kubernetes.")  # fmt: skip
    elif path.partition(".")[2] in to.site.get("servers", {}) and any(
        tuple(path.split(".")) in each.keys and each.leaf for each in to.entries
    ):
        if to.site["servers"][path.partition(".")[2]] == whole(leaf.text):
            to.ignore(name, at(leaf), f"Another setting says the same, {path}.")
            return
        to.leave(name, at(leaf), f"Another setting says {path} already: look which of the two counts.")
    else:
        to.put(path, whole(leaf.text), name, at(leaf))


def _environment(to: Ledger, extra: Node) -> None:
    """Carry over the variables of servers: plain ones, and those with a name and a value of their own."""
    for own, entry in [*extra.keys.items(), *(("", each) for each in extra.items)]:
        variable = entry.get("name").text or own
        value = entry.get("value") if entry.keys else entry
        if not variable or not isinstance(value.value, str):
            continue
        to.put(("servers", "environment", variable), value.text, value.name, at(value))
        if (named := entry.get("name")).line:
            to.follow(named, value, f"with {value.origin}")


def _variable_of(leaf: Node) -> str:
    """Return the name of the variable that a leaf of `extraEnv` belongs to."""
    return str(leaf.path[leaf.path.index("extraEnv") + 1])


def _hub_image(to: Ledger, name: str, leaf: Node) -> None:
    if leaf.path[-1] == "name" and leaf.text and not leaf.text.startswith("xnat/"):
        to.leave(name, at(leaf), "The new chart has xnathub's own image. What yours adds has to be built on that; name it in the new "
                 "chart's values.")  # fmt: skip
    else:
        to.ignore(name, at(leaf), _OURS)


def _debug(to: Ledger, name: str, leaf: Node) -> None:
    if yes(leaf.text):
        to.put("logging.level", "DEBUG", name, at(leaf))
    else:
        to.ignore(name, at(leaf), "It is so by default.")


def _cookie_secret(to: Ledger, name: str, leaf: Node) -> None:
    if leaf.text:
        carry_trait(to, "JupyterHub.cookie_secret", leaf.text, (name, leaf), "kubernetes")
    else:
        to.ignore(name, at(leaf), "It is empty, so the old hub had its default.")


def _escalation(to: Ledger, name: str, leaf: Node) -> None:
    carry_trait(to, "KubeSpawner.allow_privilege_escalation", leaf.typed(), (name, leaf), "kubernetes")


_RULES: tuple[Rule, ...] = (
    Rule("enabled", nothing("The new chart is the hub's own.")),
    Rule("hub.shutdownOnLogout", key("hub.shutdown_on_logout", yes)),
    Rule("hub.extraConfig.**", left(CODE)),
    Rule("hub.extraFiles.**", left(CODE)),
    Rule("hub.allowNamedServers", key("hub.allow_named_servers", yes)),
    Rule("hub.namedServerLimitPerUser", key("hub.named_server_limit_per_user", whole)),
    Rule("hub.concurrentSpawnLimit", key("servers.concurrent_starts", whole)),
    Rule("hub.activeServerLimit", key("extra.JupyterHub.active_server_limit", whole)),
    Rule("hub.consecutiveFailureLimit", key("extra.KubeSpawner.consecutive_failure_limit", whole)),
    Rule("hub.config.**", left(LOOK)),
    Rule("hub.loadRoles.**", left("It is no role. Write what it was for as hub.roles.")),
    Rule("hub.services.*", left("It is no service. Write what it was for as hub.services.")),
    Rule("hub.services.**", nothing("The service xnat: the hub has it, with hub.api_token.")),
    Rule("hub.db.type", nothing("hub.db_url says where the hub's database is; without it, it is a file.")),
    Rule("hub.db.**", left("If the hub's database is to be this one, put its URL into a file and name that as hub.db_url.")),
    Rule("hub.cookieSecret", _cookie_secret),
    Rule("hub.image.**", _hub_image),
    Rule("hub.extraEnv.**", lambda to, name, leaf: to.leave(name, at(leaf), why_left(_variable_of(leaf)))),
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
    Rule("singleuser.extraEnv.**", left("Servers get no secrets of the cluster; users could read them.")),
    Rule("singleuser.extraResource.**", left("XNAT asks for GPUs, by a compute environment's generic resources; servers.caps.generic_resources "
                                             "is the most that one server gets.")),
    Rule("singleuser.allowPrivilegeEscalation", _escalation),
    Rule("singleuser.networkPolicy.**", left(_CHARTS)),
    Rule("singleuser.cloudMetadata.**", left("A network policy of the cluster has to keep servers from the cloud's metadata.")),
    Rule("singleuser.networkTools.**", nothing("It was for an init container that the new chart has not.")),
    Rule("singleuser.uid", _no_root),
    Rule("singleuser.fsGid", _no_root),
    Rule("singleuser.cmd.**", left("The image's own command is started, or what XNAT names. --allow-root is not needed: servers "
                                   "start as servers.uid.")),
    Rule("singleuser.storage.capacity", nothing("It is for volumes that the chart makes; XNAT's are there.")),
    Rule("singleuser.storage.homeMountPath", left("XNAT says where a workspace stands in a server.")),
    Rule("singleuser.storage.extraVolumes.**", left(_ENTRIES)),
    Rule("singleuser.storage.extraVolumeMounts.**", left(_ENTRIES)),
    Rule("singleuser.storage.**", left("Workspaces are mounted as XNAT says: users/NAME in the claim that holds them.")),
    Rule("singleuser.networkPolicy.**", left("Write it into the values of the new chart, as networkPolicy.serverEgress, if it is still wanted.")),
    Rule("singleuser.**", left("No key of site.yaml stands for it. If it is still wanted, look for a trait of KubeSpawner and write it "
                               "under `extra`.")),
    Rule("cull.**", left("XNAT's plugin stops idle servers: set the inactivity timeout in XNAT's Jupyter settings.")),
    Rule("debug.enabled", _debug),
    Rule("imagePullSecret.**", left("Write the registry's login into a file: servers.registry_logins.")),
    Rule("custom.**", left("Only code of the old hub can have read it.")),
    Rule("proxy.secretToken", nothing("The new chart makes a secret of its own.")),
    Rule("postgresql.**", database_gone),
    Rule("global.postgresql.**", database_gone),
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
    database(m, chart)
    _hub_variables(to, chart)
    site_mounts(to, chart)
    _images(to, chart)
    _trees(to, chart)
    _traits(to, chart)
    _environment(to, chart.singleuser.get("extraEnv"))
    _registry_login(m, chart.top.get("jupyterhub", "imagePullSecret"))
    services(to, chart)
    report_code(to, chart)
    for leaf, by in chart.replaced:
        if not to.entry_of(leaf):
            to.ignore(leaf.name, at(leaf), f"{by.origin} replaces it.")
    variables = {found.leaf for found in chart.variables.values()}
    for node, path in [*_walk(chart.top, ())]:
        # What becomes of the hub's variables is the same wherever they stand.
        if to.entry_of(node) is None and node not in variables:
            if not node.line and not _is_told_default(path):
                continue
            rule = next(each for each in _RULES if each.fits(path))
            name = node.name if node.line or chart.is_reference else node.name.removeprefix("jupyterhub.")
            run(rule.how, to, name, node)


def _walk(node: Node, path: tuple[str, ...]) -> list[tuple[Node, tuple[str, ...]]]:
    """Return each leaf with its path in Zero to JupyterHub's values, wherever those stand."""
    below = [*node.keys.items(), *((str(index), each) for index, each in enumerate(node.items))]
    if not below:
        return [(node, path[1:] if path[:1] == ("jupyterhub",) else path)]
    return [pair for name, each in below for pair in _walk(each, (*path, name))]


def _is_told_default(path: tuple[str, ...]) -> bool:
    return path[0] == "hub" and path[1] not in {"db", "baseUrl", "extraConfig"}


def base_url(m: Migration, chart: ChartValues) -> str:
    """Carry over the hub's path, and give it."""
    node = chart.hub.get("baseUrl")
    if node.keys or node.items:
        for leaf in node.leaves():
            m.to.leave(leaf.name, at(leaf), "It is no path. Write it as hub.base_url by hand.")
        return "/jupyterhub/"
    base = node.text.strip("/")
    path = f"/{base}/" if base else "/"
    m.to.put("hub.base_url", path, node.name if chart.is_reference else "hub.baseUrl", at(node))
    return path


def _images(to: Ledger, chart: ChartValues) -> None:
    """Carry over the images that another hub than the reference's started; there XNAT alone names them."""
    image, profiles = chart.singleuser.get("image"), chart.singleuser.get("profileList")
    name, tag = image.get("name"), image.get("tag")
    if chart.is_reference:
        return
    if name.text and name.line:
        allow_images(to, ":".join(filter(None, (name.text, tag.text))), name.name, name)
        if tag.line:
            to.follow(tag, name, f"with {name.origin}")
    for leaf in profiles.leaves():
        if leaf.text and leaf.path[-2:] == ("kubespawner_override", "image"):
            allow_images(to, leaf.text, leaf.name, leaf)


def _hub_variables(to: Ledger, chart: ChartValues) -> None:
    """Report of the parts of each variable of the hub that is no plain text: its name, and where its Secret is."""
    extra = chart.hub.get("extraEnv")
    for entry in [*extra.keys.values(), *extra.items]:
        reference = entry.get("valueFrom", "secretKeyRef")
        lead = next(reference.leaves()) if reference.line else None
        for leaf in entry.leaves() if entry.keys else ():
            if leaf.path[-1] == "name" and len(leaf.path) == len(entry.path) + 1 and leaf.line:
                value = entry.get("value") if entry.get("value").line else lead
                if value and to.entry_of(value):
                    to.follow(leaf, value, f"with {value.origin}")
                else:
                    to.ignore(leaf.name, at(leaf), "It names the variable, which is in this list by itself.")
            elif lead is not None and leaf is not lead and to.entry_of(lead) and leaf.line:
                to.follow(leaf, lead, f"with {lead.origin}")


_TRAITS = {
    "extraLabels": "extra_labels", "extraAnnotations": "extra_annotations", "serviceAccountName": "service_account",
    "initContainers": "init_containers", "extraContainers": "extra_containers", "lifecycleHooks": "lifecycle_hooks",
    "extraPodConfig": "extra_pod_config", "podNameTemplate": "pod_name_template", "events": "events_enabled",
    "extraNodeAffinity.required": "node_affinity_required", "extraNodeAffinity.preferred": "node_affinity_preferred",
    "extraPodAffinity.required": "pod_affinity_required", "extraPodAffinity.preferred": "pod_affinity_preferred",
    "extraPodAntiAffinity.required": "pod_anti_affinity_required", "extraPodAntiAffinity.preferred": "pod_anti_affinity_preferred",
}  # fmt: skip
"""Values of Zero to JupyterHub's `singleuser`, and the trait of KubeSpawner that each of them is."""

_HUB_TRAITS = {"redirectToServer": "redirect_to_server", "authenticatePrometheus": "authenticate_prometheus"}
"""The same of its `hub`, and JupyterHub's traits."""


def _traits(to: Ledger, chart: ChartValues) -> None:
    """Carry over what stands for a trait of JupyterHub, by its own name or by the chart's."""
    found = [
        (f"KubeSpawner.{trait}", chart.singleuser.get(*name.split("."))) for name, trait in _TRAITS.items()
    ]
    found += [(f"JupyterHub.{trait}", chart.hub.get(name)) for name, trait in _HUB_TRAITS.items()]
    for class_name, below in chart.hub.get("config").keys.items():
        found += [(f"{class_name}.{name}", node) for name, node in below.keys.items()]
    for trait, node in found:
        if node.line and not any(map(to.entry_of, node.leaves())):
            _one_trait(to, trait, node)


def _one_trait(to: Ledger, trait: str, node: Node) -> None:
    lead, *others = node.leaves()
    if not others and lead is node and node.value in (None, {}, []):
        to.ignore(node.name, at(node), "It is empty, so the old hub had its default.")
        return
    try:
        taken = carry_trait(to, trait, node.typed(), (node.name, lead), "kubernetes")
    except NotCarriedError as error:
        for leaf in (lead, *others):
            to.leave(leaf.name, at(leaf), str(error))
        return
    for leaf in (lead, *others):
        if not taken:
            to.leave(leaf.name, at(leaf), unknown_trait(trait))
        elif leaf is not lead:
            to.follow(leaf, lead, f"with {lead.origin}")


def _registry_login(m: Migration, node: Node) -> None:
    """Carry over the login of a private registry, from which the old chart made a Secret."""
    registry, user, password = (node.get(name) for name in ("registry", "username", "password"))
    words = [each.text for each in (registry, user, password)]
    if node.get("create").text != "true" or any(len(word.split()) != 1 for word in words):
        return
    to, file = m.to, "registry_logins"
    found = at(password)
    to.secret(
        "servers.registry_logins", file, Found(" ".join(words), found.origin, found.leaf), password.name
    )
    for leaf in (registry, user, *(each for name, each in node.keys.items() if name in {"create", "email"})):
        to.follow(leaf, password, f"with {password.origin}")
    to.to_do.append(
        f"What is in the file {file} goes into the new chart's values too: secrets.registryLogins."
    )


def _list(node: Node) -> list[str]:
    return [each.text or each.get("name").text for each in node.items]


def _trees(to: Ledger, chart: ChartValues) -> None:
    """Carry over what is a list or a map as a whole."""
    one = chart.singleuser
    admins = chart.hub.get("config", "Authenticator", "admin_users")
    rows: list[tuple[str, Node, Callable[[Node], object], str]] = [
        (
            f"{_HERE}.node_selector",
            one.get("nodeSelector"),
            Node.plain,
            chart.singleuser.get("nodeSelector").name,
        ),
        (
            f"{_HERE}.tolerations",
            one.get("extraTolerations"),
            Node.plain,
            chart.singleuser.get("extraTolerations").name,
        ),
        ("hub.admin_users", admins, _list, admins.name),
    ]
    for target, node, convert, name in rows:
        if node.keys or node.items:
            put_tree(to, target, convert(node), name, node)
    pulled = [one.get("image", "pullSecrets"), chart.top.get("jupyterhub", "imagePullSecrets")]
    if leaves := [leaf for node in pulled for each in node.items for leaf in each.leaves()]:
        names = [*dict.fromkeys(name for node in pulled for name in _list(node))]
        to.put(f"{_HERE}.image_pull_secrets", names, leaves[0].name, at(leaves[0]))
        for leaf in leaves[1:]:
            to.follow(leaf, leaves[0], f"with {leaves[0].origin}")
