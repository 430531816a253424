"""What a compose file says of the hub, part by part, and what becomes of it."""

from xnathub_conf.migration.docker_api import docker_api
from xnathub_conf.migration.docker_logins import carry_logins, is_docker_config
from xnathub_conf.migration.host_folders import folders
from xnathub_conf.migration.ledger import Ledger, Outcome, at
from xnathub_conf.migration.rules import Rule, apply, host_of, is_number, key, left, nothing, run
from xnathub_conf.migration.services import Compose, Service
from xnathub_conf.migration.traits import CODE
from xnathub_conf.migration.tree import Found, Node
from xnathub_conf.migration.variables import Migration
from xnathub_conf.site.problems import dotted

_BESIDE = "in a file of your own beside the rendered one (docs/migrate.md)"
_RENDERED = f"write it at the service `hub` {_BESIDE}"
_AT_PROXY = f"write it at the service `proxy` {_BESIDE}"
_LABELS = f"If a web server such as Traefik reads it, {_AT_PROXY}; the port is that of hub.bind_url."
_STAYS = "The network stays with {}, so the new hub has one of its own, {}. The web server reaches it by its published port."
_GPUS = "The hub needs no GPU. For servers, XNAT asks for them; servers.caps.generic_resources is the most for one."


def _image(to: Ledger, name: str, leaf: Node) -> None:
    repository = leaf.text.rpartition("/")[2].partition(":")[0]
    if leaf.text.startswith("xnat/") or repository == "jupyterhub":
        to.ignore(name, at(leaf), "The new stack has xnathub's own image.")
    else:
        to.leave(name, at(leaf), "The new stack has xnathub's own image. What yours adds has to be built on that: "
                 "`xnathub render --image YOURS`.")  # fmt: skip


def _replicas(to: Ledger, name: str, leaf: Node) -> None:
    if leaf.text == "1":
        to.ignore(name, at(leaf), "There is one hub in the new stack too.")
    else:
        to.leave(name, at(leaf), "There can be one hub only.")


def _constraint(to: Ledger, name: str, leaf: Node) -> None:
    if leaf.text.replace(" ", "") == "node.role==manager":
        to.ignore(name, at(leaf), "The new stack's hub runs on a manager too.")
    else:
        to.leave(name, at(leaf), f"It is the hub's own placement; {_RENDERED}. For people's servers there is "
                 "orchestrator.swarm.placement_constraints.")  # fmt: skip


def _user(to: Ledger, name: str, leaf: Node) -> None:
    uid, _, gid = leaf.text.partition(":")
    hub = to.site.get("hub", {})
    if (uid, gid) == (str(hub.get("uid")), str(hub.get("gid"))):
        to.ignore(name, at(leaf), "hub.uid and hub.gid say the same, from the variables JH_UID and JH_GID.")
    elif "uid" in hub or "gid" in hub:
        to.leave(name, at(leaf), f"The variables JH_UID and JH_GID say hub.uid: {hub.get('uid')} and hub.gid: {hub.get('gid')}. If this one "
                 "counts, change them.")  # fmt: skip
    elif is_number(uid) and int(uid) > 0 and is_number(gid):
        to.put("hub.uid", int(uid), name, at(leaf))
        to.put("hub.gid", int(gid), name, at(leaf))
    else:
        to.leave(name, at(leaf), "Write it as hub.uid and hub.gid, in numbers; the hub never runs as root.")


def _other(to: Ledger, name: str, leaf: Node) -> None:
    if len(leaf.path) == 2:
        to.ignore(name, at(leaf), "It says nothing.")
    elif str(leaf.path[2]).startswith("x-"):
        to.ignore(name, at(leaf), "A fragment: it counts where it is referred to, and is in this list there.")
    else:
        to.leave(name, at(leaf), f"No key of site.yaml stands for it. If it is still wanted, {_RENDERED}.")


_HUB: tuple[Rule, ...] = (
    Rule("image", _image),
    Rule("deploy.replicas", _replicas),
    Rule("deploy.placement.constraints.*", _constraint),
    Rule("user", _user),
    Rule("hostname", nothing("The hub tells servers its address itself.")),
    Rule("container_name", nothing("The new hub's container has a name of its own.")),
    Rule("restart", nothing("The new hub is started again too.")),
    Rule("build.**", nothing("It was for building the old image.")),
    Rule("expose.**", nothing("The hub's ports are open to its network.")),
    Rule("depends_on.**", nothing("The hub waits for XNAT by itself.")),
    Rule("healthcheck.**", nothing("The new stack has a check of its own.")),
    Rule("tty", nothing("A hub reads no terminal.")),
    Rule("stdin_open", nothing("A hub reads no terminal.")),
    Rule("env_file.**", nothing("The variables in it are in this list by themselves.")),
    Rule("extends.**", nothing("What it names is in this list by itself.")),
    Rule("environment.**", nothing("It has no value, so the old hub did not have it.")),
    Rule("profiles.**", left(f"The new stack's hub belongs to no profile. If it is to, {_RENDERED}.")),
    Rule("networks.*.aliases.**", left(f"If something calls the hub by this name, {_AT_PROXY}.")),
    Rule("command.**", left("The new image starts `xnathub run` itself. Look for a key of site.yaml for what the command said.")),
    Rule("entrypoint.**", left("The new image starts `xnathub run` itself. Look for a key of site.yaml for what it did.")),
    Rule("labels.**", left(_LABELS)),
    Rule("deploy.labels.**", left(_LABELS)),
    Rule("gpus.**", left(_GPUS)),
    Rule("deploy.resources.reservations.devices.**", left(_GPUS)),
    Rule("deploy.**", left(f"It is about the hub's own container. If it is still wanted, {_RENDERED}.")),
    Rule("secrets.**", left("The new stack has secrets of its own, and lists them. What else the hub must read: " + _RENDERED + ".")),
    Rule("configs.**", left(f"If the hub must read it, {_RENDERED}.")),
    Rule("**", _other),
)  # fmt: skip

_TOP: tuple[Rule, ...] = (
    Rule("version", nothing("Compose's own.")),
    Rule("name", nothing("It names the old stack.")),
    Rule("include.**", nothing("What it names is in this list by itself.")),
    Rule("services.**", nothing("Another service's: it stays as it is.")),
    Rule("networks.**", nothing("The new hub has no part in this network.")),
    Rule("volumes.**", nothing("The hub does not mount it.")),
    Rule("secrets.**", nothing("The hub does not read it.")),
    Rule("configs.**", nothing("The hub does not read it.")),
    Rule("**", nothing("A fragment: it counts where it is referred to, and is in this list there.")),
)

_NETWORK: tuple[Rule, ...] = (
    Rule("name", nothing("The new hub's network has this name too.")),
    Rule("driver", nothing("The new stack makes this network.")),
    Rule("attachable", nothing("The new stack makes this network.")),
    Rule("external", nothing("The new stack makes this network. Remove the old one first, or name another in site.yaml.")),
    Rule("ipam.driver", nothing("It is Docker's default.")),
    Rule("**", left(f"No key of site.yaml stands for it. If it is still wanted, write it at the network `jupyter` {_BESIDE}.")),
)  # fmt: skip


def swarm(m: Migration) -> None:
    """Carry over what makes a Swarm hub: folders, the network, Docker's address, and the hub's service."""
    folders(m)
    network = m.old.hub["JH_NETWORK"]
    m.to.put("orchestrator.swarm.network_name", network.value, "JH_NETWORK", network)
    _xnat_by_name(m)
    docker_api(m)


def _others_on(m: Migration, network: str) -> list[str]:
    """Name the services besides the hub that are on a network."""
    compose = m.old.compose
    return [
        name
        for name, service in (compose.services if compose else {}).items()
        if compose and service is not m.old.service
        and any(_is_of_servers(compose, each, network) for node in service.nodes for _, each in _network_names(node))
    ]  # fmt: skip


def _xnat_by_name(m: Migration) -> None:
    """Report where XNAT's address is the name of a service, which is known on that service's networks alone."""
    host = host_of(m.to.site["xnat"]["url"])
    if m.old.compose and host in m.old.compose.services:
        m.to.to_do.append(
            f"xnat.url calls XNAT by the name of its service, {host}, which is not known on the new hub's network. Write an address "
            "that reaches XNAT from there, such as that of the web server."
        )


def stack_parts(m: Migration) -> None:
    """Report what becomes of all in a compose file that is no variable."""
    compose, service, kind = m.old.compose, m.old.service, m.old.kind
    if compose and service:
        _service(m.to, service)
        key = ("orchestrator", kind, "network_name")
        network = str(m.to.site["orchestrator"][kind].get("network_name", ""))
        if others := _others_on(m, network):
            m.to.withdraw(key, _STAYS.format(", ".join(others), dotted(key)))
        _parts(m.to, compose, service, "" if others else network)


def user(m: Migration) -> None:
    """Carry over the user that compose runs the hub as, where no variable says it."""
    if m.old.service and not all(m.old.hub.get(name, Found("", "")).value for name in ("JH_UID", "JH_GID")):
        for node in m.old.service.nodes:
            if (leaf := node.get("user")).line and not m.to.entry_of(leaf):
                run(_user, m.to, leaf.name, leaf)


def _service(to: Ledger, service: Service) -> None:
    port = ""
    # All are published; what a later file adds is the one that is meant.
    for node in reversed(service.nodes):
        for each in node.get("ports").items:
            if not any(map(to.entry_of, each.leaves())):
                port = _port(to, each, port)
    for node in service.nodes:
        for each in node.get("volumes").items:
            if not any(map(to.entry_of, each.leaves())):
                _volume(to, each)


def _port(to: Ledger, node: Node, before: str) -> str:
    """Report of a published port, and return the one at which the hub is; `before` is the one that is carried already."""
    text = node.text or f"{node.get('host_ip').text}:{node.get('published').text}:{node.get('target').text}"
    protocol = node.get("protocol").text or (text.partition("/")[2] or "tcp")
    rest, _, target = text.partition("/")[0].rpartition(":")
    address, _, published = rest.rpartition(":")
    address = address.strip("[]")
    lead = node if node.text else node.get("published") if node.get("published").line else node.get("target")
    name = f"ports {text.strip(':')}"
    if target != "8000" or protocol != "tcp":
        why = "The hub listens on one port, hub.bind_url."
        if target == "8081":
            to.ignore(name, at(lead), "Servers call the hub on its network, without a published port.")
        else:
            to.leave(name, at(lead), why)
    elif published and not is_number(published):
        to.leave(name, at(lead), "A range of ports. Write the one that the proxy calls as hub.bind_url.")
    else:
        if before and (published or "8000") != before:
            to.leave(
                name,
                at(lead),
                f"The new hub is published once, at {before}. If it is to be reached here too, {_RENDERED}.",
            )
        elif before:
            to.ignore(name, at(lead), f"hub.bind_url says the port, {before}.")
        elif published not in {"8000", ""}:
            to.put("hub.bind_url", f"http://0.0.0.0:{published}", name, at(lead))
        else:
            to.ignore(name, at(lead), "It is the hub's default, hub.bind_url.")
        before = before or published or "8000"
        _address(to, node, lead, name, address)
    if node.keys:
        for leaf in node.leaves():
            if leaf.path[-1] in {"target", "published"} and leaf is not lead:
                to.follow(leaf, lead, f"with {lead.origin}")
            elif leaf.path[-1] == "protocol" and leaf.text == "tcp":
                to.ignore(leaf.name, at(leaf), "The hub speaks TCP.")
            elif leaf.path[-1] == "mode" and leaf.text == "host":
                to.ignore(leaf.name, at(leaf), "The new stack publishes the port in the same way.")
    return before


def _address(to: Ledger, node: Node, lead: Node, name: str, address: str) -> None:
    if address in {"", "0.0.0.0", "::"}:  # noqa: S104 - it is only compared
        if (leaf := node.get("host_ip")).line:
            to.ignore(leaf.name, at(leaf), "It means every address, as in the new stack.")
        return
    leaf = node.get("host_ip") if node.keys else lead
    to.leave(leaf.name if node.keys else name, at(leaf),
             f"The new hub's port is published on every address, so it would be open beyond {address}. Close it to others with the "
             "host's firewall.")  # fmt: skip


def _volume(to: Ledger, node: Node) -> None:
    source, target = (
        (node.get("source").text, node.get("target").text) if node.keys else [*node.text.split(":"), ""][:2]
    )
    lead = node if not node.keys else node.get("source") if node.get("source").line else next(node.leaves())
    name = f"volume {source}:{target}"
    if target.endswith("/docker.sock"):
        if source in {"/var/run/docker.sock", "/run/docker.sock"}:
            to.ignore(name, at(lead), "The new stack mounts Docker's socket too.")
        else:
            kind = next(iter(to.site["orchestrator"]))
            to.put(f"orchestrator.{kind}.docker_host", f"unix://{source}", name, at(lead))
    elif is_docker_config(target):
        run(lambda to, name, leaf: carry_logins(to, name, source, leaf), to, name, lead)
    elif target.endswith("jupyterhub_config.py"):
        to.leave(f"volume {source}", at(lead), CODE + " If the file is there, its lines are in this list.")
    else:
        why = f"The new stack keeps the hub's data in a volume of its own. What else the hub must read, {_RENDERED}."
        to.leave(name, at(lead), why)
    entry = to.entry_of(lead)
    for leaf in node.leaves() if node.keys else ():
        if leaf is lead:
            continue
        if entry and entry.outcome == Outcome.NOT_CARRIED:
            to.leave(leaf.name, at(leaf), f"With {lead.origin}.")
        else:
            to.follow(leaf, lead, f"with {lead.origin}")


def _parts(to: Ledger, compose: Compose, service: Service, network: str) -> None:
    """Report what becomes of all else in the compose files: the hub's service, its network, and other services."""
    for leaf, why in compose.missing.items():
        to.leave(leaf.name, at(leaf), why)
    for node, why in compose.absent.items():
        for leaf in node.leaves():
            to.ignore(leaf.name, at(leaf), why)
    for node in service.nodes:
        for each, name in _network_names(node):
            if not _is_of_servers(compose, name, network):
                to.leave(each.name, at(each), "The new stack's proxy, which people and XNAT call, is on its servers' network alone. If a web "
                         f"server or XNAT calls it on this one, {_AT_PROXY}.")  # fmt: skip
            elif each.value is None or not each.keys:
                to.ignore(each.name, at(each), "The new stack's hub is on its servers' network too.")
        for leaf in node.leaves():
            if leaf.tag == "!reset" and not to.entry_of(leaf):
                to.ignore(leaf.name, at(leaf), "It takes away what an earlier file says.")
        apply(_HUB, to, node, below=2)
    for tree in compose.trees:
        for name, node in tree.get("networks").keys.items():
            if _is_of_servers(compose, name, network):
                _network(to, node)
        for kind in ("volumes", "secrets", "configs"):
            used = {source for node in service.nodes for source in _sources(node.get(kind))}
            for name, node in tree.get(kind).keys.items():
                if name in used:
                    _used(to, node, kind)
        apply(_TOP, to, tree)


def _network_names(node: Node) -> list[tuple[Node, str]]:
    networks = node.get("networks")
    named = [(each, each.text) for each in networks.items]
    return [
        *named,
        *((leaf, name) for name, each in networks.keys.items() for leaf in [each] if not each.keys),
    ]


def _is_of_servers(compose: Compose, name: str, network: str) -> bool:
    return bool(network) and (
        name == network or any(tree.get("networks", name, "name").text == network for tree in compose.trees)
    )


def _network(to: Ledger, node: Node) -> None:
    for config in node.get("ipam", "config").items[:1]:
        if (subnet := config.get("subnet")).text and "swarm" in to.site["orchestrator"]:
            run(key("orchestrator.swarm.subnet"), to, subnet.name, subnet)
    apply(_NETWORK, to, node, below=2)


def _sources(node: Node) -> list[str]:
    return [each.get("source").text if each.keys else each.text.partition(":")[0] for each in node.items]


def _used(to: Ledger, node: Node, kind: str) -> None:
    for leaf in node.leaves():
        if kind == "configs" and (leaf.path[-1] == "content" or leaf.text.endswith(".py")):
            why = CODE + " Its lines are in this list, if it could be read."
        else:
            why = f"The old hub had it. If the new one must, {_RENDERED}."
        to.leave(leaf.name, at(leaf), why)
