"""The rooms of `xnathub_conf/`: none too full, and none that looks up at one above it."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 350
ROOMS = (
    "shipped", "values", "site", "orchestrators", "launch", "operating", "xnat", "spawners", "web", "proxy", "signing_in", "hub", "render",
    "migration", "standin", "doctor", "cli",
)  # fmt: skip
"""From the ground up: a room imports from those before it alone."""

MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted((ROOT / "xnathub_conf").rglob("*.py"))
}


def imports(module: str) -> Iterator[str]:
    """Yield the modules of ours that a module imports, at its top or inside a function."""
    file = MODULES[module]
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            start = ".".join(part for part in (above, node.module) if part)
            names = [f"{start}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else start for name in names]
        yield from (name for name in names if name in MODULES and name != module)


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


# scripts/generate writes the types, one for each section of the schema.
@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"xnathub_conf.site.types"}))
def test_no_module_is_too_long(module):
    lines = len(MODULES[module].read_text("utf-8").splitlines())
    assert lines <= MOST_LINES


def test_every_module_is_in_a_room():
    assert {room(module) for module in MODULES} == {"", *ROOMS}


@pytest.mark.parametrize("module", [module for module in MODULES if room(module)])
def test_no_arrow_leads_up(module):
    above = [
        name for name in imports(module) if room(name) and ROOMS.index(room(name)) > ROOMS.index(room(module))
    ]
    assert not above


def test_no_circle():
    # static_order raises CycleError, with the circle in it.
    order = TopologicalSorter({module: set(imports(module)) for module in MODULES}).static_order()
    assert set(order) == set(MODULES)
