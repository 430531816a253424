"""Rules of what `extra` adds to pods: it has the names and types of Kubernetes' API, which drops what it does not know."""

from collections.abc import Mapping
from typing import Any

from xnathub_conf.site.check import check_trait, found
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.schema import SchemaNode, jupyterhub_names
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.pod_config import camel

_FORMS = {
    "extra_pod_config": "V1PodSpec", "extra_container_config": "V1Container", "init_containers": "list[V1Container]",
    "extra_containers": "list[V1Container]", "lifecycle_hooks": "V1Lifecycle", "node_affinity_preferred": "list[V1PreferredSchedulingTerm]",
    "pod_affinity_preferred": "list[V1WeightedPodAffinityTerm]", "pod_affinity_required": "list[V1PodAffinityTerm]",
    "pod_anti_affinity_preferred": "list[V1WeightedPodAffinityTerm]", "pod_anti_affinity_required": "list[V1PodAffinityTerm]",
}  # fmt: skip
"""KubeSpawner's traits that hold parts of a pod, and what of the API each is."""

_PLAIN = {"str": "string", "int": "integer", "bool": "boolean"}
_AMOUNTS = {"limits", "requests", "divisor", "sizeLimit", "storage"}
"""Keys of text and of objects of text that may as well be numbers."""


def check_pod_form(document: Document, _site: Site) -> None:
    """What `extra` adds to pods has the names and types of Kubernetes."""
    for name, kind in _FORMS.items():
        path: KeyPath = ("extra", f"KubeSpawner.{name}")
        value = document.data.get("extra", {}).get(path[-1])
        if isinstance(value, dict) and kind.startswith("list["):
            # KubeSpawner takes these by names of one's own too.
            for key, each in value.items():
                _check(document, (*path, key), kind[5:-1], each, top=True)
        elif isinstance(value, dict | list):
            _check(document, path, kind, value, top=True)


def _check(document: Document, path: KeyPath, kind: str, value: Any, *, top: bool = False) -> None:
    """Check a value of one of the API's types; at the top KubeSpawner takes names in snake case too."""
    objects: Mapping[str, Mapping[str, str]] = jupyterhub_names()["pod"]
    if value is None or any(each.path == path for each in document.problems):
        return
    if keys := objects.get(kind):
        names = {key: camel(key) if top else key for key in value} if isinstance(value, dict) else {}
        known: dict[str, object] = {
            key: {} for key in [*keys, *(key for key, name in names.items() if name in keys)]
        }
        form = {"type": "object", "properties": known, "additionalProperties": False}
        check_trait(document, path, form, value)
        for key, name in names.items():
            if name in keys:
                _check(document, (*path, key), keys[name], value[key])
    elif kind.startswith("list["):
        if not isinstance(value, list):
            # A remedy could not know what the entries of the list are called.
            message = f"Found {found(value, path)}; expected a list."
            document.report(document.value_mark(path), path, "type", message)
            return
        for index, each in enumerate(value):
            _check(document, (*path, index), kind[5:-1], each, top=top)
    else:
        check_trait(document, path, _form(kind, str(path[-1])), value)


def _form(kind: str, key: str) -> SchemaNode:
    text = {"type": ["string", "number"] if key in _AMOUNTS else "string"}
    if kind.startswith("dict"):
        return {"type": "object", "additionalProperties": text}
    return text if kind == "str" else {"type": _PLAIN[kind]} if kind in _PLAIN else {}
