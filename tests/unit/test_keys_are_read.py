"""Every key of site.yaml is read by something: one that nothing reads would be accepted and do nothing."""

import ast
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from xnathub_conf.site import types
from xnathub_conf.site.types import Site

PROGRAM = Path(__file__).parents[2] / "xnathub_conf"


def attributes_read() -> set[str]:
    """Collect the names that the program reads of any object, but where the types themselves are made."""
    read = set()
    for file in PROGRAM.rglob("*.py"):
        if file != Path(types.__file__) and not {"standin", "migration"} & set(file.parts):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    read.add(node.attr)
                # getattr(site.paths, kind), with the names in a list beside it
                elif (isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple)) or (
                    isinstance(node, ast.comprehension) and isinstance(node.iter, ast.Tuple)
                ):
                    read |= {each.value for each in ast.walk(node.iter) if isinstance(each, ast.Constant)}
    return read


def keys(cls: type, path: str = "") -> dict[str, str]:
    """Return the attribute for each key of a type of the site, and of those below it."""
    found = {}
    hints = get_type_hints(cls)
    for field in fields(cls):
        here = f"{path}.{field.name}".strip(".")
        found[here] = field.name
        candidates = [hints[field.name]]
        while candidates:
            each = candidates.pop()
            candidates += get_args(each)
            if is_dataclass(each) and isinstance(each, type):
                found |= keys(each, here)
    return found


READ = attributes_read()


@pytest.mark.parametrize(("key", "attribute"), keys(Site).items())
def test_a_key_is_read(key, attribute):
    # Which form the file has is what the schema itself checks.
    assert attribute in READ or key == "version"


def test_a_key_that_nothing_reads_would_be_found():
    assert "no_such_key_anywhere" not in READ
    assert len(keys(Site)) > 80
