"""What is said of each orchestrator: every name leads somewhere, and nobody else asks which one it is."""

import dataclasses
import re

import pytest

from tests.unit.helpers import ROOT
from xnathub_conf.site.kinds import kinds, named
from xnathub_conf.site.schema import site_schema
from xnathub_conf.site.types import Orchestrator

REFERENCE = re.compile(r"xnathub_conf(\.\w+)+:\w+")
OWN = ("orchestrators/", "spawners/", "render/", "migration/", "standin/", "site/types.py", "site/chosen.py")
"""What belongs to one orchestrator, is of an old deployment, or tells which one was chosen."""


def references(value: object) -> list[str]:
    if isinstance(value, str):
        return [value] if REFERENCE.fullmatch(value) else []
    if isinstance(value, tuple):
        return [each for item in value for each in references(item)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [
            each for field in dataclasses.fields(value) for each in references(getattr(value, field.name))
        ]
    return []


@pytest.mark.parametrize("key", kinds())
def test_every_name_leads_somewhere(key):
    found = references(kinds()[key])
    assert len(found) >= 2
    assert all(callable(named(each)) for each in found)


def test_every_section_of_the_schema_has_its_kind():
    assert list(kinds()) == list(site_schema()["properties"]["orchestrator"]["properties"])
    assert {kind.settings for kind in kinds().values()} == set(Orchestrator.__subclasses__())


def test_nobody_else_asks_which_orchestrator_it_is():
    asking = re.compile(
        r"isinstance\([\w.]*orchestrator\b|orchestrator\.key [!=]=|orchestrator\.key (not )?in\b|orchestrator_of\("
    )
    package = ROOT / "xnathub_conf"
    found = [
        f"{file.relative_to(package)}: {line.strip()}"
        for file in package.rglob("*.py")
        if not str(file.relative_to(package)).startswith(OWN)
        for line in file.read_text("utf-8").splitlines()
        if asking.search(line)
    ]
    assert found == []
