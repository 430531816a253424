"""What the fuzz tests feed in: sites, made from the schema and changed; XNAT's answers; names and texts that go astray."""

import json
import re
import string

from hypothesis import strategies as st

from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.schema import jupyterhub_names, resolve, site_schema

ODD_TEXT = st.text(max_size=12) | st.sampled_from(
    ["", " ", "..", ".", "/", "//", "\0", "\n", "\t", "\x1b[0m", "\u202e", "\uff0f", "\ufeff", "{username}", "{", "%s", "$(id)", "*",
     "-", "a\u0301", "\ud800", "x" * 300, "0", "1e400", "null", "no", "010"]
)  # fmt: skip
PLAIN_TEXT = st.text(string.ascii_letters + string.digits + "-_. /:@é日", max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXT
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4), max_leaves=12
)  # fmt: skip

# ---- values that fit a schema


def fitting(node):
    """Return a strategy for values that fit a JSON Schema, of the keywords that ours use."""
    node = resolve(node)
    known = [value for value in (*node.get("examples", ()), node.get("default")) if value is not None]
    made = _fitting(node)
    return st.sampled_from(known) | made if known else made


def _fitting(node):
    if "const" in node:
        return st.just(node["const"])
    if "enum" in node:
        return st.sampled_from(node["enum"]) if node["enum"] else st.nothing()
    if node.get("x-type") == "secret":
        return st.sampled_from([{"env": "FUZZ_TOKEN"}, {"env": "FUZZ_PASSWORD"}])
    if node.get("x-type") == "bytes":
        return st.sampled_from([1, 4096, "1G", "1.5G", "512M", "1T", "100K", 2**40])
    kinds = node.get("type", "anything")
    return st.one_of([_of_type(kind, node) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def _of_type(kind, node):
    if kind == "integer":
        low = node.get("minimum", -3)
        high = node.get("maximum", max(low, 0) + 2**33)
        return st.integers(low, high) | st.sampled_from([low, high, max(low, min(high, 1))])
    if kind == "number":
        low, high = node.get("minimum", node.get("exclusiveMinimum", -2.0)), node.get("maximum", 1e9)
        return st.floats(low, high, exclude_min="exclusiveMinimum" in node) | st.just(high)
    if kind == "boolean":
        return st.booleans()
    if kind == "null":
        return st.none()
    if kind == "string":
        if "pattern" not in node:
            return PLAIN_TEXT.filter(lambda text: len(text) >= node.get("minLength", 0))
        pattern = re.compile(node["pattern"].replace("$", r"\Z"))
        return st.from_regex(
            pattern, fullmatch=node["pattern"].endswith("$"), alphabet=_LETTERS
        ) | st.from_regex(pattern)
    if kind == "array":
        items = fitting(node.get("items", {}))
        return st.lists(items, min_size=node.get("minItems", 0), max_size=min(node.get("maxItems", 4), 4))
    if kind == "object" and "properties" in node:
        required = node.get("required", ())
        parts = {key: fitting(child) for key, child in node["properties"].items()}
        return st.fixed_dictionaries(
            {key: parts[key] for key in required},
            optional={key: part for key, part in parts.items() if key not in required},
        )
    if kind == "object":
        keys = fitting({"type": "string", **node.get("propertyNames", {})})
        return st.dictionaries(keys, fitting(node.get("additionalProperties", {})), max_size=3)
    return JSON


_LETTERS = st.characters(codec="ascii", exclude_categories=["Cc"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9) | PLAIN_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN_TEXT, inner, max_size=3),
    max_leaves=6,
)

# ---- whole sites

_SMALL = {
    "local": {"directory": "/srv/xnathub/servers"},
    "docker": {},
    "swarm": {},
    "kubernetes": {"claims": [{"path": "/data/xnat", "claim_name": "xnat"}]},
}
ENVIRONMENT = {"FUZZ_TOKEN": "0123456789abcdef" * 4, "FUZZ_PASSWORD": "a password: é{}$ #'\""}
"""The variables behind the secrets of these sites."""


def small_site(orchestrator):
    """The shortest site of an orchestrator whose secrets ENVIRONMENT holds."""
    return {
        "version": 1,
        "xnat": {
            "url": "https://xnat.example.org",
            "service_account": {"password": {"env": "FUZZ_PASSWORD"}},
        },
        "hub": {"api_token": {"env": "FUZZ_TOKEN"}, "db_url": "sqlite://"},
        "servers": {"allowed_images": ["xnat/*"]},
        "orchestrator": {orchestrator: json.loads(json.dumps(_SMALL[orchestrator]))},
    }


def _leaves(node, path):
    node = resolve(node)
    if "properties" in node and node.get("x-type") != "secret":
        for key, child in node["properties"].items():
            yield from _leaves(child, (*path, key))
    elif path[0] not in {"version", "extra"}:
        yield path, node


LEAVES = tuple(_leaves(site_schema(), ()))
"""Every key of site.yaml that holds a value, with its schema."""

_COMMON = [leaf for leaf in LEAVES if leaf[0][0] != "orchestrator"]


def extra_traits(orchestrator):
    """Return a strategy for a trait of `extra` with a value that it takes, as a path and the value."""
    traits = jupyterhub_names()["traits"]
    usable = [
        name
        for name in traits
        if name not in {kind.spawner for kind in kinds().values()} or name == kinds()[orchestrator].spawner
    ]
    each = [(f"{cls}.{name}", form) for cls in usable for name, form in traits[cls].items()]
    return st.sampled_from(each).flatmap(
        lambda each: (
            st.tuples(st.just(("extra", each[0])), _fitting(each[1]))
            if each[1].get("enum") != []
            else st.nothing()
        )
    )


def changed(data, changes):
    """Copy a site with the values at some paths set."""
    data = json.loads(json.dumps(data))
    for (*above, last), value in changes:
        place = data
        for key in above:
            place = place.setdefault(key, {})
        place[last] = value
    return data


@st.composite
def sites(draw, most_changes=4):
    """A small site of some orchestrator with a few values of others that fit the schema, and now and then one odd."""
    orchestrator = draw(st.sampled_from(list(_SMALL)))
    own = [leaf for leaf in LEAVES if leaf[0][:2] == ("orchestrator", orchestrator)]
    by_schema = st.sampled_from(_COMMON + own * 3).flatmap(
        lambda leaf: st.tuples(st.just(leaf[0]), fitting(leaf[1]))
    )
    changes = draw(st.lists(by_schema | extra_traits(orchestrator), min_size=1, max_size=most_changes))
    return changed(small_site(orchestrator), changes)
