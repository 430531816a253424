"""Helm values, merged as Helm does it: the reference's chart, and Zero to JupyterHub, which it is built on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xnathub_conf.migration import MigrationError, reference
from xnathub_conf.migration.hub_services import is_xnat
from xnathub_conf.migration.ledger import at
from xnathub_conf.migration.tree import Found, Node, Value, parse_tree


@dataclass
class ChartValues:
    """The values that count, with where each stands."""

    top: Node
    is_reference: bool
    variables: dict[str, Found] = field(default_factory=dict)
    elsewhere: dict[str, Found] = field(default_factory=dict)
    replaced: list[tuple[Node, Node]] = field(default_factory=list)
    """Values of earlier files, and the later ones that count instead."""
    hidden: list[tuple[Node, Node]] = field(default_factory=list)
    """Values that are set again in the same file, and by what."""
    code: dict[Node, str] = field(default_factory=dict)
    """The pieces of Python among the values, and why one is not read."""

    @property
    def hub(self) -> Node:
        """The values of the hub."""
        return self.top.get("jupyterhub", "hub")

    @property
    def singleuser(self) -> Node:
        """The values of servers."""
        return self.top.get("jupyterhub", "singleuser")

    @property
    def defaults(self) -> Mapping[str, str]:
        """The variables that the chart sets itself."""
        return reference.CHART if self.is_reference else {}


def read_chart(trees: Sequence[Node]) -> ChartValues:
    """Merge values files, later ones winning, over the chart's own. Raises MigrationError."""
    is_reference = any(
        "jupyterhub" in tree.keys or any(key.startswith("postgresql") for key in tree.keys)
        or any(name.startswith("JH_") for name in _names(tree.get("hub", "extraEnv")))
        for tree in trees
    )  # fmt: skip
    for tree in trees:
        for leaf in tree.leaves():
            leaf.value = _as_helm_reads(leaf)
    base = parse_tree(
        reference.CHART_VALUES if is_reference else reference.ZERO_VALUES, "the chart's default"
    )
    _unplaced(base)
    chart = ChartValues(base, is_reference)
    chart.hidden = [pair for tree in trees for pair in tree.all_hidden()]
    # As in Helm, the files make one set of values, which is laid over the chart's own then.
    given = Node(base.file, (), 0, {})
    for tree in trees:
        if "jupyterhub" not in tree.keys and {"hub", "singleuser"} & set(tree.keys):
            # Values for Zero to JupyterHub itself are those of the chart in the chart.
            tree = Node(tree.file, (), tree.line, {"jupyterhub": tree})
        _merge(chart, given, tree)
    _merge(chart, chart.top, given)
    for name, node in (("hub", chart.hub), ("singleuser", chart.singleuser)):
        if not isinstance(node.value, dict):
            raise MigrationError(f"{node.origin}: jupyterhub.{name} holds no values.")
    _variables(chart)
    return chart


_WORDS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_NUMBER = re.compile(r"[-+]?[0-9][0-9a-fA-FxXo_]{0,30}")
_BASES = (
    (re.compile(r"0[xX]([0-9a-fA-F]+)"), 16),
    (re.compile(r"0b([01]+)"), 2),
    (re.compile(r"0o?([0-7]+)"), 8),
    (re.compile(r"([0-9]+)"), 10),
)

_FRACTION = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{1,15}")


def _as_helm_reads(leaf: Node) -> Value:
    """Return a value as Helm takes it: bare yes and no are true and false, 0755 and 0x10 are numbers in other bases."""
    if leaf.quoted or not isinstance(leaf.value, str):
        return leaf.value
    text = leaf.value
    if text.lower() in _WORDS and text in {text.lower(), text.upper(), text.capitalize()}:
        return _WORDS[text.lower()]
    if _NUMBER.fullmatch(text):
        bare = text.replace("_", "").lstrip("-+")
        for pattern, base in _BASES:
            if found := pattern.fullmatch(bare):
                return f"{'-' * text.startswith('-')}{int(found[1], base)}"
    if _FRACTION.fullmatch(text):
        return repr(float(text)).removesuffix(".0")
    return text


def _names(extra: Node) -> list[str]:
    return [*extra.keys, *(each.get("name").text for each in extra.items)]


def _unplaced(node: Node) -> None:
    node.line = 0
    for each in [*node.keys.values(), *node.items]:
        _unplaced(each)


def _merge(chart: ChartValues, base: Node, over: Node) -> None:
    """Lay values over others, in place: maps are merged, null takes away what stood there, all else replaces it."""
    for key, node in over.keys.items():
        before = base.keys.get(key)
        if before is None:
            base.keys[key] = node
        elif isinstance(before.value, dict) and isinstance(node.value, dict) and before.value:
            _merge(chart, before, node)
            if not node.value:
                chart.replaced.append((node, before))
        else:
            chart.replaced += [(leaf, node) for leaf in before.leaves() if leaf.line]
            base.keys[key] = node


def _xnat_s(services: Node) -> Node:
    """Return the service that XNAT calls the hub as: by its plain name, else the only one whose name has it."""
    names = [
        name for name, node in services.keys.items() if node.keys and is_xnat(node.get("name").text or name)
    ]
    return services.get("xnat" if "xnat" in names or len(names) != 1 else names[0])


def _variables(chart: ChartValues) -> None:
    extra = chart.hub.get("extraEnv")
    entries = [*extra.keys.items(), *((each.get("name").text, each) for each in extra.items)]
    for key, entry in entries:
        name = entry.get("name").text or key
        value = entry.get("value") if entry.keys else entry
        secret = entry.get("valueFrom", "secretKeyRef")
        if secret.keys:
            command = (
                f"kubectl --namespace NAMESPACE get secret {secret.get('name').text} "
                f"--output jsonpath={{.data.{secret.get('key').text}}} | base64 -d"
            )
            chart.elsewhere[name] = Found(command, secret.get("key").origin, next(secret.leaves()))
        elif isinstance(value.value, str):
            chart.variables[name] = at(value)
    service = _xnat_s(chart.hub.get("services"))
    for name in ("apiToken", "api_token"):
        if (token := service.get(name)).text:
            before = chart.variables.get("JH_XNAT_SERVICE_TOKEN")
            chart.replaced += [(before.leaf, token)] if before and before.leaf else []
            chart.variables["JH_XNAT_SERVICE_TOKEN"] = at(token)
