"""YAML that any reader, of version 1.1 or 1.2, reads alike."""

import re
from collections.abc import Iterable

import yaml


class _Dumper(yaml.SafeDumper):
    """Writes text that any YAML reader, of 1.1 or 1.2, takes for text."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's signature
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    plain = re.fullmatch(r"[A-Za-z][A-Za-z_]+", text) and text.lower() not in {
        "yes", "no", "on", "off", "true", "false", "null",
    }  # fmt: skip
    style = None if plain else "|" if "\n" in text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def yaml_text(value: object) -> str:
    """Return a value as a YAML document, its keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def yaml_texts(values: Iterable[object]) -> str:
    """Return values as YAML documents in one text."""
    return yaml.dump_all(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
