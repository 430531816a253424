"""The catalogue of rules: every rule has one entry, and no entry is without its rule."""

import ast
import json
from pathlib import Path

import pytest

from tests.unit.helpers import MINIMAL
from xnathub_conf.cli import main
from xnathub_conf.site.rule_names import RULES

ROOT = Path(__file__).parents[2]
SITE = ROOT / "xnathub_conf" / "site"
KEYWORDS = {
    "additionalProperties", "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems", "maxLength",
    "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "not", "pattern", "required",
    "type", "uniqueItems", "x-type",
}  # fmt: skip
"""Keywords of JSON Schema that a value can break."""


def keywords(node: object) -> set[str]:
    if isinstance(node, dict):
        return (set(node) & KEYWORDS).union(*map(keywords, node.values()))
    return set().union(*map(keywords, node)) if isinstance(node, list) else set()


def reported() -> set[str]:
    """Collect the rules that code reports by name: the first text after the place in each call."""
    names = set()
    for file in SITE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                texts = [
                    arg.value
                    for arg in node.args
                    if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                ]
                # Where the rule is a keyword of the schema, the first text is the message.
                if called in {"report", "_stop", "Problem", "Slip"} and texts and not texts[0].endswith("."):
                    names.add(texts[0])
    return names


def test_the_catalogue_holds_every_rule_and_no_other():
    schemas = [
        json.loads((ROOT / "schema" / name).read_text())
        for name in ("site.schema.json", "jupyterhub_names.json")
    ]
    of_schemas = set().union(*map(keywords, schemas)) - {"additionalProperties"}
    assert set(RULES) == reported() | of_schemas


def test_no_two_rules_say_the_same():
    texts = [rule.text for name, rule in RULES.items() if name not in KEYWORDS]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("text", [rule.text for rule in RULES.values()])
def test_a_rule_is_a_sentence(text):
    assert text.endswith(".")
    assert len(text) < 100


WARNING = MINIMAL.replace("https://xnat.example.org", "http://xnat.example.org")


@pytest.mark.parametrize(
    ("options", "code"), [([], 0), (["--strict"], 1), (["--strict", "--ignore", "unencrypted"], 0)]
)
def test_a_warning_that_is_ignored(tmp_path, capsys, options, code):
    (tmp_path / "site.yaml").write_text(WARNING)
    assert main(["validate", *options, str(tmp_path / "site.yaml")]) == code
    assert ("unencrypted" not in capsys.readouterr().out) or "--ignore" not in options


def test_an_ignored_warning_is_in_no_report(tmp_path, capsys):
    (tmp_path / "site.yaml").write_text(WARNING)
    for form in ("text", "json", "github", "sarif"):
        assert main(["validate", "--format", form, "--ignore=unencrypted", str(tmp_path / "site.yaml")]) == 0
        assert "Passwords go" not in capsys.readouterr().out


def test_an_error_beside_an_ignored_warning_stays(tmp_path, capsys):
    (tmp_path / "site.yaml").write_text(WARNING + "nonsense: 1\n")
    assert main(["validate", "--ignore=unencrypted", str(tmp_path / "site.yaml")]) == 1
    assert "nonsense" in capsys.readouterr().out


@pytest.mark.parametrize(("rule", "said"), [("secret", "is an error"), ("nonsense", "is no rule")])
def test_what_can_not_be_ignored(capsys, rule, said):
    with pytest.raises(SystemExit) as ended:
        main(["validate", "--ignore", rule, "site.yaml"])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert "unencrypted" in err
